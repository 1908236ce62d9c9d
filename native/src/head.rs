//! Request heads by httparse, and what httparse lets pass but we do not.
//!
//! One call gives all that the common request needs, so that nothing is looked up per header in Python.

use crate::error::HeadError;
use httparse::{Header, Request, Status};
use memchr::memchr_iter;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};
use std::mem::MaybeUninit;

/// Headers of one request; more of them is an error.
const HEADERS_MAX: usize = 128;

/// Flags, as `http/head.py` reads them.
const KEEP_ALIVE: u8 = 1;
const CHUNKED: u8 = 2;
const CONTINUE: u8 = 4;
const PLAIN: u8 = 8;
const MARKED: u8 = 16;
const OLD: u8 = 32;

/// Those that we know are interned; any other name is refused later, and must not live for ever.
const METHODS: [&str; 8] = ["GET", "HEAD", "LIST", "POST", "PUT", "PATCH", "DELETE", "HELP"];

type Text<'py> = Bound<'py, PyString>;
type Bytes<'py> = Option<Bound<'py, PyBytes>>;
/// end, method, path, query, token, content type, length (-1: none given), flags, the other headers
type Head<'py> = (usize, Text<'py>, Text<'py>, Option<Text<'py>>, Bytes<'py>, Bytes<'py>, i64, u8, Option<Bound<'py, PyList>>);

/// A rule that is broken; the text never shows the head.
type Rule<T> = Result<T, &'static str>;

/// What stands before `scanned` was seen in an earlier call, without an end in it.
#[pyfunction]
#[pyo3(signature = (data, start=0, scanned=0))]
pub fn parse_head<'py>(py: Python<'py>, data: &[u8], start: usize, scanned: usize) -> PyResult<Option<Head<'py>>> {
    let data = data.get(start..).unwrap_or_default();
    let Some(end) = find_end(data, scanned.saturating_sub(start)).map_err(HeadError::new_err)? else { return Ok(None) };
    let mut headers = [const { MaybeUninit::<Header<'_>>::uninit() }; HEADERS_MAX];
    let mut request = Request::new(&mut []);
    let found = request.parse_with_uninit_headers(&data[..end], &mut headers).map_err(|error| HeadError::new_err(error.to_string()))?;
    let (Some(method), Some(target), Some(version), true) = (request.method, request.path, request.version, found == Status::Complete(end))
    else {
        return Err(HeadError::new_err("malformed request head"));
    };
    if !target.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(HeadError::new_err("malformed request target"));
    }
    let mut known = Known::default();
    let mut others = None;
    for header in request.headers.iter() {
        if !known.take(header).map_err(HeadError::new_err)? {
            let pair = (header.name.to_ascii_lowercase(), PyBytes::new(py, header.value));
            others.get_or_insert_with(|| PyList::empty(py)).append(pair)?;
        }
    }
    let (length, flags) = known.framing(version).map_err(HeadError::new_err)?;
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let (path, flags) = plain_path(path).map_or((path, flags), |rest| (rest, flags | PLAIN));
    let method = METHODS.into_iter().find(|known| *known == method).unwrap_or_default();
    Ok(Some((
        start + end,
        PyString::intern(py, method),
        PyString::new(py, path),
        query.map(|query| PyString::new(py, query)),
        known.token.or(known.bearer).map(|token| PyBytes::new(py, token)),
        known.content_type.map(|value| PyBytes::new(py, value)),
        length,
        flags,
        others,
    )))
}

/// Where the head ends, behind its empty line. Every line must end in CR LF.
fn find_end(data: &[u8], scanned: usize) -> Rule<Option<usize>> {
    if matches!(data.first(), Some(b'\r' | b'\n')) {
        return Err("empty line before the request line");
    }
    let from = scanned.saturating_sub(3).min(data.len());
    for lf in memchr_iter(b'\n', &data[from..]).map(|at| from + at) {
        if lf == 0 || data[lf - 1] != b'\r' {
            return Err("line feed without carriage return");
        }
        if lf >= 3 && data[lf - 2] == b'\n' {
            return Ok(Some(lf + 1));
        }
    }
    Ok(None)
}

/// What stands after `/v1/`, where nothing in it needs decoding or judgement: no `%`, no empty segment, none that starts with a dot.
fn plain_path(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("/v1/")?;
    let mut before = b'/';
    let is_plain = rest.bytes().all(|b| b != b'%' && !(std::mem::replace(&mut before, b) == b'/' && matches!(b, b'/' | b'.')));
    is_plain.then_some(rest)
}

#[derive(Default)]
struct Known<'a> {
    hosts: usize,
    encodings: usize,
    length: Option<i64>,
    closes: bool,
    stays: bool,
    flags: u8,
    token: Option<&'a [u8]>,
    bearer: Option<&'a [u8]>,
    content_type: Option<&'a [u8]>,
}

impl<'a> Known<'a> {
    /// False: a header that the caller may want to see.
    fn take(&mut self, header: &Header<'a>) -> Rule<bool> {
        let (name, value) = (header.name, header.value);
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        let names = |text: &[u8]| value.windows(text.len()).any(|part| part == text);
        match name.len() {
            4 if is("host") => self.hosts += 1,
            6 if is("accept") && !names(b"openmetrics") && !names(b"prometheus") => {} // else `sys/metrics` reads it
            6 if is("expect") => match value.eq_ignore_ascii_case(b"100-continue") {
                true => self.flags |= CONTINUE,
                false => return Err("unsupported expectation"),
            },
            10 if is("connection") => {
                for token in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
                    self.closes |= token.eq_ignore_ascii_case(b"close");
                    self.stays |= token.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            12 if is("content-type") => self.content_type = self.content_type.or(Some(value)),
            13 if is("x-vault-token") => self.token = self.token.or(Some(value)).filter(|token| !token.is_empty()),
            13 if is("authorization") => self.bearer = self.bearer.or(value.strip_prefix(b"Bearer ").map(<[u8]>::trim_ascii)),
            14 if is("content-length") => {
                if self.length.replace(parse_length(value)?).is_some() {
                    return Err("more than one Content-Length");
                }
            }
            10 | 15 if is("user-agent") || is("accept-encoding") => {}
            15 if is("x-vault-request") => self.flags |= if value == b"true" { MARKED } else { 0 },
            17 if is("transfer-encoding") => {
                self.encodings += 1;
                self.flags |= if value.eq_ignore_ascii_case(b"chunked") { CHUNKED } else { 0 };
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Length of the body, and the flags. Refuses whatever two parties could read in two ways.
    fn framing(&self, version: u8) -> Rule<(i64, u8)> {
        let is_old = version == 0;
        if self.hosts > 1 || (self.hosts == 0 && !is_old) {
            return Err("exactly one Host header is needed");
        }
        if self.encodings > 0 && self.length.is_some() {
            return Err("both Content-Length and Transfer-Encoding");
        }
        if self.encodings > 1 || (self.encodings == 1 && (is_old || self.flags & CHUNKED == 0)) {
            return Err("unsupported Transfer-Encoding");
        }
        let flags = if is_old { self.flags & !CONTINUE | OLD } else { self.flags };
        let keeps = !self.closes && (self.stays || !is_old);
        Ok((self.length.unwrap_or(-1), flags | if keeps { KEEP_ALIVE } else { 0 }))
    }
}

/// Digits alone: no sign, no list, no white space, and no number that a 64-bit reader would cut.
fn parse_length(value: &[u8]) -> Rule<i64> {
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return Err("malformed Content-Length");
    }
    Ok(value.iter().fold(0, |length, digit| length * 10 + i64::from(digit - b'0')))
}
