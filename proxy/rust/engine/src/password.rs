//! Passwords, and the keys that are derived from them at a cost.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// A password in clear text. What prints it prints nothing of it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Password(Arc<str>);

impl Password {
    /// The text, for who must prove that it knows it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Password {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Password {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// Keys kept: a log-in of a user needs the same one each time, as a server's salt for it stays.
const KEPT: usize = 64;

/// Keys that were derived before, of one worker: deriving one takes milliseconds, in which the
/// worker serves nobody. A copy is the same cache.
#[derive(Clone, Default)]
pub struct DerivedKeys(Arc<Mutex<VecDeque<Derived>>>);

struct Derived {
    password: Password,
    salt: Vec<u8>,
    iterations: u32,
    key: [u8; 32],
}

impl DerivedKeys {
    /// The key of these three, by `derive` if it isn't known.
    pub fn key(
        &self,
        password: &Password,
        salt: &[u8],
        iterations: u32,
        derive: impl FnOnce() -> [u8; 32],
    ) -> [u8; 32] {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.iter().find(|one| {
            one.iterations == iterations && one.salt == salt && one.password == *password
        });
        if let Some(known) = known {
            return known.key;
        }
        let key = derive();
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back(Derived {
            password: password.clone(),
            salt: salt.to_vec(),
            iterations,
            key,
        });
        key
    }
}

impl fmt::Debug for DerivedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DerivedKeys")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_printed() {
        assert_eq!(format!("{:?}", Password::from("secret")), "Password");
    }

    #[test]
    fn a_key_is_derived_once_for_each_password_salt_and_count() {
        let keys = DerivedKeys::default();
        let mut derived = 0;
        let mut of = |password: &str, salt: &[u8], iterations| {
            keys.clone().key(&password.into(), salt, iterations, || {
                derived += 1;
                [derived; 32]
            })
        };
        assert_eq!(of("a", b"x", 1), [1; 32]);
        assert_eq!(of("a", b"x", 1), [1; 32]);
        assert_eq!(of("b", b"x", 1), [2; 32]);
        assert_eq!(of("a", b"y", 1), [3; 32]);
        assert_eq!(of("a", b"x", 2), [4; 32]);
    }

    #[test]
    fn only_so_many_are_kept() {
        let keys = DerivedKeys::default();
        for iterations in 0..1000 {
            keys.key(&"a".into(), b"x", iterations, || [0; 32]);
        }
        assert_eq!(keys.0.lock().map(|kept| kept.len()).ok(), Some(KEPT));
        assert_eq!(keys.key(&"a".into(), b"x", 0, || [1; 32]), [1; 32]);
        assert_eq!(keys.key(&"a".into(), b"x", 999, || [1; 32]), [0; 32]);
    }
}
