//! ErrorResponse: the ones we make, and the few fields of the server's that change decisions.

use dbproxy_engine::Reader;

use super::{backend, build};

/// An error of the proxy's own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fault<'a> {
    /// `ERROR` or `FATAL`.
    pub severity: &'static str,
    /// SQLSTATE.
    pub code: &'a str,
    /// The primary message.
    pub message: &'a str,
    /// What the user may do about it; empty for none.
    pub hint: &'a str,
}

impl<'a> Fault<'a> {
    /// An error after which the session goes on.
    pub(crate) fn error(code: &'a str, message: &'a str) -> Self {
        Self {
            severity: "ERROR",
            code,
            message,
            hint: "",
        }
    }

    /// An error that ends the session.
    pub(crate) fn fatal(code: &'a str, message: &'a str) -> Self {
        Self {
            severity: "FATAL",
            ..Self::error(code, message)
        }
    }

    /// Appends the ErrorResponse.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        build::message(out, backend::ERROR_RESPONSE, |body| {
            for (field, value) in [
                (b'S', self.severity),
                (b'V', self.severity),
                (b'C', self.code),
                (b'M', self.message),
                (b'H', self.hint),
            ] {
                if !value.is_empty() {
                    body.push(field);
                    build::text(body, value.as_bytes());
                }
            }
            body.push(0);
        });
    }
}

/// What is looked at in a server's ErrorResponse.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Report<'a> {
    /// FATAL or PANIC: the server closes the connection after it.
    pub fatal: bool,
    /// SQLSTATE; empty if it wasn't among the bytes at hand.
    pub code: &'a [u8],
    /// The primary message, under the same condition.
    pub message: &'a [u8],
    /// Where in the server it was raised, under the same condition.
    pub routine: &'a [u8],
}

impl Report<'_> {
    /// Whether it is the server's answer to a CopyFail: where it reads the data of a COPY, and nowhere
    /// else, it raises what a cancel raises.
    pub fn is_of_copy_fail(&self) -> bool {
        self.code == b"57014" && self.routine.starts_with(b"CopyGetData")
    }
}

/// Reads the fields of a body, which may be cut: severity and code stand in front.
pub(crate) fn report(body: &[u8]) -> Report<'_> {
    let mut reader = Reader::new(body);
    let mut found = Report::default();
    while let Ok(field) = reader.u8() {
        let Ok(value) = reader.cstr() else { break };
        match field {
            // `S` may be translated; `V` never is, and comes second.
            b'S' | b'V' => found.fatal |= value == b"FATAL" || value == b"PANIC",
            b'C' => found.code = value,
            b'M' => found.message = value,
            b'R' => found.routine = value,
            _ => {}
        }
    }
    found
}

/// The message with another name in its text, if it is there whole and has it.
pub(crate) fn renamed(body: &[u8], from: &[u8], to: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Reader::new(body);
    let mut out = Vec::new();
    let mut found = false;
    build::message(&mut out, backend::ERROR_RESPONSE, |out| {
        while let Ok(field @ 1..) = reader.u8() {
            let Ok(value) = reader.cstr() else { break };
            out.push(field);
            let at = memchr::memmem::find(value, from).filter(|_| field == b'M');
            let (head, tail) = match at {
                Some(at) => (value.get(..at), value.get(at + from.len()..)),
                None => (None, Some(value)),
            };
            if let Some(head) = head {
                found = true;
                out.extend_from_slice(head);
                out.extend_from_slice(to);
            }
            build::text(out, tail.unwrap_or_default());
        }
        out.push(0);
    });
    (found && body.last() == Some(&0)).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut out = Vec::new();
        let going = Fault::fatal("57P01", "going");
        Fault {
            hint: "wait",
            ..going
        }
        .write(&mut out);
        assert_eq!(out.first(), Some(&b'E'));
        let found = report(&out[5..]);
        assert!(found.fatal);
        assert_eq!(found.code, b"57P01");
        assert_eq!(found.message, b"going");
        assert_eq!(out.last(), Some(&0));
    }

    #[test]
    fn a_cut_report_still_tells_severity_and_code() {
        let body = b"SERROR\0VERROR\0C22012\0Mdivision by ze";
        let found = report(body);
        assert!(!found.fatal);
        assert_eq!(found.code, b"22012");
        assert_eq!(found.message, b"");
    }
}
