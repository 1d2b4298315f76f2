//! What a client is told when its backend is gone: the truth.
//!
//! Three cases. Surely nothing was committed: 40001, and if a transaction was open the client is in
//! a *virtual* aborted one, so that the rest of its script can't commit on another backend; its
//! connection stays. Something may have been committed: FATAL 08007, since only the application can
//! find out. Session state was lost with the backend: FATAL 57P01.

use std::sync::Arc;

use dbproxy_engine::{CloseReason, Outcome, Steps};

use crate::expect::Expect;
use crate::fate;
use crate::link::{Link, Status};
use crate::message::build;
use crate::message::error::Fault;
use crate::prepared::Lent;
use crate::texts;

use super::run::Until;
use super::{fault, say, Batch, Session, Virtual};

pub(super) fn lost(session: &mut Session, link: &mut Link, out: &mut Steps) -> Outcome {
    // What is left of a message that went out in part is for nobody now.
    session.swallowing += std::mem::take(&mut session.streaming);
    session.scanned = 0;
    if session.fresh {
        session.fresh = false;
        return Outcome::Requeue;
    }
    if link.partial.is_some_and(|partial| partial.to_client) {
        return end(session, CloseReason::ReplyCutShort);
    }
    let fate = fate::outstanding(link);
    if fate.may_commit {
        say(fault(&texts::OUTCOME_UNKNOWN), out);
        return end(session, CloseReason::OutcomeUnknown);
    }
    // COMMIT AND CHAIN keeps what was set before it, and the transaction goes on.
    let kept = Arc::ptr_eq(link.settings.settings(), &session.settings);
    // What a PREPARE made is nowhere else before it is known what that is.
    let lent = link.prepared.lent.as_ref();
    let only_here = lent.is_some_and(Lent::is_only_here);
    if session.pins.any() || !kept || only_here || link.changes.committed() {
        say(fault(&texts::PINNED_LOST), out);
        return end(session, CloseReason::PinnedBackendLost);
    }
    let mut teller = Teller {
        bytes: session.name_taken_back(link),
        told: link.status == Status::Failed,
        reported: link.reported,
        aborted: fate.aborted,
        ends: false,
    };
    for expect in link.expected.iter() {
        teller.answer(expect);
    }
    if link.unsynced {
        teller.error();
        session.skipping = true;
    }
    match teller.ends {
        true => session.ends_own_answer(teller.bytes, out),
        false if teller.bytes.is_empty() => {}
        false => say(teller.bytes, out),
    }
    session.failed = match (fate.aborted, teller.told) {
        (false, _) => Virtual::No,
        (true, false) => Virtual::Untold,
        (true, true) => Virtual::Told,
    };
    if link.expected.iter().any(Expect::touches_unnamed) {
        session.has_unnamed(None);
    }
    session.batch = Batch::default();
    session.renaming = false;
    session.waits = Until::Now;
    session.portal_acts = false;
    Outcome::Stays
}

fn end(session: &mut Session, reason: CloseReason) -> Outcome {
    session.closed = true;
    Outcome::Closes(reason)
}

/// Makes the answers to the requests that are still open.
struct Teller {
    bytes: Vec<u8>,
    /// The client knows that its transaction is gone.
    told: bool,
    /// The request at the front was answered with an error already.
    reported: bool,
    aborted: bool,
    /// The last answer ends outside of a transaction.
    ends: bool,
}

impl Teller {
    fn answer(&mut self, expect: &Expect) {
        match expect {
            Expect::Sync { empty: true } => self.reported = false,
            request if request.is_request() => self.error(),
            _ => return,
        }
        self.end();
        self.ends = !self.aborted;
        if self.aborted {
            build::ready(&mut self.bytes, b'E');
        }
    }

    /// The answer before ends, behind which more is told.
    fn end(&mut self) {
        if std::mem::take(&mut self.ends) {
            build::ready(&mut self.bytes, b'I');
        }
    }

    fn error(&mut self) {
        self.end();
        if !std::mem::replace(&mut self.reported, false) {
            let fault: Fault<'_> = if self.told && self.aborted {
                texts::ABORTED
            } else {
                texts::LOST
            };
            fault.write(&mut self.bytes);
        }
        self.told = true;
    }
}
