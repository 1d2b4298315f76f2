//! Prepared statements in a session of the model PostgreSQL.

use super::{Session, COLUMNS};
use crate::wire;
use crate::witness::{token_in, Witness, PER_CLIENT};

/// One prepared statement.
#[derive(Clone)]
pub(super) struct Statement {
    sql: String,
    /// The setting that it was parsed under.
    under: String,
    /// Which clients used it, under what each had set.
    users: Vec<(u64, String)>,
}

impl Statement {
    /// A server plans it under what its user has set: that may serve nobody who has set something else.
    fn used(&mut self, client: u64, setting: &str, witness: &mut Witness) {
        let strange = |(other, under): &&(u64, String)| *other != client && under != setting;
        if let Some((other, under)) = self.users.iter().find(strange) {
            let text = format!("{:?} serves client {client} under {setting}", self.sql);
            witness.violation(format!("{text}, and client {other} under {under}"));
        }
        let user = (client, setting.to_owned());
        if !self.users.contains(&user) {
            self.users.push(user);
        }
    }
}

/// Of that name are the proxy's statements that it runs around a Parse.
const ASIDE: &str = "dbproxy:aside";

impl Session {
    /// Clients are told how often they parsed, whoever made the answers that they don't hear of: it
    /// counts for nothing else.
    pub(super) fn parse(&mut self, body: &[u8], witness: &mut Witness) {
        let name = wire::text_at(body).to_owned();
        let sql = wire::text_at(&body[name.len() + 1..]).to_owned();
        if !name.is_empty() && self.statements.contains_key(&name) {
            let text = format!("db: prepared statement \"{name}\" already exists");
            self.fail("42P05", &text);
            self.skipping = true;
            return;
        }
        if !name.starts_with(ASIDE) {
            self.begin(token_in(&sql), witness);
        }
        let statement = Statement {
            sql,
            under: self.setting.clone(),
            users: Vec::new(),
        };
        self.statements.insert(name, statement);
        self.out.extend(wire::message(b'1', &[]));
    }

    /// Only the proxy asks.
    pub(super) fn describe(&mut self, name: &str) {
        let parameters = self.statements.get(name).map(|one| one.sql.contains("$1"));
        let types: &[u8] = match parameters {
            Some(true) => &[0, 1, 0, 0, 0, 25],
            _ => &[0, 0],
        };
        self.out.extend(wire::message(b't', types));
        self.out.extend(wire::row_description(&COLUMNS));
    }

    pub(super) fn bind(&mut self, body: &[u8], witness: &mut Witness) {
        let portal = wire::text_at(body).len() + 1;
        let name = wire::text_at(&body[portal..]).to_owned();
        let at = portal + name.len() + 1 + 2;
        let count = body.get(at..at + 2) == Some(&[0, 1]);
        let parameter = count.then(|| {
            let end = body.len() - 2;
            String::from_utf8_lossy(&body[at + 6..end]).into_owned()
        });
        let token = parameter.as_deref().and_then(token_in);
        self.begin(token, witness);
        let Some(statement) = self.statements.get_mut(&name) else {
            self.fail("26000", "db: no such prepared statement");
            self.skipping = true;
            return;
        };
        if let Some(token) = token {
            statement.used(token / PER_CLIENT, &self.setting, witness);
        }
        let Statement { sql, under, .. } = statement.clone();
        let owner = sql
            .split("/* of ")
            .nth(1)
            .and_then(|rest| rest.split(' ').next());
        if let (Some(owner), Some(token)) = (owner, token) {
            if owner.parse() != Ok(token / PER_CLIENT) {
                witness.violation(format!("t{token} ran a statement of client {owner}"));
            }
        }
        let wanted = parameter
            .as_deref()
            .and_then(|text| text.split(" under ").nth(1));
        if wanted.is_some_and(|wanted| wanted != under.replace('t', "u")) {
            let text = format!("{parameter:?} ran a statement parsed under {under}");
            witness.violation(text);
        }
        self.aside = name.starts_with(ASIDE);
        self.portal = Some((sql, parameter));
        let done = wire::message(b'2', &[]);
        match self.aside {
            true => self.out.extend(done),
            false => self.emit(done),
        }
    }
}
