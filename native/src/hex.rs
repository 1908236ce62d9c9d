//! Bytes as lower-case hex digits, and random UUIDs.

use pyo3::prelude::*;

/// Appends two digits for each byte.
pub fn push(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            out.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
    }
}

#[pyfunction]
pub fn uuids(random: &[u8]) -> Vec<String> {
    random.chunks_exact(16).map(uuid).collect()
}

/// RFC 9562, version 4.
fn uuid(random: &[u8]) -> String {
    let mut out = String::with_capacity(36);
    push(&mut out, &random[..4]);
    for (at, fixed, mask) in [(4, 0, 0xff), (6, 0x40, 0x0f), (8, 0x80, 0x3f)] {
        out.push('-');
        push(&mut out, &[fixed | (random[at] & mask), random[at + 1]]);
    }
    out.push('-');
    push(&mut out, &random[10..]);
    out
}
