//! What follows a server's response to one command, packet by packet.
//!
//! | the command | its answer |
//! |---|---|
//! | PING, INIT_DB, RESET_CONNECTION, STMT_RESET, SET_OPTION, PROCESS_KILL, … | one OK, EOF or ERR |
//! | QUERY, STMT_EXECUTE, PROCESS_INFO | results, one after the other as long as MORE_RESULTS is said; each is an OK, or columns and rows, or asks for a file of the client's and is an OK then; an ERR ends all of them |
//! | STMT_PREPARE | its own OK, the parameters, the columns |
//! | STMT_FETCH, FIELD_LIST | rows or columns up to their end |
//! | STATISTICS | one packet of text |
//! | STMT_SEND_LONG_DATA, STMT_CLOSE, QUIT | nothing: who sends them expects no [`Reply`] |
//!
//! Without DEPRECATE_EOF an EOF stands behind columns, and ends rows; with it nothing does the one, and an OK that
//! begins like an EOF the other. A cursor's result has no rows, and so only one end. Rows, columns and texts are
//! looked at by their first byte and go by; what says how things stand (OK, EOF, ERR) is read whole.
//!
//! A packet with another number than is its turn, or that can't stand there, is [`Look::OutOfStep`].

#[cfg(test)]
mod tests;

use crate::message::capability::{Capabilities, DEPRECATE_EOF};
use crate::message::frame::{self, Peek, FULL, HEADER};
use crate::message::ok::Ok;
use crate::message::result_set::{self, Head};
use crate::message::{command, eof, error, ok, prepared, status};

/// The longest OK, EOF or ERR, and the longest name of a file: it is read whole. Servers' are of some hundred
/// bytes; what a session has set may make an OK longer.
const LONGEST: usize = 1 << 20;
/// A payload that begins like an EOF and is no shorter is a row whose first value is long.
const SHORTEST_LONG_ROW: usize = 9;

/// The shape of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shape {
    /// OK, EOF or ERR.
    Plain,
    /// Results.
    Results,
    /// A prepared statement.
    Prepared,
    /// Rows, or columns, without a head.
    Rows,
    /// A text.
    Text,
}

impl Shape {
    /// That of a command's answer; `None`: nothing answers it, or nobody knows it.
    pub(crate) fn of(command: u8) -> Option<Self> {
        Some(match command {
            command::QUERY | command::STMT_EXECUTE | command::PROCESS_INFO => Self::Results,
            command::STMT_PREPARE => Self::Prepared,
            command::STMT_FETCH | command::FIELD_LIST => Self::Rows,
            command::STATISTICS => Self::Text,
            command::PING | command::INIT_DB | command::RESET_CONNECTION => Self::Plain,
            command::STMT_RESET | command::SET_OPTION | command::REFRESH => Self::Plain,
            command::PROCESS_KILL => Self::Plain,
            _ => return None,
        })
    }
}

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// The first packet of the answer, or of a further result.
    Head,
    /// So many column definitions.
    Columns { left: u16, then: Then },
    /// The EOF behind them.
    EndOfColumns(Then),
    /// Rows, or their end. `more`: another result follows, whatever their end says.
    Rows { more: bool },
    /// The client's file; nothing of the server's.
    File,
    /// Nothing.
    Done,
}

/// What follows column definitions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Then {
    Rows,
    /// Those of a prepared statement's columns, behind its parameters.
    Columns(u16),
    Nothing,
}

/// What a packet is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Look<'a> {
    /// More of it must be there. Nothing was taken note of.
    NeedMore,
    /// A part of the answer, `total` bytes long with its header, that says nothing by itself; it may not all be
    /// there. `last`: the answer ends with it, as that of a statement which is prepared may.
    Part { total: usize, last: bool },
    /// It says how things stand; it is all there. `last`: the answer ends with it.
    Said {
        total: usize,
        said: Said<'a>,
        last: bool,
    },
    /// It asks for a file, which the client sends from that number on ([`Reply::had_file`]).
    File { total: usize, next: u8 },
    /// The server is out of step.
    OutOfStep,
}

/// What the server says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Said<'a> {
    /// An OK, and its first byte.
    Ok(Ok<'a>, u8),
    Eof(eof::Eof),
    Error(error::Report<'a>),
    /// A statement is prepared.
    Prepared(prepared::Prepared),
    /// A text ends the answer.
    Text,
}

/// How far an answer has come.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    shape: Shape,
    state: State,
    agreed: Capabilities,
    /// The number of the next packet.
    next: u8,
    /// That packet goes on with the payload of the one before.
    continues: bool,
}

impl Reply {
    /// To a command whose last packet had the number before `next`.
    pub(crate) fn new(shape: Shape, agreed: Capabilities, next: u8) -> Self {
        Self {
            shape,
            state: match shape {
                Shape::Rows => State::Rows { more: false },
                _ => State::Head,
            },
            agreed,
            next,
            continues: false,
        }
    }

    /// The number of the packet that comes next: that of an error which ends the answer in the server's place.
    pub(crate) fn next(&self) -> u8 {
        self.next
    }

    /// The packet of that number isn't passed on: what ends the answer in its place has its number.
    pub(crate) fn withheld(&mut self, number: u8) {
        self.next = number;
    }

    /// The client has sent its file, and the packet behind has that number.
    pub(crate) fn had_file(&mut self, next: u8) {
        if self.state == State::File {
            self.state = State::Head;
            self.next = next;
        }
    }

    /// Looks at the packet at the start of `rest`. Whatever is answered but `NeedMore`, the next look is at what
    /// stands behind it.
    pub(crate) fn look<'a>(&mut self, rest: &'a [u8]) -> Look<'a> {
        let Peek::Packet {
            sequence,
            total,
            continues,
        } = frame::peek(rest)
        else {
            return Look::NeedMore;
        };
        let over = self.state == State::Done && !self.continues;
        if sequence != self.next || over || self.state == State::File {
            return Look::OutOfStep;
        }
        let mut look = match self.continues {
            true => self.part(total),
            false => self.payload(frame::body(rest, total), total),
        };
        match &mut look {
            Look::NeedMore | Look::OutOfStep => return look,
            Look::Part { last, .. } => {
                self.continues = continues;
                *last &= !continues;
            }
            Look::Said { .. } | Look::File { .. } => {}
        }
        self.next = sequence.wrapping_add(1);
        look
    }

    /// The first packet of a payload: `body` is what of it is there.
    fn payload<'a>(&mut self, body: &'a [u8], total: usize) -> Look<'a> {
        let length = total - HEADER;
        // The one payload that may be empty is no answer.
        let Some(first) = body.first().copied() else {
            return match length {
                0 => Look::OutOfStep,
                _ => Look::NeedMore,
            };
        };
        if self.goes_by(first, length) {
            self.count();
            return self.part(total);
        }
        if length > LONGEST {
            return Look::OutOfStep;
        }
        if body.len() < length {
            return Look::NeedMore;
        }
        self.whole(body, total).unwrap_or(Look::OutOfStep)
    }

    fn part<'a>(&self, total: usize) -> Look<'a> {
        let last = self.state == State::Done;
        Look::Part { total, last }
    }

    /// Whether a payload is a column or a row: its first byte tells.
    fn goes_by(&self, first: u8, length: usize) -> bool {
        match self.state {
            State::Columns { .. } => !matches!(first, error::TAG | eof::TAG),
            State::Rows { .. } if first == eof::TAG => match self.deprecates_eof() {
                true => length >= FULL,
                false => length >= SHORTEST_LONG_ROW,
            },
            State::Rows { .. } => first != error::TAG,
            _ => false,
        }
    }

    /// A column or a row goes by.
    fn count(&mut self) {
        if let State::Columns { left, then } = self.state {
            self.state = match left {
                2.. => State::Columns {
                    left: left - 1,
                    then,
                },
                _ if self.deprecates_eof() => self.behind(then),
                _ => State::EndOfColumns(then),
            };
        }
    }

    fn deprecates_eof(&self) -> bool {
        self.agreed.has(DEPRECATE_EOF)
    }

    /// What comes when columns have ended.
    fn behind(&self, then: Then) -> State {
        match then {
            Then::Rows => State::Rows { more: false },
            Then::Columns(count) => columns(count, Then::Nothing),
            Then::Nothing => State::Done,
        }
    }

    /// A payload that is there whole; `None`: it can't stand here.
    fn whole<'a>(&mut self, body: &'a [u8], total: usize) -> Option<Look<'a>> {
        if self.shape == Shape::Text && body.first() != Some(&error::TAG) {
            return Some(self.says(Said::Text, total));
        }
        if body.first() == Some(&error::TAG) {
            let report = error::parse(body, self.agreed)?;
            return Some(self.says(Said::Error(report), total));
        }
        match self.state {
            State::Head => self.head(body, total),
            State::EndOfColumns(then) => self.end_of_columns(then, body, total),
            State::Rows { more } => {
                let said = self.end(body)?;
                let more = more || self.shape == Shape::Results && has_more(&said);
                self.state = if more { State::Head } else { State::Done };
                Some(self.says_on(said, total))
            }
            State::Columns { .. } | State::File | State::Done => None,
        }
    }

    fn head<'a>(&mut self, body: &'a [u8], total: usize) -> Option<Look<'a>> {
        match self.shape {
            Shape::Plain => {
                let said = match body.first() {
                    Some(&ok::TAG) => Said::Ok(ok::parse(body, ok::TAG, self.agreed)?, ok::TAG),
                    _ => self.end(body)?,
                };
                Some(self.says(said, total))
            }
            Shape::Prepared => {
                let prepared = prepared::parse(body)?;
                let (parameters, count) = (prepared.parameters, prepared.columns);
                self.state = match parameters {
                    0 => columns(count, Then::Nothing),
                    _ => columns(parameters, Then::Columns(count)),
                };
                Some(self.says_on(Said::Prepared(prepared), total))
            }
            Shape::Results => match result_set::head(body)? {
                Head::Ok => {
                    let said = Said::Ok(ok::parse(body, ok::TAG, self.agreed)?, ok::TAG);
                    let more = has_more(&said);
                    self.state = if more { State::Head } else { State::Done };
                    Some(self.says_on(said, total))
                }
                Head::LocalInfile(_) => {
                    self.state = State::File;
                    let next = self.next.wrapping_add(1);
                    Some(Look::File { total, next })
                }
                Head::Columns(count) => {
                    self.state = columns(count, Then::Rows);
                    Some(self.part(total))
                }
                // An ERR was read before.
                Head::Error => None,
            },
            Shape::Rows | Shape::Text => None,
        }
    }

    fn end_of_columns<'a>(&mut self, then: Then, body: &[u8], total: usize) -> Option<Look<'a>> {
        let end = eof::parse(body)?;
        self.state = self.behind(then);
        if then == Then::Rows {
            let said = |flags| end.status & flags == flags;
            if said(status::CURSOR_EXISTS) {
                let more = said(status::MORE_RESULTS);
                self.state = if more { State::Head } else { State::Done };
            } else {
                // MySQL says of a CALL's OUT parameters only here that more follows.
                let more = said(status::PS_OUT_PARAMS | status::MORE_RESULTS);
                self.state = State::Rows { more };
            }
        }
        Some(self.says_on(Said::Eof(end), total))
    }

    /// What ends rows.
    fn end<'a>(&self, body: &'a [u8]) -> Option<Said<'a>> {
        if self.deprecates_eof() {
            let end = ok::parse(body, ok::END_OF_ROWS, self.agreed)?;
            return Some(Said::Ok(end, ok::END_OF_ROWS));
        }
        eof::parse(body).map(Said::Eof)
    }

    /// The answer ends with that.
    fn says<'a>(&mut self, said: Said<'a>, total: usize) -> Look<'a> {
        self.state = State::Done;
        self.says_on(said, total)
    }

    fn says_on<'a>(&self, said: Said<'a>, total: usize) -> Look<'a> {
        let last = self.state == State::Done;
        Look::Said { total, said, last }
    }
}

fn columns(left: u16, then: Then) -> State {
    match (left, then) {
        (0, Then::Columns(count)) => columns(count, Then::Nothing),
        (0, _) => State::Done,
        _ => State::Columns { left, then },
    }
}

fn has_more(said: &Said<'_>) -> bool {
    let flags = match said {
        Said::Ok(ok, _) => ok.status,
        Said::Eof(end) => end.status,
        Said::Error(_) | Said::Prepared(_) | Said::Text => 0,
    };
    flags & status::MORE_RESULTS != 0
}
