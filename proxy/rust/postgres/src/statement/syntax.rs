//! Which words in front of a parenthesis are grammar, and not the name of a function.

/// Reserved words, words that can't be functions, and type names: never a call of ours to judge.
/// Sorted.
static GRAMMAR: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "between",
    "bigint",
    "bit",
    "boolean",
    "case",
    "cast",
    "char",
    "character",
    "check",
    "coalesce",
    "collate",
    "column",
    "constraint",
    "create",
    "cross",
    "cube",
    "current_time",
    "current_timestamp",
    "dec",
    "decimal",
    "default",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "exists",
    "extract",
    "fetch",
    "float",
    "for",
    "foreign",
    "from",
    "full",
    "greatest",
    "group",
    "grouping",
    "having",
    "ilike",
    "in",
    "inner",
    "int",
    "integer",
    "intersect",
    "interval",
    "into",
    "is",
    "isnull",
    "join",
    "lateral",
    "least",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "national",
    "natural",
    "nchar",
    "normalize",
    "not",
    "notnull",
    "nullif",
    "numeric",
    "offset",
    "on",
    "only",
    "operator",
    "or",
    "order",
    "overlaps",
    "overlay",
    "placing",
    "position",
    "precision",
    "primary",
    "real",
    "references",
    "returning",
    "rollup",
    "row",
    "select",
    "setof",
    "similar",
    "smallint",
    "some",
    "substring",
    "symmetric",
    "table",
    "then",
    "time",
    "timestamp",
    "to",
    "treat",
    "trim",
    "union",
    "unique",
    "using",
    "values",
    "varchar",
    "variadic",
    "when",
    "where",
    "window",
    "with",
    "xmlconcat",
    "xmlelement",
    "xmlexists",
    "xmlforest",
    "xmlparse",
    "xmlpi",
    "xmlroot",
    "xmlserialize",
    "xmltable",
];

/// Words behind which a name and a parenthesis are a table or a type with its columns or
/// modifiers, or a routine that is named and not called.
static NAMING: &[&str] = &[
    "aggregate",
    "as",
    "copy",
    "exists",
    "function",
    "into",
    "procedure",
    "recursive",
    "references",
    "routine",
    "table",
    "tablesample",
    "with",
];

/// What stands in front of a name: the facts that decide whether `name(` is a call.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Before<'a> {
    /// The word directly before, if it is one.
    pub word: &'a [u8],
    /// A closing parenthesis directly before.
    pub close: bool,
    /// A `::` directly before.
    pub cast: bool,
}

impl Before<'_> {
    fn is(&self, words: &[&str]) -> bool {
        words
            .iter()
            .any(|word| self.word.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// Whether any name here is only named.
    pub(crate) fn names(&self) -> bool {
        self.cast || self.is(NAMING)
    }
}

/// Whether the unquoted, unqualified, lower-case `word` in front of a parenthesis is grammar.
pub(crate) fn is_grammar(word: &[u8], before: &Before<'_>, inserting: bool) -> bool {
    match word {
        b"by" => before.is(&["group", "order", "partition"]),
        b"key" => before.is(&["primary", "foreign"]),
        b"sets" => before.is(&["grouping"]),
        b"varying" => before.is(&["character", "char", "bit", "nchar"]),
        b"materialized" => before.is(&["not"]),
        b"over" | b"filter" => before.close,
        b"conflict" => inserting && before.is(&["on"]),
        b"set" => inserting,
        _ => GRAMMAR
            .binary_search_by(|entry| entry.as_bytes().cmp(word))
            .is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_sorted() {
        assert!(GRAMMAR.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(NAMING.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
