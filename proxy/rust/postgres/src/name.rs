//! `application_name`: what a server makes of the one in a startup packet, and how it is set later.
//!
//! Used by the session, which has each client's name in force on whatever backend it holds.

use crate::params::Params;
use crate::settings::literal;

/// Names are cut to NAMEDATALEN - 1 bytes by every server.
pub(crate) const LONGEST: usize = 63;

/// The first version that shows what isn't printable ASCII as `\xNN`; those before show `?`.
const SHOWS_BYTES: u32 = 16;

/// What the server with these reports makes of a name. It is cut first and cleaned then; since what is
/// set later is cut again, so is that.
pub(crate) fn clean(name: &[u8], params: &Params) -> String {
    let utf8 = params.value("server_encoding") == Some(b"UTF8");
    let shows_bytes = version(params).is_none_or(|version| version >= SHOWS_BYTES);
    let mut clean = String::new();
    for &byte in cut(name, utf8) {
        match byte {
            b' '..=b'~' => clean.push(char::from(byte)),
            _ if shows_bytes => clean.push_str(&format!("\\x{byte:02x}")),
            _ => clean.push('?'),
        }
    }
    clean.truncate(LONGEST);
    clean
}

/// The front of a name that fits. In UTF-8 no character is cut; how long one is its first byte says.
fn cut(name: &[u8], utf8: bool) -> &[u8] {
    let mut end = 0;
    while let Some(first) = name.get(end) {
        let length = match first {
            0xc0..=0xdf if utf8 => 2,
            0xe0..=0xef if utf8 => 3,
            0xf0..=0xf7 if utf8 => 4,
            _ => 1,
        };
        if end + length > LONGEST {
            break;
        }
        end += length;
    }
    name.get(..end).unwrap_or(name)
}

/// The major version.
fn version(params: &Params) -> Option<u32> {
    let version = params.value("server_version")?;
    let digits = version.iter().take_while(|byte| byte.is_ascii_digit());
    let digits: Vec<u8> = digits.copied().collect();
    std::str::from_utf8(&digits).ok()?.parse().ok()
}

/// `SET application_name` to a clean name.
pub(crate) fn set(name: &str) -> String {
    let mut sql = String::from("SET application_name TO ");
    literal(&mut sql, name);
    sql
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(version: &str, encoding: &str) -> Params {
        let mut params = Params::default();
        let reports = [("server_version", version), ("server_encoding", encoding)];
        for (name, value) in reports {
            params.set(name, value.as_bytes()).unwrap();
        }
        params
    }

    #[test]
    fn a_name_is_cleaned_as_its_server_does() {
        for (version, latin, utf8, control) in [
            ("14.9 (Debian 14.9-1)", "Caf?", "Caf??", "a?b"),
            ("15.4", "Caf?", "Caf??", "a?b"),
            ("16.0", r"Caf\xe9", r"Caf\xc3\xa9", r"a\x09b"),
            ("18beta1", r"Caf\xe9", r"Caf\xc3\xa9", r"a\x09b"),
        ] {
            let params = params(version, "UTF8");
            assert_eq!(clean(b"Caf\xe9 ", &params), format!("{latin} "));
            assert_eq!(clean("Caf\u{e9}".as_bytes(), &params), utf8);
            assert_eq!(clean(b"a\tb", &params), control);
        }
    }

    #[test]
    fn a_name_is_cut_before_a_character_that_does_not_fit() {
        let long = format!("{}\u{e9}", "x".repeat(62));
        let cut = |version, encoding| clean(long.as_bytes(), &params(version, encoding)).len();
        assert_eq!(cut("15.4", "UTF8"), 62);
        assert_eq!(cut("15.4", "SQL_ASCII"), 63);
        assert_eq!(clean(&[b'x'; 100], &params("15.4", "UTF8")).len(), 63);
        assert_eq!(clean(&[0xe9; 63], &params("16.0", "LATIN1")).len(), 63);
    }

    #[test]
    fn a_name_is_set_however_the_server_reads_backslashes() {
        let sql = r"SET application_name TO E'o''brien \\'";
        assert_eq!(set(r"o'brien \"), sql);
    }
}
