//! What the server room does with a backend, whatever its protocol.

use std::sync::Arc;

use dbproxy_engine::{Aim, Channels, Heard, KillReason, Traces};

use crate::aim;
use crate::channels::Changes;
use crate::expect::Injected;
use crate::fate;
use crate::message::{build, frontend};
use crate::params::Params;
use crate::sequences::Sequences;
use crate::settings::Tracker;

use super::{CopyIn, Leave, Link, Status};

impl dbproxy_engine::Link for Link {
    type Params = Params;

    fn template(&self) -> &Arc<Params> {
        &self.own
    }

    fn traces(&self) -> &Traces {
        &self.traces
    }

    fn goodbye(&self, out: &mut Vec<u8>) {
        if self.sending.is_some() {
            return;
        }
        build::bare(out, frontend::TERMINATE);
    }

    fn reset(&mut self, init_query: Option<&str>, out: &mut Vec<u8>) {
        self.resetting = true;
        if self.leave == Leave::Listening && self.status == Status::Idle && !self.resettable() {
            self.leave = Leave::Clean;
            return self.inject(Injected::Reset, "UNLISTEN *", out);
        }
        if self.status != Status::Idle {
            self.inject(Injected::Reset, "ROLLBACK", out);
        }
        self.inject(Injected::Reset, "DISCARD ALL", out);
        if let Some(sql) = init_query {
            self.inject(Injected::Reset, sql, out);
        }
        self.application_name = self.params.own_name().into();
        self.sequences = Sequences::default();
        self.settings = Tracker::default();
        self.leave = Leave::Clean;
        self.changes = Changes::default();
    }

    fn cut(&mut self) {
        self.cutting = true;
    }

    fn answered(&self) -> u64 {
        self.answered
    }

    fn outstanding(&self) -> u32 {
        let count = u32::try_from(self.expected.requests()).unwrap_or(u32::MAX);
        count.saturating_add(u32::from(self.unsynced))
    }

    fn is_quiet(&self) -> bool {
        self.settled()
    }

    fn owes(&self) -> bool {
        // Of a request that is forwarded in part the server knows nothing yet.
        let whole = self.expected.requests() > usize::from(self.has_part());
        whole && self.copy_in != CopyIn::Active
    }

    fn in_transaction(&self) -> bool {
        self.status != Status::Idle
    }

    fn may_commit(&self) -> bool {
        fate::outstanding(self).may_commit
    }

    fn is_wanted(&mut self, wanted: bool) {
        self.wanted = wanted;
    }

    fn aim(&self) -> Aim {
        aim::aim(self)
    }

    fn tune(&mut self, out: &mut Vec<u8>) {
        self.tuned(out);
    }

    fn inquire(&mut self, more: &Channels, less: &Channels, out: &mut Vec<u8>) {
        self.inquired(more, less, out);
    }

    fn hear(&mut self, input: &[u8], out: &mut Vec<Heard>) -> Result<usize, KillReason> {
        self.heard(input, out)
    }
}
