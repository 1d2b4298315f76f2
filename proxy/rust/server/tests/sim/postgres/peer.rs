//! A connection to the model PostgreSQL: its log-in here, its statements in `backend`.

use dbproxy_driver::Time;

use super::backend::Session;
use super::listening::CHANNELS;
use super::wire;
use crate::notes::Note;
use crate::peer::{Around, Greeting, Next, Seat, Who};

const CANCEL: u32 = 80_877_102;
const TLS: u32 = 80_877_103;

pub enum Peer {
    /// Nothing understood yet.
    New(Vec<u8>),
    /// Waiting for an MD5 answer.
    Challenged(Vec<u8>, Who),
    Session(Box<Session>, Who),
}

impl Peer {
    fn session(&self) -> Option<&Session> {
        match self {
            Self::Session(session, _) => Some(session),
            _ => None,
        }
    }

    fn session_mut(&mut self) -> Option<&mut Session> {
        match self {
            Self::Session(session, _) => Some(session),
            _ => None,
        }
    }

    /// Looks at a packet of before the log-in.
    fn startup(&mut self, packet: &[u8], around: &mut Around<'_>) -> Next {
        let number = |at: usize| {
            let bytes = packet.get(at..at + 4).and_then(|b| b.try_into().ok());
            bytes.map_or(0, u32::from_be_bytes)
        };
        match number(4) {
            CANCEL => {
                around.cancels.push((number(8), number(12)));
                return Next::Over;
            }
            TLS if around.tls => {
                around.out.push(b'S');
                return Next::StartTls;
            }
            TLS => {
                around.out.push(b'N');
                return Next::GoesOn;
            }
            _ => {}
        }
        let who = Who {
            user: wire::startup_setting(packet, "user").unwrap_or_default(),
            name: wire::startup_setting(packet, "database").unwrap_or_default(),
        };
        if around.refuses(&who) {
            let text = "db: this one may not log in";
            around.out = wire::error("FATAL", around.refusal, text);
            return Next::Over;
        }
        if around.way {
            around.out = wire::message(b'R', &[0, 0, 0, 5, 1, 2, 3, 4]);
            let rest = match self {
                Self::New(buffer) => std::mem::take(buffer),
                _ => Vec::new(),
            };
            *self = Self::Challenged(rest, who);
            return Next::GoesOn;
        }
        Next::Admit(who)
    }
}

impl crate::peer::Peer for Peer {
    const CHANNELS: Option<[&'static str; 2]> = Some(CHANNELS);
    const REFUSAL: &'static str = "42501";

    fn greet(_: Greeting<'_>, _: &mut Vec<u8>) -> Self {
        Self::New(Vec::new())
    }

    fn feed(&mut self, bytes: &[u8], around: &mut Around<'_>) -> Next {
        match self {
            Self::New(buffer) => {
                buffer.extend(bytes);
                match wire::take_packet(buffer) {
                    Some(packet) => self.startup(&packet, around),
                    None => Next::GoesOn,
                }
            }
            Self::Challenged(buffer, who) => {
                buffer.extend(bytes);
                match wire::take_message(buffer) {
                    Some(_) => Next::Admit(who.clone()),
                    None => Next::GoesOn,
                }
            }
            Self::Session(session, _) => {
                let goes_on = session.feed(bytes, around.now, around.read_only, around.witness);
                around.out = std::mem::take(&mut session.out);
                match goes_on {
                    true => Next::GoesOn,
                    false => Next::Over,
                }
            }
        }
    }

    fn admit(&mut self, who: Who, seat: Seat) -> Vec<u8> {
        let mut session = Session::new(seat.place, who.name.clone(), seat.number, seat.secret);
        let welcome = session.welcome(seat.read_only);
        *self = Self::Session(Box::new(session), who);
        welcome
    }

    fn turn_away(&self) -> Vec<u8> {
        wire::error("FATAL", "53300", "db: too many clients already")
    }

    fn who(&self) -> Option<&Who> {
        match self {
            Self::Session(_, who) => Some(who),
            _ => None,
        }
    }

    fn busy_until(&self) -> Option<Time> {
        self.session()?.busy_until()
    }

    fn is(&self, number: u32, secret: u32) -> bool {
        self.session().is_some_and(|s| s.is(number, secret))
    }

    fn cancel(&mut self) -> bool {
        self.session_mut().is_some_and(Session::cancel)
    }

    fn goodbye(&self) -> Vec<u8> {
        wire::error("FATAL", "57P01", "db: terminating connection")
    }

    fn is_endless(&self) -> bool {
        self.session().is_some_and(Session::is_endless)
    }

    fn more_rows(&self) -> Vec<u8> {
        self.session().map_or_else(Vec::new, Session::more_rows)
    }

    fn published(&mut self) -> Vec<(u32, Note)> {
        let session = self.session_mut();
        session.map_or_else(Vec::new, |session| std::mem::take(&mut session.published))
    }

    fn hear(&mut self, notes: &[(u32, Note)]) -> Vec<u8> {
        let Some(session) = self.session_mut() else {
            return Vec::new();
        };
        notes
            .iter()
            .for_each(|(pid, note)| session.hear(*pid, note));
        std::mem::take(&mut session.out)
    }

    fn notification(&self) -> Vec<u8> {
        self.session().map_or_else(Vec::new, Session::notification)
    }
}
