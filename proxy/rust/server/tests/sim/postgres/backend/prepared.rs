//! Prepared statements in a session of the model PostgreSQL.

use dbproxy_driver::{Duration, Time};

use super::{Session, COLUMNS};
use crate::postgres::wire;
use crate::witness::{token_in, Witness, PER_CLIENT};

/// One prepared statement.
#[derive(Clone)]
pub(super) struct Statement {
    sql: String,
    by_sql: bool,
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

/// How long a description takes where it takes long.
const SLOW: Duration = Duration::from_millis(300);

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
        self.statements.insert(name, self.statement(sql, false));
        self.out.extend(wire::message(b'1', &[]));
    }

    fn statement(&self, sql: String, by_sql: bool) -> Statement {
        Statement {
            sql,
            by_sql,
            under: self.setting.clone(),
            users: Vec::new(),
        }
    }

    /// Whether it has one that is a client's own.
    pub(super) fn has_prepared(&self, by_sql: bool) -> bool {
        let mut statements = self.statements.iter();
        statements.any(|(name, statement)| {
            let own = !name.is_empty() && !name.starts_with("dbproxy:");
            own && statement.by_sql == by_sql
        })
    }

    /// Only the proxy asks. Of what a client has made by SQL it is told now and then after a while, in
    /// which anything may happen, and now and then not at all. Somebody's lock keeps a statement of a
    /// `locked` table from being described.
    pub(super) fn describe(&mut self, name: &str, now: Time) {
        let statement = self.statements.get(name);
        let by_sql = statement.is_some_and(|one| one.by_sql);
        let waits = statement.is_some_and(|one| !one.by_sql && one.sql.contains("locked"));
        self.described += u64::from(by_sql);
        match self.described % 5 {
            at if waits || by_sql && at == 1 => {
                self.sleeping = Some((now.after(SLOW), 0));
                self.describing = Some(name.to_owned());
            }
            3 if by_sql => self.fail_to_describe("57014", "db: canceling statement due to timeout"),
            _ => self.tell(name),
        }
    }

    /// What a description that took its time comes to.
    pub(super) fn describe_at_last(&mut self, name: &str, cancelled: bool) {
        match cancelled {
            true => self.fail_to_describe("57014", "db: canceling statement due to user request"),
            false => self.tell(name),
        }
    }

    fn fail_to_describe(&mut self, code: &str, text: &str) {
        self.fail(code, text);
        self.skipping = true;
    }

    fn tell(&mut self, name: &str) {
        let Some(statement) = self.statements.get(name) else {
            return self.fail_to_describe("26000", "db: no such prepared statement");
        };
        let types: &[u8] = match statement.sql.contains("$1") {
            true => &[0, 1, 0, 0, 0, 25],
            false => &[0, 0],
        };
        self.out.extend(wire::message(b't', types));
        self.out.extend(wire::row_description(&COLUMNS));
    }

    /// `PREPARE name (text) AS ...`.
    pub(super) fn prepare(&mut self, sql: &str) -> bool {
        let name = sql.split(' ').nth(1).unwrap_or_default();
        if self.statements.contains_key(name) {
            let text = format!("db: prepared statement \"{name}\" already exists");
            return self.fail("42P05", &text);
        }
        let text = sql.split_once(" AS ").map_or("", |(_, text)| text);
        let statement = self.statement(text.to_owned(), true);
        self.statements.insert(name.to_owned(), statement);
        self.complete("PREPARE")
    }

    /// What `EXECUTE name('parameter')` runs.
    pub(super) fn executed(&mut self, sql: &str, witness: &mut Witness) -> Option<String> {
        let (name, rest) = sql.strip_prefix("EXECUTE ")?.split_once('(')?;
        let parameter = rest.split('\'').nth(1).map(str::to_owned);
        let text = self.used(name, parameter.as_deref(), witness)?;
        Some(with(&text, parameter.as_deref()))
    }

    /// The text of a statement that is used.
    fn used(
        &mut self,
        name: &str,
        parameter: Option<&str>,
        witness: &mut Witness,
    ) -> Option<String> {
        let token = parameter.and_then(token_in);
        let statement = self.statements.get_mut(name)?;
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
        let wanted = parameter.and_then(|text| text.split(" under ").nth(1));
        if wanted.is_some_and(|wanted| wanted != under.replace('t', "u")) {
            let text = format!("{parameter:?} ran a statement parsed under {under}");
            witness.violation(text);
        }
        Some(sql)
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
        let Some(sql) = self.used(&name, parameter.as_deref(), witness) else {
            self.fail("26000", "db: no such prepared statement");
            self.skipping = true;
            return;
        };
        self.aside = name.starts_with(ASIDE);
        self.portal = Some((sql, parameter));
        let done = wire::message(b'2', &[]);
        match self.aside {
            true => self.out.extend(done),
            false => self.emit(done),
        }
    }
}

/// A statement's text, given its parameter.
pub(super) fn with(sql: &str, parameter: Option<&str>) -> String {
    match parameter {
        Some(parameter) => sql.replace("$1", &format!("'{parameter}'")),
        None => sql.to_owned(),
    }
}
