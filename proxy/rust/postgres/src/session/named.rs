//! The messages of named statements: the client's names are its own, the statements are shared.
//!
//! Every message goes to the server, which answers in its order and skips what it skips; only the name
//! in it is another (`prepared` says which). A statement that the backend hasn't is parsed there
//! first, and what the server makes of it is compared with what the client was told. A name that the
//! client hasn't goes on as it is: on a backend of the pool no statement is called so. The names of a
//! pinned client's new statements do too, its backend is its own.
//!
//! What a server makes of literals may depend on the settings that it parses under. A Parse is read when
//! it is known which those are, or that only the server knows (as of what is set for a transaction):
//! then who parses such a literal is pinned.

use std::sync::Arc;

use dbproxy_engine::{PinReason, Steps};

use crate::expect::Expect;
use crate::link::Link;
use crate::message::{build, frontend, HEADER};
use crate::pins::NAMES;
use crate::prepared::{
    is_reserved, same, Alias, Coming, Known, Refusal, Shaped, Shared, Tick, EMPTY,
};
use crate::settings::Settings;
use crate::statement::{Acts, Class, Effects, Reading};

use super::extended::followed;
use super::forward::{acts_later, Verdict};
use super::named_messages::{
    close_surplus, parse, parse_as_it_is, parse_empty, parse_twice, rebound, replace,
};
use super::place::now;
use super::run::Run;
use super::Session;

/// A longer text isn't shared; who parses one is pinned.
const LONGEST: usize = 64 * 1024;
/// Of so many statements under its own names it is known what they do to settings.
const MOST_OWN: usize = 64;

/// What a name stands for when the message at hand is read.
pub(super) enum Meant {
    /// Parsed in the same batch.
    Coming(Arc<[u8]>, Arc<Coming>),
    Known(Arc<[u8]>, Known),
}

impl Session {
    /// What is done instead of forwarding a message while nobody knows which names the client has, or
    /// what it parses under.
    pub(super) fn until_named(
        &mut self,
        link: &mut Link,
        (tag, body): (u8, &[u8]),
        run: &mut Run<'_>,
        out: &mut Steps,
    ) -> Option<Verdict> {
        self.renaming &= link.expected.requests() > 0;
        let parses = tag == frontend::PARSE && body.first() != Some(&0);
        if parses && link.expected.acting() > 0 {
            return self.until_answered(link, run, out);
        }
        if !self.renaming && !self.batch.forgets {
            return None;
        }
        let uses = match tag {
            frontend::PARSE => parses,
            frontend::BIND => frontend::names(body)
                .is_none_or(|(_, name)| !name.is_empty() || self.shares_unnamed(link)),
            frontend::DESCRIBE => match frontend::named(body) {
                Some((b'S', name)) => !name.is_empty() || self.shares_unnamed(link),
                _ => false,
            },
            _ => false,
        };
        if uses && self.renaming {
            return Some(Verdict::Wait);
        }
        if uses {
            return self.until_answered(link, run, out);
        }
        None
    }

    /// What is done instead of forwarding a message that must see everything before it answered.
    pub(super) fn until_answered(
        &mut self,
        link: &mut Link,
        run: &mut Run<'_>,
        out: &mut Steps,
    ) -> Option<Verdict> {
        if link.expected.is_empty() {
            return None;
        }
        if link.unsynced {
            self.parts_batch(link, run, out);
            let mut bytes = Vec::new();
            build::bare(&mut bytes, frontend::FLUSH);
            run.put(bytes, out);
        }
        Some(Verdict::Hold)
    }

    pub(super) fn meant(&self, name: &[u8]) -> Option<Meant> {
        let mut batch = self.batch.names.iter().rev();
        match batch.find(|(known, _)| same(known, name)) {
            Some((known, Some(coming))) => {
                Some(Meant::Coming(Arc::clone(known), Arc::clone(coming)))
            }
            Some((_, None)) => None,
            None => {
                let (name, known) = self.names.get(name)?;
                Some(Meant::Known(Arc::clone(name), known.clone()))
            }
        }
    }

    /// Parse of a name, which is `None` if not all of the message is there.
    pub(super) fn parse_named(
        &mut self,
        link: &mut Link,
        name: Option<&[u8]>,
        (body, class): (&[u8], Class),
        run: &mut Run<'_>,
        out: &mut Steps,
    ) -> Verdict {
        if let Some(name) = name.filter(|name| self.meant(name).is_some()) {
            return parse_twice(link, name, body, run, out);
        }
        let name: Arc<[u8]> = name.unwrap_or_default().into();
        let under = self.shaping(link);
        let Some(shared) = self.shareable(link, frontend::parsed(body), &class, under) else {
            self.owns(&name, &class.acts, link);
            self.pin(PinReason::NamedStatement, link, out);
            return parse_as_it_is(link);
        };
        let mut bytes = Vec::new();
        close_surplus(link, &mut bytes);
        let coming = Coming {
            number: link.prepared.number(),
            name: Some(Arc::clone(&name)),
            tells: false,
            now: now(link, &shared),
            sent: Tick::now(),
            shared: Arc::new(shared),
        };
        let coming = parse(link, coming, false, &mut bytes);
        self.batch.names.push((name, Some(coming)));
        run.put(bytes, out);
        Verdict::Replaced(HEADER + body.len())
    }

    /// What a text is parsed under that is read now, if that is known and can be set again.
    pub(super) fn shaping(&self, link: &Link) -> Option<Arc<Settings>> {
        let known = !self.pins.names_are_own() && link.expected.acting() == 0;
        let under = known.then(|| link.settings.shaping()).flatten();
        under.filter(|under| under.are_plain())
    }

    /// The statement that a Parse makes, if others may use it too.
    pub(super) fn shareable(
        &self,
        link: &Link,
        parsed: Option<(&[u8], &[u8], &[u8])>,
        class: &Class,
        under: Option<Arc<Settings>>,
    ) -> Option<Shared> {
        if self.pins.names_are_own() {
            return None;
        }
        let (_, text, types) = parsed?;
        let fixed = class.reading == Reading::Fixed;
        if link.initialised && !fixed {
            return None;
        }
        let shaped = match (&class.effects, class.reading) {
            (&Effects::BEGIN | &Effects::COMMIT | &Effects::ROLLBACK, _) => Shaped::Never,
            (_, Reading::Fixed) => Shaped::ByUse,
            (_, Reading::Settings) => Shaped::ByParse(under?),
            (_, Reading::Moment) => return None,
        };
        let judged = (class.clone(), link.dialect());
        let shared = Shared::declared(text, types, shaped, judged);
        (text.len() <= LONGEST && self.has_room(&shared)).then_some(shared)
    }

    /// On its own backend the client has a statement of that name which does this to settings.
    pub(super) fn owns(&mut self, name: &Arc<[u8]>, acts: &Acts, link: &mut Link) {
        let room = self.own.len() < MOST_OWN;
        match self.own.iter_mut().find(|(known, _)| same(known, name)) {
            Some((_, known)) if known.as_ref() == Some(acts) => {}
            Some((_, known)) => *known = None,
            None if acts.is_none() => {}
            None if room => {
                self.own.push((Arc::clone(name), Some(acts.clone())));
            }
            None => link.settings.lose(),
        }
    }

    fn has_room(&self, shared: &Shared) -> bool {
        let coming = self.batch.names.iter().filter_map(|(_, one)| one.as_ref());
        let size: usize = coming.map(|one| one.shared.size()).sum();
        let number = self.batch.names.len() + 1;
        self.names.has_room(number, size + shared.size())
    }

    pub(super) fn bind_named(
        &mut self,
        link: &mut Link,
        (portal, name): (&[u8], &[u8]),
        run: &mut Run<'_>,
        out: &mut Steps,
    ) -> Verdict {
        let (alias, class) = match self.meant(name) {
            Some(meant) if waits(&meant, link) => return Verdict::Wait,
            Some(Meant::Known(name, known)) if miscounts(link, &known, run.rest) => {
                let supplied = frontend::parameters(body(run.rest)).unwrap_or_default();
                let refusal = Refusal::Supplies(supplied);
                (Some(Alias::refused(&name, known.shared, refusal)), None)
            }
            Some(meant) => {
                let class = class(&meant, link, run);
                if let Some(verdict) = self.judge(link, &class, run, out) {
                    return verdict;
                }
                match self.alias(meant, link, run, out) {
                    Ok(alias) => (Some(alias), Some(class)),
                    Err(verdict) => return verdict,
                }
            }
            None => (unknown(name), None),
        };
        let (effects, acts) = self.deeds_of(class, name);
        let acts = followed(body(run.rest), acts);
        self.bound(link, body(run.rest), acts, out);
        self.portal_acts |= acts_later(&effects);
        let head = alias
            .as_ref()
            .and_then(|alias| rebound(run.rest, portal, name, &alias.ours()));
        link.expected.push(Expect::Bind { effects, alias });
        link.unsynced = true;
        let Some(head) = head else {
            return Verdict::Forward;
        };
        run.put(head, out);
        Verdict::Replaced(HEADER + portal.len() + 1 + name.len() + 1)
    }

    /// What an execution of a named statement does, which is of that class if it is a shared one; to
    /// settings `None`, if that isn't known.
    fn deeds_of(&self, class: Option<Class>, name: &[u8]) -> (Effects, Option<Acts>) {
        match class {
            Some(class) => (class.effects, Some(class.acts)),
            None if self.pins.any() => {
                let mut own = self.own.iter();
                let own = own.find(|(known, _)| same(known, name));
                (
                    Effects::UNKNOWN,
                    own.map_or(Some(None), |(_, acts)| acts.clone()),
                )
            }
            // It is refused.
            None => (Effects::NONE, Some(None)),
        }
    }

    pub(super) fn describe_named(
        &mut self,
        link: &mut Link,
        name: &[u8],
        run: &mut Run<'_>,
        out: &mut Steps,
    ) -> Verdict {
        let alias = match self.meant(name) {
            Some(meant) if waits(&meant, link) => return Verdict::Wait,
            Some(Meant::Known(name, known)) if tells_by_itself(link, &known) => {
                let mut bytes = Vec::new();
                parse_empty(link, &mut bytes);
                run.put(bytes, out);
                Some(Alias::of(EMPTY, &name).instead_of(known.shared))
            }
            Some(meant) => match self.alias(meant, link, run, out) {
                Ok(alias) => Some(alias),
                Err(verdict) => return verdict,
            },
            None => unknown(name),
        };
        let ours = alias.as_ref().map(Alias::ours);
        link.expected.push(Expect::Describe { alias });
        link.unsynced = true;
        replace(frontend::DESCRIBE, name, ours, run, out)
    }

    /// The shared statement stays; only the name is closed.
    pub(super) fn close_named(
        &mut self,
        link: &mut Link,
        name: &[u8],
        run: &mut Run<'_>,
        out: &mut Steps,
    ) -> Verdict {
        let known: Arc<[u8]> = name.into();
        if self.renaming || self.meant(name).is_some() {
            self.batch.names.push((Arc::clone(&known), None));
        }
        self.pins.may_end(NAMES);
        link.expected.push(Expect::Close {
            unnamed: false,
            ours: false,
            name: Some(known),
        });
        link.unsynced = true;
        let ours = unknown(name).map(|alias| alias.ours());
        replace(frontend::CLOSE, name, ours, run, out)
    }
}

/// Whether a statement must be parsed first: then it must be known how the transaction stands.
fn waits(meant: &Meant, link: &mut Link) -> bool {
    match meant {
        Meant::Coming(..) => false,
        Meant::Known(_, known) => {
            let sure = link.expected.acting() == 0 && is_here(link, known);
            link.expected.requests() > 0 && !sure
        }
    }
}

fn is_here(link: &mut Link, known: &Known) -> bool {
    let now = now(link, &known.shared);
    link.prepared.find(known, &now).is_some()
}

/// Whether a server would refuse a Bind for its number of parameters, which it looks at first: to parse
/// the statement again may fail for another reason.
fn miscounts(link: &mut Link, known: &Known, rest: &[u8]) -> bool {
    let shared = &known.shared;
    let needed = shared.types().len() / 4;
    let supplied = frontend::parameters(body(rest)).map(usize::from);
    shared.is_described()
        && supplied.is_some_and(|supplied| supplied != needed)
        && !is_here(link, known)
}

fn body(message: &[u8]) -> &[u8] {
    message.get(HEADER..).unwrap_or_default()
}

/// Whether a server would describe a statement as it was parsed, whatever has become of its tables, or of
/// the transaction: one without columns. To parse it again may fail.
fn tells_by_itself(link: &mut Link, known: &Known) -> bool {
    known.shared.has_no_columns() && !is_here(link, known)
}

pub(super) fn class(meant: &Meant, link: &Link, run: &mut Run<'_>) -> Class {
    let shared = match meant {
        Meant::Coming(_, coming) => &coming.shared,
        Meant::Known(_, known) => &known.shared,
    };
    let dialect = link.dialect();
    match shared.class(dialect) {
        Some(class) => class.clone(),
        None => run.memory.classify(shared.text(), dialect),
    }
}

/// What is to be done about a name that the client hasn't: nothing, unless it looks like ours.
fn unknown(name: &[u8]) -> Option<Alias> {
    is_reserved(name).then(|| Alias::of_nobody(name))
}
