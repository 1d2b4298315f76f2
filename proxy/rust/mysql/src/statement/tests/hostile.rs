//! Texts at random: none makes it panic, hides a statement or fakes one.

use dbproxy_engine::PinReason;
use proptest::prelude::*;

use super::super::digest;
use super::super::lexer::Lexer;
use super::*;

/// Something that hides nothing and means nothing.
fn noise() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(" ".to_owned()),
        "[ \t\n]{1,4}",
        "[a-z SET;'\"]{0,8}".prop_map(|s| format!("/* {s} */")),
        "[a-z SET;'\"]{0,8}".prop_map(|s| format!("-- {s}\n")),
        "[a-z SET;'\"]{0,8}".prop_map(|s| format!("#{s}\n")),
        "[a-z SET;'\"]{0,8}".prop_map(|s| format!("/*!99999 {s} /* {s} */ {s} */")),
    ]
}

/// A value that may hold anything but its own end.
fn value() -> impl Strategy<Value = String> {
    let text = "[a-zA-Z ;()@#/*-]{0,12}";
    prop_oneof![
        text.prop_map(|s| format!("'{s}; LOCK TABLES t READ'")),
        text.prop_map(|s| format!("'{s}\\'; LOCK TABLES t READ'")),
        text.prop_map(|s| format!("\"{s}\"\"\\\"@a := 1\"")),
        text.prop_map(|s| format!("`{s}``GET_LOCK(1)`")),
        "[0-9]{1,5}",
        "[0-9]{1,3}\\.[0-9]{0,3}(e-?[0-9]{1,2})?",
        "[xX]'([0-9a-f][0-9a-f]){0,3}'",
    ]
}

/// Goes through a text; every byte is of one token, or between two.
fn covers(text: &[u8], dialect: Dialect) {
    let mut lexer = Lexer::new(text, dialect);
    let mut end = 0;
    while lexer.next().is_some() {
        let taken = lexer.taken();
        let behind = text.len() - lexer.rest().len();
        assert!(!taken.is_empty() && behind - taken.len() >= end && behind <= text.len());
        end = behind;
    }
    assert!(lexer.rest().is_empty());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), ansi: bool, maria: bool) {
        let dialect = Dialect { ansi_quotes: ansi, ..if maria { mariadb() } else { mysql() } };
        classify(&bytes, dialect);
        covers(&bytes, dialect);
        digest(&bytes, dialect);
    }

    #[test]
    fn no_sql_like_text_makes_it_panic(
        text in "(SET|SELECT|BEGIN|KILL|SHOW|XA|@@|:=|SESSION|=|1e|0x|/\\*!5[0-9]{0,5}|\\*/|[a-zA-Z0-9 '\"`@#;()/*.,:!+\\\\-]){0,60}",
        cut in 0_usize..200,
        maria: bool,
    ) {
        let dialect = if maria { mariadb() } else { mysql() };
        let text = text.as_bytes();
        covers(text, dialect);
        classify(text, dialect);
        classify(&text[..cut.min(text.len())], dialect);
        classify(&text[cut.min(text.len())..], dialect);
    }

    #[test]
    fn values_never_fake_a_statement(a in noise(), v in value(), b in noise(), w in value()) {
        let class = class(&format!("SELECT{a}{v}{b},{w}"));
        prop_assert_eq!(&class, &Class { statements: 1, selects: true, after: class.after, ..Class::default() });
    }

    #[test]
    fn nothing_hides_a_statement(a in noise(), v in value(), b in noise(), set in "[uU][sS][eE]") {
        let class = class(&format!("{a}SELECT {v}{b};{a}{set}{b}x{a}"));
        let script = class.acts.unwrap();
        prop_assert_eq!(&*script.acts, [(1, Act::Use)]);
    }

    #[test]
    fn nothing_hides_a_call(a in noise(), v in value(), b in noise()) {
        let class = class(&format!("SELECT {v}{a}, get_lock{b}({v}, {v})"));
        prop_assert_eq!(class.pin, Some(PinReason::AdvisoryLock));
    }
}
