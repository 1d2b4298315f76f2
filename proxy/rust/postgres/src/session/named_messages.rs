//! The messages that are sent in place of a client's, or in front of them, for named statements; each
//! with its entry in the queue of what the backend owes.

use std::sync::Arc;

use dbproxy_engine::Steps;

use crate::expect::Expect;
use crate::link::Link;
use crate::message::{build, frontend, HEADER};
use crate::prepared::{self, Alias, Coming, EMPTY};

use super::extended::closing;
use super::forward::Verdict;
use super::run::Run;

pub(super) fn parse_as_it_is(link: &mut Link) -> Verdict {
    link.expected.push(Expect::Parse {
        unnamed: None,
        ours: false,
        coming: None,
        alias: None,
    });
    link.unsynced = true;
    Verdict::Forward
}

/// Parse and Describe of a statement under a name of ours, under the settings that hold there.
pub(super) fn parse(
    link: &mut Link,
    coming: Coming,
    ours: bool,
    bytes: &mut Vec<u8>,
) -> Arc<Coming> {
    let coming = Arc::new(coming);
    let name = prepared::name(coming.number);
    let shared = &coming.shared;
    build::parse(bytes, name.as_bytes(), &shared.source(), shared.types());
    build::of_statement(bytes, frontend::DESCRIBE, name.as_bytes());
    link.expected.push(Expect::Parse {
        unnamed: None,
        ours,
        coming: Some(Arc::clone(&coming)),
        alias: None,
    });
    link.expected.push(Expect::Learn(Arc::clone(&coming)));
    link.unsynced = true;
    coming
}

/// Parse of a name that the client has: the server reads the text, and then refuses a name that is
/// taken by an empty statement.
pub(super) fn parse_twice(
    link: &mut Link,
    name: &[u8],
    body: &[u8],
    run: &mut Run<'_>,
    out: &mut Steps,
) -> Verdict {
    let Some((_, text, types)) = frontend::parsed(body) else {
        return parse_as_it_is(link);
    };
    let mut bytes = Vec::new();
    parse_empty(link, &mut bytes);
    build::parse(&mut bytes, prepared::name(EMPTY).as_bytes(), text, types);
    link.expected.push(Expect::Parse {
        unnamed: None,
        ours: false,
        coming: None,
        alias: Some(Alias::of(EMPTY, &name.into())),
    });
    link.unsynced = true;
    run.put(bytes, out);
    Verdict::Replaced(HEADER + body.len())
}

/// Sees to it that there is an empty statement of that number. A server takes it in any state.
pub(super) fn parse_empty(link: &mut Link, bytes: &mut Vec<u8>) {
    let name = prepared::name(EMPTY);
    build::of_statement(bytes, frontend::CLOSE, name.as_bytes());
    link.expected.push(closing(false, true));
    build::parse(bytes, name.as_bytes(), b"", b"");
    link.expected.push(Expect::Parse {
        unnamed: None,
        ours: true,
        coming: None,
        alias: None,
    });
}

/// Closes what the backend has too much of, at the beginning of a batch, where that is sure to be read. A
/// portal keeps what it is of.
pub(super) fn close_surplus(link: &mut Link, bytes: &mut Vec<u8>) {
    if link.unsynced || link.expected.requests() > 0 {
        return;
    }
    for number in link.prepared.surplus() {
        let name = prepared::name(number);
        build::of_statement(bytes, frontend::CLOSE, name.as_bytes());
        link.expected.push(closing(false, true));
    }
}

/// Puts another name into a Describe or Close, if there is one.
pub(super) fn replace(
    tag: u8,
    name: &[u8],
    ours: Option<Vec<u8>>,
    run: &mut Run<'_>,
    out: &mut Steps,
) -> Verdict {
    let Some(ours) = ours else {
        return Verdict::Forward;
    };
    let mut bytes = Vec::new();
    build::of_statement(&mut bytes, tag, &ours);
    run.put(bytes, out);
    Verdict::Replaced(HEADER + 1 + name.len() + 1)
}

/// The beginning of a Bind with another name, up to what stands behind the name.
pub(super) fn rebound(rest: &[u8], portal: &[u8], name: &[u8], ours: &[u8]) -> Option<Vec<u8>> {
    let word = rest.get(1..)?.first_chunk::<4>()?;
    let length = u32::from_be_bytes(*word) as usize - name.len() + ours.len();
    let mut head = Vec::with_capacity(HEADER + portal.len() + ours.len() + 2);
    head.push(frontend::BIND);
    head.extend_from_slice(&(length as u32).to_be_bytes());
    build::text(&mut head, portal);
    build::text(&mut head, ours);
    Some(head)
}
