//! Cancel keys: what a client is given at its welcome, and shows on another connection to have its
//! request cancelled. The server room makes and finds them, an engine writes and reads them.

/// The most bytes of a key's secret half.
const MOST: usize = 32;

/// The secret half of a cancel key.
#[derive(Clone, Copy, Eq, Debug)]
pub struct CancelSecret {
    /// More than [`MOST`]: one that nobody was given.
    length: u8,
    bytes: [u8; MOST],
}

impl CancelSecret {
    /// A fresh one of so many random bytes, of which it has room for 32.
    pub fn fresh(length: usize, random: &mut dyn FnMut(&mut [u8])) -> Self {
        let length = length.min(MOST);
        let mut bytes = [0; MOST];
        if let Some(bytes) = bytes.get_mut(..length) {
            random(bytes);
        }
        Self {
            length: length as u8,
            bytes,
        }
    }

    /// One that was shown.
    pub fn shown(secret: &[u8]) -> Self {
        let mut bytes = [0; MOST];
        let fits = secret.len() <= MOST;
        for (byte, shown) in bytes.iter_mut().zip(secret).filter(|_| fits) {
            *byte = *shown;
        }
        Self {
            length: if fits { secret.len() as u8 } else { u8::MAX },
            bytes,
        }
    }

    /// As it goes over the wire; nothing of one that nobody was given.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes
            .get(..usize::from(self.length))
            .unwrap_or_default()
    }
}

/// In a time that doesn't tell how much of a guess was right.
impl PartialEq for CancelSecret {
    fn eq(&self, other: &Self) -> bool {
        let pairs = self.bytes.iter().zip(&other.bytes);
        let differing = pairs.fold(self.length ^ other.length, |all, (a, b)| all | (a ^ b));
        differing == 0
    }
}

/// A client's cancel key: what BackendKeyData carries, what a CancelRequest brings back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CancelKey {
    /// The "process id" half; the server room encodes in it whose key it is.
    pub id: u32,
    /// The secret half.
    pub secret: CancelSecret,
}

impl CancelKey {
    /// For another pod.
    pub fn to_bytes(&self) -> Vec<u8> {
        [&self.id.to_be_bytes(), self.secret.as_bytes()].concat()
    }

    /// From another pod.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (id, secret) = bytes.split_first_chunk()?;
        Some(Self {
            id: u32::from_be_bytes(*id),
            secret: CancelSecret::shown(secret),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_whole_to_another_pod() {
        for secret in [&[6; 4][..], &[7; MOST]] {
            let secret = CancelSecret::shown(secret);
            let key = CancelKey { id: 5, secret };
            assert_eq!(CancelKey::from_bytes(&key.to_bytes()), Some(key));
        }
        assert_eq!(CancelKey::from_bytes(&[0; 3]), None);
    }

    #[test]
    fn what_was_given_is_known_again_and_nothing_else() {
        let mut count = 0;
        let mut random = |bytes: &mut [u8]| {
            count += 1;
            bytes.fill(count);
        };
        for length in [4, MOST] {
            let given = CancelSecret::fresh(length, &mut random);
            assert_eq!(given.as_bytes().len(), length);
            assert_eq!(CancelSecret::shown(given.as_bytes()), given);
            for wrong in 0..length {
                let bytes = given.as_bytes().iter().enumerate();
                let guess: Vec<u8> = bytes.map(|(at, b)| b ^ u8::from(at == wrong)).collect();
                assert_ne!(CancelSecret::shown(&guess), given);
            }
            assert_ne!(CancelSecret::fresh(length, &mut random), given);
        }
        for (given, shown) in [
            (4, MOST),
            (4, 3),
            (4, 5),
            (4, 0),
            (0, MOST + 1),
            (0, 256),
            (0, 512),
        ] {
            let of = |length| CancelSecret::shown(&vec![0; length]);
            assert_ne!(of(given), of(shown), "{given} {shown}");
        }
    }
}

/// What a cancel strikes that is sent now; the greater, the more of it is what its client means.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Aim {
    /// Nothing runs.
    Nothing,
    /// What of the proxy's own mustn't be struck.
    Ours,
    /// What the proxy makes for a request of the client's. If that isn't sent yet, it fails with it.
    Make,
    /// A request of the client's.
    Request,
}
