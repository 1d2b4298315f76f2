//! A cancel: a connection of its own, logged in as the user whose statement is to end, which says KILL QUERY.
//!
//! The server has marked the statement when it answers that: a mark on a connection that runs nothing any
//! more is none for its next statement.

use dbproxy_engine::{
    BackendLogin, BackendProgress, CancelFailure, CancelProgress, Canceller, TlsFacts,
};

use crate::backend_login::{Connecting, Ready};
use crate::credential::{BackendAsk, Credential};
use crate::link::Link;
use crate::message::command;
use crate::message::frame::{self, Gathered};

/// The longest answer to KILL: an error with its text.
const LONGEST: usize = 0x1_0000;

/// One cancel.
#[derive(Debug)]
pub struct Cancelling {
    /// The connection whose statement is to end.
    thread_id: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    LoggingIn(Box<Connecting<Ready>>),
    /// KILL QUERY is sent.
    Sent,
}

impl Canceller for Cancelling {
    type Link = Link;
    type Credential = Credential;
    const ENDS_BY_CLOSING: bool = false;

    fn new(
        link: &Link,
        secured: bool,
        ask: Option<BackendAsk>,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> Option<Self> {
        let ask = BackendAsk {
            tls_wanted: secured,
            tls_required: secured,
            init_query: None,
            ..ask?
        };
        // The server speaks first.
        let login = Connecting::start(ask, random, &mut Vec::new());
        Some(Self {
            thread_id: link.thread_id(),
            state: State::LoggingIn(Box::new(login)),
        })
    }

    fn feed(
        &mut self,
        input: &[u8],
        tls: Option<&TlsFacts>,
        out: &mut Vec<u8>,
    ) -> (usize, CancelProgress) {
        let State::LoggingIn(login) = &mut self.state else {
            return answered(input);
        };
        let (used, progress) = login.feed(input, tls, out);
        let progress = match progress {
            BackendProgress::NeedMore | BackendProgress::Working => CancelProgress::NeedMore,
            BackendProgress::StartTls => CancelProgress::StartTls,
            BackendProgress::Failed(_) => CancelProgress::Failed(CancelFailure::LoginFailed),
            BackendProgress::Ready(_) => {
                let statement = format!("KILL QUERY {}", self.thread_id);
                frame::packets(out, 0, |out| {
                    out.push(command::QUERY);
                    out.extend_from_slice(statement.as_bytes());
                });
                self.state = State::Sent;
                CancelProgress::Sent
            }
        };
        (used, progress)
    }
}

/// What the server says to KILL. An error says that there is no such connection any more: that is as well.
fn answered(input: &[u8]) -> (usize, CancelProgress) {
    match frame::payload(input, 1, LONGEST) {
        Gathered::NeedMore => (0, CancelProgress::NeedMore),
        Gathered::Payload { total, .. } => (total, CancelProgress::Over),
        Gathered::TooLong | Gathered::OutOfOrder => {
            (0, CancelProgress::Failed(CancelFailure::Garbled))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(sequence: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = Vec::new();
        frame::packets(&mut packet, sequence, |out| out.extend_from_slice(payload));
        packet
    }

    #[test]
    fn a_cancel_is_over_when_the_server_has_answered_it_whatever_it_says() {
        let ok = said(1, &[0, 0, 0, 2, 0, 0, 0]);
        let unknown = said(1, b"\xff\x46\x04#HY000Unknown thread id: 7");
        for answer in [ok, unknown] {
            let (last, before) = answer.split_last().expect("bytes");
            assert_eq!(answered(before), (0, CancelProgress::NeedMore));
            let whole = [before, &[*last]].concat();
            assert_eq!(answered(&whole), (whole.len(), CancelProgress::Over));
        }
    }

    #[test]
    fn a_server_that_is_out_of_step_has_confirmed_nothing() {
        let garbled = CancelProgress::Failed(CancelFailure::Garbled);
        assert_eq!(answered(&said(0, b"\0")), (0, garbled));
    }
}
