//! All that the server room knows of the network: a [`Driver`] turns requests into completions.
//!
//! The real drivers are in the `io` crate; `sim` is an in-memory network under a seed. A driver
//! belongs to one thread; only its [`Waker`] and detached sockets cross threads.
#![forbid(unsafe_code)]

mod buffer;
#[cfg(feature = "contract")]
pub mod contract;
mod queue;
pub mod sim;
mod time;

pub use buffer::{Buffer, BufferPool, BUFFER_SIZE, KEPT_BUFFERS};
pub use queue::SendQueue;
pub use time::{Duration, Time};

use std::io;
use std::net::SocketAddr;

/// Names one socket or listener of one driver; never reused for another one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Token {
    /// Slot in the driver's table; small and dense, so that callers may index by it.
    pub index: u32,
    /// Distinguishes successive users of a slot.
    pub generation: u32,
}

/// What happened. `S` is the driver's detached socket.
#[derive(Debug)]
pub enum Event<S> {
    /// A listener took a connection; it is not armed yet.
    Accepted {
        /// The listener.
        listener: Token,
        /// The new socket.
        socket: Token,
        /// Who came.
        peer: SocketAddr,
    },
    /// A `connect` came through; the socket is not armed yet.
    Connected {
        /// The socket.
        socket: Token,
    },
    /// Bytes came in; never empty. At most one buffer's worth.
    Received {
        /// The socket.
        socket: Token,
        /// The bytes; give the buffer back with `send` or `recycle`.
        data: Buffer,
    },
    /// All that was queued on the socket has been written (only after `send` said it queued).
    Sent {
        /// The socket.
        socket: Token,
    },
    /// The peer closed its side (`error` is `None`), or the socket or its `connect` failed. No
    /// more `Received` will come; the owner must still `close` it. What is sent to a peer that only
    /// closed its side still goes out; another `Closed` says when that fails.
    Closed {
        /// The socket.
        socket: Token,
        /// What failed.
        error: Option<io::ErrorKind>,
    },
    /// A `detach` came through: the token is dead, the socket may go to another driver. Everything
    /// received before came as `Received` before this.
    Detached {
        /// The dead token.
        socket: Token,
        /// The socket.
        detached: S,
    },
    /// Somebody used the waker.
    Woken,
}

/// How a peer that vanished without a word is noticed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TcpOptions {
    /// When a quiet peer is asked whether it is still there.
    pub keepalive_idle: Duration,
    /// How often from then on.
    pub keepalive_interval: Duration,
    /// How many questions in a row it may leave unanswered; counts only without a `user_timeout`.
    pub keepalive_count: u32,
    /// It is given up after that time: with bytes in flight by their acknowledgement, without by the
    /// first question that is unanswered then.
    pub user_timeout: Option<Duration>,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self {
            keepalive_idle: Duration::from_secs(60),
            keepalive_interval: Duration::from_secs(10),
            keepalive_count: 9,
            user_timeout: Some(Duration::from_secs(120)),
        }
    }
}

/// Ends a driver's `wait` from another thread.
pub trait Waker: Clone + Send + Sync + 'static {
    /// Makes the next or current `wait` return with [`Event::Woken`]; many wakes may become one.
    fn wake(&self);
}

/// Sockets as completions.
pub trait Driver {
    /// A socket that is on its way to another thread's driver. Dropping it closes it.
    type Socket: Send + std::fmt::Debug + 'static;
    /// See [`Waker`].
    type Waker: Waker;

    /// Monotonic time as of the last `wait`.
    fn now(&self) -> Time;

    /// What connections carry from now on that are opened, or that listeners accept; those that are
    /// open keep what they have. It fails for what the platform doesn't take, and then for listeners
    /// only; they keep what they had.
    fn set_tcp(&mut self, options: TcpOptions) -> io::Result<()>;

    /// Opens a listener; connections come as `Accepted` at once.
    fn listen(&mut self, address: SocketAddr) -> io::Result<Token>;

    /// The port that a listener got (for port 0).
    fn listening_on(&self, listener: Token) -> Option<SocketAddr>;

    /// Begins to connect: `Connected` or `Closed` follows.
    fn connect(&mut self, address: SocketAddr) -> Token;

    /// Whether to receive. Disarmed sockets still report `Closed` on a reset where the platform
    /// tells, but nothing is read.
    fn arm(&mut self, socket: Token, armed: bool);

    /// Sends a buffer after all earlier ones; takes it back when done. Returns what
    /// [`queued`](Driver::queued) would. Errors come as `Closed`.
    fn send(&mut self, socket: Token, data: Buffer) -> usize;

    /// Bytes of memory that the driver holds for what is queued on the socket (0: everything is
    /// with the kernel). Not the bytes to send: a small piece may hold a whole buffer.
    fn queued(&self, socket: Token) -> usize;

    /// Closes the sending side after what is queued (FIN); receiving goes on.
    fn finish(&mut self, socket: Token);

    /// Closes at once; what is queued is lost, no more events for it. What the kernel has already
    /// is still delivered, for as long as it takes.
    fn close(&mut self, token: Token);

    /// Closes at once, and takes back all that the peer hasn't received yet: the connection is
    /// reset, no more events for it.
    fn abort(&mut self, token: Token);

    /// Takes a socket with nothing queued out of this driver: `Detached` follows.
    fn detach(&mut self, socket: Token);

    /// Takes in a socket that another driver detached; it is not armed.
    fn attach(&mut self, socket: Self::Socket) -> Token;

    /// An empty buffer from the pool.
    fn buffer(&mut self) -> Buffer;

    /// Gives a buffer back to the pool.
    fn recycle(&mut self, buffer: Buffer);

    /// See [`Waker`].
    fn waker(&self) -> Self::Waker;

    /// Waits until something happens or the deadline passes, and appends what happened.
    fn wait(&mut self, deadline: Option<Time>, events: &mut Vec<Event<Self::Socket>>);
}
