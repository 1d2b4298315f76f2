//! PostgreSQL's MD5 password exchange, both sides.

use md5::{Digest, Md5};
use subtle::ConstantTimeEq;

/// `md5` + hex(md5(password + user)), as the server stores it.
pub(crate) fn stored(user: &str, password: &str) -> String {
    format!("md5{}", hex(&[password.as_bytes(), user.as_bytes()]))
}

/// What a client answers to a salt.
pub(crate) fn response(stored: &str, salt: &[u8]) -> String {
    let secret = stored.strip_prefix("md5").unwrap_or(stored);
    format!("md5{}", hex(&[secret.as_bytes(), salt]))
}

/// Whether `answer` proves the password behind `stored`.
pub(crate) fn proves(answer: &[u8], stored: &str, salt: &[u8]) -> bool {
    answer.ct_eq(response(stored, salt).as_bytes()).into()
}

fn hex(parts: &[&[u8]]) -> String {
    let mut hash = Md5::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Role u, password p.
    #[test]
    fn stores_what_postgresql_stores() {
        assert_eq!(stored("u", "p"), "md5534b9a3588bdd87bf7c3b9d650e43e46");
    }

    #[test]
    fn a_response_proves_only_its_password_and_salt() {
        let stored = stored("app", "secret");
        let answer = response(&stored, b"salt");
        assert!(proves(answer.as_bytes(), &stored, b"salt"));
        assert!(!proves(answer.as_bytes(), &stored, b"tlas"));
        assert!(!proves(b"", &stored, b"salt"));
    }
}
