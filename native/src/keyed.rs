//! Ciphers and hashes under one key, made ready once: a value costs one call.

use crate::error::Error;
use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce, UnboundKey, AES_256_GCM, NONCE_LEN};
use aws_lc_rs::hmac;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

const TAG_LEN: usize = 16;
pub const HEX: &[u8; 16] = b"0123456789abcdef";

/// AES-256-GCM under one key. A box is: bytes of the caller's, nonce 12 B, ciphertext, tag 16 B.
#[pyclass(frozen)]
pub struct AesGcm(LessSafeKey);

#[pymethods]
impl AesGcm {
    #[new]
    #[pyo3(signature = (key, /))]
    fn new(key: &[u8]) -> PyResult<Self> {
        let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| Error::Range("an AES-256 key has 32 bytes"))?;
        Ok(AesGcm(LessSafeKey::new(key)))
    }

    /// The box of `value`: behind `head`, bound to `name`.
    #[pyo3(signature = (head, nonce, value, name, /))]
    fn seal<'py>(&self, py: Python<'py>, head: &[u8], nonce: &[u8], value: &[u8], name: &str) -> PyResult<Bound<'py, PyBytes>> {
        let unique = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Error::Range("a nonce has 12 bytes"))?;
        let from = head.len() + NONCE_LEN;
        let to = from + value.len();
        PyBytes::new_with(py, to + TAG_LEN, |out| {
            out[..head.len()].copy_from_slice(head);
            out[head.len()..from].copy_from_slice(nonce);
            out[from..to].copy_from_slice(value);
            let (text, tag) = out[from..].split_at_mut(value.len());
            let made = self.0.seal_in_place_separate_tag(unique, Aad::from(name), text);
            tag.copy_from_slice(made.map_err(|_| Error::Range("too many bytes to encrypt"))?.as_ref());
            Ok(())
        })
    }

    /// What the box holds, whose nonce begins at `at`. None: it was not sealed so, under this key and name.
    #[pyo3(signature = (sealed, at, name, /))]
    fn open<'py>(&self, py: Python<'py>, sealed: &[u8], at: usize, name: &str) -> Option<Bound<'py, PyBytes>> {
        let (nonce, rest) = sealed.get(at..)?.split_at_checked(NONCE_LEN)?;
        let (text, tag) = rest.split_at_checked(rest.len().checked_sub(TAG_LEN)?)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        PyBytes::new_with(py, text.len(), |out| {
            let opened = self.0.open_separate_gather(nonce, Aad::from(name), text, tag, out);
            opened.map_err(|_| Error::Range("not sealed so").into())
        })
        .ok()
    }
}

/// HMAC-SHA-256 under one key.
#[pyclass(frozen)]
pub struct HmacSha256(pub hmac::Key);

#[pymethods]
impl HmacSha256 {
    #[new]
    #[pyo3(signature = (key, /))]
    fn new(key: &[u8]) -> Self {
        HmacSha256(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// 32 bytes.
    #[pyo3(signature = (value, /))]
    fn of<'py>(&self, py: Python<'py>, value: &[u8]) -> Bound<'py, PyBytes> {
        PyBytes::new(py, hmac::sign(&self.0, value).as_ref())
    }

    /// `label` and the 64 hex digits of a text's UTF-8.
    #[pyo3(signature = (label, text, /))]
    fn labelled(&self, label: &str, text: &str) -> String {
        let mut out = String::with_capacity(label.len() + 64);
        out.push_str(label);
        for byte in hmac::sign(&self.0, text.as_bytes()).as_ref() {
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
        out
    }
}
