//! Session tickets under keys handed in from outside, so that every process of a node can resume what another one began.
//!
//! A ticket is `salt | time | AES-256-GCM(session)`, under a key of its own: HMAC-SHA-256 of salt, time and context, by the ticket key. So no
//! nonce ever repeats, and whoever changes a byte of it, its time included, has another key. `context` stands for the rules that clients were
//! checked by: a session begun under other rules is not resumed.

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce, UnboundKey, AES_256_GCM, NONCE_LEN};
use aws_lc_rs::hmac;
use rustls::server::ProducesTickets;
use std::time::{SystemTime, UNIX_EPOCH};

pub const KEY_SIZE: usize = 32;
const SALT_SIZE: usize = 24;
const HEAD_SIZE: usize = SALT_SIZE + 8;
const LIFETIME_S: u32 = 3600;

pub struct Tickets {
    /// The first one makes tickets, all of them open them.
    keys: Vec<hmac::Key>,
    context: Vec<u8>,
}

impl std::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tickets")
    }
}

impl Tickets {
    pub fn new(keys: &[Vec<u8>], context: Vec<u8>) -> Self {
        let keys = keys.iter().map(|key| hmac::Key::new(hmac::HMAC_SHA256, key)).collect();
        Tickets { keys, context }
    }

    fn cipher(&self, key: &hmac::Key, head: &[u8]) -> Option<LessSafeKey> {
        let mut mac = hmac::Context::with_key(key);
        mac.update(head);
        mac.update(&self.context);
        let derived = UnboundKey::new(&AES_256_GCM, mac.sign().as_ref()).ok()?;
        Some(LessSafeKey::new(derived))
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn nonce() -> Nonce {
    // The key is used for this one message.
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        !self.keys.is_empty()
    }

    fn lifetime(&self) -> u32 {
        LIFETIME_S
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut ticket = vec![0; SALT_SIZE];
        aws_lc_rs::rand::fill(&mut ticket).ok()?;
        ticket.extend_from_slice(&now_s().to_be_bytes());
        let mut sealed = plain.to_vec();
        let cipher = self.cipher(self.keys.first()?, &ticket)?;
        cipher.seal_in_place_append_tag(nonce(), Aad::empty(), &mut sealed).ok()?;
        ticket.extend_from_slice(&sealed);
        Some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (head, sealed) = ticket.split_at_checked(HEAD_SIZE)?;
        let made_s = u64::from_be_bytes(head[SALT_SIZE..].try_into().ok()?);
        if now_s().abs_diff(made_s) > u64::from(LIFETIME_S) {
            return None;
        }
        self.keys.iter().find_map(|key| {
            let mut plain = sealed.to_vec();
            let length = self.cipher(key, head)?.open_in_place(nonce(), Aad::empty(), &mut plain).ok()?.len();
            plain.truncate(length);
            Some(plain)
        })
    }
}
