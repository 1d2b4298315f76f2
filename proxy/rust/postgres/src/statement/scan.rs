//! Reads the tokens of one statement behind its first words: names that matter anywhere, and calls.

use dbproxy_engine::PinReason;

use super::class::{Class, Kind};
use super::functions::{ends, judge, Function};
use super::lexer::Token;
use super::sources::Sources;
use super::syntax::{self, Before};

/// Names are compared up to this many bytes; no name that matters is as long.
const LONGEST_WORD: usize = 64;

/// A word in lower case, in place.
pub(super) struct Lower {
    bytes: [u8; LONGEST_WORD],
    length: usize,
}

impl Lower {
    pub(super) fn of(word: &[u8]) -> Self {
        let mut bytes = [0; LONGEST_WORD];
        let length = word.len().min(LONGEST_WORD);
        for (to, from) in bytes.iter_mut().zip(word) {
            *to = from.to_ascii_lowercase();
        }
        Self { bytes, length }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// The state of reading one statement's tokens.
pub(super) struct Scan<'a> {
    kind: Kind,
    /// Something that may change data was seen.
    pub writes: bool,
    pub sources: Sources,
    /// `pg_settings` was seen.
    pub settings_view: bool,
    /// A token behind the first word was seen. The first word itself is never called.
    started: bool,
    /// The two tokens before.
    previous: Option<Token<'a>>,
    earlier: Option<Token<'a>>,
    /// The name that a parenthesis would make a call: what stands before the whole name, and its
    /// schema if it has one.
    before: Before<'a>,
    schema: Option<Token<'a>>,
}

impl<'a> Scan<'a> {
    pub(super) fn new(kind: Kind, lead: &'a [u8]) -> Self {
        Self {
            kind,
            writes: false,
            sources: Sources::new(lead),
            settings_view: false,
            previous: Some(Token::Word(lead)),
            earlier: None,
            started: false,
            before: Before::default(),
            schema: None,
        }
    }

    pub(super) fn token(&mut self, token: Token<'a>, class: &mut Class) {
        match token {
            Token::Word(word) => {
                self.name();
                self.word(word, class);
            }
            Token::Quoted(name) => {
                self.name();
                self.special_name(name, class);
            }
            Token::Open if self.started => self.open(class),
            _ => {}
        }
        self.sources.token(token);
        self.started = true;
        self.earlier = self.previous;
        self.previous = Some(token);
    }

    /// Follows `schema.name`.
    fn name(&mut self) {
        if self.previous == Some(Token::Dot) {
            self.schema = self.earlier;
            return;
        }
        self.schema = None;
        self.before = match self.previous {
            Some(Token::Word(word)) => Before {
                word,
                ..Before::default()
            },
            Some(Token::Close) => Before {
                close: true,
                ..Before::default()
            },
            Some(Token::Cast) => Before {
                cast: true,
                ..Before::default()
            },
            _ => Before::default(),
        };
    }

    fn word(&mut self, word: &'a [u8], class: &mut Class) {
        let is = |other: &[u8]| word.eq_ignore_ascii_case(other);
        match word.first().map(u8::to_ascii_lowercase) {
            Some(b'i') => self.writes |= is(b"insert") || is(b"into"),
            Some(b'u') => self.writes |= is(b"update"),
            Some(b'd') => self.writes |= is(b"delete"),
            Some(b'm') => self.writes |= is(b"merge"),
            Some(b't') if (is(b"temp") || is(b"temporary")) && self.makes_temporary() => {
                class.pin(PinReason::TemporaryObject);
            }
            Some(b'h') if is(b"hold") && self.kind == Kind::Declare && self.after(b"with") => {
                class.pin(PinReason::HeldCursor);
            }
            Some(b'p') => self.special_name(word, class),
            _ => {}
        }
    }

    fn after(&self, expected: &[u8]) -> bool {
        matches!(self.previous, Some(Token::Word(word)) if word.eq_ignore_ascii_case(expected))
    }

    /// `CREATE [OR REPLACE] [LOCAL|GLOBAL] TEMP`, `SELECT … INTO [LOCAL|GLOBAL] TEMP`; but a table
    /// may be called `temp`, and INSERT INTO it is nothing special.
    fn makes_temporary(&self) -> bool {
        let created =
            self.kind == Kind::Create && (self.after(b"replace") || self.after(b"create"));
        let inserted = matches!(self.earlier, Some(Token::Word(word))
            if word.eq_ignore_ascii_case(b"insert") || word.eq_ignore_ascii_case(b"merge"));
        let selected = self.after(b"into") && !inserted;
        created || selected || self.after(b"local") || self.after(b"global")
    }

    fn special_name(&mut self, name: &[u8], class: &mut Class) {
        let starts = |prefix: &[u8]| {
            name.get(..prefix.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(prefix))
        };
        if starts(b"pg_temp") {
            class.pin(PinReason::TemporaryObject);
        }
        if starts(b"pg_prepared_statement") {
            class.pin(PinReason::SqlPrepare);
        }
        self.settings_view |= starts(b"pg_settings");
    }

    /// A parenthesis: a call, if a name that can be one stands before it.
    fn open(&mut self, class: &mut Class) {
        let function = match self.previous {
            Some(Token::Word(word)) => {
                let lower = Lower::of(word);
                let inserting = self.kind == Kind::Insert || self.writes;
                let grammar = self.schema.is_none()
                    && syntax::is_grammar(lower.as_bytes(), &self.before, inserting);
                if grammar {
                    return;
                }
                self.judge(lower.as_bytes(), class)
            }
            // Quoted, it can only be judged where it pins.
            Some(Token::Quoted(name)) => match self.judge(name, class) {
                Function::Pins(reason) => Function::Pins(reason),
                _ => Function::Unknown,
            },
            _ => return,
        };
        match function {
            Function::Pins(reason) => {
                class.pin(reason);
                self.writes |= reason != PinReason::SequenceState;
            }
            _ if self.before.names() => {}
            Function::Reads => {}
            Function::Writes => self.writes = true,
            Function::Unknown => {
                self.writes = true;
                class.dirty = true;
            }
        }
    }

    fn judge(&self, name: &[u8], class: &mut Class) -> Function {
        if let Some(reason) = ends(name) {
            class.ends(reason);
        }
        class.channels |= name == b"pg_listening_channels";
        let ours = match self.schema {
            None => true,
            Some(Token::Word(schema)) => schema.eq_ignore_ascii_case(b"pg_catalog"),
            Some(Token::Quoted(schema)) => schema == b"pg_catalog",
            Some(_) => false,
        };
        match judge(name) {
            Function::Pins(reason) => Function::Pins(reason),
            known if ours => known,
            _ => Function::Unknown,
        }
    }
}
