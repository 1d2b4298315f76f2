//! A statement as it may stand in a log: its words, without its values and comments.

use super::classify::Dialect;
use super::lexer::{Lexer, Token};

/// Bytes that a digest has at most, but for the mark that something is missing.
const LONGEST: usize = 200;
/// Stands for a value.
const VALUE: &str = "?";
/// Stands for the rest.
const MORE: &str = "…";

/// What a text says, with each literal, number and parameter replaced, what stands behind PASSWORD and
/// what is SET too. It ends where the server might read otherwise.
pub(crate) fn digest(text: &[u8], dialect: Dialect) -> String {
    let mut out = String::new();
    if !dialect.ascii_safe && !text.is_ascii() {
        return MORE.into();
    }
    let mut lexer = Lexer::new(text, dialect.literal_backslashes);
    let mut hides = Hides::default();
    let mut before = None;
    while let Some(token) = lexer.next() {
        if lexer.unsure() {
            out.push_str(MORE);
            break;
        }
        let hidden = hides.token(token, lexer.taken());
        let taken = String::from_utf8_lossy(lexer.taken());
        let shown = if hidden { VALUE } else { &taken };
        if out.len() + 1 + shown.len() > LONGEST {
            out.push_str(MORE);
            break;
        }
        if before.is_some_and(|before| apart(before, token)) {
            out.push(' ');
        }
        out.push_str(shown);
        before = Some(token);
    }
    out
}

/// Which tokens are values.
#[derive(Default)]
struct Hides {
    /// Something of the statement was read, and it is a SET.
    begun: bool,
    sets: bool,
    /// Behind its `=` or TO.
    assigned: bool,
    password: bool,
}

impl Hides {
    fn token(&mut self, token: Token<'_>, taken: &[u8]) -> bool {
        if token == Token::Semicolon {
            *self = Self::default();
            return false;
        }
        let is = |word: &[u8]| taken.eq_ignore_ascii_case(word);
        let named = matches!(token, Token::Word(_) | Token::Quoted(_));
        let hidden = token == Token::Literal || named && (self.password || self.assigned);
        self.password = is(b"password");
        self.assigned |= self.sets && (is(b"=") || is(b"to"));
        self.sets |= !self.begun && is(b"set");
        self.begun = true;
        hidden
    }
}

/// Whether a space stands between two tokens.
fn apart(before: Token<'_>, token: Token<'_>) -> bool {
    let opens = matches!(before, Token::Open | Token::Dot | Token::Cast);
    let closes = matches!(
        token,
        Token::Close | Token::Comma | Token::Dot | Token::Semicolon | Token::Cast
    );
    let calls = token == Token::Open && matches!(before, Token::Word(_) | Token::Quoted(_));
    let joined = before == Token::Other && token == Token::Other;
    !(opens || closes || calls || joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Dialect = Dialect {
        literal_backslashes: true,
        ascii_safe: true,
    };

    #[test]
    fn values_and_comments_are_left_out() {
        for (text, shown) in [
            ("SELECT  pg_advisory_lock( 17 )", "SELECT pg_advisory_lock(?)"),
            (
                "/* secret */ create temp table t as\n select 'secret' as \"A b\", $1::int -- secret",
                "create temp table t as select ? as \"A b\", ?::int",
            ),
            ("SELECT a.b <= 1.5e3, $x$secret$x$", "SELECT a.b <= ?, ?"),
            ("SELECT E'sec\\'ret', x'00'; LISTEN a", "SELECT ?, ?; LISTEN a"),
            ("", ""),
        ] {
            assert_eq!(digest(text.as_bytes(), PLAIN), shown);
        }
    }

    #[test]
    fn no_value_is_taken_for_a_name() {
        for (text, shown) in [
            (
                "ALTER ROLE a PASSWORD 'secret'; LISTEN b",
                "ALTER ROLE a PASSWORD ?; LISTEN b",
            ),
            ("ALTER ROLE a PASSWORD secret", "ALTER ROLE a PASSWORD ?"),
            (
                "CREATE ROLE a PASSWORD \"secret\"",
                "CREATE ROLE a PASSWORD ?",
            ),
            ("SET my.key = secret, secret", "SET my.key = ?, ?"),
            (
                "set my.key to secret; LISTEN a",
                "set my.key to ?; LISTEN a",
            ),
        ] {
            assert_eq!(digest(text.as_bytes(), PLAIN), shown);
        }
    }

    #[test]
    fn it_ends_where_the_server_might_read_otherwise() {
        let escapes = Dialect {
            literal_backslashes: false,
            ..PLAIN
        };
        let unclear = digest(b"SELECT 'a\\', secret, '", escapes);
        assert_eq!(unclear, "SELECT…");
        assert_eq!(digest(b"SELECT 'secret", PLAIN), "SELECT…");
        let encoded = Dialect {
            ascii_safe: false,
            ..PLAIN
        };
        assert_eq!(digest("SELECT '\u{e4}'".as_bytes(), encoded), "…");
    }

    #[test]
    fn it_is_short() {
        let text = format!("SELECT {}", "name, ".repeat(1000));
        let short = digest(text.as_bytes(), PLAIN);
        assert!(short.len() <= LONGEST + MORE.len() && short.ends_with(MORE));
        let name = format!("LISTEN {}", "x".repeat(1000));
        assert_eq!(digest(name.as_bytes(), PLAIN), "LISTEN…");
    }
}
