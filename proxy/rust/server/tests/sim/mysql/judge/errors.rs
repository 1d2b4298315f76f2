//! Which errors a client may hear, and when.

use super::{Expect, Judge, Witness};
use crate::mysql::overheard::is_fatal;
use crate::mysql::script::Kind;
use crate::mysql::wire;

/// What the proxy says of packets that nobody understands.
const NONSENSE: [u16; 5] = [1043, 1047, 1153, 1156, 1835];

impl Judge {
    /// The database refused it.
    pub(super) fn failed_there(&mut self, expect: &Expect, code: u16, witness: &mut Witness) {
        let fine = match code {
            1146 => expect.kind == Kind::Broken,
            1213 => expect.kind == Kind::Deadlock,
            1290 => matches!(
                expect.kind.plain(),
                Kind::Write | Kind::Deadlock | Kind::Call
            ),
            // A procedure is cancelled by the proxy when its writer is deposed, and told just that.
            1317 if expect.kind == Kind::Call => true,
            1317 => self.is_struck(witness),
            1040 => !witness.calm,
            1053 => true,
            _ => false,
        };
        if !fine {
            self.fault(
                witness,
                format!("error {code} of the database for {expect:?}"),
            );
        }
        self.unsure |= !self.state.autocommit;
        match code {
            1213 => self.undone(expect, witness),
            1053 => {
                witness.pinned_lost += 1;
                self.over = true;
                self.undone(expect, witness);
            }
            // It leaves open how far a procedure came.
            1317 => self.interrupted(expect),
            _ => witness.deny(&expect.tokens),
        }
    }

    /// An error of the proxy's own.
    pub(super) fn failed_here(
        &mut self,
        expect: &Expect,
        code: u16,
        text: &str,
        witness: &mut Witness,
    ) {
        let fine = match code {
            // Nothing of it is or will be committed.
            1213 => {
                witness.aborted += 1;
                self.undone(expect, witness);
                true
            }
            // The outcome of what was asked is unknown.
            1158 => {
                witness.unknown += 1;
                true
            }
            // Nobody could serve it.
            9501 | 1105 | 1040 | 1203 => {
                witness.refused += 1;
                witness.deny(&expect.tokens);
                !self.open && !witness.calm
            }
            1235 => expect.kind.plain() == Kind::Read && self.state.may_be_unknown(),
            // It was taken off its queue.
            1317 => {
                witness.deny(&expect.tokens);
                self.is_struck(witness)
            }
            _ => self.parting(code, text, witness),
        };
        self.over |= is_fatal(code);
        if !fine {
            self.fault(witness, format!("error {code} {text:?} for {expect:?}"));
        }
    }

    /// Only who asked for it is cancelled.
    fn is_struck(&self, witness: &mut Witness) -> bool {
        witness.cancelled += 1;
        self.cancels.may_strike()
    }

    /// What ends the connection whether or not something was asked.
    fn parting(&mut self, code: u16, text: &str, witness: &mut Witness) -> bool {
        self.over = true;
        match code {
            // A long life ends where nothing is begun.
            1053 if text.contains("lifetime") => {
                witness.outlived += 1;
                !self.open
            }
            1053 => {
                witness.pinned_lost += 1;
                true
            }
            // It was idle in its transaction for too long.
            4031 => {
                witness.idled += 1;
                witness.deny(&self.transaction);
                let asked = self.expects.iter().flat_map(|expect| &expect.tokens);
                witness.deny(&asked.copied().collect::<Vec<_>>());
                self.open
            }
            _ => self.nonsense && NONSENSE.contains(&code),
        }
    }

    /// Whether a packet is none of the answer that is awaited: it was under way before that was asked for.
    pub(super) fn is_unasked(&self, number: u8, payload: &[u8]) -> bool {
        let error = payload.first() == Some(&wire::ERROR);
        number == 0 && error && matches!(wire::error_fields(payload).0, 1053 | 4031)
    }

    /// Something is said though nothing was asked.
    pub(super) fn unasked(&mut self, number: u8, payload: &[u8], witness: &mut Witness) {
        let (code, text) = wire::error_fields(payload);
        let is_error = payload.first() == Some(&wire::ERROR);
        let fine = is_error && self.parting(code, &text, witness);
        if !fine || number != 0 && !self.nonsense {
            let shown = wire::readable(&wire::packet(number, payload));
            self.fault(witness, format!("unasked for: {shown}"));
        }
    }
}
