//! How an answer is read, up to its last result. All results have rows, so that who doesn't know whether there
//! are EOFs on a leg sees it behind the columns.

use super::wire::{self, Done};

/// What comes next.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
enum Stage {
    #[default]
    Head,
    Columns(u8),
    /// Behind the last column: an EOF or the first row.
    ColumnsEnd,
    Rows,
    /// So many packets that say what a statement takes and gives.
    Definitions(u16),
}

/// What a payload was.
#[derive(Debug)]
pub enum Said {
    Part,
    Row(Vec<String>),
    /// The end of a result; `last`: and of the answer.
    Done {
        done: Done,
        last: bool,
    },
    /// The end of what a prepared statement is.
    Prepared(u32),
    Failed {
        code: u16,
        text: String,
    },
}

/// One answer after another.
#[derive(Default, Debug)]
pub struct Answer {
    stage: Stage,
    /// Whether there are EOFs, where that is known.
    keeps_eof: Option<bool>,
    prepared: u32,
}

impl Answer {
    pub fn of_who_speaks(agreed: u32) -> Self {
        Self {
            keeps_eof: Some(agreed & wire::DEPRECATE_EOF == 0),
            ..Self::default()
        }
    }

    /// Takes the next payload of the answer to a command of that kind.
    pub fn take(&mut self, command: u8, payload: &[u8]) -> Said {
        let first = payload.first().copied().unwrap_or_default();
        if first == wire::ERROR {
            self.stage = Stage::Head;
            let (code, text) = wire::error_fields(payload);
            return Said::Failed { code, text };
        }
        match self.stage {
            Stage::Head if self.keeps_eof.is_none() && wire::is_eof(payload) => {
                // Of the statement that was prepared before.
                Said::Part
            }
            Stage::Head if command == wire::STMT_PREPARE => self.prepares(payload),
            Stage::Head if first == wire::OK || first == wire::EOF => self.done(payload),
            Stage::Head => {
                self.stage = Stage::Columns(first);
                Said::Part
            }
            Stage::Columns(left) => {
                self.stage = match left {
                    0 | 1 => Stage::ColumnsEnd,
                    _ => Stage::Columns(left - 1),
                };
                Said::Part
            }
            Stage::ColumnsEnd if wire::is_eof(payload) => {
                self.stage = Stage::Rows;
                Said::Part
            }
            Stage::ColumnsEnd | Stage::Rows if first == wire::EOF => self.done(payload),
            Stage::ColumnsEnd | Stage::Rows => {
                self.stage = Stage::Rows;
                let binary = command == wire::STMT_EXECUTE;
                // Of so few columns which are NULL is told in a byte behind the first one.
                Said::Row(wire::values(&payload[if binary { 2 } else { 0 }..]))
            }
            Stage::Definitions(left) => {
                let counts = self.keeps_eof.is_some() || !wire::is_eof(payload);
                self.defined(left - u16::from(counts))
            }
        }
    }

    fn prepares(&mut self, payload: &[u8]) -> Said {
        let mut cursor = wire::Cursor(&payload[1..]);
        self.prepared = cursor.long();
        let (columns, parameters) = (cursor.short(), cursor.short());
        let lists = u16::from(columns > 0) + u16::from(parameters > 0);
        let ends = if self.keeps_eof == Some(true) {
            lists
        } else {
            0
        };
        self.defined(columns + parameters + ends)
    }

    fn defined(&mut self, left: u16) -> Said {
        if left > 0 {
            self.stage = Stage::Definitions(left);
            return Said::Part;
        }
        self.stage = Stage::Head;
        Said::Prepared(self.prepared)
    }

    fn done(&mut self, payload: &[u8]) -> Said {
        self.stage = Stage::Head;
        let done = match wire::is_eof(payload) {
            true => Done {
                warnings: wire::Cursor(&payload[1..]).short(),
                status: wire::Cursor(&payload[3..]).short(),
                ..Done::default()
            },
            false => Done::read(payload),
        };
        let last = done.status & wire::MORE_RESULTS == 0;
        Said::Done { done, last }
    }
}

/// What of an OK is the same on both legs.
pub fn essence(done: &Done) -> Vec<u8> {
    let Done {
        affected,
        insert_id,
        status,
        warnings,
        ..
    } = done;
    format!("done {affected} {insert_id} {status} {warnings}").into_bytes()
}
