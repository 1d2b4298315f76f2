//! Clients that listen share a connection that nobody else gets.

use dbproxy_driver::{Duration, Token};

use super::stage::Stage;
use crate::desired::{READ_PORT, WRITE_PORT};
use crate::postgres::wire;

/// What a client has heard since somebody last looked, and how often its answers ended.
fn heard(stage: &mut Stage, client: Token) -> Vec<String> {
    let messages = std::mem::take(&mut stage.person_mut(client).heard);
    let notes = messages.iter().filter(|message| message[0] == b'A');
    let payloads = notes.map(|message| {
        let channel = wire::text_at(&message[9..]);
        wire::text_at(&message[10 + channel.len()..]).to_owned()
    });
    // Now and then the database lets hear something by itself.
    payloads.filter(|text| !text.starts_with('x')).collect()
}

fn listening(stage: &Stage) -> (u64, u64) {
    let targets = stage.shared.stats.targets();
    let endpoints = stage.shared.stats.endpoints();
    (
        targets.values().map(|sum| sum.listening).sum(),
        endpoints.values().map(|sum| sum.listening).sum(),
    )
}

fn pins(stage: &Stage) -> u64 {
    let endpoints = stage.shared.stats.endpoints();
    endpoints.values().flat_map(|sum| sum.pins.values()).sum()
}

/// With two connections, and so many clients that listen.
fn listeners(seed: u64, workers: usize, count: usize) -> (Stage, Vec<Token>) {
    let mut stage = Stage::with(seed, workers);
    stage.desired.budget = 2;
    stage.apply();
    stage.pass(Duration::from_millis(20));
    let clients: Vec<Token> = (0..count).map(|_| stage.join(WRITE_PORT)).collect();
    for client in &clients {
        stage.ask(*client, "LISTEN news");
    }
    for client in &clients {
        stage.until("it listens", |stage| stage.person(*client).ready == 2);
    }
    (stage, clients)
}

/// Loses the oldest connection to the database, which is the one that listens.
fn lose_oldest(stage: &mut Stage) {
    let host = stage.databases[0].0;
    let links = stage.network.links();
    let there = links.iter().filter(|link| link.to == host);
    let oldest = there.min_by_key(|link| link.id);
    stage.network.reset(oldest.expect("a connection").id);
}

/// A client that listens, one connection in two, and no other client.
fn listener() -> (Stage, Token) {
    let (stage, clients) = listeners(1, 1, 1);
    (stage, clients[0])
}

#[test]
fn many_who_begin_at_once_share_one_and_keep_nobody_from_the_other() {
    for seed in 1..20 {
        let (mut stage, clients) = listeners(seed, 1 + seed as usize % 3, 40);
        assert_eq!(listening(&stage), (1, 40), "seed {seed}");
        assert_eq!(pins(&stage), 0, "seed {seed}");
        let other = stage.join(WRITE_PORT);
        assert_eq!(stage.query(other, "NOTIFY news, 'hello'"), None);
        for client in &clients {
            assert_eq!(stage.query(*client, "SELECT ?"), None);
            assert_eq!(heard(&mut stage, *client), ["hello"], "seed {seed}");
        }
        assert!(stage.sessions(0) <= 2);
        for client in &clients {
            stage.leave(*client);
        }
        stage.until("the last is gone", |stage| listening(stage) == (0, 0));
        assert_eq!(stage.query(other, "NOTIFY news, 'nobody'"), None);
    }
}

#[test]
fn what_was_said_before_stands_in_front_of_the_end_of_each_answer() {
    for seed in 1..30 {
        let (mut stage, clients) = listeners(seed, 2, 3);
        let other = stage.join(WRITE_PORT);
        for number in 0..10 {
            stage.query(other, &format!("NOTIFY news, '{number}'"));
            for client in &clients {
                stage.ask(*client, "SELECT ?");
            }
            for client in &clients {
                let ready = 3 + number;
                stage.until("answers", |stage| stage.person(*client).ready == ready);
                assert_eq!(heard(&mut stage, *client), [number.to_string()]);
            }
        }
    }
}

#[test]
fn what_ends_it_loses_nothing_from_before_and_hears_nothing_from_behind() {
    for seed in 1..30 {
        let (mut stage, clients) = listeners(seed, 2, 2);
        let other = stage.join(WRITE_PORT);
        for end in ["UNLISTEN news", "UNLISTEN *", "DISCARD ALL"] {
            stage.query(other, "NOTIFY news, 'before'");
            stage.query(clients[0], end);
            assert_eq!(heard(&mut stage, clients[0]), ["before"], "{end} {seed}");
            stage.query(other, "NOTIFY news, 'behind'");
            stage.query(clients[0], "SELECT ?");
            assert!(heard(&mut stage, clients[0]).is_empty(), "{end} {seed}");
            stage.query(clients[0], "LISTEN news");
            assert!(heard(&mut stage, clients[0]).is_empty(), "{end} {seed}");
        }
        assert_eq!(listening(&stage), (1, 2));
    }
}

#[test]
fn what_is_said_in_the_request_that_ends_it_is_not_heard() {
    for seed in 1..60 {
        let (mut stage, clients) = listeners(seed, 3, 3);
        let other = stage.join(WRITE_PORT);
        let said = "NOTIFY news, 'own'";
        for text in [
            format!("UNLISTEN news; {said}"),
            format!("{said}; UNLISTEN *"),
        ] {
            stage.query(other, "NOTIFY news, 'before'");
            stage.query(clients[0], &text);
            assert_eq!(heard(&mut stage, clients[0]), ["before"], "{text} {seed}");
            stage.query(clients[0], "LISTEN news");
            assert!(heard(&mut stage, clients[0]).is_empty(), "{text} {seed}");
        }
        stage.query(clients[1], "SELECT ?");
        let all = ["before", "own"].repeat(2);
        assert_eq!(heard(&mut stage, clients[1]), all, "seed {seed}");
    }
}

#[test]
fn who_may_have_missed_something_is_closed() {
    let (mut stage, clients) = listeners(3, 2, 5);
    stage.reset_links_to(0);
    for client in clients {
        stage.until("closed", |stage| stage.person(client).closed);
        assert_eq!(stage.person(client).errors, ["57P01"]);
    }
    assert_eq!(stage.closed_for("listening_connection_lost"), 5);
    let again = stage.join(WRITE_PORT);
    assert_eq!(stage.query(again, "LISTEN news"), None);
    assert_eq!(listening(&stage), (1, 1));
}

#[test]
fn one_in_a_transaction_learns_what_became_of_it_first() {
    let (mut stage, client) = listener();
    let other = stage.join(WRITE_PORT);
    assert_eq!(stage.query(client, "BEGIN"), None);
    lose_oldest(&mut stage);
    stage.until("it is lost", |stage| listening(stage).0 == 0);
    assert!(!stage.person(client).closed);
    stage.query(client, "COMMIT");
    stage.until("closed", |stage| stage.person(client).closed);
    assert_eq!(stage.person(client).errors, ["57P01"]);
    assert_eq!(stage.query(other, "SELECT ?"), None);
}

#[test]
fn what_is_undone_is_not_heard_either_when_its_ear_is_lost() {
    let (mut stage, client) = listener();
    stage.desired.budget = 3;
    stage.apply();
    let other = stage.join(WRITE_PORT);
    stage.query(client, "BEGIN");
    stage.query(client, "LISTEN sport");
    for (channel, text) in [("news", "heard"), ("sport", "undone")] {
        let sql = format!("NOTIFY {channel}, '{text}'");
        assert_eq!(stage.query(other, &sql), None);
    }
    // What is asked of the ear behind that finds that it has heard it.
    stage.query(client, "LISTEN weather");
    lose_oldest(&mut stage);
    stage.until("it is lost", |stage| listening(stage).0 == 0);
    stage.query(client, "ROLLBACK");
    stage.until("closed", |stage| stage.person(client).closed);
    assert_eq!(heard(&mut stage, client), ["heard"]);
    assert_eq!(stage.person(client).errors, ["57P01"]);
}

#[test]
fn one_that_keeps_its_backend_is_not_served_on() {
    let (mut stage, client) = listener();
    stage.query(client, "BEGIN");
    stage.query(client, "DECLARE c CURSOR WITH HOLD FOR SELECT ?");
    lose_oldest(&mut stage);
    stage.until("it is lost", |stage| listening(stage).0 == 0);
    let before = stage.person(client).ready;
    // The proxy asks behind it whether there is a cursor still.
    stage.ask(client, "ROLLBACK");
    stage.ask(client, "SELECT ?");
    stage.until("closed", |stage| stage.person(client).closed);
    assert_eq!(stage.person(client).ready, before + 1);
    assert_eq!(stage.person(client).errors, ["57P01"]);
}

#[test]
fn what_it_was_asked_long_ago_wakes_nobody() {
    let (mut stage, client) = listener();
    for _ in 0..500 {
        stage.query(client, "SELECT ?");
    }
    stage.pass(Duration::from_secs(5));
    let before = stage.idle_turns();
    stage.pass(Duration::from_secs(15));
    let more = stage.idle_turns() - before;
    assert!(more < 100, "{more} turns for nothing");
}

#[test]
fn a_change_of_writer_closes_it() {
    let (mut stage, client) = listener();
    stage.name_writer("db1");
    stage.until("closed", |stage| stage.person(client).closed);
    assert_eq!(stage.person(client).errors, ["57P01"]);
    let epoch = stage.desired.writer.epoch;
    stage.until("drained", |s| s.drained("db0", epoch) == Some(true));
    assert_eq!(listening(&stage), (0, 0));
    let again = stage.join(WRITE_PORT);
    assert_eq!(stage.query(again, "LISTEN news"), None);
    assert_eq!(stage.served_by(again), 1);
}

#[test]
fn a_pod_that_goes_tells_it_goodbye() {
    let (mut stage, client) = listener();
    stage.shared.drain();
    stage.until("closed", |stage| stage.person(client).closed);
    assert_eq!(stage.person(client).errors, ["57P01"]);
    stage.until("nothing is left", |stage| stage.sessions(0) == 0);
}

#[test]
fn a_server_that_never_answers_is_not_waited_for() {
    let (mut stage, clients) = listeners(1, 1, 2);
    stage.mute(0, true);
    // What it listened to is for nobody any more, and the server is told.
    stage.leave(clients[0]);
    stage.pass(Duration::from_secs(12));
    assert_eq!(listening(&stage), (1, 1));
    stage.leave(clients[1]);
    stage.pass(Duration::from_secs(25));
    assert_eq!((listening(&stage), stage.held("db0")), ((0, 0), 0));
}

#[test]
fn the_only_connection_is_its_own_until_it_ends() {
    let mut stage = Stage::with_one_connection();
    let (client, other) = (stage.join(WRITE_PORT), stage.join(WRITE_PORT));
    assert_eq!(stage.query(client, "LISTEN news"), None);
    assert_eq!((listening(&stage), pins(&stage)), ((0, 0), 1));
    stage.ask(other, "SELECT ?");
    stage.pass(Duration::from_secs(1));
    assert_eq!(stage.person(other).ready, 1);
}

#[test]
fn a_session_on_a_reader_listens_itself() {
    let mut stage = Stage::new();
    let client = stage.join(READ_PORT);
    assert_eq!(stage.query(client, "LISTEN news"), None);
    assert_eq!((listening(&stage), pins(&stage)), ((0, 0), 1));
}

#[test]
fn letters_that_cross_do_no_harm() {
    for seed in 1..60 {
        let (mut stage, mut clients) = listeners(seed, 3, 6);
        // Each may be bound to its own meanwhile.
        stage.desired.budget = 8;
        stage.apply();
        for number in 0..30u64 {
            let at = ((seed * 7 + number * 5) % clients.len() as u64) as usize;
            match (seed + number) % 5 {
                0 => {
                    stage.ask(clients[at], "UNLISTEN *");
                    stage.leave(clients[at]);
                    clients[at] = stage.join(WRITE_PORT);
                }
                1 => stage.ask(clients[at], "UNLISTEN *"),
                2 => stage.ask(clients[at], "LISTEN news"),
                3 => stage.ask(clients[at], "BEGIN; LISTEN more; COMMIT"),
                _ => stage.ask(clients[at], "NOTIFY news, 'x'"),
            }
            stage.pass(Duration::from_micros(seed * 13 % 400));
        }
        for client in &clients {
            assert_eq!(stage.query(*client, "DISCARD ALL"), None, "seed {seed}");
        }
        stage.until("all have ended", |stage| listening(stage) == (0, 0));
        for client in &clients {
            assert_eq!(stage.query(*client, "SELECT ?"), None, "seed {seed}");
            assert!(!stage.person(*client).closed);
        }
    }
}
