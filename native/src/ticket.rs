//! Session tickets under keys handed in from outside, so that every process of a node can resume what another one began.
//!
//! A ticket is `nonce | AES-256-GCM-SIV(time | session)`: the nonce is random, and the cipher bears with one that comes twice, so a key may live
//! as long as its node. `context` stands for the rules that clients were checked by: a session begun under other rules is not resumed.

use aws_lc_rs::aead::{Aad, Nonce, RandomizedNonceKey, AES_256_GCM_SIV, NONCE_LEN};
use aws_lc_rs::error::Unspecified;
use rustls::server::ProducesTickets;
use std::time::{SystemTime, UNIX_EPOCH};

const LIFETIME_S: u32 = 3600;

#[derive(Debug)]
pub struct Tickets {
    /// The first one makes tickets, all of them open them.
    keys: Vec<RandomizedNonceKey>,
    context: Vec<u8>,
}

impl Tickets {
    /// Fails for a key that has not 32 bytes.
    pub fn new(keys: &[Vec<u8>], context: Vec<u8>) -> Result<Self, Unspecified> {
        let keys = keys.iter().map(|key| RandomizedNonceKey::new(&AES_256_GCM_SIV, key));
        Ok(Tickets { keys: keys.collect::<Result<_, _>>()?, context })
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        !self.keys.is_empty()
    }

    fn lifetime(&self) -> u32 {
        LIFETIME_S
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = [&now_s().to_be_bytes(), session].concat();
        let nonce = self.keys.first()?.seal_in_place_append_tag(Aad::from(&self.context), &mut sealed).ok()?;
        Some([&nonce.as_ref()[..], &sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = ticket.split_at_checked(NONCE_LEN)?;
        self.keys.iter().find_map(|key| {
            let (nonce, mut sealed) = (Nonce::try_assume_unique_for_key(nonce).ok()?, sealed.to_vec());
            let (made_s, session) = key.open_in_place(nonce, Aad::from(&self.context), &mut sealed).ok()?.split_first_chunk()?;
            (now_s().abs_diff(u64::from_be_bytes(*made_s)) <= LIFETIME_S.into()).then(|| session.to_vec())
        })
    }
}
