//! The first packet of a connection: SSLRequest, GSSENCRequest, CancelRequest or StartupMessage.
//!
//! Called by `login` (reads), and by `backend_login` and what cancels (write, and read the answer to
//! an SSLRequest).

use dbproxy_engine::{CancelKey, CancelSecret, Identity, Reader, Short};

use crate::message::build;
use crate::name;

/// PostgreSQL's own limit, which leaves out the length word.
const LONGEST: usize = 10_000 + 4;
const SHORTEST: usize = 8;

/// What databases are spoken to in: it says all that we want, and everything understands it.
pub(crate) const PROTOCOL_3_0: u32 = 0x0003_0000;
/// The newest that clients may speak: its cancel keys may be long, nothing else is new.
pub(crate) const PROTOCOL_3_2: u32 = 0x0003_0002;
/// Of a cancel key's secret half, as PostgreSQL takes it.
const LONGEST_SECRET: usize = 256;
const CANCEL_REQUEST: u32 = 80_877_102;
const SSL_REQUEST: u32 = 80_877_103;
const GSSENC_REQUEST: u32 = 80_877_104;

/// What a first packet asks for.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum First<'a> {
    NeedMore,
    /// Not a first packet at all.
    Malformed,
    SslRequest,
    GssEncRequest,
    CancelRequest(CancelKey),
    /// A StartupMessage; its parameters are not read yet.
    Startup {
        version: u32,
        parameters: &'a [u8],
    },
}

/// Reads the packet; answers how long it is, too.
pub(crate) fn first(input: &[u8]) -> (usize, First<'_>) {
    read_first(input).unwrap_or((0, First::NeedMore))
}

fn read_first(input: &[u8]) -> Result<(usize, First<'_>), Short> {
    let mut reader = Reader::new(input);
    let length = reader.u32()? as usize;
    if !(SHORTEST..=LONGEST).contains(&length) {
        return Ok((0, First::Malformed));
    }
    let mut packet = Reader::new(reader.take(length - 4)?);
    let code = packet.u32()?;
    let first = match (code, length) {
        (SSL_REQUEST, 8) => First::SslRequest,
        (GSSENC_REQUEST, 8) => First::GssEncRequest,
        (CANCEL_REQUEST, 13..) if length <= 12 + LONGEST_SECRET => {
            First::CancelRequest(CancelKey {
                id: packet.u32()?,
                secret: CancelSecret::shown(packet.rest()),
            })
        }
        (SSL_REQUEST | GSSENC_REQUEST | CANCEL_REQUEST, _) => First::Malformed,
        _ => First::Startup {
            version: code,
            parameters: packet.rest(),
        },
    };
    Ok((length, first))
}

/// What a StartupMessage says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Startup {
    pub identity: Identity,
    /// In bytes as it came, if it is there.
    pub application_name: Option<Vec<u8>>,
}

/// Why a StartupMessage can't be served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unusable {
    Malformed,
    NotUtf8,
    NoUser,
    Replication,
}

/// Reads the parameters.
pub(crate) fn parse(parameters: &[u8]) -> Result<Startup, Unusable> {
    let (mut user, mut database, mut application_name) = ("", "", None);
    let mut settings: Vec<(&str, &str)> = Vec::new();
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| Unusable::NotUtf8);
    for (name, value) in pairs(parameters)? {
        if name.starts_with(PROTOCOL_OPTION) {
            continue;
        }
        if name == b"application_name" {
            application_name = Some(value.to_vec());
            continue;
        }
        let (name, value) = (text(name)?, text(value)?);
        match name {
            "user" => user = value,
            "database" => database = value,
            "replication" if wants_replication(value) => return Err(Unusable::Replication),
            "replication" => {}
            _ => {
                settings.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
                settings.push((name, value));
            }
        }
    }
    if user.is_empty() {
        return Err(Unusable::NoUser);
    }
    let database = if database.is_empty() { user } else { database };
    settings.sort_unstable();
    Ok(Startup {
        identity: Identity {
            user: cut(user).into(),
            database: cut(database).into(),
            settings: settings
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            traces: [].into(),
        },
        application_name,
    })
}

/// What every option of the protocol itself begins with; we know none.
const PROTOCOL_OPTION: &[u8] = b"_pq_.";

/// The protocol options among the parameters.
pub(crate) fn protocol_options(parameters: &[u8]) -> Result<Vec<&[u8]>, Unusable> {
    let names = pairs(parameters)?.into_iter().map(|(name, _)| name);
    Ok(names
        .filter(|name| name.starts_with(PROTOCOL_OPTION))
        .collect())
}

/// Name and value, in bytes.
type Pair<'a> = (&'a [u8], &'a [u8]);

fn pairs(parameters: &[u8]) -> Result<Vec<Pair<'_>>, Unusable> {
    let mut reader = Reader::new(parameters);
    let mut found = Vec::new();
    loop {
        let name = reader.cstr().map_err(|_| Unusable::Malformed)?;
        if name.is_empty() {
            break;
        }
        let value = reader.cstr().map_err(|_| Unusable::Malformed)?;
        found.push((name, value));
    }
    if reader.is_empty() {
        Ok(found)
    } else {
        Err(Unusable::Malformed)
    }
}

/// Anything but a clear no: `database`, any way to say true, and values that only a server judges.
fn wants_replication(value: &str) -> bool {
    let no = [
        "false", "off", "no", "0", "f", "n", "of", "fa", "fal", "fals",
    ];
    !no.iter().any(|word| value.eq_ignore_ascii_case(word))
}

fn cut(name: &str) -> &str {
    let mut end = name::LONGEST.min(name.len());
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.get(..end).unwrap_or_default()
}

/// What a server answers to an SSLRequest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SslAnswer {
    NeedMore,
    Granted,
    Refused,
    /// Granted, but with more behind it than the one byte: nobody knows who wrote that.
    Stuffed,
    /// No answer to that question.
    Unexpected,
}

/// Reads the answer to an SSLRequest, one byte.
pub(crate) fn ssl_answer(input: &[u8]) -> SslAnswer {
    match input {
        [] => SslAnswer::NeedMore,
        [b'S'] => SslAnswer::Granted,
        [b'N'] => SslAnswer::Refused,
        [b'S', ..] => SslAnswer::Stuffed,
        _ => SslAnswer::Unexpected,
    }
}

/// Appends an SSLRequest.
pub(crate) fn write_ssl_request(out: &mut Vec<u8>) {
    build::unframed(out, |body| {
        body.extend_from_slice(&SSL_REQUEST.to_be_bytes())
    });
}

/// Appends a CancelRequest.
pub(crate) fn write_cancel_request(out: &mut Vec<u8>, id: u32, secret: &[u8]) {
    build::unframed(out, |body| {
        body.extend_from_slice(&CANCEL_REQUEST.to_be_bytes());
        body.extend_from_slice(&id.to_be_bytes());
        body.extend_from_slice(secret);
    });
}

/// Appends a StartupMessage.
pub(crate) fn write_startup(out: &mut Vec<u8>, identity: &Identity) {
    build::unframed(out, |body| {
        body.extend_from_slice(&PROTOCOL_3_0.to_be_bytes());
        let own = [("user", &*identity.user), ("database", &*identity.database)];
        let settings = identity.settings.iter();
        let settings = settings.map(|(name, value)| (&**name, &**value));
        for (name, value) in own.into_iter().chain(settings) {
            build::text(body, name.as_bytes());
            build::text(body, value.as_bytes());
        }
        body.push(0);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(pairs: &[(&str, &str)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, value) in pairs {
            out.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
        }
        out.push(0);
        out
    }

    #[test]
    fn the_database_is_the_user_unless_said() {
        let startup = parse(&parameters(&[("user", "app")])).unwrap();
        assert_eq!(&*startup.identity.database, "app");
        assert_eq!(startup.application_name, None);
    }

    #[test]
    fn settings_are_sorted_and_the_last_of_a_name_wins() {
        let startup = parse(&parameters(&[
            ("user", "app"),
            ("search_path", "a"),
            ("DateStyle", "ISO"),
            ("options", "-c geqo=off"),
            ("SEARCH_PATH", "b"),
            ("application_name", "caf\u{e9}"),
        ]))
        .unwrap();
        let settings: Vec<_> = startup
            .identity
            .settings
            .iter()
            .map(|(n, v)| (&**n, &**v))
            .collect();
        assert_eq!(
            settings,
            [
                ("DateStyle", "ISO"),
                ("SEARCH_PATH", "b"),
                ("options", "-c geqo=off")
            ]
        );
        let name = startup.application_name.unwrap();
        assert_eq!(name, "caf\u{e9}".as_bytes());
    }

    #[test]
    fn what_cannot_be_served_is_told_apart() {
        assert_eq!(
            parse(&parameters(&[("database", "x")])),
            Err(Unusable::NoUser)
        );
        for value in ["true", "database", "1", "on", "yes"] {
            let bytes = parameters(&[("user", "u"), ("replication", value)]);
            assert_eq!(parse(&bytes), Err(Unusable::Replication));
        }
        assert!(parse(&parameters(&[("user", "u"), ("replication", "off")])).is_ok());
        assert_eq!(parse(b"user\0u\0"), Err(Unusable::Malformed));
        assert_eq!(parse(b"user\0u\0\0x"), Err(Unusable::Malformed));
        assert_eq!(parse(b"user\0\xff\0\0"), Err(Unusable::NotUtf8));
        let named = parse(b"user\0u\0application_name\0caf\xe9\0\0").unwrap();
        assert_eq!(named.application_name.as_deref(), Some(&b"caf\xe9"[..]));
    }

    #[test]
    fn first_packets_have_their_lengths_checked() {
        assert_eq!(first(b"\0\0\0").1, First::NeedMore);
        assert_eq!(first(b"\0\0\0\x08\x04\xd2\x16\x2f").1, First::SslRequest);
        assert_eq!(first(b"\0\0\0\x09\x04\xd2\x16\x2fx").1, First::Malformed);
        assert_eq!(first(b"\0\0\0\x07").1, First::Malformed);
        assert_eq!(first(b"GET / HTTP/1.1").1, First::Malformed);
        assert_eq!(first(&10_004u32.to_be_bytes()).1, First::NeedMore);
        assert_eq!(first(&10_005u32.to_be_bytes()).1, First::Malformed);
        for (secret, taken) in [(0, false), (1, true), (4, true), (256, true), (257, false)] {
            let mut cancel = Vec::new();
            write_cancel_request(&mut cancel, 5, &vec![6; secret]);
            let read = first(&cancel).1;
            assert_eq!(matches!(read, First::CancelRequest(_)), taken, "{secret}");
        }
    }

    #[test]
    fn what_we_write_we_read() {
        let identity = parse(&parameters(&[("user", "u"), ("database", "d"), ("x", "y")]))
            .unwrap()
            .identity;
        let mut out = Vec::new();
        write_startup(&mut out, &identity);
        let (length, read) = first(&out);
        assert_eq!(length, out.len());
        let First::Startup {
            version: PROTOCOL_3_0,
            parameters,
        } = read
        else {
            panic!("{read:?}")
        };
        assert_eq!(parse(parameters).unwrap().identity, identity);
    }
}
