//! The client's bytes while it holds no backend: waits for a whole request, though not for ever, then
//! asks for one.
//!
//! What needs no database is answered here: a Sync with nothing before it, messages that are
//! skipped up to a Sync after an error, and everything in a transaction whose backend is gone (a
//! *virtual* aborted transaction: 25P02 until the client rolls back, so that the rest of its script
//! can't run outside of the transaction it was written for).

use dbproxy_engine::{CloseReason, Failure, Step, Steps};

use crate::message::{backend, body, build, frontend, peek, Peek, HEADER};
use crate::statement::{classify, Dialect, Effects};
use crate::texts;

use super::{say, Session, Virtual};

/// Steps that one look at the input makes at most, each with a short answer: what a client asks for
/// without taking it must not pile up. The rest of the input is looked at again.
const ANSWERS_AT_ONCE: usize = 128;

/// How the scan for the end of a request went.
enum Scan {
    /// The request ends here.
    Whole,
    NeedMore,
    /// The client left before it ended.
    Left,
    Bad,
}

impl Session {
    pub(super) fn alone(&mut self, input: &[u8], limit: usize, out: &mut Steps) -> usize {
        let mut at = 0;
        loop {
            if out.len() >= ANSWERS_AT_ONCE || self.attends.is_some() {
                return at;
            }
            let rest = input.get(at..).unwrap_or_default();
            if self.swallowing > 0 {
                let some = self.swallowing.min(rest.len());
                self.swallowing -= some;
                at += some;
                if self.swallowing > 0 {
                    return at;
                }
                continue;
            }
            let (tag, total) = match peek(rest, frontend::longest_body) {
                Peek::Message { tag, total } => (tag, total),
                Peek::NeedMore => return at,
                Peek::Bad => {
                    self.violation(false, out);
                    return input.len();
                }
            };
            match tag {
                frontend::TERMINATE => {
                    self.close(CloseReason::ClientLeft, out);
                    return input.len();
                }
                // Left over from a COPY that the server ended.
                frontend::COPY_DATA | frontend::COPY_DONE | frontend::COPY_FAIL => {
                    at += self.swallow(rest, total);
                }
                frontend::SYNC => {
                    at += self.swallow(rest, total);
                    self.skipping = false;
                    let mut bytes = Vec::new();
                    if total > HEADER {
                        texts::INVALID_FORMAT.write(&mut bytes);
                    }
                    self.ends_by_itself(bytes, out);
                }
                frontend::FLUSH if total == HEADER => at += total,
                _ if self.skipping => at += self.swallow(rest, total),
                _ if self.failed != Virtual::No => {
                    if rest.len() < total && (rest.len() < limit || limit == 0) {
                        return at;
                    }
                    let whole = rest.len() >= total;
                    if whole && self.ends_on_a_backend(tag, body(rest, total)) {
                        self.failed = Virtual::No;
                        continue;
                    }
                    self.aborted(tag, body(rest, total), rest.len() >= total, out);
                    at += self.swallow(rest, total);
                }
                _ => {
                    self.ask(rest, limit, out);
                    return at;
                }
            }
        }
    }

    /// Ends an answer of its own.
    fn ends_by_itself(&mut self, mut bytes: Vec<u8>, out: &mut Steps) {
        if self.failed == Virtual::No {
            return self.ends_own_answer(bytes, out);
        }
        build::ready(&mut bytes, b'E');
        say(bytes, out);
    }

    /// Throws a message away, what is to come of it too; answers how much is here.
    fn swallow(&mut self, rest: &[u8], total: usize) -> usize {
        let here = total.min(rest.len());
        self.swallowing = total - here;
        here
    }

    /// Asks for a backend if the request at the start of `rest` is whole or can't be waited for: a
    /// server answers a failed message, or many rows, without being asked to (`limit` 0).
    fn ask(&mut self, rest: &[u8], limit: usize, out: &mut Steps) {
        match scan(rest, &mut self.scanned) {
            Scan::NeedMore if rest.len() < limit || limit == 0 && self.scanned == 0 => {}
            Scan::Whole | Scan::NeedMore => {
                self.scanned = 0;
                out.push(Step::NeedBackend);
            }
            Scan::Left => self.close(CloseReason::ClientLeft, out),
            Scan::Bad => self.violation(false, out),
        }
    }

    /// Whether a message ends the virtual transaction and has more for a database to do: statements
    /// behind a ROLLBACK, or a name that is used again. A database finds no transaction to roll back,
    /// and says so in a warning.
    fn ends_on_a_backend(&self, tag: u8, body: &[u8]) -> bool {
        match tag {
            frontend::QUERY => frontend::text(body).is_some_and(rolls_back_first),
            frontend::PARSE
                if self.failed == Virtual::Untold
                    && frontend::statement(body).is_some_and(commits) =>
            {
                false
            }
            frontend::PARSE => {
                body.first().is_some_and(|byte| *byte != 0)
                    && frontend::statement(body).is_some_and(ends_transaction)
            }
            frontend::BIND => self.used(tag, body).is_some_and(|text| {
                ends_transaction(text) && !(self.failed == Virtual::Untold && commits(text))
            }),
            _ => false,
        }
    }

    /// The text of the named statement that a message uses.
    fn used(&self, tag: u8, body: &[u8]) -> Option<&[u8]> {
        let name = match tag {
            frontend::BIND => frontend::names(body)?.1,
            _ => frontend::named(body).filter(|(kind, _)| *kind == b'S')?.1,
        };
        self.names.get(name).map(|(_, known)| known.shared.text())
    }

    /// A message in a virtual aborted transaction.
    fn aborted(&mut self, tag: u8, body: &[u8], whole: bool, out: &mut Steps) {
        let mut bytes = Vec::new();
        let text = match tag {
            frontend::QUERY => frontend::text(body),
            frontend::PARSE => frontend::statement(body),
            frontend::BIND | frontend::DESCRIBE => self.used(tag, body),
            _ => None,
        };
        if whole
            && self.failed == Virtual::Untold
            && tag != frontend::DESCRIBE
            && text.is_some_and(commits)
        {
            self.refuse_commit(tag, out);
            return;
        }
        let rolls_back = whole && text.is_some_and(ends_transaction);
        let of_unnamed = frontend::names(body).is_some_and(|(_, name)| name.is_empty());
        let empty = whole && text.is_some_and(|text| text.trim_ascii().is_empty());
        match tag {
            frontend::QUERY if rolls_back => {
                self.failed = Virtual::No;
                build::complete(&mut bytes, "ROLLBACK");
                return self.ends_own_answer(bytes, out);
            }
            frontend::QUERY if empty => {
                build::bare(&mut bytes, backend::EMPTY_QUERY_RESPONSE);
                build::ready(&mut bytes, b'E');
            }
            frontend::QUERY | frontend::FUNCTION_CALL => {
                self.tell_aborted(&mut bytes);
                build::ready(&mut bytes, b'E');
            }
            _ if whole && !frontend::understood(tag, body) => self.skip_aborted(&mut bytes),
            frontend::PARSE if rolls_back => {
                self.batch.rollback = true;
                build::bare(&mut bytes, backend::PARSE_COMPLETE);
            }
            frontend::BIND if self.batch.rollback && of_unnamed => {
                build::bare(&mut bytes, backend::BIND_COMPLETE);
            }
            frontend::DESCRIBE if self.batch.rollback || rolls_back => {
                if body.first() == Some(&b'S') {
                    build::message(&mut bytes, backend::PARAMETER_DESCRIPTION, |body| {
                        body.extend_from_slice(&[0, 0]);
                    });
                }
                build::bare(&mut bytes, backend::NO_DATA);
            }
            frontend::EXECUTE if self.batch.rollback => {
                self.batch.rollback = false;
                self.failed = Virtual::No;
                build::complete(&mut bytes, "ROLLBACK");
            }
            frontend::CLOSE => {
                if let Some((b'S', name)) = frontend::named(body) {
                    self.names.remove(name);
                }
                build::bare(&mut bytes, backend::CLOSE_COMPLETE);
            }
            _ => self.skip_aborted(&mut bytes),
        }
        say(bytes, out);
    }

    fn skip_aborted(&mut self, bytes: &mut Vec<u8>) {
        self.batch.rollback = false;
        self.tell_aborted(bytes);
        self.skipping = true;
    }

    /// The COMMIT of a client that doesn't know yet that nothing is left to commit. Drivers don't look
    /// whether one was answered with `ROLLBACK`; as one that fails, it ends the transaction.
    fn refuse_commit(&mut self, tag: u8, out: &mut Steps) {
        let mut bytes = Vec::new();
        texts::LOST.write(&mut bytes);
        self.failed = Virtual::No;
        if tag == frontend::QUERY {
            return self.ends_own_answer(bytes, out);
        }
        self.skipping = true;
        say(bytes, out);
    }

    fn tell_aborted(&mut self, bytes: &mut Vec<u8>) {
        match self.failed {
            Virtual::Untold => texts::LOST.write(bytes),
            _ => texts::ABORTED.write(bytes),
        }
        self.failed = Virtual::Told;
    }

    /// Answers the first request with an error instead of running it.
    pub(super) fn refuse_request(
        &mut self,
        failure: Failure,
        input: &[u8],
        out: &mut Steps,
    ) -> usize {
        let mut bytes = Vec::new();
        texts::failure(failure, false, &mut bytes);
        self.refuse_with(bytes, input, out)
    }

    /// Answers the first request with this error instead of running it.
    pub(super) fn refuse_with(&mut self, bytes: Vec<u8>, input: &[u8], out: &mut Steps) -> usize {
        self.scanned = 0;
        let mut at = 0;
        loop {
            let rest = input.get(at..).unwrap_or_default();
            let Peek::Message { tag, total } = peek(rest, frontend::longest_body) else {
                // A batch that ends later, or not in a Sync.
                self.skipping = true;
                break;
            };
            at += self.swallow(rest, total);
            match tag {
                frontend::QUERY | frontend::FUNCTION_CALL | frontend::SYNC => {
                    self.ends_own_answer(bytes, out);
                    return at;
                }
                _ if self.swallowing > 0 => {
                    self.skipping = true;
                    break;
                }
                _ => {}
            }
        }
        say(bytes, out);
        at
    }
}

/// Looks for the end of a request, from where the last look ended.
fn scan(rest: &[u8], scanned: &mut usize) -> Scan {
    loop {
        let message = rest.get(*scanned..).unwrap_or_default();
        match peek(message, frontend::longest_body) {
            Peek::NeedMore => return Scan::NeedMore,
            Peek::Bad => return Scan::Bad,
            Peek::Message { total, .. } if message.len() < total => return Scan::NeedMore,
            Peek::Message { tag, total } => {
                *scanned += total;
                match tag {
                    frontend::QUERY
                    | frontend::FUNCTION_CALL
                    | frontend::SYNC
                    | frontend::FLUSH => return Scan::Whole,
                    frontend::TERMINATE => return Scan::Left,
                    _ => {}
                }
            }
        }
    }
}

/// Whether a text does nothing but end a transaction. `AND CHAIN` would begin another one.
fn ends_transaction(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    let text = text.strip_suffix(b";").unwrap_or(text);
    let effects = plain_effects(text);
    !text.contains(&b';')
        && (effects == Effects::COMMIT || effects == Effects::ROLLBACK)
        && !memchr::memchr2_iter(b'c', b'C', text).any(|at| {
            text.get(at..at + 5)
                .is_some_and(|word| word.eq_ignore_ascii_case(b"chain"))
        })
}

/// Whether a text does nothing but commit.
fn commits(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    let text = text.strip_suffix(b";").unwrap_or(text);
    ends_transaction(text) && plain_effects(text) == Effects::COMMIT
}

/// Whether a text begins with a whole ROLLBACK and goes on.
fn rolls_back_first(text: &[u8]) -> bool {
    let mut parts = text.splitn(2, |byte| *byte == b';');
    let first = parts.next().unwrap_or_default();
    let more = parts
        .next()
        .is_some_and(|rest| !rest.trim_ascii().is_empty());
    more && ends_transaction(first) && plain_effects(first) == Effects::ROLLBACK
}

fn plain_effects(text: &[u8]) -> Effects {
    let dialect = Dialect {
        literal_backslashes: true,
        ascii_safe: true,
    };
    classify(text, dialect).effects
}
