//! Proofs of passwords. Those of `mysql_native_password` and `client_ed25519` went between PyMySQL and
//! MariaDB 10.11.19, which let it in; those of `caching_sha2_password` were computed by PyMySQL's formulas, the
//! encrypted one by RFC 8017 step by step.

mod common;

use common::hex;
use dbproxy_mysql::auth::{caching_sha2, ed25519, native};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

const PASSWORD: &[u8] = b"secret";
const ALPHABET: &[u8; 20] = b"ABCDEFGHIJKLMNOPQRST";
const KEY: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAn5NlZTge0W1HRQcWDBwE
QXLEsktBmpFE6yY5zjEAkW+ikOnvwKw6MSzaO2fhQ8SwCw5EyqHJTUqMXnAZc7Rm
D+t6mp/gWICDMnsFziY4qjT19gmAF4r2c0r849zoRGhgSrAMFx+IjgbIMdC8DKMD
H7CTbB1YdyCvBjxHilx/CXazZEwXrCHqYhQuqTpne05UrFPgjJ1IfglUf+Puul77
nmpx66DxjgE6DIIX5glJjrtu0aX9r0wFYlw5q6ikNSq7Qm7nWfxHmxSLIt+GBWnp
C+1ny2RjPzUbWgS3mCnHorD6C80M4VNcDXKLpqNRiTUK2qhy4EHWRVZAoc6llQDf
hQIDAQAB
-----END PUBLIC KEY-----
";
/// Of 1024 bits.
const SHORT_KEY: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC//+dpi0ewimtBvrfxHZaCyv+t
mvPMM69Q+yEMlASXlrYKBF9PHEm5j+wWgRisiAOdybvMQ8WlsjfA/7j9iqd+dglP
H2a6vYXkp+nhDTuqGCnRrfnl3EHL0hTei53j9+jddGMVtGJ1xfak16FFhmbtp47v
5SblpCs3ju1x8qXuIQIDAQAB
-----END PUBLIC KEY-----
";

fn array<const N: usize>(text: &str) -> [u8; N] {
    hex(text).try_into().unwrap()
}

#[test]
fn native_is_proven_as_mariadb_wants_it() {
    let scramble = b"hc7&Ym;|!,Z_OLnf7}2}";
    let proof = hex("deb3ed6b00c5f695cde1add11b487e946ac86313");
    let stored = array("14e65567abdb5135d0cfd9a70b3032c179a49ee7");
    assert_eq!(native::proof(PASSWORD, scramble), proof);
    assert_eq!(native::stored(PASSWORD), stored);
    assert!(native::proves(&proof, scramble, &stored));
    let wrong = hex("9989c95cdabfa0fa6194625ee427bc2ff55c705c");
    assert!(!native::proves(&wrong, b"*P3Lf=;O[_I/O\"Y|#7-w", &stored));
}

#[test]
fn ed25519_is_proven_as_mariadb_wants_it() {
    let scramble = array("18b542c35fb4cc9faa11f377a8e32162c6c22751ad48a6ba0b4d3d1023894344");
    let proof = hex(
        "c0d355748c22cd0e9c9ffbb32064f7d9dcd9aaeb4f36507b410b4673ee00f5b2\
         b006c51c625931ba629555e9c7e3f8c475220c0305856641cbe0264692243005",
    );
    let stored = array("648814444520e4f56043a2ec9215e63be7992d2d270bc6dee873e36164786096");
    assert_eq!(ed25519::proof(PASSWORD, &scramble), proof);
    assert_eq!(ed25519::stored(PASSWORD), stored);
    assert!(ed25519::proves(&proof, &scramble, &stored));
}

/// The neutral point signs anything for who has it as his key.
#[test]
fn a_key_that_is_none_proves_nothing() {
    let neutral = array("0100000000000000000000000000000000000000000000000000000000000000");
    let forged = [&neutral[..], &[0; 32]].concat();
    assert!(!ed25519::proves(&forged, &[7; 32], &neutral));
    assert!(!ed25519::proves(&forged, &[7; 32], &[0xff; 32]));
}

#[test]
fn sha2_is_proven_as_pymysql_does() {
    let proof = hex("d721e183c1f036a196c1389201b8d53f38064a16f1d0923683ab886763152d75");
    let stored = array("3881219d087dd9c634373fd33dfa33a2cb6bfc6c520b64b8bb60ef2ceb534ae7");
    assert_eq!(caching_sha2::proof(PASSWORD, ALPHABET), proof);
    assert_eq!(caching_sha2::stored(PASSWORD), stored);
    assert!(caching_sha2::proves(&proof, ALPHABET, &stored));
}

/// The seed that OAEP takes is all sevens.
#[test]
fn a_password_is_encrypted_by_the_servers_key() {
    let mut drawn = 0;
    let mut sevens = |bytes: &mut [u8]| {
        drawn += bytes.len();
        bytes.fill(7);
    };
    let encrypted = caching_sha2::encrypted(PASSWORD, ALPHABET, KEY.as_bytes(), &mut sevens);
    let expected = hex(
        "571afff4145ccf1508782fcdb2b01e31bf364036115034a8afeb39bffeaa5abb21a8566bb6f4e365b9deebe0d6\
         65293e49e11c465e9bd871429b3b80e1201b846d4d8afd34f51d9e5e2b44fe2b35ecaa84f40561cf6a48e2b1b3\
         bbbd2f68148bf73e2692a237e2904a5c14381006ceb46a1a40d77bd9454f82f543524371d0b79847d55b59bb6a\
         336309bc0f95e21a41e3e88005f78a45cd8a42c3699831ece227dc665b86cd95731a88685c557a06fa98d705a6\
         f748e241ed22df6cfef968fdba9293313b93134075ec814f88c659b5c34d4c75925ac8cba03dcdd0e7381866b1\
         43b15f3597d669d84ca39c40ecac458b6d8ea7984445d768bf407f8288691c",
    );
    assert_eq!(encrypted, Some(expected));
    assert_eq!(drawn, 20);
}

/// The scramble is repeated; of what came out this is the SHA-256.
#[test]
fn a_password_longer_than_the_scramble_is_hidden_to_its_end() {
    let password = b"correct horse battery staple";
    let mut sevens = |bytes: &mut [u8]| bytes.fill(7);
    let encrypted = caching_sha2::encrypted(password, ALPHABET, KEY.as_bytes(), &mut sevens);
    let expected = hex("6e27c8a1bb61906415bf734edf3b19cb5c39ced3f061b0c3fc10359fc9827aac");
    assert_eq!(Sha256::digest(encrypted.unwrap()).to_vec(), expected);
}

#[test]
fn a_password_is_not_encrypted_by_what_protects_nothing() {
    let encrypted = |password: &[u8], key: &str| {
        caching_sha2::encrypted(password, ALPHABET, key.as_bytes(), &mut |bytes| {
            bytes.fill(7)
        })
    };
    assert!(encrypted(PASSWORD, KEY).is_some());
    assert_eq!(encrypted(PASSWORD, SHORT_KEY), None);
    assert_eq!(encrypted(PASSWORD, "no key"), None);
    assert_eq!(encrypted(b"a\0b", KEY), None);
    assert!(encrypted(&[b'a'; 213], KEY).is_some());
    assert_eq!(encrypted(&[b'a'; 214], KEY), None);
}

#[test]
fn in_clear_a_nul_ends_the_password() {
    assert_eq!(caching_sha2::in_clear(PASSWORD), Some(b"secret\0".to_vec()));
    assert_eq!(caching_sha2::in_clear(b"a\0b"), None);
}

#[test]
fn an_empty_password_is_proven_by_nothing_and_nothing_proves_it() {
    assert_eq!(native::proof(b"", ALPHABET), b"");
    assert_eq!(caching_sha2::proof(b"", ALPHABET), b"");
    assert_eq!(ed25519::proof(b"", &[7; 32]), b"");
    assert!(!native::proves(b"", ALPHABET, &native::stored(b"")));
    assert!(!caching_sha2::proves(
        b"",
        ALPHABET,
        &caching_sha2::stored(b"")
    ));
    assert!(!ed25519::proves(b"", &[7; 32], &ed25519::stored(b"")));
}

proptest! {
    #[test]
    fn a_proof_proves_its_password_and_no_other(
        password in prop::collection::vec(any::<u8>(), 1..40),
        other in prop::collection::vec(any::<u8>(), 1..40),
        long in any::<[u8; 32]>(),
        flipped in any::<prop::sample::Index>(),
    ) {
        let short: [u8; 20] = long[..20].try_into().unwrap();
        let same = password == other;
        let flip = |proof: &[u8]| {
            let mut proof = proof.to_vec();
            let at = flipped.index(proof.len());
            proof[at] ^= 1;
            proof
        };
        let proof = native::proof(&password, &short);
        prop_assert!(native::proves(&proof, &short, &native::stored(&password)));
        prop_assert_eq!(native::proves(&proof, &short, &native::stored(&other)), same);
        prop_assert!(!native::proves(&flip(&proof), &short, &native::stored(&password)));
        let proof = caching_sha2::proof(&password, &short);
        prop_assert!(caching_sha2::proves(&proof, &short, &caching_sha2::stored(&password)));
        prop_assert_eq!(caching_sha2::proves(&proof, &short, &caching_sha2::stored(&other)), same);
        prop_assert!(!caching_sha2::proves(&flip(&proof), &short, &caching_sha2::stored(&password)));
        let proof = ed25519::proof(&password, &long);
        prop_assert!(ed25519::proves(&proof, &long, &ed25519::stored(&password)));
        prop_assert_eq!(ed25519::proves(&proof, &long, &ed25519::stored(&other)), same);
        prop_assert!(!ed25519::proves(&flip(&proof), &long, &ed25519::stored(&password)));
    }

    #[test]
    fn no_proof_and_no_key_makes_it_panic(
        proof in prop::collection::vec(any::<u8>(), 0..80),
        stored in any::<[u8; 32]>(),
        scramble in any::<[u8; 32]>(),
        key in prop::collection::vec(any::<u8>(), 0..400),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let short: [u8; 20] = scramble[..20].try_into().unwrap();
        prop_assert!(!ed25519::proves(&proof, &scramble, &stored));
        prop_assert!(!caching_sha2::proves(&proof, &short, &stored));
        prop_assert!(!native::proves(&proof, &short, &short));
        let mut broken = KEY.as_bytes().to_vec();
        broken[at.index(KEY.len())] = byte;
        for key in [&key, &broken] {
            caching_sha2::encrypted(&proof, &short, key, &mut |bytes| bytes.fill(7));
        }
    }
}
