//! What the threads share: the book, the mailboxes, the welcome templates. No lock here is taken
//! per query.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{mpsc, Arc, Mutex};

use dbproxy_driver::{Driver, Time};
use dbproxy_engine::{Admission, Engine, Identity, Killed, Link};

use crate::book::{Book, Denied, Permit};
use crate::caps::{Bar, Shares};
use crate::ears::{EarLetter, Ears};
use crate::gauge::{Gauge, Seat};
use crate::ids::{Id, Ids};
use crate::limits::Life;
use crate::mailbox::{lock, Mailbox};
use crate::notice::{Notice, Notices};
use crate::origin::Origin;
use crate::peers::{Badge, Peers};
use crate::signs::TargetSigns;
use crate::slab::Key;
use crate::snapshot::{Listener, Role, Snapshot, TargetId};
use crate::stats::Stats;
use crate::templates::Templates;
use crate::warrant::{Asker, CancelAsked};
use crate::wire::Wire;

/// A client on its way from the front thread to its worker.
pub struct Arrival<E: Engine, S> {
    /// Its socket.
    pub socket: S,
    /// Its leg, with TLS and bytes that came early.
    pub wire: Wire,
    /// Who it is.
    pub admission: Admission<E::Handover>,
    /// The number that stands for it.
    pub id: Id,
    /// Its place among its user's clients.
    pub seat: Seat,
    /// Where it came in.
    pub listener: Arc<Listener>,
    /// Its address, for the log.
    pub peer: std::net::SocketAddr,
    /// How long it has been here, if it only logged in again.
    pub life: Option<Life>,
}

/// A client on its way back to the front thread, where it logs in again.
pub struct Return<E: Engine, S> {
    /// Its socket.
    pub socket: S,
    /// Its leg, with TLS and the bytes that its log-in begins with.
    pub wire: Wire,
    /// That.
    pub login: E::ClientLogin,
    /// The number that stands for it.
    pub id: Id,
    /// How long it has been here.
    pub life: Life,
    /// Where it came in.
    pub listener: Arc<Listener>,
    /// Its address, for the log.
    pub peer: std::net::SocketAddr,
}

/// An idle backend on its way to another worker.
pub struct Loan<E: Engine, S> {
    /// Its socket.
    pub socket: S,
    /// Its leg.
    pub wire: Wire,
    /// Its state.
    pub link: E::Link,
    /// Whose it may be.
    pub identity: Identity,
    /// Its place in the budget.
    pub permit: Permit,
    /// What it was opened for.
    pub origin: Origin,
    /// Since when it is open.
    pub life: Life,
}

/// A target on which a key could have one more connection if somebody gave one back: its user or its
/// database, if that bars it, or else anybody.
pub type Lack = (TargetId, Option<Bar>);

/// A worker asks others for idle backends.
#[derive(Clone, Debug)]
pub struct Plea {
    /// Who asks.
    pub worker: usize,
    /// For whom.
    pub identity: Identity,
    /// For which kind of session.
    pub role: Role,
    /// How many would find somebody who waits.
    pub count: usize,
    /// Since when the oldest of them waits that needs a connection more.
    pub needy_since: Option<Time>,
    /// Where room for it would help.
    pub room_on: Vec<Lack>,
}

/// What a worker may find in its mailbox.
pub enum Letter<E: Engine, S> {
    /// A new client.
    Arrival(Box<Arrival<E, S>>),
    /// The desired state changed.
    Snapshot(Arc<Snapshot<E::Credential>>),
    /// See [`CancelAsked`].
    Cancel(CancelAsked),
    /// What became of the KILL that this client waits for until then.
    Killed(Key, Time, Killed),
    /// A target's budget has room, and so have these of that target's shares.
    PermitFree(TargetId, Shares),
    /// See [`Plea`].
    Plea(Plea),
    /// See [`Loan`].
    Loan(Box<Loan<E, S>>),
    /// See [`EarLetter`].
    Ear(EarLetter),
    /// Let clients go at their transactions' ends.
    Drain,
}

/// What the front thread may find in its mailbox.
pub enum FrontLetter<E: Engine, S> {
    /// The desired state changed; answers when its listeners are open.
    Snapshot(
        Arc<Snapshot<E::Credential>>,
        mpsc::SyncSender<Result<(), String>>,
    ),
    /// See [`Return`].
    Return(Box<Return<E, S>>),
    /// A worker's client ends another, or what that runs.
    Kill(CancelAsked),
    /// What became of the cancel that it asked for.
    CancelOver(Asker, Killed),
    /// No client of this pod has its key, or that number.
    CancelUnknown(CancelAsked),
    /// The fleet's other pods are these from now on.
    Peers(Arc<Peers>),
    /// Empty the accept queue, then close the listeners.
    Drain,
}

/// What a worker lets everybody see of itself.
#[derive(Default)]
#[repr(align(128))]
pub struct WorkerSigns {
    /// Its clients.
    pub clients: Gauge,
    /// When it last had a turn.
    pub turned_at: AtomicU64,
}

type WorkerMailbox<E, D> = Mailbox<Letter<E, <D as Driver>::Socket>, <D as Driver>::Waker>;
type FrontMailbox<E, D> = Mailbox<FrontLetter<E, <D as Driver>::Socket>, <D as Driver>::Waker>;
/// What all threads share.
pub struct Shared<E: Engine, D: Driver> {
    /// What is counted.
    pub stats: Stats,
    /// What Python is told.
    pub notices: Notices,
    /// One for each worker.
    pub workers: Vec<WorkerMailbox<E, D>>,
    /// What each worker shows.
    pub signs: Vec<WorkerSigns>,
    /// The front thread's.
    pub front: FrontMailbox<E, D>,
    /// When the front thread last had a turn.
    pub front_turned_at: AtomicU64,
    /// Clients that are still logging in.
    pub guests: Gauge,
    /// Where the connections are that listen for clients.
    pub ears: Ears,
    /// The threads shall end.
    pub stopping: AtomicBool,
    /// Stands for this pod in the ids that it gives out.
    pub badge: Badge,
    /// Those.
    pub ids: Ids,
    book: Mutex<Book>,
    /// Some target has more connections than it may have; written under the book's lock.
    over_limit: AtomicBool,
    /// What new clients are told.
    pub templates: Templates<<E::Link as Link>::Params>,
    targets: Mutex<Vec<(Arc<str>, Arc<TargetSigns>)>>,
}

impl<E: Engine, D: Driver> Shared<E, D> {
    /// For these threads.
    pub fn new(front: D::Waker, workers: Vec<D::Waker>, notices: Notices) -> Self {
        let count = workers.len();
        let signs = workers.iter().map(|_| WorkerSigns::default());
        Self {
            stats: Stats::default(),
            notices,
            signs: signs.collect(),
            workers: workers.into_iter().map(Mailbox::new).collect(),
            front: Mailbox::new(front),
            front_turned_at: AtomicU64::new(0),
            guests: Gauge::default(),
            ears: Ears::default(),
            stopping: AtomicBool::new(false),
            badge: Badge::of(Ipv4Addr::UNSPECIFIED.into()),
            ids: Ids::default(),
            book: Mutex::new(Book::new(count)),
            over_limit: AtomicBool::new(false),
            templates: Templates::default(),
            targets: Mutex::default(),
        }
    }

    /// The same of a pod that other pods find at that address.
    #[must_use]
    pub fn found_at(mut self, address: IpAddr) -> Self {
        self.badge = Badge::of(address);
        self
    }

    /// Cancels for clients of other pods go to these from now on, and theirs are taken in.
    pub fn meet(&self, peers: Peers) {
        self.front.post(FrontLetter::Peers(Arc::new(peers)));
    }

    /// The number that stands for a target's name, and what the workers show each other of it.
    pub fn target_id(&self, name: &str) -> (TargetId, Arc<TargetSigns>) {
        let mut targets = lock(&self.targets);
        let known = targets.iter().position(|(known, _)| &**known == name);
        let at = known.unwrap_or(targets.len());
        let id = TargetId(u16::try_from(at).unwrap_or(u16::MAX));
        if let Some((_, signs)) = targets.get(at) {
            return (id, signs.clone());
        }
        let signs = Arc::new(TargetSigns::new(self.workers.len()));
        targets.push((name.into(), signs.clone()));
        (id, signs)
    }

    /// The name that a number stands for.
    pub fn target_name(&self, id: TargetId) -> Arc<str> {
        let targets = lock(&self.targets);
        let known = targets.get(usize::from(id.0));
        known.map_or_else(|| "".into(), |(name, _)| name.clone())
    }

    /// Swaps in a new desired state: the workers first, then the front thread, which answers.
    pub fn apply(
        &self,
        mut snapshot: Snapshot<E::Credential>,
    ) -> mpsc::Receiver<Result<(), String>> {
        self.open_book(&mut snapshot);
        let endpoints = snapshot.listeners.iter().map(|listener| &listener.name);
        let targets = snapshot.targets.iter().flatten().map(|target| &target.name);
        self.stats.open(endpoints, targets);
        let snapshot = Arc::new(snapshot);
        for worker in &self.workers {
            worker.post(Letter::Snapshot(snapshot.clone()));
        }
        let (answer, receiver) = mpsc::sync_channel(1);
        self.front.post(FrontLetter::Snapshot(snapshot, answer));
        receiver
    }

    fn open_book(&self, snapshot: &mut Snapshot<E::Credential>) {
        let mut book = lock(&self.book);
        book.open(snapshot);
        self.over_limit.store(book.over_limit(), Ordering::Relaxed);
    }

    /// No new clients; those that are here go at their transactions' ends.
    pub fn drain(&self) {
        self.front.post(FrontLetter::Drain);
        for worker in &self.workers {
            worker.post(Letter::Drain);
        }
    }

    /// Ends all loops at their next turn.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.front.wake();
        for worker in &self.workers {
            worker.wake();
        }
    }

    /// Clients connected now, logging in or in.
    pub fn clients(&self) -> u32 {
        self.inside() + self.guests.get()
    }

    /// Clients that are logged in.
    pub fn inside(&self) -> u32 {
        self.signs.iter().map(|s| s.clients.get()).sum()
    }

    /// A permit, if the budget and the caps leave one.
    pub fn take_permit(
        &self,
        target: TargetId,
        identity: &Identity,
        term: u64,
        now: Time,
    ) -> Result<Permit, Denied> {
        lock(&self.book).take(target, identity, term, now)
    }

    /// What a key's user and database have of a target.
    pub fn shares(&self, target: TargetId, identity: &Identity) -> Shares {
        lock(&self.book).shares(target, identity)
    }

    /// Whether a free connection must be closed, because a limit was lowered.
    pub fn sheds(&self, permit: &mut Permit) -> bool {
        // The lock is for the rare moment in which some target is over its limit.
        if !self.over_limit.load(Ordering::Relaxed) {
            return false;
        }
        let mut book = lock(&self.book);
        let sheds = book.shed(permit);
        self.over_limit.store(book.over_limit(), Ordering::Relaxed);
        sheds
    }

    /// A connection of an earlier term is none to the former writer.
    pub fn renew(&self, permit: &mut Permit, term: u64) {
        lock(&self.book).renew(permit, term);
    }

    /// A connection is gone: whoever needs one longest may open it.
    pub fn return_permit(&self, permit: Permit, confirmed: bool) {
        let (target, shares) = (permit.target, permit.shares.clone());
        let mut book = lock(&self.book);
        book.give_back(permit, confirmed);
        self.over_limit.store(book.over_limit(), Ordering::Relaxed);
        drop(book);
        self.report_drained();
        self.offer_permit(target, &shares);
    }

    /// Tells the worker whose waiter needs a connection to that target longest that there is room,
    /// and those whose waiters these shares barred longest.
    pub fn offer_permit(&self, target: TargetId, shares: &Shares) {
        let signs = lock(&self.targets).get(usize::from(target.0)).cloned();
        let needy = signs.and_then(|(_, signs)| signs.neediest(None));
        let roomy = |bar: &Bar| !shares.of(*bar).is_full();
        let barred = Bar::ALL.iter().filter(|bar| roomy(bar));
        let barred = barred.map(|bar| shares.of(*bar).oldest());
        let asking = [needy].into_iter().chain(barred).flatten();
        let mut workers: Vec<usize> = asking.map(|(worker, _)| worker).collect();
        workers.sort_unstable();
        workers.dedup();
        for mailbox in workers.iter().filter_map(|at| self.workers.get(*at)) {
            mailbox.post(Letter::PermitFree(target, shares.clone()));
        }
    }

    /// A worker took over a snapshot.
    pub fn worker_caught_up(&self, worker: usize, sequence: u64) {
        lock(&self.book).worker_caught_up(worker, sequence);
        self.report_drained();
    }

    fn report_drained(&self) {
        for drained in lock(&self.book).drained() {
            let from = drained.from.map(|id| self.target_name(id).to_string());
            self.notices.keep(
                Notice::new("writer_drained")
                    .text("target", from.unwrap_or_default())
                    .number("epoch", drained.epoch)
                    .flag("unconfirmed", drained.unconfirmed),
            );
        }
    }

    /// Connections open and allowed: `(used, limit)`.
    pub fn usage(&self, target: TargetId) -> (u32, u32) {
        lock(&self.book).usage(target)
    }

    /// Connections of this pod that count in each target's budget: opening, idle, lent, and closing
    /// until their servers let go. Targets that are no longer there are among them while they have any.
    pub fn held(&self) -> Vec<(Arc<str>, u32)> {
        let held = lock(&self.book).held().into_iter();
        held.map(|(id, count)| (self.target_name(id), count))
            .collect()
    }
}
