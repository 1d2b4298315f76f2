//! Reads the tokens of one statement behind its first words: what matters anywhere, and calls.

use dbproxy_engine::PinReason;

use super::class::{Class, Kind};
use super::dialect::Dialect;
use super::functions::{judge, Function};
use super::lexer::Token;
use super::sources::Sources;
use super::syntax::{is_grammar, Before};
use super::tokens::is;

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
    dialect: Dialect,
    kind: Kind,
    /// User variables that it names it may set.
    pub assigns: bool,
    /// INSERT, REPLACE, UPDATE: the OK tells what `LAST_INSERT_ID(n)` was given.
    tells: bool,
    /// Something that may change or lock data was seen.
    pub writes: bool,
    /// There is a query in it.
    pub selects: bool,
    pub sources: Sources,
    /// Names in front of parentheses may be calls.
    calls: bool,
    /// The two tokens before.
    previous: Option<Token<'a>>,
    earlier: Option<Token<'a>>,
    /// What stands before the whole name that a parenthesis would make a call, and whether it has a database.
    before: Before<'a>,
    qualified: bool,
    /// A system variable's name is being read.
    variable: bool,
    /// The parenthesis of LAST_INSERT_ID was the last token.
    insert_id: bool,
    /// So many parentheses are open.
    depth: i32,
    /// A table is read, for certain: `EXTRACT(YEAR FROM a)` reads none.
    pub reads: bool,
}

impl<'a> Scan<'a> {
    pub(super) fn new(kind: Kind, lead: &'a [u8], dialect: Dialect) -> Self {
        Self {
            dialect,
            kind,
            assigns: is(lead, &["call", "load", "get"]),
            tells: is(lead, &["insert", "replace", "update"]),
            writes: false,
            selects: false,
            sources: Sources::new(lead),
            calls: kind != Kind::Define && kind != Kind::Temporary,
            previous: Some(Token::Word(lead)),
            earlier: None,
            before: Before::default(),
            qualified: false,
            variable: false,
            insert_id: false,
            depth: 0,
            reads: false,
        }
    }

    pub(super) fn token(&mut self, token: Token<'a>, class: &mut Class) {
        if std::mem::take(&mut self.insert_id) {
            self.insert_id(token, class);
        }
        match token {
            Token::Word(word) => {
                self.reads |= self.depth == 0 && self.after(&["from"]) && !is(word, &["dual"]);
                self.name(word, class);
                self.word(word, class);
            }
            Token::Name(name) => {
                self.reads |= self.depth == 0 && self.after(&["from"]);
                self.name(name, class);
            }
            Token::Open => {
                self.depth += 1;
                self.open(class);
            }
            Token::Close => self.depth -= 1,
            Token::User(_) => {
                class.asks.user_variables = true;
                if self.assigns || self.after(&["into"]) {
                    class.pin(PinReason::UserVariable);
                }
            }
            Token::Assign if matches!(self.previous, Some(Token::User(_))) => {
                class.pin(PinReason::UserVariable);
            }
            _ => {}
        }
        self.variable = match token {
            Token::System => true,
            Token::Word(_) | Token::Name(_) | Token::Dot => self.variable,
            _ => false,
        };
        self.sources.token(token);
        self.earlier = self.previous;
        self.previous = Some(token);
    }

    /// What was seen once it is over.
    pub(super) fn end(&mut self) {
        self.sources.end();
    }

    fn name(&mut self, name: &[u8], class: &mut Class) {
        let dotted = self.previous == Some(Token::Dot);
        if self.variable {
            if dotted || self.previous == Some(Token::System) {
                system_variable(name, class);
            } else {
                self.variable = false;
            }
        }
        self.qualified = dotted;
        if !dotted {
            self.before = match self.previous {
                Some(Token::Word(word)) => Before { word, value: false },
                Some(Token::Close | Token::Literal | Token::Parameter) => Before {
                    word: b"",
                    value: true,
                },
                _ => Before::default(),
            };
        }
    }

    fn word(&mut self, word: &'a [u8], class: &mut Class) {
        let one = |other: &str| is(word, &[other]);
        match word.first().map(u8::to_ascii_lowercase) {
            Some(b'o') if one("outfile") && self.after(&["into"]) => self.writes = true,
            Some(b'd') if one("dumpfile") && self.after(&["into"]) => self.writes = true,
            // FOR UPDATE and FOR SHARE lock; WITH … DELETE writes.
            Some(b'u') => self.writes |= one("update"),
            Some(b'd') => self.writes |= one("delete"),
            // FOR SHARE, LOCK IN SHARE MODE.
            Some(b's') if one("share") => self.writes |= self.after(&["for", "in"]),
            Some(b's') if one("select") => {
                self.calls = true;
                self.selects = true;
            }
            Some(b's') => class.calculates |= one("sql_calc_found_rows"),
            Some(b'v') if one("value") && self.dialect.is_mariadb() => {
                if self.after(&["next"]) {
                    class.pin(PinReason::SequenceState);
                    self.writes = true;
                }
                class.asks.sequences |= self.after(&["previous"]);
            }
            _ => {}
        }
    }

    fn after(&self, expected: &[&str]) -> bool {
        matches!(self.previous, Some(Token::Word(word)) if is(word, expected))
    }

    /// A parenthesis: a call, if a name that can be one stands before it.
    fn open(&mut self, class: &mut Class) {
        let function = match self.previous {
            Some(Token::Word(word)) if !self.qualified => {
                let lower = Lower::of(word);
                if is_grammar(lower.as_bytes()) {
                    return;
                }
                judge(lower.as_bytes(), &self.dialect)
            }
            // In quotes it is a function of the server's own, or not; known is only what matters.
            Some(Token::Name(name)) if !self.qualified => {
                match judge(Lower::of(name).as_bytes(), &self.dialect) {
                    Function::Reads => Function::Unknown,
                    matters => matters,
                }
            }
            Some(Token::Word(_) | Token::Name(_)) => Function::Unknown,
            _ => return,
        };
        self.called(function, class);
    }

    fn called(&mut self, function: Function, class: &mut Class) {
        match function {
            Function::Reads => {}
            Function::Locks => {
                class.pin(PinReason::AdvisoryLock);
                self.writes = true;
            }
            Function::Unlocks => {
                class.ends(PinReason::AdvisoryLock);
                self.writes = true;
            }
            Function::InsertId => self.insert_id = true,
            Function::RowCount => class.asks.row_count = true,
            Function::FoundRows => class.asks.found_rows = true,
            Function::ConnectionId => class.asks.connection_id = true,
            Function::MovesSequence => {
                class.pin(PinReason::SequenceState);
                self.writes = true;
            }
            Function::LastValue => class.asks.sequences = true,
            Function::Unknown if !self.calls => {}
            Function::Unknown if self.before.names(self.kind == Kind::Write) => {}
            Function::Unknown => {
                self.writes = true;
                class.dirty = true;
                class.asks.hidden = true;
            }
        }
    }

    /// The first token in the parentheses of LAST_INSERT_ID.
    fn insert_id(&mut self, token: Token<'_>, class: &mut Class) {
        if token == Token::Close {
            class.asks.insert_id = true;
        } else if !self.tells {
            class.pin(PinReason::SequenceState);
        }
    }
}

/// A part of a system variable's name is this.
fn system_variable(name: &[u8], class: &mut Class) {
    let asks = &mut class.asks;
    match Lower::of(name).as_bytes() {
        b"identity" | b"last_insert_id" => asks.insert_id = true,
        b"warning_count" | b"error_count" => asks.warnings = true,
        b"pseudo_thread_id" => asks.connection_id = true,
        _ => {}
    }
}
