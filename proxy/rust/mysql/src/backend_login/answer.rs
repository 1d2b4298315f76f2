//! The answer to a text of the proxy's own, up to its last result. Nobody wants its rows. An error, by which
//! it may end at any packet, is looked for before.

use crate::message::capability::{Capabilities, DEPRECATE_EOF};
use crate::message::result_set::{self, Head};
use crate::message::status::MORE_RESULTS;
use crate::message::{eof, ok};

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// The first packet of a result.
    Head,
    /// So many column definitions.
    Columns(u16),
    /// The EOF behind them.
    ColumnsEnd,
    /// A row, or what ends them.
    Rows,
}

/// What a payload was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Said<'a> {
    /// A part of it.
    Part,
    /// An OK or the end of rows.
    Over(ok::Ok<'a>),
}

impl Answer {
    /// Takes the next payload; `None` to what can't be there.
    pub(super) fn take<'a>(&mut self, payload: &'a [u8], agreed: Capabilities) -> Option<Said<'a>> {
        match *self {
            Self::Head => match result_set::head(payload)? {
                Head::Ok => self.over(ok::parse(payload, ok::TAG, agreed)?),
                // The proxy has no files for anybody.
                Head::LocalInfile(_) | Head::Error => None,
                Head::Columns(count) => {
                    *self = Self::Columns(count);
                    Some(Said::Part)
                }
            },
            Self::Columns(count) => {
                *self = match count.saturating_sub(1) {
                    0 if agreed.has(DEPRECATE_EOF) => Self::Rows,
                    0 => Self::ColumnsEnd,
                    left => Self::Columns(left),
                };
                Some(Said::Part)
            }
            Self::ColumnsEnd => {
                eof::parse(payload)?;
                *self = Self::Rows;
                Some(Said::Part)
            }
            Self::Rows => self.row(payload, agreed),
        }
    }

    /// A row begins like an end only where its first value has 16 MiB or more: nobody gathers such a one here.
    fn row<'a>(&mut self, payload: &'a [u8], agreed: Capabilities) -> Option<Said<'a>> {
        match *payload.first()? {
            ok::END_OF_ROWS if agreed.has(DEPRECATE_EOF) => {
                self.over(ok::parse(payload, ok::END_OF_ROWS, agreed)?)
            }
            eof::TAG => {
                let eof = eof::parse(payload)?;
                self.over(ok::Ok {
                    status: eof.status,
                    ..ok::Ok::default()
                })
            }
            _ => Some(Said::Part),
        }
    }

    fn over<'a>(&mut self, end: ok::Ok<'a>) -> Option<Said<'a>> {
        *self = Self::Head;
        Some(Said::Over(end))
    }
}

/// Whether another result follows.
pub(super) fn goes_on(end: &ok::Ok<'_>) -> bool {
    end.status & MORE_RESULTS != 0
}
