//! COM_CHANGE_USER: a log-in on a connection that is logged in ("COM_CHANGE_USER" in MySQL's manual of its source).

use dbproxy_engine::Reader;

use super::capability::{Capabilities, PLUGIN_AUTH};
use super::{command, to_nul};

/// What of it counts. Its proof doesn't, nor the plugin's name: who sends it is asked for one. What the client says
/// of itself stands behind that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChangeUser<'a> {
    /// Who the client claims to be.
    pub user: &'a [u8],
    /// The database to begin in; empty: none.
    pub database: &'a [u8],
    /// The collation of the connection from then on; `None`: it says none.
    pub collation: Option<u16>,
}

/// Reads a payload.
pub fn parse(payload: &[u8], agreed: Capabilities) -> Option<ChangeUser<'_>> {
    let mut reader = Reader::new(payload);
    reader
        .u8()
        .ok()
        .filter(|kind| *kind == command::CHANGE_USER)?;
    let user = reader.cstr().ok()?;
    let length = reader.u8().ok()?;
    reader.take(length.into()).ok()?;
    if reader.is_empty() {
        return None;
    }
    let database = to_nul(reader.rest());
    reader
        .take(database.len().saturating_add(1).min(reader.len()))
        .ok()?;
    let collation = match reader.is_empty() {
        true => None,
        false => Some(reader.u16_le().ok()?),
    };
    if agreed.has(PLUGIN_AUTH) && collation.is_none() {
        return None;
    }
    Some(ChangeUser {
        user,
        database,
        collation,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(parts: &[&[u8]]) -> Vec<u8> {
        [&[&[command::CHANGE_USER][..]], parts].concat().concat()
    }

    #[test]
    fn who_and_where_and_in_which_collation() {
        let with = |collation| ChangeUser {
            user: b"app",
            database: b"shop",
            collation,
        };
        for (parts, agreed, expected) in [
            (
                &[&b"app\0\x02xyshop\0"[..], b"\x35\x01dummy\0\0"][..],
                PLUGIN_AUTH,
                Some(with(Some(309))),
            ),
            (
                &[b"app\0\0shop\0", b"\x2d\0"],
                PLUGIN_AUTH,
                Some(with(Some(45))),
            ),
            (
                &[b"app\0\0shop\0"],
                Capabilities::default(),
                Some(with(None)),
            ),
            (&[b"app\0\0shop"], Capabilities::default(), Some(with(None))),
            (&[b"app\0\0shop\0"], PLUGIN_AUTH, None),
            (&[b"app\0\0shop\0\x2d"], PLUGIN_AUTH, None),
            (&[b"app\0\x09xyshop\0"], PLUGIN_AUTH, None),
            (&[b"app\0\0"], Capabilities::default(), None),
            (&[b"app"], Capabilities::default(), None),
            (&[], Capabilities::default(), None),
        ] {
            let bytes = said(parts);
            assert_eq!(parse(&bytes, agreed), expected, "{bytes:?}");
        }
    }
}
