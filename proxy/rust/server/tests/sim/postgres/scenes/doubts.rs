//! What a client can make the agent look at: only what may be true.

use dbproxy_driver::{Duration, Token};

use super::stage::Stage;
use crate::desired::{READ_PORT, WRITE_PORT};

fn doubts(stage: &Stage) -> usize {
    let doubts = stage.notices.iter();
    doubts.filter(|told| told.event == "writer_doubted").count()
}

/// Statements one after another for three seconds; all are refused.
fn flood(stage: &mut Stage, client: Token, begin: Option<&str>) {
    let begun = stage.network.now();
    while stage.network.now().since(begun) < Duration::from_secs(3) {
        if let Some(begin) = begin {
            assert_eq!(stage.query(client, begin), None);
        }
        let refused = stage.query(client, "INSERT INTO orders VALUES (?)");
        assert_eq!(refused.as_deref(), Some("25006"));
        if begin.is_some() {
            stage.query(client, "ROLLBACK");
        }
    }
}

#[test]
fn a_client_that_writes_in_transactions_that_only_read_doubts_no_writer() {
    let mut stage = Stage::new();
    let client = stage.join(WRITE_PORT);
    flood(&mut stage, client, Some("BEGIN READ ONLY"));
    assert_eq!(doubts(&stage), 0);
}

#[test]
fn a_client_that_writes_to_readers_doubts_no_writer() {
    let mut stage = Stage::new();
    stage.databases[1].1.read_only = true;
    let client = stage.join(READ_PORT);
    flood(&mut stage, client, None);
    assert_eq!(doubts(&stage), 0);
}

#[test]
fn a_writer_that_is_a_standby_is_doubted_once_a_second_however_many_write() {
    let mut stage = Stage::new();
    stage.databases[0].1.read_only = true;
    let clients = [0; 3].map(|_| stage.join(WRITE_PORT));
    for client in clients {
        flood(&mut stage, client, None);
    }
    let doubts = doubts(&stage);
    assert!(
        (3..=10).contains(&doubts),
        "{doubts} doubts in nine seconds"
    );
}
