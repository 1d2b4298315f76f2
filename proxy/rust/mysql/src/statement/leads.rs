//! What kind of statement it is, by its first words, and what follows from that alone.

use dbproxy_engine::PinReason;

use super::act::{Act, Deed, Ending, Freed, Shown, Victim};
use super::class::Kind;
use super::classify::Classifier;
use super::lexer::Token;
use super::scan::Lower;
use super::tokens::{is, Tokens};

impl Classifier<'_> {
    pub(super) fn kind(&mut self, lead: &[u8]) -> Kind {
        let mut tokens = Tokens::of(&self.lexer);
        match Lower::of(lead).as_bytes() {
            b"select" | b"with" | b"values" | b"table" | b"do" | b"help" | b"checksum"
            | b"explain" | b"describe" | b"desc" => Kind::Read,
            b"insert" | b"replace" | b"update" | b"delete" => Kind::Write,
            b"show" => self.show(tokens),
            b"create" => self.create(tokens),
            b"alter" => self.alter(tokens),
            b"drop" => self.drop(tokens),
            b"grant" | b"revoke" => self.acting(Act::Account, Kind::Define),
            b"rename" if tokens.word(&["user"]) => self.acting(Act::Account, Kind::Define),
            b"analyze" | b"cache" | b"check" | b"import" | b"install" | b"optimize" | b"rename"
            | b"repair" | b"truncate" | b"uninstall" => Kind::Define,
            b"change" | b"purge" | b"reset" | b"stop" => {
                self.acting(Act::Replication, Kind::Define)
            }
            b"start" if tokens.word(&["transaction"]) => self.begin(),
            b"start" => self.acting(Act::Replication, Kind::Define),
            b"begin" => self.begin_or_block(tokens),
            b"commit" => {
                let ending = ending(&mut tokens);
                self.acting(Act::Commit(ending), Kind::Commit)
            }
            b"rollback" => self.rollback(tokens),
            b"savepoint" => self.acting(Act::Savepoint, Kind::Neutral),
            b"release" if tokens.word(&["savepoint"]) => {
                self.acting(Act::ReleaseSavepoint, Kind::Neutral)
            }
            b"use" => self.acting(Act::Use, Kind::Neutral),
            b"flush" => self.flush(tokens),
            b"lock" => self.lock(tokens),
            b"unlock" => {
                if tokens.word(&["tables", "table"]) && tokens.end() {
                    self.frees(PinReason::LockedTables, Freed::All);
                }
                self.ending(PinReason::LockedTables, Kind::Settle)
            }
            b"backup" => {
                self.class.ends(PinReason::LockedTables);
                self.pinning(PinReason::LockedTables, Kind::Define)
            }
            b"handler" => self.handler(tokens),
            b"xa" => self.xa(tokens),
            b"load" => self.load(tokens),
            b"call" => self.call(),
            b"get" => {
                self.class.asks.diagnostics = true;
                self.seen.diagnoses = true;
                Kind::Neutral
            }
            b"signal" | b"resignal" => Kind::Neutral,
            b"kill" => self.kill(tokens),
            b"prepare" => {
                // Its text may stand in a string.
                self.class.asks.user_variables = true;
                self.pinning(PinReason::SqlPrepare, Kind::Neutral)
            }
            // What it runs may leave anything.
            b"execute" => {
                self.class.pin(PinReason::SqlPrepare);
                self.pinning(PinReason::Untracked, Kind::Unknown)
            }
            b"deallocate" => self.ending(PinReason::SqlPrepare, Kind::Neutral),
            b"shutdown" | b"restart" => self.acting(Act::Shutdown, Kind::Unknown),
            b"binlog" | b"clone" => self.pinning(PinReason::Untracked, Kind::Unknown),
            _ => self.unclassified(),
        }
    }

    pub(super) fn unclassified(&mut self) -> Kind {
        self.pinning(PinReason::Unclassified, Kind::Unknown)
    }

    fn pinning(&mut self, reason: PinReason, kind: Kind) -> Kind {
        self.class.pin(reason);
        kind
    }

    fn ending(&mut self, reason: PinReason, kind: Kind) -> Kind {
        self.class.ends(reason);
        kind
    }

    fn takes(&mut self, reason: PinReason) {
        self.act(Act::Deed(Deed::Takes(reason)));
    }

    fn frees(&mut self, reason: PinReason, freed: Freed) {
        self.act(Act::Deed(Deed::Frees(reason, freed)));
    }

    fn acting(&mut self, act: Act, kind: Kind) -> Kind {
        self.act(act);
        kind
    }

    fn show(&mut self, mut tokens: Tokens<'_>) -> Kind {
        let counts = tokens.word(&["count"]);
        if counts {
            // `(*)`
            (0..3).for_each(|_| tokens.step());
        }
        let warnings = tokens.is(&["warnings"]);
        let of_the_last = warnings || tokens.is(&["errors"]);
        self.class.asks.warnings |= of_the_last;
        self.class.asks.diagnostics |= tokens.is(&["profile", "profiles"]);
        self.seen.diagnoses = of_the_last;
        if of_the_last {
            tokens.step();
            self.act(Act::Show(match (counts, warnings) {
                _ if !tokens.end() => Shown::Part,
                (true, true) => Shown::CountOfWarnings,
                (true, false) => Shown::CountOfErrors,
                (false, true) => Shown::Warnings,
                (false, false) => Shown::Errors,
            }));
        }
        Kind::Read
    }

    fn create(&mut self, mut tokens: Tokens<'_>) -> Kind {
        while !tokens.end() {
            match tokens.next {
                Some(Token::Word(word)) if is(word, &ROUTINES) => return self.routine(),
                Some(Token::Word(word)) if is(word, &["temporary"]) => {
                    tokens.step();
                    let kind = temporary(&tokens);
                    if tokens.word(&["table"]) && !tokens.is(&["if"]) {
                        self.takes(PinReason::TemporaryObject);
                    }
                    return self.pinning(PinReason::TemporaryObject, kind);
                }
                Some(Token::Word(word)) if is(word, &["user", "role"]) => {
                    return self.acting(Act::Account, Kind::Define);
                }
                // It may be called like anything.
                Some(Token::Equal) => tokens.step(),
                Some(Token::Word(word)) if is(word, &OBJECTS) => return Kind::Define,
                _ => {}
            }
            tokens.step();
        }
        Kind::Define
    }

    /// The body of a routine has statements of its own: whether the text goes on behind it isn't looked for.
    fn routine(&mut self) -> Kind {
        let several = self.lexer.dialect.multi_statements;
        let mut semicolon = false;
        while let Some(token) = self.lexer.next() {
            if semicolon && several {
                self.unknown = Some(PinReason::Unclassified);
            }
            semicolon |= token == Token::Semicolon;
        }
        Kind::Define
    }

    fn alter(&mut self, mut tokens: Tokens<'_>) -> Kind {
        if tokens.word(&["definer"]) || tokens.is(&["event"]) {
            return self.routine();
        }
        match tokens.is(&["user", "role"]) {
            true => self.acting(Act::Account, Kind::Define),
            false => Kind::Define,
        }
    }

    fn drop(&mut self, mut tokens: Tokens<'_>) -> Kind {
        match () {
            () if tokens.is(&["prepare"]) => self.ending(PinReason::SqlPrepare, Kind::Neutral),
            () if tokens.word(&["temporary"]) => {
                let kind = temporary(&tokens);
                if let Some(freed) = dropped(&mut tokens) {
                    self.frees(PinReason::TemporaryObject, freed);
                }
                self.ending(PinReason::TemporaryObject, kind)
            }
            () if tokens.is(&["user", "role"]) => self.acting(Act::Account, Kind::Define),
            () => self.ending(PinReason::TemporaryObject, Kind::Define),
        }
    }

    fn begin(&mut self) -> Kind {
        self.class.ends(PinReason::LockedTables);
        self.acting(Act::Begin, Kind::Begin)
    }

    /// BEGIN, or MariaDB's `BEGIN NOT ATOMIC`, whose statements aren't looked at.
    fn begin_or_block(&mut self, mut tokens: Tokens<'_>) -> Kind {
        if tokens.words(&["not", "atomic"]) {
            self.unknown = Some(PinReason::Untracked);
            return Kind::Unknown;
        }
        tokens.word(&["work"]);
        match tokens.end() {
            true => self.begin(),
            false => self.unclassified(),
        }
    }

    fn rollback(&mut self, mut tokens: Tokens<'_>) -> Kind {
        let ending = ending(&mut tokens);
        match tokens.is(&["to"]) {
            true => self.acting(Act::RollbackTo, Kind::Neutral),
            false => self.acting(Act::Rollback(ending), Kind::Rollback),
        }
    }

    /// Some keep a lock.
    fn flush(&mut self, mut tokens: Tokens<'_>) -> Kind {
        while !tokens.end() {
            if tokens.is(&["lock", "export"]) {
                self.class.pin(PinReason::LockedTables);
            }
            tokens.step();
        }
        self.ending(PinReason::Handler, Kind::Define)
    }

    fn lock(&mut self, tokens: Tokens<'_>) -> Kind {
        if tokens.is(&["tables", "table"]) {
            self.takes(PinReason::LockedTables);
        }
        match tokens.is(&["instance"]) {
            true => self.pinning(PinReason::LockedTables, Kind::Neutral),
            false => self.pinning(PinReason::LockedTables, Kind::Settle),
        }
    }

    /// `HANDLER t OPEN`, `HANDLER d.t OPEN AS h`, `HANDLER h CLOSE`; a name may be any word.
    fn handler(&mut self, mut tokens: Tokens<'_>) -> Kind {
        let name = tokens.name();
        while tokens.token(Token::Dot) {
            let _ = tokens.name();
        }
        match () {
            () if tokens.is(&["close"]) => {
                self.frees(PinReason::Handler, Freed::So(1));
                self.ending(PinReason::Handler, Kind::Neutral)
            }
            () if tokens.is(&["read"]) && name.is_some() => Kind::Read,
            () => {
                if tokens.is(&["open"]) {
                    self.takes(PinReason::Handler);
                }
                self.pinning(PinReason::Handler, Kind::Neutral)
            }
        }
    }

    fn xa(&mut self, tokens: Tokens<'_>) -> Kind {
        match () {
            () if tokens.is(&["recover"]) => Kind::Read,
            () if tokens.is(&["commit", "rollback"]) => {
                self.frees(PinReason::XaTransaction, Freed::Whatever);
                self.ending(PinReason::XaTransaction, Kind::Unknown)
            }
            () => self.pinning(PinReason::XaTransaction, Kind::Unknown),
        }
    }

    fn load(&mut self, tokens: Tokens<'_>) -> Kind {
        match tokens.is(&["index"]) {
            true => Kind::Define,
            false => self.acting(Act::Load, Kind::Write),
        }
    }

    fn call(&mut self) -> Kind {
        self.class.dirty = true;
        Kind::Unknown
    }

    fn kill(&mut self, mut tokens: Tokens<'_>) -> Kind {
        tokens.word(&["hard", "soft"]);
        let query = tokens.word(&["query"]);
        let _ = query || tokens.word(&["connection"]);
        let victim = match () {
            () if tokens.is(&["id", "user"]) => Victim::Other,
            () if query => Victim::Query,
            () => Victim::Connection,
        };
        let number = tokens.whole().filter(|_| tokens.end());
        self.acting(Act::Kill(victim, number), Kind::Neutral)
    }
}

/// `TABLE [IF EXISTS] a, b`: how many tables are dropped, if all are.
fn dropped(tokens: &mut Tokens<'_>) -> Option<Freed> {
    if !tokens.word(&["table", "tables"]) {
        return None;
    }
    let doubts = tokens.words(&["if", "exists"]);
    let mut many = 0_u16;
    loop {
        tokens.name()?;
        while tokens.token(Token::Dot) {
            tokens.name()?;
        }
        many = many.checked_add(1)?;
        if !tokens.token(Token::Comma) {
            break;
        }
    }
    tokens.word(&["restrict", "cascade"]);
    match (doubts, many) {
        _ if !tokens.end() => None,
        (false, many) => Some(Freed::So(many)),
        (true, 1) => Some(Freed::IfChanged),
        (true, _) => None,
    }
}

/// Of temporary tables; MariaDB's temporary sequences commit as others do.
fn temporary(tokens: &Tokens<'_>) -> Kind {
    match tokens.is(&["table", "tables"]) {
        true => Kind::Temporary,
        false => Kind::Define,
    }
}

/// What has a body of statements.
const ROUTINES: [&str; 5] = ["event", "function", "package", "procedure", "trigger"];

/// Behind these words CREATE makes none of those.
const OBJECTS: [&str; 11] = [
    "database",
    "index",
    "logfile",
    "resource",
    "schema",
    "sequence",
    "server",
    "spatial",
    "table",
    "tablespace",
    "view",
];

/// `[WORK] [AND [NO] CHAIN] [[NO] RELEASE]`.
fn ending(tokens: &mut Tokens<'_>) -> Ending {
    let mut ending = Ending::default();
    tokens.word(&["work"]);
    if tokens.word(&["and"]) {
        let no = tokens.word(&["no"]);
        ending.chain = tokens.word(&["chain"]) && !no;
    }
    let no = tokens.word(&["no"]);
    ending.release = tokens.word(&["release"]) && !no;
    ending
}
