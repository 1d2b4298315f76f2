//! Who may come in now: how many there are, of each user too, and how often they come. Asked by
//! `guests` at the startup packet, before which a client hears nothing, and when it proved who it is:
//! nobody uses up what a user may have by its name alone.

use std::collections::HashMap;
use std::sync::Arc;

use dbproxy_driver::Time;
use dbproxy_engine::{CloseReason, Failure};

use crate::gauge::{Gauge, Seat};
use crate::limits::{Bucket, Limits};

/// What the front thread knows of one user's clients.
#[derive(Default)]
struct OfUser {
    inside: Arc<Gauge>,
    log_ins: Bucket,
}

/// What the front thread counts of those who come.
#[derive(Default)]
pub(super) struct Gate {
    connections: Bucket,
    users: HashMap<Arc<str>, OfUser>,
}

impl Gate {
    /// A connection came in. Says whether it is one too many in this second.
    pub(super) fn is_too_fast(&mut self, limits: &Limits, now: Time) -> bool {
        let rate = limits.connection_rate;
        rate.is_some_and(|rate| !self.connections.take(rate, now))
    }

    /// A client of that user proved who it is: a place for it, or why there is none.
    pub(super) fn admit(
        &mut self,
        user: &Arc<str>,
        limits: &Limits,
        now: Time,
    ) -> Result<Seat, (CloseReason, Failure)> {
        let of_user = self.users.entry(user.clone()).or_default();
        let most = limits.max_clients_of_user;
        if most.is_some_and(|most| of_user.inside.get() >= most) {
            return Err((CloseReason::TooManyOfUser, Failure::TooManyOfUser));
        }
        match limits.login_rate {
            Some(rate) if !of_user.log_ins.take(rate, now) => {
                Err((CloseReason::LoginRate, Failure::Rate(rate)))
            }
            _ => Ok(Seat::take(&of_user.inside)),
        }
    }

    /// A client of that user's that was inside goes in again: a place for it.
    pub(super) fn readmit(&mut self, user: &Arc<str>) -> Seat {
        Seat::take(&self.users.entry(user.clone()).or_default().inside)
    }

    /// Forgets users of whom nothing is counted any more.
    pub(super) fn tidy(&mut self, limits: &Limits, now: Time) {
        let rate = limits.login_rate.unwrap_or(u32::MAX);
        self.users
            .retain(|_, of_user| of_user.inside.get() > 0 || !of_user.log_ins.is_full(rate, now));
    }
}

/// Why nobody may come in, with so many inside or on their way, where a rate was exceeded or not.
pub(super) fn shut(coming: u32, too_fast: bool, limits: &Limits) -> Option<(CloseReason, Failure)> {
    if coming >= limits.max_clients {
        let failure = Failure::TooManyClients(limits.max_clients);
        return Some((CloseReason::TooManyClients, failure));
    }
    let rate = limits.connection_rate.filter(|_| too_fast)?;
    Some((CloseReason::ConnectionRate, Failure::Rate(rate)))
}

#[cfg(test)]
mod tests {
    use dbproxy_driver::Duration;

    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_client_is_gone_and_its_user_is_forgotten() {
        let mut gate = Gate::default();
        let limits = Limits {
            max_clients_of_user: Some(1),
            ..Limits::default()
        };
        let (app, ops, now): (Arc<str>, Arc<str>, _) = ("app".into(), "ops".into(), Time(1));
        let place = gate.admit(&app, &limits, now).expect("the first");
        assert!(gate.admit(&app, &limits, now).is_err());
        assert!(gate.admit(&ops, &limits, now).is_ok());
        gate.tidy(&limits, now);
        assert_eq!(gate.users.len(), 1);
        drop(place);
        assert!(gate.admit(&app, &limits, now).is_ok());
        gate.tidy(&limits, now);
        assert!(gate.users.is_empty());
    }

    #[test]
    fn who_was_inside_goes_in_again_whatever_the_limits() {
        let mut gate = Gate::default();
        let limits = Limits {
            max_clients_of_user: Some(1),
            login_rate: Some(1),
            ..Limits::default()
        };
        let (app, now): (Arc<str>, _) = ("app".into(), Time(1));
        let one = gate.admit(&app, &limits, now).expect("the first");
        let other = gate.readmit(&app);
        drop(one);
        assert!(gate.admit(&app, &limits, now).is_err());
        drop(other);
    }

    #[test]
    fn a_user_that_logs_in_too_often_is_remembered_until_it_may_again() {
        let mut gate = Gate::default();
        let limits = Limits {
            login_rate: Some(2),
            ..Limits::default()
        };
        let (app, now): (Arc<str>, _) = ("app".into(), Time(1));
        assert!(gate.admit(&app, &limits, now).is_ok());
        assert!(gate.admit(&app, &limits, now).is_ok());
        gate.tidy(&limits, now);
        let refused = gate.admit(&app, &limits, now).err();
        assert_eq!(refused, Some((CloseReason::LoginRate, Failure::Rate(2))));
        gate.tidy(&limits, now.after(Duration::from_secs(1)));
        assert!(gate.users.is_empty());
    }
}
