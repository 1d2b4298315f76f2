//! What Python hands down: the whole desired state of the data plane, swapped as one.
//!
//! **A target is its addresses, not its name.** When a snapshot comes,
//! - a connection whose address is no longer among its target's, or that was opened under other TLS
//!   demands, another init query, other defaults of the server's or for a user that is gone, serves
//!   nobody any more: an idle one is closed at once, a lent one at its release ([`Origin`](crate::origin::Origin));
//! - a connection to the *writer* is cut instead (stop writing, cancel, tell the truth, drain), a
//!   pinned session's too, when the writer is another target, or isn't at the connection's address
//!   any more, whether or not the epoch rose. `writer_drained` then names the target whose
//!   connections were cut (perhaps the very one that is the writer now) and the snapshot's epoch;
//! - an epoch that rises while the writer is the same target disturbs no connection whose address is
//!   still among its addresses. If none was cut, `writer_drained` comes at once and names no target.
//!
//! So who means the same server must hand down its addresses in every snapshot, and of a name with
//! several addresses all of them. A target that is there without any address is one whose name could
//! not be resolved: that moves nobody.

use std::net::SocketAddr;
use std::sync::Arc;

use dbproxy_engine::{Rules, Users};

use crate::limits::Limits;
use crate::signs::TargetSigns;
use crate::tls::{BackendTls, ClientTls};

/// What an endpoint's sessions may do, and so where they go.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// To the writer.
    ReadWrite,
    /// To an available reader.
    ReadOnly,
}

impl Role {
    /// Both of them, in the order of their numbers.
    pub const BOTH: [Role; 2] = [Role::ReadWrite, Role::ReadOnly];

    /// As the resources spell it.
    pub fn label(self) -> &'static str {
        match self {
            Role::ReadWrite => "READ_WRITE",
            Role::ReadOnly => "READ_ONLY",
        }
    }
}

/// One endpoint's listener.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Listener {
    /// The endpoint's name: a label in metrics and logs.
    pub name: Arc<str>,
    /// The port in the pod.
    pub port: u16,
    /// Where its sessions go.
    pub role: Role,
}

/// Stands for a target's name; the same name keeps its number for the life of the process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct TargetId(pub u16);

/// One database server.
#[derive(Clone, Debug)]
pub struct Target {
    /// Stands for the name.
    pub id: TargetId,
    /// As the target group names it.
    pub name: Arc<str>,
    /// Where it is; tried in this order.
    pub addresses: Vec<SocketAddr>,
    /// The host name that its certificate must carry (`VERIFY_IDENTITY`).
    pub server_name: Arc<str>,
    /// Whether it is a reader.
    pub reader: bool,
    /// Whether its last probe succeeded.
    pub available: bool,
    /// This pod's share of its connections.
    pub max_connections: u32,
    /// How many of them may stay idle.
    pub max_idle: u32,
    /// How many of them are to be idle at all times.
    pub min_idle: u32,
    /// Stands for what a new session there begins with, as far as that is known: an empty one is not.
    pub defaults: Arc<str>,
    /// What the workers show each other of it; survives snapshots.
    pub signs: Arc<TargetSigns>,
}

/// Who the writer is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Writer {
    /// The target.
    pub target: TargetId,
    /// Rises with every change.
    pub epoch: u64,
    /// SQL agreed: clients may write there.
    pub open: bool,
}

/// The whole desired state; `C` is what a user's proof is checked by ([`dbproxy_engine::Engine::Credential`]).
#[derive(Clone)]
pub struct Snapshot<C> {
    /// What the targets say in their own greetings that they are, where the server speaks first: the lowest of
    /// them. `None`: not known yet, or of no concern.
    pub version: Option<Arc<str>>,
    /// The endpoints.
    pub listeners: Vec<Arc<Listener>>,
    /// The proxy's certificate.
    pub client_tls: Option<Arc<ClientTls>>,
    /// Refuse clients without TLS.
    pub require_tls: bool,
    /// Who may log in.
    pub users: Arc<Users<C>>,
    /// The databases, at the index of their id (`None`: no longer there).
    pub targets: Vec<Option<Arc<Target>>>,
    /// Who writes.
    pub writer: Option<Writer>,
    /// TLS towards the databases.
    pub backend_tls: Arc<BackendTls>,
    /// Run once on each new backend.
    pub init_query: Option<Arc<str>>,
    /// When sessions are bound to their connections.
    pub rules: Rules,
    /// How many there may be, and for how long.
    pub limits: Limits,
    /// Rises when the writer becomes another server; set when the snapshot is applied.
    pub term: u64,
    /// Rises with every snapshot; set when it is applied.
    pub sequence: u64,
}

impl<C> Snapshot<C> {
    /// A target that is still there.
    pub fn target(&self, id: TargetId) -> Option<&Arc<Target>> {
        self.targets.get(usize::from(id.0))?.as_ref()
    }

    /// Whether a target is (also) at that address, as far as is known.
    pub fn is_at(&self, id: TargetId, address: SocketAddr) -> bool {
        self.target(id).is_some_and(|target| {
            target.addresses.is_empty() || target.addresses.contains(&address)
        })
    }

    /// Whether a connection to that address of that target is one to the writer.
    pub fn writes_at(&self, id: TargetId, address: SocketAddr) -> bool {
        self.writer.is_some_and(|writer| writer.target == id) && self.is_at(id, address)
    }

    /// Whether new sessions of some target begin with other defaults than under a snapshot of before.
    pub fn begins_otherwise(&self, before: &Self) -> bool {
        let targets = self.targets.iter().flatten();
        let pairs = targets.filter_map(|now| Some((now, before.target(now.id)?)));
        pairs
            .into_iter()
            .any(|(now, then)| now.defaults != then.defaults)
    }

    /// The writer that clients may use.
    pub fn open_writer(&self) -> Option<&Arc<Target>> {
        let writer = self.writer.filter(|writer| writer.open)?;
        self.target(writer.target)
    }

    /// All readers, available or not.
    pub fn readers(&self) -> impl Iterator<Item = &Arc<Target>> {
        let writer = self.writer.map(|writer| writer.target);
        self.targets
            .iter()
            .flatten()
            .filter(move |target| target.reader && Some(target.id) != writer)
    }

    /// Whose sessions may use that target now.
    pub fn role_of(&self, id: TargetId) -> Option<Role> {
        if self.writer.is_some_and(|writer| writer.target == id) {
            return self.open_writer().map(|_| Role::ReadWrite);
        }
        let target = self.target(id)?;
        (target.reader && target.available).then_some(Role::ReadOnly)
    }

    /// The targets that sessions of a role may use, now or when they are available again.
    pub fn meant_for(&self, role: Role) -> impl Iterator<Item = &Arc<Target>> {
        let writer = self.writer.map(|writer| writer.target);
        let targets = self.targets.iter().flatten();
        targets.filter(move |target| match role {
            Role::ReadWrite => Some(target.id) == writer,
            Role::ReadOnly => target.reader && Some(target.id) != writer,
        })
    }

    /// The targets that sessions of a role may use now.
    pub fn serving(&self, role: Role) -> impl Iterator<Item = &Arc<Target>> {
        let targets = self.targets.iter().flatten();
        targets.filter(move |target| self.role_of(target.id) == Some(role))
    }
}
