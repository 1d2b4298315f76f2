//! What judging a statement costs, remembered and not; for `make bench`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use super::classify::{classify, Dialect};
use super::memory::Memory;

/// How long each text is judged over and over.
const LONG: Duration = Duration::from_millis(200);
const AT_ONCE: u32 = 1000;

/// Nanoseconds that judging `text` takes: one that was judged lately, and one that was not.
pub fn nanoseconds(text: &str) -> (f64, f64) {
    let dialect = Dialect {
        literal_backslashes: true,
        ascii_safe: true,
    };
    let text = text.as_bytes();
    let mut memory = Memory::default();
    let remembered = each(|| memory.classify(black_box(text), dialect).writes);
    let judged = each(|| classify(black_box(text), dialect).writes);
    (remembered, judged)
}

fn each(mut work: impl FnMut() -> bool) -> f64 {
    let begun = Instant::now();
    let mut times = 0.0;
    while begun.elapsed() < LONG {
        for _ in 0..AT_ONCE {
            black_box(work());
        }
        times += f64::from(AT_ONCE);
    }
    begun.elapsed().as_nanos() as f64 / times
}
