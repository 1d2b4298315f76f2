//! Prepared statements: what a server says of one, and messages with the names in them.

use super::*;

/// ParameterDescription, and RowDescription with those columns or NoData.
pub fn described(types: &[u32], columns: &[&str]) -> Vec<u8> {
    let mut body = (types.len() as u16).to_be_bytes().to_vec();
    body.extend(types.iter().flat_map(|one| one.to_be_bytes()));
    let mut out = message(b't', &body);
    if columns.is_empty() {
        out.extend(bare(b'n'));
        return out;
    }
    let mut body = (columns.len() as u16).to_be_bytes().to_vec();
    for name in columns {
        body.extend_from_slice(name.as_bytes());
        body.extend_from_slice(&[0; 19]);
    }
    out.extend(message(b'T', &body));
    out
}

/// The answer to a Parse and to the Describe of ours behind it.
pub fn parsed(types: &[u32], columns: &[&str]) -> Vec<u8> {
    concat(&[bare(b'1'), described(types, columns)])
}

/// The same, behind that to whatever is closed first.
pub fn parsed_many(sent: &[u8]) -> Vec<u8> {
    let closes = named(sent).matches("C:S:dbproxy:").count();
    concat(&[bare(b'3').repeat(closes), parsed(&[], &["a"])])
}

/// A text that means the same under all settings.
const ONE: &str = "SELECT 1";

/// One of which settings say what it means.
pub const DATE: &str = "SELECT '01/02/2020'::date";

/// A client that has `s1`, which is `SELECT 1`, and let its backend go.
pub fn prepared() -> Bench {
    prepared_with(&[], &["a"])
}

/// The same, whose statement is a date.
pub fn dated() -> Bench {
    prepared_on(Bench::new(), DATE, &[], &["a"])
}

/// The same of a client with that key.
pub fn dated_by(id: u32) -> Bench {
    prepared_on(Bench::named("", id), DATE, &[], &["a"])
}

/// The answers to so many statements around a Parse.
pub fn aside(count: usize) -> Vec<u8> {
    let closed = bare(b'3').repeat(2);
    let one = concat(&[closed.clone(), bare(b'1'), bare(b'2'), complete("SET")]);
    concat(&[one.repeat(count), closed])
}

/// The same of a client with that key.
pub fn prepared_by(id: u32) -> Bench {
    prepared_on(Bench::named("", id), ONE, &[], &["a"])
}

pub fn prepared_with(types: &[u32], columns: &[&str]) -> Bench {
    prepared_on(Bench::new(), ONE, types, columns)
}

fn prepared_on(mut bench: Bench, text: &str, types: &[u32], columns: &[&str]) -> Bench {
    bench.client(&concat(&[parse("s1", text), sync()]));
    bench.server(&concat(&[parsed(types, columns), ready(b'I')]));
    bench.told();
    bench
}

pub fn error_saying(code: &str, text: &str) -> Vec<u8> {
    let fields = format!("SERROR\0VERROR\0C{code}\0M{text}\0Fx.c\0\0");
    message(b'E', fields.as_bytes())
}

/// Whether the client was told that.
pub fn says(bench: &Bench, text: &str) -> bool {
    let told = String::from_utf8_lossy(&bench.to_client);
    told.contains(text)
}

/// What went to the server behind that.
pub fn tail(bench: &Bench, head: &str) -> String {
    let all = named(&bench.to_server);
    let at = all.find(head).map_or(0, |at| at + head.len());
    all[at..].to_owned()
}

/// The messages with the names in them.
pub fn named(mut bytes: &[u8]) -> String {
    let mut out = Vec::new();
    while bytes.len() >= 5 {
        let length = u32::from_be_bytes(bytes[1..5].try_into().unwrap()) as usize;
        let Some(body) = bytes.get(5..length + 1) else {
            break;
        };
        let texts: Vec<_> = body.split(|byte| *byte == 0).collect();
        let text = |at: usize| String::from_utf8_lossy(texts[at]).into_owned();
        out.push(match bytes[0] {
            b'B' => format!("B:{}:{}", text(0), text(1)),
            tag @ (b'C' | b'D') => {
                let text = text(0);
                format!("{}:{}:{}", tag as char, &text[..1], &text[1..])
            }
            tag @ (b'P' | b'Q' | b'E') => format!("{}:{}", tag as char, text(0)),
            tag => (tag as char).to_string(),
        });
        bytes = &bytes[length + 1..];
    }
    out.join(" ")
}
