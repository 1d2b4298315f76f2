//! What the statements of the scripts do in a session of the model PostgreSQL.

use dbproxy_driver::{Duration, Time};

use super::channels::Channels;
use super::holding::{concerns, Holding};
use super::{Session, Status, COLUMNS};
use crate::postgres::wire;
use crate::witness::{token_in, tokens_in, Token, Witness};

/// What the proxy runs on each new session, in fleets that have one.
pub const INIT_QUERY: &str = "SET app.init = 'on'";

/// How the proxy sets the setting again; clients write it otherwise.
const REPLAYS: [&str; 2] = ["SET geqo_threshold TO ", "SET LOCAL geqo_threshold TO "];

/// What leaves the setting as it was at first.
const RESETS: [&str; 3] = [
    "RESET geqo_threshold",
    "RESET SESSION AUTHORIZATION",
    "RESET ALL",
];

impl Session {
    pub(super) fn run(
        &mut self,
        sql: &str,
        described: bool,
        now: Time,
        read_only: bool,
        witness: &mut Witness,
    ) -> bool {
        // What the proxy sets again is no request of anybody's.
        let again = REPLAYS.iter().any(|replay| sql.starts_with(replay));
        let token = token_in(sql).filter(|_| !again);
        self.begin(token, witness);
        let verb = sql.split_whitespace().next().unwrap_or_default();
        if self.status == Status::Failed && !matches!(verb, "ROLLBACK" | "COMMIT") {
            self.fail("25P02", "db: current transaction is aborted");
            return false;
        }
        let about = token.unwrap_or_default();
        let read_only = read_only || self.reads_only;
        match verb {
            "INSERT" if read_only => {
                let text = "db: cannot execute INSERT in a read-only transaction";
                self.fail("25006", text)
            }
            "INSERT" if sql.contains("endless") && described => {
                self.rows(about, 1, true);
                self.endless = Some(about);
                true
            }
            "INSERT" => {
                self.writes.push(about);
                self.sequence = Some(about);
                self.rows(about, 1, described);
                self.complete("INSERT 0 1")
            }
            "CALL" if read_only => {
                let text = "db: cannot execute INSERT in a read-only transaction";
                self.fail("25006", text)
            }
            "CALL" => {
                self.writes.push(about);
                self.commit(witness);
                self.calling = tokens_in(sql).nth(1);
                self.sleeping = Some((now.after(Duration::from_millis(300)), about));
                true
            }
            _ if concerns(sql) => self.hold(sql, about, described),
            "LISTEN" | "UNLISTEN" | "NOTIFY" => {
                self.speak_of_channel((verb, sql), token, read_only)
            }
            "COPY" => self.copy(sql, about, read_only),
            "PREPARE" => self.prepare(sql),
            "EXECUTE" => match self.executed(sql, witness) {
                Some(text) => self.run(&text, described, now, read_only, witness),
                None => self.fail("26000", "db: no such prepared statement"),
            },
            "SELECT" if sql.contains("nowhere") => {
                self.fail("42P01", "db: relation \"nowhere\" does not exist")
            }
            // A view whose function inserts.
            "SELECT" if sql.contains("pops") && read_only => {
                let text = "db: cannot execute INSERT in a read-only transaction";
                self.fail("25006", text)
            }
            "SELECT" if sql.contains("pops") => {
                self.writes.push(about);
                self.rows(about, 1, described);
                self.complete("SELECT 1")
            }
            "SELECT" if sql.contains("lastval") => self.last_value(about, described),
            "SELECT" if sql.contains("pg_sleep") && described => {
                let long = sql.contains("pg_sleep(60)");
                let time = Duration::from_millis(if long { 60_000 } else { 300 });
                self.sleeping = Some((now.after(time), about));
                true
            }
            "SELECT" if sql.contains("endless") && described => {
                self.rows(about, 1, true);
                self.endless = Some(about);
                true
            }
            "SELECT" => {
                let rows = if sql.contains("big") {
                    2000
                } else {
                    1 + about % 3
                };
                self.rows(about, rows, described);
                self.complete(&format!("SELECT {rows}"))
            }
            "DEALLOCATE" if sql != "DEALLOCATE ALL" => {
                let name = sql.trim_start_matches("DEALLOCATE ").trim_matches('"');
                match self.statements.remove(name) {
                    Some(_) => self.complete("DEALLOCATE"),
                    None => self.fail("26000", "db: no such prepared statement"),
                }
            }
            _ => match self.control(verb, sql, token, witness) {
                Some(tag) => self.complete(&tag),
                None => {
                    witness.violation(format!("db{} can't run {sql:?}", self.database));
                    self.fail("42601", "db: syntax error")
                }
            },
        }
    }

    /// Transactions and session state; the tag of what was done.
    fn control(
        &mut self,
        verb: &str,
        sql: &str,
        token: Option<Token>,
        witness: &mut Witness,
    ) -> Option<String> {
        match verb {
            "BEGIN" => {
                self.status = Status::Transaction;
                self.reads_only = sql == "BEGIN READ ONLY";
            }
            "COMMIT" if self.status != Status::Failed => {
                self.commit(witness);
                self.status = Status::Idle;
                self.reads_only = false;
            }
            "SAVEPOINT" => {
                self.savepoint = Some((self.setting.clone(), self.outside.clone()));
                self.channels.save();
            }
            "ROLLBACK" if sql.starts_with("ROLLBACK TO ") => {
                (self.setting, self.outside) = self.savepoint.clone()?;
                self.channels.undo_to_savepoint();
            }
            "RELEASE" => self.savepoint = None,
            "COMMIT" | "ROLLBACK" => {
                self.writes.clear();
                self.channels.undo();
                self.holding.ended(false);
                self.outside = None;
                self.setting = self.committed.clone();
                self.status = Status::Idle;
                self.reads_only = false;
                return Some("ROLLBACK".into());
            }
            // The proxy's own: what clients call themselves is nobody's state.
            "SET" | "RESET" if sql.contains("application_name") => {}
            "SET" if sql == INIT_QUERY => self.initialised = true,
            "SET" if sql.starts_with("SET LOCAL geqo_threshold ") => {
                let value = sql.split('\'').nth(1).unwrap_or("-").to_owned();
                let before = std::mem::replace(&mut self.setting, value);
                self.outside.get_or_insert(before);
            }
            "SET" if sql.starts_with("SET geqo_threshold ") => {
                let value = sql.split('\'').nth(1);
                self.setting = value.unwrap_or_default().into();
                self.outside = None;
            }
            // The proxy's own, or of the one setting.
            "RESET" if RESETS.iter().any(|begin| sql.starts_with(begin)) => {
                self.setting = "-".into();
                self.outside = None;
            }
            "SET" => self.owner = token.map_or("proxy".into(), |token| format!("t{token}")),
            "DISCARD" if sql == "DISCARD SEQUENCES" => {
                self.sequence = None;
                return Some("DISCARD SEQUENCES".into());
            }
            "DEALLOCATE" => {
                self.statements.clear();
                return Some("DEALLOCATE ALL".into());
            }
            "DISCARD" => {
                self.sequence = None;
                self.owner = "-".into();
                self.setting = "-".into();
                self.outside = None;
                self.channels = Channels::default();
                self.holding = Holding::default();
                self.initialised = false;
                self.statements.clear();
                self.portal = None;
                return Some("DISCARD ALL".into());
            }
            _ => return None,
        }
        Some(verb.into())
    }

    /// In the place of the session's state the row tells who moved the sequence.
    fn last_value(&mut self, token: Token, described: bool) -> bool {
        let Some(mover) = self.sequence else {
            return self.fail("55000", "db: lastval is not yet defined in this session");
        };
        let owner = std::mem::replace(&mut self.owner, format!("t{mover}"));
        self.rows(token, 1, described);
        self.owner = owner;
        self.complete("SELECT 1")
    }

    pub(super) fn copy(&mut self, sql: &str, token: Token, read_only: bool) -> bool {
        if sql.contains("STDOUT") {
            self.emit(wire::message(b'H', &[0, 0, 0]));
            for row in 0..50 {
                let line = format!("{}\t{row}\tt{token}\n", self.name());
                self.emit(wire::message(b'd', line.as_bytes()));
            }
            self.emit(wire::message(b'c', &[]));
            return self.complete("COPY 50");
        }
        if read_only {
            let text = "db: cannot execute COPY FROM in a read-only transaction";
            return self.fail("25006", text);
        }
        self.emit(wire::message(b'G', &[0, 0, 0]));
        self.copying_in = Some(token);
        true
    }

    pub(super) fn copy_data(&mut self, message: &[u8], witness: &mut Witness) {
        // What comes after an error is dropped, as PostgreSQL does.
        let Some(token) = self.copying_in else {
            return;
        };
        match message[0] {
            b'd' => {
                let text = String::from_utf8_lossy(&message[5..]).into_owned();
                if token_in(&text) != Some(token) {
                    witness.violation(format!("COPY t{token} got {text:?}"));
                }
                return;
            }
            b'c' => {
                self.writes.push(token);
                self.complete("COPY 1");
                if self.status == Status::Idle {
                    self.commit(witness);
                }
            }
            _ => {
                self.fail("57014", "db: COPY from stdin failed");
            }
        }
        self.copying_in = None;
        self.ready(witness);
    }

    pub(super) fn name(&self) -> String {
        format!("db{}-{}", self.database, self.number)
    }

    pub(super) fn rows(&mut self, token: Token, count: u64, described: bool) {
        if described {
            self.emit(wire::row_description(&COLUMNS));
        }
        let row = wire::data_row(&[
            &self.name(),
            &format!("t{token}"),
            &self.owner,
            &self.setting,
        ]);
        for _ in 0..count {
            self.emit(row.clone());
        }
    }

    pub(super) fn complete(&mut self, tag: &str) -> bool {
        self.emit(wire::message(b'C', &wire::texts(&[tag])));
        true
    }

    /// Always false: the statement failed.
    pub(super) fn fail(&mut self, code: &str, text: &str) -> bool {
        self.emit(wire::error("ERROR", code, text));
        self.writes.clear();
        match self.status {
            Status::Transaction => self.status = Status::Failed,
            Status::Idle => self.channels.undo(),
            Status::Failed => {}
        }
        false
    }

    pub(super) fn commit(&mut self, witness: &mut Witness) {
        if let Some(outside) = self.outside.take() {
            self.setting = outside;
        }
        self.committed = self.setting.clone();
        self.holding.ended(true);
        self.commit_channels(witness);
        for token in self.writes.drain(..) {
            witness.commit(self.database, token);
        }
    }
}
