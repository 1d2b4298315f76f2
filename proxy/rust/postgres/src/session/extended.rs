//! The extended protocol's messages. The unnamed statement is the one thing here that outlives a
//! transaction without pinning: it is remembered, and parsed again on another backend when the
//! client uses it there (and only then the session pins).
//!
//! What becomes of it is booked when the server has answered. A client that uses it in another batch
//! than that which parses it is waited for until then: before, nobody knows which it has.

use std::sync::Arc;

use dbproxy_engine::{PinReason, Reader, Steps};

use crate::expect::{Expect, Statement};
use crate::link::{Leave, Link};
use crate::message::{build, frontend};
use crate::statement::{Acts, Class, Effects};

use super::forward::{commits, Run, Verdict};
use super::parameters;
use super::{Session, Touched};

/// A larger Parse is not remembered; the session pins instead.
const LONGEST_REMEMBERED: usize = 16 * 1024;
/// The same where so much waits to be answered.
const MOST_REMEMBERED: usize = 1024 * 1024;

impl Session {
    pub(super) fn parse(
        &mut self,
        link: &mut Link,
        body: &[u8],
        whole: bool,
        run: &mut Run<'_>,
        out: &mut Steps,
    ) -> Verdict {
        let mut reader = Reader::new(body);
        // One that is too long to be here whole has a name.
        let named = reader.cstr() != Ok(b"");
        let class = match reader.cstr() {
            Ok(text) => run.memory.classify(text, link.dialect()),
            Err(_) => Class::unknown(PinReason::StatementTooLarge),
        };
        if let Some(verdict) = self.judge(link, &class, run, out) {
            return verdict;
        }
        let mut unnamed = None;
        if !named {
            let room = link.expected.remembered() <= MOST_REMEMBERED;
            let kept = whole && body.len() <= LONGEST_REMEMBERED && room;
            if !kept {
                self.pin(PinReason::UnnamedStatement, link, out);
            }
            let statement = Arc::new(remembered(body, kept, &class));
            self.batch.unnamed = Touched::Parsed(Arc::clone(&statement));
            self.batch.used = false;
            unnamed = Some(statement);
        } else {
            self.pin(PinReason::NamedStatement, link, out);
            if class.acts.is_some() {
                self.loses_settings(link, out);
            }
        }
        let ours = false;
        link.expected.push(Expect::Parse { unnamed, ours });
        link.unsynced = true;
        Verdict::Forward
    }

    pub(super) fn bind(
        &mut self,
        link: &mut Link,
        body: &[u8],
        run: &mut Run<'_>,
        out: &mut Steps,
    ) -> Verdict {
        let names = frontend::names(body);
        // Of names that are too long to be here whole the second may be empty.
        if names.is_none_or(|(_portal, statement)| statement.is_empty()) {
            self.use_unnamed(link, run, out);
        }
        let (effects, acts) = match names {
            Some((_portal, b"")) => self.deeds_of_unnamed(),
            _ => (Effects::UNKNOWN, None),
        };
        self.bound(link, body, acts, out);
        self.portal_commits |= commits(&effects);
        link.expected.push(Expect::Bind { effects });
        link.unsynced = true;
        Verdict::Forward
    }

    pub(super) fn describe(
        &mut self,
        link: &mut Link,
        body: &[u8],
        run: &mut Run<'_>,
        out: &mut Steps,
    ) -> Verdict {
        let unnamed = frontend::named(body) == Some((b'S', b""));
        if unnamed && !matches!(self.batch.unnamed, Touched::Parsed(_)) {
            self.use_unnamed(link, run, out);
        }
        link.expected.push(Expect::Describe);
        link.unsynced = true;
        Verdict::Forward
    }

    /// The unnamed portal, bound in this batch, has its effects booked already.
    pub(super) fn execute(&mut self, link: &mut Link, body: &[u8]) -> Verdict {
        let unnamed = body.first() == Some(&0);
        let booked = self.batch.bound.is_some() && unnamed;
        self.batch.executed |= unnamed;
        let acts = self.batch.bound.clone().flatten().filter(|_| unnamed);
        let effects = if !booked && self.portal_commits {
            Effects::UNKNOWN
        } else {
            Effects::NONE
        };
        link.expected.push(Expect::Execute { effects, acts });
        link.unsynced = true;
        Verdict::Forward
    }

    pub(super) fn close_object(&mut self, link: &mut Link, body: &[u8]) -> Verdict {
        let (unnamed, ours) = (frontend::named(body) == Some((b'S', b"")), false);
        if unnamed {
            self.batch.unnamed = Touched::Closed;
        }
        link.expected.push(Expect::Close { unnamed, ours });
        link.unsynced = true;
        Verdict::Forward
    }

    /// Whether a message uses an unnamed statement of which isn't known yet what it is.
    pub(super) fn waits_for_unnamed(&self, link: &Link, tag: u8, body: &[u8]) -> bool {
        let uses = match tag {
            frontend::BIND | frontend::DESCRIBE if link.knows_unnamed() => false,
            frontend::BIND => binds_unnamed(body),
            frontend::DESCRIBE => frontend::named(body) == Some((b'S', b"")),
            _ => false,
        };
        uses && matches!(self.batch.unnamed, Touched::Not)
    }

    fn deeds_of_unnamed(&mut self) -> (Effects, Acts) {
        match (&self.batch.unnamed, &self.unnamed) {
            (Touched::Parsed(statement), _) | (Touched::Not, Some(statement)) => {
                self.pins.may_end(statement.ends);
                (statement.effects, statement.acts.clone())
            }
            _ => (Effects::UNKNOWN, None),
        }
    }

    /// A portal is bound, to a statement that does this to settings.
    fn bound(&mut self, link: &mut Link, body: &[u8], acts: Acts, out: &mut Steps) {
        let unnamed = frontend::names(body).is_some_and(|(portal, _)| portal.is_empty());
        let acts = match acts {
            Some(script) if unnamed => match parameters::fill(&script, body) {
                Some(script) => {
                    link.expects(&script);
                    Some(script)
                }
                None => {
                    self.loses_settings(link, out);
                    None
                }
            },
            Some(_) => {
                self.loses_settings(link, out);
                None
            }
            None => None,
        };
        if unnamed {
            self.batch.bound = Some(acts);
            self.batch.executed = false;
        }
    }

    /// What becomes of settings can't be followed.
    pub(super) fn loses_settings(&mut self, link: &mut Link, out: &mut Steps) {
        link.settings.lose();
        // A custom setting stays in the server process.
        link.left(Leave::Indelible);
        self.pin(PinReason::SessionSetting, link, out);
    }

    /// The client uses its unnamed statement: sees to it that the backend has it, or has none.
    fn use_unnamed(&mut self, link: &mut Link, run: &mut Run<'_>, out: &mut Steps) {
        match self.batch.unnamed {
            Touched::Parsed(_) => {
                self.batch.used = true;
                return;
            }
            Touched::Closed => return,
            Touched::Not => {}
        }
        let mut bytes = Vec::new();
        match (&link.unnamed, self.unnamed.clone()) {
            (_, Some(own)) if link.has_unnamed(&own) => {
                self.batch.relies = true;
                return;
            }
            (_, Some(own)) if !own.parse.is_empty() => {
                bytes.extend_from_slice(&own.parse);
                link.expected.push(self.replayed(own));
                self.pin(PinReason::UnnamedStatement, link, out);
            }
            (Some(_), _) => {
                build::close_unnamed(&mut bytes);
                let (unnamed, ours) = (true, true);
                link.expected.push(Expect::Close { unnamed, ours });
                self.batch.unnamed = Touched::Closed;
            }
            (None, _) => return,
        }
        run.insert(run.at, bytes, out);
    }

    /// The unnamed statement is parsed again, in front of what uses it in the batch at hand.
    pub(super) fn replayed(&mut self, own: Arc<Statement>) -> Expect {
        if let Touched::Not = self.batch.unnamed {
            self.batch.unnamed = Touched::Parsed(Arc::clone(&own));
            self.batch.used = true;
        }
        self.batch.relies = false;
        let (unnamed, ours) = (Some(own), true);
        Expect::Parse { unnamed, ours }
    }
}

/// Whether a Bind may be of the unnamed statement.
fn binds_unnamed(body: &[u8]) -> bool {
    frontend::names(body).is_none_or(|(_portal, statement)| statement.is_empty())
}

/// What is known of an unnamed statement; its text, if that is `kept`, so that it can be parsed again.
fn remembered(body: &[u8], kept: bool, class: &Class) -> Statement {
    let mut parse = Vec::new();
    if kept {
        build::message(&mut parse, frontend::PARSE, |out| {
            out.extend_from_slice(body);
        });
    }
    Statement {
        parse: parse.into_boxed_slice(),
        effects: class.effects,
        ends: class.ends,
        acts: class.acts.clone(),
    }
}
