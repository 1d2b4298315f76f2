//! LISTEN, UNLISTEN and NOTIFY in one session of the model PostgreSQL: they count at the commit, and
//! what it hears is told while it is idle, or before the ReadyForQuery that ends its transaction.

use std::collections::BTreeSet;

use super::{Session, Status};
use crate::notes::Note;
use crate::postgres::wire;
use crate::witness::{Token, Witness};

#[derive(Default)]
pub struct Channels {
    listens: BTreeSet<String>,
    /// Of the open transaction, and how much of it a savepoint keeps.
    changes: Vec<Change>,
    notes: Vec<(String, String)>,
    savepoint: (usize, usize),
    /// Heard, and not told yet; and who notified it.
    heard: Vec<(u32, Note)>,
}

enum Change {
    /// `true`: it listens from then on, by that request.
    One(String, bool, Option<Token>),
    None,
}

impl Channels {
    pub fn is_empty(&self) -> bool {
        self.listens.is_empty()
    }

    pub fn save(&mut self) {
        self.savepoint = (self.changes.len(), self.notes.len());
    }

    pub fn undo_to_savepoint(&mut self) {
        self.changes.truncate(self.savepoint.0);
        self.notes.truncate(self.savepoint.1);
    }

    pub fn undo(&mut self) {
        self.changes.clear();
        self.notes.clear();
    }
}

impl Session {
    /// LISTEN, UNLISTEN or NOTIFY.
    pub(super) fn speak_of_channel(
        &mut self,
        (verb, sql): (&str, &str),
        token: Option<Token>,
        read_only: bool,
    ) -> bool {
        if read_only && verb != "UNLISTEN" {
            let text = format!("db: cannot execute {verb} during recovery");
            return self.fail("25006", &text);
        }
        let name = sql.split([' ', ',']).nth(1).unwrap_or_default();
        let name = name.trim_matches('"').to_owned();
        match verb {
            "NOTIFY" => {
                let payload = sql.split('\'').nth(1).unwrap_or_default();
                self.channels.notes.push((name, payload.to_owned()));
            }
            _ if name == "*" => self.channels.changes.push(Change::None),
            _ => {
                let change = Change::One(name, verb == "LISTEN", token);
                self.channels.changes.push(change);
            }
        }
        self.complete(verb)
    }

    pub(super) fn commit_channels(&mut self, witness: &mut Witness) {
        for change in std::mem::take(&mut self.channels.changes) {
            match change {
                Change::One(name, true, token) => {
                    self.channels.listens.insert(name);
                    // What the proxy has it listen to, for its client to see, is that client's own.
                    if let Some(token) = token {
                        self.owner = format!("t{token}");
                    }
                }
                Change::One(name, false, _) => {
                    self.channels.listens.remove(&name);
                }
                Change::None => self.channels.listens.clear(),
            }
            if self.channels.is_empty() && !self.holding.is_used() {
                self.owner = "-".into();
            }
        }
        let place = (self.database, self.database_name.clone());
        for (channel, payload) in std::mem::take(&mut self.channels.notes) {
            let place = place.clone();
            let note = Note {
                place,
                channel,
                payload,
            };
            witness.notes.publish(note.clone());
            self.channels.heard.push((self.pid(), note.clone()));
            self.published.push((self.pid(), note));
        }
    }

    /// Another session has notified.
    pub fn hear(&mut self, pid: u32, note: &Note) {
        let here = note.place == (self.database, self.database_name.clone());
        if here && self.channels.listens.contains(&note.channel) {
            self.channels.heard.push((pid, note.clone()));
        }
        if self.is_quiet() {
            self.tell_heard();
        }
    }

    /// Nothing is asked of it.
    fn is_quiet(&self) -> bool {
        let busy = self.answering || self.sleeping.is_some() || self.is_endless();
        self.status == Status::Idle && !busy && self.inbox.is_empty()
    }

    pub(super) fn tell_heard(&mut self) {
        for (pid, note) in std::mem::take(&mut self.channels.heard) {
            if self.channels.listens.contains(&note.channel) {
                self.out.extend(told(pid, &note.channel, &note.payload));
            }
        }
    }

    /// A notification on each of its channels.
    pub fn notification(&self) -> Vec<u8> {
        let listens = self.channels.listens.iter();
        let told = listens.map(|channel| told(self.pid(), channel, &self.owner));
        told.flatten().collect()
    }
}

fn told(pid: u32, channel: &str, payload: &str) -> Vec<u8> {
    let mut body = pid.to_be_bytes().to_vec();
    body.extend(wire::texts(&[channel, payload]));
    wire::message(b'A', &body)
}
