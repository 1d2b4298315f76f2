//! What a backend that has some settings is sent so that it has others.

use super::{Settings, Value, AUTHORIZATION, NAME, ROLE};

/// What is sent.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Replay {
    pub sql: String,
    /// It may fail, or say how texts are to be read: what is behind it waits until it is done.
    pub awaited: bool,
}

/// Settings that every server takes back as it once took them: no object, file or right is needed, and
/// no text is read otherwise because of them. All of PostgreSQL 14 and later have them. Sorted.
static SURE: &[&str] = &[
    "array_nulls",
    "backslash_quote",
    "bytea_output",
    "check_function_bodies",
    "client_min_messages",
    "constraint_exclusion",
    "cursor_tuple_fraction",
    "datestyle",
    "default_statistics_target",
    "default_transaction_deferrable",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "enable_bitmapscan",
    "enable_hashagg",
    "enable_hashjoin",
    "enable_indexonlyscan",
    "enable_indexscan",
    "enable_material",
    "enable_mergejoin",
    "enable_nestloop",
    "enable_seqscan",
    "enable_sort",
    "enable_tidscan",
    "escape_string_warning",
    "extra_float_digits",
    "from_collapse_limit",
    "geqo",
    "geqo_threshold",
    "idle_in_transaction_session_timeout",
    "intervalstyle",
    "jit",
    "join_collapse_limit",
    "lock_timeout",
    "maintenance_work_mem",
    "max_parallel_workers_per_gather",
    "plan_cache_mode",
    "quote_all_identifiers",
    "random_page_cost",
    "row_security",
    "search_path",
    "seq_page_cost",
    "statement_timeout",
    "synchronous_commit",
    "timezone",
    "transform_null_equals",
    "work_mem",
    "xmlbinary",
    "xmloption",
];

/// Lists whose items are names: as a text they are set by `set_config`, which reads it as the server
/// shows it.
const NAMES: [&str; 3] = ["local_preload_libraries", "search_path", "temp_tablespaces"];

/// Settings that would end the replay itself. The last one PostgreSQL has since 17.
const LIMITS: [&str; 3] = ["lock_timeout", "statement_timeout", "transaction_timeout"];

/// What makes a backend that has `from` have `to`; `None` if that is nothing. The name that a client
/// goes by is set apart. `missing`: custom settings that must exist there.
pub(crate) fn replay(from: &Settings, to: &Settings, missing: &[&str]) -> Option<Replay> {
    let plan = Plan::of(from, to, missing, false);
    (!plan.statements.is_empty()).then(|| Replay {
        sql: plan.statements.join(";"),
        awaited: plan.awaited,
    })
}

/// The statements that make a backend that has `from` have `to` up to the end of its transaction. Of
/// `from` only is used which of its values are other than those.
pub(crate) fn local(from: &Settings, to: &Settings) -> Vec<String> {
    Plan::of(from, to, &[], true).statements
}

#[derive(Default)]
struct Plan {
    statements: Vec<String>,
    local: bool,
    awaited: bool,
}

impl Plan {
    fn of(from: &Settings, to: &Settings, missing: &[&str], local: bool) -> Self {
        let same = |name: &str| from.value(name) == to.value(name);
        let plain = |name: &str| ![AUTHORIZATION, ROLE, NAME].contains(&name);
        let gone = from.iter().map(|(name, _)| &**name);
        let gone: Vec<&str> = gone
            .filter(|name| plain(name) && to.value(name).is_none())
            .collect();
        let new = to.iter().filter(|(name, _)| plain(name) && !same(name));
        let new: Vec<_> = new.collect();
        let others = !gone.is_empty() || !new.is_empty();
        let mut plan = Self {
            local,
            ..Self::default()
        };
        // Whoever it is has no say in what others set, and a new one has no role.
        let leaves = from.value(AUTHORIZATION).is_some() && (others || !same(AUTHORIZATION));
        let role = to.value(ROLE).filter(|_| same(AUTHORIZATION) && !others);
        if leaves {
            plan.add(AUTHORIZATION, None);
        } else if from.value(ROLE).is_some() && role.is_none() {
            plan.add(ROLE, None);
        }
        let bare = !plan.statements.is_empty();
        // No time limit of either client's is for what the proxy runs.
        let limited: Vec<&str> = LIMITS
            .into_iter()
            .filter(|name| from.value(name).is_some() && (others || bare || !same(name)))
            .collect();
        for name in &limited {
            plan.add(name, None);
        }
        for name in gone.iter().filter(|name| !LIMITS.contains(name)) {
            plan.add(name, None);
        }
        for name in missing.iter().filter(|name| to.value(name).is_none()) {
            plan.add(name, None);
        }
        for (name, value) in new.iter().filter(|(name, _)| !LIMITS.contains(&&**name)) {
            plan.add(name, Some(value));
        }
        for (name, again) in [(AUTHORIZATION, leaves), (ROLE, bare)] {
            if let Some(value) = to.value(name).filter(|_| again || !same(name)) {
                plan.add(name, Some(value));
            }
        }
        for name in LIMITS {
            let again = limited.contains(&name) || !same(name);
            if let Some(value) = to.value(name).filter(|_| again) {
                plan.add(name, Some(value));
            }
        }
        plan
    }

    fn add(&mut self, name: &str, value: Option<&Value>) {
        self.awaited |= SURE.binary_search(&name).is_err();
        let set = if self.local { "SET LOCAL " } else { "SET " };
        let mut sql = String::new();
        match (name, value) {
            (AUTHORIZATION, None) if self.local => {
                sql.push_str("SET LOCAL SESSION AUTHORIZATION DEFAULT");
            }
            (AUTHORIZATION, None) => sql.push_str("RESET SESSION AUTHORIZATION"),
            (_, None) if self.local => {
                sql.push_str(set);
                quoted(&mut sql, name);
                sql.push_str(" TO DEFAULT");
            }
            (_, None) => {
                sql.push_str("RESET ");
                quoted(&mut sql, name);
            }
            (_, Some(Value::Text(text))) if NAMES.contains(&name) => {
                sql.extend(["SELECT pg_catalog.set_config('", name, "',"]);
                literal(&mut sql, text);
                sql.push_str(if self.local { ",true)" } else { ",false)" });
            }
            (_, Some(Value::Items(items))) => {
                sql.push_str(set);
                quoted(&mut sql, name);
                sql.push_str(" TO ");
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        sql.push(',');
                    }
                    literal(&mut sql, item);
                }
            }
            (_, Some(Value::Text(text))) => {
                sql.push_str(set);
                quoted(&mut sql, name);
                sql.push_str(" TO ");
                literal(&mut sql, text);
            }
            // Outside of a transaction every value is known.
            (_, Some(Value::Reported)) => {
                self.awaited = true;
                return;
            }
        }
        self.statements.push(sql);
    }
}

/// A part of a custom setting's name may be a keyword.
fn quoted(sql: &mut String, name: &str) {
    if !name.contains('.') {
        return sql.push_str(name);
    }
    for (index, part) in name.split('.').enumerate() {
        let dot = if index > 0 { "." } else { "" };
        sql.extend([dot, "\"", part, "\""]);
    }
}

/// A text in quotes, however the server reads backslashes.
pub(crate) fn literal(sql: &mut String, text: &str) {
    if text.contains('\\') {
        sql.push('E');
    }
    sql.push('\'');
    for character in text.chars() {
        if matches!(character, '\'' | '\\') {
            sql.push(character);
        }
        sql.push(character);
    }
    sql.push('\'');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(entries: &[(&str, &str)]) -> Settings {
        let mut settings = Settings::default();
        for (name, value) in entries {
            let value = Value::Items([(*value).into()].into());
            settings = settings.with(&(*name).into(), &value).unwrap();
        }
        settings
    }

    fn sql(from: &[(&str, &str)], to: &[(&str, &str)]) -> (String, bool) {
        let replay = replay(&settings(from), &settings(to), &[]);
        replay.map_or_else(Default::default, |replay| (replay.sql, replay.awaited))
    }

    #[test]
    fn the_sure_ones_are_sorted() {
        assert!(SURE.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn only_the_difference_is_sent() {
        let (from, to) = (
            [("geqo", "off"), ("jit", "off")],
            [("jit", "off"), ("work_mem", "1MB")],
        );
        let expected = "RESET geqo;SET work_mem TO '1MB'".to_owned();
        assert_eq!(sql(&from, &to), (expected, false));
        assert_eq!(sql(&from, &from), Default::default());
    }

    #[test]
    fn what_may_fail_or_shapes_texts_is_awaited() {
        for name in ["role", "session_authorization", "client_encoding"] {
            assert!(sql(&[], &[(name, "x")]).1, "{name}");
        }
        for name in [
            "standard_conforming_strings",
            "default_tablespace",
            "lc_messages",
        ] {
            assert!(sql(&[], &[(name, "x")]).1, "{name}");
        }
    }

    #[test]
    fn every_time_limit_is_lifted_first_and_set_last() {
        for name in LIMITS {
            let sent = sql(&[(name, "1"), ("geqo", "off")], &[]).0;
            assert_eq!(sent, format!("RESET {name};RESET geqo"));
            let sent = sql(&[], &[(name, "1"), ("work_mem", "1MB")]).0;
            assert_eq!(sent, format!("SET work_mem TO '1MB';SET {name} TO '1'"));
        }
    }

    #[test]
    fn a_role_has_no_say_in_what_is_set() {
        for (from, to, expected) in [
            (&[("role", "a")][..], &[("role", "a")][..], ""),
            (&[("role", "a")], &[], "RESET role"),
            (&[("role", "a")], &[("role", "b")], "SET role TO 'b'"),
            (
                &[("role", "a")],
                &[("role", "a"), ("geqo", "off")],
                "RESET role;SET geqo TO 'off';SET role TO 'a'",
            ),
            (
                &[("role", "a"), ("session_authorization", "c")],
                &[("role", "a"), ("session_authorization", "d")],
                "RESET SESSION AUTHORIZATION;SET session_authorization TO 'd';SET role TO 'a'",
            ),
            (
                &[("session_authorization", "c")],
                &[("role", "a")],
                "RESET SESSION AUTHORIZATION;SET role TO 'a'",
            ),
        ] {
            assert_eq!(sql(from, to).0, expected);
        }
    }

    #[test]
    fn a_custom_setting_that_must_exist_is_made() {
        let to = settings(&[("my.user", "1")]);
        let made = replay(&Settings::default(), &to, &["my.tenant", "my.user"]).unwrap();
        assert_eq!(
            made.sql,
            "RESET \"my\".\"tenant\";SET \"my\".\"user\" TO '1'"
        );
    }

    #[test]
    fn what_is_for_a_transaction_only_is_set_statement_by_statement() {
        let from = settings(&[("role", "a"), ("geqo", "off"), ("my.own", "1")]);
        let path = Value::Text("a, b".into());
        let to = settings(&[("session_authorization", "c"), ("jit", "off")]);
        let to = to.with(&"search_path".into(), &path).unwrap();
        let expected = [
            "SET LOCAL role TO DEFAULT",
            "SET LOCAL geqo TO DEFAULT",
            "SET LOCAL \"my\".\"own\" TO DEFAULT",
            "SET LOCAL jit TO 'off'",
            "SELECT pg_catalog.set_config('search_path','a, b',true)",
            "SET LOCAL session_authorization TO 'c'",
        ];
        assert_eq!(local(&from, &to), expected);
        let back = local(&to, &settings(&[("jit", "off")]));
        let expected = [
            "SET LOCAL SESSION AUTHORIZATION DEFAULT",
            "SET LOCAL search_path TO DEFAULT",
        ];
        assert_eq!(back, expected);
    }

    #[test]
    fn a_value_is_set_however_the_server_reads_it() {
        let path = Value::Text("\"$user\", public".into());
        let to = Settings::default()
            .with(&"search_path".into(), &path)
            .unwrap();
        let expected = "SELECT pg_catalog.set_config('search_path','\"$user\", public',false)";
        assert_eq!(
            replay(&Settings::default(), &to, &[]).unwrap().sql,
            expected
        );
        assert_eq!(
            sql(&[], &[("timezone", "o'\\")]).0,
            "SET timezone TO E'o''\\\\'"
        );
    }
}
