//! The shape of a JSON text: how deep, how long its strings, how many members.
//!
//! Not a parser: a text that is no JSON is refused later, by the one that decodes it. What passes here has no more structure than is
//! allowed, however it is read.

use memchr::memchr2;
use pyo3::prelude::*;

#[pyfunction]
pub fn check_json(data: &[u8], depth: usize, string: usize, entries: usize, elements: usize) -> Option<&'static str> {
    let exceeds = |found: usize, limit: usize| limit != 0 && found > limit;
    // Of each open container: whether it is an object, and its members so far.
    let mut open: Vec<(bool, usize)> = Vec::new();
    let (mut at, mut is_first) = (0, false);
    while let Some(&byte) = data.get(at) {
        at += 1;
        if matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
            continue;
        }
        // A member begins with the first thing in a container, and behind each comma.
        if byte == b',' || (is_first && !matches!(byte, b']' | b'}')) {
            if let Some((is_object, members)) = open.last_mut() {
                *members += 1;
                let (limit, reason) = if *is_object { (entries, "entries") } else { (elements, "elements") };
                if exceeds(*members, limit) {
                    return Some(reason);
                }
            }
        }
        is_first = matches!(byte, b'{' | b'[');
        match byte {
            b'{' | b'[' => {
                open.push((byte == b'{', 0));
                if exceeds(open.len(), depth) {
                    return Some("depth");
                }
            }
            b'}' | b']' => _ = open.pop(),
            b'"' => {
                let (end, length) = read_string(data, at);
                if exceeds(length, string) {
                    return Some("string");
                }
                at = end;
            }
            _ => {}
        }
    }
    None
}

/// What stands behind the string's closing quote, and how many bytes of UTF-8 the string is, escapes undone.
fn read_string(data: &[u8], mut at: usize) -> (usize, usize) {
    let mut length = 0;
    while let Some(run) = data.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        (at, length) = (at + run, length + run);
        let (taken, made) = match data[at..] {
            [b'"', ..] => return (at + 1, length),
            [_, b'u', b'0', b'0', b'0'..=b'7', _, ..] => (6, 1),
            [_, b'u', b'0', b'0'..=b'7', _, _, ..] => (6, 2),
            // Each half of a surrogate pair is half of four bytes.
            [_, b'u', b'd' | b'D', b'8' | b'9' | b'a'..=b'f' | b'A'..=b'F', _, _, ..] => (6, 2),
            [_, b'u', ..] => (6, 3),
            _ => (2, 1),
        };
        (at, length) = (at + taken, length + made);
    }
    (data.len(), length + data.len().saturating_sub(at))
}
