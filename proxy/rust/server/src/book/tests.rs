//! Who may open a connection, and when a former writer has none left.

use std::net::SocketAddr;
use std::sync::Arc;

use dbproxy_driver::Duration;

use super::*;
use crate::caps::Bar;
use crate::signs::TargetSigns;
use crate::snapshot::{Target, Writer};
use crate::test_support::snapshot;

const A: TargetId = TargetId(0);
const B: TargetId = TargetId(1);

fn key(user: &str, database: &str) -> Identity {
    Identity {
        user: user.into(),
        database: database.into(),
        settings: Vec::new().into(),
        traces: Vec::new().into(),
    }
}

fn take(book: &mut Book, term: u64) -> Result<Permit, Denied> {
    book.take(A, &key("app", "shop"), term, Time(0))
}

fn at(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 5432))
}

/// With the writer at its own address.
fn world(writer: Option<(TargetId, u64)>) -> Snapshot<()> {
    let target = |id: TargetId| {
        Some(Arc::new(Target {
            id,
            name: "db".into(),
            addresses: vec![at(id.0 as u8)],
            server_name: "db".into(),
            reader: false,
            available: true,
            max_connections: 2,
            max_idle: 1,
            min_idle: 0,
            defaults: "".into(),
            signs: Arc::new(TargetSigns::new(0)),
        }))
    };
    Snapshot {
        version: None,
        targets: vec![target(A), target(B)],
        writer: writer.map(|(target, epoch)| Writer {
            target,
            epoch,
            open: true,
        }),
        ..snapshot()
    }
}

fn moved(epoch: u64, addresses: &[SocketAddr]) -> Snapshot<()> {
    let mut snapshot = world(Some((A, epoch)));
    if let Some(target) = snapshot.targets[0].as_mut() {
        Arc::make_mut(target).addresses = addresses.to_vec();
    }
    snapshot
}

/// What a snapshot that everybody took over at once brings about.
fn told(book: &mut Book, mut snapshot: Snapshot<()>) -> (u64, Vec<Drained>) {
    book.open(&mut snapshot);
    book.worker_caught_up(0, snapshot.sequence);
    (snapshot.term, book.drained())
}

fn drained(from: Option<TargetId>, epoch: u64) -> Vec<Drained> {
    let unconfirmed = false;
    vec![Drained {
        from,
        epoch,
        unconfirmed,
    }]
}

#[test]
fn a_writer_that_moves_is_a_former_writer() {
    let mut book = Book::new(1);
    assert_eq!(told(&mut book, moved(1, &[at(1)])), (0, drained(None, 1)));
    let old = take(&mut book, 0).expect("room");
    assert_eq!(told(&mut book, moved(2, &[at(2)])), (1, Vec::new()));
    book.give_back(old, true);
    assert_eq!(book.drained(), drained(Some(A), 2));
    // Without a word of a new epoch too.
    assert_eq!(
        told(&mut book, moved(2, &[at(3)])),
        (2, drained(Some(A), 2))
    );
}

#[test]
fn a_writer_that_stays_where_it_was_is_none() {
    let mut book = Book::new(1);
    told(&mut book, moved(1, &[at(1)]));
    let both = [at(1), at(2)];
    assert_eq!(told(&mut book, moved(2, &both)), (0, drained(None, 2)));
    assert_eq!(told(&mut book, moved(2, &both)), (0, Vec::new()));
    // A name that can't be resolved stands for the addresses of before.
    assert_eq!(told(&mut book, moved(2, &[])), (0, Vec::new()));
    assert_eq!(told(&mut book, moved(2, &both)), (0, Vec::new()));
    assert_eq!(
        told(&mut book, moved(2, &[at(2)])),
        (1, drained(Some(A), 2))
    );
}

#[test]
fn a_renewed_permit_holds_no_acknowledgement_up() {
    let mut book = Book::new(1);
    told(&mut book, moved(1, &[at(1), at(2)]));
    let mut stays = take(&mut book, 0).expect("room");
    let goes = take(&mut book, 0).expect("room");
    let (term, _) = told(&mut book, moved(2, &[at(2)]));
    book.renew(&mut stays, term);
    assert!(book.drained().is_empty());
    book.give_back(goes, true);
    assert_eq!(book.drained(), drained(Some(A), 2));
    assert_eq!(book.held()[&A], 1);
}

#[test]
fn the_budget_is_never_exceeded() {
    let mut book = Book::new(1);
    book.open(&mut world(Some((A, 1))));
    let first = take(&mut book, 0).expect("room for one");
    let _second = take(&mut book, 0).expect("room for two");
    assert!(take(&mut book, 0).is_err());
    book.give_back(first, true);
    assert!(take(&mut book, 0).is_ok());
    assert_eq!(book.usage(A), (2, 2));
}

#[test]
fn a_lowered_limit_sheds_what_is_above_it_and_no_more() {
    let mut book = Book::new(1);
    let mut snapshot = world(Some((A, 1)));
    book.open(&mut snapshot);
    let mut first = take(&mut book, 0).expect("room for one");
    let mut second = take(&mut book, 0).expect("room for two");
    assert!(!book.over_limit() && !book.shed(&mut first));
    if let Some(target) = snapshot.targets[0].as_mut() {
        Arc::make_mut(target).max_connections = 1;
    }
    book.open(&mut snapshot);
    assert!(book.over_limit() && book.shed(&mut first));
    assert!(!book.over_limit() && !book.shed(&mut second));
    assert!(book.shed(&mut first), "it is told so until it is gone");
    book.give_back(first, true);
    assert!(take(&mut book, 0).is_err(), "the limit is one now");
    book.give_back(second, true);
    assert!(take(&mut book, 0).is_ok());
}

#[test]
fn an_epoch_is_drained_when_all_workers_saw_it_and_nothing_of_before_is_left() {
    let mut book = Book::new(2);
    let mut first = world(Some((A, 1)));
    book.open(&mut first);
    book.worker_caught_up(0, first.sequence);
    assert!(book.drained().is_empty());
    book.worker_caught_up(1, first.sequence);
    assert_eq!(book.drained().len(), 1);
    let old = take(&mut book, first.term).expect("room");
    let mut second = world(Some((B, 2)));
    book.open(&mut second);
    assert!(second.term > first.term);
    book.worker_caught_up(0, second.sequence);
    book.worker_caught_up(1, second.sequence);
    // A reader's connection to the former writer doesn't hold the acknowledgement up.
    let _reader = take(&mut book, second.term).expect("room");
    assert!(book.drained().is_empty());
    book.give_back(old, false);
    let expected = Drained {
        from: Some(A),
        epoch: 2,
        unconfirmed: true,
    };
    assert_eq!(book.drained(), vec![expected]);
}

/// Two connections to each target, and so many of a user and to a database.
fn capped(of_user: Option<u32>, of_database: Option<u32>) -> Book {
    let mut book = Book::new(1);
    let mut snapshot = world(Some((A, 1)));
    snapshot.limits.caps = Caps {
        of_user,
        of_database,
    };
    book.open(&mut snapshot);
    book
}

#[test]
fn a_user_and_a_database_have_as_many_of_each_target_as_they_may() {
    for (of_user, of_database, other) in [
        (Some(1), None, key("ops", "shop")),
        (None, Some(1), key("app", "till")),
    ] {
        let mut book = capped(of_user, of_database);
        let first = take(&mut book, 0).expect("room");
        let denied = take(&mut book, 0).expect_err("it has all that it may have");
        assert_eq!(denied, Denied::Capped);
        let elsewhere = book.take(B, &key("app", "shop"), 0, Time(0));
        assert!(elsewhere.is_ok(), "another target is another matter");
        let second = book.take(A, &other, 0, Time(0)).expect("not barred");
        let denied = take(&mut book, 0).expect_err("nobody has room");
        assert_eq!(denied, Denied::Full);
        book.give_back(second, true);
        assert!(take(&mut book, 0).is_err());
        book.give_back(first, true);
        assert!(take(&mut book, 0).is_ok());
    }
}

#[test]
fn a_lowered_cap_sheds_the_connections_of_those_who_have_more() {
    let mut book = capped(None, None);
    let mut of_app = take(&mut book, 0).expect("room");
    let mut of_ops = book.take(A, &key("ops", "shop"), 0, Time(0)).expect("room");
    let mut snapshot = world(Some((A, 1)));
    snapshot.limits.caps.of_database = Some(1);
    book.open(&mut snapshot);
    assert!(book.over_limit() && book.shed(&mut of_app));
    assert!(!book.over_limit() && !book.shed(&mut of_ops));
    book.give_back(of_app, true);
    book.give_back(of_ops, true);
    assert!(take(&mut book, 0).is_ok() && take(&mut book, 0).is_err());
}

#[test]
fn the_last_room_of_a_database_is_kept_for_who_lacks_its_users_too_for_a_moment() {
    let mut book = capped(Some(1), Some(1));
    let (both, other) = (key("app", "shop"), key("ops", "shop"));
    let of_app = book.take(A, &key("app", "till"), 0, Time(0)).expect("room");
    let at = |ms| Time(0).after(Duration::from_millis(ms));
    let begun = at(10_000);
    let shares = book.shares(A, &both);
    assert_eq!(shares.bar(hash_of(&both), begun), Some(Bar::User));
    shares.keep(hash_of(&both), begun);
    assert!(book.take(A, &other, 0, begun).is_err());
    // It isn't kept again as soon as it was.
    shares.keep(hash_of(&both), at(10_300));
    let of_ops = book.take(A, &other, 0, at(10_300)).expect("kept no more");
    book.give_back(of_ops, true);
    shares.keep(hash_of(&both), at(11_500));
    book.give_back(of_app, true);
    assert!(book.take(A, &both, 0, at(11_600)).is_ok());
}
