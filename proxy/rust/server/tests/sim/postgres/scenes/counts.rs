//! What can be counted on a stage.

use dbproxy_server::Field;

use super::stage::Stage;

impl Stage {
    /// The turns of all workers so far in which there was nothing to do.
    pub fn idle_turns(&self) -> u64 {
        let hosts = self.workers.iter().map(|(host, _)| *host);
        hosts.map(|host| self.network.idle_turns(host)).sum()
    }

    /// Sessions that a database has.
    pub fn sessions(&self, database: usize) -> usize {
        self.databases[database].1.sessions()
    }

    /// Connections that a database has, whatever for.
    pub fn links_to(&self, database: usize) -> usize {
        let host = self.databases[database].0;
        let links = self.network.links();
        links.iter().filter(|link| link.to == host).count()
    }

    /// Connections that finish what clients left behind.
    pub fn orphaned(&self) -> u64 {
        let targets = self.shared.stats.targets();
        targets.values().map(|sum| sum.orphaned).sum()
    }

    /// How many clients were closed for that reason.
    pub fn closed_for(&self, reason: &str) -> u64 {
        let endpoints = self.shared.stats.endpoints();
        let sums = endpoints.values().filter_map(|sum| sum.closed.get(reason));
        sums.sum()
    }

    /// Connections to a target that count in its budget.
    pub fn held(&self, target: &str) -> u32 {
        self.shared.usage(self.shared.target_id(target).0).0
    }

    /// Whether the drain of an epoch's former writer was told, and whether as confirmed.
    pub fn drained(&self, from: &str, epoch: u64) -> Option<bool> {
        let wanted = [
            ("target", Field::Text(from.to_owned())),
            ("epoch", Field::Number(epoch)),
        ];
        let told = self.notices.iter().find(|notice| {
            let has = |field| notice.fields.contains(field);
            notice.event == "writer_drained" && wanted.iter().all(has)
        });
        told.map(|n| n.fields.contains(&("unconfirmed", Field::Flag(false))))
    }
}
