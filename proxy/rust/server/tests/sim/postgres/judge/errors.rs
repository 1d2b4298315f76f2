//! Which errors a client may hear, and when.

use super::Judge;
use crate::postgres::script::Kind;
use crate::witness::Witness;

impl Judge {
    /// Only who asked for it is cancelled (and COPY that its client ends).
    pub(super) fn judge_cancel(&mut self, code: &str, witness: &mut Witness) {
        let front = self.expects.front().map(|expect| expect.kind);
        // A procedure is cancelled by the proxy when its writer is deposed, and told just that.
        let excused = [Kind::CopyIn { fails: true }, Kind::Call];
        if code == "57014" && !front.is_some_and(|kind| excused.contains(&kind)) {
            witness.cancelled += 1;
            if !self.cancels.may_strike() {
                self.fault(witness, format!("cancelled by somebody else: {front:?}"));
            }
        }
    }

    /// An error of the proxy's own, or one that ends the session.
    pub(super) fn judge_error(&mut self, code: &str, text: &str, witness: &mut Witness) {
        let asked = !self.expects.is_empty();
        let fine = match code {
            // The outcome of what was asked is unknown.
            "08007" => {
                witness.unknown += 1;
                asked || self.status != b'I'
            }
            "40001" => {
                witness.aborted += 1;
                asked || self.status != b'I'
            }
            "25P02" => self.status == b'E' || self.error.is_some(),
            // It was idle in its transaction for too long: nothing of that is or will be committed.
            "25P03" => {
                witness.idled += 1;
                witness.deny(&self.transaction);
                let asked = self.expects.iter().flat_map(|expect| &expect.tokens);
                witness.deny(&asked.copied().collect::<Vec<_>>());
                self.status != b'I'
            }
            "57014" => self.cancels.may_strike(),
            "53300" => asked && !witness.calm,
            "08P01" => self.nonsense,
            // A long life ends where nothing is begun.
            "57P01" if text.contains("lifetime") => {
                witness.outlived += 1;
                self.status == b'I'
            }
            "57P01" => {
                witness.pinned_lost += 1;
                true
            }
            // A reader is gone or a log-in failed.
            "08006" => asked,
            _ => false,
        };
        if !fine {
            let front = self.expects.front();
            self.fault(witness, format!("error {code} {text:?} for {front:?}"));
        }
    }
}
