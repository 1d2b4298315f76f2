//! What is followed of sessions, piece by piece: settings that are set again, reasons that pin, texts
//! that are remembered.

use dbproxy_engine::{PinReason, Reasons};

use crate::pins::{Pins, SURVEYED};
use crate::settings::{replay, Settings, NAME};
use crate::statement::{classify, Act, Dialect, Memory, Value};

const DIALECTS: [Dialect; 2] = [
    Dialect {
        literal_backslashes: true,
        ascii_safe: true,
    },
    Dialect {
        literal_backslashes: false,
        ascii_safe: true,
    },
];

/// A text that sets something. What a backend is sent so that it has the same sets just that, however
/// it reads texts; and on the way back nothing is left of it.
pub fn replayed(text: &[u8]) {
    let set = DIALECTS.map(|dialect| set_by(text, dialect));
    for settings in set.into_iter().flatten() {
        let there = replay(&Settings::default(), &settings, &[]);
        let back = replay(&settings, &Settings::default(), &[]);
        for dialect in DIALECTS {
            let sql = there.as_ref().map_or("", |replay| &replay.sql);
            // How a backslash is written isn't followed itself.
            if sql.contains('\\') {
                continue;
            }
            let again = set_by(sql.as_bytes(), dialect).unwrap_or_default();
            assert!(
                same(&settings, &again),
                "{settings:?} became {again:?} by {sql}"
            );
            let sql = back.as_ref().map_or("", |replay| &replay.sql);
            assert_eq!(set_by(sql.as_bytes(), dialect), Some(Settings::default()));
        }
    }
}

/// What the statements of a text leave set; `None` if that can't be followed.
fn set_by(text: &[u8], dialect: Dialect) -> Option<Settings> {
    let class = classify(text, dialect);
    let mut settings = Settings::default();
    for script in class.acts.iter().filter(|_| class.pin.is_none()) {
        for (_, act) in &script.acts {
            settings = match act {
                Act::Set(_, Value::Reported) => return None,
                Act::Set(name, value) => settings.with(name, value)?,
                Act::Reset(name) => settings.only(|other| *other != **name),
                _ => return None,
            };
        }
    }
    // The name is set apart.
    let settings = settings.only(|name| name != NAME);
    class.pin.is_none().then_some(settings)
}

/// A value that is one text is the same by whichever way it is set.
fn same(one: &Settings, other: &Settings) -> bool {
    let texts = |settings: &Settings| -> Vec<_> {
        let each = settings.iter().map(|(name, value)| match value {
            Value::Items(items) => (name.clone(), items.to_vec()),
            Value::Text(text) => (name.clone(), vec![text.clone()]),
            Value::Reported => (name.clone(), Vec::new()),
        });
        each.collect()
    };
    texts(one) == texts(other)
}

/// What the server is asked about, in its order.
const HELD: [PinReason; 4] = [
    PinReason::AdvisoryLock,
    PinReason::HeldCursor,
    PinReason::Listen,
    PinReason::TemporaryObject,
];

/// What a session says, and when it is answered: never is it free while the server holds something.
pub fn pins(input: &[u8]) {
    let mut pins = Pins::default();
    let mut holds = [false; 4];
    for byte in input {
        let which = usize::from(byte >> 4) % HELD.len();
        let (Some(reason), Some(held)) = (HELD.get(which), holds.get_mut(which)) else {
            continue;
        };
        match byte & 0b111 {
            // It takes something; or is refused it, and the proxy hears of that or not.
            0 => {
                pins.add(*reason);
                *held = true;
            }
            1 => {
                pins.add(*reason);
                pins.doubt();
            }
            // It gives it back; or tries to.
            2 => {
                pins.may_end(Reasons::of(&[*reason]));
                *held = false;
            }
            3 => pins.may_end(Reasons::of(&[*reason])),
            4 => {
                pins.discard_sent();
                holds = [false; 4];
                pins.may_end(SURVEYED);
                pins.discard_done();
            }
            // Everything is answered. Perhaps the client goes on while the server is asked.
            more => {
                pins.settled();
                if pins.asks() {
                    answer(&mut pins, holds);
                    if let (6, Some(held)) = (more, holds.get_mut(which)) {
                        pins.add(*reason);
                        *held = true;
                    }
                    pins.surveyed(4);
                }
                pins.retell();
                assert!(pins.any() || !holds.contains(&true), "{pins:?} {holds:?}");
            }
        }
    }
}

fn answer(pins: &mut Pins, holds: [bool; 4]) {
    for (statement, held) in (0u16..).zip(holds) {
        pins.answered(statement, if held { b"SELECT 1\0" } else { b"SELECT 0\0" });
    }
}

/// Texts, each up to a NUL: a remembered one means what it means when it is read.
pub fn remembered(input: &[u8]) {
    let mut memory = Memory::default();
    for _ in 0..2 {
        for text in input.split(|byte| *byte == 0) {
            for dialect in DIALECTS {
                let class = memory.classify(text, dialect);
                assert_eq!(class, classify(text, dialect));
            }
        }
    }
}
