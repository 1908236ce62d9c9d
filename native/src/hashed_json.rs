//! What an audit entry shows of a JSON object: its shape, and of each string only a keyed hash.
//!
//! One pass from text to text: decoding, walking and encoding cost twice what the hashes do.

use crate::keyed::{HmacSha256, HEX};
use aws_lc_rs::hmac;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// The object `text` without white space, each string that is no key as `mac.labelled` has it. The text is JSON: whoever calls this knows.
/// None: no object or an empty one, or there is an escape in it (what is hashed is what a string stands for).
#[pyfunction]
#[pyo3(signature = (mac, label, text, /))]
pub fn hashed_json<'py>(py: Python<'py>, mac: &HmacSha256, label: &str, text: &[u8]) -> Option<Bound<'py, PyBytes>> {
    let inside = text.trim_ascii_start().strip_prefix(b"{")?;
    if inside.trim_ascii_start().starts_with(b"}") {
        return None;
    }
    let mut out = Vec::with_capacity(3 * text.len());
    out.push(b'{');
    let mut rest = inside;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'"' {
            if !byte.is_ascii_whitespace() {
                out.push(byte);
            }
            continue;
        }
        let end = after.iter().position(|b| matches!(b, b'"' | b'\\')).filter(|&end| after[end] == b'"')?;
        rest = &after[end + 1..];
        out.push(b'"');
        if rest.trim_ascii_start().starts_with(b":") {
            out.extend_from_slice(&after[..end]);
        } else {
            out.extend_from_slice(label.as_bytes());
            for byte in hmac::sign(&mac.0, &after[..end]).as_ref() {
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
        }
        out.push(b'"');
    }
    Some(PyBytes::new(py, &out))
}
