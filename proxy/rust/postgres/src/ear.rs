//! A backend that listens for clients and is lent to nobody: what it is asked, and what it says. It owes
//! nothing but the answers to what it was asked; anything else means that it is out of step.

use std::sync::Arc;

use dbproxy_engine::{Channels, Heard, KillReason, Reader};

use crate::backend_login::parameter;
use crate::expect::Injected;
use crate::link::{Leave, Link, Status};
use crate::message::{backend, body, error, peek, Peek, HEADER};

/// Takes away what a client has set, whatever that is: a timeout would end it, an encoding garble it.
const UNSET: &str = "RESET SESSION AUTHORIZATION;RESET ALL";

/// That said of each channel.
pub(crate) fn said(verb: &str, channels: &Channels) -> String {
    let names = channels.iter().map(|name| String::from_utf8_lossy(name));
    let each = names.map(|name| format!("{verb} \"{}\";", name.replace('"', "\"\"")));
    each.collect()
}

impl Link {
    /// See [`dbproxy_engine::Link::tune`].
    pub(crate) fn tuned(&mut self, out: &mut Vec<u8>) {
        self.left(Leave::Dirty);
        self.inject(Injected::Channels, UNSET, out);
    }

    /// See [`dbproxy_engine::Link::inquire`].
    pub(crate) fn inquired(&mut self, more: &Channels, less: &Channels, out: &mut Vec<u8>) {
        let sql = [said("LISTEN", more), said("UNLISTEN", less)].concat();
        self.inject(Injected::Channels, &sql, out);
    }

    /// See [`dbproxy_engine::Link::hear`].
    pub(crate) fn heard(
        &mut self,
        input: &[u8],
        out: &mut Vec<Heard>,
    ) -> Result<usize, KillReason> {
        let mut at = 0;
        loop {
            let rest = input.get(at..).unwrap_or_default();
            let total = match peek(rest, backend::longest_body) {
                Peek::Message { total, .. } if rest.len() >= total => total,
                Peek::Message { .. } | Peek::NeedMore => return Ok(at),
                Peek::Bad => return Err(KillReason::OutOfStep),
            };
            let message = rest.get(..total).unwrap_or_default();
            self.hears(message, body(rest, total), out)?;
            at += total;
        }
    }

    fn hears(
        &mut self,
        message: &[u8],
        body: &[u8],
        out: &mut Vec<Heard>,
    ) -> Result<(), KillReason> {
        match message.first().copied().unwrap_or_default() {
            backend::NOTIFICATION_RESPONSE => {
                let mut reader = Reader::new(body);
                let channel = reader.u32().and_then(|_pid| reader.cstr());
                let channel = channel.map_err(|_| KillReason::OutOfStep)?;
                let text = message.get(HEADER + 4..).unwrap_or_default();
                out.push(Heard::Said {
                    channel: channel.into(),
                    plain: text.is_ascii(),
                    message: message.into(),
                });
                Ok(())
            }
            backend::READY_FOR_QUERY => {
                let idle = body.first().copied().and_then(Status::of) == Some(Status::Idle);
                self.expected
                    .pop()
                    .filter(|_| idle)
                    .ok_or(KillReason::OutOfStep)?;
                out.push(Heard::Confirmed);
                Ok(())
            }
            backend::PARAMETER_STATUS => self.notes_report(body).ok_or(KillReason::OutOfStep),
            backend::NOTICE_RESPONSE => Ok(()),
            backend::COMMAND_COMPLETE | backend::EMPTY_QUERY_RESPONSE
                if !self.expected.is_empty() =>
            {
                Ok(())
            }
            backend::ERROR_RESPONSE if error::report(body).fatal => {
                self.closing = true;
                Err(KillReason::ServerClosed)
            }
            _ => Err(KillReason::OutOfStep),
        }
    }

    /// What it reports of itself is told to whoever has it next.
    fn notes_report(&mut self, body: &[u8]) -> Option<()> {
        let (name, value) = parameter(body)?;
        if name == "application_name" {
            return Some(());
        }
        Arc::make_mut(&mut self.params).set(name, value).ok()
    }
}
