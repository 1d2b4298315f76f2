//! What everybody saw: the model databases write down what they did, the clients what they were
//! told, and whatever doesn't fit together is a violation.
//!
//! Every request carries a token of its own (`t` and a number) that names its client.

use std::collections::{BTreeMap, BTreeSet};

use dbproxy_driver::Time;

/// A request's token.
pub type Token = u64;

/// Tokens per client.
pub const PER_CLIENT: u64 = 1_000_000;

/// What one request did on a database.
#[derive(Debug)]
pub struct Produced {
    pub database: usize,
    /// All bytes of its answer but ReadyForQuery.
    pub bytes: Vec<u8>,
}

#[derive(Debug, Default)]
pub struct Witness {
    pub violations: Vec<String>,
    pub produced: BTreeMap<Token, Produced>,
    /// Nothing went wrong for longer than a request may wait: none may be refused any more.
    pub calm: bool,
    /// What a request produced that was never complete.
    pub partial: BTreeMap<Token, Vec<u8>>,
    /// Committed tokens, per database.
    pub ledgers: Vec<BTreeSet<Token>>,
    /// Tokens whose clients were told that they are not committed.
    pub denied: BTreeSet<Token>,
    /// Clients of the READ_WRITE endpoint.
    pub writers: BTreeSet<u64>,
    /// Databases that must not hear of a writing client any more.
    pub forbidden: BTreeSet<usize>,
    /// Epochs whose former writer still has connections of ours, as far as the proxy said, and
    /// since when.
    pub undrained: BTreeMap<u64, Time>,
    /// Sessions that the network reset and whose database doesn't know yet.
    pub ghosts: BTreeMap<usize, usize>,
    /// The most sessions of ours that a database may have.
    pub budget: usize,
    pub acknowledged: u64,
    pub answered: u64,
    pub refused: u64,
    pub unknown: u64,
    pub pinned_lost: u64,
    pub aborted: u64,
    pub cancelled: u64,
    pub drained: u64,
}

impl Witness {
    pub fn violation(&mut self, text: String) {
        self.violations.push(text);
    }

    /// A database begins with a request.
    pub fn executed(&mut self, database: usize, token: Token) {
        let client = token / PER_CLIENT;
        if self.forbidden.contains(&database) && self.writers.contains(&client) {
            self.violation(format!(
                "t{token} reached db{database} after it was drained"
            ));
        }
    }

    /// A database has answered a request.
    pub fn answered_by(&mut self, database: usize, token: Token, bytes: Vec<u8>) {
        self.partial.remove(&token);
        let produced = Produced { database, bytes };
        if let Some(before) = self.produced.insert(token, produced) {
            let once = before.database;
            self.violation(format!("t{token} ran twice: db{once}, db{database}"));
        }
    }

    pub fn commit(&mut self, database: usize, token: Token) {
        if self.denied.contains(&token) {
            self.violation(format!(
                "t{token} is committed, its client was told it is not"
            ));
        }
        self.ledgers[database].insert(token);
    }

    /// A client was told that these are committed there.
    pub fn acknowledge(&mut self, database: usize, tokens: &[Token]) {
        for token in tokens {
            self.acknowledged += 1;
            if !self.ledgers[database].contains(token) {
                self.violation(format!("t{token} acknowledged, but not in db{database}"));
            }
        }
    }

    /// A client was told that these are not committed.
    pub fn deny(&mut self, tokens: &[Token]) {
        for token in tokens {
            if self.ledgers.iter().any(|ledger| ledger.contains(token)) {
                self.violation(format!("t{token} denied, but it is committed"));
            }
            self.denied.insert(*token);
        }
    }

    /// A database counts its sessions.
    pub fn sessions(&mut self, database: usize, open: usize) {
        let ghosts = self.ghosts.get(&database).copied().unwrap_or(0);
        if open > self.budget + ghosts {
            let budget = self.budget;
            self.violation(format!(
                "db{database}: {open} sessions, budget {budget} (+{ghosts})"
            ));
        }
    }
}

/// The first token in a statement.
pub fn token_in(sql: &str) -> Option<Token> {
    let mut words = sql.split(|c: char| !c.is_ascii_alphanumeric());
    words.find_map(|word| word.strip_prefix('t')?.parse().ok())
}
