//! What was heard is exactly what the database produced; the proxy's own error may cut it short.

use crate::postgres::script::Expect;
use crate::witness::Witness;

/// What is wrong with an answer, if something is. `error`: the code and the text of the one in it.
pub fn differ(
    expect: &Expect,
    heard: &[u8],
    error: Option<&(String, String)>,
    witness: &Witness,
) -> Option<String> {
    if error.is_some_and(|(code, _)| code == "0A000") {
        return Some(format!("{expect:?}: {error:?}"));
    }
    let token = expect.tokens.first()?;
    let own_error = error.is_some_and(|(_, text)| !text.starts_with("db:"));
    let produced = witness.produced.get(token).map(|p| p.bytes.as_slice());
    let fits = match produced {
        Some(bytes) if own_error => bytes.starts_with(heard),
        Some(bytes) => bytes == heard,
        // It failed there, and the connection broke before the database saw the Sync.
        None if error.is_some() && !own_error => witness
            .partial
            .get(token)
            .is_some_and(|bytes| bytes == heard),
        None => own_error,
    };
    let lengths = (heard.len(), produced.map(<[u8]>::len));
    let text = || format!("{expect:?}: heard and produced differ: {lengths:?} {error:?}");
    (!fits).then(text)
}
