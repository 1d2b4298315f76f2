//! What lives in one session of a database, and binds its client to that while it does: advisory locks
//! and a cursor that outlives its transaction.

use crate::postgres::script::{Expect, Kind, Mood, Script};

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
enum Cursor {
    #[default]
    None,
    /// Declared in the open transaction.
    New,
    Held,
}

/// What a client holds, as it was told.
#[derive(Clone, Default, Debug)]
pub struct Holding {
    locks: u32,
    cursor: Cursor,
    /// The session that it last held something in.
    session: Option<String>,
}

impl Holding {
    fn is_empty(&self) -> bool {
        self.locks == 0 && self.cursor == Cursor::None
    }

    /// Whether it is served by another session than that in which it held something.
    pub fn was_unpinned(&mut self, session: &str) -> bool {
        let elsewhere = |held: &mut String| *held != session;
        self.is_empty() && self.session.take_if(elsewhere).is_some()
    }

    /// What is wrong with being served by that session, if something is.
    pub fn contradicts(&self, session: &str) -> Option<String> {
        let held = self.session.as_deref().filter(|_| !self.is_empty())?;
        (held != session).then(|| format!("served by {session}, and holds {self:?}"))
    }

    /// A request was answered, by a row of that session if it has one, or with that error. `ended`: no
    /// transaction is open; `kept`: and what was done in it is committed. Says what is wrong with that.
    pub fn answered(
        &mut self,
        expect: &Expect,
        (session, error): (Option<&str>, Option<&(String, String)>),
        ended: bool,
        kept: bool,
    ) -> Option<String> {
        let before = self.clone();
        match expect.kind {
            _ if error.is_some() => {}
            Kind::Lock => {
                self.locks += 1;
                self.session = session.map(Into::into);
            }
            Kind::Unlock => self.locks -= 1,
            Kind::Declare => {
                if self.is_empty() {
                    // No row says which session it is in.
                    self.session = None;
                }
                self.cursor = Cursor::New;
            }
            Kind::Close => self.cursor = Cursor::None,
            Kind::Fetch => self.session = session.map(Into::into),
            _ => {}
        }
        if ended && self.cursor == Cursor::New {
            self.cursor = if kept { Cursor::Held } else { Cursor::None };
        }
        let uses = matches!(expect.kind, Kind::Unlock | Kind::Fetch | Kind::Close);
        let theirs = error.filter(|(_, text)| uses && text.starts_with("db:"))?;
        Some(format!("{expect:?} failed with {theirs:?}, {before:?}"))
    }
}

impl Kind {
    /// Whether it may bind the session to its backend, or what is parsed behind it may.
    pub fn pins(self) -> bool {
        let binds = [Self::Sequence, Self::Lock, Self::TryLock];
        let others = [Self::SetLocal, Self::Declare];
        let by_sql = matches!(self, Self::Prepare { .. } | Self::Execute(_));
        let names = matches!(
            self,
            Self::Deallocate(_) | Self::DeallocateAll | Self::Listen(_)
        );
        by_sql || names || binds.contains(&self) || others.contains(&self)
    }
}

impl Script<'_> {
    /// Takes, uses or gives back something that binds it to its session.
    pub fn hold(&mut self, mood: Mood) {
        let holding = self.holding.clone();
        let token = self.token();
        let (sql, kind) = match self.random.below(4) {
            0 if holding.cursor != Cursor::None => ("FETCH c /* ? */", Kind::Fetch),
            1 if holding.cursor != Cursor::None => ("CLOSE c /* ? */", Kind::Close),
            0 | 1 if mood == Mood::Transaction && holding.cursor == Cursor::None => {
                ("DECLARE c CURSOR WITH HOLD FOR SELECT ?", Kind::Declare)
            }
            2 if holding.locks > 0 => ("SELECT pg_advisory_unlock(1), ?", Kind::Unlock),
            3 => ("SELECT pg_try_advisory_lock(2), ?", Kind::TryLock),
            _ if holding.locks > 1 => ("SELECT pg_advisory_unlock(1), ?", Kind::Unlock),
            _ => ("SELECT pg_advisory_lock(1), ?", Kind::Lock),
        };
        let sql = sql.replace('?', &format!("'t{token}'"));
        let rows = !matches!(kind, Kind::Declare | Kind::Close);
        if self.random.one_in(2) {
            self.simple(&sql);
        } else {
            self.extended(&sql, rows);
            self.sync();
        }
        self.expect(vec![token], kind);
    }
}
