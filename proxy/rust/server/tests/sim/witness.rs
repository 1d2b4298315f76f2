//! What everybody saw: the model databases write down what they did, the clients what they were
//! told, and whatever doesn't fit together is a violation.
//!
//! Every request carries a token of its own (`t` and a number) that names its client.

use std::collections::{BTreeMap, BTreeSet};

use dbproxy_driver::{Duration, Time};
use dbproxy_server::Caps;

use crate::notes::Notes;

/// A request's token.
pub type Token = u64;

/// Tokens per client.
pub const PER_CLIENT: u64 = 1_000_000;

/// Whose requests queue together: their user, their database's name, and whether their endpoint
/// writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Class {
    pub user: &'static str,
    pub database: &'static str,
    pub writes: bool,
}

/// The longest that a log-in to a database is under way.
const LOGIN: Duration = Duration::from_secs(15);

/// Somebody that waits for a database.
#[derive(Clone, Debug)]
pub struct Waits {
    pub who: String,
    pub class: Class,
    pub since: Time,
}

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
    /// What was notified.
    pub notes: Notes,
    /// Where each client belongs.
    pub classes: BTreeMap<u64, Class>,
    /// Doors of databases through which nothing of a writing client may come any more.
    pub forbidden: BTreeSet<(usize, usize)>,
    /// Sessions that the network reset and whose database doesn't know yet.
    pub ghosts: BTreeMap<usize, usize>,
    /// The most sessions of ours that each database may have.
    pub budgets: Vec<usize>,
    /// The most of before, and until when connections made under it may still come up.
    pub former_budgets: (Time, Vec<usize>),
    /// The most sessions of one user and in one database, on each database server.
    pub caps: Caps,
    /// Until when something is wrong (or was just now).
    pub trouble_until: Time,
    /// Sessions must have run the init query before they serve anybody.
    pub initialised: bool,
    /// Requests that were seen to come in and to be forwarded in turn.
    pub queued: u64,
    /// Sessions that were the last that their user or database may have.
    pub capped: u64,
    pub acknowledged: u64,
    pub answered: u64,
    pub refused: u64,
    pub unknown: u64,
    pub pinned_lost: u64,
    pub aborted: u64,
    pub cancelled: u64,
    pub idled: u64,
    /// Clients served elsewhere than where they had held something.
    pub unpinned: u64,
    /// Notifications that reached a listener.
    pub heard: u64,
    pub outlived: u64,
    pub drained: u64,
    /// Drains of a writer that is the writer still, somewhere else.
    pub moved: u64,
}

impl Witness {
    pub fn violation(&mut self, text: String) {
        self.violations.push(text);
    }

    /// A database begins with a request, in a session of that database name.
    pub fn executed(&mut self, place: (usize, usize), token: Token, name: &str) {
        let class = self.arrived(place, token);
        if let Some(class) = class.filter(|class| class.database != name) {
            let right = class.database;
            self.violation(format!("t{token} for {right} ran in a session of {name}"));
        }
    }

    /// A request reached a database, by one of its doors; answers whose it is.
    pub fn arrived(&mut self, place: (usize, usize), token: Token) -> Option<Class> {
        let Some(class) = self.classes.get(&(token / PER_CLIENT)).copied() else {
            self.violation(format!("t{token} is nobody's"));
            return None;
        };
        if self.forbidden.contains(&place) && class.writes {
            let (database, door) = place;
            self.violation(format!(
                "t{token} reached db{database} by door {door} after it was drained"
            ));
        }
        Some(class)
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

    /// The desired state allows another number of sessions.
    pub fn allow(&mut self, budgets: Vec<usize>, now: Time) {
        let mut before = std::mem::replace(&mut self.budgets, budgets);
        for (at, budget) in before.iter_mut().enumerate() {
            *budget = (*budget).max(self.former_budget(at, now));
        }
        self.former_budgets = (now.after(LOGIN), before);
    }

    fn former_budget(&self, database: usize, now: Time) -> usize {
        let (until, before) = &self.former_budgets;
        let before = before.get(database).filter(|_| now <= *until);
        before.copied().unwrap_or(0)
    }

    /// Something goes wrong until then.
    pub fn trouble(&mut self, until: Time) {
        self.trouble_until = self.trouble_until.max(until);
    }

    /// A database let one more in.
    pub fn sessions(&mut self, database: usize, open: usize, now: Time) {
        let ghosts = self.ghosts.get(&database).copied().unwrap_or(0);
        let budget = self.budgets[database].max(self.former_budget(database, now));
        if open > budget + ghosts {
            self.violation(format!(
                "db{database}: {open} sessions, budget {budget} (+{ghosts})"
            ));
        }
    }

    /// So many of its sessions are of one user, and so many are in one database.
    pub fn shares(&mut self, database: usize, of_user: usize, of_database: usize) {
        let ghosts = self.ghosts.get(&database).copied().unwrap_or(0);
        let caps = [self.caps.of_user, self.caps.of_database];
        for (open, cap) in [of_user, of_database].into_iter().zip(caps) {
            let Some(cap) = cap.map(|cap| cap as usize) else {
                continue;
            };
            self.capped += u64::from(open == cap);
            if open > cap + ghosts {
                let caps = self.caps;
                self.violation(format!(
                    "db{database}: {of_user} sessions of one user, {of_database} in one database \
                     (+{ghosts}): {caps:?}"
                ));
            }
        }
    }
}

/// The first token in a statement.
pub fn token_in(sql: &str) -> Option<Token> {
    tokens_in(sql).next()
}

/// All tokens in a text.
pub fn tokens_in(text: &str) -> impl Iterator<Item = Token> + '_ {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words.filter_map(|word| word.strip_prefix('t')?.parse().ok())
}
