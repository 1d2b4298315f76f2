//! TLS fed from buffers: rustls on either leg, and what its certificates say.

use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;

use dbproxy_engine::TlsFacts;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{ring, CryptoProvider};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, Connection, DigitallySignedStruct, Error,
    RootCertStore, ServerConfig, ServerConnection, SignatureScheme,
};
use rustls_pki_types::pem::PemObject;
use sha2::{Digest, Sha256, Sha384, Sha512};
use x509_cert::der::{Decode, SliceReader};

/// The handshake or a record failed, and why; the leg can't be used any more.
#[derive(Debug)]
pub struct TlsFault(pub String);

impl<E: std::error::Error> From<E> for TlsFault {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// The proxy's own certificate.
pub struct ClientTls {
    config: Arc<ServerConfig>,
    end_point: Option<Vec<u8>>,
}

impl ClientTls {
    /// From PEM texts, and the protocol's name in ALPN, if it has one; the error says what is wrong with
    /// the texts.
    pub fn from_pem(certificate: &str, key: &str, alpn: Option<&str>) -> Result<Self, String> {
        let chain = certificates(certificate)?;
        let first = chain
            .first()
            .ok_or_else(|| "tls.certificate: no certificate in the PEM text".to_owned())?;
        let end_point = end_point_hash(first);
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|error| format!("tls.key: {error}"))?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("tls: {error}"))?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| format!("tls: {error}"))?;
        config.alpn_protocols = alpn.into_iter().map(Into::into).collect();
        Ok(Self {
            config: Arc::new(config),
            end_point,
        })
    }
}

/// How far a server's certificate is checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TlsMode {
    /// No TLS.
    Disabled,
    /// TLS where the server offers it, unchecked.
    Preferred,
    /// TLS, unchecked.
    Required,
    /// TLS, signed by the CA.
    VerifyCa,
    /// TLS, signed by the CA, carrying the target's host name.
    VerifyIdentity,
}

/// TLS towards the databases.
pub struct BackendTls {
    /// How far it goes.
    pub mode: TlsMode,
    /// The CA's PEM text, where the mode asks for it.
    ca: Option<Box<str>>,
    config: Option<Arc<ClientConfig>>,
}

impl BackendTls {
    /// From a mode and the CA's PEM text; the error says what is wrong.
    pub fn new(mode: TlsMode, ca: Option<&str>) -> Result<Self, String> {
        let config = match mode {
            TlsMode::Disabled => None,
            _ => Some(Arc::new(client_config(mode, ca)?)),
        };
        let checks = matches!(mode, TlsMode::VerifyCa | TlsMode::VerifyIdentity);
        let ca = ca.filter(|_| checks).map(Into::into);
        Ok(Self { mode, ca, config })
    }

    /// Whether both ask the same of a server.
    pub fn demands_the_same(&self, other: &Self) -> bool {
        self.mode == other.mode && self.ca == other.ca
    }

    /// Whether the certificate is checked.
    pub fn verifies(&self) -> bool {
        matches!(self.mode, TlsMode::VerifyCa | TlsMode::VerifyIdentity)
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| format!("certificate: {error}"))
}

fn client_config(mode: TlsMode, ca: Option<&str>) -> Result<ClientConfig, String> {
    let verifier = match mode {
        TlsMode::VerifyCa | TlsMode::VerifyIdentity => {
            let ca = ca.ok_or("server_tls.ca: VERIFY_CA and VERIFY_IDENTITY need a CA")?;
            let mut roots = RootCertStore::empty();
            for certificate in certificates(ca)? {
                roots
                    .add(certificate)
                    .map_err(|error| format!("server_tls.ca: {error}"))?;
            }
            let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
                .build()
                .map_err(|error| format!("server_tls.ca: {error}"))?;
            Some(inner)
        }
        _ => None,
    };
    let verifier = ModeVerifier {
        inner: verifier,
        any_name: mode == TlsMode::VerifyCa,
        provider: provider(),
    };
    Ok(ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("server_tls: {error}"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

/// Checks as much of the server's certificate as the mode asks for. The handshake's signature is
/// always checked, so the server does own the certificate that channel binding hashes.
#[derive(Debug)]
struct ModeVerifier {
    inner: Option<Arc<WebPkiServerVerifier>>,
    any_name: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for ModeVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(inner) = &self.inner else {
            return Ok(ServerCertVerified::assertion());
        };
        // webpki checks the chain before the name, so a wrong name means that the chain is good.
        match inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.any_name => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// The certificate's hash for `tls-server-end-point` (RFC 5929 §4.1): SHA-256 in place of MD5 and
/// SHA-1, else the signature's own hash; `None` where it has no single one (Ed25519, PSS).
pub fn end_point_hash(certificate: &[u8]) -> Option<Vec<u8>> {
    let mut reader = SliceReader::new(certificate).ok()?;
    let parsed = x509_cert::Certificate::decode(&mut reader).ok()?;
    let oid = parsed.signature_algorithm.oid.to_string();
    match oid.as_str() {
        // MD5, SHA-1 and SHA-256, each with RSA or ECDSA.
        "1.2.840.113549.1.1.4"
        | "1.2.840.113549.1.1.5"
        | "1.2.840.10045.4.1"
        | "1.2.840.113549.1.1.11"
        | "1.2.840.10045.4.3.2" => Some(Sha256::digest(certificate).to_vec()),
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => {
            Some(Sha384::digest(certificate).to_vec())
        }
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => {
            Some(Sha512::digest(certificate).to_vec())
        }
        _ => None,
    }
}

/// One leg's TLS.
pub struct Tls {
    connection: Connection,
    own_end_point: Option<Vec<u8>>,
    verified: bool,
}

/// A leg between two pods, which know each other or never finish their handshake.
impl<C: Into<Connection>> From<C> for Tls {
    fn from(connection: C) -> Self {
        let mut connection = connection.into();
        connection.set_buffer_limit(None);
        Self {
            connection,
            own_end_point: None,
            verified: true,
        }
    }
}

impl Tls {
    /// The server's side of a client's handshake.
    pub fn accept(tls: &ClientTls) -> Result<Self, TlsFault> {
        let mut connection = ServerConnection::new(tls.config.clone())?;
        connection.set_buffer_limit(None);
        Ok(Self {
            connection: Connection::Server(connection),
            own_end_point: tls.end_point.clone(),
            verified: false,
        })
    }

    /// The client's side of a backend's handshake.
    pub fn connect(tls: &BackendTls, server_name: &str) -> Result<Self, TlsFault> {
        let config = tls.config.clone();
        let config = config.ok_or_else(|| TlsFault("tls.mode is DISABLED".to_owned()))?;
        let name = ServerName::try_from(server_name.to_owned())?;
        let mut connection = ClientConnection::new(config, name)?;
        connection.set_buffer_limit(None);
        Ok(Self {
            connection: Connection::Client(connection),
            own_end_point: None,
            verified: tls.verifies(),
        })
    }

    /// Whether the handshake still runs.
    pub fn handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// What the finished handshake found out.
    pub fn facts(&self) -> TlsFacts {
        let peer = self.connection.peer_certificates();
        let end_point = match &self.connection {
            Connection::Server(_) => self.own_end_point.clone(),
            Connection::Client(_) => peer
                .and_then(<[_]>::first)
                .and_then(|der| end_point_hash(der)),
        };
        TlsFacts {
            alpn: self.connection.alpn_protocol().map(<[u8]>::to_vec),
            end_point,
            verified: self.verified,
        }
    }

    /// Takes in records; appends what they held to `plain`. Says whether the peer said goodbye.
    pub fn open(&mut self, mut records: &[u8], plain: &mut Vec<u8>) -> Result<bool, TlsFault> {
        let mut closed = false;
        while !records.is_empty() {
            self.connection.read_tls(&mut records)?;
            let state = self.connection.process_new_packets()?;
            closed |= state.peer_has_closed();
            let mut reader = self.connection.reader();
            let mut chunk = [0_u8; 4096];
            loop {
                match reader.read(&mut chunk) {
                    Ok(0) => break,
                    Ok(n) => plain.extend_from_slice(chunk.get(..n).unwrap_or_default()),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error.into()),
                }
            }
            if closed {
                break;
            }
        }
        Ok(closed)
    }

    /// Makes records of `plain` (may be empty) and of the handshake's own messages.
    pub fn seal(&mut self, plain: &[u8], records: &mut Vec<u8>) -> Result<(), TlsFault> {
        self.connection.writer().write_all(plain)?;
        while self.connection.wants_write() {
            self.connection.write_tls(records)?;
        }
        Ok(())
    }

    /// Says goodbye in the next [`Tls::seal`].
    pub fn say_goodbye(&mut self) {
        self.connection.send_close_notify();
    }
}

#[cfg(test)]
mod tests;
