//! Status flags of OK, EOF and the greeting ("SERVER_STATUS_flags_enum" in MySQL's manual of its source).

/// Inside a transaction.
pub const IN_TRANS: u16 = 0x0001;
/// Each statement is a transaction.
pub const AUTOCOMMIT: u16 = 0x0002;
/// Another result follows.
pub const MORE_RESULTS: u16 = 0x0008;
/// For the slow log.
pub const NO_GOOD_INDEX_USED: u16 = 0x0010;
/// For the slow log.
pub const NO_INDEX_USED: u16 = 0x0020;
/// A cursor was opened: rows are to be fetched.
pub const CURSOR_EXISTS: u16 = 0x0040;
/// The cursor has no more rows.
pub const LAST_ROW_SENT: u16 = 0x0080;
/// A database was dropped.
pub const DB_DROPPED: u16 = 0x0100;
/// A backslash in a string is a backslash.
pub const NO_BACKSLASH_ESCAPES: u16 = 0x0200;
/// A prepared statement's columns are others than before.
pub const METADATA_CHANGED: u16 = 0x0400;
/// For the slow log.
pub const QUERY_WAS_SLOW: u16 = 0x0800;
/// The result is that of a CALL's OUT parameters.
pub const PS_OUT_PARAMS: u16 = 0x1000;
/// Inside a transaction that only reads.
pub const IN_TRANS_READONLY: u16 = 0x2000;
/// This OK says what changed in the session.
pub const SESSION_STATE_CHANGED: u16 = 0x4000;
