//! Commands: the first byte of a client's payload ("Command Phase" in MySQL's manual of its source,
//! "2 - Text protocol" and "3 - Binary protocol" in MariaDB's knowledge base).

use super::capability::{Capabilities, QUERY_ATTRIBUTES};

/// Internal to servers; refused from anybody.
pub const SLEEP: u8 = 0x00;
/// The client leaves; nothing answers.
pub const QUIT: u8 = 0x01;
/// Changes the database.
pub const INIT_DB: u8 = 0x02;
/// A statement's text, or several.
pub const QUERY: u8 = 0x03;
/// The columns of a table; old clients only.
pub const FIELD_LIST: u8 = 0x04;
/// Gone from servers.
pub const CREATE_DB: u8 = 0x05;
/// Gone from servers.
pub const DROP_DB: u8 = 0x06;
/// FLUSH of several kinds; gone from MySQL 8.4.
pub const REFRESH: u8 = 0x07;
/// Stops the server.
pub const SHUTDOWN: u8 = 0x08;
/// A line of text about the server.
pub const STATISTICS: u8 = 0x09;
/// SHOW PROCESSLIST.
pub const PROCESS_INFO: u8 = 0x0a;
/// Internal to servers.
pub const CONNECT: u8 = 0x0b;
/// KILL by thread id.
pub const PROCESS_KILL: u8 = 0x0c;
/// Has the server write to its log.
pub const DEBUG: u8 = 0x0d;
/// Is it there?
pub const PING: u8 = 0x0e;
/// Internal to servers.
pub const TIME: u8 = 0x0f;
/// Internal to servers.
pub const DELAYED_INSERT: u8 = 0x10;
/// A new log-in on the same connection.
pub const CHANGE_USER: u8 = 0x11;
/// Replication.
pub const BINLOG_DUMP: u8 = 0x12;
/// Replication, once.
pub const TABLE_DUMP: u8 = 0x13;
/// Replication, once.
pub const CONNECT_OUT: u8 = 0x14;
/// Replication.
pub const REGISTER_SLAVE: u8 = 0x15;
/// Prepares a statement.
pub const STMT_PREPARE: u8 = 0x16;
/// Executes a prepared statement.
pub const STMT_EXECUTE: u8 = 0x17;
/// A piece of a parameter's value; nothing answers.
pub const STMT_SEND_LONG_DATA: u8 = 0x18;
/// Drops a prepared statement; nothing answers.
pub const STMT_CLOSE: u8 = 0x19;
/// Drops a prepared statement's cursor and long data.
pub const STMT_RESET: u8 = 0x1a;
/// Allows several statements in a query, or forbids it.
pub const SET_OPTION: u8 = 0x1b;
/// Rows from a cursor.
pub const STMT_FETCH: u8 = 0x1c;
/// Internal to servers.
pub const DAEMON: u8 = 0x1d;
/// Replication.
pub const BINLOG_DUMP_GTID: u8 = 0x1e;
/// Discards the session's state.
pub const RESET_CONNECTION: u8 = 0x1f;
/// MySQL: copies a server.
pub const CLONE: u8 = 0x20;
/// MySQL: group replication.
pub const SUBSCRIBE_GROUP_REPLICATION_STREAM: u8 = 0x21;
/// MariaDB: executes for many rows of parameters.
pub const STMT_BULK_EXECUTE: u8 = 0xfa;

/// In front of a query's text where attributes were agreed on: none, of one set.
const NO_ATTRIBUTES: [u8; 2] = [0, 1];

/// Appends the payload of a query of the proxy's own.
pub fn write_query(sql: &[u8], agreed: Capabilities, out: &mut Vec<u8>) {
    out.push(QUERY);
    if agreed.has(QUERY_ATTRIBUTES) {
        out.extend_from_slice(&NO_ATTRIBUTES);
    }
    out.extend_from_slice(sql);
}
