//! The server asks for the data of a COPY: what that means for what was forwarded before. For `judge`.

use dbproxy_engine::KillReason;

use super::judge::Verdict;
use crate::expect::Expect;
use crate::link::{CopyIn, Link};

/// CopyInResponse.
pub(super) fn copy_in(client: bool, link: &mut Link) -> Verdict {
    if let Some(Expect::Injected(_)) = link.expected.front() {
        return Verdict::Kill(KillReason::ResetFailed);
    }
    link.copy_in = CopyIn::Active;
    read_ahead(link);
    if !client && link.copy_in == CopyIn::Active {
        // The rest of the data will never come.
        return Verdict::Kill(KillReason::ClientLost);
    }
    Verdict::Pass
}

/// What was forwarded before the server asked for data: it throws away the Syncs in front of the
/// data's end. Over any other message it fails the COPY, and what it then reads is its affair.
fn read_ahead(link: &mut Link) {
    let mut at = 1;
    let mut swallowed = 0;
    while let Some(next) = link.expected.get(at) {
        match next {
            Expect::Sync { .. } => {
                link.expected.remove(at);
                swallowed += 1;
            }
            Expect::CopyEnd { .. } => {
                link.expected.pop_copy_end(at);
                link.copy_in = CopyIn::Ending;
                break;
            }
            _ => {
                link.ambiguous = true;
                at += 1;
            }
        }
    }
    link.swallowed += swallowed;
    let extended = link.expected.front().is_some_and(Expect::is_extended);
    if extended && swallowed > 0 && !link.expected.fill_batch() {
        // A batch whose Sync was thrown away runs on into what follows it.
        link.unsynced = true;
    }
}
