//! MessagePack with its limits: positional, depth-capped, whole.
//!
//! Holds: decoding refuses trailing bytes, nesting over 16 and lengths that the input does not
//! have, before serde sees a byte (rmp-serde 1.3 accepts the first and allows 1,024 levels).
//! What was signed is kept as raw bytes: nothing here is for re-encoding a received value.

use crate::limit;
use serde::{Serialize, de::DeserializeOwned};

/// Why bytes are no message of ours.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    #[error("{0} bytes follow the message")]
    TrailingBytes(usize),
    #[error("the message ends in the middle of a value")]
    Truncated,
    #[error("nested deeper than {max} levels", max = limit::DEPTH_MAX)]
    TooDeep,
    #[error("byte 0xc1 is no MessagePack")]
    ReservedByte,
    #[error("{got} bytes, at most {max} are allowed")]
    TooLarge { got: usize, max: usize },
    #[error("not the expected shape")]
    Shape(#[source] rmp_serde::decode::Error),
    #[error("field `{0}` has a value this version does not know")]
    Value(&'static str),
    #[error("could not be encoded")]
    Encode(#[source] rmp_serde::encode::Error),
    #[error("decompression failed or passed its cap")]
    Decompress(#[source] std::io::Error),
    #[error("compression failed")]
    Compress(#[source] std::io::Error),
}

/// Encodes positionally: structs become arrays.
pub fn to_vec<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    rmp_serde::to_vec(value).map_err(CodecError::Encode)
}

/// Decodes all of `bytes`, of which there may be at most `max`.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8], max: usize) -> Result<T, CodecError> {
    if bytes.len() > max {
        return Err(CodecError::TooLarge { got: bytes.len(), max });
    }
    let consumed = value_len(bytes)?;
    if consumed != bytes.len() {
        return Err(CodecError::TrailingBytes(bytes.len() - consumed));
    }
    rmp_serde::from_slice(bytes).map_err(CodecError::Shape)
}

/// Length of the first MessagePack value in `bytes`, walked without recursion.
fn value_len(bytes: &[u8]) -> Result<usize, CodecError> {
    // How many values are still to come on each open level.
    let mut open: Vec<u64> = vec![1];
    let mut at = 0usize;
    while let Some(left) = open.last_mut() {
        if *left == 0 {
            open.pop();
            continue;
        }
        *left -= 1;
        let marker = *bytes.get(at).ok_or(CodecError::Truncated)?;
        at += 1;
        let be = |from: usize, n: usize| -> Result<usize, CodecError> {
            let field = bytes.get(from..from + n).ok_or(CodecError::Truncated)?;
            Ok(field.iter().fold(0usize, |acc, b| (acc << 8) | usize::from(*b)))
        };
        // (length field's width, payload bytes, children)
        let (width, payload, children): (usize, usize, u64) = match marker {
            0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => (0, 0, 0),
            0x80..=0x8f => (0, 0, 2 * u64::from(marker & 0x0f)),
            0x90..=0x9f => (0, 0, u64::from(marker & 0x0f)),
            0xa0..=0xbf => (0, usize::from(marker & 0x1f), 0),
            0xc1 => return Err(CodecError::ReservedByte),
            0xc4 | 0xd9 => (1, be(at, 1)?, 0),
            0xc5 | 0xda => (2, be(at, 2)?, 0),
            0xc6 | 0xdb => (4, be(at, 4)?, 0),
            0xc7 => (1, be(at, 1)? + 1, 0),
            0xc8 => (2, be(at, 2)? + 1, 0),
            0xc9 => (4, be(at, 4)? + 1, 0),
            0xca | 0xce | 0xd2 => (0, 4, 0),
            0xcb | 0xcf | 0xd3 => (0, 8, 0),
            0xcc | 0xd0 => (0, 1, 0),
            0xcd | 0xd1 | 0xd4 => (0, 2, 0),
            0xd5 => (0, 3, 0),
            0xd6 => (0, 5, 0),
            0xd7 => (0, 9, 0),
            0xd8 => (0, 17, 0),
            0xdc => (2, 0, be(at, 2)? as u64),
            0xdd => (4, 0, be(at, 4)? as u64),
            0xde => (2, 0, 2 * be(at, 2)? as u64),
            0xdf => (4, 0, 2 * be(at, 4)? as u64),
        };
        at = at.checked_add(width + payload).ok_or(CodecError::Truncated)?;
        if at > bytes.len() {
            return Err(CodecError::Truncated);
        }
        if children > 0 {
            if open.len() > limit::DEPTH_MAX {
                return Err(CodecError::TooDeep);
            }
            open.push(children);
        }
    }
    Ok(at)
}

/// Compresses a batch's plain form, so that [`decompress`] will accept it.
///
/// Very regular data shrinks beyond the ratio that the receiver allows; a skippable zstd frame
/// (RFC 8878, section 3.1.2) then pads it to just within.
pub fn compress(plain: &[u8]) -> Result<Vec<u8>, CodecError> {
    if plain.len() > limit::PLAIN_BYTES_MAX {
        return Err(CodecError::TooLarge { got: plain.len(), max: limit::PLAIN_BYTES_MAX });
    }
    let mut body = zstd::bulk::compress(plain, 3).map_err(CodecError::Compress)?;
    let needed = plain.len().div_ceil(limit::PLAIN_RATIO_MAX);
    if body.len() < needed {
        let padding = (needed - body.len()).saturating_sub(8);
        body.extend_from_slice(&0x184D_2A50_u32.to_le_bytes());
        body.extend_from_slice(&u32::try_from(padding).unwrap_or(u32::MAX).to_le_bytes());
        body.resize(body.len() + padding, 0);
    }
    Ok(body)
}

/// Decompresses under both caps: bytes, and ratio to the compressed size.
#[expect(clippy::disallowed_methods, reason = "the one decompressor, with its caps")]
pub fn decompress(body: &[u8]) -> Result<Vec<u8>, CodecError> {
    let cap = body.len().saturating_mul(limit::PLAIN_RATIO_MAX).min(limit::PLAIN_BYTES_MAX);
    zstd::bulk::decompress(body, cap).map_err(CodecError::Decompress)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailing_and_missing_bytes_are_refused() {
        let mut bytes = to_vec(&(1u8, "abc", vec![1u64, 2, 3])).unwrap();
        assert!(from_slice::<(u8, String, Vec<u64>)>(&bytes, 100).is_ok());
        for cut in 0..bytes.len() {
            let got = from_slice::<(u8, String, Vec<u64>)>(&bytes[..cut], 100);
            assert!(matches!(got, Err(CodecError::Truncated)), "cut at {cut}");
        }
        bytes.push(0);
        let got = from_slice::<(u8, String, Vec<u64>)>(&bytes, 100);
        assert!(matches!(got, Err(CodecError::TrailingBytes(1))));
    }

    #[test]
    fn nesting_and_forged_lengths_are_refused() {
        let deep = [0x91u8; 40];
        assert!(matches!(from_slice::<u8>(&deep, 100), Err(CodecError::TooDeep)));
        let forged = [0xddu8, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert!(matches!(from_slice::<Vec<u8>>(&forged, 100), Err(CodecError::Truncated)));
        assert!(matches!(from_slice::<u8>(&[0xc1], 100), Err(CodecError::ReservedByte)));
        assert!(matches!(from_slice::<u8>(&[0; 101], 100), Err(CodecError::TooLarge { .. })));
    }

    #[test]
    fn what_compresses_too_well_is_padded_into_the_ratio() {
        for len in [0, 1, 100, 5_000, 300_000, limit::PLAIN_BYTES_MAX] {
            let plain = vec![7u8; len];
            let body = compress(&plain).unwrap();
            assert_eq!(decompress(&body).unwrap(), plain, "{len} bytes");
        }
    }

    #[test]
    fn a_bomb_is_cut_off() {
        let bomb = zstd::bulk::compress(&vec![0u8; 50_000_000], 19).unwrap();
        assert!(matches!(decompress(&bomb), Err(CodecError::Decompress(_))));
    }
}
