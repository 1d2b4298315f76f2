//! Bytes that MariaDB 10.11.19 answered PyMySQL, what is read of them, and that the same is written.
//! What it doesn't say is put together by the pages that the modules name.

mod common;

use common::{body, hex, written};
use dbproxy_mysql::message::capability::*;
use dbproxy_mysql::message::session_track::{Change, Transaction};
use dbproxy_mysql::message::*;

/// Reads an OK with its changes, and checks that the same is written.
fn tracked(packet: &str, expected: &[Change]) {
    let bytes = body(packet, hex(packet)[3]);
    let ok = ok::parse(&bytes, ok::TAG, SESSION_TRACK).unwrap();
    let changes = ok.changes.unwrap();
    assert_eq!(session_track::parse(changes).unwrap(), expected);
    assert_eq!(written(|out| ok.write(ok::TAG, SESSION_TRACK, out)), bytes);
    let again = written(|out| expected.iter().for_each(|change| change.write(out)));
    assert_eq!(again, changes);
}

fn variable<'a>(name: &'a str, value: &'a str) -> Change<'a> {
    let (name, value) = (name.as_bytes(), value.as_bytes());
    Change::Variable { name, value }
}

#[test]
fn mariadb_tells_what_changed() {
    let transaction = |letters: &[u8; 8]| Change::Transaction(Transaction(*letters));
    tracked(
        "1300000100000000400000000a01050473686f70020131",
        &[Change::Schema(b"shop"), Change::State(true)],
    );
    tracked(
        "30000001000000004000000027000f0a6175746f636f6d6d6974034f464600110974696d655f7a6f6e65062b30\
         313a3030020131",
        &[
            variable("autocommit", "OFF"),
            variable("time_zone", "+01:00"),
            Change::State(true),
        ],
    );
    tracked(
        "29000001000000014000000020050908545f5f5f5f5f5f5f0413125354415254205452414e53414354494f4e3b",
        &[
            transaction(b"T_______"),
            Change::Characteristics(b"START TRANSACTION;"),
        ],
    );
    tracked(
        "1700000100000000400000000e0509085f5f5f5f5f5f5f5f040100",
        &[transaction(b"________"), Change::Characteristics(b"")],
    );
}

#[test]
fn a_transaction_says_how_it_stands() {
    let none = Transaction(*b"________");
    assert!(!none.is_open() && !none.has_written() && !none.locks_tables());
    assert!(Transaction(*b"T_______").is_open());
    assert!(Transaction(*b"I_______").is_open());
    assert!(Transaction(*b"T___W___").has_written());
    assert!(Transaction(*b"T__w____").has_written());
    assert!(!Transaction(*b"TrR__s__").has_written());
    assert!(Transaction(*b"_______L").locks_tables());
}

/// Several variables in one change; GTIDs as MySQL says them; what is broken, and what nobody knows.
#[test]
fn changes_are_read_whole_or_not_at_all() {
    let two = hex("0008 0161 0131 0162 0132");
    let both = [variable("a", "1"), variable("b", "2")];
    assert_eq!(session_track::parse(&two).unwrap(), both);
    let gtids = [Change::Gtids(b"u:1")];
    assert_eq!(
        session_track::parse(&hex("0305 00 03 753a31")).unwrap(),
        gtids
    );
    assert_eq!(session_track::parse(&hex("0305 01 03 753a31")), None);
    let unknown = [Change::Unknown {
        kind: 9,
        data: b"x",
    }];
    assert_eq!(session_track::parse(&hex("0901 78")).unwrap(), unknown);
    for broken in [
        "00",
        "0003 0161 01",
        "0103 0161 00",
        "0504 03 545f5f",
        "0200",
    ] {
        assert_eq!(session_track::parse(&hex(broken)), None, "{broken}");
    }
}

/// With DEPRECATE_EOF agreed on.
#[test]
fn mariadb_ends_rows_with_ok() {
    let bytes = body("07000004fe000002000000", 4);
    let end = ok::parse(&bytes, ok::END_OF_ROWS, SESSION_TRACK).unwrap();
    assert_eq!(end.status, status::AUTOCOMMIT);
    assert_eq!((end.info, end.changes), (&b""[..], None));
    let again = written(|out| end.write(ok::END_OF_ROWS, SESSION_TRACK, out));
    assert_eq!(again, bytes);
    assert_eq!(eof::parse(&bytes), None);
}

#[test]
fn mariadb_says_what_a_statement_did() {
    let bytes = body(
        "2e00000100020102000000265265636f7264733a203220204475706c6963617465733a203020205761726e696e\
         67733a2030",
        1,
    );
    let ok = ok::parse(&bytes, ok::TAG, SESSION_TRACK).unwrap();
    assert_eq!((ok.affected, ok.last_insert_id), (2, 1));
    assert_eq!(ok.info, b"Records: 2  Duplicates: 0  Warnings: 0");
    assert_eq!(written(|out| ok.write(ok::TAG, SESSION_TRACK, out)), bytes);
}

#[test]
fn mariadb_tells_of_locked_tables_and_of_transactions_that_only_read() {
    let transaction = |letters: &[u8; 8]| [Change::Transaction(Transaction(*letters))];
    let locked = "1400000100000002400000000b0509085f5f5f5f5f5f5f4c";
    tracked(locked, &transaction(b"_______L"));
    let reading = "1400000100000003600000000b050908545f5f5f5f5f5f5f";
    tracked(reading, &transaction(b"T_______"));
    let bytes = body(reading, 1);
    let ok = ok::parse(&bytes, ok::TAG, SESSION_TRACK).unwrap();
    let open = status::IN_TRANS | status::IN_TRANS_READONLY;
    assert_eq!(ok.status & open, open);
}

/// Its text has a length without tracking too, as both servers say it.
#[test]
fn an_ok_is_read_as_was_agreed() {
    let none = Capabilities::default();
    let bytes = hex("00 01 02 0200 0300 03 616263");
    let ok = ok::parse(&bytes, ok::TAG, none).unwrap();
    assert_eq!((ok.affected, ok.last_insert_id), (1, 2));
    assert_eq!((ok.status, ok.warnings), (2, 3));
    assert_eq!((ok.info, ok.changes), (&b"abc"[..], None));
    assert_eq!(ok::parse(&bytes, ok::END_OF_ROWS, none), None);
    let cut = hex("00 01 02 0200 0300 04 616263");
    assert_eq!(ok::parse(&cut, ok::TAG, none), None);
    let short = hex("fe 00 00 0200 0000");
    let end = ok::parse(&short, ok::END_OF_ROWS, SESSION_TRACK).unwrap();
    assert_eq!(end.info, b"");
    let again = written(|out| end.write(ok::END_OF_ROWS, SESSION_TRACK, out));
    assert_eq!(again, short);
    // It says that something changed, and doesn't say what.
    let broken = hex("00 00 00 0040 0000");
    assert_eq!(ok::parse(&broken, ok::TAG, SESSION_TRACK), None);
}

/// A client that doesn't track changes isn't told that there are any.
#[test]
fn changes_are_for_who_tracks_them() {
    let ok = ok::Ok {
        info: b"abc",
        changes: Some(b"\x02\x011"),
        ..ok::Ok::default()
    };
    let none = Capabilities::default();
    let bytes = written(|out| ok.write(ok::TAG, none, out));
    assert_eq!(bytes, hex("00 00 00 0000 0000 03 616263"));
}

#[test]
fn mariadb_refuses() {
    let none = Capabilities::default();
    let bytes = body(
        "28000001ff7a042334325330325461626c65202773686f702e6e6f70652720646f65736e2774206578697374",
        1,
    );
    let report = error::parse(&bytes, none).unwrap();
    assert_eq!((report.code, report.state), (1146, Some(*b"42S02")));
    assert_eq!(report.message, b"Table 'shop.nope' doesn't exist");
    assert_eq!(written(|out| report.write(out)), bytes);
    let early = b"\xff\x10\x04Too many connections";
    let report = error::parse(early, none).unwrap();
    assert_eq!((report.code, report.state), (1040, None));
    assert_eq!(report.message, b"Too many connections");
    assert_eq!(written(|out| report.write(out)), early);
    let progress = b"\xff\xff\xff\x01\x01\x01\0\0\0";
    assert_eq!(error::parse(progress, MARIADB_PROGRESS), None);
    assert!(error::parse(progress, none).is_some());
}

#[test]
fn mariadb_answers_with_rows() {
    assert_eq!(
        result_set::head(&body("0100000102", 1)),
        Some(result_set::Head::Columns(2))
    );
    let bytes = body(
        "1900000203646566000000036f6e65000c3f0001000000038100000000",
        2,
    );
    let one = column::parse(&bytes).unwrap();
    assert_eq!((one.name, one.kind), (&b"one"[..], column::LONG));
    assert_eq!((one.collation, one.length), (column::BINARY, 1));
    assert_eq!((one.flags, one.decimals), (0x81, 0));
    assert_eq!(written(|out| one.write(out)), bytes);
    let mut other = bytes.clone();
    other[12] = 13;
    assert_eq!(column::parse(&other), None);
    let bytes = body(
        "190000030364656600000003747874000c080003000000fd0100270000",
        3,
    );
    let text = column::parse(&bytes).unwrap();
    assert_eq!((text.name, text.kind), (&b"txt"[..], column::VAR_STRING));
    assert_eq!((text.collation, text.decimals), (8, 39));
    assert_eq!(written(|out| text.write(out)), bytes);
    let bytes = body("05000006fe00000140", 6);
    let end = eof::parse(&bytes).unwrap();
    assert_eq!((end.status, end.warnings), (status::IN_TRANS | 0x4000, 0));
    assert_eq!(written(|out| end.write(out)), bytes);
    assert_eq!(eof::parse(b"\xfe\0\0\0\x01\0\0\0\0"), None);
}

#[test]
fn a_response_begins_in_one_of_four_ways() {
    use result_set::Head;
    assert_eq!(result_set::head(b"\0\0\0\x02\0\0\0"), Some(Head::Ok));
    assert_eq!(result_set::head(b"\xff\x10\x04no"), Some(Head::Error));
    assert_eq!(
        result_set::head(b"\xfb/etc"),
        Some(Head::LocalInfile(b"/etc"))
    );
    assert_eq!(result_set::head(b"\xfc\0\x10"), Some(Head::Columns(4096)));
    for bad in [
        &b""[..],
        b"\x01\x01",
        b"\xfd\0\0\x01",
        b"\xfe\0\0\x02\0",
        b"\xfc\0\0",
    ] {
        assert_eq!(result_set::head(bad), None, "{bad:?}");
    }
}
