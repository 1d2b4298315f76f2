//! Statements that a client has prepared: what it is told of them, and what it asks of them.

use std::collections::BTreeMap;

use crate::postgres::script::{Expect, Kind, Script};
use crate::postgres::wire;
use crate::witness::{Token, PER_CLIENT};

/// What clients call those that they prepare by SQL.
const READS: &str = "q";
pub const WRITES: &str = "x";

/// What a client has prepared by SQL, as it was told: what it had set then, if there is a literal in it.
#[derive(Default, Debug)]
pub struct Prepared {
    names: BTreeMap<&'static str, Option<String>>,
}

impl Prepared {
    /// A request was answered, perhaps with an error. Says what is wrong with that.
    pub fn answered(
        &mut self,
        expect: &Expect,
        error: Option<&str>,
        setting: &str,
    ) -> Option<String> {
        let name = match expect.kind {
            Kind::Prepare { name, .. } | Kind::Execute(name) | Kind::Deallocate(name) => name,
            Kind::DeallocateAll => {
                if error.is_none() {
                    self.names.clear();
                }
                return None;
            }
            _ => return None,
        };
        let has = self.names.contains_key(name);
        let prepares = matches!(expect.kind, Kind::Prepare { .. });
        let wrong = match error {
            None => has == prepares,
            Some("42P05") => !has || !prepares,
            Some("26000") => has || prepares,
            Some(_) => false,
        };
        match (expect.kind, error) {
            (Kind::Prepare { shaped, .. }, None) => {
                self.names.insert(name, shaped.then(|| setting.into()));
            }
            (Kind::Deallocate(name), None) => {
                self.names.remove(name);
            }
            _ => {}
        }
        let text = || format!("{expect:?} answered with {error:?}, has it: {has}");
        wrong.then(text)
    }
}

impl Script<'_> {
    /// A named statement, whose text all clients have or only this one; closed and deallocated now
    /// and then.
    pub fn named(&mut self) {
        match self.random.below(18) {
            0 => {
                self.names.clear();
                self.unsure.extend([READS, WRITES]);
                self.simple("DEALLOCATE ALL");
                return self.expect(Vec::new(), Kind::DeallocateAll);
            }
            1 if self.names.remove("s1").is_some() => {
                self.simple("DEALLOCATE s1");
                return self.expect(Vec::new(), Kind::Read);
            }
            2..=7 => return self.by_sql(),
            _ => {}
        }
        let token = self.token();
        let writes = self.writes && self.random.one_in(3);
        let (name, sql) = match writes {
            true => ("w", "INSERT INTO t VALUES ($1)"),
            false => ("s1", "SELECT $1"),
        };
        let sure = !self.unsure.contains(&name);
        if !self.names.contains_key(name) {
            self.unsure.push(name);
            let (sql, shaped) = self.variant(sql, token / PER_CLIENT);
            self.bytes.extend(wire::close(name));
            self.parse(name, &sql);
            self.names.insert(name, shaped.then(|| self.setting.into()));
        }
        let under = self.names.get(name).filter(|_| sure);
        let parameter = parameter(token, under);
        self.bind(name, &parameter);
        self.expect(vec![token], if writes { Kind::Write } else { Kind::Read });
    }

    /// One that is prepared, used, or deallocated by SQL.
    fn by_sql(&mut self) {
        let name = match self.writes && self.random.one_in(3) {
            true => WRITES,
            false => READS,
        };
        let has = self.prepared.names.contains_key(name);
        match self.random.below(8) {
            0 => {
                self.unsure.push(name);
                self.simple(&format!("DEALLOCATE {name}"));
                self.expect(Vec::new(), Kind::Deallocate(name));
            }
            1 => self.prepare(name),
            2..=6 if !has && !self.unsure.contains(&name) => self.prepare(name),
            _ => self.execute(name),
        }
    }

    fn prepare(&mut self, name: &'static str) {
        let sql = match name {
            WRITES => "INSERT INTO t VALUES ($1)",
            _ => "SELECT $1",
        };
        let (sql, shaped) = self.variant(sql, *self.next_token / PER_CLIENT);
        let sql = format!("PREPARE {name} (text) AS {sql}");
        self.unsure.push(name);
        if self.random.one_in(4) {
            self.extended(&sql, false);
            self.sync();
        } else {
            self.simple(&sql);
        }
        self.expect(Vec::new(), Kind::Prepare { name, shaped });
    }

    fn execute(&mut self, name: &'static str) {
        let token = self.token();
        let sure = !self.unsure.contains(&name);
        let under = self.prepared.names.get(name).filter(|_| sure);
        let parameter = parameter(token, under);
        if self.random.one_in(3) {
            self.bind(name, &parameter);
        } else {
            self.simple(&format!("EXECUTE {name}('{parameter}')"));
        }
        self.expect(vec![token], Kind::Execute(name));
    }

    /// A text that all clients have or only this one, with a literal that settings shape or none.
    fn variant(&mut self, sql: &str, client: Token) -> (String, bool) {
        let owner = format!(" /* of {client} */");
        let owner = if self.random.one_in(2) { &owner } else { "" };
        let shaped = self.random.one_in(2);
        let literal = if shaped { " RETURNING '1'" } else { "" };
        (format!("{sql}{owner}{literal}"), shaped)
    }

    /// Uses one by the extended protocol.
    fn bind(&mut self, name: &str, parameter: &str) {
        self.bytes.extend(wire::bind(name, Some(parameter)));
        self.bytes.extend(wire::describe_portal());
        self.bytes.extend(wire::execute());
        self.sync();
    }
}

/// What is asked for; of a statement with a literal also what was set when it was parsed.
fn parameter(token: Token, under: Option<&Option<String>>) -> String {
    match under {
        Some(Some(under)) => format!("t{token} under {}", under.replace('t', "u")),
        _ => format!("t{token}"),
    }
}
