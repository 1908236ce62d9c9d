//! Random UUIDs as text.

use pyo3::prelude::*;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// One UUID (RFC 9562, version 4) for each 16 bytes; a rest is passed over.
#[pyfunction]
#[pyo3(signature = (random, /))]
pub fn uuids(random: &[u8]) -> Vec<String> {
    random.chunks_exact(16).map(text_of).collect()
}

fn text_of(random: &[u8]) -> String {
    let mut out = String::with_capacity(36);
    for (at, byte) in random.iter().enumerate() {
        let byte = match at {
            6 => 0x40 | (byte & 0x0f),
            8 => 0x80 | (byte & 0x3f),
            _ => *byte,
        };
        if matches!(at, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        out.push(char::from(HEX[usize::from(byte >> 4)]));
        out.push(char::from(HEX[usize::from(byte & 15)]));
    }
    out
}
