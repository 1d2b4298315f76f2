//! The model database's connections, under TLS where it was granted: a real one, of which the bytes
//! differ from run to run and the lengths don't (Ed25519 signs everything in 64 bytes).

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::{Arc, OnceLock};

use dbproxy_driver::sim::SimDriver;
use dbproxy_driver::{Buffer, Driver, Token};
use rustls::crypto::ring;
use rustls::{ServerConfig, ServerConnection};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Who signed the model databases' certificate.
pub const CA: &str = include_str!("../certificates/ca.pem");
const CERTIFICATE: &[u8] = include_bytes!("../certificates/server.pem");
const KEY: &[u8] = include_bytes!("../certificates/server.key");

pub struct Sockets {
    pub driver: SimDriver,
    layers: BTreeMap<Token, ServerConnection>,
}

impl Sockets {
    pub fn new(driver: SimDriver) -> Self {
        Self {
            driver,
            layers: BTreeMap::new(),
        }
    }

    /// From here on a connection is secret.
    pub fn start_tls(&mut self, token: Token) {
        let layer = ServerConnection::new(config()).expect("a server's side");
        self.layers.insert(token, layer);
    }

    pub fn is_secret(&self, token: Token) -> bool {
        self.layers.contains_key(&token)
    }

    pub fn send(&mut self, token: Token, bytes: Vec<u8>) {
        let Some(layer) = self.layers.get_mut(&token) else {
            self.driver.send(token, Buffer::from_vec(bytes));
            return;
        };
        layer.writer().write_all(&bytes).expect("room");
        self.flush(token);
    }

    /// What a peer said, without its TLS; nothing where that failed.
    pub fn take(&mut self, token: Token, data: Buffer) -> Vec<u8> {
        let bytes = data.as_slice().to_vec();
        self.driver.recycle(data);
        let Some(layer) = self.layers.get_mut(&token) else {
            return bytes;
        };
        let (mut records, mut plain) = (bytes.as_slice(), Vec::new());
        while !records.is_empty() {
            layer.read_tls(&mut records).expect("records in memory");
            if layer.process_new_packets().is_err() {
                break;
            }
            // It ends with an error where more may come.
            layer.reader().read_to_end(&mut plain).ok();
        }
        self.flush(token);
        plain
    }

    pub fn close(&mut self, token: Token) {
        self.layers.remove(&token);
        self.driver.close(token);
    }

    fn flush(&mut self, token: Token) {
        let Some(layer) = self.layers.get_mut(&token) else {
            return;
        };
        let mut records = Vec::new();
        while layer.wants_write() {
            layer.write_tls(&mut records).expect("room");
        }
        if !records.is_empty() {
            self.driver.send(token, Buffer::from_vec(records));
        }
    }
}

fn config() -> Arc<ServerConfig> {
    static MADE: OnceLock<Arc<ServerConfig>> = OnceLock::new();
    let make = || {
        let certificate = CertificateDer::from_pem_slice(CERTIFICATE).expect("a certificate");
        let key = PrivateKeyDer::from_pem_slice(KEY).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key);
        Arc::new(config.expect("a key that fits"))
    };
    MADE.get_or_init(make).clone()
}
