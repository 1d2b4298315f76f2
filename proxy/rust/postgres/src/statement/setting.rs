//! Reads SET, RESET, savepoints and `SELECT set_config(…)` for what they do to settings.
//!
//! The grammar is that of `gram.y` (SET, RESET, TransactionStmt). Whatever isn't read for certain has
//! no acts, and the classifier pins. What is wrong in a way that the server refuses may be read as
//! anything: it counts only when the server says that it is done.

use super::act::{trackable, Act, Argument, Value};
use super::lexer::{Lexer, Token};
use super::tokens::Tokens;

/// What a SET does; the lexer stands behind the word.
pub(super) fn set(lexer: &Lexer<'_>) -> Option<Vec<Act>> {
    let mut tokens = Tokens::of(lexer);
    let mut local = false;
    let ahead = {
        let mut ahead = tokens.lexer.clone();
        matches!(ahead.next(), Some(Token::Word(word)) if !word.eq_ignore_ascii_case(b"to"))
            || matches!(tokens.lexer.clone().next(), Some(Token::Quoted(_)))
    };
    if ahead && (tokens.is(b"local") || tokens.is(b"session")) {
        local = tokens.is(b"local");
        let session = !local;
        tokens.step();
        if session && tokens.word(b"characteristics") {
            tokens.words(&[b"as", b"transaction"])?;
            return characteristics(&mut tokens);
        }
        if session && tokens.word(b"authorization") {
            return named(&mut tokens, "session_authorization", false);
        }
    }
    if tokens.is(b"transaction") || tokens.is(b"constraints") {
        let mut ahead = tokens.lexer.clone();
        if matches!(ahead.next(), Some(Token::Word(_) | Token::Quoted(_))) {
            return Some(Vec::new());
        }
    }
    let setting = tokens.setting()?;
    match &*setting {
        "session" if tokens.word(b"authorization") => {
            return named(&mut tokens, "session_authorization", local);
        }
        "role" if !tokens.is(b"to") && tokens.next != Some(Token::Other) => {
            return named(&mut tokens, "role", local);
        }
        "time" if tokens.word(b"zone") => return zone(&mut tokens, local),
        "names" if !tokens.is(b"to") && tokens.next != Some(Token::Other) => {
            return match tokens.end() {
                true => Some(vec![reset_of("client_encoding", local)?]),
                false => named(&mut tokens, "client_encoding", local),
            };
        }
        "schema" if tokens.next == Some(Token::Literal) => {
            return named(&mut tokens, "search_path", local);
        }
        "xml" if tokens.word(b"option") => return named(&mut tokens, "xmloption", local),
        _ => {}
    }
    if !tokens.word(b"to") && !tokens.symbol(b'=') {
        return None;
    }
    if of_the_transaction(&setting) {
        return Some(Vec::new());
    }
    named(&mut tokens, &setting, local)
}

/// What ends with the transaction by itself; `transaction_timeout` is a setting like others.
fn of_the_transaction(setting: &str) -> bool {
    matches!(
        setting,
        "transaction_deferrable" | "transaction_isolation" | "transaction_read_only"
    )
}

/// The values of a setting, up to the end of the statement.
fn named(tokens: &mut Tokens<'_>, setting: &str, local: bool) -> Option<Vec<Act>> {
    let name = trackable(setting)?;
    if tokens.word(b"default") {
        return tokens
            .end()
            .then(|| reset_of(setting, local).into_iter().collect());
    }
    let mut items = vec![tokens.item()?];
    while tokens.token(Token::Comma) {
        items.push(tokens.item()?);
    }
    let act = match local {
        true => Act::Local(name),
        false => Act::Set(name, Value::Items(items.into())),
    };
    tokens.end().then(|| vec![act])
}

fn reset_of(setting: &str, local: bool) -> Option<Act> {
    let name = trackable(setting)?;
    Some(match local {
        true => Act::Local(name),
        false => Act::Reset(name),
    })
}

/// `SET TIME ZONE`. What becomes of it, the server reports.
fn zone(tokens: &mut Tokens<'_>, local: bool) -> Option<Vec<Act>> {
    let name = trackable("timezone")?;
    Some(vec![
        match (local, tokens.is(b"local") || tokens.is(b"default")) {
            (true, _) => Act::Local(name),
            (false, true) => Act::Reset(name),
            (false, false) => Act::Set(name, Value::Reported),
        },
    ])
}

/// `SET SESSION CHARACTERISTICS AS TRANSACTION`.
fn characteristics(tokens: &mut Tokens<'_>) -> Option<Vec<Act>> {
    let mut acts = Vec::new();
    while !tokens.end() {
        let (name, value) = if tokens.word(b"isolation") {
            tokens.words(&[b"level"])?;
            ("isolation", isolation(tokens)?)
        } else if tokens.word(b"read") {
            match tokens.word(b"only") {
                true => ("read_only", "on"),
                false => tokens.words(&[b"write"]).map(|()| ("read_only", "off"))?,
            }
        } else if tokens.word(b"not") {
            tokens.words(&[b"deferrable"])?;
            ("deferrable", "off")
        } else {
            tokens.words(&[b"deferrable"])?;
            ("deferrable", "on")
        };
        let name = trackable(&format!("default_transaction_{name}"))?;
        acts.push(Act::Set(name, Value::Items([value.into()].into())));
        tokens.token(Token::Comma);
    }
    (!acts.is_empty()).then_some(acts)
}

fn isolation(tokens: &mut Tokens<'_>) -> Option<&'static str> {
    if tokens.word(b"serializable") {
        Some("serializable")
    } else if tokens.word(b"repeatable") {
        tokens.words(&[b"read"]).map(|()| "repeatable read")
    } else {
        tokens.words(&[b"read"])?;
        match tokens.word(b"committed") {
            true => Some("read committed"),
            false => tokens.words(&[b"uncommitted"]).map(|()| "read uncommitted"),
        }
    }
}

/// What a RESET does; the lexer stands behind the word.
pub(super) fn reset(lexer: &Lexer<'_>) -> Option<Vec<Act>> {
    let mut tokens = Tokens::of(lexer);
    if tokens.word(b"all") {
        return tokens.end().then(|| vec![Act::ResetAll]);
    }
    let setting = tokens.setting()?;
    let setting = match &*setting {
        "session" if tokens.word(b"authorization") => "session_authorization",
        "time" if tokens.word(b"zone") => "timezone",
        "transaction" if tokens.word(b"isolation") => return Some(Vec::new()),
        _ => &setting,
    };
    if of_the_transaction(setting) {
        return Some(Vec::new());
    }
    let act = reset_of(setting, false)?;
    tokens.end().then(|| vec![act])
}

/// The savepoint that a `SAVEPOINT`, `RELEASE` or `ROLLBACK TO` names; the lexer stands behind the first
/// word.
pub(super) fn savepoint(lexer: &Lexer<'_>) -> Option<Box<str>> {
    let mut tokens = Tokens::of(lexer);
    let _ = tokens.word(b"work") || tokens.word(b"transaction");
    tokens.word(b"to");
    if tokens.is(b"savepoint") {
        let mut ahead = tokens.lexer.clone();
        if matches!(ahead.next(), Some(Token::Word(_) | Token::Quoted(_))) {
            tokens.step();
        }
    }
    let name = tokens.name()?;
    tokens.end().then(|| name.into())
}

/// What a SELECT does that calls `set_config` and nothing else; the lexer stands behind the word.
pub(super) fn configured(lexer: &Lexer<'_>) -> Option<Vec<Act>> {
    let mut tokens = Tokens::of(lexer);
    let mut acts = Vec::new();
    loop {
        let catalog = tokens.word(b"pg_catalog");
        if catalog && !tokens.token(Token::Dot) {
            return None;
        }
        if !tokens.word(b"set_config") || !tokens.token(Token::Open) {
            return None;
        }
        acts.push(call(&mut tokens, catalog)?);
        if tokens.word(b"as") {
            tokens.name()?;
        }
        if tokens.end() {
            return Some(acts);
        }
        if !tokens.token(Token::Comma) {
            return None;
        }
    }
}

/// The arguments of one `set_config`, behind its parenthesis. Without its schema it is PostgreSQL's own
/// only for a truth value: one of somebody's may take a text.
fn call(tokens: &mut Tokens<'_>, catalog: bool) -> Option<Act> {
    let name = argument(tokens)?;
    tokens.token(Token::Comma).then_some(())?;
    let value = argument(tokens)?;
    tokens.token(Token::Comma).then_some(())?;
    if !catalog && !tokens.is(b"true") && !tokens.is(b"false") {
        return None;
    }
    let local = argument(tokens)?;
    tokens.token(Token::Close).then_some(())?;
    let given = |one: &Argument| matches!(one, Argument::Parameter(_));
    if [&name, &value, &local].into_iter().any(given) {
        return Some(Act::Config(Box::new([name, value, local])));
    }
    Act::configures(&name, &value, &local)
}

fn argument(tokens: &mut Tokens<'_>) -> Option<Argument> {
    let taken = tokens.lexer.taken();
    let argument = match tokens.next? {
        Token::Word(word) if word.eq_ignore_ascii_case(b"null") => Argument::Null,
        Token::Word(word) if word.eq_ignore_ascii_case(b"true") => Argument::Text("true".into()),
        Token::Word(word) if word.eq_ignore_ascii_case(b"false") => Argument::Text("false".into()),
        Token::Literal if taken.starts_with(b"$") => {
            let number = std::str::from_utf8(taken.get(1..)?).ok()?;
            Argument::Parameter(number.parse::<usize>().ok()?.checked_sub(1)?)
        }
        Token::Literal => {
            let text = tokens.text()?;
            return cast(tokens, Argument::Text(text.into()));
        }
        _ => return None,
    };
    tokens.step();
    match argument {
        // Its text is made from a value of any type.
        Argument::Parameter(_) => Some(argument),
        _ => cast(tokens, argument),
    }
}

/// Behind an argument a cast may stand that changes nothing.
fn cast(tokens: &mut Tokens<'_>, argument: Argument) -> Option<Argument> {
    if !tokens.token(Token::Cast) {
        return Some(argument);
    }
    let types: [&[u8]; 4] = [b"text", b"varchar", b"bool", b"boolean"];
    types
        .iter()
        .any(|name| tokens.word(name))
        .then_some(argument)
}

#[cfg(test)]
#[path = "setting_tests.rs"]
mod tests;
