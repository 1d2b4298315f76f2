//! The machine of a connection that listens for others.

mod common;

use common::heard::*;
use common::*;
use dbproxy_engine::{Heard, KillReason, Link as _};

#[test]
fn an_ear_says_what_it_hears_and_confirms_what_it_is_asked() {
    let mut ear = link();
    let mut out = Vec::new();
    ear.tune(&mut out);
    assert_eq!(show(&out), "Q:RESET SESSION AUTHORIZATION;RESET ALL");
    out.clear();
    ear.inquire(&channels(&["a", "b\"c"]), &channels(&["d"]), &mut out);
    assert_eq!(
        show(&out),
        "Q:LISTEN \"a\";LISTEN \"b\"\"c\";UNLISTEN \"d\";"
    );
    let mut heard = Vec::new();
    let said = notification("a", "ä");
    let whole = concat(&[
        complete("RESET"),
        report("client_encoding", "UTF8"),
        ready(b'I'),
        said.clone(),
        complete("LISTEN"),
        ready(b'I'),
    ]);
    let used = ear.hear(&concat(&[whole.clone(), vec![b'A', 0]]), &mut heard);
    assert_eq!(used, Ok(whole.len()));
    let said = Heard::Said {
        channel: b"a"[..].into(),
        message: said.into(),
        plain: false,
    };
    assert_eq!(heard, [Heard::Confirmed, said, Heard::Confirmed]);
}

#[test]
fn an_ear_that_says_anything_else_is_none() {
    for (input, reason) in [
        (ready(b'I'), KillReason::OutOfStep),
        (complete("LISTEN"), KillReason::OutOfStep),
        (row(b"1"), KillReason::OutOfStep),
        (error("ERROR", "57014"), KillReason::OutOfStep),
        (error("FATAL", "57P01"), KillReason::ServerClosed),
        (message(b'A', b"\0\0"), KillReason::OutOfStep),
    ] {
        assert_eq!(link().hear(&input, &mut Vec::new()), Err(reason));
    }
    let mut out = Vec::new();
    let mut ear = link();
    ear.inquire(&channels(&[]), &channels(&[]), &mut out);
    assert_eq!(show(&out), "Q");
    let failed = ear.hear(&ready(b'T'), &mut Vec::new());
    assert_eq!(failed, Err(KillReason::OutOfStep));
}
