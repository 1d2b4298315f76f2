//! The desired state that a run hands to the proxy: two databases or more, one endpoint that writes,
//! one that reads.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use dbproxy_driver::sim::SimDriver;
use dbproxy_driver::Duration;
use dbproxy_engine::{Rules, Users};
use dbproxy_server::{
    BackendTls, Limits, Listener, Role, Shared, Snapshot, Target, TlsMode, Writer,
};

use crate::model::Model;
use crate::sockets::CA;

pub const WRITE_PORT: u16 = 15432;
pub const READ_PORT: u16 = 15433;
/// Where a database listens.
pub const DATABASE_PORT: u16 = 5432;

pub type Proxy<M> = Shared<M, SimDriver>;

/// What may differ between snapshots.
#[derive(Clone)]
pub struct Desired<M: Model> {
    pub writer: Writer,
    /// Of `db0`, `db1` and so on.
    pub addresses: Vec<Vec<SocketAddr>>,
    pub reader_available: bool,
    /// The most sessions on the first database.
    pub budget: u32,
    /// The databases after the first may have other numbers of sessions.
    pub unequal: bool,
    /// Sessions of each database that are to be idle at all times.
    pub min_idle: u32,
    /// Stands for what sessions begin with.
    pub defaults: &'static str,
    pub limits: Limits,
    pub init_query: Option<&'static str>,
    pub users: Arc<Users<M::Credential>>,
    pub server_tls: TlsMode,
}

/// An address of the run's network.
pub fn ip(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

/// Where the model database of that number is.
pub fn database_at(index: usize) -> SocketAddr {
    SocketAddr::new(ip(20 + index as u8), DATABASE_PORT)
}

/// The same server by another address.
pub fn other_door(index: usize) -> SocketAddr {
    SocketAddr::new(database_at(index).ip(), DATABASE_PORT + 1)
}

/// Nobody has this address: what is sent there is never answered.
pub fn nowhere() -> SocketAddr {
    SocketAddr::new(ip(99), DATABASE_PORT)
}

/// Which of a server's two doors an address is; nowhere counts as a third one.
pub fn door_of(address: SocketAddr) -> usize {
    match address == nowhere() {
        true => 2,
        false => usize::from(address.port() - DATABASE_PORT),
    }
}

impl<M: Model> Desired<M> {
    /// `db0` writes, `db1` reads; both are where their numbers say.
    pub fn new(shared: &Proxy<M>) -> Self {
        let (target, _) = shared.target_id("db0");
        shared.target_id("db1");
        Self {
            writer: Writer {
                target,
                epoch: 1,
                open: true,
            },
            addresses: vec![vec![database_at(0)], vec![database_at(1)]],
            reader_available: true,
            budget: 4,
            unequal: false,
            min_idle: 0,
            defaults: "",
            limits: Limits {
                max_clients: 1000,
                borrow_timeout: Duration::from_secs(20),
                client_write_timeout: Duration::from_secs(5),
                idle_backend_timeout: Duration::from_secs(3600),
                ..Limits::default()
            },
            init_query: None,
            users: M::users(),
            server_tls: TlsMode::Disabled,
        }
    }

    /// With so many databases: `db0` writes, the others read.
    pub fn with_databases(mut self, shared: &Proxy<M>, count: usize) -> Self {
        self.addresses = (0..count).map(|at| vec![database_at(at)]).collect();
        for at in 0..count {
            shared.target_id(&format!("db{at}"));
        }
        self
    }

    /// The most sessions that a database may have.
    pub fn budget_of(&self, database: usize) -> u32 {
        budget_of(self.budget, self.unequal, database)
    }

    /// The most sessions of all databases.
    pub fn budgets(&self) -> Vec<usize> {
        let budget = |database| self.budget_of(database) as usize;
        (0..self.addresses.len()).map(budget).collect()
    }

    /// Hands it to the proxy. The front answers at its next turn; the scheduler sees to that.
    pub fn apply(&self, shared: &Proxy<M>) {
        drop(shared.apply(self.snapshot(shared)));
    }

    fn snapshot(&self, shared: &Proxy<M>) -> Snapshot<M::Credential> {
        let targets = self.addresses.iter().enumerate();
        Snapshot {
            version: M::VERSION.map(Into::into),
            listeners: vec![
                listener("orders", WRITE_PORT, Role::ReadWrite),
                listener("orders-ro", READ_PORT, Role::ReadOnly),
            ],
            client_tls: None,
            require_tls: false,
            users: self.users.clone(),
            targets: targets.map(|(i, a)| self.target(shared, i, a)).collect(),
            writer: Some(self.writer),
            backend_tls: Arc::new(BackendTls::new(self.server_tls, Some(CA)).expect("a CA")),
            init_query: self.init_query.map(Into::into),
            rules: Rules::default(),
            limits: self.limits.clone(),
            term: 0,
            sequence: 0,
        }
    }

    fn target(
        &self,
        shared: &Proxy<M>,
        index: usize,
        addresses: &[SocketAddr],
    ) -> Option<Arc<Target>> {
        let name = format!("db{index}");
        let (id, signs) = shared.target_id(&name);
        Some(Arc::new(Target {
            id,
            name: name.as_str().into(),
            addresses: addresses.to_vec(),
            server_name: name.as_str().into(),
            reader: id != self.writer.target,
            available: id == self.writer.target || self.reader_available,
            max_connections: self.budget_of(index),
            max_idle: self.budget_of(index) / 2,
            min_idle: self.min_idle,
            defaults: self.defaults.into(),
            signs,
        }))
    }
}

/// The most sessions that a database may have where the first may have `budget`.
pub fn budget_of(budget: u32, unequal: bool, database: usize) -> u32 {
    match database as u32 {
        index if unequal && index > 0 => 1 + (budget + 3 * index) % 8,
        _ => budget,
    }
}

fn listener(name: &str, port: u16, role: Role) -> Arc<Listener> {
    let name = name.into();
    Arc::new(Listener { name, port, role })
}
