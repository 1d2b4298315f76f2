//! Cancels for clients of other pods: each is passed on to the pod whose badge its key has, or to
//! one after the other of those few that share it. A cancel leads to one connection at a time, and
//! there are only so many a second: anybody who reaches the port can bring one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use dbproxy_driver::{Buffer, Driver, Duration, Time, Token};
use dbproxy_engine::{Engine, Killed};

use crate::notice::Notice;
use crate::peers::{Badge, Peers};
use crate::shared::Letter;
use crate::stats::{Cell, EndpointStats};
use crate::warrant::{self, Asker, CancelAsked};
use crate::wire::Wire;

use super::Front;

/// Errands at once.
const MOST: usize = 64;
/// And begun in a second: handshakes cost both pods.
const MOST_A_SECOND: u32 = 200;
const SECOND: Duration = Duration::from_secs(1);
/// How long it may take until a pod was told, all that share a badge together: what comes later than
/// its asker waits could strike that one's next statement.
const TELLING: Duration = Duration::from_secs(2);
/// How long a pod that was told may take; longer than its worker's own deadline.
const ANSWER: Duration = Duration::from_secs(6);

/// Cancels on their way to other pods.
#[derive(Default)]
pub(super) struct Errands {
    pub(super) peers: Option<Arc<Peers>>,
    under_way: BTreeMap<Token, Errand>,
    second: Time,
    begun: u32,
}

struct Errand {
    wire: Wire,
    asked: CancelAsked,
    /// Who is told.
    to: SocketAddr,
    /// Who has the same badge, and wasn't asked yet.
    others: Vec<SocketAddr>,
    /// When all of them must have been told.
    tell_by: Time,
    told: bool,
    due: Time,
}

impl Errands {
    pub(super) fn has(&self, socket: Token) -> bool {
        self.under_way.contains_key(&socket)
    }

    /// Whether one more may be begun.
    fn admits(&mut self, now: Time) -> bool {
        if self.second.after(SECOND) <= now {
            self.second = now;
            self.begun = 0;
        }
        self.begun += 1;
        self.begun <= MOST_A_SECOND && self.under_way.len() < MOST
    }
}

impl<E: Engine, D: Driver> Front<E, D> {
    /// A client ends another one, or what that runs. Numbers are told apart by pod only as far as badges are,
    /// and nothing but its pod's is known of one: where two pods have the same, it may be either's.
    pub(super) fn pass_on_kill(&mut self, asked: CancelAsked) {
        let badge = Badge::in_id(asked.warrant.id());
        let own = badge == self.shared.badge;
        let others = self.errands.peers.as_ref();
        let others = others.map_or(0, |peers| peers.with_badge(badge).len());
        match (own, others) {
            (true, 0) => self.ask_worker(asked),
            (false, 0 | 1) => self.ask_abroad(asked),
            _ => self.tell_asker(asked.asker, Killed::Ambiguous),
        }
    }

    /// Whoever asked is told what became of it.
    pub(super) fn tell_asker(&mut self, asker: Asker, outcome: Killed) {
        match asker {
            Asker::Socket(socket) => {
                self.cancel_over(socket);
                self.answer_visitor(socket, outcome);
            }
            Asker::Client(worker, client, until) => {
                if let Some(mailbox) = self.shared.workers.get(worker) {
                    mailbox.post(Letter::Killed(client, until, outcome));
                }
            }
        }
    }

    /// A key, or a number, that no client of this pod has: whose is it?
    pub(super) fn ask_abroad(&mut self, asked: CancelAsked) {
        let badge = Badge::in_id(asked.warrant.id());
        let peers = self.errands.peers.as_ref();
        let holders = peers.map_or_else(Vec::new, |peers| peers.with_badge(badge));
        let now = self.driver.now();
        if !holders.is_empty() && !self.errands.admits(now) {
            self.count_cancel(&asked, |stats| &stats.cancels_undelivered);
            return self.tell_asker(asked.asker, Killed::Undelivered);
        }
        self.ask_next(asked, holders, now.after(TELLING));
    }

    fn ask_next(&mut self, asked: CancelAsked, mut holders: Vec<SocketAddr>, tell_by: Time) {
        let Some(to) = holders.pop() else {
            self.count_cancel(&asked, |stats| &stats.cancels_unknown);
            return self.tell_asker(asked.asker, Killed::Unknown);
        };
        let socket = self.driver.connect(to);
        let errand = Errand {
            wire: Wire::new(socket),
            asked,
            to,
            others: holders,
            tell_by,
            told: false,
            due: tell_by,
        };
        self.errands.under_way.insert(socket, errand);
    }

    pub(super) fn errand_connected(&mut self, socket: Token) {
        let peers = self.errands.peers.clone();
        let (Some(errand), Some(peers)) = (self.errands.under_way.get_mut(&socket), peers) else {
            return;
        };
        errand.wire.arm(&mut self.driver, true);
        let begun = peers.call(errand.to.ip()).and_then(|tls| {
            errand.wire.start_tls(tls);
            errand.wire.kick(&mut self.driver)
        });
        if let Err(fault) = begun {
            self.errand_failed(socket, &fault.0);
        }
    }

    pub(super) fn errand_received(&mut self, socket: Token, data: Buffer) {
        let Some(errand) = self.errands.under_way.get_mut(&socket) else {
            return self.driver.recycle(data);
        };
        let mut outcome = errand.wire.receive(&mut self.driver, data);
        let secured = errand.wire.tls().is_some_and(|tls| !tls.handshaking());
        if outcome.is_ok() && secured && !errand.told {
            errand.told = true;
            errand.due = self.driver.now().after(ANSWER);
            errand
                .wire
                .push(&mut self.driver, &errand.asked.warrant.to_bytes());
            outcome = errand.wire.flush(&mut self.driver).map(|_| ());
        }
        if let Err(fault) = outcome {
            return self.errand_failed(socket, &fault.0);
        }
        match errand.wire.input().first().copied().map(warrant::answered) {
            Some(Killed::Unknown) => self.ask_another(socket),
            Some(outcome) => self.errand_done(socket, outcome),
            None => {}
        }
    }

    /// The cancel is over there.
    fn errand_done(&mut self, socket: Token, outcome: Killed) {
        if let Some(errand) = self.end_errand(socket) {
            self.count_cancel(&errand.asked, |stats| &stats.cancels_forwarded);
            self.tell_asker(errand.asked.asker, outcome);
        }
    }

    /// Nobody there has the key: perhaps in a pod with the same badge.
    fn ask_another(&mut self, socket: Token) {
        if let Some(errand) = self.end_errand(socket) {
            self.ask_next(errand.asked, errand.others, errand.tell_by);
        }
    }

    /// A pod can't be told, or doesn't answer. A cancel is lost silently, as PostgreSQL's are, where nobody
    /// waits for an answer; but it is counted, and written down.
    pub(super) fn errand_failed(&mut self, socket: Token, why: &str) {
        let Some(errand) = self.end_errand(socket) else {
            return;
        };
        let notice = Notice::new("cancel_not_forwarded")
            .text("peer", errand.to.to_string())
            .text("reason", why);
        self.shared.notices.gossip(self.driver.now(), notice);
        if !errand.others.is_empty() && self.driver.now() < errand.tell_by {
            return self.ask_next(errand.asked, errand.others, errand.tell_by);
        }
        self.count_cancel(&errand.asked, |stats| &stats.cancels_undelivered);
        self.tell_asker(errand.asked.asker, Killed::Undelivered);
    }

    pub(super) fn time_out_errands(&mut self, now: Time) {
        let under_way = self.errands.under_way.iter();
        let late = under_way.filter(|(_, errand)| errand.due <= now);
        for socket in late.map(|(socket, _)| *socket).collect::<Vec<_>>() {
            self.errand_failed(socket, "it took too long");
        }
    }

    fn count_cancel(&mut self, asked: &CancelAsked, which: fn(&EndpointStats) -> &Cell) {
        if let Some(endpoint) = &asked.endpoint {
            which(&self.stats_of(endpoint)).add(1);
        }
    }

    fn end_errand(&mut self, socket: Token) -> Option<Errand> {
        let mut errand = self.errands.under_way.remove(&socket)?;
        let over = Wire::new(socket);
        std::mem::replace(&mut errand.wire, over).discard(&mut self.driver);
        self.driver.abort(socket);
        Some(errand)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use dbproxy_driver::sim::{Network, SimDriver};
    use dbproxy_engine::{Kill, CLIENT_IDS};
    use dbproxy_postgres::Postgres;

    use super::*;
    use crate::notice::Notices;
    use crate::shared::Shared;
    use crate::slab::Slab;
    use crate::warrant::Warrant;

    /// Where a KILL of a number goes to in a pod at the first address, with pods at the others: to the worker, to
    /// another pod, or back with that.
    #[derive(PartialEq, Debug)]
    enum Way {
        Worker,
        Abroad,
        Back(Killed),
    }

    fn way(id: u32, own: IpAddr, others: Vec<IpAddr>) -> Way {
        let network = Network::new(1);
        let (_, driver) = network.host("front", own);
        let (_, worker) = network.host("worker", own);
        let notices = Notices::new(Arc::new(|| ()));
        let shared = Shared::new(driver.waker(), vec![worker.waker()], notices).found_at(own);
        let shared = Arc::new(shared);
        let random = Box::new(|bytes: &mut [u8]| bytes.fill(0));
        let mut front: Front<Postgres, SimDriver> = Front::new(driver, shared.clone(), own, random);
        front.errands.peers = Some(Arc::new(Peers::new(b"", 7, others).expect("a key")));
        front.pass_on_kill(CancelAsked {
            warrant: Warrant::Kill(Kill { id, whole: true }, "app".into()),
            asker: Asker::Client(0, Slab::default().insert(()), Time(1)),
            endpoint: Some("orders".into()),
        });
        let abroad = !front.errands.under_way.is_empty();
        let letter = shared
            .workers
            .first()
            .and_then(|worker| worker.collect().pop_front());
        match letter {
            None if abroad => Way::Abroad,
            Some(Letter::Cancel(_)) => Way::Worker,
            Some(Letter::Killed(_, _, outcome)) => Way::Back(outcome),
            _ => panic!("it went nowhere"),
        }
    }

    #[test]
    fn a_number_leads_to_its_pod_and_to_none_where_two_may_have_given_it_out() {
        let own: IpAddr = [10, 0, 0, 1].into();
        let badge = Badge::of(own);
        let all = (0..u16::MAX).map(|n| IpAddr::from([10, 1, (n >> 8) as u8, n as u8]));
        let (same, others): (Vec<_>, Vec<_>) = all.partition(|ip| Badge::of(*ip) == badge);
        let other = others.first().copied().expect("a pod");
        let double = others
            .iter()
            .filter(|ip| Badge::of(**ip) == Badge::of(other));
        let double: Vec<IpAddr> = double.take(2).copied().collect();
        let (mine, theirs) = (badge.id(5), Badge::of(other).id(5));
        assert_eq!(way(mine, own, vec![other]), Way::Worker);
        assert_eq!(way(theirs, own, vec![other]), Way::Abroad);
        assert_eq!(way(theirs, own, vec![]), Way::Back(Killed::Unknown));
        let ambiguous = Way::Back(Killed::Ambiguous);
        assert_eq!(way(mine, own, vec![other, same[0]]), ambiguous);
        assert_eq!(way(theirs, own, double), ambiguous);
        assert_eq!(
            way(CLIENT_IDS.end - 1, own, vec![other]),
            Way::Back(Killed::Unknown)
        );
    }
}
