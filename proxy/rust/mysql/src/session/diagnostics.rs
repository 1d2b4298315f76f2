//! What the statement before has left for its client to ask for: its warnings and errors, how many rows it changed.
//!
//! As long as the client holds the backend that ran it, that one is asked. When it is let go, what it has to tell is
//! asked for and kept here, up to a bound, until the next statement takes its place. Where it isn't known any more,
//! the client is told so.

use std::ops::Range;
use std::sync::Arc;

use dbproxy_engine::{Reader, Steps};

use crate::link::{Link, Ours, Settings, LASTING};
use crate::message::frame::{self, Peek};
use crate::message::{command, lenenc, ok, status};
use crate::reply::Said;
use crate::statement::{After, Shown, Value};
use crate::texts::Fault;

use super::answers::{Answer, Teller};
use super::judge::{Judged, Own};
use super::{say, tell, texts, Session, ANSWER};

/// Tells of the warnings and errors, and how many there were.
pub(super) const WARNINGS: &str = "SHOW WARNINGS";
pub(super) const COUNTS: &str = "SELECT @@warning_count, @@error_count";
/// The most that is kept of one client's.
const LONGEST: usize = 16 * 1024;
/// What stands in front of rows: how many columns there are, and so many.
const COLUMNS: usize = 3;
/// What character set texts are in that aren't ASCII, where they are letters of ASCII.
const WIDE: [&str; 4] = ["ucs2", "utf16", "utf16le", "utf32"];

/// Warnings and errors.
#[derive(Debug)]
enum List {
    /// There are none.
    Empty,
    /// The backend at hand has them.
    Here,
    /// Another one had.
    Copied(Box<Record>),
    /// Nobody has them.
    Unknown,
}

/// What a server said of them.
#[derive(Debug)]
struct Record {
    /// Its packets, up to where rows end.
    packets: Vec<u8>,
    /// How many warnings and errors there were, and how many errors.
    counts: (u64, u64),
    /// In which character set.
    settings: Arc<Settings>,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Diagnostics {
    list: List,
    /// What ROW_COUNT() is.
    rows: Option<i64>,
    /// The backend at hand ran the statement before, and nothing since; and it has the list if it isn't copied.
    ran: bool,
    listed: bool,
    /// It ran the last SELECT, whatever else since.
    found: bool,
    /// The answer that is being read.
    heard: Vec<u8>,
    packets: Vec<u8>,
}

impl Default for Diagnostics {
    fn default() -> Self {
        Self {
            list: List::Empty,
            rows: Some(0),
            ran: false,
            listed: false,
            found: false,
            heard: Vec::new(),
            packets: Vec::new(),
        }
    }
}

impl Diagnostics {
    /// A server says what became of a command.
    pub(super) fn said(&mut self, judged: &Judged, kind: u8, said: &Said<'_>, mariadb: bool) {
        let (warnings, rows) = match said {
            Said::Ok(ok, ok::TAG) => (ok.warnings, i64::try_from(ok.affected).ok()),
            Said::Ok(ok, _) => (ok.warnings, Some(-1)),
            Said::Eof(end) => (end.warnings, Some(-1)),
            Said::Error(_) => (1, Some(-1)),
            Said::Prepared(_) | Said::Text => (0, None),
        };
        let counts = matches!(
            kind,
            command::QUERY
                | command::STMT_EXECUTE
                | command::INIT_DB
                | command::PING
                | command::RESET_CONNECTION
        );
        self.rows = rows.filter(|_| counts);
        self.ran = true;
        let has_rows = rows == Some(-1) && !matches!(said, Said::Error(_));
        self.found |= judged.selects && has_rows;
        self.listed |= warnings > 0 || judged.after != After::Kept;
        let before = std::mem::replace(&mut self.list, List::Unknown);
        self.list = match (judged.after, before) {
            _ if warnings > 0 => List::Here,
            (After::Cleared, _) => List::Empty,
            (After::Unsure, List::Copied(_)) => List::Unknown,
            (After::Any, List::Copied(_) | List::Unknown) if mariadb => List::Unknown,
            (After::Any, _) => List::Here,
            (After::Kept | After::Unsure, before) => before,
        };
    }

    /// The proxy has answered in the server's place: a statement without a table, which had no warning.
    pub(super) fn selected(&mut self, mariadb: bool) {
        self.rows = Some(-1);
        self.is_overwritten();
        if !mariadb {
            self.list = List::Empty;
        }
    }

    /// The same of a command that leaves warnings alone.
    pub(super) fn did_nothing(&mut self) {
        self.rows = Some(0);
    }

    /// Something else runs on the backend at hand.
    pub(super) fn is_overwritten(&mut self) {
        self.ran = false;
        self.listed = false;
        self.found = false;
    }

    /// Another backend is at hand.
    pub(super) fn moves(&mut self) {
        self.is_overwritten();
        if self.is_only_here() {
            self.list = List::Unknown;
        }
    }

    /// Nothing is known any more.
    pub(super) fn lose(&mut self) {
        self.is_overwritten();
        self.list = List::Unknown;
        self.rows = None;
    }

    /// The backend at hand tells what that asks for.
    pub(super) fn is_at_hand(&self, judged: &Judged) -> bool {
        let listed = self.listed && matches!(self.list, List::Here | List::Empty);
        (!judged.asks_rows || self.ran)
            && (!judged.asks_found || self.found)
            && (!judged.asks_list || listed)
    }

    /// There is something that only the backend at hand can tell.
    pub(super) fn is_only_here(&self) -> bool {
        matches!(self.list, List::Here)
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self.list, List::Empty)
    }

    /// Some bytes of the answer to what the proxy asks of it.
    pub(super) fn hears(&mut self, bytes: &[u8]) {
        // One byte more tells that it is too much.
        let room = (LONGEST + 1).saturating_sub(self.heard.len());
        let some = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        self.heard.extend_from_slice(some);
    }

    /// That answer is over.
    pub(super) fn heard(&mut self, why: Ours, settings: &Arc<Settings>) {
        let heard = std::mem::take(&mut self.heard);
        match why {
            Ours::Warnings => self.packets = heard,
            Ours::Counts => {
                let packets = std::mem::take(&mut self.packets);
                if self.is_only_here() {
                    self.list = copied(packets, &heard, settings).unwrap_or(List::Unknown);
                }
            }
            _ => {}
        }
    }

    /// What a server would answer.
    pub(super) fn answer(&mut self, own: Own, name: &[u8], teller: &Teller<'_>) -> Option<Vec<u8>> {
        let number = matches!(own, Own::Value(Value::ConnectionId, _));
        if is_wide(teller.settings) && !number {
            return None;
        }
        let bytes = match own {
            Own::Value(Value::ConnectionId, _) => teller.connection_id(name),
            Own::Value(Value::RowCount, _) => teller.row_count(name, self.rows?),
            Own::Value(Value::WarningCount, _) => teller.count(name, self.counts()?.0),
            Own::Value(Value::ErrorCount, _) => teller.count(name, self.counts()?.1),
            Own::List(Shown::CountOfWarnings) => {
                teller.count(b"@@session.warning_count", self.counts()?.0)
            }
            Own::List(Shown::CountOfErrors) => {
                teller.count(b"@@session.error_count", self.counts()?.1)
            }
            Own::List(Shown::Warnings) => self.copy(teller)?.told(teller, false),
            Own::List(Shown::Errors) => self.copy(teller)?.told(teller, true),
            Own::List(Shown::Part) => return None,
        };
        match own {
            Own::Value(..) => self.selected(teller.mariadb),
            Own::List(_) => {
                self.rows = Some(-1);
                self.ran = false;
            }
        }
        Some(bytes)
    }

    fn counts(&self) -> Option<(u64, u64)> {
        match &self.list {
            List::Empty => Some((0, 0)),
            List::Copied(copy) => Some(copy.counts),
            List::Here | List::Unknown => None,
        }
    }

    fn copy(&self, teller: &Teller<'_>) -> Option<&Record> {
        let List::Copied(copy) = &self.list else {
            return None;
        };
        let name = "character_set_results";
        (copy.settings.value(name) == teller.settings.value(name)).then_some(copy)
    }
}

/// Whether texts aren't told in letters of ASCII.
pub(super) fn is_wide(settings: &Settings) -> bool {
    let charset = settings.value("character_set_results");
    charset.is_some_and(|name| WIDE.contains(&name))
}

impl Record {
    /// The answer to SHOW WARNINGS or SHOW ERRORS.
    fn told(&self, teller: &Teller<'_>, errors: bool) -> Vec<u8> {
        let mut answer = Answer::default();
        for (number, range) in packets(&self.packets).into_iter().enumerate() {
            let body = self.packets.get(range).unwrap_or_default();
            if number > COLUMNS && errors && !is_error(body) {
                continue;
            }
            answer.payload(|out| out.extend_from_slice(body));
            if number == COLUMNS {
                answer.ends_columns(teller);
            }
        }
        answer.ends(teller)
    }
}

/// The list, of the answers to both questions; `None`: they are too long, or other than they should be.
fn copied(warnings: Vec<u8>, counts: &[u8], settings: &Arc<Settings>) -> Option<List> {
    if warnings.len() > LONGEST {
        return None;
    }
    let row = packets(counts).pop()?;
    let mut row = Reader::new(counts.get(row)?);
    let mut number = || -> Option<u64> {
        let text = lenenc::string(&mut row)?;
        std::str::from_utf8(text).ok()?.parse().ok()
    };
    let counts = (number()?, number()?);
    let first = packets(&warnings).into_iter().next()?;
    let whole = warnings.get(first) == Some(&[COLUMNS as u8]);
    whole.then(|| {
        List::Copied(Box::new(Record {
            packets: warnings,
            counts,
            settings: Arc::clone(settings),
        }))
    })
}

/// Where the payloads of packets are.
fn packets(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut at = 0;
    let mut found = Vec::new();
    while let Peek::Packet { total, .. } = frame::peek(bytes.get(at..).unwrap_or_default()) {
        if at + total > bytes.len() {
            break;
        }
        found.push(at + frame::HEADER..at + total);
        at += total;
    }
    found
}

/// Whether a row of SHOW WARNINGS is that of an error.
fn is_error(row: &[u8]) -> bool {
    let mut row = Reader::new(row);
    lenenc::string(&mut row) == Some(b"Error")
}

impl Session {
    /// Answers what the proxy knows.
    pub(super) fn tells_itself(
        &mut self,
        judged: &Judged,
        body: &[u8],
        link: Option<&Link>,
        out: &mut Steps,
    ) -> bool {
        let Some(own) = judged.own else {
            return false;
        };
        let name = match own {
            Own::Value(_, written) => {
                let range = written.from as usize..written.to as usize;
                self.text(body).get(range).unwrap_or_default()
            }
            Own::List(_) => b"",
        };
        let open = status::IN_TRANS | status::IN_TRANS_READONLY;
        let teller = Teller {
            id: self.id,
            agreed: self.agreed,
            status: match link {
                Some(link) => link.status & (LASTING | open),
                None => self.status & LASTING,
            },
            mariadb: self.dialect.is_mariadb(),
            settings: &self.settings,
        };
        let answer = self.diagnostics.answer(own, name, &teller);
        let told = answer.is_some();
        answer.into_iter().for_each(|bytes| tell(bytes, out));
        told
    }

    /// It is asked for what nobody knows any more.
    pub(super) fn refuses_to_tell(&mut self, out: &mut Steps) {
        self.keeps = true;
        self.says(texts::left_elsewhere(), out);
    }

    /// Nobody knows any more what LAST_INSERT_ID() is for it; answers whether it was told so.
    pub(super) fn refuses_id(&mut self, judged: &Judged, out: &mut Steps) -> bool {
        let refuses = self.id_lost && judged.names_id;
        if refuses {
            self.says(texts::id_lost(), out);
        }
        refuses
    }

    /// An error of the proxy's own.
    pub(super) fn says(&mut self, error: Fault, out: &mut Steps) {
        self.diagnostics.lose();
        say(error, ANSWER, out);
    }
}
