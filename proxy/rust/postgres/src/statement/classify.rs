//! Classification of a text, statement by statement. See the room's own text for what it is for.

use dbproxy_engine::PinReason;

use crate::pins::{NAMES, SURVEYED};

use super::act::{Act, Script};
use super::class::{Class, Kind};
use super::effects::Effects;
use super::lexer::{Lexer, Token};
use super::literals::{reading, Reading};
use super::scan::{Lower, Scan};
use super::{block, channel, setting};

/// What is known of how the server reads a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Dialect {
    /// `standard_conforming_strings` is on.
    pub literal_backslashes: bool,
    /// ASCII bytes are always ASCII characters in the client's encoding.
    pub ascii_safe: bool,
}

/// Judges a text.
pub(crate) fn classify(text: &[u8], dialect: Dialect) -> Class {
    if !dialect.ascii_safe && !text.is_ascii() {
        return Class::unknown(PinReason::Unclassified);
    }
    let mut classifier = Classifier {
        lexer: Lexer::new(text, dialect.literal_backslashes),
        class: Class::default(),
        number: 0,
        acts: Vec::new(),
        fetches: false,
    };
    while classifier.statement() {}
    // What isn't known to the proxy may do anything.
    classifier.class.effects.alters |= classifier.class.dirty;
    classifier.class.effects.forgets = classifier.class.forgets;
    if classifier.lexer.unsure() {
        return Class::unknown(PinReason::Unclassified);
    }
    let script = Script {
        acts: classifier.acts.into(),
        statements: classifier.number,
    };
    Class {
        acts: (!script.acts.is_empty()).then(|| script.into()),
        reading: match classifier.fetches {
            true => Reading::Moment,
            false => reading(text, dialect.literal_backslashes),
        },
        ..classifier.class
    }
}

struct Classifier<'a> {
    lexer: Lexer<'a>,
    class: Class,
    /// How many statements stand before this one.
    number: u16,
    acts: Vec<(u16, Act)>,
    /// Its columns are those of the cursor that it meets, and no server minds if they change.
    fetches: bool,
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
        let plain = lead;
        let lead = self.explained(lead);
        let kind = self.kind(Lower::of(lead).as_bytes());
        let mut scan = Scan::new(kind, lead);
        let more = match lead.len() == plain.len() && self.configures(plain) {
            true => self.skip(),
            false => self.body(kind, &mut scan),
        };
        self.settings_view(kind, &scan);
        self.conclude(kind, &scan);
        self.number = self.number.saturating_add(1);
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
            b"delete" | b"copy" | b"truncate" | b"grant" | b"revoke" | b"comment" | b"security"
            | b"import" | b"reassign" | b"checkpoint" | b"notify" => Kind::Write,
            b"drop" => self.ending(PinReason::TemporaryObject, Kind::Steps),
            // Of some only in a certain form: REINDEX CONCURRENTLY, DROP DATABASE.
            b"alter" | b"vacuum" | b"analyze" | b"analyse" | b"reindex" | b"cluster" => Kind::Steps,
            b"create" => Kind::Create,
            b"begin" => Kind::Begin,
            b"commit" | b"end" | b"rollback" | b"abort" | b"start" | b"prepare" => {
                self.transaction_kind(lead)
            }
            b"savepoint" => self.savepoint(Act::Savepoint),
            b"release" => self.savepoint(Act::Release),
            b"close" => self.ending(PinReason::HeldCursor, Kind::Neutral),
            b"lock" => Kind::Neutral,
            b"fetch" | b"move" => {
                self.fetches = true;
                Kind::Neutral
            }
            b"declare" => Kind::Declare,
            b"do" => self.block(),
            b"call" => {
                self.class.dirty = true;
                Kind::Steps
            }
            b"refresh" => {
                self.class.dirty = true;
                Kind::Write
            }
            b"set" => self.follow(setting::set(&self.lexer)),
            b"reset" => self.follow(setting::reset(&self.lexer)),
            b"deallocate" if self.deallocates_all() => {
                self.class.ends = self.class.ends.and(NAMES);
                Kind::Neutral
            }
            b"execute" => self.pinning(PinReason::SqlPrepare),
            b"deallocate" => {
                self.class.ends = self.class.ends.and(NAMES);
                self.pinning(PinReason::SqlPrepare)
            }
            b"listen" => self.channel(channel::listen(&self.lexer)),
            b"unlisten" => {
                self.class.ends(PinReason::Listen);
                self.channel(channel::unlisten(&self.lexer))
            }
            b"discard" => self.discard(),
            b"load" => self.pinning(PinReason::ServerProcess),
            _ => {
                self.class.dirty = true;
                self.pinning(PinReason::Unclassified)
            }
        }
    }

    /// DO. Of its literals one is the block, and another the language.
    fn block(&mut self) -> Kind {
        self.class.dirty = true;
        let mut lexer = self.lexer.clone();
        while let Some(token) = lexer.next().filter(|token| *token != Token::Semicolon) {
            if token == Token::Literal {
                block::read(lexer.taken(), &mut self.class);
            }
        }
        Kind::Steps
    }

    fn ending(&mut self, reason: PinReason, kind: Kind) -> Kind {
        self.class.ends(reason);
        kind
    }

    /// `DEALLOCATE [PREPARE] ALL`.
    fn deallocates_all(&mut self) -> bool {
        let mut lexer = self.lexer.clone();
        let mut next = lexer.next();
        if matches!(next, Some(Token::Word(word)) if word.eq_ignore_ascii_case(b"prepare")) {
            next = lexer.next();
        }
        let all = matches!(next, Some(Token::Word(word)) if word.eq_ignore_ascii_case(b"all"));
        self.class.forgets |= all;
        all
    }

    fn pinning(&mut self, reason: PinReason) -> Kind {
        self.class.pin(reason);
        Kind::Unknown
    }

    fn transaction_kind(&mut self, lead: &[u8]) -> Kind {
        let (second, _) = self.ahead();
        match (lead, second.as_bytes()) {
            (b"start", b"transaction") => Kind::Begin,
            // It may also be the name of a statement.
            (b"prepare", b"transaction") => {
                let mut lexer = self.lexer.clone();
                lexer.next();
                match lexer.next() {
                    Some(Token::Literal) => Kind::Commit,
                    _ => self.pinning(PinReason::SqlPrepare),
                }
            }
            (b"prepare", _) => self.pinning(PinReason::SqlPrepare),
            (b"start", _) => self.pinning(PinReason::Unclassified),
            (_, b"prepared") => Kind::Steps,
            (b"commit" | b"end", _) => Kind::Commit,
            (_, b"to") => self.savepoint(Act::RollbackTo),
            (_, b"work" | b"transaction") => {
                let mut lexer = self.lexer.clone();
                lexer.next();
                match lexer.next() {
                    Some(Token::Word(word)) if word.eq_ignore_ascii_case(b"to") => {
                        self.savepoint(Act::RollbackTo)
                    }
                    _ => Kind::Rollback,
                }
            }
            _ => Kind::Rollback,
        }
    }

    /// SET and RESET.
    fn follow(&mut self, acts: Option<Vec<Act>>) -> Kind {
        match acts {
            Some(acts) => acts
                .into_iter()
                .for_each(|act| self.acts.push((self.number, act))),
            None => self.class.pin(PinReason::SessionSetting),
        }
        Kind::Neutral
    }

    fn savepoint(&mut self, act: fn(Box<str>) -> Act) -> Kind {
        match setting::savepoint(&self.lexer) {
            Some(name) => self.acts.push((self.number, act(name))),
            None => self.class.pin(PinReason::Unclassified),
        }
        Kind::Neutral
    }

    /// LISTEN and UNLISTEN. Of a channel whose name isn't certain the session's own backend must know.
    fn channel(&mut self, act: Option<Act>) -> Kind {
        match act {
            Some(act) => self.acts.push((self.number, act)),
            None => self.class.pin(PinReason::Listen),
        }
        Kind::Neutral
    }

    /// A client that has what DISCARD takes besides settings is pinned for that.
    fn discard(&mut self) -> Kind {
        match self.ahead().0.as_bytes() {
            b"all" => {
                self.class.forgets = true;
                self.class.ends = SURVEYED;
                self.acts.push((self.number, Act::DiscardAll));
            }
            b"temp" | b"temporary" => self.class.ends(PinReason::TemporaryObject),
            b"plans" | b"sequences" => {}
            _ => self.class.pin(PinReason::Unclassified),
        }
        Kind::Neutral
    }

    /// Whether a statement that isn't explained does nothing but `set_config`.
    fn configures(&mut self, lead: &[u8]) -> bool {
        let acts = lead
            .eq_ignore_ascii_case(b"select")
            .then(|| setting::configured(&self.lexer))
            .flatten();
        let configures = acts.is_some();
        let acts = acts.into_iter().flatten();
        self.acts.extend(acts.map(|act| (self.number, act)));
        configures
    }

    /// Goes to the end of a statement that is understood; answers whether a semicolon ended it.
    fn skip(&mut self) -> bool {
        while let Some(token) = self.lexer.next() {
            if token == Token::Semicolon {
                return true;
            }
        }
        false
    }

    /// Reads the rest of a statement; answers whether a semicolon ended it.
    fn body(&mut self, kind: Kind, scan: &mut Scan<'a>) -> bool {
        let mut more = false;
        let (mut depth, mut begin, mut behind_as) = (0, false, false);
        while let Some(token) = self.lexer.next() {
            more = token == Token::Semicolon;
            if more {
                break;
            }
            depth += i32::from(token == Token::Open) - i32::from(token == Token::Close);
            // The body of a routine has statements of its own.
            let is =
                |name: &[u8]| matches!(token, Token::Word(word) if word.eq_ignore_ascii_case(name));
            if begin && is(b"atomic") {
                self.class.pin(PinReason::Unclassified);
            }
            begin = is(b"begin");
            if behind_as && kind == Kind::Create && is(b"execute") {
                self.class.pin(PinReason::SqlPrepare);
            }
            behind_as = is(b"as");
            scan.token(token, &mut self.class);
        }
        if more && depth > 0 {
            // It doesn't end here: a rule has statements in parentheses.
            self.class.pin(PinReason::Unclassified);
        }
        scan.sources.end();
        more
    }

    /// Writing to `pg_settings` is SET by another name.
    fn settings_view(&mut self, kind: Kind, scan: &Scan<'_>) {
        if scan.settings_view && (scan.writes || kind == Kind::Insert) {
            self.class.pin(PinReason::SessionSetting);
        }
    }

    fn conclude(&mut self, kind: Kind, scan: &Scan<'_>) {
        let writes = scan.writes;
        match kind {
            Kind::Commit => self.acts.push((self.number, Act::Commit)),
            Kind::Rollback => self.acts.push((self.number, Act::Rollback)),
            _ => {}
        }
        let (effects, changes) = match kind {
            Kind::Read if writes => (Effects::WRITE, true),
            Kind::Read | Kind::Declare if scan.sources.foreign => (Effects::WRITE, writes),
            Kind::Read | Kind::Neutral | Kind::Declare => (Effects::NONE, writes),
            Kind::Write | Kind::Insert => (Effects::WRITE, true),
            Kind::Steps | Kind::Create => (Effects::STEPS, true),
            Kind::Begin => (Effects::BEGIN, false),
            Kind::Commit => (Effects::COMMIT, false),
            Kind::Rollback => (Effects::ROLLBACK, false),
            Kind::Unknown => (Effects::UNKNOWN, true),
        };
        self.class.effects = self.class.effects.then(&effects);
        self.class.writes |= changes;
    }
}
