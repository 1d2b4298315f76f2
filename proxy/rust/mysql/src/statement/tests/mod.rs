//! What the classifier says of real and of hostile texts: tables of texts and of what is said of them.

mod deeds;
mod hostile;
mod pins;
mod reading;
mod set;

use super::{classify, Act, Class, Dialect, State};

fn mysql() -> Dialect {
    Dialect {
        multi_statements: true,
        ..Dialect::of_version("8.0.31")
    }
}

fn mariadb() -> Dialect {
    Dialect {
        multi_statements: true,
        ..Dialect::of_version("5.5.5-10.11.19-MariaDB-log")
    }
}

/// Of a text that both take.
fn class(sql: &str) -> Class {
    let class = classify(sql.as_bytes(), mysql());
    let other = Class {
        // They differ in that: `after`.
        after: class.after,
        ..classify(sql.as_bytes(), mariadb())
    };
    assert_eq!(class, other, "{sql}");
    class
}

fn on_mysql(sql: &str) -> Class {
    classify(sql.as_bytes(), mysql())
}

fn on_mariadb(sql: &str) -> Class {
    classify(sql.as_bytes(), mariadb())
}

/// The deeds of a text, without the number of their statement.
fn acts(class: &Class) -> Vec<Act> {
    let acts = class.acts.iter().flat_map(|script| script.acts.iter());
    acts.map(|(_, act)| act.clone()).collect()
}

fn commits(class: &Class) -> (bool, bool) {
    let from = |state| class.effects.from(state).may_commit;
    (from(State::Idle), from(State::Transaction))
}
