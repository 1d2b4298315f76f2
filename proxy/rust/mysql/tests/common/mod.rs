//! What these tests share.
#![allow(dead_code)] // Each test file uses its own part of this.

pub mod client;
pub mod door;
pub mod server;

use dbproxy_mysql::message::frame::{payload, Gathered, LONGEST};

/// The bytes that a text of hexadecimal digits means; blanks are left out.
pub fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|digit| *digit != ' ').collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap())
        .collect()
}

/// The payload of one packet with that number.
pub fn body(packet: &str, sequence: u8) -> Vec<u8> {
    let packet = hex(packet);
    match payload(&packet, sequence, LONGEST) {
        Gathered::Payload { body, total, .. } if total == packet.len() => body.into_owned(),
        other => panic!("{other:?}"),
    }
}

/// What is written.
pub fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

/// Randomness that is known.
pub fn sevens(bytes: &mut [u8]) {
    bytes.fill(7);
}

/// A payload in its packet.
pub fn packet(sequence: u8, payload: &[u8]) -> Vec<u8> {
    written(|out| {
        dbproxy_mysql::message::frame::packets(out, sequence, |out| {
            out.extend_from_slice(payload);
        });
    })
}
