//! MessagePack with its limits: positional, depth-capped, whole.
//!
//! Holds: decoding refuses trailing bytes, nesting over 16, lengths that the input does not have,
//! and numbers and lengths that are not in their shortest encoding, before serde sees a byte
//! (rmp-serde 1.3 accepts the first and the last and allows 1,024 levels). So a value has one
//! encoding, and two readers of it cannot come to two results.
//! What was signed is kept as raw bytes: nothing here is for re-encoding a received value.

use crate::limit;
use serde::{Serialize, de::DeserializeOwned};

/// Why bytes are no message of ours.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    #[error("{0} bytes follow the message")]
    TrailingBytes(usize),
    #[error("not in the one encoding that the value has")]
    OtherForm,
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

/// The same, and refuses what this program would have encoded otherwise: text where bytes belong,
/// a map where an array does. For what has a frozen shape.
pub fn from_slice_exact<T: Serialize + DeserializeOwned>(bytes: &[u8], max: usize) -> Result<T, CodecError> {
    let value = from_slice(bytes, max)?;
    if to_vec(&value)? == bytes { Ok(value) } else { Err(CodecError::OtherForm) }
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
            // A float is always the 64 bits of the value.
            0xca => return Err(CodecError::OtherForm),
            0xce | 0xd2 => (0, 4, 0),
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
        let number = if width > 0 { width } else { payload.min(8) };
        let end = at.checked_add(number).ok_or(CodecError::Truncated)?;
        let field = bytes.get(at..end).ok_or(CodecError::Truncated)?;
        if !is_shortest(marker, field) {
            return Err(CodecError::OtherForm);
        }
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

/// Whether no shorter marker could have said the number, or the length, in `field`.
fn is_shortest(marker: u8, field: &[u8]) -> bool {
    let n = field.iter().fold(0u64, |acc, b| (acc << 8) | u64::from(*b));
    match marker {
        0xcc => n >= 0x80,
        0xcd | 0xc5 | 0xda => n >= 0x100,
        0xce | 0xc6 | 0xdb | 0xdd | 0xdf => n >= 0x1_0000,
        0xcf => n >= 0x1_0000_0000,
        // Negative, and below what the next shorter one reaches.
        0xd0 => (0x80..0xe0).contains(&n),
        0xd1 => (0x8000..0xff80).contains(&n),
        0xd2 => (0x8000_0000..0xffff_8000).contains(&n),
        0xd3 => (0x8000_0000_0000_0000..0xffff_ffff_8000_0000).contains(&n),
        0xd9 => n >= 32,
        0xdc | 0xde => n >= 16,
        _ => true,
    }
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
    fn every_number_and_length_has_one_encoding() {
        for n in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000, 0xffff_ffff, 0x1_0000_0000, u64::MAX] {
            assert_eq!(from_slice::<u64>(&to_vec(&n).unwrap(), 9).unwrap(), n);
        }
        for n in [-1, -32, -33, -128, -129, -32_768, -32_769, -2_147_483_648, -2_147_483_649, i64::MIN] {
            assert_eq!(from_slice::<i64>(&to_vec(&n).unwrap(), 9).unwrap(), n);
        }
        for len in [0, 15, 16, 31, 32, 255, 256, 65_535, 65_536] {
            let (text, list) = ("x".repeat(len), vec![1u8; len]);
            assert_eq!(from_slice::<String>(&to_vec(&text).unwrap(), 100_000).unwrap(), text);
            assert_eq!(from_slice::<Vec<u8>>(&to_vec(&list).unwrap(), 100_000).unwrap(), list);
        }
        for longer in [
            &[0xcc, 5][..],
            &[0xcd, 0, 200],
            &[0xce, 0, 0, 1, 0],
            &[0xcf, 0, 0, 0, 0, 0, 1, 0, 0],
            &[0xd0, 5],
            &[0xd0, 0xff],
            &[0xd1, 0xff, 0x80],
            &[0xd2, 0xff, 0xff, 0x80, 0],
            &[0xd3, 0xff, 0xff, 0xff, 0xff, 0x80, 0, 0, 0],
        ] {
            assert!(matches!(from_slice::<i64>(longer, 9), Err(CodecError::OtherForm)), "{longer:x?}");
        }
        for longer in [&[0xd9, 1, b'x'][..], &[0xda, 0, 1, b'x'], &[0xdb, 0, 0, 0, 1, b'x']] {
            assert!(matches!(from_slice::<String>(longer, 9), Err(CodecError::OtherForm)), "{longer:x?}");
        }
        for longer in [&[0xdc, 0, 1, 7][..], &[0xdd, 0, 0, 0, 1, 7]] {
            assert!(matches!(from_slice::<Vec<u8>>(longer, 9), Err(CodecError::OtherForm)), "{longer:x?}");
        }
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
