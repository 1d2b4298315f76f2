//! How the client's bytes go on to the server: packet by packet, with another head where a command names a statement.

use dbproxy_engine::{Leg, Payload, Step, Steps};

use crate::link::{Link, Of, Sending, Sent};
use crate::message::frame::{self, Peek, HEADER};
use crate::reply::Shape;

use super::forward::Rewritten;
use super::Session;

/// How far the client's input is forwarded.
pub(super) struct Run<'a> {
    pub input: &'a [u8],
    /// What was looked at, and from where on it is to be sent.
    pub at: usize,
    pub start: usize,
}

impl Run<'_> {
    pub(super) fn flush(&mut self, out: &mut Steps) {
        if self.at > self.start {
            let range = self.start..self.at;
            out.push(Step::Send(Leg::Server, Payload::Range(range)));
        }
        self.start = self.at;
    }

    pub(super) fn drop(&mut self, bytes: usize, out: &mut Steps) {
        self.flush(out);
        self.at += bytes;
        self.start = self.at;
    }
}

impl Session {
    /// A command goes on with another head.
    pub(super) fn rewrite(
        &mut self,
        link: &mut Link,
        kind: u8,
        rewritten: Rewritten,
        run: &mut Run<'_>,
        out: &mut Steps,
    ) {
        let rest = run.input.get(run.at..).unwrap_or_default();
        let judged = (rewritten.judged, rewritten.number);
        self.book(link, kind, Shape::of(kind), judged);
        self.begins(link, rest, 0, Sent::Command);
        if let Some(sending) = &mut link.sending {
            sending.remaining = sending.remaining.saturating_sub(rewritten.skip);
        }
        out.push(Step::Send(Leg::Server, Payload::Bytes(rewritten.head)));
        run.drop(rewritten.skip, out);
    }

    /// Goes on with a packet that was begun, and those that its payload goes on in.
    pub(super) fn send_on(
        &mut self,
        link: &mut Link,
        mut sending: Sending,
        rest: &[u8],
        run: &mut Run<'_>,
        out: &mut Steps,
    ) -> bool {
        if sending.remaining > 0 {
            let some = sending.remaining.min(rest.len());
            sending.remaining -= some;
            run.at += some;
            link.sending = Some(sending);
            return some > 0;
        }
        if sending.continues {
            return match frame::peek(rest) {
                Peek::NeedMore => false,
                Peek::Packet { sequence, .. } if sequence != sending.next => {
                    self.violation(None, out);
                    false
                }
                Peek::Packet { .. } => {
                    self.begins(link, rest, sending.next, sending.what);
                    true
                }
            };
        }
        link.sending = None;
        match sending.what {
            Sent::Command => {
                if let Some(owed) = link.owed.back_mut() {
                    if matches!(owed.of, Of::Client(_)) {
                        owed.first = sending.next;
                    }
                }
            }
            Sent::File { end: false } => link.file = Some(sending.next),
            Sent::File { end: true } => {
                link.file = None;
                if let Some(reply) = &mut link.reply {
                    reply.had_file(sending.next);
                }
            }
        }
        true
    }

    /// The next packet of the client's file; one without a byte ends it.
    pub(super) fn file(
        &mut self,
        link: &mut Link,
        number: u8,
        rest: &[u8],
        out: &mut Steps,
    ) -> bool {
        match frame::peek(rest) {
            Peek::NeedMore => false,
            Peek::Packet { sequence, .. } if sequence != number => {
                self.violation(None, out);
                false
            }
            Peek::Packet { total, .. } => {
                let end = total == HEADER;
                self.begins(link, rest, number, Sent::File { end });
                true
            }
        }
    }

    /// The packet at the start of `rest` is under way.
    pub(super) fn begins(&mut self, link: &mut Link, rest: &[u8], number: u8, what: Sent) {
        if let Peek::Packet {
            total, continues, ..
        } = frame::peek(rest)
        {
            self.fresh = false;
            link.sending = Some(Sending {
                remaining: total,
                continues,
                next: number.wrapping_add(1),
                what,
            });
        }
    }
}
