//! What is listened to, and what is heard.

use dbproxy_engine::Channels;

use super::message;

pub fn channels(names: &[&str]) -> Channels {
    names.iter().map(|name| name.as_bytes().into()).collect()
}

pub fn notification(channel: &str, payload: &str) -> Vec<u8> {
    let mut body = vec![0, 0, 0, 9];
    body.extend_from_slice(format!("{channel}\0{payload}\0").as_bytes());
    message(b'A', &body)
}
