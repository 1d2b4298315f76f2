//! What the programs for MySQL and MariaDB share besides: their SQL, and a row of every type.

pub const ASKED: &str = "SELECT ? + 1 AS asked, ? AS words";
pub const INSERT: &str = "INSERT INTO work (client, kind, value) VALUES (?, ?, ?)";
pub const BY_ID: &str = "SELECT value FROM work WHERE id = ?";
pub const NOWHERE: &str = "SELECT * FROM nowhere";
pub const BIG_RESULT: &str = "SELECT n, repeat('x', 100) FROM numbers ORDER BY n";
pub const KEPT: &str = "SELECT kind, count(*), cast(sum(value) AS char) FROM work \
                        WHERE client = ? GROUP BY kind";
pub const TYPED: &str = "INSERT INTO typed (client, nothing, words, amount, moment, big) \
                         VALUES (?, ?, ?, ?, ?, ?)";
// Decimals and moments as texts: the drivers have types for them only with other libraries.
pub const TYPED_BACK: &str = "SELECT nothing, words, cast(amount AS char), cast(moment AS char), \
                              big FROM typed WHERE id = ?";
const LETTERS: &str = "zażółć 🐬 ";

#[derive(PartialEq)]
pub struct Typed {
    pub nothing: Option<i32>,
    pub words: String,
    pub amount: String,
    pub big: String,
}

impl Default for Typed {
    fn default() -> Self {
        Self::new()
    }
}

impl Typed {
    #[must_use]
    pub fn new() -> Self {
        Self {
            nothing: None,
            words: LETTERS.into(),
            amount: "12345678901234.5678".into(),
            // More than 64 KiB, in more than one byte a letter.
            big: LETTERS.repeat(6_000),
        }
    }

    #[must_use]
    pub fn told(&self) -> String {
        let same = *self == Self::new();
        format!("{:?} {} {} {same}", self.nothing, self.words, self.amount)
    }
}
