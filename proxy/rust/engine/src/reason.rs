//! Why sessions end, pin, or lose their backend: each an enum whose label is a metric's value.

macro_rules! labelled {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident => $label:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            /// Every variant, for metrics that start at zero.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The value of the `reason` label in metrics and logs.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }
        }
    };
}

labelled! {
    /// Why a client's connection ended.
    CloseReason {
        /// The client said goodbye (Terminate) or closed its socket between requests.
        ClientLeft => "client_left",
        /// The client's socket broke or closed inside a request or a transaction.
        ClientLost => "client_lost",
        /// A message that can't be: unknown type, impossible length, broken contents.
        ProtocolViolation => "protocol_violation",
        /// Bytes stuffed behind SSLRequest or GSSENCRequest before their answer.
        StuffedBytes => "stuffed_bytes",
        /// A message longer than the proxy takes at that point.
        MessageTooLarge => "message_too_large",
        /// The TLS handshake or a TLS record failed.
        TlsFailed => "tls_failed",
        /// TLS is required and the client came without.
        TlsRequired => "tls_required",
        /// Direct TLS without ALPN `postgresql`.
        AlpnMissing => "alpn_missing",
        /// Wrong password.
        AuthenticationFailed => "authentication_failed",
        /// A user that the proxy doesn't know; its client is told of a wrong password.
        UnknownUser => "unknown_user",
        /// The startup packet asked for something that isn't supported.
        UnsupportedStartup => "unsupported_startup",
        /// The log-in was not finished in time.
        LoginTimeout => "login_timeout",
        /// The database refused the log-in that the session needed.
        BackendRefused => "backend_refused",
        /// Had to go, before its log-in was over, for one that came later: too many were logging in,
        /// and it had said nothing for longest.
        CrowdedOut => "crowded_out",
        /// More clients of one user than the proxy takes.
        TooManyOfUser => "too_many_clients_of_user",
        /// More new connections in a second than the proxy takes.
        ConnectionRate => "connection_rate",
        /// More log-ins of one user in a second than the proxy takes.
        LoginRate => "login_rate",
        /// More clients than the proxy takes.
        TooManyClients => "too_many_clients",
        /// No connection came free within the borrow timeout (during log-in).
        BorrowTimeout => "borrow_timeout",
        /// Idle for longer than `idleClientTimeout`.
        IdleTimeout => "idle_timeout",
        /// Idle in a transaction for longer than `idleInTransactionTimeout`.
        IdleInTransaction => "idle_in_transaction_timeout",
        /// Connected for longer than `maxClientLifetime`.
        Lifetime => "lifetime",
        /// The client reads too slowly while others wait.
        SlowReader => "slow_reader",
        /// Its backend was lost and the outcome of a commit is unknown.
        OutcomeUnknown => "outcome_unknown",
        /// Its backend was lost together with session state that lives there.
        PinnedBackendLost => "pinned_backend_lost",
        /// Its backend was lost in the middle of a reply.
        ReplyCutShort => "reply_cut_short",
        /// The database ended the session with a FATAL error, passed on verbatim.
        BackendFatal => "backend_fatal",
        /// The connection that listened for it was lost: it may have missed notifications.
        EarLost => "listening_connection_lost",
        /// More notifications came in for it than are kept, while it was busy.
        TooMuchHeard => "too_many_notifications",
        /// A notification isn't of its encoding, which it has changed since it listens.
        ForeignText => "notification_encoding",
        /// The pod is shutting down.
        Shutdown => "shutdown",
        /// Another client of its user, or it itself, ended it (`KILL`).
        Killed => "killed",
        /// A connection that only brought a CancelRequest.
        CancelRequest => "cancel_request",
    }
}

labelled! {
    /// Of whom a failed log-in to a database says something, and what.
    BackendFault {
        /// Of the server: it can't be reached, starts, stops, or lacks something.
        Unavailable => "unavailable",
        /// It has no connection left: for anybody, or for this user or database, which can't always be told.
        Full => "full",
        /// Somebody broke the protocol; perhaps this log-in's own settings made it so.
        Garbled => "garbled",
        /// Of this very log-in: its password was not accepted. The next one may be tried.
        WrongPassword => "wrong_password",
        /// The same: this user isn't let in, whatever the password.
        NotLetIn => "not_let_in",
        /// The same: its database or a setting is refused.
        Refused => "refused",
    }
}

impl BackendFault {
    /// Whether trying again soon is pointless: the database judged this very log-in.
    pub fn is_final(self) -> bool {
        matches!(self, Self::WrongPassword | Self::NotLetIn | Self::Refused)
    }
}

labelled! {
    /// Why a session is bound to its backend.
    PinReason {
        /// A setting that isn't followed. PostgreSQL: `set_config` among other things, `UPDATE pg_settings`.
        /// MySQL: `sql_log_bin`, `gtid_next`, `timestamp` and the like, `SET ROLE`.
        SessionSetting => "session_setting",
        /// A named prepared statement of the extended protocol.
        NamedStatement => "named_statement",
        /// SQL `PREPARE`, `EXECUTE`, `DEALLOCATE`.
        SqlPrepare => "sql_prepare",
        /// The unnamed statement used across transactions.
        UnnamedStatement => "unnamed_statement",
        /// `LISTEN` where no shared connection can do it for the session.
        Listen => "listen",
        /// A temporary table, view or sequence.
        TemporaryObject => "temporary_object",
        /// MySQL: a user variable that a statement gives a value that isn't known.
        UserVariable => "user_variable",
        /// MySQL: `LOCK TABLES`, `FLUSH TABLES WITH READ LOCK`, `LOCK INSTANCE`, `BACKUP STAGE`.
        LockedTables => "locked_tables",
        /// MySQL: a table that `HANDLER` has opened.
        Handler => "handler",
        /// MySQL: a transaction that `XA` began.
        XaTransaction => "xa_transaction",
        /// MySQL: what the statement before left (`FOUND_ROWS`, warnings), where it can't be told otherwise.
        Diagnostics => "diagnostics",
        /// A cursor that outlives its transaction.
        HeldCursor => "held_cursor",
        /// A session-level advisory lock; MySQL: `GET_LOCK`.
        AdvisoryLock => "advisory_lock",
        /// `currval` or `lastval`; MariaDB: those and `nextval`; MySQL: `SELECT LAST_INSERT_ID(n)`.
        SequenceState => "sequence_state",
        /// `LOAD` and other things that change the server process itself; MySQL: `SET RESOURCE GROUP`.
        ServerProcess => "server_process",
        /// `setseed`, `dblink_connect`, replication origins, `pg_backup_start` and the like.
        SessionFunction => "session_function",
        /// A prepared transaction or other statement whose effects aren't tracked; MariaDB: a block.
        Untracked => "untracked",
        /// A statement that can't be understood.
        Unclassified => "unclassified",
        /// A statement too large to look at.
        StatementTooLarge => "statement_too_large",
    }
}

labelled! {
    /// Why the proxy closes a backend instead of using it again.
    KillReason {
        /// It sent what the protocol doesn't allow at that point.
        OutOfStep => "out_of_step",
        /// The count of its outstanding replies is no longer certain.
        Ambiguous => "ambiguous",
        /// It spoke while idle, or closed.
        SpokeWhileIdle => "spoke_while_idle",
        /// Preparing or resetting it failed.
        ResetFailed => "reset_failed",
        /// Its client went away inside a message or a COPY.
        ClientLost => "client_lost",
        /// Its client reads too slowly.
        SlowReader => "slow_reader",
        /// Its target is no longer the writer.
        WriterLost => "writer_lost",
        /// A cancel for it was not confirmed in time.
        CancelUnconfirmed => "cancel_unconfirmed",
        /// Idle beyond the limit or time.
        Idle => "idle",
        /// Open for longer than `maxConnectionLifetime`.
        Lifetime => "lifetime",
        /// Its place in the budget is needed for another key.
        Evicted => "evicted",
        /// Its target's limit was lowered.
        OverLimit => "over_limit",
        /// It belongs to settings or credentials of before.
        Outdated => "outdated",
        /// Its session was pinned, and closing it is cheaper than cleaning it.
        Pinned => "pinned",
        /// The server closed it or its socket broke.
        ServerClosed => "server_closed",
        /// The pod is shutting down.
        Shutdown => "shutdown",
    }
}

labelled! {
    /// Why a cancel wasn't delivered to its database, as far as is known.
    CancelFailure {
        /// The server gives no TLS now, where the session has it: the cancel wasn't sent.
        TlsRefused => "tls_refused",
        /// The TLS handshake or a TLS record failed.
        TlsFailed => "tls_failed",
        /// The server doesn't let the session's user in.
        LoginFailed => "login_failed",
        /// The server broke the protocol.
        Garbled => "garbled",
        /// The server can't be connected to, or the connection broke.
        Unreachable => "unreachable",
        /// The server took too long.
        TimedOut => "timed_out",
    }
}

/// An error that the proxy itself gives to a client; the engine chooses code and text
/// (product.md, "What a client is told").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// No database connection within the borrow timeout (53300, RDS Proxy's text).
    BorrowTimeout,
    /// The endpoint has no reader at all.
    NoReader,
    /// More clients than the proxy takes (53300); carries the limit.
    TooManyClients(u32),
    /// More clients of one user than the proxy takes (53300).
    TooManyOfUser,
    /// More connections or log-ins in a second than the proxy takes (53300); carries the limit.
    Rate(u32),
    /// The connection that listened for it was lost (57P01).
    EarLost,
    /// More notifications than are kept (57P01).
    TooMuchHeard,
    /// A notification isn't of its encoding (57P01).
    ForeignText,
    /// The pod is shutting down (57P01).
    Shutdown,
    /// `idleClientTimeout` (57P05).
    IdleTimeout,
    /// `idleInTransactionTimeout` (25P03).
    IdleInTransaction,
    /// `maxClientLifetime` (57P01).
    Lifetime,
    /// The client cancelled a request that was still queued (57014).
    Cancelled,
    /// The log-in was not finished in time.
    LoginTimeout,
    /// The database could not be logged into with the credentials that the proxy has; details are in
    /// the proxy's log.
    BackendUnavailable,
    /// Bad bytes from the client (08P01).
    ProtocolViolation,
}
