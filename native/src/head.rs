//! Request heads by httparse, and what httparse lets pass but we do not.
//!
//! One call gives all that the common request needs, so that nothing is looked up per header in Python.

use crate::error::Error;
use httparse::{Header, Request, Status};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};
use std::mem::MaybeUninit;

/// Headers of one request; more of them is an error.
const HEADERS_MAX: usize = 128;

/// The connection may serve another request after this one.
const KEEP_ALIVE: u8 = 1;
const CHUNKED: u8 = 2;
/// `Expect: 100-continue`.
const CONTINUE: u8 = 4;
/// The path needs no decoding: printable ASCII below `/v1/`, no `%`, no empty segment, none that starts with a dot.
const PLAIN: u8 = 8;
/// `X-Vault-Request: true`.
const MARKED: u8 = 16;
/// HTTP/1.0.
const OLD: u8 = 32;

type Others<'py> = Option<Bound<'py, PyList>>;
/// end, method, path, query, token, content type, length (-1: none given), flags, the other headers
type Head<'py> = (
    usize,
    Bound<'py, PyString>,
    Bound<'py, PyString>,
    Option<Bound<'py, PyString>>,
    Option<Bound<'py, PyBytes>>,
    Option<Bound<'py, PyBytes>>,
    i64,
    u8,
    Others<'py>,
);

#[derive(Default)]
struct Known<'a> {
    hosts: usize,
    length: Option<i64>,
    transfer_encodings: usize,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    expect: bool,
    marked: bool,
    token: Option<&'a [u8]>,
    bearer: Option<&'a [u8]>,
    content_type: Option<&'a [u8]>,
}

/// Parses the head at `start`. What stands before `scanned` was seen in an earlier call, without an end in it.
/// None: it has not ended yet. Raises HeadError.
#[pyfunction]
#[pyo3(signature = (data, start=0, scanned=0, /))]
pub fn parse_head<'py>(py: Python<'py>, data: &[u8], start: usize, scanned: usize) -> PyResult<Option<Head<'py>>> {
    let data = data.get(start..).unwrap_or_default();
    let Some(end) = find_end(data, scanned.saturating_sub(start))? else {
        return Ok(None);
    };
    let mut headers = [const { MaybeUninit::<Header<'_>>::uninit() }; HEADERS_MAX];
    let mut request = Request::new(&mut []);
    match request.parse_with_uninit_headers(&data[..end], &mut headers) {
        Ok(Status::Complete(n)) if n == end => {}
        Ok(_) => return Err(Error::Head("malformed request head").into()),
        Err(error) => return Err(Error::Head(reason(error)).into()),
    }
    let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
        return Err(Error::Head("malformed request line").into());
    };
    if !target.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Error::Head("malformed request target").into());
    }
    let mut known = Known::default();
    let mut others: Others<'py> = None;
    for header in request.headers.iter() {
        if !known.take(header)? {
            let pair = (header.name.to_ascii_lowercase(), PyBytes::new(py, header.value));
            others.get_or_insert_with(|| PyList::empty(py)).append(pair)?;
        }
    }
    let (length, mut flags) = known.framing(version)?;
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(PyString::new(py, query))),
        None => (target, None),
    };
    let path = match plain_path(path) {
        Some(rest) => {
            flags |= PLAIN;
            rest
        }
        None => path,
    };
    Ok(Some((
        start + end,
        PyString::intern(py, method_name(method)),
        PyString::new(py, path),
        query,
        known.token.or(known.bearer).map(|token| PyBytes::new(py, token)),
        known.content_type.map(|value| PyBytes::new(py, value)),
        length,
        flags,
        others,
    )))
}

/// Where the head ends, behind its empty line. Every line must end in CR LF.
fn find_end(data: &[u8], scanned: usize) -> Result<Option<usize>, Error> {
    let mut from = scanned.saturating_sub(3).min(data.len());
    if matches!(data.first(), Some(b'\r' | b'\n')) {
        return Err(Error::Head("empty line before the request line"));
    }
    while let Some(at) = data[from..].iter().position(|b| *b == b'\n') {
        let lf = from + at;
        if lf == 0 || data[lf - 1] != b'\r' {
            return Err(Error::Head("line feed without carriage return"));
        }
        if lf >= 3 && data[lf - 2] == b'\n' {
            return Ok(Some(lf + 1));
        }
        from = lf + 1;
    }
    Ok(None)
}

fn reason(error: httparse::Error) -> &'static str {
    match error {
        httparse::Error::HeaderName => "malformed header name",
        httparse::Error::HeaderValue => "malformed header value",
        httparse::Error::NewLine => "malformed line end",
        httparse::Error::Token => "malformed request line",
        httparse::Error::TooManyHeaders => "too many headers",
        httparse::Error::Version => "unsupported HTTP version",
        httparse::Error::Status => "malformed request head",
    }
}

/// Methods that we know are interned; any other name is refused later, and must not live for ever.
fn method_name(method: &str) -> &'static str {
    match method {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "LIST" => "LIST",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "HELP" => "HELP",
        _ => "",
    }
}

/// What stands after `/v1/`, where nothing in it needs decoding or judgement.
fn plain_path(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("/v1/")?;
    let mut before = b'/';
    for b in rest.bytes() {
        if b == b'%' || (before == b'/' && (b == b'/' || b == b'.')) {
            return None;
        }
        before = b;
    }
    Some(rest)
}

impl<'a> Known<'a> {
    /// False: a header that the caller may want to see.
    fn take(&mut self, header: &Header<'a>) -> Result<bool, Error> {
        let (name, value) = (header.name, header.value);
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        match name.len() {
            4 if is("host") => self.hosts += 1,
            6 if is("accept") => {}
            6 if is("expect") => {
                if !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(Error::Head("unsupported expectation"));
                }
                self.expect = true;
            }
            10 if is("connection") => {
                for token in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
                    self.close |= token.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            10 if is("user-agent") => {}
            12 if is("content-type") => self.content_type = self.content_type.or(Some(value)),
            13 if is("x-vault-token") => self.token = self.token.or(Some(value)).filter(|token| !token.is_empty()),
            13 if is("authorization") => {
                if let (None, Some(token)) = (self.bearer, value.strip_prefix(b"Bearer ")) {
                    self.bearer = Some(token.trim_ascii());
                }
            }
            14 if is("content-length") => {
                if self.length.replace(parse_length(value)?).is_some() {
                    return Err(Error::Head("more than one Content-Length"));
                }
            }
            15 if is("accept-encoding") => {}
            15 if is("x-vault-request") => self.marked = value == b"true",
            17 if is("transfer-encoding") => {
                self.transfer_encodings += 1;
                self.chunked = value.eq_ignore_ascii_case(b"chunked");
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Length of the body, and the flags. Refuses whatever two parties could read in two ways.
    fn framing(&self, version: u8) -> Result<(i64, u8), Error> {
        if self.hosts > 1 || (self.hosts == 0 && version == 1) {
            return Err(Error::Head("exactly one Host header is needed"));
        }
        if self.transfer_encodings > 0 {
            if self.length.is_some() {
                return Err(Error::Head("both Content-Length and Transfer-Encoding"));
            }
            if self.transfer_encodings > 1 || !self.chunked || version == 0 {
                return Err(Error::Head("unsupported Transfer-Encoding"));
            }
        }
        let keeps = if version == 1 { !self.close } else { self.keep_alive && !self.close };
        let mut flags = 0;
        for (set, flag) in [
            (keeps, KEEP_ALIVE),
            (self.chunked, CHUNKED),
            (self.expect && version == 1, CONTINUE),
            (self.marked, MARKED),
            (version == 0, OLD),
        ] {
            if set {
                flags |= flag;
            }
        }
        Ok((self.length.unwrap_or(-1), flags))
    }
}

/// Digits alone: no sign, no list, no white space, and no number that a 64-bit reader would cut.
fn parse_length(value: &[u8]) -> Result<i64, Error> {
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return Err(Error::Head("malformed Content-Length"));
    }
    Ok(value.iter().fold(0, |length, digit| length * 10 + i64::from(digit - b'0')))
}
