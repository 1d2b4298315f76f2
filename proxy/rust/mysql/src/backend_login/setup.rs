//! What is done in a session before anybody gets it: what it is to report is set, the init query runs.

use std::sync::Arc;

use crate::manner::Manner;
use crate::message::capability::MULTI_STATEMENTS;
use crate::message::session_track::{self, Change};
use crate::message::{command, frame, ok, status};

use super::answer::{self, Answer, Said};
use super::{broken, Connecting, Fails, Next, State};

/// What a server is to tell of each session, so that the proxy need not guess. `*` is every variable. By the last one
/// it tells how it reads texts.
pub const SETUP: &str = "SET session_track_schema=ON, session_track_system_variables='*', \
    session_track_state_change=ON, session_track_transaction_info=STATE, sql_mode=@@sql_mode";
/// COM_SET_OPTION: one statement a query.
const MULTI_STATEMENTS_OFF: [u8; 2] = [1, 0];
/// The status flags that speak of a session, not of a statement; MariaDB's last one is ANSI_QUOTES.
const LASTING: u16 = status::AUTOCOMMIT | status::NO_BACKSLASH_ESCAPES | 0x8000;

impl<L> Connecting<L> {
    pub(super) fn logged_in(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Fails<Next> {
        self.end_of(Answer::Head, payload)?;
        self.query(SETUP, out);
        self.state = State::Setup;
        Ok(Next::More)
    }

    pub(super) fn initialise(&mut self, out: &mut Vec<u8>) -> Fails<Next> {
        let Some(sql) = self.ask.init_query.clone() else {
            return self.over();
        };
        self.query(&sql, out);
        self.state = State::Init(Answer::Head);
        Ok(Next::More)
    }

    pub(super) fn initialising(
        &mut self,
        mut answer: Answer,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Fails<Next> {
        let said = answer.take(payload, self.capabilities());
        match said.ok_or_else(|| broken("the init query has an answer that can't be followed"))? {
            Said::Part => {
                self.state = State::Init(answer);
                Ok(Next::More)
            }
            Said::Over(end) => {
                self.heard(&end)?;
                if answer::goes_on(&end) {
                    self.state = State::Init(Answer::Head);
                    return Ok(Next::More);
                }
                if end.status & status::IN_TRANS != 0 {
                    return Err(broken("the init query left a transaction open"));
                }
                self.forbid_several(out)
            }
        }
    }

    /// Several statements are the init query's alone where the clients don't send them.
    fn forbid_several(&mut self, out: &mut Vec<u8>) -> Fails<Next> {
        let wanted = Manner::of(&self.ask.identity).capabilities;
        if wanted.has(MULTI_STATEMENTS) {
            return self.over();
        }
        if let Some(ready) = &mut self.ready {
            ready.capabilities = ready.capabilities.without(MULTI_STATEMENTS);
        }
        self.sequence = frame::packets(out, 0, |out| {
            out.push(command::SET_OPTION);
            out.extend_from_slice(&MULTI_STATEMENTS_OFF);
        });
        self.state = State::Option;
        Ok(Next::More)
    }

    pub(super) fn over(&mut self) -> Fails<Next> {
        let ready = self.ready.take();
        ready
            .map(Next::Ready)
            .ok_or_else(|| broken("the log-in is over"))
    }

    fn query(&mut self, sql: &str, out: &mut Vec<u8>) {
        let agreed = self.capabilities();
        self.sequence = frame::packets(out, 0, |out| {
            command::write_query(sql.as_bytes(), agreed, out);
        });
    }

    /// The one OK that must be there.
    pub(super) fn end_of(&mut self, mut answer: Answer, payload: &[u8]) -> Fails {
        match answer.take(payload, self.capabilities()) {
            Some(Said::Over(end)) if !answer::goes_on(&end) => self.heard(&end),
            _ => Err(broken("an unexpected answer where an OK must be")),
        }
    }

    /// Takes in what an OK says of the session.
    fn heard(&mut self, end: &ok::Ok<'_>) -> Fails {
        let Some(ready) = &mut self.ready else {
            return Ok(());
        };
        let changes = session_track::parse(end.changes.unwrap_or_default());
        for change in changes.ok_or_else(|| broken("a broken report of what changed"))? {
            match change {
                Change::Schema(name) => {
                    ready.database = (!name.is_empty()).then(|| name.into());
                }
                Change::Variable { name, value } if name == b"sql_mode" => {
                    let mode = String::from_utf8_lossy(value);
                    Arc::make_mut(&mut ready.params).sql_mode = mode.into();
                }
                _ => {}
            }
        }
        Arc::make_mut(&mut ready.params).status = end.status & LASTING;
        Ok(())
    }
}
