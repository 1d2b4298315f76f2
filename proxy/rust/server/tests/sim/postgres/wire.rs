//! PostgreSQL messages as the model database and the scripted clients write and read them: their
//! own code, so that a fault in the engine's isn't mirrored here.

use md5::{Digest, Md5};

/// A message of a type.
pub fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    bytes.extend((body.len() as u32 + 4).to_be_bytes());
    bytes.extend(body);
    bytes
}

/// Texts that end with NUL, one after another.
pub fn texts(texts: &[&str]) -> Vec<u8> {
    let ended = texts.iter().flat_map(|text| text.bytes().chain([0]));
    ended.collect()
}

/// A startup packet.
pub fn startup(user: &str, database: &str) -> Vec<u8> {
    let name = "application_name";
    let mut body = 196_608u32.to_be_bytes().to_vec();
    body.extend(texts(&[
        "user", user, "database", database, name, "sim", "",
    ]));
    let mut bytes = (body.len() as u32 + 4).to_be_bytes().to_vec();
    bytes.extend(body);
    bytes
}

/// A cancel request.
pub fn cancel(pid: u32, secret: u32) -> Vec<u8> {
    let numbers = [16, 80_877_102, pid, secret];
    numbers.iter().flat_map(|n: &u32| n.to_be_bytes()).collect()
}

pub fn query(sql: &str) -> Vec<u8> {
    message(b'Q', &texts(&[sql]))
}

pub fn parse(name: &str, sql: &str) -> Vec<u8> {
    let mut body = texts(&[name, sql]);
    body.extend([0, 0]);
    message(b'P', &body)
}

/// Binds the unnamed portal, with one text parameter or none.
pub fn bind(name: &str, parameter: Option<&str>) -> Vec<u8> {
    let mut body = texts(&["", name]);
    body.extend([0, 0]);
    match parameter {
        Some(text) => {
            body.extend([0, 1]);
            body.extend((text.len() as u32).to_be_bytes());
            body.extend(text.bytes());
        }
        None => body.extend([0, 0]),
    }
    body.extend([0, 0]);
    message(b'B', &body)
}

/// Of a statement.
pub fn close(name: &str) -> Vec<u8> {
    message(b'C', &[b"S", name.as_bytes(), b"\0"].concat())
}

pub fn describe_portal() -> Vec<u8> {
    message(b'D', b"P\0")
}

pub fn execute() -> Vec<u8> {
    message(b'E', &[0, 0, 0, 0, 0])
}

pub fn sync() -> Vec<u8> {
    message(b'S', &[])
}

pub fn ready(status: u8) -> Vec<u8> {
    message(b'Z', &[status])
}

pub fn error(severity: &str, code: &str, text: &str) -> Vec<u8> {
    let fields = [
        format!("S{severity}"),
        format!("V{severity}"),
        format!("C{code}"),
        format!("M{text}"),
        String::new(),
    ];
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    message(b'E', &texts(&fields))
}

/// A column description and rows of text.
pub fn row_description(columns: &[&str]) -> Vec<u8> {
    let mut body = (columns.len() as u16).to_be_bytes().to_vec();
    for column in columns {
        body.extend(texts(&[column]));
        body.extend([
            0, 0, 0, 0, 0, 0, 0, 0, 0, 25, 255, 255, 255, 255, 255, 255, 0, 0,
        ]);
    }
    message(b'T', &body)
}

pub fn data_row(values: &[&str]) -> Vec<u8> {
    let mut body = (values.len() as u16).to_be_bytes().to_vec();
    for value in values {
        body.extend((value.len() as u32).to_be_bytes());
        body.extend(value.bytes());
    }
    message(b'D', &body)
}

/// A row's values, back again.
pub fn values(row: &[u8]) -> Vec<String> {
    let mut values = Vec::new();
    let mut rest = row.get(7..).unwrap_or_default();
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let (value, tail) = tail.split_at(u32::from_be_bytes(*length) as usize);
        values.push(String::from_utf8_lossy(value).into_owned());
        rest = tail;
    }
    values
}

/// An error's SQLSTATE and text.
pub fn error_fields(error: &[u8]) -> (String, String) {
    let mut found = (String::new(), String::new());
    for field in error.get(5..).unwrap_or_default().split(|byte| *byte == 0) {
        let text = String::from_utf8_lossy(field.get(1..).unwrap_or_default()).into_owned();
        match field.first() {
            Some(b'C') => found.0 = text,
            Some(b'M') => found.1 = text,
            _ => {}
        }
    }
    found
}

/// Takes the first whole typed message off a buffer.
pub fn take_message(buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length: [u8; 4] = buffer.get(1..5)?.try_into().ok()?;
    let whole = 1 + u32::from_be_bytes(length) as usize;
    (buffer.len() >= whole).then(|| buffer.drain(..whole).collect())
}

/// Takes a startup-like packet (without a type) off a buffer.
pub fn take_packet(buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length: [u8; 4] = buffer.get(..4)?.try_into().ok()?;
    let whole = u32::from_be_bytes(length) as usize;
    (buffer.len() >= whole).then(|| buffer.drain(..whole).collect())
}

/// A setting of a startup packet.
pub fn startup_setting(packet: &[u8], name: &str) -> Option<String> {
    let settings = String::from_utf8_lossy(packet.get(8..)?).into_owned();
    let mut words = settings.split('\0');
    while let (Some(key), Some(value)) = (words.next(), words.next()) {
        if key == name {
            return Some(value.to_owned());
        }
    }
    None
}

/// The NUL-ended text at the start of some bytes.
pub fn text_at(bytes: &[u8]) -> &str {
    let end = bytes.iter().position(|byte| *byte == 0);
    std::str::from_utf8(&bytes[..end.unwrap_or(bytes.len())]).unwrap_or("?")
}

/// The answer to an MD5 challenge.
pub fn md5_answer(user: &str, password: &str, salt: &[u8]) -> String {
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
    let inner = hex(&Md5::digest(format!("{password}{user}")));
    let outer = hex(&Md5::digest([inner.as_bytes(), salt].concat()));
    format!("md5{outer}")
}

/// A message as the trace shows it.
pub fn readable(message: &[u8]) -> String {
    let kind = char::from(message[0]);
    let body = String::from_utf8_lossy(message.get(5..).unwrap_or_default());
    let printable = |c: &char| c.is_ascii_graphic() || *c == ' ';
    let text: String = body.chars().filter(printable).take(80).collect();
    format!("{kind} {text}")
}
