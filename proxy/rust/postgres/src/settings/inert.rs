//! Which settings have no say in what a statement is made of.
//!
//! A server parses a text, and plans it, under the settings of that moment, and goes by that for as
//! long as the statement lives: a literal is a date by `DateStyle`, a constant becomes a text by
//! `extra_float_digits`. So all settings count but those of which it is proven that neither the
//! parser nor the planner reads them, or that what they choose between has the same rows.

/// Sorted.
static INERT: &[&str] = &[
    "application_name",
    "client_min_messages",
    "default_transaction_deferrable",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "in_hot_standby",
    "lock_timeout",
    "maintenance_work_mem",
    "statement_timeout",
    "synchronous_commit",
    "transaction_timeout",
    "work_mem",
];

/// Whether a statement that is parsed under another value may be another statement.
pub(super) fn shapes(name: &str) -> bool {
    INERT.binary_search(&name).is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inert_ones_are_sorted() {
        assert!(INERT.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn what_says_how_texts_and_literals_are_read_shapes() {
        for name in [
            "client_encoding",
            "datestyle",
            "extra_float_digits",
            "intervalstyle",
            "my.own",
            "role",
            "search_path",
            "session_authorization",
            "standard_conforming_strings",
            "timezone",
        ] {
            assert!(shapes(name), "{name}");
        }
    }
}
