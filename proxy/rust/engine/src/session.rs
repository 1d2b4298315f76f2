//! The machines of a logged-in client ([`Session`]) and of a ready backend ([`Link`]), and the
//! trait that binds one protocol's machines together.
//!
//! How the server room drives them:
//!
//! 1. Client bytes: `session.feed_client(input, link)`, with `link` when it holds a backend.
//!    `NeedBackend` → check-out → `session.attach(link)` → `feed_client` again with the same input.
//! 2. Backend bytes: `Session::feed_server(Some(session), link, input)`, until `Release`.
//! 3. The client goes away: `session.abandon(link)`; `Running` means go on feeding with
//!    `session = None` until `Release`.
//! 4. The backend goes away (EOF, kill, cut): `session.lost(link, input)`.
//! 5. `Release::Reset` → `link.reset()`, then feed with `session = None` until `Release`.

use std::sync::Arc;

use crate::{
    Aim, BackendLogin, CancelKey, CancelSecret, Canceller, Channels, ClientLogin, CloseReason,
    Failure, Heard, Identity, KillReason, Killed, Release, Rules, Steps, Traces,
};

/// What becomes of a backend whose client left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Abandoned {
    /// A request is still running on it: feed it without a session until it is released.
    Running,
    /// It is free now.
    Free(Release),
}

/// What becomes of a client whose backend was lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It goes on (idle, or in a virtual aborted transaction); it was told what it needs to know.
    Stays,
    /// Nothing of its request had been sent: it may be queued again for another backend.
    Requeue,
    /// It was told; flush and close it.
    Closes(CloseReason),
}

/// One logged-in client's state; lives on its worker as long as the client does.
pub trait Session: Sized {
    /// The backend's machine of this protocol.
    type Link: Link;
    /// What a worker has for all its clients: the rules, and what of what they said makes it faster.
    type Memory: Default;

    /// The operator has decided so from here on.
    fn rule(memory: &mut Self::Memory, rules: Rules);

    /// Looks at the client's unconsumed bytes (`input` always begins at the first byte not
    /// consumed yet; the machine remembers how much of it it already understood). Returns how
    /// many bytes at its start are done with. Without a link it answers by itself, asks for a
    /// backend, or waits for the rest of a request. A large request is asked for before it is
    /// complete once `input` holds `request_limit` bytes; then it streams. With a limit of 0 one
    /// that isn't complete is asked for if a part of it can be answered by itself. It may stop
    /// early, with many requests unanswered or after many answers of its own: it is fed the rest
    /// after the next answer, or when the client has room for more.
    fn feed_client(
        &mut self,
        input: &[u8],
        link: Option<&mut Self::Link>,
        memory: &mut Self::Memory,
        request_limit: usize,
        out: &mut Steps,
    ) -> usize;

    /// A backend was checked out for this session: emits what must precede the request
    /// (settings replay to the server, ParameterStatus differences to the client).
    fn attach(&mut self, link: &mut Self::Link, out: &mut Steps);

    /// Looks at the backend's unconsumed bytes, like `feed_client`. With `session = None` nothing
    /// goes to a client. A kill is said by `Release(Kill)`; the server room then calls `lost`.
    fn feed_server(
        session: Option<&mut Self>,
        link: &mut Self::Link,
        input: &[u8],
        out: &mut Steps,
    ) -> usize;

    /// The client is gone or is being closed while it holds `link`.
    fn abandon(&mut self, link: &mut Self::Link) -> Abandoned;

    /// The backend is gone (or is being cut at a deadline): tells the client the truth
    /// (dataplane.md, "Losing the writer, truthfully").
    fn lost(&mut self, link: &mut Self::Link, out: &mut Steps) -> Outcome;

    /// Answers the first complete request in `input` with an error instead of running it (the
    /// session holds no backend). Returns how many bytes of `input` are done with.
    fn refuse(&mut self, failure: Failure, input: &[u8], out: &mut Steps) -> usize;

    /// Everything was heard that it waited for: ends the answer, or goes on with its request. `whole`: its
    /// own backend has become the ear, and what that said already is for it.
    fn attended(&mut self, whole: bool, out: &mut Steps);

    /// Nobody can listen for it: it is bound to its backend, which does, and its answer ends.
    fn listens_itself(&mut self, link: &mut Self::Link, out: &mut Steps);

    /// What became of the KILL that it has asked for: answers it.
    fn killed(&mut self, outcome: Killed, out: &mut Steps);

    /// The error that goes with closing the client outside a request; a whole message.
    fn farewell(&self, failure: Failure, out: &mut Vec<u8>);

    /// Nothing is begun: no transaction (a virtual one neither), no request read in part.
    fn at_boundary(&self) -> bool;

    /// Its client's next message waits for what of the proxy's own is under way.
    fn is_held(&self) -> bool;

    /// Bound to its backend.
    fn pinned(&self) -> bool;

    /// What it has left in a server process that lasts as long as that.
    fn traces(&self) -> &Traces;
}

/// One ready backend's state.
pub trait Link: Sized {
    /// What the server reported about itself at log-in; serves the welcome of later clients.
    type Params: Clone + PartialEq + Send + Sync + 'static;

    /// What a new client is told: its reports of a session that has set nothing.
    fn template(&self) -> &Arc<Self::Params>;

    /// What sessions have left in it that lasts as long as it does. A client whose own session left less
    /// must not get it.
    fn traces(&self) -> &Traces;

    /// A well-behaved goodbye (Terminate); nothing where a message was forwarded only in part, which
    /// the goodbye would complete.
    fn goodbye(&self, out: &mut Vec<u8>);

    /// Begins to discard the session's state, then to run the init query; feed the
    /// replies without a session until `Release`.
    fn reset(&mut self, init_query: Option<&str>, out: &mut Vec<u8>);

    /// Marks it as being cut: errors that the cut itself causes are translated for the client.
    fn cut(&mut self);

    /// Requests answered to clients since log-in; rises by one at each.
    fn answered(&self) -> u64;

    /// Requests forwarded and not answered yet.
    fn outstanding(&self) -> u32;

    /// Nothing is owed on either side, and no message has gone out in part.
    fn is_quiet(&self) -> bool;

    /// Whether the server has something whole to answer, whatever else it is sent or not.
    fn owes(&self) -> bool;

    /// Inside a transaction as of the last report.
    fn in_transaction(&self) -> bool;

    /// Whether something of what is outstanding may commit. If nothing may, a client that left can't
    /// count on it: cancelling it loses nothing.
    fn may_commit(&self) -> bool;

    /// Says whether others wait for this backend. Then `feed_client` ends behind a request that is
    /// complete, as soon as the server waits for nothing more (no COPY in, no message or batch
    /// forwarded in part, no transaction), until that is answered and the backend may go.
    fn is_wanted(&mut self, wanted: bool);

    /// What a cancel strikes that is sent now.
    fn aim(&self) -> Aim;

    /// It is an ear from here on. Appends what must be sent for that; then that is to be confirmed.
    fn tune(&mut self, out: &mut Vec<u8>);

    /// Has an ear listen to these channels too, and no more to those; or only answer, if there are none.
    /// It is confirmed when it has.
    fn inquire(&mut self, more: &Channels, less: &Channels, out: &mut Vec<u8>);

    /// Looks at the unconsumed bytes of an ear, and takes what is whole of them. Answers how many bytes
    /// are done with, or why it is no use any more.
    fn hear(&mut self, input: &[u8], out: &mut Vec<Heard>) -> Result<usize, KillReason>;
}

/// One wire protocol.
pub trait Engine: Sized + 'static {
    /// `POSTGRESQL`, for logs.
    const NAME: &'static str;
    /// Whether a server says something before its client does.
    const SPEAKS_FIRST: bool;
    /// Its name in ALPN, if it has one.
    const ALPN: Option<&'static str>;
    /// How a user's clients log in, and what is kept of its passwords to check that.
    type Credential: Clone + Send + Sync + 'static;
    /// What a log-in leaves to the session that follows it.
    type Handover: Send + 'static;
    /// The client leg's log-in.
    type ClientLogin: ClientLogin<Credential = Self::Credential, Handover = Self::Handover>
        + Send
        + 'static;
    /// The server leg's log-in.
    type BackendLogin: BackendLogin<Link = Self::Link, Credential = Self::Credential>;
    /// A logged-in client.
    type Session: Session<Link = Self::Link>;
    /// A ready backend; it may move to another worker's thread.
    type Link: Link + Send + 'static;
    /// What cancels a backend's statement.
    type Canceller: Canceller<Link = Self::Link, Credential = Self::Credential>;

    /// A new client's log-in.
    fn login() -> Self::ClientLogin;

    /// The log-in of a client whose session has said [`crate::Step::LogInAgain`], where a protocol has that.
    fn login_again(_: Self::Session, _: &Identity) -> Option<Self::ClientLogin> {
        None
    }

    /// The secret half of a new client's cancel key.
    fn cancel_secret(handover: &Self::Handover, random: &mut dyn FnMut(&mut [u8])) -> CancelSecret;

    /// A new session, and what the client is told at its start (reports of `params`, its cancel
    /// key, ready) appended to `out`.
    fn welcome(
        handover: Self::Handover,
        params: &Arc<<Self::Link as Link>::Params>,
        key: CancelKey,
        out: &mut Vec<u8>,
    ) -> Self::Session;

    /// An error for a client that has authenticated but has no session yet.
    fn farewell(handover: &Self::Handover, failure: Failure, out: &mut Vec<u8>);

    /// The same, with what a database said itself ([`crate::BackendFailure::verbatim`]).
    fn pass_on(handover: &Self::Handover, error: &[u8], out: &mut Vec<u8>);
}
