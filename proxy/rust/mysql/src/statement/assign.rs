//! SET: what is assigned to what.
//!
//! `SET GLOBAL a = 1, b = 2` sets both for all: the word holds until another one, but not what `@@global.`
//! says (seen on both servers).

use dbproxy_engine::PinReason;

use super::act::{Act, Literal};
use super::class::{Class, Kind};
use super::lexer::{Lexer, Token};
use super::scan::Scan;
use super::tokens::{is, plain, Tokens};

/// Session variables that nobody replays: of replication, of the next statements, or of the server's insides.
const NOT_FOLLOWED: [&str; 23] = [
    "debug",
    "debug_dbug",
    "debug_sync",
    "gtid_domain_id",
    "gtid_next",
    "gtid_seq_no",
    "immediate_server_version",
    "insert_id",
    "original_commit_timestamp",
    "original_server_version",
    "profiling",
    "pseudo_replica_mode",
    "pseudo_slave_mode",
    "pseudo_thread_id",
    "rand_seed1",
    "rand_seed2",
    "server_id",
    "skip_parallel_replication",
    "skip_replication",
    "sql_log_bin",
    "timestamp",
    "wsrep_on",
    "wsrep_trx_fragment_size",
];

/// What the variable's own name was assigned for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// Nothing was said.
    Plain,
    Session,
    Global,
}

/// Reads one SET.
pub(super) struct Assigner<'a, 'c> {
    pub(super) tokens: Tokens<'a>,
    class: &'c mut Class,
    scan: Scan<'a>,
    /// What it does, in order.
    pub(super) acts: Vec<Act>,
    pub(super) kind: Kind,
    /// A table may be used.
    pub(super) may_read: bool,
    /// What follows may be cut into tokens otherwise.
    pub(super) shifts: bool,
    /// What follows may be of another grammar, which only MariaDB has.
    pub(super) regrammars: bool,
    scope: Scope,
}

impl<'a, 'c> Assigner<'a, 'c> {
    /// Behind the word SET.
    pub(super) fn new(lexer: &Lexer<'a>, class: &'c mut Class) -> Self {
        Self {
            tokens: Tokens::of(lexer),
            class,
            scan: Scan::new(Kind::Read, b"set", lexer.dialect),
            acts: Vec::new(),
            kind: Kind::Neutral,
            may_read: false,
            shifts: false,
            regrammars: false,
            scope: Scope::Plain,
        }
    }

    /// Reads to the end of the statement; answers whether the server took expressions that may write.
    pub(super) fn read(&mut self) -> bool {
        if self.whole().is_none() && self.list().is_none() {
            self.class.pin(PinReason::Unclassified);
            self.kind = Kind::Unknown;
            self.shifts = true;
            self.regrammars = true;
            self.tokens.skip_statement();
        }
        self.regrammars &= self.tokens.lexer.dialect.is_mariadb();
        self.scan.end();
        self.may_read = self.scan.sources.reading;
        self.class.asks.hidden |= self.scan.sources.foreign;
        self.scan.writes || self.scan.sources.foreign
    }

    /// What isn't a list of assignments.
    fn whole(&mut self) -> Option<()> {
        let mut ahead = self.tokens.clone();
        if ahead.word(&["password"]) {
            ahead.is(&["for", "to"]).then_some(())?;
            self.acts.push(Act::Account);
            self.kind = Kind::Define;
            ahead.skip_expression();
            self.tokens = ahead;
            return self.tokens.end().then_some(());
        }
        if ahead.word(&["role"]) {
            self.class.pin(PinReason::SessionSetting);
            self.acts.push(Act::Role);
        } else if ahead.words(&["default", "role"]) {
            self.acts.push(Act::Account);
            self.kind = Kind::Define;
        } else if ahead.word(&["resource"]) && ahead.word(&["group"]) {
            self.class.pin(PinReason::ServerProcess);
        } else {
            return self.transaction();
        }
        // `SET role = 1` would be a variable's.
        if matches!(ahead.next, Some(Token::Equal | Token::Assign)) {
            return None;
        }
        self.tokens = ahead;
        self.tokens.skip_statement();
        Some(())
    }

    /// `SET [SESSION|LOCAL|GLOBAL] TRANSACTION …`.
    fn transaction(&mut self) -> Option<()> {
        let mut ahead = self.tokens.clone();
        let session = ahead.word(&["session", "local"]);
        let global = !session && ahead.word(&["global"]);
        let said = ahead.word(&["transaction"]) && ahead.is(&["isolation", "read"]);
        if !said {
            return None;
        }
        let mariadb = ahead.lexer.dialect.is_mariadb();
        let prefix = if mariadb { "tx" } else { "transaction" };
        for name in ["isolation", "read_only"] {
            let name = format!("{prefix}_{name}").into();
            match (session, global) {
                (true, _) => self.acts.push(Act::Variable(name, false)),
                (_, true) => self.acts.push(Act::Global(name)),
                _ => {
                    self.acts.push(Act::NextTransaction);
                    break;
                }
            }
        }
        self.tokens = ahead;
        self.tokens.skip_statement();
        Some(())
    }

    fn list(&mut self) -> Option<()> {
        loop {
            self.assignment()?;
            if !self.tokens.token(Token::Comma) {
                return self.tokens.end().then_some(());
            }
        }
    }

    fn assignment(&mut self) -> Option<()> {
        if let Some(Token::User(name)) = self.tokens.next {
            self.tokens.step();
            return self.user(name);
        }
        let mut scope = self.scope;
        let mut next_only = false;
        if self.tokens.token(Token::System) {
            (scope, next_only) = self.system_scope()?;
        } else {
            if let Some(done) = self.names() {
                return done;
            }
            if let Some(said) = self.scope_word() {
                self.scope = said;
                scope = said;
            }
        }
        let name = self.variable_name()?;
        self.equals()?;
        if name == "password" && scope == Scope::Plain {
            self.acts.push(Act::Account);
            self.kind = Kind::Define;
            return self.expression();
        }
        self.variable(name, scope, next_only)
    }

    /// The scope in front of a name, and whether none was said.
    fn system_scope(&mut self) -> Option<(Scope, bool)> {
        let mut ahead = self.tokens.clone();
        let (Token::Word(word) | Token::Name(word)) = ahead.next? else {
            return None;
        };
        ahead.step();
        if !ahead.token(Token::Dot) {
            return Some((Scope::Plain, true));
        }
        let scope = match () {
            () if is(word, &["session", "local"]) => Scope::Session,
            () if is(word, &["global", "persist", "persist_only"]) => Scope::Global,
            // The parts of a name.
            () => return Some((Scope::Plain, true)),
        };
        self.tokens = ahead;
        Some((scope, false))
    }

    fn scope_word(&mut self) -> Option<Scope> {
        let mut ahead = self.tokens.clone();
        let scope = match () {
            () if ahead.word(&["session", "local"]) => Scope::Session,
            () if ahead.word(&["global", "persist", "persist_only"]) => Scope::Global,
            () => return None,
        };
        matches!(ahead.next, Some(Token::Word(_) | Token::Name(_))).then(|| {
            self.tokens = ahead;
            scope
        })
    }

    fn variable_name(&mut self) -> Option<String> {
        let mut name = self.tokens.name()?;
        while self.tokens.token(Token::Dot) {
            name.push('.');
            name.push_str(&self.tokens.name()?);
        }
        Some(name)
    }

    fn equals(&mut self) -> Option<()> {
        (self.tokens.token(Token::Equal) || self.tokens.token(Token::Assign)).then_some(())
    }

    /// `NAMES`, `CHARACTER SET`; `None`: it is neither.
    fn names(&mut self) -> Option<Option<()>> {
        let mut ahead = self.tokens.clone();
        let act = if ahead.word(&["names"]) {
            Act::Names
        } else if ahead.word(&["charset"])
            || ahead.word(&["character", "char"]) && ahead.word(&["set"])
        {
            Act::CharacterSet
        } else {
            return None;
        };
        if matches!(ahead.next, Some(Token::Equal | Token::Assign | Token::Dot)) {
            return None;
        }
        self.tokens = ahead;
        self.acts.push(act);
        self.shifts = true;
        Some(self.expression())
    }

    /// Behind its `=`.
    fn variable(&mut self, name: String, scope: Scope, next_only: bool) -> Option<()> {
        if scope == Scope::Global {
            self.acts.push(Act::Global(name.into()));
            return self.expression();
        }
        let mut ahead = self.tokens.clone();
        let default = ahead.word(&["default"]) && stops(&ahead);
        let number = ahead_number(&self.tokens);
        match &*name {
            "last_insert_id" | "identity" => {
                if number.is_none() {
                    self.class.pin(PinReason::SequenceState);
                }
                self.acts.push(Act::InsertId(number));
                return self.expression();
            }
            // Said with `@@` and no scope: for the next transaction only.
            "transaction_isolation" | "transaction_read_only" | "tx_isolation" | "tx_read_only"
                if next_only && scope == Scope::Plain =>
            {
                self.acts.push(Act::NextTransaction);
                return self.expression();
            }
            "autocommit" if self.kind == Kind::Neutral => self.kind = Kind::Autocommit,
            "sql_mode" => {
                self.shifts = true;
                self.regrammars = true;
            }
            "character_set_client" => self.shifts = true,
            name if NOT_FOLLOWED.contains(&name) => self.class.pin(PinReason::SessionSetting),
            _ => {}
        }
        if next_only && scope == Scope::Plain && self.tokens.lexer.dialect.is_mariadb() {
            // MariaDB tells nobody of `SET @@a = 1`, only of `SET a = 1` and `SET @@session.a = 1`.
            self.class.pin(PinReason::SessionSetting);
        }
        self.acts.push(Act::Variable(name.into(), default));
        self.expression()
    }

    /// Behind a user variable's name.
    fn user(&mut self, name: &[u8]) -> Option<()> {
        self.equals()?;
        let literal = self.literal();
        let name = plain(name).filter(|name| !name.is_empty());
        if name.is_none() || literal.is_none() {
            self.class.pin(PinReason::UserVariable);
        }
        self.acts
            .push(Act::User(name.unwrap_or_default().into(), literal));
        self.expression()
    }

    /// The value that is next, if nothing else is.
    fn literal(&self) -> Option<Literal> {
        let mut ahead = self.tokens.clone();
        let mut text = Vec::new();
        if ahead.next == Some(Token::Other) && matches!(ahead.lexer.taken(), b"-" | b"+") {
            text.extend_from_slice(ahead.lexer.taken());
            ahead.step();
        } else if let Some(Token::Word(word)) = ahead.next {
            let value = is(word, &["null", "true", "false"]);
            if !value && !word.starts_with(b"_") {
                return None;
            }
            text.extend_from_slice(word);
            ahead.step();
            if value {
                return stops(&ahead).then(|| Literal {
                    text: text.into(),
                    depends: false,
                });
            }
        }
        let taken = (ahead.next == Some(Token::Literal)).then(|| ahead.lexer.taken())?;
        text.extend_from_slice(taken);
        ahead.step();
        let binary = taken.first().is_some_and(|b| b"xXbB".contains(b));
        let bare = !taken.contains(&b'\'') && !taken.contains(&b'"');
        stops(&ahead).then(|| Literal {
            depends: !(bare || binary && text.len() == taken.len()),
            text: text.into(),
        })
    }

    /// To behind the expression that is next, which must be there.
    fn expression(&mut self) -> Option<()> {
        let mut depth = 0_i32;
        let mut some = false;
        while let Some(token) = self.tokens.next {
            if token == Token::Semicolon || token == Token::Comma && depth == 0 {
                break;
            }
            depth += i32::from(token == Token::Open) - i32::from(token == Token::Close);
            some = true;
            self.scan.token(token, self.class);
            self.tokens.step();
        }
        // Between two expressions stands nothing that could be a call's name.
        self.scan.token(Token::Comma, self.class);
        some.then_some(())
    }
}

/// Whether an assignment ends here.
fn stops(tokens: &Tokens<'_>) -> bool {
    tokens.end() || tokens.next == Some(Token::Comma)
}

fn ahead_number(tokens: &Tokens<'_>) -> Option<u64> {
    let mut ahead = tokens.clone();
    ahead.whole().filter(|_| stops(&ahead))
}
