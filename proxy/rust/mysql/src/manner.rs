//! What of a client's log-in makes a server read or answer otherwise. It is part of the pool's key, and
//! backends log in with just that: so rows go from leg to leg untouched.

use std::sync::Arc;

use dbproxy_engine::Identity;

use crate::message::capability::*;

/// The capabilities that are the client's to choose and the server's to heed.
const CHOSEN: Capabilities = FOUND_ROWS
    .with(IGNORE_SPACE)
    .with(INTERACTIVE)
    .with(MULTI_STATEMENTS)
    .with(LOCAL_FILES)
    .with(DEPRECATE_EOF)
    .with(QUERY_ATTRIBUTES);
/// `utf8mb4_general_ci`, which every server has.
const COLLATION: u8 = 45;

/// The names under which it stands among an identity's settings, in their order.
const CAPABILITIES: &str = "capabilities";
const COLLATION_NAME: &str = "collation";

/// How a client wants to be served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Manner {
    /// Of the capabilities those that count here.
    pub capabilities: Capabilities,
    /// The low byte of the connection's collation.
    pub collation: u8,
}

/// That of who asks for nothing in particular.
impl Default for Manner {
    fn default() -> Self {
        Self {
            capabilities: DEPRECATE_EOF,
            collation: COLLATION,
        }
    }
}

impl Manner {
    /// Of a client that speaks so.
    pub fn new(capabilities: Capabilities, collation: u8) -> Self {
        Self {
            capabilities: capabilities.and(CHOSEN),
            collation,
        }
    }

    /// That of an identity; what it leaves out, or what can't be read, is as by default.
    pub fn of(identity: &Identity) -> Self {
        let default = Self::default();
        let value = |name: &str| {
            let mut all = identity.settings.iter();
            all.find(|(known, _)| **known == *name)
                .map(|(_, value)| &**value)
        };
        let flags = value(CAPABILITIES).and_then(|hex| u32::from_str_radix(hex, 16).ok());
        let collation = value(COLLATION_NAME).and_then(|number| number.parse().ok());
        Self::new(
            flags.map_or(default.capabilities, |flags| {
                Capabilities::from_wire(flags, 0)
            }),
            collation.unwrap_or(default.collation),
        )
    }

    /// As it stands in an identity.
    pub fn settings(self) -> Arc<[(Box<str>, Box<str>)]> {
        let flags = format!("{:x}", self.capabilities.common());
        [
            (CAPABILITIES.into(), flags.into()),
            (COLLATION_NAME.into(), self.collation.to_string().into()),
        ]
        .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(settings: Arc<[(Box<str>, Box<str>)]>) -> Identity {
        Identity {
            user: "app".into(),
            database: "".into(),
            settings,
            traces: [].into(),
        }
    }

    #[test]
    fn it_comes_back_from_an_identity_without_what_does_not_count() {
        let all = Capabilities::from_wire(u32::MAX, 0);
        let manner = Manner::new(all, 255);
        assert_eq!(manner.capabilities, CHOSEN);
        let settings = manner.settings();
        assert!(settings.is_sorted());
        assert_eq!(*settings[1].1, *"255");
        assert_eq!(Manner::of(&identity(settings)), manner);
        let none = Manner::new(SSL.with(CONNECT_WITH_DB).with(SESSION_TRACK), 8);
        assert_eq!(*none.settings()[0].1, *"0");
        assert_eq!(Manner::of(&identity(none.settings())), none);
    }

    #[test]
    fn what_can_not_be_read_is_as_by_default() {
        let broken = [
            (CAPABILITIES.into(), "x".into()),
            (COLLATION_NAME.into(), "256".into()),
        ];
        assert_eq!(Manner::of(&identity(broken.into())), Manner::default());
        assert_eq!(Manner::of(&identity([].into())), Manner::default());
    }
}
