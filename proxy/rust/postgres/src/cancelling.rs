//! A CancelRequest on its way to a database: nothing but that request, behind TLS where the session has
//! it. The server closes the connection once it has passed the cancel on.

use dbproxy_engine::{CancelFailure, CancelProgress, Canceller, TlsFacts};

use crate::credential::BackendAsk;
use crate::link::Link;
use crate::startup::{self, SslAnswer};
use crate::Credential;

/// One cancel.
#[derive(Debug)]
pub struct Cancelling {
    request: Vec<u8>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The connection is being made; TLS is wanted there or not.
    Connecting {
        secured: bool,
    },
    /// SSLRequest is sent.
    Ssl,
    /// The handshake runs.
    Tls,
    Sent,
}

impl Canceller for Cancelling {
    type Link = Link;
    type Credential = Credential;
    const ENDS_BY_CLOSING: bool = true;

    fn new(
        link: &Link,
        secured: bool,
        _: Option<BackendAsk>,
        _: &mut dyn FnMut(&mut [u8]),
    ) -> Option<Self> {
        let key = link.key.as_ref()?;
        let mut request = Vec::new();
        startup::write_cancel_request(&mut request, key.id, &key.secret);
        let state = State::Connecting { secured };
        Some(Self { request, state })
    }

    fn feed(
        &mut self,
        input: &[u8],
        _: Option<&TlsFacts>,
        out: &mut Vec<u8>,
    ) -> (usize, CancelProgress) {
        match self.state {
            State::Connecting { secured: true } => {
                startup::write_ssl_request(out);
                self.state = State::Ssl;
                (0, CancelProgress::NeedMore)
            }
            State::Ssl => match startup::ssl_answer(input) {
                SslAnswer::NeedMore => (0, CancelProgress::NeedMore),
                SslAnswer::Granted => {
                    self.state = State::Tls;
                    (input.len(), CancelProgress::StartTls)
                }
                _ => (0, CancelProgress::Failed(CancelFailure::TlsRefused)),
            },
            State::Connecting { secured: false } | State::Tls => {
                out.append(&mut self.request);
                self.state = State::Sent;
                (input.len(), CancelProgress::Sent)
            }
            // Nothing is said to one that cancels.
            State::Sent => (input.len(), CancelProgress::NeedMore),
        }
    }
}

#[cfg(test)]
mod tests {
    use dbproxy_engine::Reader;

    use super::*;
    use crate::link::Key;
    use crate::params::Params;

    const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

    fn cancelling(secured: bool) -> Cancelling {
        let (id, secret) = (7, [1, 2, 3, 4].into());
        let link = Link::new(Params::default(), Some(Key { id, secret }), true);
        Cancelling::new(&link, secured, None, &mut |_| {}).expect("it has a key")
    }

    fn fed(cancelling: &mut Cancelling, input: &[u8]) -> (usize, CancelProgress, Vec<u8>) {
        let mut out = Vec::new();
        let (used, progress) = cancelling.feed(input, None, &mut out);
        (used, progress, out)
    }

    fn assert_asks(sent: (usize, CancelProgress, Vec<u8>)) {
        assert_eq!(sent.1, CancelProgress::Sent);
        let mut packet = Reader::new(&sent.2);
        let words: Vec<_> = (0..4).map(|_| packet.u32().expect("a word")).collect();
        assert_eq!(words, [16, 80_877_102, 7, 0x0102_0304]);
        assert!(packet.is_empty());
    }

    #[test]
    fn a_cancel_is_the_first_word_where_the_session_is_not_secured() {
        let mut plain = cancelling(false);
        assert_asks(fed(&mut plain, b""));
        assert_eq!(fed(&mut plain, b"x").1, CancelProgress::NeedMore);
    }

    #[test]
    fn a_key_goes_out_behind_tls_only_where_the_session_is_secured() {
        let mut secured = cancelling(true);
        let asked = (0, CancelProgress::NeedMore, SSL_REQUEST.to_vec());
        assert_eq!(fed(&mut secured, b""), asked);
        let waits = (0, CancelProgress::NeedMore, Vec::new());
        assert_eq!(fed(&mut secured, b""), waits);
        let granted = (1, CancelProgress::StartTls, Vec::new());
        assert_eq!(fed(&mut secured, b"S"), granted);
        assert_asks(fed(&mut secured, b""));
    }

    #[test]
    fn a_server_that_gives_no_tls_or_says_more_gets_no_key() {
        for answer in [&b"N"[..], b"E", b"SS"] {
            let mut secured = cancelling(true);
            fed(&mut secured, b"");
            let failed = CancelProgress::Failed(CancelFailure::TlsRefused);
            assert_eq!(fed(&mut secured, answer), (0, failed, Vec::new()));
        }
    }

    #[test]
    fn what_has_no_key_has_nothing_cancelled() {
        let link = Link::new(Params::default(), None, true);
        assert!(Cancelling::new(&link, false, None, &mut |_| {}).is_none());
    }
}
