//! What a text of statements may do that the server doesn't report, as far as its words tell.
//!
//! Nothing is parsed: a word counts wherever it stands, in a literal and a comment too. So it binds too often and
//! never too seldom; what is said to be harmless is a single statement that begins with one of a few words. What a
//! routine, a trigger or a view does inside is seen only where the server reports it.

use dbproxy_engine::PinReason;

use crate::message::command;

/// What is said of a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Judged {
    /// It binds its session to its backend.
    pub pin: Option<PinReason>,
    /// Whether it may commit where no transaction is open, and where one is.
    pub commits_alone: bool,
    pub commits_inside: bool,
    /// With autocommit off: it begins a transaction, or ends one.
    pub begins: bool,
    pub ends: bool,
    /// It asks for LAST_INSERT_ID().
    pub asks_id: bool,
    /// It asks for something else that the statement before has left: how many rows, warnings.
    pub asks_before: bool,
    /// It sets something, so that a change is what its words say.
    pub sets: bool,
    /// It goes to another database, and does nothing else.
    pub moves: bool,
    /// It sets what the server is to report.
    pub mutes: bool,
    /// It may call a routine.
    pub calls: bool,
    /// KILL.
    pub kills: bool,
    /// It asks for the number of its connection, and nothing else.
    pub asks_number: bool,
}

impl Judged {
    /// Nothing is known of it.
    pub(crate) fn unknown(reason: PinReason) -> Self {
        Self {
            pin: Some(reason),
            commits_alone: true,
            commits_inside: true,
            begins: true,
            ends: false,
            asks_id: true,
            asks_before: false,
            sets: false,
            moves: false,
            mutes: true,
            calls: true,
            kills: false,
            asks_number: false,
        }
    }

    /// A command that does nothing to data.
    pub(crate) const fn harmless() -> Self {
        Self {
            pin: None,
            commits_alone: false,
            commits_inside: false,
            begins: false,
            ends: false,
            asks_id: false,
            asks_before: false,
            sets: false,
            moves: false,
            mutes: false,
            calls: false,
            kills: false,
            asks_number: false,
        }
    }

    /// Of a command without a text.
    pub(crate) fn command(kind: u8) -> Self {
        match kind {
            // The text is another command's.
            command::STMT_EXECUTE => Self {
                mutes: false,
                ..Self::unknown(PinReason::NamedStatement)
            },
            command::STMT_FETCH | command::STMT_RESET => Self {
                pin: Some(PinReason::NamedStatement),
                ..Self::harmless()
            },
            command::SET_OPTION => Self {
                pin: Some(PinReason::SessionSetting),
                ..Self::harmless()
            },
            command::INIT_DB => Self {
                sets: true,
                moves: true,
                ..Self::harmless()
            },
            _ => Self::harmless(),
        }
    }
}

/// Words that bind, and why. They are looked for in upper case.
const BINDS: &[(&[u8], PinReason)] = &[
    (b"/*!", PinReason::Unclassified),
    (b"/*M!", PinReason::Unclassified),
    (b"GET_LOCK", PinReason::AdvisoryLock),
    (b"RELEASE_", PinReason::AdvisoryLock),
    (b"SERVICE_", PinReason::AdvisoryLock),
    (b"LOCK TABLE", PinReason::ServerProcess),
    (b"READ LOCK", PinReason::ServerProcess),
    (b"FOR EXPORT", PinReason::ServerProcess),
    (b"NOT ATOMIC", PinReason::Untracked),
    (b"BACKUP", PinReason::ServerProcess),
    (b"TEMPORARY", PinReason::TemporaryObject),
    (b"SQL_CALC_FOUND_ROWS", PinReason::SessionFunction),
    (b"CONNECTION_ID", PinReason::SessionFunction),
    (b"PSEUDO_", PinReason::SessionFunction),
    (b"NEXTVAL", PinReason::SequenceState),
    (b"LASTVAL", PinReason::SequenceState),
    (b"NEXT VALUE", PinReason::SequenceState),
    (b"PREVIOUS VALUE", PinReason::SequenceState),
    (b"SESSION_TRACK", PinReason::SessionSetting),
    (b"RAND_SEED", PinReason::SessionSetting),
];
/// The same where a statement may begin with them.
const BEGINS: &[(&[u8], PinReason)] = &[
    (b"PREPARE", PinReason::SqlPrepare),
    (b"EXECUTE", PinReason::SqlPrepare),
    (b"DEALLOCATE", PinReason::SqlPrepare),
    (b"HANDLER", PinReason::HeldCursor),
    (b"XA", PinReason::Untracked),
    (b"LOCK", PinReason::ServerProcess),
    (b"FLUSH", PinReason::ServerProcess),
    (b"CALL", PinReason::Untracked),
    (b"DECLARE", PinReason::Untracked),
    (b"BINLOG", PinReason::Untracked),
    (b"CHANGE", PinReason::Untracked),
    (b"INSTALL", PinReason::Untracked),
];
/// They read or change rows, and commit nothing where a transaction is open.
const ROWS: &[&[u8]] = &[
    b"SELECT",
    b"INSERT",
    b"UPDATE",
    b"DELETE",
    b"REPLACE",
    b"WITH",
    b"VALUES",
    b"DO",
    b"SHOW",
    b"DESCRIBE",
    b"DESC",
    b"EXPLAIN",
    b"USE",
    b"HELP",
    b"SAVEPOINT",
    b"ROLLBACK",
    b"RELEASE",
];
/// They commit nothing at all, unless they call something that does.
const READS: &[&[u8]] = &[
    b"SELECT",
    b"SHOW",
    b"USE",
    b"HELP",
    b"SAVEPOINT",
    b"ROLLBACK",
    b"BEGIN",
    b"START",
];

/// Judges a text.
pub(crate) fn judge(text: &[u8]) -> Judged {
    let upper = text.to_ascii_uppercase();
    let (first, rest) = first_word(&upper);
    let has = |word: &[u8]| contains(&upper, word);
    // What begins otherwise than by a word isn't looked at closely: the words count wherever they stand.
    let worded = !first.is_empty() || upper.trim_ascii().is_empty();
    let single = worded && !ends_single(&upper).contains(&b';');
    let begins = |word: &[u8]| match single {
        true => first == word,
        false => has_word(&upper, word),
    };
    let pin = BINDS.iter().find(|(word, _)| has(word));
    let pin = pin.or_else(|| BEGINS.iter().find(|(word, _)| begins(word)));
    let mut pin = pin.map(|(_, reason)| *reason);
    if pin.is_none() && (begins(b"SET") && sets_apart(&upper) || names_user_variable(&upper)) {
        pin = Some(PinReason::SessionSetting);
    }
    let calls = upper.contains(&b'(');
    let among = |words: &[&[u8]]| single && words.contains(&first);
    let plain_end = |word: &[u8]| {
        let end = ends_single(rest).trim_ascii();
        single && first == word && matches!(end, b"" | b"WORK")
    };
    let ends = plain_end(b"COMMIT") || plain_end(b"ROLLBACK");
    let asks_number = ends_single(&upper).trim_ascii() == b"SELECT CONNECTION_ID()";
    Judged {
        pin: pin.filter(|_| !asks_number),
        commits_alone: !among(READS) || calls || first == b"START" && !has(b"TRANSACTION"),
        commits_inside: !among(ROWS) || first == b"EXPLAIN" && has(b"CREATE"),
        begins: !(ends || single && first == b"SET"),
        ends,
        asks_id: has(b"LAST_INSERT_ID") || has(b"IDENTITY") || pin == Some(PinReason::Untracked),
        asks_before: asks_before(&upper, first, single),
        sets: single && matches!(first, b"SET" | b"USE"),
        moves: single && first == b"USE",
        mutes: has(b"SESSION_TRACK") || pin == Some(PinReason::Unclassified),
        calls,
        kills: upper
            .split(|byte| *byte == b';')
            .any(|one| first_word(one).0 == b"KILL"),
        asks_number,
    }
}

/// Whether a text asks for what the statement before has left, other than an id.
fn asks_before(upper: &[u8], first: &[u8], single: bool) -> bool {
    let shows = first == b"SHOW" || !single && has_word(upper, b"SHOW");
    let shown = has_word(upper, b"WARNINGS") || has_word(upper, b"ERRORS");
    let functions: [&[u8]; 2] = [b"ROW_COUNT", b"FOUND_ROWS"];
    let variables: [&[u8]; 2] = [b"WARNING_COUNT", b"ERROR_COUNT"];
    let called = functions.iter().any(|word| has_word(upper, word));
    let read = contains(upper, b"@@") && variables.iter().any(|word| has_word(upper, word));
    let got = has_word(upper, b"DIAGNOSTICS");
    shows && (shown || has_word(upper, b"PROFILE")) || called || read || got
}

/// Whether a SET has an effect that isn't a variable's own: the next transaction's characteristics, or what
/// another user sees.
fn sets_apart(upper: &[u8]) -> bool {
    let next = has_word(upper, b"TRANSACTION") && !has_word(upper, b"SESSION");
    next || has_word(upper, b"PASSWORD")
        || has_word(upper, b"ROLE")
        || has_word(upper, b"STATEMENT")
}

/// Whether there is an `@` that isn't a system variable's `@@`.
fn names_user_variable(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| *byte == b'@') {
        rest = rest.get(at + 1..).unwrap_or_default();
        match rest.strip_prefix(b"@") {
            Some(behind) => rest = behind,
            None => return true,
        }
    }
    false
}

/// The first word, and what stands behind it. Blanks and plain comments stand before it.
fn first_word(text: &[u8]) -> (&[u8], &[u8]) {
    let mut rest = text.trim_ascii_start();
    while let Some(comment) = rest.strip_prefix(b"/*") {
        let end = comment.windows(2).position(|pair| pair == b"*/");
        let behind = end.and_then(|end| comment.get(end + 2..));
        rest = behind.unwrap_or_default().trim_ascii_start();
    }
    let end = rest.iter().position(|byte| !is_part(*byte));
    rest.split_at_checked(end.unwrap_or(rest.len()))
        .unwrap_or((rest, b""))
}

/// A text without the semicolon and the blanks at its end.
fn ends_single(text: &[u8]) -> &[u8] {
    let text = text.trim_ascii_end();
    text.strip_suffix(b";").unwrap_or(text)
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|part| part == word)
}

/// Whether a word stands there that no letter or digit is part of.
fn has_word(text: &[u8], word: &[u8]) -> bool {
    let words = text.split(|byte| !is_part(*byte));
    words.into_iter().any(|one| one == word)
}

/// What may stand in a word; of bytes that aren't ASCII nobody knows.
fn is_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_does_not_report_binds() {
        for (text, reason) in [
            ("select get_lock('a', 1)", PinReason::AdvisoryLock),
            ("SELECT @a := 1", PinReason::SessionSetting),
            ("SELECT 1 INTO @a", PinReason::SessionSetting),
            ("SELECT @@version, @a", PinReason::SessionSetting),
            ("SET TRANSACTION READ ONLY", PinReason::SessionSetting),
            (
                "create temporary table t(a int)",
                PinReason::TemporaryObject,
            ),
            ("SELECT 1; PREPARE a FROM 'b'", PinReason::SqlPrepare),
            ("/* x */ HANDLER t OPEN", PinReason::HeldCursor),
            ("/*! SELECT 1 */", PinReason::Unclassified),
            ("CALL p()", PinReason::Untracked),
            ("-- a\ncall p()", PinReason::Untracked),
            ("#\nSET PASSWORD = 'a'", PinReason::SessionSetting),
            ("LOCK TABLES t READ", PinReason::ServerProcess),
            ("FLUSH TABLES WITH READ LOCK", PinReason::ServerProcess),
            (
                "SELECT SQL_CALC_FOUND_ROWS * FROM t",
                PinReason::SessionFunction,
            ),
        ] {
            assert_eq!(judge(text.as_bytes()).pin, Some(reason), "{text}");
        }
        for text in [
            "SELECT @@session.autocommit, @@sql_mode",
            "SET NAMES utf8mb4",
            "SET SESSION TRANSACTION READ ONLY",
            "INSERT INTO t VALUES (1, 'call')",
            "SELECT * FROM prepare_errors",
            "SELECT CONNECTION_ID()",
            "",
        ] {
            assert_eq!(judge(text.as_bytes()).pin, None, "{text}");
        }
    }

    #[test]
    fn only_what_certainly_commits_nothing_is_said_not_to() {
        for (text, alone, inside) in [
            ("SELECT a FROM t", false, false),
            ("SELECT f()", true, false),
            ("insert into t values (1)", true, false),
            ("COMMIT", true, true),
            ("ROLLBACK", false, false),
            ("BEGIN", false, true),
            ("START TRANSACTION", false, true),
            ("START SLAVE", true, true),
            ("SET autocommit=1", true, true),
            ("CREATE TABLE t(a int)", true, true),
            ("SELECT 1; COMMIT", true, true),
            ("SELECT ';'", true, true),
            ("SELECT 1 ;", false, false),
            ("-- a\nSELECT 1", true, true),
        ] {
            let judged = judge(text.as_bytes());
            assert_eq!(
                (judged.commits_alone, judged.commits_inside),
                (alone, inside),
                "{text}"
            );
        }
    }

    #[test]
    fn what_the_statement_before_left_is_asked_for() {
        for text in [
            "SELECT ROW_COUNT()",
            "select found_rows ()",
            "SHOW WARNINGS",
            "SHOW COUNT(*) ERRORS",
            "SELECT @@warning_count",
            "GET DIAGNOSTICS @a = ROW_COUNT",
        ] {
            assert!(judge(text.as_bytes()).asks_before, "{text}");
        }
        for text in [
            "SELECT * FROM errors",
            "SELECT warning_count FROM t",
            "SHOW TABLES",
        ] {
            assert!(!judge(text.as_bytes()).asks_before, "{text}");
        }
        assert!(judge(b"SELECT last_insert_id()").asks_id);
        assert!(judge(b"SELECT @@identity").asks_id);
        assert!(judge(b"CALL p()").asks_id, "it may ask inside");
    }

    #[test]
    fn what_ends_a_transaction_is_known() {
        for (text, ends) in [
            ("COMMIT", true),
            ("rollback work ;", true),
            ("COMMIT AND CHAIN", false),
            ("ROLLBACK TO a", false),
            ("SET autocommit=0", false),
            ("SELECT 1", false),
        ] {
            assert_eq!(judge(text.as_bytes()).ends, ends, "{text}");
        }
        assert!(judge(b"SELECT 1").begins && !judge(b"SET autocommit=0").begins);
        assert!(!judge(b"INSERT INTO t VALUES ('to kill; or not')").kills);
        assert!(judge(b"KILL QUERY 5").kills && judge(b"SELECT 1; kill 5").kills);
        assert!(judge(b"select connection_id()").asks_number);
    }
}
