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

/// Derives a key bit by bit; each call does some milliseconds' work at most.
pub type Work = Box<dyn FnMut() -> Option<[u8; 32]> + Send>;

/// A key that is derived, or on its way there. A copy is the same one: whoever needs it moves it on
/// for all.
#[derive(Clone)]
pub struct Derivation(Arc<Mutex<Stage>>);

enum Stage {
    Running(Work),
    Done([u8; 32]),
}

impl Derivation {
    /// Does one piece of what is left. Answers the key once it is there.
    pub fn advance(&self) -> Option<[u8; 32]> {
        let mut stage = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = match &mut *stage {
            Stage::Running(work) => work()?,
            Stage::Done(key) => return Some(*key),
        };
        *stage = Stage::Done(key);
        Some(key)
    }
}

impl fmt::Debug for Derivation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Derivation")
    }
}

/// Keys that were derived before, of one worker: deriving one takes milliseconds at least, in which
/// the worker serves nobody. A copy is the same cache.
#[derive(Clone, Default)]
pub struct DerivedKeys(Arc<Mutex<VecDeque<Derived>>>);

struct Derived {
    password: Password,
    salt: Vec<u8>,
    iterations: u32,
    key: Derivation,
}

impl DerivedKeys {
    /// The key of these three, by what `begin` begins if it isn't known.
    pub fn key(
        &self,
        password: &Password,
        salt: &[u8],
        iterations: u32,
        begin: impl FnOnce() -> Work,
    ) -> Derivation {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.iter().find(|one| {
            one.iterations == iterations && one.salt == salt && one.password == *password
        });
        if let Some(known) = known {
            return known.key.clone();
        }
        let key = Derivation(Arc::new(Mutex::new(Stage::Running(begin()))));
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back(Derived {
            password: password.clone(),
            salt: salt.to_vec(),
            iterations,
            key: key.clone(),
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

    /// Is done at its second piece.
    fn work(key: u8) -> Work {
        let mut pieces = 0;
        Box::new(move || {
            pieces += 1;
            (pieces == 2).then_some([key; 32])
        })
    }

    #[test]
    fn a_key_is_derived_once_for_each_password_salt_and_count() {
        let keys = DerivedKeys::default();
        let mut begun = 0;
        let mut of = |password: &str, salt: &[u8], iterations| {
            let key = keys.clone().key(&password.into(), salt, iterations, || {
                begun += 1;
                work(begun)
            });
            key.advance().or_else(|| key.advance())
        };
        assert_eq!(of("a", b"x", 1), Some([1; 32]));
        assert_eq!(of("a", b"x", 1), Some([1; 32]));
        assert_eq!(of("b", b"x", 1), Some([2; 32]));
        assert_eq!(of("a", b"y", 1), Some([3; 32]));
        assert_eq!(of("a", b"x", 2), Some([4; 32]));
    }

    #[test]
    fn who_needs_a_key_that_is_being_derived_moves_it_on_for_all() {
        let keys = DerivedKeys::default();
        let one = keys.key(&"a".into(), b"x", 1, || work(1));
        assert_eq!(one.advance(), None);
        let other = keys.key(&"a".into(), b"x", 1, || work(2));
        assert_eq!(other.advance(), Some([1; 32]));
        assert_eq!(one.advance(), Some([1; 32]));
    }

    #[test]
    fn only_so_many_are_kept_and_who_began_one_keeps_it() {
        let keys = DerivedKeys::default();
        let first = keys.key(&"a".into(), b"x", 0, || work(0));
        assert_eq!(first.advance(), None);
        for iterations in 1..1000 {
            keys.key(&"a".into(), b"x", iterations, || work(1));
        }
        assert_eq!(keys.0.lock().map(|kept| kept.len()).ok(), Some(KEPT));
        assert_eq!(first.advance(), Some([0; 32]));
        assert_eq!(keys.key(&"a".into(), b"x", 0, || work(2)).advance(), None);
    }
}
