//! What the statements of the scripts, and the proxy's own, do in a session of the model MySQL.

use dbproxy_driver::Duration;

use super::{reports, End, Session, DONE};
use crate::peer::Around;
use crate::witness::tokens_in;

/// What the proxy runs on each new session, in fleets that have one.
pub const INIT_QUERY: &str = "SET foreign_key_checks = 0";

/// How the proxy sets something again; clients write it otherwise.
const REPLAYS: [&str; 3] = ["SET @@session.", "SET @`", "SET last_insert_id = "];
/// How the first statement of each session begins.
const SET_UP: &str = "SET session_track_schema=ON";
const KILL: &str = "KILL QUERY ";

/// What variables are at first.
const DEFAULTS: [(&str, &str); 7] = [
    ("time_zone", "SYSTEM"),
    ("wait_timeout", "28800"),
    ("sql_mode", "ONLY_FULL_GROUP_BY"),
    ("character_set_client", "utf8mb4"),
    ("character_set_results", "utf8mb4"),
    ("collation_connection", "utf8mb4_general_ci"),
    ("foreign_key_checks", "ON"),
];

const READ_ONLY: End = End::Failed(
    1290,
    "HY000",
    "db: The MySQL server is running with the --read-only option so it cannot execute this statement",
);
const LONG: Duration = Duration::from_millis(300);

/// Whether the proxy sets something again.
pub(super) fn is_replay(sql: &str) -> bool {
    REPLAYS.iter().any(|begin| sql.starts_with(begin))
}

/// Whether a statement is one of a log-in, or of somebody who logs in to kill another's.
pub(super) fn is_of_log_in(sql: &str) -> bool {
    sql.starts_with(SET_UP) || sql == INIT_QUERY || sql.starts_with(KILL)
}

impl Session {
    pub(super) fn run(&mut self, sql: &str, around: &mut Around<'_>) -> End {
        // What is only said in a comment is a name for it.
        let plain = sql.split(" /*").next().unwrap_or(sql);
        let about = tokens_in(sql).next().unwrap_or_default();
        let verb = plain.split_whitespace().next().unwrap_or_default();
        if let Some(end) = self.diagnose(plain) {
            return end;
        }
        self.failure = None;
        match verb {
            "SET" => self.set(plain, around),
            "DO" => DONE,
            "USE" => {
                self.enter(plain.trim_start_matches("USE "));
                DONE
            }
            "KILL" => {
                let number = plain.trim_start_matches(KILL).parse();
                around.cancels.push((number.unwrap_or_default(), 0));
                DONE
            }
            "BEGIN" => {
                self.commit(around.witness);
                self.open = Some(b'T');
                DONE
            }
            "COMMIT" => {
                self.commit(around.witness);
                DONE
            }
            "ROLLBACK" => {
                self.roll_back();
                DONE
            }
            "INSERT" if around.read_only => READ_ONLY,
            "INSERT" if plain.contains("deadlock") => {
                self.roll_back();
                End::Failed(1213, "40001", "db: Deadlock found when trying to get lock")
            }
            "INSERT" => {
                self.touch();
                self.writes.push(about);
                self.inserted = about;
                if self.open.is_none() {
                    self.commit(around.witness);
                }
                End::Done {
                    affected: 1,
                    insert_id: about,
                }
            }
            "CALL" if around.read_only => READ_ONLY,
            "CALL" => self.call(sql, around),
            "SELECT" if plain.contains("nowhere") => {
                End::Failed(1146, "42S02", "db: Table 'nowhere' doesn't exist")
            }
            "SELECT" if plain.contains("SLEEP") => {
                self.touch();
                End::Sleeps(around.now.after(LONG), None)
            }
            "SELECT" => {
                self.touch();
                End::Rows(if plain.contains("big") {
                    2000
                } else {
                    1 + about % 3
                })
            }
            _ => {
                let text = format!("{} can't run {sql:?}", self.name);
                around.witness.violation(text);
                End::Failed(1064, "42000", "db: You have an error in your SQL syntax")
            }
        }
    }

    /// What is asked of the statement before.
    fn diagnose(&self, sql: &str) -> Option<End> {
        let failed = self.failure.as_ref();
        match sql {
            "SHOW WARNINGS" => {
                let row = failed.map(|(code, text)| {
                    let texts = ["Error", code, text];
                    texts.map(Into::into).to_vec()
                });
                Some(End::Table(&["Level", "Code", "Message"], row))
            }
            "SELECT @@warning_count, @@error_count" => {
                let count = u8::from(failed.is_some()).to_string();
                let row = vec![count.clone(), count];
                Some(End::Table(&["@@warning_count", "@@error_count"], Some(row)))
            }
            _ => None,
        }
    }

    /// With autocommit off, a statement on tables begins a transaction.
    fn touch(&mut self) {
        if !self.autocommit {
            self.open.get_or_insert(b'I');
        }
    }

    /// It commits one token, sleeps, and commits the other.
    fn call(&mut self, sql: &str, around: &mut Around<'_>) -> End {
        let mut tokens = tokens_in(sql);
        self.writes.extend(tokens.next());
        self.commit(around.witness);
        let until = around.now.after(LONG);
        End::Sleeps(until, tokens.next())
    }

    fn set(&mut self, sql: &str, around: &mut Around<'_>) -> End {
        if sql == INIT_QUERY {
            self.initialised = true;
        }
        let assignments = sql.trim_start_matches("SET ").split(", ");
        for assignment in assignments {
            let Some((name, value)) = assignment.split_once('=') else {
                let text = format!("{} can't set {sql:?}", self.name);
                around.witness.violation(text);
                continue;
            };
            let name = name.trim().trim_start_matches("SESSION ");
            let name = name.trim_start_matches("@@session.");
            self.assign(name, value.trim(), around);
        }
        DONE
    }

    fn assign(&mut self, name: &str, value: &str, around: &mut Around<'_>) {
        let quoted = value.trim_matches('\'');
        let default = DEFAULTS.iter().find(|(known, _)| *known == name);
        match (name, default) {
            _ if name.starts_with("session_track_") => self.tracks = true,
            ("autocommit", _) => {
                let on = matches!(value, "1" | "ON" | "DEFAULT" | "@@global.autocommit");
                if on && !self.autocommit {
                    self.commit(around.witness);
                }
                self.autocommit = on;
                self.told_variable(name, if on { "ON" } else { "OFF" });
            }
            ("last_insert_id", _) => {
                if value != "LAST_INSERT_ID()" {
                    self.inserted = value.parse().unwrap_or(u64::MAX);
                }
                let value = self.inserted.to_string();
                self.told_variable(name, &value);
            }
            ("@a" | "@`a`", _) => {
                self.variable = if value == "NULL" { "-" } else { quoted }.into();
                self.changed();
            }
            (_, Some((_, default))) => {
                let value = match value {
                    // A number is that of a collation.
                    "DEFAULT" | "45" => *default,
                    _ if value.starts_with("@@global.") => *default,
                    _ if value.starts_with("@@") => self.value(name),
                    _ => quoted,
                };
                let value = value.to_owned();
                self.variables.insert(name.into(), value.clone());
                self.told_variable(name, &value);
            }
            _ => {
                let text = format!("{} has no variable {name:?}", self.name);
                around.witness.violation(text);
            }
        }
    }

    fn value(&self, name: &str) -> &str {
        let default = DEFAULTS.iter().find(|(known, _)| *known == name);
        let default = default.map_or("", |(_, value)| value);
        self.variables.get(name).map_or(default, String::as_str)
    }

    /// What its rows say of its settings.
    pub(super) fn settings(&self) -> String {
        let names = ["time_zone", "wait_timeout"];
        names.map(|name| self.value(name)).join("/")
    }

    /// All is as after a log-in, but for the database; nothing is reported of it.
    pub(super) fn reset(&mut self) {
        self.roll_back();
        self.autocommit = true;
        self.variables.clear();
        self.variable = "-".into();
        self.inserted = 0;
        self.prepared.clear();
        self.initialised = false;
        self.tracks = false;
        self.changes.clear();
        self.told_transaction = reports::NO_TRANSACTION;
    }
}
