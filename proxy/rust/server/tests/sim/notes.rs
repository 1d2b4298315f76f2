//! What was notified, in the order of commits: in which database of which server, on which channel.

use std::collections::BTreeMap;

/// A database server's number and a database's name there: where a notification is heard.
pub type Place = (usize, String);

#[derive(Clone, Debug)]
pub struct Note {
    pub place: Place,
    pub channel: String,
    /// Each is notified once.
    pub payload: String,
}

/// All of a run.
#[derive(Debug, Default)]
pub struct Notes {
    published: Vec<Note>,
    positions: BTreeMap<String, usize>,
}

impl Notes {
    pub fn publish(&mut self, note: Note) {
        let position = self.published.len();
        self.positions.insert(note.payload.clone(), position);
        self.published.push(note);
    }

    /// How many there were so far.
    pub fn count(&self) -> usize {
        self.published.len()
    }

    /// One and its position.
    pub fn find(&self, payload: &str) -> Option<(usize, &Note)> {
        let position = *self.positions.get(payload)?;
        Some((position, self.published.get(position)?))
    }

    /// The positions from one to another of those on that channel there.
    pub fn between<'a>(
        &'a self,
        (from, to): (usize, usize),
        place: &'a Place,
        channel: &'a str,
    ) -> impl Iterator<Item = usize> + 'a {
        let heard = move |note: &Note| note.place == *place && note.channel == channel;
        (from..to).filter(move |at| self.published.get(*at).is_some_and(heard))
    }
}
