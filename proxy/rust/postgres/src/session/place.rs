//! Sees to it that the backend at hand has a client's shared statements. For `named` and `own_names`.

use std::sync::Arc;

use dbproxy_engine::Steps;

use crate::link::{Link, Status};
use crate::message::{build, frontend};
use crate::prepared::{Alias, Coming, Known, Now, Refusal, Shared, Tick};
use crate::settings::Settings;

use super::aside::Aside;
use super::forward::Verdict;
use super::named::Meant;
use super::named_messages::{close_surplus, parse};
use super::run::Run;
use super::Session;

/// Where a statement is that is used.
enum Place {
    /// On this backend, by that number.
    Here(u64),
    /// It can't be.
    Nowhere(Refusal),
    /// This is done first.
    Coming(Verdict),
}

impl Session {
    /// The name of ours for what the client uses; or what is done first.
    pub(super) fn alias(
        &mut self,
        meant: Meant,
        link: &mut Link,
        run: &mut Run<'_>,
        out: &mut Steps,
    ) -> Result<Alias, Verdict> {
        let (name, known) = match meant {
            Meant::Coming(name, coming) => {
                let same = coming.now == now(link, &coming.shared);
                if same && link.expected.acting() == 0 {
                    return Ok(Alias::of(coming.number, &name));
                }
                // It would be used in another state than that which it is there for.
                if let Some(verdict) = self.until_answered(link, run, out) {
                    return Err(verdict);
                }
                match self.names.get(&name) {
                    Some((_, known)) if !same && known.parsed.sent == coming.sent => {
                        (name, known.clone())
                    }
                    _ => return Ok(Alias::of(coming.number, &name)),
                }
            }
            Meant::Known(name, known) => (name, known),
        };
        match self.place(&name, &known, link, run, out) {
            Place::Here(number) => Ok(Alias::of(number, &name)),
            Place::Nowhere(refusal) => Ok(Alias::refused(&name, known.shared, refusal)),
            Place::Coming(verdict) => Err(verdict),
        }
    }

    fn place(
        &mut self,
        name: &Arc<[u8]>,
        known: &Known,
        link: &mut Link,
        run: &mut Run<'_>,
        out: &mut Steps,
    ) -> Place {
        if link.expected.acting() > 0 && link.unsynced {
            if let Some(verdict) = self.until_answered(link, run, out) {
                return Place::Coming(verdict);
            }
        }
        let shared = &known.shared;
        let now = now(link, shared);
        if let Some(number) = link.prepared.find(known, &now) {
            return Place::Here(number);
        }
        let this = (Arc::clone(shared), now.clone());
        if self.batch.tried.as_ref() == Some(&this) {
            let said = self.batch.said.take();
            return Place::Nowhere(said.map_or(Refusal::Changed, Refusal::Said));
        }
        if link.expected.acting() > 0 {
            if let Some(verdict) = self.until_answered(link, run, out) {
                return Place::Coming(verdict);
            }
        }
        let Some(aside) = Aside::of(link, shared.under(), false) else {
            return Place::Nowhere(Refusal::Apart);
        };
        self.batch.tried = Some(this);
        self.batch.said = None;
        if !aside.alone {
            self.parts_batch(link, run, out);
        }
        let mut bytes = Vec::new();
        close_surplus(link, &mut bytes);
        let name = (!shared.is_described()).then(|| Arc::clone(name));
        let tells = shared.is_described() && run.rest.first() == Some(&frontend::DESCRIBE);
        aside.around(link, &mut bytes, |link, bytes| {
            let coming = Coming {
                number: link.prepared.number(),
                name,
                shared: Arc::clone(shared),
                tells,
                now,
                sent: Tick::now(),
            };
            parse(link, coming, true, bytes);
        });
        if !aside.alone {
            build::bare(&mut bytes, frontend::FLUSH);
        }
        run.put(bytes, out);
        if aside.alone {
            run.seal();
            // As before, nothing of the client's is under way.
            self.fresh |= !self.pins.any() && link.status == Status::Idle;
        }
        Place::Coming(Verdict::Hold)
    }
}

/// What the session has set that uses a statement, as far as that has a say in what it is.
pub(super) fn now(link: &Link, shared: &Shared) -> Now {
    if shared.is_never_shaped() {
        return Now::Known(Settings::none());
    }
    if link.expected.altered {
        // What literals mean is undone with the transaction, and no server makes them anew.
        return Now::Blurred;
    }
    if link.initialised && link.settings.touched() {
        // What a RESET comes back to isn't what the init query has set.
        return Now::Blurred;
    }
    match link.settings.shaping().filter(|now| now.are_plain()) {
        Some(now) => Now::Known(now),
        None => Now::Blurred,
    }
}
