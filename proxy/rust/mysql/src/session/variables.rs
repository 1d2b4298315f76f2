//! The user variables that a client has set to literals: followed, and set again on each backend that it is given.
//!
//! A backend that has some is reset before anyone else has it: a variable that was never set is told otherwise than
//! one which is NULL. For the same reason one that is set to NULL keeps what it was before: its type is that.
//!
//! What a trigger sets by `INTO @name` no server reports, so any backend may have such a variable of another client's.
//! Who names variables is given a backend that was reset since; who does so for the first time while it holds one
//! that wasn't, is told NULL of those.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dbproxy_engine::{Leg, Payload, PinReason, Step, Steps};

use crate::link::{Link, Ours, Settings};
use crate::message::command;
use crate::statement::{user_variables, Act, Class, Literal};

use super::Session;

/// The most of one client's.
const MOST: usize = 64;
const LONGEST: usize = 4 * 1024;
/// What a string's value and collation depend on.
const DEPENDS_ON: [&str; 3] = ["character_set_client", "collation_connection", "sql_mode"];

/// One of them.
#[derive(Debug)]
struct Variable {
    /// The last literal but NULL.
    literal: Option<Literal>,
    /// It was set to NULL since.
    null: bool,
}

/// All of a client's.
#[derive(Debug, Default)]
pub(super) struct Variables {
    set: BTreeMap<Arc<str>, Variable>,
    /// Its client reads some: it isn't given what others' triggers may have left.
    pub(super) named: bool,
    /// The backend at hand may have some of others'; those that were taken away.
    pub(super) strangers: Option<BTreeSet<Arc<str>>>,
}

impl Variables {
    /// The server has set it; answers whether that can be followed.
    pub(super) fn set(&mut self, name: Arc<str>, literal: Literal) -> bool {
        let null = literal.text.eq_ignore_ascii_case(b"null");
        let variable = self.set.entry(name).or_insert(Variable {
            literal: None,
            null,
        });
        variable.null = null;
        if !null {
            variable.literal = Some(literal);
        }
        self.set.len() <= MOST && self.size() <= LONGEST
    }

    fn size(&self) -> usize {
        let size = |(name, variable): (&Arc<str>, &Variable)| {
            name.len()
                + variable
                    .literal
                    .as_ref()
                    .map_or(0, |literal| literal.text.len())
        };
        self.set.iter().map(size).sum()
    }

    /// Whether some mean something else where that is set.
    pub(super) fn depend(&self, before: &Settings, now: &Settings) -> bool {
        let differs = |name: &&str| before.value(name) != now.value(name);
        let depends = |variable: &Variable| variable.literal.as_ref().is_some_and(|it| it.depends);
        DEPENDS_ON.iter().any(differs) && self.set.values().any(depends)
    }

    /// What sets all of them, if there are any.
    pub(super) fn sql(&self) -> Option<Vec<u8>> {
        let mut sql = Vec::new();
        let mut set = |name: &str, value: &[u8]| {
            let begin: &[u8] = if sql.is_empty() { b"SET " } else { b", " };
            for part in [begin, b"@`", name.as_bytes(), b"`=", value] {
                sql.extend_from_slice(part);
            }
        };
        for (name, variable) in &self.set {
            if let Some(literal) = &variable.literal {
                set(name, &literal.text);
            }
            if variable.null {
                set(name, b"NULL");
            }
        }
        (!sql.is_empty()).then_some(sql)
    }
}

/// What a text that does nothing else sets.
pub(super) fn literals(class: &Class) -> Vec<(Arc<str>, Literal)> {
    let acts = class.acts.iter().flat_map(|script| script.acts.iter());
    acts.filter_map(|(_, act)| match act {
        Act::User(name, Some(literal)) => Some((Arc::clone(name), literal.clone())),
        _ => None,
    })
    .collect()
}

impl Session {
    /// A backend is attached, in which others' statements have run or not; answers whether it is reset first.
    pub(super) fn meets_strangers(&mut self, link: &mut Link, out: &mut Steps) -> bool {
        let renews = link.used && self.variables.named;
        self.variables.strangers = (link.used && !renews).then(BTreeSet::new);
        if renews {
            let mut bytes = Vec::new();
            link.renew(&mut bytes);
            out.push(Step::Send(Leg::Server, Payload::Bytes(bytes)));
        }
        renews
    }

    /// Takes from the backend at hand what others may have left in variables that a text names, if nothing of the
    /// client's own may have set them; answers whether the command has to wait for that.
    pub(super) fn sends_strangers_away(
        &mut self,
        kind: u8,
        link: &mut Link,
        body: &[u8],
        out: &mut Steps,
    ) -> bool {
        self.variables.named = true;
        if self.variables.strangers.is_some() && self.is_unbound(link) {
            // Nothing of its own is lost with a reset, as soon as all is told.
            if link.owed.is_empty() && !self.asks_first(link, out) {
                self.diagnostics.moves();
                self.meets_strangers(link, out);
                self.placed = link.insert_id == Some(self.insert_id) && !link.is_soiled();
            }
            return true;
        }
        let text = match kind {
            command::QUERY => self.text(body),
            _ => body.get(1..).unwrap_or_default(),
        };
        let dialect = self.dialect();
        let own = &mut self.variables;
        let (own, Some(gone)) = (&own.set, &mut own.strangers) else {
            return false;
        };
        let room = MOST.saturating_sub(gone.len());
        let named = user_variables(text, dialect);
        let others = named.into_iter();
        let others = others.filter(|name| !own.contains_key(name));
        let new = others.filter(|name| gone.insert(Arc::clone(name)));
        let sets: Vec<String> = new
            .take(room)
            .map(|name| format!("@`{name}`=NULL"))
            .collect();
        if sets.is_empty() {
            return false;
        }
        let mut bytes = Vec::new();
        let sql = format!("SET {}", sets.join(", "));
        link.ask(Ours::Replay, command::QUERY, sql.as_bytes(), &mut bytes);
        self.diagnostics.is_overwritten();
        out.push(Step::Send(Leg::Server, Payload::Bytes(bytes)));
        true
    }

    /// The server has set them, or else nobody knows which.
    pub(super) fn assigned(&mut self, done: bool, link: &mut Link, out: &mut Steps) {
        let mut follows = done;
        for (name, literal) in std::mem::take(&mut self.assigns) {
            follows &= self.variables.set(name, literal);
        }
        if !follows {
            self.pin(PinReason::UserVariable, link, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(text: &str) -> Literal {
        Literal {
            text: text.as_bytes().into(),
            depends: text.contains('\''),
        }
    }

    fn variables(all: &[(&str, &str)]) -> Variables {
        let mut variables = Variables::default();
        for (name, text) in all {
            assert!(variables.set((*name).into(), literal(text)));
        }
        variables
    }

    fn sql(all: &[(&str, &str)]) -> String {
        String::from_utf8(variables(all).sql().unwrap()).unwrap()
    }

    #[test]
    fn the_last_of_each_is_set_again() {
        assert_eq!(
            sql(&[("b", "1"), ("a", "'x'"), ("b", "-2")]),
            "SET @`a`='x', @`b`=-2"
        );
        assert_eq!(Variables::default().sql(), None);
    }

    #[test]
    fn null_has_the_type_of_what_was_before() {
        assert_eq!(sql(&[("a", "NULL")]), "SET @`a`=NULL");
        assert_eq!(
            sql(&[("a", "1.5"), ("a", "null")]),
            "SET @`a`=1.5, @`a`=NULL"
        );
        assert_eq!(
            sql(&[("a", "1.5"), ("a", "null"), ("a", "2")]),
            "SET @`a`=2"
        );
    }

    #[test]
    fn they_are_bounded() {
        let mut variables = Variables::default();
        for number in 0..MOST {
            assert!(variables.set(format!("v{number}").into(), literal("1")));
        }
        assert!(!variables.set("one more".into(), literal("1")));
        let long = literal(&"1".repeat(LONGEST));
        assert!(!Variables::default().set("a".into(), long));
    }

    #[test]
    fn a_string_depends_on_how_it_is_read() {
        let mut latin = Settings::default();
        assert!(latin.take(b"character_set_client", b"latin1"));
        let mut zoned = Settings::default();
        assert!(zoned.take(b"time_zone", b"+01:00"));
        let plain = Settings::default();
        for (text, settings, depends) in [
            ("'a'", &latin, true),
            ("'a'", &zoned, false),
            ("5", &latin, false),
        ] {
            assert_eq!(variables(&[("a", text)]).depend(&plain, settings), depends);
        }
    }
}
