//! The two legs of a session while what its machine said is carried out: bytes move from one to the
//! other as they are where all of them move. Used by `relay`.

use dbproxy_driver::Driver;
use dbproxy_engine::{Leg, Payload};

use crate::wire::Wire;

/// The two legs while a list of steps is carried out.
pub(super) struct Ends<'a> {
    pub from: Leg,
    pub client: Option<&'a mut Wire>,
    pub backend: Option<&'a mut Wire>,
    pub consumed: usize,
    pub moved: bool,
}

impl Ends<'_> {
    pub(super) fn send<D: Driver>(&mut self, driver: &mut D, to: Leg, payload: Payload) {
        let (source, sink) = match (self.from, to) {
            (Leg::Client, Leg::Server) => (self.client.as_deref_mut(), self.backend.as_deref_mut()),
            (Leg::Server, Leg::Client) => (self.backend.as_deref_mut(), self.client.as_deref_mut()),
            (_, Leg::Client) => (None, self.client.as_deref_mut()),
            (_, Leg::Server) => (None, self.backend.as_deref_mut()),
        };
        let Some(sink) = sink else {
            return;
        };
        match (payload, source) {
            (Payload::Bytes(bytes), _) => sink.push(driver, &bytes),
            (Payload::Range(range), Some(source)) => {
                let all = source.input().len();
                if range.start == 0 && range.end == all && self.consumed == all {
                    source.pass_all(driver, sink);
                    self.moved = true;
                } else if let Some(part) = source.input().get(range) {
                    sink.push(driver, part);
                }
            }
            (Payload::Range(_), None) => {}
        }
    }

    pub(super) fn finish<D: Driver>(self, driver: &mut D) -> Option<Leg> {
        let mut broken = None;
        let (client, backend) = (self.client, self.backend);
        if let Some(wire) = backend {
            if self.from == Leg::Server && !self.moved {
                wire.consume(driver, self.consumed);
            }
            if wire.flush(driver).is_err() {
                broken = Some(Leg::Server);
            }
        }
        if let Some(wire) = client {
            if self.from == Leg::Client && !self.moved {
                wire.consume(driver, self.consumed);
            }
            if wire.flush(driver).is_err() {
                broken = Some(Leg::Client);
            }
        }
        broken
    }
}
