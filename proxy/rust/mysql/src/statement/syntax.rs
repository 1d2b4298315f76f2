//! Which words in front of a parenthesis are grammar, and not the name of a function.

use super::tokens::is;

/// Reserved on MySQL since 5.7 and on MariaDB, or taken for grammar by both: without quotes they call nothing of
/// the database's. Some are functions of the server's own, which only read. Sorted.
static RESERVED: &[&str] = &[
    "add",
    "all",
    "alter",
    "analyze",
    "and",
    "any",
    "as",
    "asc",
    "before",
    "between",
    "bigint",
    "binary",
    "both",
    "by",
    "call",
    "case",
    "change",
    "char",
    "character",
    "check",
    "collate",
    "column",
    "condition",
    "constraint",
    "convert",
    "create",
    "cross",
    "dec",
    "decimal",
    "default",
    "delete",
    "desc",
    "distinct",
    "distinctrow",
    "div",
    "double",
    "else",
    "elseif",
    "exists",
    "explain",
    "float",
    "for",
    "force",
    "foreign",
    "from",
    "fulltext",
    "group",
    "having",
    "if",
    "ignore",
    "in",
    "index",
    "inner",
    "inout",
    "insert",
    "int",
    "integer",
    "interval",
    "into",
    "is",
    "join",
    "key",
    "keys",
    "left",
    "like",
    "limit",
    "lines",
    "lock",
    "match",
    "mediumint",
    "mod",
    "natural",
    "not",
    "null",
    "numeric",
    "on",
    "optimize",
    "or",
    "order",
    "out",
    "outer",
    "partition",
    "primary",
    "procedure",
    "range",
    "real",
    "references",
    "regexp",
    "repeat",
    "replace",
    "require",
    "return",
    "right",
    "rlike",
    "select",
    "separator",
    "set",
    "show",
    "smallint",
    "some",
    "spatial",
    "sql",
    "straight_join",
    "table",
    "then",
    "tinyint",
    "to",
    "trigger",
    "undo",
    "union",
    "unique",
    "update",
    "using",
    "values",
    "varbinary",
    "varchar",
    "varying",
    "when",
    "where",
    "with",
    "xor",
];

/// Words behind which a name and a parenthesis are a table or an alias with its columns, a type, or a routine
/// that is named and not called.
const NAMING: [&str; 9] = [
    "as",
    "exists",
    "function",
    "into",
    "procedure",
    "recursive",
    "references",
    "table",
    "with",
];

/// The same in a statement that begins with INSERT, REPLACE or LOAD.
const NAMING_IN_WRITES: [&str; 7] = [
    "delayed",
    "high_priority",
    "ignore",
    "insert",
    "into",
    "low_priority",
    "replace",
];

/// What stands in front of a name: the facts that decide whether `name(` is a call.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Before<'a> {
    /// The word directly before, if it is one.
    pub word: &'a [u8],
    /// A closing parenthesis or a value, behind which no expression begins.
    pub value: bool,
}

impl Before<'_> {
    /// Whether any name here is only named.
    pub(crate) fn names(&self, writing: bool) -> bool {
        self.value || is(self.word, &NAMING) || writing && is(self.word, &NAMING_IN_WRITES)
    }
}

/// Whether the unquoted, unqualified, lower-case `word` in front of a parenthesis is grammar.
pub(crate) fn is_grammar(word: &[u8]) -> bool {
    RESERVED
        .binary_search_by(|entry| entry.as_bytes().cmp(word))
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_sorted() {
        assert!(RESERVED.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
