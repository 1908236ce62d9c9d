//! The shape of a JSON text: how deep, how long its strings, how many members.
//!
//! Not a parser: a text that is no JSON is refused later, by the one that decodes it. What passes here has no more structure than is
//! allowed, however it is read.

use pyo3::prelude::*;

/// Which limit `data` breaks first: "depth", "string", "entries" (of an object), "elements" (of an array); None: it keeps all. 0: no limit.
#[pyfunction]
#[pyo3(signature = (data, depth, string, entries, elements, /))]
pub fn check_json(data: &[u8], depth: usize, string: usize, entries: usize, elements: usize) -> Option<&'static str> {
    let unlimited = |limit: usize| if limit == 0 { usize::MAX } else { limit };
    let (depth, string) = (unlimited(depth), unlimited(string));
    let (entries, elements) = (unlimited(entries), unlimited(elements));
    // Of each open container: whether it is an object, and its members so far.
    let mut open: Vec<(bool, usize)> = Vec::new();
    let mut expects_first = false;
    let mut i = 0;
    while i < data.len() {
        let b = data[i];
        if !matches!(b, b' ' | b'\t' | b'\r' | b'\n' | b']' | b'}') && std::mem::take(&mut expects_first) {
            if let Some(reason) = count(&mut open, entries, elements) {
                return Some(reason);
            }
        }
        match b {
            b'{' | b'[' => {
                open.push((b == b'{', 0));
                if open.len() > depth {
                    return Some("depth");
                }
                expects_first = true;
            }
            b'}' | b']' => {
                open.pop();
                expects_first = false;
            }
            b',' => {
                if let Some(reason) = count(&mut open, entries, elements) {
                    return Some(reason);
                }
            }
            b'"' => {
                let (end, length) = read_string(data, i + 1);
                if length > string {
                    return Some("string");
                }
                i = end;
            }
            _ => {}
        }
        i += 1;
    }
    None
}

/// Where the string's closing quote stands, and how many bytes of UTF-8 the string is, escapes undone.
fn read_string(data: &[u8], from: usize) -> (usize, usize) {
    let (mut i, mut length) = (from, 0);
    while i < data.len() && data[i] != b'"' {
        if data[i] != b'\\' {
            i += 1;
            length += 1;
        } else if data.get(i + 1) == Some(&b'u') {
            length += match data.get(i + 2..i + 6).unwrap_or_default() {
                [b'0', b'0', b'0'..=b'7', _] => 1,
                [b'0', b'0'..=b'7', _, _] => 2,
                // Each half of a surrogate pair is half of four bytes.
                [b'd' | b'D', b'8' | b'9' | b'a'..=b'f' | b'A'..=b'F', _, _] => 2,
                _ => 3,
            };
            i += 6;
        } else {
            i += 2;
            length += 1;
        }
    }
    (i, length)
}

fn count(open: &mut [(bool, usize)], entries: usize, elements: usize) -> Option<&'static str> {
    let (is_object, members) = open.last_mut()?;
    *members += 1;
    match *is_object {
        true if *members > entries => Some("entries"),
        false if *members > elements => Some("elements"),
        _ => None,
    }
}
