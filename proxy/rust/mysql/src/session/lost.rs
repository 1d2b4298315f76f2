//! What a client is told when its backend is gone: the truth.
//!
//! Three cases. Surely nothing was committed: 1213, after which applications know that the whole transaction is
//! rolled back; the connection stays. An idle client in a transaction is told so when it asks for something
//! next. Something may have been committed: an error of class 08S01 that says so, and the connection is closed,
//! since only the application can find out. Session state was lost with the backend: 1053, closed.

use dbproxy_engine::{CloseReason, Outcome, Steps};

use crate::link::{Link, Of, Ours, Owed};

use super::holdings::OneShot;
use super::{say, texts, Session, ANSWER};

pub(super) fn lost(session: &mut Session, link: &mut Link, out: &mut Steps) -> Outcome {
    // With autocommit off, what was asked since stands in a transaction, whatever the server calls it.
    let open = link.in_trans() || session.begun;
    if session.fresh {
        session.fresh = false;
        return Outcome::Requeue;
    }
    if link.partial.is_some_and(|partial| partial.to_client) || link.file.is_some() {
        return end(session, CloseReason::ReplyCutShort);
    }
    let asked = link
        .owed
        .iter()
        .position(|owed| matches!(owed.of, Of::Client(_)));
    let number = match (asked, &link.reply) {
        // It waits for the end of its KILL.
        (None, _) if session.killing.is_some() => ANSWER,
        (None, _) => 0,
        (Some(0), Some(reply)) => reply.next(),
        (Some(at), _) => link.owed.get(at).map_or(ANSWER, |owed| owed.first),
    };
    if link.commits() {
        say(texts::outcome_unknown(), number, out);
        return end(session, CloseReason::OutcomeUnknown);
    }
    // What it has set or inserted isn't known before it was asked for.
    let mut ours = link.owed.iter().filter_map(|owed| match owed.of {
        Of::Ours(ours) => Some(ours),
        Of::Client(_) => None,
    });
    // Without its warnings it goes on.
    let asks = ours.any(|ours| {
        !matches!(
            ours,
            Ours::Warnings | Ours::Counts | Ours::Prepare | Ours::Aside
        )
    });
    let settings = |owed: &Owed| matches!(owed.of, Of::Ours(Ours::Changes | Ours::Collation));
    let unset = link.collates || link.owed.iter().any(settings);
    // In a transaction its inserts are undone: who asks for their id all the same is told that.
    let unsure = unset || !open && (asks || link.inserted);
    if session.is_pinned() || unsure || session.one_shot == OneShot::Set {
        say(texts::pinned_lost(), number, out);
        return end(session, CloseReason::PinnedBackendLost);
    }
    if let Some(sending) = link.sending {
        // What is left of a command that went out in part is for nobody now.
        session.swallowing = sending.remaining;
        session.swallows_on = sending.continues;
    }
    if asks || link.inserted {
        // Where it isn't asked for by name, no row's is better than another row's.
        session.id_lost = true;
        session.insert_id = 0;
    }
    session.calculated = false;
    session.one_shot = OneShot::None;
    session.diagnostics.lose();
    session.begun = false;
    session.told_open = false;
    let executed = asked.and_then(|at| link.owed.get(at));
    let executed = executed.map_or(0, |owed| match &owed.of {
        Of::Client(request) => request.statement,
        Of::Ours(_) => 0,
    });
    if let Some(numbers) = &mut session.numbers {
        numbers.loses(executed, &texts::lost());
    }
    if asked.is_some() {
        say(texts::lost(), number, out);
    } else {
        session.untold = open;
    }
    Outcome::Stays
}

fn end(session: &mut Session, reason: CloseReason) -> Outcome {
    session.closed = true;
    Outcome::Closes(reason)
}
