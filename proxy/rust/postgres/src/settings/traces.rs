//! The custom settings (`my.tenant`) that a server process has. One that was set there once is there for
//! good: empty where it isn't set, to be seen by `current_setting`, also after DISCARD ALL.

use std::sync::Arc;

use dbproxy_engine::Traces;

/// More of one session are not followed.
pub(crate) const MOST: usize = 32;

/// These and that one, sorted.
pub(crate) fn and(traces: &Traces, name: &Arc<str>) -> Traces {
    match traces.binary_search(name) {
        Ok(_) => Arc::clone(traces),
        Err(at) => {
            let (before, behind) = traces.split_at(at);
            let one = std::slice::from_ref(name);
            [before, one, behind].concat().into()
        }
    }
}

/// The settings that a backend has by the options that it logged in with (`-c a.b=c`, `--a.b=c`).
pub(crate) fn of_options(options: &str) -> impl Iterator<Item = Arc<str>> + '_ {
    let mut switch = false;
    options.split_ascii_whitespace().filter_map(move |word| {
        let setting = match word.strip_prefix("--").or(word.strip_prefix("-c")) {
            Some("") => {
                switch = true;
                return None;
            }
            Some(setting) => setting,
            None if std::mem::take(&mut switch) => word,
            None => return None,
        };
        let name = setting.split('=').next().unwrap_or_default();
        let name = name.replace('-', "_").to_ascii_lowercase();
        name.contains('.').then(|| name.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_sorted_and_single() {
        let mut traces: Traces = [].into();
        for name in ["b.b", "a.a", "c.c", "b.b"] {
            traces = and(&traces, &name.into());
        }
        assert_eq!(*traces, ["a.a".into(), "b.b".into(), "c.c".into()]);
    }

    #[test]
    fn options_are_read_in_all_their_forms() {
        let options = "-c My.a=1 -cmy.b=2 --my.c-d=3 -c geqo=off -e";
        let names: Vec<_> = of_options(options).collect();
        assert_eq!(names, ["my.a".into(), "my.b".into(), "my.c_d".into()]);
    }
}
