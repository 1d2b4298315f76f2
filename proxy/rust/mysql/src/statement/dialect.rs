//! How the server reads a text: which of the two it is, its version, and what the session has set.

use crate::params::{Kind, Server};

/// What `character_set_client` means for a text's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Charset {
    /// UTF-8, of three bytes or four.
    Utf8,
    /// Bytes below 0x80 are always ASCII characters.
    Ascii,
    /// A quote or a backslash may be a character's second byte: `gbk`, `sjis`, `cp932`, `big5`, `gb18030`.
    Mixed,
    /// Nothing is known: `swe7`, which has letters for `[` and `\`, and what isn't listed.
    Unknown,
}

/// All of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dialect {
    /// `None`: it may be any.
    pub server: Option<Server>,
    /// That of the session.
    pub charset: Charset,
    /// `"` quotes names.
    pub ansi_quotes: bool,
    /// A backslash is a character like any other.
    pub no_backslash_escapes: bool,
    /// MariaDB's `ORACLE` and `MSSQL`, which have another grammar.
    pub other_grammar: bool,
    /// What stands behind a `;` is another statement, and not an error.
    pub multi_statements: bool,
}

/// Of servers before this, and of numbers that are none, nothing is known.
const OLDEST: u32 = 50_500;

impl Dialect {
    /// That of a server which says of itself `8.0.31` or `5.5.5-10.11.19-MariaDB`, as long as nothing is set
    /// and its defaults are MySQL's.
    pub fn of_version(version: &str) -> Self {
        let server = Server::new(version);
        // Has a parser of its own, and comments of its own.
        let another = version.contains("TiDB");
        Self {
            server: (server.number >= OLDEST && !another).then_some(server),
            charset: Charset::Utf8,
            ansi_quotes: false,
            no_backslash_escapes: false,
            other_grammar: false,
            multi_statements: false,
        }
    }

    pub(crate) fn is_mariadb(&self) -> bool {
        self.is(Kind::MariaDb)
    }

    /// Whether it is a server of that kind.
    fn is(&self, kind: Kind) -> bool {
        self.server.is_some_and(|server| server.kind == kind)
    }

    /// Its version, as `/*!` compares it.
    pub(super) fn number(&self) -> u32 {
        self.server.map_or(0, |server| server.number)
    }

    /// Under an `sql_mode` as the server reports it.
    pub fn under(self, sql_mode: &str) -> Self {
        let has = |mode: &str| {
            sql_mode
                .split(',')
                .any(|one| one.eq_ignore_ascii_case(mode))
        };
        Self {
            ansi_quotes: has("ANSI_QUOTES"),
            no_backslash_escapes: has("NO_BACKSLASH_ESCAPES"),
            other_grammar: has("ORACLE") || has("MSSQL"),
            ..self
        }
    }
}

impl Charset {
    /// Of a character set's name, which says how clients write.
    pub fn of_name(name: &str) -> Self {
        const ASCII: [&str; 29] = [
            "armscii8", "ascii", "binary", "cp1250", "cp1251", "cp1256", "cp1257", "cp850",
            "cp852", "cp866", "dec8", "eucjpms", "euckr", "gb2312", "geostd8", "greek", "hebrew",
            "hp8", "keybcs2", "koi8r", "koi8u", "latin1", "latin2", "latin5", "latin7", "macce",
            "macroman", "tis620", "ujis",
        ];
        match &*name.to_ascii_lowercase() {
            "utf8" | "utf8mb3" | "utf8mb4" => Self::Utf8,
            "gbk" | "sjis" | "cp932" | "big5" | "gb18030" => Self::Mixed,
            name if ASCII.contains(&name) => Self::Ascii,
            _ => Self::Unknown,
        }
    }

    /// Of a collation's number, as handshakes have it.
    pub fn of_collation(number: u16) -> Self {
        match number {
            33 | 45 | 46 | 76 | 83 | 192..=215 | 223..=247 | 255..=323 => Self::Utf8,
            // MariaDB's without padding have 1024 more, and its own of Unicode 14 their block.
            576..=578 | 608..=610 | 1057 | 1069 | 1070 | 1107 | 1216 | 1238 | 1248 | 1270 => {
                Self::Utf8
            }
            2048..=2559 => Self::Utf8,
            1 | 13 | 28 | 84 | 87 | 88 | 95 | 96 | 248..=250 => Self::Mixed,
            10 | 82 => Self::Unknown,
            // UCS-2, UTF-16 and UTF-32 are none that clients may have.
            35 | 54..=62 | 90 | 101..=183 => Self::Unknown,
            2..=99 => Self::Ascii,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_known_by_what_it_says_or_not_at_all() {
        for (said, mariadb, number) in [
            ("8.0.31", false, 80_031),
            ("5.7.29-log", false, 50_729),
            ("8.0.33-25", false, 80_033),
            ("5.5.5-10.11.19-MariaDB-log", true, 101_119),
            ("11.4.2-MariaDB", true, 110_402),
        ] {
            let dialect = Dialect::of_version(said);
            let found = (dialect.is_mariadb(), dialect.number());
            assert_eq!(found, (mariadb, number), "{said}");
        }
        for said in ["8.0.11-TiDB-v7.5.0", "next", "", "4.1.22"] {
            assert_eq!(Dialect::of_version(said).server, None, "{said}");
        }
    }

    #[test]
    fn sql_mode_says_how_quotes_are_read() {
        let plain = Dialect::of_version("10.11.2-MariaDB");
        assert_eq!(plain.under("STRICT_TRANS_TABLES,NO_ZERO_DATE"), plain);
        assert!(plain.under("ansi_quotes").ansi_quotes);
        assert!(
            plain
                .under("IGNORE_SPACE,NO_BACKSLASH_ESCAPES")
                .no_backslash_escapes
        );
        assert!(
            plain
                .under("PIPES_AS_CONCAT,ORACLE,NO_KEY_OPTIONS")
                .other_grammar
        );
        assert!(plain.under("MSSQL").other_grammar);
    }

    #[test]
    fn a_character_set_is_known_by_its_name_and_by_its_collations() {
        for (name, collations, charset) in [
            ("utf8mb4", &[45, 255, 224][..], Charset::Utf8),
            ("latin1", &[8, 5, 47], Charset::Ascii),
            ("gbk", &[28, 87], Charset::Mixed),
            ("big5", &[1, 84], Charset::Mixed),
            ("cp932", &[95], Charset::Mixed),
            ("swe7", &[10, 82], Charset::Unknown),
            ("ucs2", &[35, 90, 128], Charset::Unknown),
        ] {
            assert_eq!(Charset::of_name(name), charset, "{name}");
            for collation in collations {
                assert_eq!(Charset::of_collation(*collation), charset, "{collation}");
            }
        }
    }
}
