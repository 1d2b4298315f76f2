//! One client's judgement: whether what it hears is what it must hear.

mod errors;

use std::collections::VecDeque;

use crate::cancels::Cancels;
use crate::postgres::answers;
use crate::postgres::holding::Holding;
use crate::postgres::listening::{Listening, Outcome};
use crate::postgres::prepared::{Prepared, WRITES};
use crate::postgres::script::{Expect, Kind, Mood};
use crate::postgres::setting::Setting;
use crate::postgres::wire;
use crate::witness::{Token, Witness, PER_CLIENT};

#[derive(Debug)]
pub struct Judge {
    id: u64,
    expects: VecDeque<Expect>,
    status: u8,
    /// What was written in the open transaction, and where it runs.
    transaction: Vec<Token>,
    backend: Option<String>,
    /// Its last insert in that transaction.
    inserted: Option<Token>,
    /// The answer since the last ReadyForQuery.
    heard: Vec<u8>,
    parsed: usize,
    rows: Option<String>,
    tag: String,
    error: Option<(String, String)>,
    setting: Setting,
    holding: Holding,
    prepared: Prepared,
    listening: Listening,
    /// Session state was left on the backend.
    pinned: bool,
    cancels: Cancels,
    nonsense: bool,
    fatal: Option<String>,
}

impl Judge {
    pub fn new(id: u64) -> Self {
        Self {
            id,
            expects: VecDeque::new(),
            status: b'I',
            transaction: Vec::new(),
            backend: None,
            inserted: None,
            heard: Vec::new(),
            parsed: 0,
            rows: None,
            tag: String::new(),
            error: None,
            setting: Setting::default(),
            holding: Holding::default(),
            prepared: Prepared::default(),
            listening: Listening::new(id),
            pinned: false,
            cancels: Cancels::default(),
            nonsense: false,
            fatal: None,
        }
    }

    /// A new connection of the same client.
    pub fn begin(&mut self) {
        *self = Self::new(self.id);
    }

    /// What its client has set.
    pub fn setting(&self) -> &str {
        self.setting.now()
    }

    pub fn mood(&self) -> Mood {
        match self.status {
            b'T' => Mood::Transaction,
            b'E' => Mood::Failed,
            _ => Mood::Idle,
        }
    }

    /// What it holds.
    pub fn holding(&self) -> &Holding {
        &self.holding
    }

    /// What it has prepared by SQL.
    pub fn prepared(&self) -> &Prepared {
        &self.prepared
    }

    pub fn ask(&mut self, expects: Vec<Expect>, witness: &Witness) {
        self.listening.ask(expects.len(), witness);
        self.pinned |= expects.iter().any(|expect| expect.kind.pins());
        self.expects.extend(expects);
    }

    pub fn cancelled(&mut self) {
        self.cancels.begin();
    }

    /// A cancel's connection was closed: it strikes nothing that is asked from here on.
    pub fn cancel_over(&mut self) {
        self.cancels.end(self.expects.len());
    }

    pub fn talked_nonsense(&mut self) {
        self.nonsense = true;
    }

    /// Answers that are owed.
    pub fn owed(&self) -> usize {
        self.expects.len()
    }

    /// The COPY IN that is to be sent now, and whether it shall fail.
    pub fn copying(&self) -> Option<(Token, bool)> {
        let expect = self.expects.front()?;
        match expect.kind {
            Kind::CopyIn { fails } => Some((*expect.tokens.first()?, fails)),
            _ => None,
        }
    }

    fn fault(&self, witness: &mut Witness, text: String) {
        witness.violation(format!("client {}: {text}", self.id));
    }

    /// Takes in a message; true when the database waits for COPY data.
    pub fn hear(&mut self, message: &[u8], witness: &mut Witness) -> bool {
        let lost = match message[0] {
            b'S' | b'N' => None,
            b'E' => self
                .listening
                .next(wire::error_fields(message).0 == "57P01"),
            _ => self.listening.next(false),
        };
        if let Some(text) = lost {
            self.fault(witness, text);
        }
        match message[0] {
            b'S' | b'N' | b'3' => return false,
            b'1' => {
                self.parsed += 1;
                return false;
            }
            b'A' => {
                if let Some(text) = self.listening.hear(message, self.status, witness) {
                    self.fault(witness, text);
                }
                return false;
            }
            b'Z' => {
                self.ready(message[5], witness);
                return false;
            }
            _ => {}
        }
        if self.expects.is_empty() && message[0] != b'E' {
            self.fault(
                witness,
                format!("unasked for: {:?}", char::from(message[0])),
            );
        }
        match message[0] {
            b'E' => {
                let (code, text) = wire::error_fields(message);
                let fatal = message.windows(6).any(|part| part == b"SFATAL");
                if fatal {
                    self.fatal = Some(code.clone());
                }
                if !text.starts_with("db:") || fatal {
                    self.judge_error(&code, &text, witness);
                } else {
                    self.judge_cancel(&code, witness);
                    self.heard.extend(message);
                }
                self.error = Some((code, text));
                return false;
            }
            b'D' => self.row(message, witness),
            b'C' => {
                self.listening.completed();
                self.tag = wire::text_at(&message[5..]).to_owned();
            }
            _ => {}
        }
        self.heard.extend(message);
        message[0] == b'G'
    }

    fn is_mine(&self, text: &str) -> bool {
        let token = text.strip_prefix('t').and_then(|t| t.parse::<u64>().ok());
        token.is_some_and(|token| token / PER_CLIENT == self.id)
    }

    fn row(&mut self, message: &[u8], witness: &mut Witness) {
        let values = wire::values(message);
        let [session, token, owner, setting] = values.as_slice() else {
            return self.fault(witness, format!("a strange row: {values:?}"));
        };
        let expected = self.expects.front().map(|e| e.tokens.as_slice());
        let number = token.strip_prefix('t').and_then(|t| t.parse().ok());
        let asked = number.is_some_and(|n| expected.unwrap_or_default().contains(&n));
        if !asked {
            self.fault(witness, format!("a row of {token}, expected {expected:?}"));
        }
        if owner != "-" && !self.is_mine(owner) {
            self.fault(witness, format!("another's session state: {owner}"));
        }
        witness.unpinned += u64::from(self.holding.was_unpinned(session));
        let held = self.holding.contradicts(session);
        for text in self.setting.contradicts(setting).into_iter().chain(held) {
            self.fault(witness, text);
        }
        let asks = self.expects.front().map(|expect| expect.kind) == Some(Kind::Sequence);
        let inserted = self.inserted.filter(|_| asks);
        if inserted.is_some_and(|mine| *owner != format!("t{mine}")) {
            self.fault(
                witness,
                format!("inserted {inserted:?}, lastval of {owner}"),
            );
        }
        if self.status == b'T' {
            match &self.backend {
                Some(before) if before != session => {
                    let text = format!("transaction moved from {before} to {session}");
                    self.fault(witness, text);
                }
                _ => self.backend = Some(session.clone()),
            }
        }
        self.rows = Some(session.clone());
    }

    fn ready(&mut self, status: u8, witness: &mut Witness) {
        let Some(expect) = self.expects.pop_front() else {
            return self.fault(witness, "a ReadyForQuery too many".into());
        };
        self.cancels.answered();
        witness.answered += 1;
        let error = self.error.take();
        let parsed = std::mem::take(&mut self.parsed);
        if parsed > expect.parses || parsed < expect.parses && error.is_none() {
            self.fault(witness, format!("{expect:?}: {parsed} were parsed"));
        }
        let heard = std::mem::take(&mut self.heard);
        if let Some(text) = answers::differ(&expect, &heard, error.as_ref(), witness) {
            self.fault(witness, text);
        }
        let session = self.rows.take();
        let ended = status == b'I';
        let kept = self.tag == "COMMIT" || self.status == b'I' && error.is_none();
        let held = (session.as_deref(), error.as_ref());
        if let Some(text) = self.holding.answered(&expect, held, ended, kept) {
            self.fault(witness, text);
        }
        let code = error.map(|(code, _)| code);
        let said = self
            .prepared
            .answered(&expect, code.as_deref(), self.setting.now());
        if let Some(text) = said {
            self.fault(witness, text);
        }
        self.setting.answered(&expect, code.is_none(), ended, kept);
        let produced = expect.tokens.first().and_then(|t| witness.produced.get(t));
        let outcome = Outcome {
            succeeded: code.is_none(),
            before: self.status,
            status,
            kept,
            server: produced.map(|produced| produced.database),
        };
        if let Some(text) = self.listening.answered(&expect, &outcome, witness) {
            self.fault(witness, text);
        }
        witness.heard += std::mem::take(&mut self.listening.heard);
        self.settle(&expect, status, code.as_deref(), session, witness);
        self.status = status;
        self.tag.clear();
    }

    /// What the answer says of commits.
    fn settle(
        &mut self,
        expect: &Expect,
        status: u8,
        error: Option<&str>,
        session: Option<String>,
        witness: &mut Witness,
    ) {
        let place = |name: &str| {
            let digits = name.strip_prefix("db").and_then(|n| n.split('-').next());
            digits.and_then(|n| n.parse::<usize>().ok())
        };
        let produced = expect.tokens.first().and_then(|t| witness.produced.get(t));
        let here = session
            .as_deref()
            .and_then(place)
            .or(produced.map(|p| p.database));
        let inserts = matches!(expect.kind, Kind::Write | Kind::Execute(WRITES));
        let writes = inserts || matches!(expect.kind, Kind::Pop | Kind::CopyIn { .. });
        if inserts && status == b'T' {
            self.inserted = expect.tokens.last().copied();
        }
        if let (Kind::Sequence, Some("55000"), Some(mine)) = (expect.kind, error, self.inserted) {
            self.fault(witness, format!("its own value was lost, inserted {mine}"));
        }
        match (self.status, status) {
            // What the database says of an error leaves open how far it came.
            (b'I', b'I') if expect.kind == Kind::Call => match error {
                None => witness.acknowledge(here.unwrap_or(0), &expect.tokens),
                Some("40001") => witness.deny(&expect.tokens),
                Some(_) => {}
            },
            (b'I', b'I') if writes && error.is_some() => witness.deny(&expect.tokens),
            (b'I', b'I') if writes => witness.acknowledge(here.unwrap_or(0), &expect.tokens),
            (_, b'T') if writes => self.transaction.extend(&expect.tokens),
            (_, b'T' | b'E') => {}
            (b'T' | b'E', _) if expect.kind == Kind::Commit && self.tag == "COMMIT" => {
                let first = self
                    .transaction
                    .first()
                    .and_then(|t| witness.produced.get(t));
                let first = first.map(|p| p.database);
                if let Some(here) = self.backend.as_deref().and_then(place).or(first) {
                    witness.acknowledge(here, &self.transaction);
                }
            }
            (b'T' | b'E', _) if matches!(expect.kind, Kind::Commit | Kind::Rollback) => {
                // A COMMIT fails when its transaction was lost before.
                let refused = expect.kind == Kind::Commit && error == Some("40001");
                // Drivers don't look whether a COMMIT was answered with ROLLBACK: it must be known.
                let silent = expect.kind == Kind::Commit && self.status == b'T' && !refused;
                if silent || self.tag != "ROLLBACK" && !refused {
                    let text = format!("{:?} answered {:?} {error:?}", expect.kind, self.tag);
                    self.fault(witness, text);
                }
                witness.deny(&self.transaction);
            }
            (b'T' | b'E', _) => {
                self.fault(witness, format!("{expect:?} ended the transaction"));
            }
            _ => {}
        }
        if status == b'E' {
            let lost = std::mem::take(&mut self.transaction);
            witness.deny(&lost);
            if writes {
                witness.deny(&expect.tokens);
            }
        }
        if status == b'I' {
            self.transaction.clear();
            self.backend = None;
            self.inserted = None;
        }
    }

    /// The connection ended without the client's doing.
    pub fn closed(&mut self, logged_in: bool, excused: bool, witness: &mut Witness) {
        let reason = self.fatal.take();
        let asked = !self.expects.is_empty() || self.status != b'I';
        if excused || self.nonsense || !logged_in || reason.is_some() || asked || self.pinned {
            return;
        }
        self.fault(witness, "an idle client was closed without a word".into());
    }
}
