//! What the server's answers say about prepared statements: which the client has, which the backend,
//! and by what name the client knows the one that an error tells of.

use std::sync::Arc;

use dbproxy_engine::{KillReason, Reader};

use crate::expect::Expect;
use crate::link::Link;
use crate::message::error::{Fault, Report};
use crate::message::{backend, build, error};
use crate::prepared::{
    Alias, Coming, Known, LentState, Naming, Parsed, Refusal, Rows, Shared, Theirs, Tick,
};
use crate::texts;

use super::judge::Verdict;
use super::Session;

/// The longest description that a server makes has as many types, or the names of 1,664 columns.
const LONGEST_DESCRIPTION: usize = 512 * 1024;

/// Whether what comes next answers a Describe of ours.
pub(super) fn learns(link: &Link) -> bool {
    matches!(
        link.expected.front(),
        Some(Expect::Learn(_) | Expect::Theirs(Theirs::Learn(..) | Theirs::Compare(_)))
    )
}

/// How much of a description is waited for: all of it, if it answers a question of ours.
pub(super) fn needed(link: &Link, total: usize) -> usize {
    if learns(link) {
        total.min(LONGEST_DESCRIPTION)
    } else {
        0
    }
}

/// A part of the answer to a Describe of ours.
pub(super) fn learn(
    session: Option<&mut Session>,
    link: &mut Link,
    tag: u8,
    body: &[u8],
) -> Verdict {
    let rows = match tag {
        backend::PARAMETER_DESCRIPTION => {
            let mut reader = Reader::new(body);
            let count = reader.u16().map(usize::from);
            if count.map(|count| 4 * count) != Ok(reader.len()) {
                return Verdict::Kill(KillReason::OutOfStep);
            }
            link.prepared.described(reader.rest());
            return Verdict::Drop;
        }
        backend::NO_DATA => Some(Rows::None),
        backend::ROW_DESCRIPTION => Rows::described(body),
        _ => None,
    };
    let Some(rows) = rows else {
        return Verdict::Kill(KillReason::OutOfStep);
    };
    let types = link.prepared.types();
    match link.expected.pop() {
        Some(Expect::Learn(coming)) => {
            let shared = coming.shared.described(&types, rows);
            let shared = link.prepared.insert(&coming, shared);
            if let (Some(session), Some(name)) = (session, &coming.name) {
                let known = session.names.get(name).map(|(_, known)| known.clone());
                if let Some(known) = known.filter(|one| Arc::ptr_eq(&one.shared, &coming.shared)) {
                    session.names.set(name, Known { shared, ..known });
                }
            }
        }
        Some(Expect::Theirs(Theirs::Learn(name, shared))) => {
            let state = link.prepared.lent.as_ref().map(|lent| &lent.state);
            // What a PREPARE that failed found there isn't what it says.
            let made = name.is_empty() || state == Some(&LentState::Prepared);
            if let Some(session) = session.filter(|_| made) {
                let shared = shared.described(&types, rows);
                let parsed = Parsed::at(Tick::now());
                let shared = shared.into();
                session.names.set(&name, Known { shared, parsed });
            }
            lent(link, &LentState::Prepared, LentState::Learned);
        }
        Some(Expect::Theirs(Theirs::Compare(shared))) => {
            let same = !shared.is_described() || shared.described(&types, rows) == *shared;
            let state = if same {
                LentState::There
            } else {
                let mut bytes = Vec::new();
                changed(&mut bytes);
                LentState::Refused(bytes.into())
            };
            lent(link, &LentState::Making, state);
        }
        _ => return Verdict::Kill(KillReason::OutOfStep),
    }
    Verdict::Drop
}

/// What is there for one request goes on from one state to the next.
fn lent(link: &mut Link, from: &LentState, to: LentState) {
    if let Some(lent) = link
        .prepared
        .lent
        .as_mut()
        .filter(|lent| lent.state == *from)
    {
        lent.state = to;
    }
}

/// A batch of ours has failed: what the client is told if it uses the statement that was to be made.
pub(super) fn made_in_vain(
    session: Option<&mut Session>,
    link: &mut Link,
    report: &Report<'_>,
    body: &[u8],
) {
    if let Some(session) = session {
        let mut bytes = Vec::new();
        match link.expected.front() {
            Some(Expect::Aside { .. }) if !is_cancelled(report) => {
                texts::settings_refused(report, &mut bytes)
            }
            _ if body.ends_with(b"\0\0") => {
                build::message(&mut bytes, backend::ERROR_RESPONSE, |out| {
                    out.extend_from_slice(body);
                })
            }
            // It is longer than what was waited for.
            _ => changed(&mut bytes),
        }
        let said: Arc<[u8]> = bytes.into();
        lent(
            link,
            &LentState::Making,
            LentState::Refused(Arc::clone(&said)),
        );
        session.could_not_make(link, &said);
        session.batch.said = Some(said);
    }
    link.skip_to_sync();
}

/// Whether it was ended from without: that says nothing about what it was to do.
fn is_cancelled(report: &Report<'_>) -> bool {
    report.code == b"57014"
}

/// The server says that it hasn't a statement: somebody took it away.
pub(super) fn missing(link: &mut Link) {
    let alias = link.expected.front().and_then(Expect::alias);
    let ours = alias.filter(|alias| alias.instead_of.is_none());
    if let Some(number) = ours.and_then(|alias| alias.number) {
        link.prepared.doom(number);
    }
}

/// A client's Parse succeeded.
pub(super) fn parsed(session: &mut Session, coming: &Coming) {
    if let Some(name) = &coming.name {
        let known = Known {
            shared: Arc::clone(&coming.shared),
            parsed: Parsed::at(coming.sent),
        };
        session.names.set(name, known);
    }
}

/// A statement ended: it may have taken prepared ones away.
pub(super) fn completed(session: Option<&mut Session>, link: &mut Link, tag: &[u8]) {
    match (tag, link.expected.front()) {
        (b"DEALLOCATE ALL\0" | b"DISCARD ALL\0", front) => {
            let ours = front.is_some_and(Expect::is_ours);
            link.prepared.clear();
            if let Some(session) = session.filter(|_| !ours) {
                session.names.clear();
                // Those of its batch were parsed before it: behind it nothing is read yet.
                session.batch.names.clear();
            }
        }
        (
            b"DEALLOCATE\0",
            Some(Expect::Query {
                naming: Some(naming),
                ..
            }),
        ) => match (naming, session) {
            (Naming::DeallocatesAll, Some(session)) => session.names.clear(),
            (Naming::Deallocates(name), Some(session)) => session.names.remove(name),
            (Naming::Among(list), Some(session)) => {
                for (_, name) in list.iter().filter(|(at, _)| *at == link.complete) {
                    session.names.remove(name);
                }
            }
            _ => {}
        },
        (
            b"PREPARE\0",
            Some(Expect::Query {
                naming: Some(Naming::Prepares),
                ..
            }),
        ) => lent(link, &LentState::Preparing, LentState::Prepared),
        // What is parsed aside of a transaction's settings is meant to stay.
        (b"ROLLBACK\0", Some(front)) if link.expected.altered && !front.is_ours() => {
            link.prepared.clears();
            if let Some(session) = session {
                session.batch.tried = None;
            }
        }
        _ => {}
    }
}

/// What the client is told instead of an error that tells of a name of ours, or of settings that
/// can't be put in place for a Parse.
pub(super) fn refused(front: &Expect, report: &Report<'_>, body: &[u8]) -> Option<Vec<u8>> {
    if let Expect::Aside { .. } = front {
        let mut bytes = Vec::new();
        texts::settings_refused(report, &mut bytes);
        return Some(bytes).filter(|_| !is_cancelled(report));
    }
    if let Expect::Query {
        naming: Some(Naming::Misses(said)),
        ..
    } = front
    {
        let missed = matches!(report.code, b"26000" | b"25P02");
        return missed.then(|| said.to_vec());
    }
    if let Expect::Parse {
        ours: true,
        coming: Some(coming),
        ..
    } = front
    {
        let tells = coming.tells && report.code != b"25P02" && body.ends_with(b"\0\0");
        return tells.then(|| {
            let mut bytes = Vec::new();
            types(&mut bytes, &coming.shared);
            build::message(&mut bytes, backend::ERROR_RESPONSE, |out| {
                out.extend_from_slice(body);
            });
            bytes
        });
    }
    let alias = front.alias()?;
    match (&alias.instead_of, &alias.refusal) {
        (Some(shared), Some(refusal)) if report.code == b"26000" => {
            let mut bytes = Vec::new();
            match refusal {
                Refusal::Supplies(supplies) => miscounted(&mut bytes, alias, *supplies, shared),
                Refusal::Said(error) => {
                    if let Expect::Describe { .. } = front {
                        types(&mut bytes, shared);
                    }
                    bytes.extend_from_slice(error)
                }
                Refusal::Apart => texts::apart(&alias.theirs, &mut bytes),
                Refusal::Changed => {
                    if let Expect::Describe { .. } = front {
                        types(&mut bytes, shared);
                    }
                    changed(&mut bytes);
                }
            }
            Some(bytes)
        }
        _ => error::renamed(body, &alias.ours(), &alias.theirs),
    }
}

/// What the client is told of its own statements, where the server has told of what stands for them.
pub(super) fn of_theirs(link: &Link, tag: u8) -> Option<Vec<u8>> {
    let front = link.expected.front();
    let frees_all = matches!(
        front,
        Some(Expect::Query {
            naming: Some(Naming::DeallocatesAll),
            ..
        })
    );
    if frees_all && tag == backend::COMMAND_COMPLETE {
        let mut bytes = Vec::new();
        build::complete(&mut bytes, "DEALLOCATE ALL");
        return Some(bytes);
    }
    let alias = front.and_then(Expect::alias);
    let shared = alias.and_then(|alias| alias.instead_of.as_ref());
    let shared = shared.filter(|_| tag == backend::PARAMETER_DESCRIPTION)?;
    let mut bytes = Vec::new();
    types(&mut bytes, shared);
    Some(bytes)
}

fn types(bytes: &mut Vec<u8>, shared: &Shared) {
    build::message(bytes, backend::PARAMETER_DESCRIPTION, |body| {
        let types = shared.types();
        body.extend_from_slice(&((types.len() / 4) as u16).to_be_bytes());
        body.extend_from_slice(types);
    });
}

/// What a server says of a Bind with another number of parameters than its statement has.
fn miscounted(bytes: &mut Vec<u8>, alias: &Alias, supplies: u16, shared: &Shared) {
    let name = String::from_utf8_lossy(&alias.theirs);
    let needs = shared.types().len() / 4;
    let text = format!(
        "bind message supplies {supplies} parameters, but prepared statement \"{name}\" requires {needs}"
    );
    Fault::error("08P01", &text).write(bytes);
}

/// What a server says of a statement whose columns have changed. Drivers know it by its routine.
fn changed(bytes: &mut Vec<u8>) {
    build::message(bytes, backend::ERROR_RESPONSE, |body| {
        for field in [
            "SERROR",
            "VERROR",
            "C0A000",
            "Mcached plan must not change result type",
            "Fplancache.c",
            "RRevalidateCachedQuery",
        ] {
            build::text(body, field.as_bytes());
        }
        body.push(0);
    });
}
