//! Capabilities: what each side says that it can do ("Capabilities Flags" in MySQL's manual of its source,
//! "Connecting" in MariaDB's knowledge base).
//!
//! Thirty-two bits are common. MariaDB has more of its own, which stand in what the others reserve, where
//! the side that sets them doesn't claim to be MySQL ([`LONG_PASSWORD`]). Here all are of one number.

/// MySQL: always set. MariaDB: `CLIENT_MYSQL`; a side that doesn't set it has extended bits.
pub const LONG_PASSWORD: Capabilities = Capabilities(1 << 0);
/// Affected rows are those found, not those changed.
pub const FOUND_ROWS: Capabilities = Capabilities(1 << 1);
/// Column definitions have two bytes of flags.
pub const LONG_FLAG: Capabilities = Capabilities(1 << 2);
/// The response names a database.
pub const CONNECT_WITH_DB: Capabilities = Capabilities(1 << 3);
/// `schema.table.column` is refused.
pub const NO_SCHEMA: Capabilities = Capabilities(1 << 4);
/// The compressed protocol, by zlib.
pub const COMPRESS: Capabilities = Capabilities(1 << 5);
/// No meaning since 3.22.
pub const ODBC: Capabilities = Capabilities(1 << 6);
/// LOAD DATA LOCAL is allowed.
pub const LOCAL_FILES: Capabilities = Capabilities(1 << 7);
/// A function's name may be followed by spaces.
pub const IGNORE_SPACE: Capabilities = Capabilities(1 << 8);
/// The protocol since 4.1, the only one spoken here.
pub const PROTOCOL_41: Capabilities = Capabilities(1 << 9);
/// `interactive_timeout` counts instead of `wait_timeout`.
pub const INTERACTIVE: Capabilities = Capabilities(1 << 10);
/// TLS, which an SSLRequest begins.
pub const SSL: Capabilities = Capabilities(1 << 11);
/// Of the client's library alone.
pub const IGNORE_SIGPIPE: Capabilities = Capabilities(1 << 12);
/// OK and EOF carry status flags.
pub const TRANSACTIONS: Capabilities = Capabilities(1 << 13);
/// Was the protocol of 4.1.0.
pub const RESERVED: Capabilities = Capabilities(1 << 14);
/// The authentication since 4.1.
pub const SECURE_CONNECTION: Capabilities = Capabilities(1 << 15);
/// A query may have several statements.
pub const MULTI_STATEMENTS: Capabilities = Capabilities(1 << 16);
/// A query may have several results.
pub const MULTI_RESULTS: Capabilities = Capabilities(1 << 17);
/// So may an execution.
pub const PS_MULTI_RESULTS: Capabilities = Capabilities(1 << 18);
/// Authentication by named plugins.
pub const PLUGIN_AUTH: Capabilities = Capabilities(1 << 19);
/// The response carries attributes.
pub const CONNECT_ATTRS: Capabilities = Capabilities(1 << 20);
/// The proof in the response has a length-encoded length.
pub const PLUGIN_AUTH_LENENC: Capabilities = Capabilities(1 << 21);
/// An expired password gives a session that may only change it.
pub const CAN_HANDLE_EXPIRED_PASSWORDS: Capabilities = Capabilities(1 << 22);
/// OK carries what changed in the session.
pub const SESSION_TRACK: Capabilities = Capabilities(1 << 23);
/// Rows end with OK, and nothing ends column definitions.
pub const DEPRECATE_EOF: Capabilities = Capabilities(1 << 24);
/// Results may lack column definitions.
pub const OPTIONAL_RESULTSET_METADATA: Capabilities = Capabilities(1 << 25);
/// The compressed protocol, by zstd.
pub const ZSTD_COMPRESSION: Capabilities = Capabilities(1 << 26);
/// Queries and executions carry attributes.
pub const QUERY_ATTRIBUTES: Capabilities = Capabilities(1 << 27);
/// Authentication by several factors.
pub const MULTI_FACTOR: Capabilities = Capabilities(1 << 28);
/// Reserved for more bits.
pub const CAPABILITY_EXTENSION: Capabilities = Capabilities(1 << 29);
/// Of the client's library alone.
pub const SSL_VERIFY_SERVER_CERT: Capabilities = Capabilities(1 << 30);
/// Of the client's library alone.
pub const REMEMBER_OPTIONS: Capabilities = Capabilities(1 << 31);
/// MariaDB: reports of progress among the packets.
pub const MARIADB_PROGRESS: Capabilities = Capabilities(1 << 32);
/// MariaDB: was COM_MULTI.
pub const MARIADB_RESERVED: Capabilities = Capabilities(1 << 33);
/// MariaDB: COM_STMT_BULK_EXECUTE.
pub const MARIADB_BULK: Capabilities = Capabilities(1 << 34);
/// MariaDB: column definitions have extended types.
pub const MARIADB_EXTENDED_METADATA: Capabilities = Capabilities(1 << 35);
/// MariaDB: column definitions that didn't change are left out.
pub const MARIADB_CACHE_METADATA: Capabilities = Capabilities(1 << 36);
/// MariaDB: a bulk answers for each of its rows.
pub const MARIADB_BULK_UNIT_RESULTS: Capabilities = Capabilities(1 << 37);

/// A set of them.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Capabilities(u64);

impl Capabilities {
    /// Of what stands in a packet: the common bits, and what is reserved unless it is MariaDB's.
    pub fn from_wire(common: u32, reserved: u32) -> Self {
        let common = Self(common.into());
        if common.has(LONG_PASSWORD) {
            return common;
        }
        common.with(Self(u64::from(reserved) << 32))
    }

    /// The common bits.
    pub fn common(self) -> u32 {
        self.0 as u32
    }

    /// What stands in the reserved bytes: MariaDB's bits, unless this side claims to be MySQL.
    pub fn extended(self) -> u32 {
        if self.has(LONG_PASSWORD) {
            return 0;
        }
        (self.0 >> 32) as u32
    }

    /// Whether all of these are set.
    pub const fn has(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// Of both.
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 & others.0)
    }

    /// With these.
    pub const fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Without these.
    pub const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// With these or without them.
    pub fn set(self, others: Self, on: bool) -> Self {
        if on {
            self.with(others)
        } else {
            self.without(others)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extended_bits_are_those_of_who_is_not_mysql() {
        assert!(Capabilities::from_wire(0, 4).has(MARIADB_BULK));
        let mysql = Capabilities::from_wire(1, 4);
        assert!(mysql.has(LONG_PASSWORD) && !mysql.has(MARIADB_BULK));
        assert_eq!(MARIADB_BULK.extended(), 4);
        assert_eq!(MARIADB_BULK.with(LONG_PASSWORD).extended(), 0);
        assert_eq!(MARIADB_BULK.with(SSL).common(), 0x800);
    }

    #[test]
    fn a_set_has_another_only_if_it_has_all_of_it() {
        let both = SSL.with(COMPRESS);
        assert!(both.has(SSL) && !SSL.has(both));
        assert_eq!(both.and(SSL), SSL);
        assert_eq!(both.set(SSL, false), COMPRESS);
        assert_eq!(COMPRESS.set(SSL, true), both);
    }
}
