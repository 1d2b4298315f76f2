//! What is set in a session, by the values that the server itself reports, and how to set it again elsewhere.
//!
//! Followed is what can be set again by its reported value and changes nothing else: the lists below. A variable
//! that isn't among them, or a value that isn't plain, binds the session to its backend.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Those whose values are numbers, or words that need no quotes.
const WORDS: &[&str] = &[
    "auto_increment_increment",
    "auto_increment_offset",
    "autocommit",
    "div_precision_increment",
    "foreign_key_checks",
    "group_concat_max_len",
    "innodb_lock_wait_timeout",
    "innodb_strict_mode",
    "interactive_timeout",
    "join_buffer_size",
    "lock_wait_timeout",
    "max_execution_time",
    "max_heap_table_size",
    "max_join_size",
    "max_statement_time",
    "net_read_timeout",
    "net_write_timeout",
    "sort_buffer_size",
    "sql_auto_is_null",
    "sql_big_selects",
    "sql_notes",
    "sql_quote_show_create",
    "sql_safe_updates",
    "sql_select_limit",
    "sql_warnings",
    "tmp_table_size",
    "transaction_read_only",
    "tx_read_only",
    "unique_checks",
    "wait_timeout",
];
/// Those whose values are texts.
const TEXTS: &[&str] = &[
    CHARACTER_SET_SERVER,
    COLLATION_SERVER,
    "lc_time_names",
    "optimizer_switch",
    "sql_mode",
    "time_zone",
    "transaction_isolation",
    "tx_isolation",
];
/// Each of the two sets the other, untold: of both the one that was set last is kept.
pub(crate) const CHARACTER_SET_SERVER: &str = "character_set_server";
pub(crate) const COLLATION_SERVER: &str = "collation_server";
/// Those that a log-in sets by its collation's number, which a variable takes as well.
const COLLATED: &[&str] = &[
    "character_set_client",
    "character_set_results",
    "collation_connection",
];
/// Those that count for nothing but running a statement, however it was read.
const LATE: &[&str] = &[
    "autocommit",
    "foreign_key_checks",
    "innodb_lock_wait_timeout",
    "interactive_timeout",
    "lock_wait_timeout",
    "max_execution_time",
    "max_statement_time",
    "net_read_timeout",
    "net_write_timeout",
    "transaction_isolation",
    "transaction_read_only",
    "tx_isolation",
    "tx_read_only",
    "unique_checks",
    "wait_timeout",
];
/// For what the server has itself.
pub(crate) const DEFAULT: &str = "DEFAULT";
/// The `max_join_size` that means no limit (HA_POS_ERROR of both servers).
const MOST_ROWS: &str = "18446744073709551615";
/// The longest value.
const LONGEST: usize = 2048;

/// Names and values.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Settings(BTreeMap<&'static str, Box<str>>);

impl Settings {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What a COM_RESET_CONNECTION of MySQL's leaves: the server's own character set, whatever the log-in's was.
    pub(crate) fn anew() -> Self {
        Self(
            COLLATED
                .iter()
                .map(|name| (*name, DEFAULT.into()))
                .collect(),
        )
    }

    /// One value.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| &**value)
    }

    /// No transaction is set to only read.
    pub(crate) fn may_write(&self) -> bool {
        let names = ["transaction_read_only", "tx_read_only"];
        let off = |name| {
            self.0
                .get(name)
                .is_none_or(|value| matches!(&**value, "OFF" | "0"))
        };
        names.into_iter().all(off)
    }

    /// Takes in a value; `false`: it isn't followed.
    pub(crate) fn take(&mut self, name: &[u8], value: &[u8]) -> bool {
        let known = [WORDS, TEXTS, COLLATED].into_iter().flatten();
        let known = known.copied().find(|known| known.as_bytes() == name);
        let (Some(name), Some(value)) = (known, plain(value)) else {
            return false;
        };
        // Then a search for NULL finds what the backend has inserted last.
        let blind = name == "sql_auto_is_null" && !matches!(value, "OFF" | "0");
        let follows = (!WORDS.contains(&name) || is_word(value)) && !blind;
        if follows {
            match name {
                CHARACTER_SET_SERVER => self.0.remove(COLLATION_SERVER),
                COLLATION_SERVER => self.0.remove(CHARACTER_SET_SERVER),
                _ => None,
            };
            // Nothing stands for NULL, of character_set_results.
            self.0.insert(name, value.into());
        }
        if follows && name == "max_join_size" {
            // Setting the one sets the other too, which nothing reports; a replay sets them in this order.
            let all = value == MOST_ROWS;
            let big = if all { "ON" } else { "OFF" };
            self.0.insert("sql_big_selects", big.into());
        }
        follows
    }

    /// Those that may count for how a statement is read.
    fn shaping(&self) -> impl Iterator<Item = (&&'static str, &Box<str>)> {
        self.0.iter().filter(|(name, _)| !LATE.contains(*name))
    }

    /// A statement that is prepared under the one means the same under the other.
    pub(crate) fn shapes_as(&self, other: &Self) -> bool {
        std::ptr::eq(self, other) || self.shaping().eq(other.shaping())
    }

    /// The same, but that a statement is read as it is under `then`.
    pub(crate) fn reading_as(&self, then: &Self) -> Self {
        let late = self.0.iter().filter(|(name, _)| LATE.contains(*name));
        let both = late.chain(then.shaping());
        Self(both.map(|(name, value)| (*name, value.clone())).collect())
    }

    /// What makes `wanted` of a session in which `self` is set, and which logged in with that collation.
    /// Nothing where it is the same.
    pub(crate) fn replay(&self, wanted: &Self, collation: u8) -> Option<String> {
        let gone = self.0.keys().filter(|name| !wanted.0.contains_key(*name));
        let gone = gone.map(|name| (*name, None));
        let differs = |name| self.0.get(name) != wanted.0.get(name);
        // The one is set with the other.
        let joins = differs("max_join_size");
        let anew = |name| differs(name) || joins && name == "sql_big_selects";
        let set = wanted.0.iter().filter(|(name, _)| anew(**name));
        let set = set.map(|(name, value)| (*name, Some(&**value)));
        let mut sql = String::new();
        for (name, value) in gone.chain(set) {
            let begin = if sql.is_empty() { "SET " } else { ", " };
            // A String takes whatever is written.
            let _ = match value {
                None if COLLATED.contains(&name) => {
                    write!(sql, "{begin}@@session.{name}={collation}")
                }
                // Not DEFAULT: MySQL makes foreign_key_checks and unique_checks 0 of it.
                None => write!(sql, "{begin}@@session.{name}=@@global.{name}"),
                Some(DEFAULT) if COLLATED.contains(&name) => {
                    write!(sql, "{begin}@@session.{name}={DEFAULT}")
                }
                Some("") if name == "character_set_results" => {
                    write!(sql, "{begin}@@session.{name}=NULL")
                }
                Some(word) if WORDS.contains(&name) => {
                    write!(sql, "{begin}@@session.{name}={word}")
                }
                Some(text) => write!(sql, "{begin}@@session.{name}='{text}'"),
            };
        }
        (!sql.is_empty()).then_some(sql)
    }
}

/// A value that reads the same in any character set and `sql_mode`, quoted or not.
fn plain(value: &[u8]) -> Option<&str> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-+,.:/= ".contains(byte);
    if value.len() > LONGEST || !value.iter().all(is_plain) {
        return None;
    }
    std::str::from_utf8(value).ok()
}

/// A value that needs no quotes.
fn is_word(value: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"._".contains(&byte);
    !value.is_empty() && value.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        let mut settings = Settings::default();
        for (name, value) in pairs {
            assert!(settings.take(name.as_bytes(), value.as_bytes()), "{name}");
        }
        settings
    }

    #[test]
    fn only_the_difference_is_set() {
        let one = settings(&[
            ("autocommit", "OFF"),
            ("time_zone", "+01:00"),
            ("wait_timeout", "9"),
        ]);
        let other = settings(&[
            ("sql_mode", "ANSI_QUOTES"),
            ("time_zone", "+02:00"),
            ("wait_timeout", "9"),
        ]);
        let sql = one.replay(&other, 45).unwrap();
        assert_eq!(
            sql,
            "SET @@session.autocommit=@@global.autocommit, @@session.sql_mode='ANSI_QUOTES', \
             @@session.time_zone='+02:00'"
        );
        assert_eq!(one.replay(&one, 45), None);
    }

    #[test]
    fn a_servers_character_set_and_collation_are_one_setting() {
        let one = settings(&[
            ("collation_server", "latin1_bin"),
            ("character_set_server", "utf8mb4"),
        ]);
        let other = settings(&[
            ("character_set_server", "latin1"),
            ("collation_server", "latin1_bin"),
        ]);
        assert_eq!(
            one.replay(&other, 45).unwrap(),
            "SET @@session.character_set_server=@@global.character_set_server, @@session.collation_server='latin1_bin'"
        );
    }

    #[test]
    fn what_is_found_by_the_last_insert_isnt_followed() {
        assert!(settings(&[("sql_auto_is_null", "OFF")]).take(b"sql_auto_is_null", b"OFF"));
        assert!(!Settings::default().take(b"sql_auto_is_null", b"ON"));
    }

    #[test]
    fn a_character_set_goes_back_to_that_of_the_log_in() {
        let named = settings(&[
            ("character_set_client", "latin1"),
            ("character_set_results", ""),
            ("collation_connection", "latin1_bin"),
        ]);
        let sql = named.replay(&Settings::default(), 255).unwrap();
        assert_eq!(
            sql,
            "SET @@session.character_set_client=255, @@session.character_set_results=255, \
             @@session.collation_connection=255"
        );
        let sql = Settings::default().replay(&named, 255).unwrap();
        assert!(
            sql.contains("@@session.character_set_results=NULL"),
            "{sql}"
        );
    }

    #[test]
    fn a_limit_of_joined_rows_says_whether_big_selects_may_run() {
        let limited = settings(&[("sql_big_selects", "ON"), ("max_join_size", "100")]);
        let then = settings(&[("max_join_size", "100"), ("sql_big_selects", "ON")]);
        let sql = then.replay(&limited, 45).unwrap();
        assert_eq!(sql, "SET @@session.sql_big_selects=OFF");
        let other = settings(&[("max_join_size", "200"), ("sql_big_selects", "ON")]);
        assert_eq!(
            then.replay(&other, 45).unwrap(),
            "SET @@session.max_join_size=200, @@session.sql_big_selects=ON"
        );
        let all = settings(&[("max_join_size", MOST_ROWS)]);
        assert_eq!(all.value("sql_big_selects"), Some("ON"));
    }

    #[test]
    fn what_is_not_known_or_not_plain_is_not_followed() {
        let mut settings = Settings::default();
        for (name, value) in [
            ("timestamp", "5.000000"),
            ("sql_mode", "a'b"),
            ("time_zone", "Zürich"),
            ("autocommit", ""),
            ("wait_timeout", "5, 6"),
            ("wait_timeout ", "5"),
        ] {
            assert!(!settings.take(name.as_bytes(), value.as_bytes()), "{name}");
        }
        assert!(!settings.take(b"sql_mode", &[b'a'; LONGEST + 1]));
        assert!(settings.is_empty());
        assert!(settings.take(b"sql_mode", b""));
    }
}
