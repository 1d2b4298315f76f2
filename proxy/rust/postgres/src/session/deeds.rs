//! What a statement has done to settings is booked when the server says that it is complete: with the
//! backend, and for its client.

use std::sync::Arc;

use crate::link::{Leave, Link, Status};
use crate::settings::traces;
use crate::statement::Act;

use super::Session;

/// A statement of the query at the front is complete.
pub(super) fn completed(mut session: Option<&mut Session>, link: &mut Link, body: &[u8]) {
    let acts = link.expected.front().and_then(|front| front.acts().clone());
    for (number, act) in acts.iter().flat_map(|script| &script.acts) {
        if *number == link.complete {
            carried_out(session.as_deref_mut(), link, act, command(body));
        }
    }
    link.complete = link.complete.saturating_add(1);
}

/// A statement has done something to settings.
pub(super) fn carried_out(
    mut session: Option<&mut Session>,
    link: &mut Link,
    act: &Act,
    tag: &[u8],
) {
    if !tag.is_empty() && !act.fits(tag) {
        // The server cut the text into other statements.
        link.settings.lose();
    }
    if *act == Act::Commit && tag == b"ROLLBACK" && link.status == Status::Idle {
        // PREPARE TRANSACTION where none is open rolls nothing back.
        link.settings.lose();
    }
    link.settings.done(act, tag);
    if !link.changes.done(act, tag) {
        link.settings.lose();
    }
    if let (Act::DiscardAll, Some(session)) = (act, session.as_deref_mut()) {
        session.pins.discard_done();
    }
    let Some(name) = act.makes().filter(|name| !link.given.contains(name)) else {
        return;
    };
    link.traces = traces::and(&link.traces, name);
    if link.traces.len() > traces::MOST {
        link.left(Leave::Indelible);
        link.settings.lose();
    }
    if let Some(session) = session {
        session.traces = Arc::clone(&link.traces);
    }
}

/// The command tag of a CommandComplete.
pub(super) fn command(body: &[u8]) -> &[u8] {
    body.strip_suffix(b"\0").unwrap_or(body)
}

/// Whether what is being answered makes a custom setting.
pub(super) fn makes_custom(link: &Link) -> bool {
    let acts = link
        .expected
        .front()
        .and_then(|front| front.acts().as_ref());
    acts.is_some_and(|script| script.any(|act| act.makes().is_some()))
}
