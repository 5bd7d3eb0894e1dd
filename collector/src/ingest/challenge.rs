//! Whether a device asked just now: it signed along the collector's own [`SignedTime`], which
//! `/v1/time` gave a moment ago.
//!
//! Holds: a challenge is believed only with a signature of this collector's acknowledgement keys,
//! and within [`limit::CHALLENGE_LIFE`] by this collector's own clock; a recorded request is worth
//! nothing after that. A device whose challenge is refused asks for the time again.
//!
//! Does not: tell devices apart. The request around the challenge does, by its own signature.

use tenken_common::{
    ack::{RejectReason, SignedTime},
    envelope::{Envelope, EnvelopeError},
    key::PublicKey,
    limit,
    time::Timestamp,
};

/// A challenge that is not believed.
#[derive(Debug, thiserror::Error)]
pub enum ChallengeError {
    #[error("the challenge is no time that this collector signed")]
    NotOurs(#[source] EnvelopeError),
    #[error("the challenge was signed at {signed}, which is not within {} seconds before now", limit::CHALLENGE_LIFE.as_secs())]
    NotFresh { signed: Timestamp },
}

impl ChallengeError {
    /// The metric's reason.
    pub fn reason(&self) -> RejectReason {
        match self {
            Self::NotOurs(_) | Self::NotFresh { .. } => RejectReason::BadSignature,
        }
    }
}

/// Checks the challenge in a request that came at `now`.
pub fn fresh_challenge(bytes: &[u8], ack_keys: &[PublicKey], now: Timestamp) -> Result<(), ChallengeError> {
    let signed = open(bytes, ack_keys).map_err(ChallengeError::NotOurs)?.server;
    if signed <= now && now.saturating_since(signed) <= limit::CHALLENGE_LIFE {
        Ok(())
    } else {
        Err(ChallengeError::NotFresh { signed })
    }
}

fn open(bytes: &[u8], ack_keys: &[PublicKey]) -> Result<SignedTime, EnvelopeError> {
    let envelope = Envelope::from_bytes(bytes)?;
    let mut refused = EnvelopeError::WrongKey;
    for key in ack_keys {
        match envelope.open::<SignedTime>(key) {
            Ok(time) => return Ok(time.into_inner()),
            Err(EnvelopeError::WrongKey) => {}
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenken_common::{id::Nonce, key::SecretKey};

    const AT: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn challenge(seed: u8) -> Vec<u8> {
        let time = SignedTime { server: AT, echo_nonce: Nonce([1; 16]) };
        Envelope::seal(&time, &SecretKey::from_seed(&[seed; 32])).unwrap().to_bytes()
    }

    fn keys() -> Vec<PublicKey> {
        [1, 2].map(|seed| SecretKey::from_seed(&[seed; 32]).public()).to_vec()
    }

    #[test]
    fn every_key_of_ours_counts_for_five_minutes() {
        for seed in [1, 2] {
            assert!(fresh_challenge(&challenge(seed), &keys(), AT).is_ok());
            assert!(fresh_challenge(&challenge(seed), &keys(), AT.plus(limit::CHALLENGE_LIFE)).is_ok());
        }
        let late = AT.plus(limit::CHALLENGE_LIFE).plus_micros(1);
        for now in [late, AT.plus_micros(-1)] {
            let got = fresh_challenge(&challenge(1), &keys(), now);
            assert!(matches!(got, Err(ChallengeError::NotFresh { signed: AT })), "{now}");
        }
    }

    #[test]
    fn what_we_did_not_sign_is_no_challenge() {
        let mut altered = challenge(1);
        *altered.last_mut().unwrap() ^= 1;
        for bytes in [challenge(3), altered, b"hello".to_vec(), Vec::new()] {
            assert!(matches!(fresh_challenge(&bytes, &keys(), AT), Err(ChallengeError::NotOurs(_))));
        }
    }
}
