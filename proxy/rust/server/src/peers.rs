//! The pods of one fleet: which of them gave out a cancel key, and how they know each other.
//!
//! A key's id says whose it is. Ten of its bits, the badge, stand for the pod's address, the others
//! for the client there (`ids.rs`); its secret says nothing. Two pods may have the same badge, so
//! each of those is asked in turn. The front thread makes ids and reads them, and passes on what
//! isn't its own (`front/errands.rs`).
//!
//! Pods speak TLS 1.3 with each other, both sides proving the same raw key (RFC 7250), which follows
//! from the fleet's secret: every pod has that, nobody else does, and unlike a certificate it neither
//! expires nor comes from the user.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use dbproxy_engine::CLIENT_IDS;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::{ring, verify_tls13_signature_with_raw_key, CryptoProvider};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer,
    UnixTime,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    ServerConnection, SignatureScheme,
};
use sha2::{Digest, Sha256};

use crate::tls::{Tls, TlsFault};

/// Names what is said, so that pods of releases that say something else refuse each other.
const ALPN: &[u8] = b"dbproxy-cancel/1";
/// What the key between pods is derived for.
const PURPOSE: &[u8] = b"dbproxy: key between the pods of a fleet\0";
/// An Ed25519 key in PKCS #8 (RFC 8410), up to its seed.
const ED25519_PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// Bits of an id that say which of its pod's clients it is.
const NUMBER_BITS: u32 = CLIENT_IDS.start.trailing_zeros();
/// So many clients of a pod can be told apart.
pub const NUMBERS: u32 = 1 << NUMBER_BITS;
const BADGES: u32 = CLIENT_IDS.end / NUMBERS - 1;
/// Of pods with the badge that is sought, so many are asked at most.
const MOST_NAMESAKES: usize = 4;

/// What stands for a pod in the ids that it gives out; never 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Badge(u32);

impl Badge {
    /// Of the pod at that address.
    pub fn of(address: IpAddr) -> Self {
        let hash = match address.to_canonical() {
            IpAddr::V4(address) => Sha256::digest(address.octets()),
            IpAddr::V6(address) => Sha256::digest(address.octets()),
        };
        let first = hash.first_chunk().copied().unwrap_or_default();
        Self(1 + u32::from_be_bytes(first) % BADGES)
    }

    /// The one in an id.
    pub fn in_id(id: u32) -> Self {
        Self(id >> NUMBER_BITS)
    }

    /// The id of the client that has this number, of less than [`NUMBERS`].
    pub fn id(self, number: u32) -> u32 {
        self.0 << NUMBER_BITS | (number % NUMBERS)
    }
}

/// The other pods of the fleet, and how they are spoken to.
pub struct Peers {
    /// Where each pod listens for the others.
    pub port: u16,
    others: Vec<IpAddr>,
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Peers {
    /// Those at `others`, who have the same `secret`. The error says what TLS doesn't like.
    pub fn new(secret: &[u8], port: u16, others: Vec<IpAddr>) -> Result<Self, String> {
        let told = |error: Error| format!("peers: {error}");
        let provider = Arc::new(ring::default_provider());
        let seed = Sha256::new().chain_update(PURPOSE).chain_update(secret);
        let pkcs8 = [&ED25519_PKCS8[..], &seed.finalize()[..]].concat();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(pkcs8));
        let key = provider.key_provider.load_private_key(key).map_err(told)?;
        let public = key
            .public_key()
            .ok_or("peers: the key has no public half")?;
        let shown = CertificateDer::from(public.to_vec());
        let same = Arc::new(SameKey {
            shown: shown.clone(),
            provider: provider.clone(),
        });
        let key = Arc::new(CertifiedKey::new(vec![shown], key));
        let mut client = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13])
            .map_err(told)?
            .dangerous()
            .with_custom_certificate_verifier(same.clone())
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(
                key.clone(),
            )));
        client.alpn_protocols = vec![ALPN.to_vec()];
        client.resumption = Resumption::disabled();
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(told)?
            .with_client_cert_verifier(same)
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(key)));
        server.alpn_protocols = vec![ALPN.to_vec()];
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        Ok(Self {
            port,
            others,
            client: Arc::new(client),
            server: Arc::new(server),
        })
    }

    /// Where the pods are that have this badge.
    pub fn with_badge(&self, badge: Badge) -> Vec<SocketAddr> {
        let all = self.others.iter().filter(|ip| Badge::of(**ip) == badge);
        let few = all.take(MOST_NAMESAKES);
        few.map(|ip| SocketAddr::new(*ip, self.port)).collect()
    }

    /// The side of the pod that has something to say.
    pub fn call(&self, to: IpAddr) -> Result<Tls, TlsFault> {
        let name = ServerName::from(to);
        Ok(ClientConnection::new(self.client.clone(), name)?.into())
    }

    /// The side of the pod that listens.
    pub fn answer(&self) -> Result<Tls, TlsFault> {
        Ok(ServerConnection::new(self.server.clone())?.into())
    }
}

/// Takes whoever proves that it has our own key.
#[derive(Debug)]
struct SameKey {
    shown: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl SameKey {
    fn is(&self, shown: &CertificateDer<'_>) -> Result<(), Error> {
        if *shown == self.shown {
            return Ok(());
        }
        Err(Error::General("not a pod of this fleet".to_owned()))
    }

    fn proven(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(shown.as_ref());
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &key, signed, algorithms)
    }
}

/// TLS 1.2 isn't spoken.
fn never() -> Result<HandshakeSignatureValid, Error> {
    Err(Error::General("pods speak TLS 1.3".to_owned()))
}

impl ServerCertVerifier for SameKey {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.is(end_entity)
            .map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        never()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.proven(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for SameKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.is(end_entity)
            .map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        never()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.proven(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(secret: &[u8]) -> Peers {
        Peers::new(secret, 1, Vec::new()).expect("a key")
    }

    /// What becomes of a handshake between two pods, and of what one says to the other behind it.
    fn meet(caller: &Peers, answerer: &Peers) -> Result<Vec<u8>, TlsFault> {
        let mut call = caller.call("10.0.0.1".parse().expect("an address"))?;
        let mut answer = answerer.answer()?;
        let mut heard = Vec::new();
        for said in [&b""[..], b"", b"cancel"] {
            let (mut forth, mut back) = (Vec::new(), Vec::new());
            call.seal(said, &mut forth)?;
            answer.open(&forth, &mut heard)?;
            answer.seal(b"", &mut back)?;
            call.open(&back, &mut Vec::new())?;
        }
        Ok(heard)
    }

    #[test]
    fn pods_of_one_fleet_know_each_other_and_nobody_else() {
        let (ours, theirs) = (peers(b"ours"), peers(b"theirs"));
        assert_eq!(meet(&ours, &peers(b"ours")).expect("one fleet"), b"cancel");
        assert!(meet(&ours, &theirs).is_err());
        assert!(meet(&theirs, &ours).is_err());
    }

    #[test]
    fn a_caller_without_the_key_is_not_heard() {
        // It trusts whoever answers, and has a key of its own to show.
        let (ours, mut theirs) = (peers(b"ours"), peers(b"theirs"));
        let mut config = (*theirs.client).clone();
        let trusting = SameKey {
            shown: public_key(b"ours"),
            provider: Arc::new(ring::default_provider()),
        };
        config
            .dangerous()
            .set_certificate_verifier(Arc::new(trusting));
        theirs.client = Arc::new(config);
        let refused = meet(&theirs, &ours).expect_err("it was heard");
        assert!(
            refused.0.contains("not a pod of this fleet"),
            "{}",
            refused.0
        );
    }

    fn public_key(secret: &[u8]) -> CertificateDer<'static> {
        let seed = Sha256::new().chain_update(PURPOSE).chain_update(secret);
        let pkcs8 = [&ED25519_PKCS8[..], &seed.finalize()[..]].concat();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(pkcs8));
        let key = ring::default_provider().key_provider.load_private_key(key);
        let key = key.expect("a key").public_key().map(|key| key.to_vec());
        CertificateDer::from(key.expect("a public half"))
    }

    #[test]
    fn an_id_says_which_pod_gave_it_out() {
        let badge = Badge::of("10.1.2.3".parse().expect("an address"));
        for number in [0, 1, NUMBERS - 1] {
            let id = badge.id(number);
            assert!(CLIENT_IDS.contains(&id));
            assert_eq!(Badge::in_id(id), badge);
            assert_eq!(id % NUMBERS, number);
        }
    }

    #[test]
    fn a_pod_is_asked_by_its_badge_and_few_of_those_that_share_one() {
        let others: Vec<IpAddr> = (0..u16::MAX)
            .map(|n| IpAddr::from([10, 0, (n >> 8) as u8, n as u8]))
            .collect();
        let many = Peers::new(b"", 7, others.clone()).expect("a key");
        let asked = many.with_badge(Badge::of(others[5]));
        assert_eq!(asked.len(), MOST_NAMESAKES);
        let few = Peers::new(b"", 7, others[..3].to_vec()).expect("a key");
        let asked = few.with_badge(Badge::of(others[1]));
        assert!(asked.contains(&SocketAddr::new(others[1], 7)));
        assert_eq!(few.with_badge(Badge(0)), []);
    }

    #[test]
    fn an_address_has_one_badge_however_it_is_written() {
        let mapped: IpAddr = "::ffff:10.1.2.3".parse().expect("an address");
        let plain: IpAddr = "10.1.2.3".parse().expect("an address");
        assert_eq!(Badge::of(mapped), Badge::of(plain));
    }
}
