//! What a prepared statement is, whatever it is called.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use dbproxy_engine::Reader;

use crate::settings::Settings;
use crate::statement::{Class, Dialect};

/// The columns of a result, as far as a server compares them.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Rows {
    /// No server said yet.
    #[default]
    Unknown,
    None,
    /// Names, types and modifiers.
    Columns(Box<[u8]>),
}

impl Rows {
    /// Of a RowDescription; `None` if it isn't one. Which table a column is from may change, and how a
    /// name is written with the client's encoding.
    pub(crate) fn described(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let mut columns = Vec::new();
        for _ in 0..reader.u16().ok()? {
            let name = reader.cstr().ok()?;
            columns.extend(name.iter().filter(|_| name.is_ascii()));
            columns.push(0);
            reader.take(6).ok()?;
            columns.extend_from_slice(reader.take(4).ok()?);
            reader.take(2).ok()?;
            columns.extend_from_slice(reader.take(4).ok()?);
            reader.take(2).ok()?;
        }
        reader
            .is_empty()
            .then(|| Self::Columns(columns.into_boxed_slice()))
    }
}

/// What settings have to do with what a server makes of a statement.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Shaped {
    /// Nothing: it begins or ends a transaction.
    Never,
    /// It is analysed again and planned under those of whoever uses it.
    ByUse,
    /// And its literals were read under these.
    ByParse(Arc<Settings>),
}

/// A statement.
#[derive(Debug)]
pub(crate) struct Shared {
    hash: u64,
    text: Box<[u8]>,
    /// So much of the text is `PREPARE name (types) AS`.
    head: usize,
    /// Four bytes for each parameter: those that the client declared or, once a server said, all.
    types: Box<[u8]>,
    rows: Rows,
    shaped: Shaped,
    class: Class,
    /// What the class is right for.
    dialect: Dialect,
}

impl Shared {
    /// As a client declares it. `types`: four bytes for each.
    pub(crate) fn declared(
        text: &[u8],
        types: &[u8],
        shaped: Shaped,
        (class, dialect): (Class, Dialect),
    ) -> Self {
        Self {
            hash: 0,
            text: text.into(),
            head: 0,
            types: types.into(),
            rows: Rows::Unknown,
            shaped,
            class,
            dialect,
        }
        .hashed()
    }

    /// The same, of a text whose first bytes are `PREPARE name (types) AS`.
    pub(crate) fn behind(self, head: usize) -> Self {
        Self { head, ..self }.hashed()
    }

    /// The same as a server describes it.
    pub(crate) fn described(&self, types: &[u8], rows: Rows) -> Self {
        Self {
            hash: 0,
            text: self.text.clone(),
            head: self.head,
            types: types.into(),
            rows,
            shaped: self.shaped.clone(),
            class: self.class.clone(),
            dialect: self.dialect,
        }
        .hashed()
    }

    fn hashed(self) -> Self {
        let mut hasher = DefaultHasher::new();
        let parts = (&self.text, self.head, &self.types, &self.rows, &self.shaped);
        parts.hash(&mut hasher);
        Self {
            hash: hasher.finish(),
            ..self
        }
    }

    /// The statement itself.
    pub(crate) fn text(&self) -> &[u8] {
        self.text.get(self.head..).unwrap_or_default()
    }

    /// What a Parse of it says: places in it that errors tell are those that the client knows.
    pub(crate) fn source(&self) -> Cow<'_, [u8]> {
        match self.head {
            0 => Cow::Borrowed(&self.text),
            head => [b" ".repeat(head).as_slice(), self.text()].concat().into(),
        }
    }

    /// The PREPARE that made it, if one did.
    pub(crate) fn sql(&self) -> Option<&[u8]> {
        (self.head > 0).then_some(&*self.text)
    }

    pub(crate) fn types(&self) -> &[u8] {
        &self.types
    }

    /// The settings that it must be parsed under, if those of its user won't do.
    pub(crate) fn under(&self) -> Option<&Settings> {
        match &self.shaped {
            Shaped::ByParse(settings) => Some(settings),
            Shaped::Never | Shaped::ByUse => None,
        }
    }

    /// Whether it is the same under all settings.
    pub(crate) fn is_never_shaped(&self) -> bool {
        self.shaped == Shaped::Never
    }

    /// Whether a server said what its parameters and columns are.
    pub(crate) fn is_described(&self) -> bool {
        self.rows != Rows::Unknown
    }

    /// Whether it is known to have none.
    pub(crate) fn has_no_columns(&self) -> bool {
        self.rows == Rows::None
    }

    /// What its text means to a server that reads texts so.
    pub(crate) fn class(&self, dialect: Dialect) -> Option<&Class> {
        (dialect == self.dialect).then_some(&self.class)
    }

    /// Bytes that it takes, about.
    pub(crate) fn size(&self) -> usize {
        let columns = match &self.rows {
            Rows::Columns(columns) => columns.len(),
            Rows::Unknown | Rows::None => 0,
        };
        let texts = self.text.len() + self.types.len() + columns;
        size_of::<Self>() + texts + self.under().map_or(0, Settings::size)
    }
}

impl PartialEq for Shared {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
            || self.hash == other.hash
                && self.text == other.text
                && self.head == other.head
                && self.types == other.types
                && self.rows == other.rows
                && self.shaped == other.shaped
    }
}

impl Eq for Shared {}

impl Hash for Shared {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}
