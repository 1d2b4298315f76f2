//! A server's end of one connection: it answers as a server does, and holds what sessions hold.

use crate::message::capability::{Capabilities, DEPRECATE_EOF};
use crate::message::session_track::Change;
use crate::message::{column, command, eof, error, frame, lenenc, ok, result_set, status};

#[derive(Debug, Default)]
pub(super) struct Server {
    mariadb: bool,
    agreed: Capabilities,
    transaction: bool,
    manual: bool,
    zone: Option<String>,
    /// A user's lock, a temporary table, a locked table, a prepared statement.
    pub(super) holds: [bool; 4],
    number: u8,
}

impl Server {
    pub(super) fn new(mariadb: bool, agreed: Capabilities) -> Self {
        Self {
            mariadb,
            agreed,
            ..Self::default()
        }
    }

    pub(super) fn in_transaction(&self) -> bool {
        self.transaction
    }

    /// What a command, whose last packet had that number, is answered.
    pub(super) fn reply(&mut self, kind: u8, body: &[u8], number: u8) -> Vec<u8> {
        self.number = number.wrapping_add(1);
        let mut out = Vec::new();
        match kind {
            command::QUERY => self.query(&String::from_utf8_lossy(body), &mut out),
            command::PING | command::SET_OPTION => self.ok(&[], 0, &mut out),
            command::INIT_DB => self.ok(&[Change::Schema(body), Change::State(true)], 0, &mut out),
            command::RESET_CONNECTION => {
                *self = Self {
                    number: self.number,
                    ..Self::new(self.mariadb, self.agreed)
                };
                self.ok(&[], 0, &mut out);
            }
            command::STATISTICS => self.packet(b"Uptime: 1", &mut out),
            command::STMT_CLOSE | command::STMT_SEND_LONG_DATA | command::QUIT => {}
            _ => self.error(1047, &mut out),
        }
        out
    }

    fn query(&mut self, text: &str, out: &mut Vec<u8>) {
        let all: Vec<&str> = text.split(';').map(str::trim).collect();
        for (at, one) in all.iter().enumerate() {
            let more = if at + 1 < all.len() {
                status::MORE_RESULTS
            } else {
                0
            };
            if !self.statement(one, more, out) {
                return;
            }
        }
    }

    /// Whether it went well.
    fn statement(&mut self, text: &str, more: u16, out: &mut Vec<u8>) -> bool {
        let mut words = text.split_whitespace();
        let (first, second) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let [lock, table, tables, prepared] = &mut self.holds;
        match (first, second) {
            ("BEGIN", _) => self.transaction = true,
            ("COMMIT" | "ROLLBACK", _) => self.transaction = false,
            ("CREATE", "TEMPORARY") => *table = true,
            ("DROP", "TEMPORARY") => *table = false,
            ("LOCK", _) => *tables = true,
            ("UNLOCK", _) => *tables = false,
            ("PREPARE", _) => *prepared = true,
            ("DEALLOCATE", _) => *prepared = false,
            ("SET", _) => {
                self.set(text, more, out);
                return true;
            }
            ("SELECT", "nonsense") => {
                self.error(1054, out);
                return false;
            }
            ("SELECT" | "SHOW", _) => {
                *lock |= text.contains("GET_LOCK");
                *lock &= !text.contains("RELEASE_ALL_LOCKS");
                self.begins();
                self.rows(more, out);
                return true;
            }
            ("DO", _) => {}
            _ => self.begins(),
        }
        self.ok(&[], more, out);
        true
    }

    fn begins(&mut self) {
        self.transaction |= self.manual;
    }

    fn set(&mut self, text: &str, more: u16, out: &mut Vec<u8>) {
        let mut names = Vec::new();
        for part in text.trim_start_matches("SET ").split(',') {
            let Some((name, value)) = part.split_once('=') else {
                continue;
            };
            let value = value.trim().trim_matches('\'');
            match name.trim() {
                "autocommit" => {
                    self.manual = value == "0";
                    self.transaction &= self.manual;
                    names.push(("autocommit", if self.manual { "OFF" } else { "ON" }));
                }
                "time_zone" | "@@time_zone" | "SESSION time_zone" => {
                    let default = value.eq_ignore_ascii_case("DEFAULT");
                    self.zone = (!default).then(|| value.to_owned());
                    names.push(("time_zone", if default { "SYSTEM" } else { value }));
                }
                "last_insert_id" => {
                    let digits = value.chars().all(|one| one.is_ascii_digit());
                    names.push(("last_insert_id", if digits { value } else { "5" }));
                }
                _ => {}
            }
        }
        let changes = names.iter().map(|(name, value)| Change::Variable {
            name: name.as_bytes(),
            value: value.as_bytes(),
        });
        let changes: Vec<Change<'_>> = changes.chain([Change::State(true)]).collect();
        self.ok(&changes, more, out);
    }

    fn status(&self) -> u16 {
        let mut flags = if self.manual { 0 } else { status::AUTOCOMMIT };
        if self.transaction {
            flags |= status::IN_TRANS;
        }
        flags
    }

    fn packet(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        self.number = frame::packets(out, self.number, |out| out.extend_from_slice(payload));
    }

    fn ok(&mut self, changes: &[Change<'_>], more: u16, out: &mut Vec<u8>) {
        let mut written = Vec::new();
        changes.iter().for_each(|change| change.write(&mut written));
        let ok = ok::Ok {
            status: self.status() | more,
            changes: (!changes.is_empty()).then_some(&*written),
            ..ok::Ok::default()
        };
        let mut payload = Vec::new();
        ok.write(ok::TAG, self.agreed, &mut payload);
        self.packet(&payload, out);
    }

    fn error(&mut self, code: u16, out: &mut Vec<u8>) {
        let report = error::Report {
            code,
            state: Some(*b"HY000"),
            message: b"no",
        };
        let mut payload = Vec::new();
        report.write(&mut payload);
        self.packet(&payload, out);
    }

    fn rows(&mut self, more: u16, out: &mut Vec<u8>) {
        let mut payload = Vec::new();
        result_set::write(1, &mut payload);
        self.packet(&payload, out);
        let mut payload = Vec::new();
        column::Column::default().write(&mut payload);
        self.packet(&payload, out);
        let end = eof::Eof {
            warnings: 0,
            status: self.status() | more,
        };
        let mut plain = Vec::new();
        end.write(&mut plain);
        let deprecates = self.agreed.has(DEPRECATE_EOF);
        if !deprecates {
            self.packet(&plain, out);
        }
        let mut row = Vec::new();
        lenenc::put_string(&mut row, b"1");
        self.packet(&row, out);
        if !deprecates {
            return self.packet(&plain, out);
        }
        let ok = ok::Ok {
            status: end.status,
            ..ok::Ok::default()
        };
        let mut last = Vec::new();
        ok.write(ok::END_OF_ROWS, self.agreed, &mut last);
        self.packet(&last, out);
    }
}
