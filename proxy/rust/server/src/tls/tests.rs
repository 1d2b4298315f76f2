use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ServerConfig, ServerConnection};

use super::*;

const CA: &str = include_str!("../../tests/certificates/ca.pem");
const KEY: &[u8] = include_bytes!("../../tests/certificates/server.key");
const GOOD: &str = include_str!("../../tests/certificates/server.pem");
/// Without a subjectAltName; its common name is `db0`.
const NAMELESS: &str = include_str!("../../tests/certificates/nameless.pem");
/// Signed by itself, as `openssl req -x509` makes them.
const OWN_AUTHORITY: &str = include_str!("../../tests/certificates/own-authority.pem");
/// Without any extension.
const VERSION_1: &str = include_str!("../../tests/certificates/version-1.pem");
const TROUBLESHOOTING: &str = include_str!("../../../../../docs/troubleshooting.md");

/// What becomes of a handshake with `db0` that shows a certificate.
fn handshake(mode: TlsMode, ca: &str, certificate: &str) -> Result<(), TlsFault> {
    let key = PrivateKeyDer::from_pem_slice(KEY).expect("a key");
    let key = provider().key_provider.load_private_key(key);
    let chain = certificates(certificate).expect("a certificate");
    // Shown as it is: a server's own rustls would refuse some of them.
    let shown = SingleCertAndKey::from(CertifiedKey::new(chain, key.expect("a key")));
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(shown));
    let mut server = ServerConnection::new(Arc::new(config)).expect("a server's side");
    let tls = BackendTls::new(mode, Some(ca)).expect("a CA");
    let mut client = Tls::connect(&tls, "db0")?;
    while client.handshaking() {
        let mut records = Vec::new();
        client.seal(&[], &mut records)?;
        let mut records = records.as_slice();
        while !records.is_empty() {
            server.read_tls(&mut records).expect("records in memory");
            server.process_new_packets().expect("a client's part");
        }
        let mut records = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut records).expect("room");
        }
        client.open(&records, &mut Vec::new())?;
    }
    Ok(())
}

#[test]
fn a_certificate_of_the_ca_for_that_name_passes_every_mode() {
    for mode in [
        TlsMode::Required,
        TlsMode::VerifyCa,
        TlsMode::VerifyIdentity,
    ] {
        assert!(handshake(mode, CA, GOOD).is_ok(), "{mode:?}");
    }
    assert!(handshake(TlsMode::VerifyCa, CA, NAMELESS).is_ok());
}

#[test]
fn a_refused_certificate_is_told_why_in_words_that_the_documents_explain() {
    use TlsMode::{Required, VerifyCa, VerifyIdentity};
    let cases = [
        (VerifyCa, OWN_AUTHORITY, OWN_AUTHORITY, "CaUsedAsEndEntity"),
        (VerifyCa, OWN_AUTHORITY, GOOD, "UnknownIssuer"),
        (VerifyCa, CA, VERSION_1, "UnsupportedCertVersion"),
        (Required, CA, VERSION_1, "UnsupportedCertVersion"),
        (VerifyIdentity, CA, NAMELESS, "not valid for any names"),
    ];
    for (mode, ca, certificate, reason) in cases {
        let fault = handshake(mode, ca, certificate).expect_err(reason);
        assert!(fault.0.contains(reason), "{reason}: {}", fault.0);
        assert!(TROUBLESHOOTING.contains(reason), "{reason} isn't explained");
    }
}
