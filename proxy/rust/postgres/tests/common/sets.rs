//! Clients that set something.

use super::*;

/// The answer to one statement that sets something.
pub fn set(status: u8) -> Vec<u8> {
    concat(&[complete("SET"), ready(status)])
}

/// Runs statements to their end, one by one; the backend is let go behind the last.
pub fn does(bench: &mut Bench, statements: &[(&str, &str, u8)]) {
    for (sql, tag, status) in statements {
        bench.client(&query(sql));
        bench.server(&concat(&[complete(tag), ready(*status)]));
    }
    assert!(bench.link.is_none(), "the backend was kept");
}

/// What a fresh backend is sent in front of the client's next query.
pub fn elsewhere(bench: &mut Bench) -> String {
    bench.idle = vec![link()];
    let sent = bench.client(&query("SELECT 1"));
    sent.strip_suffix("Q:SELECT 1").unwrap().trim().to_owned()
}
