//! Classification of a text, statement by statement. See the room's own text for what it is for.

use dbproxy_engine::PinReason;

use super::effects::Effects;
use super::functions::{judge, Function};
use super::lexer::{Lexer, Token};
use super::syntax::{self, Before};

/// Names are compared up to this many bytes; no name that matters is as long.
const LONGEST_WORD: usize = 64;

/// What is known of how the server reads a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialect {
    /// `standard_conforming_strings` is on.
    pub literal_backslashes: bool,
    /// ASCII bytes are always ASCII characters in the client's encoding.
    pub ascii_safe: bool,
}

/// What a text means.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Class {
    /// What it may do to transactions.
    pub effects: Effects,
    /// Binds the session to its backend.
    pub pin: Option<PinReason>,
    /// Asks for `currval` or `lastval`.
    pub sequences: bool,
    /// May change data (so, move sequences too).
    pub writes: bool,
    /// May leave state in the backend that nobody tracks.
    pub dirty: bool,
    /// Leaves state in the backend that `DISCARD ALL` doesn't remove.
    pub indelible: bool,
}

impl Class {
    /// A text that can't be judged.
    pub(crate) fn unknown(reason: PinReason) -> Self {
        Self {
            effects: Effects::UNKNOWN,
            pin: Some(reason),
            sequences: true,
            writes: true,
            dirty: true,
            indelible: true,
        }
    }

    fn pin(&mut self, reason: PinReason) {
        self.pin = self.pin.or(Some(reason));
        match reason {
            PinReason::SequenceState => self.sequences = true,
            PinReason::ServerProcess | PinReason::SessionFunction | PinReason::Unclassified => {
                self.indelible = true;
            }
            _ => {}
        }
    }
}

/// Judges a text.
pub(crate) fn classify(text: &[u8], dialect: Dialect) -> Class {
    if !dialect.ascii_safe && !text.is_ascii() {
        return Class::unknown(PinReason::Unclassified);
    }
    let mut classifier = Classifier {
        lexer: Lexer::new(text, dialect.literal_backslashes),
        class: Class::default(),
    };
    while classifier.statement() {}
    if classifier.lexer.unsure() {
        let known = classifier.class.pin;
        return Class::unknown(known.unwrap_or(PinReason::Unclassified));
    }
    classifier.class
}

/// What kind of statement it is, by its first words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// Changes nothing, unless something inside it does.
    Read,
    /// Has no effect of its own on data: cursors, savepoints, `SET LOCAL`.
    Neutral,
    Write,
    /// INSERT, UPDATE, MERGE: their grammar differs in front of parentheses.
    Insert,
    Create,
    Declare,
    Begin,
    Commit,
    Rollback,
    Unknown,
}

/// A word in lower case, in place.
struct Lower {
    bytes: [u8; LONGEST_WORD],
    length: usize,
}

impl Lower {
    fn of(word: &[u8]) -> Self {
        let mut bytes = [0; LONGEST_WORD];
        let length = word.len().min(LONGEST_WORD);
        for (to, from) in bytes.iter_mut().zip(word) {
            *to = from.to_ascii_lowercase();
        }
        Self { bytes, length }
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

struct Classifier<'a> {
    lexer: Lexer<'a>,
    class: Class,
}

impl<'a> Classifier<'a> {
    /// Judges one statement; answers whether there may be another.
    fn statement(&mut self) -> bool {
        let lead = loop {
            match self.lexer.next() {
                None => return false,
                Some(Token::Semicolon) => return true,
                Some(Token::Open) => {}
                Some(Token::Word(word)) => break word,
                Some(_) => break b"",
            }
        };
        let lead = self.explained(lead);
        let kind = self.kind(Lower::of(lead).as_bytes());
        let (more, writes) = self.body(kind, lead);
        self.conclude(kind, writes);
        more
    }

    /// EXPLAIN (even without ANALYZE) is judged as what it explains.
    fn explained(&mut self, lead: &'a [u8]) -> &'a [u8] {
        if !lead.eq_ignore_ascii_case(b"explain") {
            return lead;
        }
        let mut depth = 0;
        loop {
            match self.lexer.clone().next() {
                Some(Token::Open) => depth += 1,
                Some(Token::Close) => depth -= 1,
                Some(Token::Word(word)) if depth <= 0 => {
                    let options: [&[u8]; 3] = [b"analyze", b"analyse", b"verbose"];
                    if !options
                        .iter()
                        .any(|option| word.eq_ignore_ascii_case(option))
                    {
                        self.lexer.next();
                        return word;
                    }
                }
                Some(Token::Semicolon) | None => return b"",
                Some(_) => {}
            }
            self.lexer.next();
        }
    }

    fn ahead(&self) -> (Lower, bool) {
        let mut lexer = self.lexer.clone();
        match lexer.next() {
            // The second answer: a word follows the word, so the first isn't a setting's name.
            Some(Token::Word(word)) => {
                let words = matches!(lexer.next(), Some(Token::Word(_) | Token::Quoted(_)));
                (Lower::of(word), words)
            }
            _ => (Lower::of(b""), false),
        }
    }

    fn kind(&mut self, lead: &[u8]) -> Kind {
        match lead {
            b"select" | b"with" | b"values" | b"table" | b"show" => Kind::Read,
            b"insert" | b"update" | b"merge" => Kind::Insert,
            b"delete" | b"copy" | b"truncate" | b"alter" | b"drop" | b"grant" | b"revoke"
            | b"comment" | b"vacuum" | b"analyze" | b"analyse" | b"reindex" | b"cluster"
            | b"security" | b"import" | b"reassign" | b"checkpoint" | b"notify" => Kind::Write,
            b"create" => Kind::Create,
            b"begin" => Kind::Begin,
            b"commit" | b"end" | b"rollback" | b"abort" | b"start" | b"prepare" => {
                self.transaction_kind(lead)
            }
            b"savepoint" | b"release" | b"lock" | b"fetch" | b"move" | b"close" => Kind::Neutral,
            b"declare" => Kind::Declare,
            b"do" | b"call" | b"refresh" => {
                self.class.dirty = true;
                Kind::Write
            }
            b"set" | b"reset" => self.setting_kind(lead),
            b"execute" | b"deallocate" => self.pinning(PinReason::SqlPrepare),
            b"listen" | b"unlisten" => self.pinning(PinReason::Listen),
            b"discard" => self.pinning(PinReason::Discard),
            b"load" => self.pinning(PinReason::ServerProcess),
            _ => {
                self.class.dirty = true;
                self.pinning(PinReason::Unclassified)
            }
        }
    }

    fn pinning(&mut self, reason: PinReason) -> Kind {
        self.class.pin(reason);
        Kind::Unknown
    }

    fn transaction_kind(&mut self, lead: &[u8]) -> Kind {
        let (second, _) = self.ahead();
        match (lead, second.as_bytes()) {
            (b"start", b"transaction") => Kind::Begin,
            (b"prepare", b"transaction") => Kind::Commit,
            (b"prepare", _) => self.pinning(PinReason::SqlPrepare),
            (b"start", _) => self.pinning(PinReason::Unclassified),
            (_, b"prepared") => Kind::Write,
            (b"commit" | b"end", _) => Kind::Commit,
            (_, b"to") => Kind::Neutral,
            (_, b"work" | b"transaction") => {
                let mut lexer = self.lexer.clone();
                lexer.next();
                match lexer.next() {
                    Some(Token::Word(word)) if word.eq_ignore_ascii_case(b"to") => Kind::Neutral,
                    _ => Kind::Rollback,
                }
            }
            _ => Kind::Rollback,
        }
    }

    /// SET and RESET. `LOCAL`, `TRANSACTION` and `CONSTRAINTS` may also begin the name of a
    /// setting; they don't if another word follows.
    fn setting_kind(&mut self, lead: &[u8]) -> Kind {
        let (second, words) = self.ahead();
        let reason = match second.as_bytes() {
            b"local" | b"transaction" | b"constraints" if lead == b"set" && words => {
                return Kind::Neutral;
            }
            b"role" => PinReason::SessionRole,
            b"session" => {
                let mut lexer = self.lexer.clone();
                lexer.next();
                match lexer.next() {
                    Some(Token::Word(word))
                        if word.eq_ignore_ascii_case(b"authorization")
                            || word.eq_ignore_ascii_case(b"role") =>
                    {
                        PinReason::SessionRole
                    }
                    _ => PinReason::SessionSetting,
                }
            }
            _ => PinReason::SessionSetting,
        };
        self.class.pin(reason);
        Kind::Neutral
    }

    /// Reads the rest of a statement; answers whether a semicolon ended it, and whether something
    /// inside may change data.
    fn body(&mut self, kind: Kind, lead: &'a [u8]) -> (bool, bool) {
        let mut scan = Scan::new(kind, lead);
        while let Some(token) = self.lexer.next() {
            if token == Token::Semicolon {
                self.settings_view(kind, &scan);
                return (true, scan.writes);
            }
            scan.token(token, &mut self.class);
        }
        self.settings_view(kind, &scan);
        (false, scan.writes)
    }

    /// Writing to `pg_settings` is SET by another name.
    fn settings_view(&mut self, kind: Kind, scan: &Scan<'_>) {
        if scan.settings_view && (scan.writes || kind == Kind::Insert) {
            self.class.pin(PinReason::SessionSetting);
        }
    }

    fn conclude(&mut self, kind: Kind, writes: bool) {
        let (effects, changes) = match kind {
            Kind::Read if writes => (Effects::WRITE, true),
            Kind::Read | Kind::Neutral | Kind::Declare => (Effects::NONE, writes),
            Kind::Write | Kind::Insert | Kind::Create => (Effects::WRITE, true),
            Kind::Begin => (Effects::BEGIN, false),
            Kind::Commit => (Effects::COMMIT, false),
            Kind::Rollback => (Effects::ROLLBACK, false),
            Kind::Unknown => (Effects::UNKNOWN, true),
        };
        self.class.effects = self.class.effects.then(&effects);
        self.class.writes |= changes;
    }
}

/// The state of reading one statement's tokens.
struct Scan<'a> {
    kind: Kind,
    /// Something that may change data was seen.
    writes: bool,
    /// `pg_settings` was seen.
    settings_view: bool,
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
    fn new(kind: Kind, lead: &'a [u8]) -> Self {
        Self {
            kind,
            writes: false,
            settings_view: false,
            previous: Some(Token::Word(lead)),
            earlier: None,
            started: false,
            before: Before::default(),
            schema: None,
        }
    }

    fn token(&mut self, token: Token<'a>, class: &mut Class) {
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
                self.judge(lower.as_bytes())
            }
            // Quoted, it can only be judged where it pins.
            Some(Token::Quoted(name)) => match judge(name) {
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

    fn judge(&self, name: &[u8]) -> Function {
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
