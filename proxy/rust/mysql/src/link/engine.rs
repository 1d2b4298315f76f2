//! What the server room does with a backend, whatever its protocol.

use std::sync::Arc;

use dbproxy_engine::{Aim, Channels, Heard, KillReason, Traces};

use crate::message::{command, frame};
use crate::params::Params;

use super::{Link, Of};

impl dbproxy_engine::Link for Link {
    type Params = Params;

    fn template(&self) -> &Arc<Params> {
        &self.params
    }

    fn traces(&self) -> &Traces {
        &self.traces
    }

    fn goodbye(&self, out: &mut Vec<u8>) {
        if self.sending.is_none() && self.file.is_none() {
            frame::packets(out, 0, |out| out.push(command::QUIT));
        }
    }

    fn reset(&mut self, init_query: Option<&str>, out: &mut Vec<u8>) {
        self.resetting = true;
        self.init_query = init_query.map(Arc::from);
        self.renew(out);
    }

    fn cut(&mut self) {
        self.cutting = true;
    }

    fn answered(&self) -> u64 {
        self.answered
    }

    fn outstanding(&self) -> u32 {
        u32::try_from(self.requests()).unwrap_or(u32::MAX)
    }

    fn is_quiet(&self) -> bool {
        self.settled()
    }

    fn owes(&self) -> bool {
        self.is_asked() && self.sending.is_none() && self.file.is_none()
    }

    fn in_transaction(&self) -> bool {
        self.in_trans()
    }

    fn may_commit(&self) -> bool {
        self.commits()
    }

    fn is_wanted(&mut self, wanted: bool) {
        self.wanted = wanted;
    }

    fn aim(&self) -> Aim {
        match self.owed.front().map(|owed| &owed.of) {
            None => Aim::Nothing,
            Some(Of::Client(_)) => Aim::Request,
            Some(Of::Ours(_)) => Aim::Ours,
        }
    }

    // Nobody listens in this protocol, so no session ever says `Attend`, and no backend is made an ear. One that
    // is all the same is no use: it says nothing.

    fn tune(&mut self, _: &mut Vec<u8>) {}

    fn inquire(&mut self, _: &Channels, _: &Channels, _: &mut Vec<u8>) {}

    fn hear(&mut self, _: &[u8], _: &mut Vec<Heard>) -> Result<usize, KillReason> {
        Err(KillReason::OutOfStep)
    }
}
