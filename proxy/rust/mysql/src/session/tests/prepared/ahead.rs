//! Parameters that are sent ahead, and cursors: they are kept by the server, and bind its statement to one client.

use super::*;

#[test]
fn a_parameter_that_is_sent_ahead_holds_the_backend_and_the_statement() {
    let mut pair = with_statement("SELECT ?");
    let piece = |number| command(STMT_SEND_LONG_DATA, number, b"\0\0abc");
    assert_eq!(pair.says(&piece(1)), piece(5));
    assert!(pair.link.is_some());
    // The same text is another statement as long as that lasts.
    pair.says(&prepare("SELECT ?"));
    assert_eq!(pair.answers(&prepared(6, 1)), prepared(2, 1));
    let sent = pair.says(&execute(2, Some(LONGLONG)));
    assert_eq!(ids(&sent), [(STMT_EXECUTE, 6)]);
    pair.gives(OK);
    assert!(pair.link.is_some());
    let sent = pair.says(&execute(1, Some(b"\xfc\0")));
    assert_eq!(ids(&sent), [(STMT_EXECUTE, 5)]);
    pair.gives(OK);
    assert!(pair.is_free());
    // Another one comes ahead of an execution that may be of any kind: of a statement that never was executed.
    assert_eq!(pair.says(&piece(1)), prepare("SELECT ?"));
    pair.answers(&prepared(7, 1));
    assert_eq!(std::mem::take(&mut pair.server), piece(7));
    // Who is done with it has it closed; who leaves, the backend cleaned.
    assert_eq!(
        ids(&pair.says(&command(STMT_CLOSE, 1, b""))),
        [(STMT_CLOSE, 7)]
    );
    assert!(pair.is_free());
    let mut pair = with_statement("SELECT ?");
    pair.says(&piece(1));
    let mut link = pair.link.take().unwrap();
    assert_eq!(
        pair.session.abandon(&mut link),
        Abandoned::Free(Release::Reset)
    );
}

#[test]
fn what_was_sent_ahead_goes_with_an_execution_that_failed_and_with_a_reset() {
    let mut pair = with_statement("SELECT ?");
    let piece = command(STMT_SEND_LONG_DATA, 1, b"\0\0abc");
    pair.says(&piece);
    pair.says(&execute(1, Some(b"\xfc\0")));
    pair.gives("ff ba04 23 4859303030 44");
    assert_eq!(
        ids(&std::mem::take(&mut pair.server)).first(),
        Some(&(STMT_CLOSE, 5))
    );
    let mut pair = with_statement("SELECT ?");
    pair.says(&piece);
    assert_eq!(
        ids(&pair.says(&command(STMT_RESET, 1, b""))),
        [(STMT_RESET, 5)]
    );
    pair.gives(OK);
    assert!(pair.is_free());
    // Then there is nothing to reset, and nobody is asked.
    assert_eq!(pair.says(&command(STMT_RESET, 1, b"")), b"");
    assert_eq!(std::mem::take(&mut pair.client), packet(1, &hex(OK)));
}

#[test]
fn a_cursor_holds_the_backend_to_its_last_row() {
    let mut pair = with_statement("SELECT ?");
    pair.says(&with_flags(1, 1, Some(LONGLONG)));
    let opened = hex("0100000101 0400000203646566 07000003fe000042000000");
    assert_eq!(pair.answers(&opened), opened);
    assert!(pair.link.is_some());
    // Another statement's end isn't the cursor's.
    pair.asks("SELECT 1");
    pair.gives(OK);
    assert!(pair.link.is_some());
    let fetch = |number| command(STMT_FETCH, number, b"\x02\0\0\0");
    assert_eq!(pair.says(&fetch(1)), fetch(5));
    pair.answers(&hex("0400000100000000 07000002fe000042000000"));
    assert!(pair.link.is_some());
    pair.says(&fetch(1));
    pair.answers(&hex("07000001fe000082000000"));
    assert_eq!(ids(&std::mem::take(&mut pair.server)), [(STMT_CLOSE, 5)]);
    assert!(pair.is_free());
    pair.says(&fetch(1));
    let told = std::mem::take(&mut pair.client);
    assert_eq!(
        Pair::error(&told),
        (1421, "The statement (1) has no open cursor.".into())
    );
}

#[test]
fn what_a_lost_backend_had_alone_is_told_to_be_lost() {
    let mut pair = with_statement("SELECT ?");
    pair.says(&command(STMT_SEND_LONG_DATA, 1, b"\0\0abc"));
    assert_eq!(pair.lost(), (Outcome::Stays, Vec::new()));
    // More of it is of no use.
    assert_eq!(pair.says(&command(STMT_SEND_LONG_DATA, 1, b"\0\0def")), b"");
    pair.says(&execute(1, Some(b"\xfc\0")));
    assert_eq!(Pair::error(&std::mem::take(&mut pair.client)).0, 1213);
    pair.spare = Some(link(MYSQL, DEPRECATE_EOF));
    assert_eq!(pair.says(&execute(1, Some(LONGLONG))), prepare("SELECT ?"));
}

/// Nothing answers such a piece, whatever becomes of it.
#[test]
fn what_is_sent_ahead_of_an_execution_that_cannot_be_is_told_then() {
    let piece = command(STMT_SEND_LONG_DATA, 1, b"\0\0abc");
    let mut pair = with_statement("SELECT ?");
    pair.asks("BEGIN");
    pair.gives("00000003000000");
    pair.lost();
    assert_eq!(pair.says(&piece), b"");
    assert_eq!(pair.client, b"");
    pair.says(&execute(1, Some(b"\xfc\0")));
    assert_eq!(Pair::error(&std::mem::take(&mut pair.client)).0, 1213);
    // It was told once.
    pair.spare = Some(link(MYSQL, DEPRECATE_EOF));
    assert_eq!(pair.says(&execute(1, Some(LONGLONG))), prepare("SELECT ?"));
    let mut pair = with_statement("SELECT ?");
    let mut steps = Steps::new();
    let refused = pair
        .session
        .refuse(Failure::BorrowTimeout, &piece, &mut steps);
    assert_eq!((refused, steps), (piece.len(), vec![]));
    pair.says(&execute(1, Some(b"\xfc\0")));
    assert_eq!(Pair::error(&std::mem::take(&mut pair.client)).0, 9501);
}

#[test]
fn a_close_that_comes_in_pieces_closes() {
    let mut pair = with_statement("SELECT ?");
    for byte in command(STMT_CLOSE, 1, b"") {
        assert_eq!(pair.says(&[byte]), b"");
    }
    pair.says(&execute(1, Some(LONGLONG)));
    assert_eq!(Pair::error(&std::mem::take(&mut pair.client)).0, 1243);
}

#[test]
fn what_is_made_beside_a_cursor_is_asked_for_when_that_is_closed() {
    let mut pair = with_statement("SELECT ?");
    pair.says(&with_flags(1, 1, Some(LONGLONG)));
    pair.answers(&hex("0100000101 0400000203646566 07000003fe000042000000"));
    pair.asks("INSERT INTO t VALUES (1)");
    pair.gives("00010702000000");
    let sent = pair.says(&command(STMT_CLOSE, 1, b""));
    let last = payloads(&sent).pop().unwrap_or_default();
    assert_eq!(last, b"\x03SET last_insert_id = LAST_INSERT_ID()");
    let (name, value) = (&b"last_insert_id"[..], &b"7"[..]);
    pair.reports(2, &[Change::Variable { name, value }, Change::State(true)]);
    assert!(pair.link.is_none());
    assert_eq!(pair.session.insert_id, 7);
}
