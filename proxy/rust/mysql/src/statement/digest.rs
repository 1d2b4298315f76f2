//! A statement as it may stand in a log: its words, without its values and comments; and the user variables that it names.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::classify::is_known;
use super::dialect::Dialect;
use super::lexer::{Lexer, Token};
use super::tokens::is;

/// Bytes that a digest has at most, but for the mark that something is missing.
const LONGEST: usize = 200;
/// Stands for a value.
const VALUE: &str = "?";
/// Stands for the rest.
const MORE: &str = "…";

/// What a text says, with each literal, number and parameter replaced, what stands behind PASSWORD and
/// what is SET too. It ends where the server might read otherwise.
pub fn digest(text: &[u8], dialect: Dialect) -> String {
    let mut out = String::new();
    if !is_known(text, &dialect) {
        return MORE.into();
    }
    let mut lexer = Lexer::new(text, dialect);
    let mut hides = Hides::default();
    let mut before = None;
    while let Some(token) = lexer.next() {
        if lexer.unsure() {
            break;
        }
        let hidden = hides.token(token);
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
    if lexer.unsure() && !out.ends_with(MORE) {
        out.push_str(MORE);
    }
    out
}

/// The user variables that a text names, in small letters, of those that can be written again as they are.
pub fn user_variables(text: &[u8], dialect: Dialect) -> BTreeSet<Arc<str>> {
    let mut lexer = Lexer::new(text, dialect);
    let mut names = BTreeSet::new();
    while let Some(token) = lexer.next() {
        let Token::User(name) = token else { continue };
        let is_plain = |byte: &u8| byte.is_ascii_graphic() && !b"`'\"\\".contains(byte);
        if let (false, Ok(name)) = (name.is_empty(), std::str::from_utf8(name)) {
            if name.as_bytes().iter().all(is_plain) {
                names.insert(name.to_ascii_lowercase().into());
            }
        }
    }
    names
}

/// Which tokens are values.
#[derive(Default)]
struct Hides {
    /// Something of the statement was read, and it is a SET.
    begun: bool,
    sets: bool,
    /// Behind its `=`, or IDENTIFIED.
    assigned: bool,
    password: bool,
}

impl Hides {
    fn token(&mut self, token: Token<'_>) -> bool {
        let word: &[u8] = match token {
            Token::Semicolon => {
                *self = Self::default();
                return false;
            }
            Token::Word(word) => word,
            _ => b"",
        };
        let named = matches!(token, Token::Word(_) | Token::Name(_));
        let value = matches!(token, Token::Literal | Token::Parameter);
        let quoted = matches!(token, Token::Name(_)) && self.password;
        let hidden = value || quoted || named && self.assigned && !self.password;
        self.assigned |= self.sets && matches!(token, Token::Equal | Token::Assign);
        self.assigned &= token != Token::Comma;
        self.password |= is(word, &["password", "identified"]);
        self.sets |= !self.begun && is(word, &["set"]);
        self.begun = true;
        hidden
    }
}

/// Whether a space stands between two tokens.
fn apart(before: Token<'_>, token: Token<'_>) -> bool {
    let opens = matches!(before, Token::Open | Token::Dot | Token::System);
    let closes = matches!(
        token,
        Token::Close | Token::Comma | Token::Dot | Token::Semicolon
    );
    let calls = token == Token::Open && matches!(before, Token::Word(_) | Token::Name(_));
    let part = |token| matches!(token, Token::Other | Token::Equal);
    !(opens || closes || calls || part(before) && part(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest_of(text: &str) -> String {
        digest(text.as_bytes(), Dialect::of_version("8.0.31"))
    }

    #[test]
    fn values_and_comments_are_left_out() {
        for (text, shown) in [
            ("SELECT  get_lock( 'a', 17 )", "SELECT get_lock(?, ?)"),
            (
                "/* secret */ create temporary table t as\n select 'secret' as `A b`, ?, \"secret\" -- secret",
                "create temporary table t as select ? as `A b`, ?, ?",
            ),
            ("SELECT a.b <= 1.5e3, x'00', @v, @@session.x", "SELECT a.b <= ?, ?, @v, @@session.x"),
            ("SELECT 'sec\\'ret', _utf8'secret'; LOCK TABLES a READ", "SELECT ?, _utf8 ?; LOCK TABLES a READ"),
            ("SELECT 1 /*!50000 FOR UPDATE */ /*!99999 secret */", "SELECT ? FOR UPDATE"),
            ("", ""),
        ] {
            assert_eq!(digest_of(text), shown);
        }
    }

    #[test]
    fn no_value_is_taken_for_a_name() {
        for (text, shown) in [
            (
                "SET PASSWORD = 'secret'; LOCK TABLES b READ",
                "SET PASSWORD = ?; LOCK TABLES b READ",
            ),
            (
                "CREATE USER a IDENTIFIED BY 'secret'",
                "CREATE USER a IDENTIFIED BY ?",
            ),
            (
                "CREATE USER a IDENTIFIED BY `secret`",
                "CREATE USER a IDENTIFIED BY ?",
            ),
            ("SET a = secret, @b := 'secret'", "SET a = ?, @b := ?"),
        ] {
            assert_eq!(digest_of(text), shown);
        }
    }

    #[test]
    fn it_ends_where_the_server_might_read_otherwise() {
        assert_eq!(digest_of("SELECT 'secret"), "SELECT…");
        assert_eq!(digest_of("SELECT /*!080031 secret */"), "SELECT…");
        assert_eq!(digest(b"SELECT 1", Dialect::of_version("who knows")), "…");
    }

    #[test]
    fn it_is_short() {
        let short = digest_of(&format!("SELECT {}", "name, ".repeat(1000)));
        assert!(short.len() <= LONGEST + MORE.len() && short.ends_with(MORE));
        assert_eq!(digest_of(&format!("USE {}", "x".repeat(1000))), "USE…");
    }
}
