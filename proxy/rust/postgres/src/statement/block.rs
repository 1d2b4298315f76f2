//! What the text of a DO block shows of what it leaves in the session. Asked by `classify`.
//!
//! The block is the client's own text, but in a language that isn't read here, with texts inside that
//! it may execute. So only its words are looked at: those of which something may remain bind the session,
//! as they would in a statement of its own.

use dbproxy_engine::PinReason;

use super::class::Class;
use super::functions::{judge, Function};
use super::scan::Lower;

/// Reads a literal of a DO statement: the block, with its quotes.
pub(super) fn read(text: &[u8], class: &mut Class) {
    let mut words = Words::new(text);
    while let Some(word) = words.next() {
        let begins = words.begins;
        match Lower::of(word).as_bytes() {
            b"set" if begins => set(&words, class),
            b"reset" if begins => class.pin(PinReason::SessionSetting),
            b"listen" if begins => hold(PinReason::Listen, class),
            b"load" if begins => class.pin(PinReason::ServerProcess),
            b"temp" | b"temporary" => hold(PinReason::TemporaryObject, class),
            name => named(name, class),
        }
    }
}

/// A name, perhaps with its schema.
fn named(name: &[u8], class: &mut Class) {
    let mut parts = name.rsplit(|byte| *byte == b'.');
    match judge(parts.next().unwrap_or_default()) {
        // It may well be asked for what the block itself has drawn.
        Function::Pins(PinReason::SequenceState) => {}
        Function::Pins(reason) => hold(reason, class),
        Function::Reads | Function::Writes | Function::Unknown => {}
    }
    if parts.any(|schema| schema == b"pg_temp") {
        hold(PinReason::TemporaryObject, class);
    }
}

/// What is there behind the block: the server is asked, if it can be.
fn hold(reason: PinReason, class: &mut Class) {
    class.pin(reason);
    class.ends(reason);
}

/// SET where a statement begins.
fn set(words: &Words<'_>, class: &mut Class) {
    let mut ahead = words.clone();
    let next = ahead.next().map(Lower::of);
    match next.as_ref().map_or(&b""[..], Lower::as_bytes) {
        b"transaction" | b"constraints" => {}
        // Of a setting of an extension's the name stays in the server process, of others nothing.
        b"local" => class.indelible |= ahead.next().is_none_or(|name| name.contains(&b'.')),
        _ => class.pin(PinReason::SessionSetting),
    }
}

/// The words of a text in any language. A dot is part of a word.
#[derive(Clone)]
struct Words<'a> {
    rest: &'a [u8],
    /// Whether a statement may begin with the last word.
    begins: bool,
    /// Whether one may begin with the next.
    beginning: bool,
    /// The same as of where the comment began that this may be: what looks like one may be part of a
    /// literal, so its words are read too.
    before_comment: Option<bool>,
}

impl<'a> Words<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self {
            rest: text,
            begins: false,
            beginning: true,
            before_comment: None,
        }
    }

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let first = *self.rest.first()?;
            let length = self.rest.iter().position(|byte| !is_word(*byte));
            match length.unwrap_or(self.rest.len()) {
                0 => self.pass(first),
                length => {
                    let (word, rest) = self.rest.split_at_checked(length)?;
                    self.rest = rest;
                    self.begins = std::mem::replace(&mut self.beginning, leads(word));
                    return Some(word);
                }
            }
        }
    }

    /// Goes past what belongs to no word.
    fn pass(&mut self, first: u8) {
        let two = self.rest.get(..2).unwrap_or_default();
        let length = match two {
            b"--" | b"/*" => {
                self.before_comment = self.before_comment.or(Some(self.beginning));
                self.beginning = false;
                2
            }
            b"*/" => {
                self.end_comment();
                2
            }
            _ => {
                match first {
                    b'\n' => self.end_comment(),
                    byte if byte.is_ascii_whitespace() => {}
                    // Behind a quote a text may begin that is executed, behind `>>` a label ends.
                    byte => self.beginning = matches!(byte, b';' | b'\'' | b'$' | b'>'),
                }
                1
            }
        };
        self.rest = self.rest.get(length..).unwrap_or_default();
    }

    fn end_comment(&mut self) {
        if let Some(beginning) = self.before_comment.take() {
            self.beginning |= beginning;
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.' || !byte.is_ascii()
}

/// Whether a statement may stand behind a word.
fn leads(word: &[u8]) -> bool {
    let leading: [&[u8]; 5] = [b"begin", b"then", b"else", b"loop", b"execute"];
    leading.iter().any(|lead| word.eq_ignore_ascii_case(lead))
}

#[cfg(test)]
mod tests {
    use super::*;
    use PinReason::{AdvisoryLock, Listen, SessionFunction, SessionSetting, TemporaryObject};

    fn class(block: &str) -> Class {
        let mut class = Class::default();
        read(block.as_bytes(), &mut class);
        class
    }

    #[test]
    fn what_may_remain_binds() {
        for (block, reason) in [
            (
                "$$ BEGIN PERFORM set_config('a.b', 'c', false); END $$",
                SessionSetting,
            ),
            (
                "$$ BEGIN PERFORM pg_catalog.set_config('a.b', 'c', false); END $$",
                SessionSetting,
            ),
            ("$$ BEGIN SET work_mem = '1MB'; END $$", SessionSetting),
            (
                "$$ BEGIN NULL; -- then\n SET work_mem = '1MB'; END $$",
                SessionSetting,
            ),
            ("$$ BEGIN /* now */ SET ROLE app; END $$", SessionSetting),
            (
                "$$ BEGIN RAISE DEBUG '-- x'; SET ROLE app; END $$",
                SessionSetting,
            ),
            (
                "$$ BEGIN IF v LIKE '*/*' THEN SET a.b = 1; END IF; END $$",
                SessionSetting,
            ),
            (
                "'BEGIN EXECUTE ''SET app.tenant = 5''; END'",
                SessionSetting,
            ),
            (
                "$$ BEGIN EXECUTE format('\n  set %I = 1', n); END $$",
                SessionSetting,
            ),
            ("$$ BEGIN <<x>> RESET work_mem; END $$", SessionSetting),
            ("$$ BEGIN PERFORM pg_advisory_lock(1); END $$", AdvisoryLock),
            (
                "$$ BEGIN PERFORM pg_try_advisory_lock(1); END $$",
                AdvisoryLock,
            ),
            (
                "$$ BEGIN CREATE TEMP TABLE t (a int); END $$",
                TemporaryObject,
            ),
            (
                "$$ BEGIN CREATE TABLE pg_temp.t (a int); END $$",
                TemporaryObject,
            ),
            ("$$ BEGIN LISTEN x; END $$", Listen),
            ("$$ BEGIN PERFORM setseed(0.5); END $$", SessionFunction),
        ] {
            assert_eq!(class(block).pin, Some(reason), "{block}");
        }
    }

    #[test]
    fn what_leaves_nothing_binds_nobody() {
        for block in [
            "$$ BEGIN UPDATE t SET a = 1; INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 2; END $$",
            "$$ BEGIN UPDATE \"My t\" SET a = 1; END $$",
            "$$ BEGIN UPDATE ONLY t AS x /* note */ SET a = 1; END $$",
            "$$ BEGIN UPDATE t -- note\n SET a = 1; END $$",
            "$$ BEGIN ALTER TABLE t ALTER a SET NOT NULL; ALTER ROLE x SET work_mem = 1; END $$",
            "$$ BEGIN ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u ON DELETE SET NULL; END $$",
            "$$ BEGIN SET LOCAL work_mem = '1MB'; SET CONSTRAINTS ALL DEFERRED; END $$",
            "$$ BEGIN PERFORM pg_advisory_xact_lock(1), nextval('s'), currval('s'); END $$",
            "$$ BEGIN RAISE NOTICE 'the set is done'; -- SET\n END $$",
            "$$$$",
            "''",
            "",
        ] {
            let class = class(block);
            assert!(class.pin.is_none() && !class.indelible, "{block}");
        }
    }

    #[test]
    fn a_name_that_was_set_for_a_transaction_stays() {
        let class = class("$$ BEGIN SET LOCAL app.tenant = 'x'; END $$");
        assert!(class.pin.is_none() && class.indelible);
    }
}
