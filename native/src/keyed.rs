//! Ciphers and hashes under one key, made ready once: a value costs one call.

use crate::hex;
use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce, UnboundKey, AES_256_GCM, NONCE_LEN};
use aws_lc_rs::hmac;
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

const TAG_LEN: usize = 16;

#[pyclass(frozen)]
pub struct AesGcm(LessSafeKey);

#[pymethods]
impl AesGcm {
    #[new]
    fn new(key: &[u8]) -> PyResult<Self> {
        let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| PyIndexError::new_err("an AES-256 key has 32 bytes"))?;
        Ok(AesGcm(LessSafeKey::new(key)))
    }

    fn seal<'py>(&self, py: Python<'py>, head: &[u8], nonce: &[u8], value: &[u8], name: &str) -> PyResult<Bound<'py, PyBytes>> {
        let unique = Nonce::try_assume_unique_for_key(nonce).map_err(|_| PyIndexError::new_err("a nonce has 12 bytes"))?;
        PyBytes::new_with(py, head.len() + NONCE_LEN + value.len() + TAG_LEN, |out| {
            let (front, rest) = out.split_at_mut(head.len());
            let (number, rest) = rest.split_at_mut(NONCE_LEN);
            let (text, tag) = rest.split_at_mut(value.len());
            front.copy_from_slice(head);
            number.copy_from_slice(nonce);
            text.copy_from_slice(value);
            let made = self.0.seal_in_place_separate_tag(unique, Aad::from(name), text);
            tag.copy_from_slice(made.map_err(|_| PyIndexError::new_err("too many bytes to encrypt"))?.as_ref());
            Ok(())
        })
    }

    fn open<'py>(&self, py: Python<'py>, sealed: &[u8], at: usize, name: &str) -> Option<Bound<'py, PyBytes>> {
        let (nonce, rest) = sealed.get(at..)?.split_at_checked(NONCE_LEN)?;
        let (text, tag) = rest.split_at_checked(rest.len().checked_sub(TAG_LEN)?)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        PyBytes::new_with(py, text.len(), |out| {
            let opened = self.0.open_separate_gather(nonce, Aad::from(name), text, tag, out);
            opened.map_err(|_| PyIndexError::new_err("not sealed so"))
        })
        .ok()
    }
}

#[pyclass(frozen)]
pub struct HmacSha256(hmac::Key);

#[pymethods]
impl HmacSha256 {
    #[new]
    fn new(key: &[u8]) -> Self {
        HmacSha256(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    fn of<'py>(&self, py: Python<'py>, value: &[u8]) -> Bound<'py, PyBytes> {
        PyBytes::new(py, hmac::sign(&self.0, value).as_ref())
    }

    fn labelled(&self, label: &str, text: &str) -> String {
        let mut out = String::with_capacity(label.len() + 64);
        self.push_labelled(&mut out, label, text);
        out
    }
}

impl HmacSha256 {
    pub fn push_labelled(&self, out: &mut String, label: &str, text: &str) {
        out.push_str(label);
        hex::push(out, hmac::sign(&self.0, text.as_bytes()).as_ref());
    }
}
