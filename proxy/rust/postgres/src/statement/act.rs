//! What statements do to a session's settings, and to the transaction that keeps or undoes that.
//!
//! Said by `classify`, carried out by the backend's tracker (`settings`) when the server has said that
//! the statement is complete.

use std::sync::Arc;

/// The value of a setting, as it can be set again.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Value {
    /// The items of a list, or the one of any other setting.
    Items(Box<[Box<str>]>),
    /// As `set_config` takes it and the server shows it.
    Text(Box<str>),
    /// The server reports what became of it.
    Reported,
}

/// An argument of `set_config`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Argument {
    Text(Box<str>),
    Null,
    /// A parameter, counted from 0.
    Parameter(usize),
}

/// One deed of a statement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Act {
    Set(Arc<str>, Value),
    Reset(Arc<str>),
    /// A setting for the rest of the transaction.
    Local(Arc<str>),
    /// `set_config` with parameters: name, value, whether it is local.
    Config(Box<[Argument; 3]>),
    ResetAll,
    DiscardAll,
    /// COMMIT, and PREPARE TRANSACTION, which keeps settings too.
    Commit,
    Rollback,
    Savepoint(Box<str>),
    RollbackTo(Box<str>),
    Release(Box<str>),
    Listen(Arc<[u8]>),
    Unlisten(Arc<[u8]>),
    UnlistenAll,
}

/// What the statements of one text do.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Script {
    /// Each with the number of its statement among those that are answered.
    pub acts: Box<[(u16, Act)]>,
    /// How many are answered if none fails.
    pub statements: u16,
}

/// That of most texts is none.
pub(crate) type Acts = Option<Arc<Script>>;

impl Script {
    /// Whether one of its deeds is such.
    pub(crate) fn any(&self, such: impl Fn(&Act) -> bool) -> bool {
        self.acts.iter().any(|(_, act)| such(act))
    }
}

/// Settings that say how a text is cut into tokens.
const SHAPES_TEXTS: [&str; 2] = ["client_encoding", "standard_conforming_strings"];

impl Act {
    /// The custom setting that it makes, if it does: that stays in the server process, whatever
    /// becomes of its value.
    pub(crate) fn makes(&self) -> Option<&Arc<str>> {
        match self {
            Self::Set(name, _) | Self::Reset(name) | Self::Local(name) => {
                Some(name).filter(|name| name.contains('.'))
            }
            _ => None,
        }
    }

    /// Whether a statement that does this is answered with that command tag.
    pub(crate) fn fits(&self, tag: &[u8]) -> bool {
        let words: &[&[u8]] = match self {
            // `set_config` stands in a SELECT.
            Self::Set(..) | Self::Local(_) | Self::Config(_) => &[b"SET", b"SELECT 1"],
            Self::Reset(_) => &[b"RESET", b"SET", b"SELECT 1"],
            Self::ResetAll => &[b"RESET"],
            Self::DiscardAll => &[b"DISCARD ALL"],
            Self::Commit => &[b"COMMIT", b"ROLLBACK", b"PREPARE TRANSACTION"],
            Self::Rollback | Self::RollbackTo(_) => &[b"ROLLBACK"],
            Self::Savepoint(_) => &[b"SAVEPOINT"],
            Self::Release(_) => &[b"RELEASE"],
            Self::Listen(_) => &[b"LISTEN"],
            Self::Unlisten(_) | Self::UnlistenAll => &[b"UNLISTEN"],
        };
        words.contains(&tag)
    }

    /// Whether the texts behind it may have to be read otherwise.
    pub(crate) fn shifts(&self) -> bool {
        match self {
            Self::Set(name, _) | Self::Reset(name) | Self::Local(name) => {
                SHAPES_TEXTS.contains(&&**name)
            }
            Self::ResetAll | Self::DiscardAll => true,
            _ => false,
        }
    }

    /// Whether it changes to which channels the session listens.
    pub(crate) fn tunes(&self) -> bool {
        matches!(
            self,
            Self::Listen(_) | Self::Unlisten(_) | Self::UnlistenAll | Self::DiscardAll
        )
    }

    /// Whether it makes the session's name the one that a backend has by itself.
    pub(crate) fn unnames(&self) -> bool {
        match self {
            Self::Reset(name) => **name == *"application_name",
            Self::ResetAll | Self::DiscardAll => true,
            _ => false,
        }
    }

    /// `set_config(name, value, local)`; `None` if it can't be followed.
    pub(crate) fn configures(name: &Argument, value: &Argument, local: &Argument) -> Option<Self> {
        let (Argument::Text(name), Argument::Text(local)) = (name, local) else {
            return None;
        };
        let name = trackable(name)?;
        match (&**local, value) {
            ("true" | "t" | "on" | "yes" | "1", _) => Some(Self::Local(name)),
            ("false" | "f" | "off" | "no" | "0", Argument::Null) => Some(Self::Reset(name)),
            ("false" | "f" | "off" | "no" | "0", Argument::Text(text))
                if text.is_ascii() && !text.contains('\0') =>
            {
                Some(Self::Set(name, Value::Text(text.clone())))
            }
            _ => None,
        }
    }
}

/// The longest name that no server cuts.
pub(super) const LONGEST_NAME: usize = 63;

/// The name of a setting that can be followed, in lower case.
pub(super) fn trackable(name: &str) -> Option<Arc<str>> {
    // What lives in the server process, what another name stands for, and what is no setting.
    const NOT: [&str; 8] = [
        // The server ends the connection that it is for, whoever has that then.
        "idle_session_timeout",
        "seed",
        "sort_mem",
        "temp_buffers",
        "transaction_deferrable",
        "transaction_isolation",
        "transaction_read_only",
        "vacuum_mem",
    ];
    let name = name.to_ascii_lowercase();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let part = |part: &str| !part.is_empty() && part.as_bytes().iter().all(plain);
    let follows = name.split('.').all(part) && name.len() <= LONGEST_NAME;
    (follows && !NOT.contains(&&*name)).then(|| name.into())
}
