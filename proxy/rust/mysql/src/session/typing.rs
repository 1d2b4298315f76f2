//! The types of a statement's parameters: a client may rely on those that it has sent before. The backend may know the
//! statement with another client's, or not at all: then they are put in.
//!
//! MySQL reads `SELECT ?` as a number for good once it was executed with one, and says 0 of a text from then on: there
//! each kind of parameters has a statement of its own, and an execution is answered as if it were the first.

use dbproxy_engine::Steps;

use crate::link::Link;
use crate::message::command;
use crate::message::execution::{self, Types as Sent, TYPED};
use crate::message::frame::{self, Peek, HEADER};
use crate::prepared::{Key, Known, Own, Types};

use super::executing::{sends, Named, HEAD};
use super::forward::{Rewritten, Verdict};
use super::judge::Judged;
use super::{texts, Session};

/// MySQL from here on decides by the parameters of an execution of which types they are, and goes by that for later
/// ones.
const DECIDES: u32 = 80_022;

/// What an execution says of its parameters.
#[derive(Clone, Copy)]
pub(super) struct Bound<'a> {
    pub cursor: bool,
    pub types: Sent<'a>,
}

impl Session {
    /// What an execution says of its parameters, if it is there and sound, and which statement it needs. `None`: it
    /// relies on types that were never sent.
    pub(super) fn binding<'a>(
        &self,
        named: &Named<'a>,
        link: &Link,
    ) -> Option<(Option<Bound<'a>>, Key)> {
        let known = self.known(named.number)?;
        let mut key = self.key(&known.statement);
        let execution = execution::parse(named.rest, known.parameters, link.agreed);
        let Some(execution) = execution else {
            return Some((None, key));
        };
        let types = match execution.types {
            Sent::None => None,
            Sent::Given(_, bytes) => Some(bytes),
            Sent::Before(count, _) => {
                let types = known.types.as_ref();
                Some(&*types.filter(|types| types.count == count)?.bytes)
            }
        };
        if let Some(types) = types.filter(|_| link.params.server.is_mysql(DECIDES)) {
            key.bound = Some([execution.nulls, types].concat().into());
        }
        let bound = Bound {
            cursor: execution.cursor,
            types: execution.types,
        };
        Some((Some(bound), key))
    }

    /// Sees to it that the server has the right types. None are there where the server will say what is wrong.
    pub(super) fn types(
        &mut self,
        number: u32,
        types: Option<Sent<'_>>,
        judged: Judged,
        (link, key): (&mut Link, Key),
        rest: &[u8],
        out: &mut Steps,
    ) -> Verdict {
        let mariadb = self.dialect.is_mariadb();
        let Some((own, known, held)) = self.at_hand(number, link, &key) else {
            let fault = texts::no_statement(command::STMT_EXECUTE, number, mariadb);
            self.says(fault, out);
            return Verdict::Answered;
        };
        let id = own.id;
        let put_in = match types {
            Some(Sent::None) => return sends(id, number, judged, rest),
            // They were sent last.
            Some(Sent::Before(..)) if own.types.is_some() && own.types == known.types => {
                return sends(id, number, judged, rest)
            }
            Some(Sent::Before(_, at)) => Some(at),
            Some(Sent::Given(count, bytes)) => {
                let same = |types: &&Types| types.count == count && *types.bytes == *bytes;
                if known.types.as_ref().filter(same).is_none() {
                    let bytes = bytes.into();
                    known.types = Some(Types { count, bytes });
                }
                None
            }
            None => None,
        };
        own.types = None;
        let rewritten = match (put_in, &known.types) {
            (Some(at), Some(types)) => with_types(rest, (id, number), at, (types, judged)),
            _ => Some(sends(id, number, judged, rest)),
        };
        let Some(rewritten) = rewritten else {
            self.says(texts::unsupported_types(), out);
            return Verdict::Answered;
        };
        if let Some(types) = known.types.clone().filter(|_| types.is_some() && !held) {
            link.statements.sends(key, types);
        }
        rewritten
    }

    /// The backend's own of a statement, and the client's; whether that is nobody else's.
    fn at_hand<'a>(
        &'a mut self,
        number: u32,
        link: &'a mut Link,
        key: &Key,
    ) -> Option<(&'a mut Own, &'a mut Known, bool)> {
        let (known, held) = self.numbers().both(number)?;
        match held {
            Some(held) => Some((&mut held.own, known, true)),
            None => Some((link.statements.uses(key)?, known, false)),
        }
    }
}

/// An execution with types that it relies on; `None`: there is no room for them.
fn with_types(
    rest: &[u8],
    (id, number): (u32, u32),
    at: usize,
    (types, judged): (&Types, Judged),
) -> Option<Verdict> {
    let Peek::Packet {
        total, continues, ..
    } = frame::peek(rest)
    else {
        return None;
    };
    let length = total - HEADER + types.bytes.len();
    if continues || length >= frame::FULL {
        return None;
    }
    let before = HEADER + HEAD + at;
    let mut head = frame::header(length, 0).to_vec();
    head.push(command::STMT_EXECUTE);
    head.extend_from_slice(&id.to_le_bytes());
    head.extend_from_slice(rest.get(HEADER + HEAD..before)?);
    head.push(TYPED);
    head.extend_from_slice(&types.bytes);
    Some(Verdict::Rewritten(Rewritten {
        number,
        judged,
        head,
        skip: before + 1,
    }))
}
