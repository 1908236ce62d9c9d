//! What an audit entry shows of a JSON object: its shape, and of each string only a keyed hash.
//!
//! One pass from text to text: decoding, walking and encoding cost twice what the hashes do. The text is JSON: whoever calls this knows.

use crate::keyed::HmacSha256;
use pyo3::prelude::*;

#[pyfunction]
pub fn hashed_json(mac: &HmacSha256, label: &str, text: &[u8]) -> Option<Vec<u8>> {
    let mut rest = std::str::from_utf8(text).ok()?.trim_ascii_start();
    if !rest.starts_with('{') || rest[1..].trim_ascii_start().starts_with('}') {
        return None;
    }
    let mut out = String::with_capacity(3 * text.len());
    while let Some((between, string)) = rest.split_once('"') {
        // What is hashed is what a string stands for, so there may be no escape in it.
        let end = string.find(['"', '\\']).filter(|&end| string[end..].starts_with('"'))?;
        rest = &string[end + 1..];
        out.extend(between.split_ascii_whitespace());
        out.push('"');
        match rest.trim_ascii_start().starts_with(':') {
            true => out.push_str(&string[..end]),
            false => mac.push_labelled(&mut out, label, &string[..end]),
        }
        out.push('"');
    }
    out.extend(rest.split_ascii_whitespace());
    Some(out.into_bytes())
}
