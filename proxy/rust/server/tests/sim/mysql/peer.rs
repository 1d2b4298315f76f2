//! A connection to the model MySQL: it greets and checks a proof here; commands are in `backend`.

use dbproxy_driver::Time;

use super::backend::Session;
use super::{wire, VERSION};
use crate::clients::PASSWORD;
use crate::peer::{Around, Greeting, Next, Seat, Who};

const SCRAMBLE: usize = 20;
/// What the server can do.
const OFFERED: u32 = wire::BASE
    | wire::FOUND_ROWS
    | wire::CONNECT_WITH_DB
    | wire::MULTI_STATEMENTS
    | wire::PLUGIN_AUTH_LENENC
    | wire::SESSION_TRACK
    | wire::DEPRECATE_EOF;

pub struct Peer {
    /// Its thread id.
    number: u32,
    inbox: Vec<u8>,
    scramble: Vec<u8>,
    stage: Stage,
}

enum Stage {
    /// It was greeted.
    Greeted,
    /// It was asked for a proof by another plugin.
    Switched(Who, u32),
    /// It has proved who it is, what it speaks, and the number of what it is told next.
    Proven(u32, u8),
    Session(Box<Session>, Who),
}

impl Peer {
    fn session(&self) -> Option<&Session> {
        match &self.stage {
            Stage::Session(session, _) => Some(session),
            _ => None,
        }
    }

    fn response(&mut self, payload: &[u8], around: &mut Around<'_>) -> Next {
        let mut cursor = wire::Cursor(payload);
        let agreed = cursor.long() & OFFERED;
        cursor.take(28);
        let user = cursor.ended();
        let proof = cursor.text();
        let who = Who {
            user,
            name: String::new(),
        };
        if around.refuses(&who) {
            let code = around.refusal.parse().unwrap_or(1044);
            let refusal = wire::error(code, "42000", "db: this one may not log in");
            around.out = wire::packet(2, &refusal);
            return Next::Over;
        }
        if around.way {
            // A user's plugin may be another than the server's.
            self.scramble.rotate_left(1);
            let mut payload = vec![wire::EOF];
            wire::put_ended(&mut payload, wire::NATIVE);
            payload.extend(&self.scramble);
            payload.push(0);
            around.out = wire::packet(2, &payload);
            self.stage = Stage::Switched(who, agreed);
            return Next::GoesOn;
        }
        if proof != wire::sha2_proof(PASSWORD, &self.scramble) {
            return self.denied(2, around);
        }
        around.out = wire::packet(2, &[wire::MORE_DATA, wire::FAST_PASSED]);
        self.stage = Stage::Proven(agreed, 3);
        Next::Admit(who)
    }

    fn denied(&self, sequence: u8, around: &mut Around<'_>) -> Next {
        let text = "a wrong proof of a password".into();
        around.witness.violation(text);
        around.out = wire::packet(sequence, &wire::error(1045, "28000", "db: denied"));
        Next::Over
    }
}

impl crate::peer::Peer for Peer {
    const CHANNELS: Option<[&'static str; 2]> = None;
    const REFUSAL: &'static str = "1044";

    fn greet(greeting: Greeting<'_>, out: &mut Vec<u8>) -> Self {
        let mut scramble = vec![0; SCRAMBLE];
        greeting.random.fill(&mut scramble);
        scramble.iter_mut().for_each(|byte| *byte = *byte % 90 + 33);
        let offered = OFFERED | if greeting.tls { wire::SSL } else { 0 };
        let mut payload = vec![10];
        wire::put_ended(&mut payload, VERSION);
        payload.extend(greeting.number.to_le_bytes());
        payload.extend(&scramble[..8]);
        payload.push(0);
        payload.extend((offered as u16).to_le_bytes());
        payload.push(wire::COLLATION);
        payload.extend(wire::AUTOCOMMIT.to_le_bytes());
        payload.extend(((offered >> 16) as u16).to_le_bytes());
        payload.push(SCRAMBLE as u8 + 1);
        payload.extend([0; 10]);
        payload.extend(&scramble[8..]);
        payload.push(0);
        wire::put_ended(&mut payload, wire::CACHING_SHA2);
        out.extend(wire::packet(0, &payload));
        Self {
            number: greeting.number,
            inbox: Vec::new(),
            scramble,
            stage: Stage::Greeted,
        }
    }

    fn feed(&mut self, bytes: &[u8], around: &mut Around<'_>) -> Next {
        if let Stage::Session(session, _) = &mut self.stage {
            let goes_on = session.feed(bytes, around);
            return match goes_on {
                true => Next::GoesOn,
                false => Next::Over,
            };
        }
        self.inbox.extend(bytes);
        let Some(packet) = wire::take_packet(&mut self.inbox) else {
            return Next::GoesOn;
        };
        let payload = wire::payload(&packet);
        match &self.stage {
            Stage::Greeted => self.response(payload, around),
            Stage::Switched(who, agreed) => {
                let (who, agreed) = (who.clone(), *agreed);
                if payload != wire::native_proof(PASSWORD, &self.scramble) {
                    return self.denied(4, around);
                }
                self.stage = Stage::Proven(agreed, 4);
                Next::Admit(who)
            }
            Stage::Proven(..) | Stage::Session(..) => Next::GoesOn,
        }
    }

    fn admit(&mut self, who: Who, seat: Seat) -> Vec<u8> {
        let Stage::Proven(agreed, sequence) = self.stage else {
            return Vec::new();
        };
        let ok = wire::Done {
            status: wire::AUTOCOMMIT,
            ..wire::Done::default()
        };
        let session = Session::new(&seat, agreed);
        self.stage = Stage::Session(Box::new(session), who);
        wire::packet(sequence, &ok.write(wire::OK, agreed))
    }

    fn turn_away(&self) -> Vec<u8> {
        let sequence = match self.stage {
            Stage::Proven(_, sequence) => sequence,
            _ => 0,
        };
        wire::packet(
            sequence,
            &wire::error(1040, "08004", "db: Too many connections"),
        )
    }

    fn who(&self) -> Option<&Who> {
        match &self.stage {
            Stage::Session(_, who) => Some(who),
            _ => None,
        }
    }

    fn counts(&self) -> bool {
        // A connection that only kills another's statement is none of the pool's.
        self.session().is_some_and(Session::has_served)
    }

    fn busy_until(&self) -> Option<Time> {
        self.session()?.busy_until()
    }

    fn is(&self, number: u32, _: u32) -> bool {
        self.number == number
    }

    fn cancel(&mut self) -> bool {
        match &mut self.stage {
            Stage::Session(session, _) => session.cancel(),
            _ => false,
        }
    }

    fn goodbye(&self) -> Vec<u8> {
        let sequence = self.session().map_or(0, Session::next_number);
        let text = "db: Server shutdown in progress";
        wire::packet(sequence, &wire::error(1053, "08S01", text))
    }
}
