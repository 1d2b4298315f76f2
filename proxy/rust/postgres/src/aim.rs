//! What a cancel strikes that is sent now.
//!
//! A server cancels whatever it does at the moment, so what of the proxy's own may be struck decides
//! whether one is sent:
//!
//! | what the server is at | struck? | what comes of it |
//! |---|---|---|
//! | a request of the client's, or what of ours stands in its batch | yes | its error is the client's |
//! | a batch of ours that makes a statement (for a Bind or an EXECUTE that isn't sent yet) | yes | its error is the answer to that |
//! | one that makes statements under their own names, before a text that is sent | yes, and the text after it | the text may not need what isn't made |
//! | what puts settings back behind those | no | the backend would have to go |
//! | a stand-in, its Close, the Close of what was there for one request | no | the text would find another state than its client's |
//! | the question what a PREPARE has made | no | its client has its answer, and would be pinned |
//! | the client's settings, its name, `DISCARD SEQUENCES`, the survey, a reset | no | it would run without them, or the backend had to go |
//!
//! What isn't struck is waited for; then the cancel strikes the client's own request. A cancel that comes
//! late may strike what stands behind: what mustn't fail of that costs the backend, never more.

use dbproxy_engine::Aim;

use crate::expect::{Expect, Injected};
use crate::link::Link;
use crate::prepared::Theirs;

/// What that is on this backend, as far as its answers are known.
pub(crate) fn aim(link: &Link) -> Aim {
    let queries = link.expected.iter().any(|one| match one {
        Expect::Injected(why) => *why != Injected::Statements,
        _ => false,
    });
    match link.expected.front() {
        _ if queries => Aim::Ours,
        Some(Expect::Injected(_)) => Aim::Ours,
        Some(front) if front.is_ours() && in_batch_of_ours(link) => {
            let mut batch = link.expected.iter().take_while(|one| one.is_extended());
            if batch.any(makes) {
                Aim::Make
            } else {
                Aim::Ours
            }
        }
        None if !link.unsynced => Aim::Nothing,
        _ => Aim::Request,
    }
}

/// Whether what is answered next stands in a batch of ours, of which the client hears nothing.
pub(crate) fn in_batch_of_ours(link: &Link) -> bool {
    let mut batch = link.expected.iter().skip_while(|one| one.is_extended());
    let ends = matches!(batch.next(), Some(Expect::Injected(Injected::Statements)));
    ends && link.expected.front().is_some_and(Expect::is_ours)
}

/// Whether it makes a statement that the client uses.
fn makes(one: &Expect) -> bool {
    matches!(
        one,
        Expect::Parse {
            coming: Some(_),
            ..
        } | Expect::Learn(_)
            | Expect::Theirs(Theirs::Own { .. } | Theirs::Compare(_))
    )
}
