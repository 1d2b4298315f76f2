//! What becomes of a session that listens.

use dbproxy_engine::{Attention, Session as _, Steps};

use super::{show, Bench};

impl Bench {
    pub(super) fn attend(&mut self, attention: Attention) {
        self.attention = Some(attention);
        if self.alone {
            let link = self.link.as_mut().expect("its own backend");
            let mut steps = Steps::new();
            self.session.listens_itself(link, &mut steps);
            self.play(&[], 0, steps);
        }
    }

    /// What it waits for was heard; answers what the client is told.
    pub fn attended(&mut self) -> String {
        self.to_client.clear();
        let mut steps = Steps::new();
        self.session.attended(false, &mut steps);
        self.play(&[], 0, steps);
        self.pump_client();
        show(&self.to_client)
    }
}
