//! KILL. A number that a proxy of this fleet may have given to a client (`CLIENT_IDS`) is that client's, wherever
//! it is: the server room ends it, or what it runs. Any other number is one of the database's own, as its list of
//! processes shows them: it judges that, by its rights.
//!
//! A thread of the database's may have a number that looks like one of the proxy's, when some two million
//! connections were made to it since it started. It isn't struck: whom a statement names shouldn't depend on who
//! is there.

use dbproxy_engine::{CloseReason, Kill, Killed, Step, Steps, CLIENT_IDS};

use crate::link::LASTING;
use crate::message::{frame, ok, status};
use crate::statement::{Act, Class, Victim};
use crate::texts::Fault;

use super::{tell, texts, Session, ANSWER};

/// What a command kills.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kills {
    /// The connection that has that number, or only what it runs.
    Number { number: u64, whole: bool },
    /// What the proxy can't translate: a user, a query by an id of its own, an expression; or more is done beside.
    Other,
    /// It doesn't say whom.
    Nobody,
}

/// A KILL whose outcome is waited for.
#[derive(Debug)]
pub(super) struct Killing {
    number: u32,
    /// What the OK is to say.
    status: u16,
}

impl Kills {
    /// Of a text.
    pub(super) fn text(class: &Class) -> Option<Self> {
        let acts = &class.acts.as_ref()?.acts;
        let kills = |act: &Act| matches!(act, Act::Kill(..));
        match &acts[..] {
            [(_, Act::Kill(victim, Some(number)))] if class.statements == 1 => {
                let number = *number;
                Some(match victim {
                    Victim::Connection => Self::Number {
                        number,
                        whole: true,
                    },
                    Victim::Query => Self::Number {
                        number,
                        whole: false,
                    },
                    Victim::Other => Self::Other,
                })
            }
            acts => acts
                .iter()
                .any(|(_, act)| kills(act))
                .then_some(Self::Other),
        }
    }

    /// Of COM_PROCESS_KILL, with its first byte.
    pub(super) fn command(body: &[u8]) -> Self {
        let number = body.get(1..).and_then(|rest| rest.first_chunk());
        number.map_or(Self::Nobody, |number| Self::Number {
            number: u32::from_le_bytes(*number).into(),
            whole: true,
        })
    }
}

impl Session {
    /// Answers KILL, or has the server room look for whom it names: then nothing more is looked at until that is
    /// over. `false`: it is the database's to answer. `status`: what a server would say in its OK.
    pub(super) fn kills(&mut self, kills: Kills, status: u16, out: &mut Steps) -> bool {
        let (number, whole) = match kills {
            Kills::Number { number, whole } => (number, whole),
            Kills::Other => {
                self.says(texts::unsupported("KILL"), out);
                return true;
            }
            Kills::Nobody => {
                self.says(texts::malformed(), out);
                return true;
            }
        };
        let id = u32::try_from(number);
        let Some(id) = id.ok().filter(|id| CLIENT_IDS.contains(id)) else {
            return false;
        };
        if id == self.id {
            self.kills_itself(whole, out);
        } else {
            self.killing = Some(Killing { number: id, status });
            out.push(Step::Kill(Kill { id, whole }));
        }
        true
    }

    fn kills_itself(&mut self, whole: bool, out: &mut Steps) {
        let interrupted = || Fault::new(1317, b"70100", "Query execution was interrupted");
        let error = match whole && self.dialect.is_mariadb() {
            true => Fault::new(1927, b"70100", "Connection was killed"),
            false => interrupted(),
        };
        self.says(error, out);
        if whole {
            self.close(CloseReason::Killed, out);
        }
    }

    /// What became of the KILL that is waited for.
    pub(super) fn answers_kill(&mut self, outcome: Killed, out: &mut Steps) {
        let Some(Killing { number, status }) = self.killing.take().filter(|_| !self.closed) else {
            return;
        };
        let error = match outcome {
            Killed::Done => {
                self.diagnostics.lose();
                let ok = ok::Ok {
                    status: status & (LASTING | status::IN_TRANS | status::IN_TRANS_READONLY),
                    ..ok::Ok::default()
                };
                let mut bytes = Vec::new();
                frame::packets(&mut bytes, ANSWER, |out| {
                    ok.write(ok::TAG, self.agreed, out);
                });
                return tell(bytes, out);
            }
            Killed::Unknown => {
                Fault::new(1094, b"HY000", format!("Unknown thread id: {number}"))
            }
            Killed::NotOwner => Fault::new(
                1095,
                b"HY000",
                format!("You are not owner of thread {number}"),
            ),
            Killed::Ambiguous => Fault::new(
                1235,
                b"42000",
                "The proxy can't tell whom this would strike: two of its pods give out the same numbers",
            ),
            Killed::Undelivered => Fault::new(
                1105,
                b"HY000",
                "The proxy could not deliver this KILL, or was not told in time that it is over. \
                 Its log says why",
            ),
        };
        self.says(error, out);
    }
}
