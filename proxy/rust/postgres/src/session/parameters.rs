//! The parameters of a Bind, where what a statement does to settings depends on them.

use std::sync::Arc;

use dbproxy_engine::{Reader, Short};

use crate::statement::{Act, Argument, Script};

/// What a script does with the parameters of this Bind; `None` if that can't be told.
pub(super) fn fill(script: &Arc<Script>, bind: &[u8]) -> Option<Arc<Script>> {
    let open = |(_, act): &(u16, Act)| matches!(act, Act::Config(_));
    if !script.acts.iter().any(open) {
        return Some(Arc::clone(script));
    }
    let given = parameters(bind).ok()?;
    let filled = script.acts.iter().map(|(number, act)| {
        let act = match act {
            Act::Config(arguments) => {
                let [name, value, local] = &**arguments;
                let fill = |argument: &Argument| match argument {
                    Argument::Parameter(at) => given.get(*at).cloned().flatten(),
                    given => Some(given.clone()),
                };
                Act::configures(&fill(name)?, &fill(value)?, &flag(fill(local)?))?
            }
            other => other.clone(),
        };
        Some((*number, act))
    });
    Some(Arc::new(Script {
        acts: filled.collect::<Option<_>>()?,
        statements: script.statements,
    }))
}

/// The binary form of a truth value.
fn flag(argument: Argument) -> Argument {
    match argument {
        Argument::Text(text) if &*text == "\u{1}" => Argument::Text("true".into()),
        Argument::Text(text) if &*text == "\0" => Argument::Text("false".into()),
        other => other,
    }
}

/// The values; `None` for what is no text. A text has the same bytes in both forms.
fn parameters(bind: &[u8]) -> Result<Vec<Option<Argument>>, Short> {
    let mut reader = Reader::new(bind);
    reader.cstr()?;
    reader.cstr()?;
    let formats = usize::from(reader.u16()?);
    reader.take(2 * formats)?;
    let count = reader.u16()?;
    let mut values = Vec::new();
    for _ in 0..count {
        let length = reader.u32()?;
        values.push(match length {
            u32::MAX => Some(Argument::Null),
            length => std::str::from_utf8(reader.take(length as usize)?)
                .ok()
                .map(|text| Argument::Text(text.into())),
        });
    }
    Ok(values)
}
