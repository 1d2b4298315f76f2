//! Classification of a text, statement by statement. See the room's own text for what it is for.

use dbproxy_engine::PinReason;

use super::act::{Act, Deed, Freed, Script, Value, Written};
use super::after::Seen;
use super::assign::Assigner;
use super::class::{After, Class, Kind};
use super::dialect::{Charset, Dialect};
use super::effects::Effects;
use super::lexer::{Lexer, Token};
use super::scan::Scan;
use super::tokens::{is, Tokens};

/// Judges a text.
pub fn classify(text: &[u8], dialect: Dialect) -> Class {
    if !is_known(text, &dialect) {
        return Class::unknown(PinReason::Unclassified);
    }
    let mut classifier = Classifier {
        lexer: Lexer::new(text, dialect),
        class: Class::default(),
        acts: Vec::new(),
        unknown: None,
        seen: Seen::default(),
        inserts: false,
    };
    while classifier.statement() {}
    if classifier.lexer.unsure() {
        return Class::unknown(PinReason::Unclassified);
    }
    if let Some(reason) = classifier.unknown {
        return Class::unknown(reason);
    }
    let mut acts = classifier.acts;
    if classifier.class.statements > 1 {
        // Only of a text by itself is it known what its answer would be.
        acts.retain(|(_, act)| !matches!(act, Act::Show(_) | Act::Value(..) | Act::Deed(_)));
    }
    let class = classifier.class;
    let told =
        class.statements == 1 && class.pins.is_empty() && !class.dirty && !class.asks.sequences;
    Class {
        acts: (!acts.is_empty()).then(|| Script { acts: acts.into() }.into()),
        after: if told { class.after } else { After::Any },
        selects: class.selects && class.statements == 1,
        ..class
    }
}

/// Whether it is known how the server reads a text.
pub(super) fn is_known(text: &[u8], dialect: &Dialect) -> bool {
    let bytes = match dialect.charset {
        Charset::Utf8 | Charset::Ascii => true,
        Charset::Mixed => text.is_ascii(),
        Charset::Unknown => false,
    };
    bytes && dialect.server.is_some() && !dialect.other_grammar
}

pub(super) struct Classifier<'a> {
    pub(super) lexer: Lexer<'a>,
    pub(super) class: Class,
    pub(super) acts: Vec<(u16, Act)>,
    /// The rest of the text can't be told from what was read.
    pub(super) unknown: Option<PinReason>,
    /// Of the statement at hand.
    pub(super) seen: Seen,
    /// One before it inserts.
    inserts: bool,
}

impl<'a> Classifier<'a> {
    /// Judges one statement; answers whether there may be another.
    fn statement(&mut self) -> bool {
        let mut enclosed = false;
        let lead = loop {
            match self.lexer.next() {
                None => return false,
                Some(Token::Semicolon) if !enclosed => return true,
                Some(Token::Open) => enclosed = true,
                Some(Token::Word(word)) if is(word, &["set"]) && self.for_one_statement() => {}
                Some(Token::Word(word)) => break word,
                Some(_) => break b"",
            }
        };
        self.seen = Seen::default();
        self.value(lead);
        self.locks(lead);
        let first = lead;
        let (lead, shown) = self.explained(lead);
        self.seen.explained = shown || lead != first;
        let (more, kind) = if is(lead, &["set"]) && !enclosed && !shown {
            self.assign()
        } else {
            let queries = ["select", "with", "values", "table"];
            let kind = match enclosed && !is(lead, &queries) {
                true => self.unclassified(),
                false => self.kind(lead),
            };
            (self.body(kind, lead, shown), kind)
        };
        let mariadb = self.lexer.dialect.is_mariadb();
        self.class.selects = is(lead, &["select"]) && !self.seen.explained;
        self.class.after = After::of(self.seen, lead, kind, mariadb);
        self.class.statements = self.class.statements.saturating_add(1);
        let asks = &mut self.class.asks;
        asks.former_id |= asks.insert_id && !self.inserts;
        self.inserts |= is(lead, &["insert", "replace"]);
        more && self.unknown.is_none()
    }

    pub(super) fn act(&mut self, act: Act) {
        self.acts.push((self.class.statements, act));
    }

    /// `SELECT CONNECTION_ID()` and the like, and nothing else.
    fn value(&mut self, lead: &[u8]) {
        let mut tokens = Tokens::of(&self.lexer);
        let (from, _) = tokens.lexer.range();
        let value = is(lead, &["select"])
            .then(|| function(&mut tokens).or_else(|| variable(&mut tokens)))
            .flatten();
        let Some((value, to)) = value.filter(|_| tokens.end()) else {
            return;
        };
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_@.() ".contains(byte);
        let written = self.lexer.text.get(from..to).unwrap_or_default();
        let range = (u32::try_from(from), u32::try_from(to));
        if let ((Ok(from), Ok(to)), true) = (range, written.iter().all(plain)) {
            self.act(Act::Value(value, Written { from, to }));
        }
    }

    /// `SELECT GET_LOCK('a', 1)` and the like, and nothing else.
    fn locks(&mut self, lead: &[u8]) {
        let mut tokens = Tokens::of(&self.lexer);
        let reason = PinReason::AdvisoryLock;
        let shows = is(lead, &["select"]);
        let deed = match () {
            () if !shows && !is(lead, &["do"]) => return,
            () if tokens.word(&["get_lock"]) => Deed::Takes(reason),
            () if tokens.word(&["release_all_locks"]) => Deed::Frees(reason, Freed::Whatever),
            () if shows && tokens.word(&["release_lock"]) => Deed::Frees(reason, Freed::IfOne),
            () => return,
        };
        if tokens.call_of_literals() && tokens.alias() && tokens.end() {
            self.act(Act::Deed(deed));
        }
    }

    /// EXPLAIN is judged as what it explains, ANALYZE runs it. Answers the first word of that, and whether it is
    /// only shown.
    fn explained(&mut self, lead: &'a [u8]) -> (&'a [u8], bool) {
        let explains = is(lead, &["explain", "describe", "desc"]);
        let analyzes = is(lead, &["analyze"]) && self.lexer.dialect.is_mariadb();
        if !explains && !analyzes {
            return (lead, is(lead, &["show", "help"]));
        }
        let mut tokens = Tokens::of(&self.lexer);
        loop {
            let options = ["analyze", "extended", "partitions"];
            if explains && tokens.word(&options) {
                continue;
            }
            if tokens.word(&["format"]) {
                tokens.step();
                tokens.step();
                continue;
            }
            break;
        }
        let statements = [
            "select", "with", "values", "table", "insert", "replace", "update", "delete",
        ];
        while tokens.next == Some(Token::Open) {
            tokens.step();
        }
        match tokens.next {
            // `ANALYZE TABLE` is another statement.
            Some(Token::Word(word))
                if is(word, &statements) && !(analyzes && is(word, &["table"])) =>
            {
                self.lexer = tokens.lexer;
                (word, false)
            }
            _ => (lead, explains),
        }
    }

    /// SET; answers whether a semicolon ended it.
    fn assign(&mut self) -> (bool, Kind) {
        let mut assigner = Assigner::new(&self.lexer, &mut self.class);
        let writes = assigner.read();
        let (kind, acts) = (assigner.kind, std::mem::take(&mut assigner.acts));
        let (shifts, regrammars) = (assigner.shifts, assigner.regrammars);
        self.seen.may_read = assigner.may_read;
        let next = assigner.tokens.next;
        self.lexer = assigner.tokens.lexer;
        acts.into_iter().for_each(|act| self.act(act));
        self.conclude(kind, writes, false);
        if shifts {
            self.shifts(regrammars);
        }
        (next == Some(Token::Semicolon), kind)
    }

    /// MariaDB's `SET STATEMENT a = b FOR …`, which is undone behind that. Skips to the statement.
    fn for_one_statement(&mut self) -> bool {
        let mut tokens = Tokens::of(&self.lexer);
        if !self.lexer.dialect.is_mariadb() || !tokens.word(&["statement"]) {
            return false;
        }
        while !tokens.end() && !tokens.is(&["for"]) {
            if matches!(
                tokens.next,
                Some(Token::User(_) | Token::Assign | Token::Open)
            ) {
                return false;
            }
            tokens.step();
        }
        let found = !tokens.end();
        if found {
            self.lexer = tokens.lexer;
        }
        found
    }

    /// Behind this the server may read otherwise; what it would read alike is judged.
    pub(super) fn shifts(&mut self, regrammars: bool) {
        let rest = self.lexer.rest();
        let alike = |byte: &u8| byte.is_ascii() && !b"\"\\[]^{|}~".contains(byte);
        let over = rest
            .iter()
            .all(|byte| byte.is_ascii_whitespace() || *byte == b';');
        if !over && (regrammars || !rest.iter().all(alike)) {
            self.unknown = Some(PinReason::Unclassified);
        }
    }

    /// Reads the rest of a statement; answers whether a semicolon ended it.
    fn body(&mut self, kind: Kind, lead: &'a [u8], shown: bool) -> bool {
        let mut scan = Scan::new(kind, lead, self.lexer.dialect);
        let mut more = false;
        while let Some(token) = self.lexer.next() {
            more = token == Token::Semicolon;
            if more {
                break;
            }
            scan.token(token, &mut self.class);
        }
        scan.end();
        if scan.selects || self.class.asks.hidden {
            // A function of the user's may take some as well.
            let takes = |act: &Act| matches!(act, Act::Deed(Deed::Takes(_)));
            self.acts.retain(|(_, act)| !takes(act));
        }
        // What is shown of a table isn't read from it.
        let reads = scan.sources.foreign && (!shown || scan.selects);
        self.seen.reads = scan.reads;
        self.seen.may_read = scan.sources.reading;
        self.conclude(kind, scan.writes, reads);
        if is(lead, &["call", "execute"]) {
            self.shifts(false);
        }
        more
    }

    /// `writes`: something in it writes. `reads`: from what may be a view.
    fn conclude(&mut self, kind: Kind, writes: bool, reads: bool) {
        let (effects, changes) = match kind {
            Kind::Read | Kind::Neutral | Kind::Temporary if writes => (Effects::WRITE, true),
            Kind::Read if reads => (Effects::WRITE, false),
            Kind::Read | Kind::Neutral | Kind::Temporary => (Effects::NONE, false),
            Kind::Write => (Effects::WRITE, true),
            Kind::Define => (Effects::IMPLICIT, true),
            Kind::Settle => (Effects::SETTLE, false),
            Kind::Begin => (Effects::BEGIN, false),
            Kind::Commit => (Effects::COMMIT, false),
            Kind::Rollback => (Effects::ROLLBACK, false),
            Kind::Autocommit => (Effects::AUTOCOMMIT, writes),
            Kind::Unknown => (Effects::UNKNOWN, true),
        };
        self.class.effects = self.class.effects.then(&effects);
        self.class.writes |= changes;
        self.class.asks.hidden |= reads || matches!(kind, Kind::Write | Kind::Unknown);
    }
}

/// A function of the session's without arguments, and where it ends.
fn function(tokens: &mut Tokens<'_>) -> Option<(Value, usize)> {
    let value = match () {
        () if tokens.word(&["connection_id"]) => Value::ConnectionId,
        () if tokens.word(&["row_count"]) => Value::RowCount,
        () => return None,
    };
    let open = tokens.token(Token::Open);
    let (_, to) = tokens.lexer.range();
    (open && tokens.token(Token::Close)).then_some((value, to))
}

/// `@@warning_count`, `@@session.warning_count`, and where it ends.
fn variable(tokens: &mut Tokens<'_>) -> Option<(Value, usize)> {
    if !tokens.token(Token::System) {
        return None;
    }
    let (mut name, mut to) = (tokens.next, tokens.lexer.range().1);
    tokens.step();
    if matches!(name, Some(Token::Name(scope)) if is(scope, &["session"])) {
        if !tokens.token(Token::Dot) {
            return None;
        }
        (name, to) = (tokens.next, tokens.lexer.range().1);
        tokens.step();
    }
    let Some(Token::Word(name) | Token::Name(name)) = name else {
        return None;
    };
    match () {
        () if is(name, &["warning_count"]) => Some((Value::WarningCount, to)),
        () if is(name, &["error_count"]) => Some((Value::ErrorCount, to)),
        () => None,
    }
}
