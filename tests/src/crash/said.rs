//! What a victim says to the file beside its disk: words in a row, each with its length before it.
//!
//! Holds: a last word that is not whole was not said.

use serde::{Serialize, de::DeserializeOwned};
use tenken_common::{codec, limit};

/// One word, with its length before it.
pub fn to_bytes<Word: Serialize>(word: &Word) -> Vec<u8> {
    let word = codec::to_vec(word).expect("a word is small");
    let mut bytes = u32::try_from(word.len()).expect("a word is small").to_le_bytes().to_vec();
    bytes.extend_from_slice(&word);
    bytes
}

/// All whole words.
pub fn words<Word: DeserializeOwned>(mut bytes: &[u8]) -> Vec<Word> {
    let mut words = Vec::new();
    while let Some((len, rest)) = bytes.split_first_chunk::<4>() {
        let len = usize::try_from(u32::from_le_bytes(*len)).expect("a word fits in memory");
        let Some((word, rest)) = rest.split_at_checked(len) else { break };
        words.push(codec::from_slice(word, 2 * limit::ENVELOPE_BYTES_MAX).expect("a word of ours"));
        bytes = rest;
    }
    words
}
