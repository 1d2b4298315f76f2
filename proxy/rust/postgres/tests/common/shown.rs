//! What bytes say, for people.

/// The messages in some bytes: tag, and what identifies it (SQLSTATE, status, command tag, text).
pub fn show(mut bytes: &[u8]) -> String {
    let mut out = Vec::new();
    while bytes.len() >= 5 {
        let length = u32::from_be_bytes(bytes[1..5].try_into().unwrap()) as usize;
        if bytes.len() < length + 1 {
            break;
        }
        let body = &bytes[5..length + 1];
        let text = |from: usize| {
            let rest = body.get(from..).unwrap_or_default();
            let end = rest.iter().position(|b| *b == 0).unwrap_or(rest.len());
            String::from_utf8_lossy(&rest[..end]).into_owned()
        };
        let detail = match bytes[0] {
            b'E' if body.first() == Some(&b'S') => {
                let fields = String::from_utf8_lossy(body).into_owned();
                fields
                    .split('\0')
                    .find_map(|f| f.strip_prefix('C').map(str::to_owned))
            }
            b'Z' => Some((body[0] as char).to_string()),
            b'C' | b'Q' | b'P' if !body.is_empty() => Some(text(0)).filter(|t| !t.is_empty()),
            b'S' if !body.is_empty() => {
                let name = text(0);
                let value = text(name.len() + 1);
                Some(format!("{name}={value}"))
            }
            _ => None,
        };
        out.push(match detail {
            Some(detail) => format!("{}:{detail}", bytes[0] as char),
            None => (bytes[0] as char).to_string(),
        });
        bytes = &bytes[length + 1..];
    }
    if !bytes.is_empty() {
        out.push(format!("+{}", bytes.len()));
    }
    out.join(" ")
}
