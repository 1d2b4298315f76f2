//! What a server reports about itself (ParameterStatus), and the difference between two reports.
//! Values are in the client's encoding, and stay as they came.

/// So many parameters, and so many bytes of their names and values, one server may report: some twenty
/// in a few hundred bytes is what they do. Whatever is looked up or copied here stays cheap.
const MOST: usize = 128;
const LARGEST: usize = 64 * 1024;

/// A server reports more than any does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TooMany;

/// Names and values in the order of their first report; `application_name` is not among them: it
/// belongs to the client, unless that has none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Params {
    entries: Vec<(Box<str>, Box<[u8]>)>,
    own_name: Box<str>,
    literal: bool,
    ascii_safe: bool,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            own_name: Box::default(),
            literal: true,
            ascii_safe: true,
        }
    }
}

impl Params {
    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.entries.iter().map(|(name, value)| (&**name, &**value))
    }

    /// One value.
    pub fn value(&self, name: &str) -> Option<&[u8]> {
        self.iter()
            .find(|entry| entry.0 == name)
            .map(|entry| entry.1)
    }

    /// Whether a backslash in a plain literal is a backslash.
    pub(crate) fn standard_conforming_strings(&self) -> bool {
        self.literal
    }

    /// Whether every ASCII byte of a text in the client's encoding is that character, as opposed to
    /// the second half of another one.
    pub(crate) fn ascii_safe(&self) -> bool {
        self.ascii_safe
    }

    /// Whether the server may be a standby. One that reports (from version 14 on) that it is none stays
    /// none while its connections live: what it refuses to write then, the transaction or the
    /// settings of the session forbid.
    pub(crate) fn may_be_standby(&self) -> bool {
        self.value("in_hot_standby") != Some(b"off")
    }

    /// The `application_name` that a session has by itself: by the options in its startup packet, by
    /// settings of role or database, by the init query. Every server cleans it to ASCII.
    pub(crate) fn own_name(&self) -> &str {
        &self.own_name
    }

    /// The server reports that name.
    pub(crate) fn set_own_name(&mut self, name: &[u8]) {
        self.own_name = String::from_utf8_lossy(name).into();
    }

    /// Takes in one report, unless it is one too many.
    pub(crate) fn set(&mut self, name: &str, value: &[u8]) -> Result<(), TooMany> {
        let known = self.entries.iter().position(|entry| &*entry.0 == name);
        let others = self.iter().filter(|entry| entry.0 != name);
        let bytes: usize = others.map(|(name, value)| name.len() + value.len()).sum();
        if bytes + name.len() + value.len() > LARGEST
            || known.is_none() && self.entries.len() == MOST
        {
            return Err(TooMany);
        }
        match known.and_then(|index| self.entries.get_mut(index)) {
            Some(entry) => entry.1 = value.into(),
            None => self.entries.push((name.into(), value.into())),
        }
        match name {
            "standard_conforming_strings" => self.literal = value == b"on",
            "client_encoding" => self.ascii_safe = ascii_safe(value),
            _ => {}
        }
        Ok(())
    }
}

/// The encodings that only clients may use; all of a server's own are safe.
fn ascii_safe(encoding: &[u8]) -> bool {
    let unsafe_ones = [
        "BIG5",
        "GB18030",
        "GBK",
        "JOHAB",
        "SJIS",
        "SHIFT_JIS_2004",
        "UHC",
    ];
    !unsafe_ones
        .iter()
        .any(|name| encoding.eq_ignore_ascii_case(name.as_bytes()))
}
