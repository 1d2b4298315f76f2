//! Pauses after log-ins that failed, each longer than the one before.

use dbproxy_driver::{Duration, Time};

use crate::snapshot::TargetId;

/// The first pause; it doubles up to [`LONGEST`].
const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);

/// One target's.
struct Pause {
    target: TargetId,
    until: Time,
    failures: u32,
    /// The last failures, as far as they were the server's word on this very log-in.
    refusals: u32,
}

/// Which targets are left alone for now, and until when.
#[derive(Default)]
pub struct Pauses(Vec<Pause>);

impl Pauses {
    /// Whether a target is left alone now.
    pub fn holds(&self, target: TargetId, now: Time) -> bool {
        self.get(target).is_some_and(|pause| pause.until > now)
    }

    /// Whether the last log-in there failed.
    pub fn failed(&self, target: TargetId) -> bool {
        self.get(target).is_some()
    }

    /// How many of the last log-ins in a row were refused for good there.
    pub fn refusals(&self, target: TargetId) -> u32 {
        self.get(target).map_or(0, |pause| pause.refusals)
    }

    /// A log-in failed.
    pub fn lengthen(&mut self, target: TargetId, now: Time, refused: bool) {
        let failures = self.get(target).map_or(0, |pause| pause.failures);
        let refusals = self.refusals(target);
        let wait = FIRST.saturating_mul(1 << failures.min(8)).min(LONGEST);
        self.end(target);
        self.0.push(Pause {
            target,
            until: now.after(wait),
            failures: failures + 1,
            refusals: if refused { refusals + 1 } else { 0 },
        });
    }

    /// A log-in succeeded.
    pub fn end(&mut self, target: TargetId) {
        self.0.retain(|pause| pause.target != target);
    }

    /// All are over.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    fn get(&self, target: TargetId) -> Option<&Pause> {
        self.0.iter().find(|pause| pause.target == target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_pauses_longer_and_only_its_target() {
        let (one, other) = (TargetId(0), TargetId(1));
        let mut pauses = Pauses::default();
        let start = Time(0);
        let ms = |ms| start.after(Duration::from_millis(ms));
        pauses.lengthen(one, start, false);
        assert!(pauses.holds(one, ms(49)) && !pauses.holds(one, ms(50)));
        pauses.lengthen(one, start, true);
        assert!(pauses.holds(one, ms(99)) && !pauses.holds(one, ms(100)));
        for _ in 0..20 {
            pauses.lengthen(one, start, true);
        }
        assert!(pauses.holds(one, ms(999)) && !pauses.holds(one, ms(1000)));
        assert_eq!((pauses.refusals(one), pauses.refusals(other)), (21, 0));
        assert!(!pauses.holds(other, start));
        pauses.lengthen(one, start, false);
        assert_eq!(pauses.refusals(one), 0);
        pauses.end(one);
        assert!(!pauses.holds(one, start));
    }
}
