//! The extended protocol's messages. The unnamed statement is the one thing here that outlives a
//! transaction without pinning: it is remembered, and parsed again on another backend when the
//! client uses it there (and only then the session pins).
//!
//! What becomes of it is booked when the server has answered. A client that uses it in another batch
//! than that which parses it is waited for until then: before, nobody knows which it has.

use std::sync::Arc;

use dbproxy_engine::{PinReason, Reader, Steps};

use crate::expect::{Expect, Statement};
use crate::link::{Leave, Link, Status};
use crate::message::{build, frontend, HEADER};
use crate::prepared::Theirs;
use crate::statement::{Acts, Class, Effects};

use super::forward::{acts_later, Verdict};
use super::parameters;
use super::run::Run;
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
        let name = reader.cstr();
        let class = match reader.cstr() {
            Ok(text) => run.memory.classify(text, link.dialect()),
            Err(_) => Class::unknown(PinReason::StatementTooLarge),
        };
        if let Some(verdict) = self.judge(link, &class, run, out) {
            return verdict;
        }
        if name != Ok(b"") {
            let name = name.ok().filter(|_| whole);
            return self.parse_named(link, name, (body, class), run, out);
        }
        let room = link.expected.remembered() <= MOST_REMEMBERED;
        let kept = whole && body.len() <= LONGEST_REMEMBERED && room;
        // One that speaks of statements finds the client's own also when it is used again.
        if !kept || class.prepared {
            self.pin(PinReason::UnnamedStatement, link, out);
        }
        let statement = Arc::new(remembered(body, kept, &class));
        self.batch.under = Some(Arc::clone(link.settings.now()));
        self.batch.unnamed = Touched::Parsed(Arc::clone(&statement));
        self.batch.used = false;
        self.batch.ran = false;
        link.expected.push(parsing(statement, false));
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
        if let Some(names) = names.filter(|(_, name)| !name.is_empty() || self.shares_unnamed(link))
        {
            return self.bind_named(link, names, run, out);
        }
        let (effects, acts) = match names {
            Some((_portal, b"")) => self.deeds_of_unnamed(),
            _ => (Effects::UNKNOWN, None),
        };
        let acts = followed(body, Some(acts));
        // Of names that are too long to be here whole the second may be empty.
        if names.is_none_or(|(_portal, statement)| statement.is_empty()) {
            self.use_unnamed(link, run, out);
        }
        self.bound(link, body, acts, out);
        self.batch.forgets |= effects.forgets;
        self.portal_acts |= acts_later(&effects);
        let alias = None;
        link.expected.push(Expect::Bind { effects, alias });
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
        let named = frontend::named(body);
        if let Some((b'S', name)) = named {
            if !name.is_empty() || self.shares_unnamed(link) {
                return self.describe_named(link, name, run, out);
            }
        }
        let unnamed = named == Some((b'S', b""));
        if unnamed && !matches!(self.batch.unnamed, Touched::Parsed(_)) {
            self.use_unnamed(link, run, out);
        }
        link.expected.push(Expect::Describe { alias: None });
        link.unsynced = true;
        Verdict::Forward
    }

    /// The unnamed portal, bound in this batch, has its effects booked already.
    pub(super) fn execute(&mut self, link: &mut Link, body: &[u8]) -> Verdict {
        let unnamed = body.first() == Some(&0);
        let booked = self.batch.bound.is_some() && unnamed;
        self.batch.executed |= unnamed;
        let acts = self.batch.bound.clone().flatten().filter(|_| unnamed);
        let effects = if !booked && self.portal_acts {
            Effects::UNKNOWN
        } else {
            Effects::NONE
        };
        self.batch.forgets |= effects.forgets;
        self.batch.ran = true;
        link.expected.push(Expect::Execute { effects, acts });
        link.unsynced = true;
        Verdict::Forward
    }

    pub(super) fn close_object(
        &mut self,
        link: &mut Link,
        body: &[u8],
        run: &mut Run<'_>,
        out: &mut Steps,
    ) -> Verdict {
        let unnamed = match frontend::named(body) {
            Some((b'S', name @ [_, ..])) => return self.close_named(link, name, run, out),
            named => named == Some((b'S', b"")),
        };
        if unnamed {
            self.batch.unnamed = Touched::Closed;
        }
        link.expected.push(closing(unnamed, false));
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

    /// A portal is bound, to a statement that does this to settings (`None`: what can't be followed).
    pub(super) fn bound(
        &mut self,
        link: &mut Link,
        body: &[u8],
        acts: Option<Acts>,
        out: &mut Steps,
    ) {
        if let Some(Some(script)) = &acts {
            link.expects(script);
        }
        if acts.is_none() {
            self.loses_settings(link, out);
        }
        if to_unnamed(body) {
            self.batch.bound = Some(acts.flatten());
            self.batch.executed = false;
        }
    }

    /// Whether the batch at hand leaves a portal behind that may still set something.
    pub(super) fn leaves_portal(&self, link: &Link) -> bool {
        let open =
            link.status != Status::Idle || link.done.steers() || link.expected.steering() > 0;
        open && matches!(self.batch.bound, Some(Some(_))) && !self.batch.executed
    }

    /// What becomes of settings can't be followed.
    pub(super) fn loses_settings(&mut self, link: &mut Link, out: &mut Steps) {
        link.settings.lose();
        // A custom setting stays in the server process.
        link.left(Leave::Indelible);
        self.pin(PinReason::SessionSetting, link, out);
    }

    /// Whether the client uses an unnamed statement of an earlier batch that the backend at hand hasn't.
    pub(super) fn shares_unnamed(&self, link: &Link) -> bool {
        let kept = matches!(self.batch.unnamed, Touched::Not) && self.names.get(b"").is_some();
        let own = self.unnamed.as_ref();
        kept && !own.is_some_and(|own| link.has_unnamed(own))
    }

    /// At the end of a batch that parsed the unnamed statement and didn't use it: what is it? The client
    /// may use it on another backend.
    pub(super) fn keep_unnamed(&mut self, link: &mut Link, run: &mut Run<'_>, out: &mut Steps) {
        let Touched::Parsed(statement) = self.batch.unnamed.clone() else {
            return;
        };
        if self.pins.names_are_own() {
            return;
        }
        if self.batch.ran {
            // By now it may mean something else, or nothing.
            return self.pin(PinReason::UnnamedStatement, link, out);
        }
        let body = statement.parse.get(HEADER..).unwrap_or_default();
        let class = match frontend::statement(body) {
            Some(text) => run.memory.classify(text, link.dialect()),
            None => Class::unknown(PinReason::StatementTooLarge),
        };
        let before = self.batch.under.take();
        let same = before.is_some_and(|before| Arc::ptr_eq(&before, link.settings.now()));
        let under = self.shaping(link).filter(|_| same);
        let Some(shared) = self.shareable(link, frontend::parsed(body), &class, under) else {
            return self.pin(PinReason::UnnamedStatement, link, out);
        };
        let mut bytes = Vec::new();
        build::of_statement(&mut bytes, frontend::DESCRIBE, b"");
        let unnamed: Arc<[u8]> = [].into();
        let learn = Theirs::Learn(unnamed, shared.into());
        link.expected.push(Expect::Theirs(learn));
        run.put(bytes, out);
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
                link.expected.push(closing(true, true));
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
        parsing(own, true)
    }
}

/// A Parse of the unnamed statement.
fn parsing(statement: Arc<Statement>, ours: bool) -> Expect {
    Expect::Parse {
        unnamed: Some(statement),
        ours,
        coming: None,
        alias: None,
    }
}

/// A Close of no name that the client's map has.
pub(super) fn closing(unnamed: bool, ours: bool) -> Expect {
    let name = None;
    Expect::Close {
        unnamed,
        ours,
        name,
    }
}

/// Whether a Bind is to the unnamed portal.
fn to_unnamed(body: &[u8]) -> bool {
    frontend::names(body).is_some_and(|(portal, _)| portal.is_empty())
}

/// What an execution of what is bound does to settings, if that can be followed: of one portal at a time.
pub(super) fn followed(bind: &[u8], acts: Option<Acts>) -> Option<Acts> {
    match acts? {
        Some(script) if to_unnamed(bind) => parameters::fill(&script, bind).map(Some),
        Some(_) => None,
        None => Some(None),
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
