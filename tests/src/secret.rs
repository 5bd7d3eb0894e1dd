//! Looks for a secret in bytes that were written, in every form in which it could hide.
//!
//! Holds: as it is, in hexadecimal of either case, and in both alphabets of base64 at each of the
//! three places where it can begin inside a longer encoded text.

/// How often any form of `secret` stands in `bytes`.
pub fn occurrences(secret: &[u8], bytes: &[u8]) -> usize {
    let count = |form: &[u8]| bytes.windows(form.len()).filter(|window| *window == form).count();
    forms(secret).iter().map(|form| count(form)).sum()
}

fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let lower = tenken_common::id::hex(secret);
    let mut forms = vec![secret.to_vec(), lower.to_uppercase().into_bytes(), lower.into_bytes()];
    for last in [*b"+/", *b"-_"] {
        forms.extend((0..3).map(|shift| inside_base64(secret, shift, last)));
    }
    forms.sort();
    forms.dedup();
    forms
}

/// The characters that are made of `secret` alone where `shift` bytes of something stand before
/// it and something follows.
fn inside_base64(secret: &[u8], shift: usize, last: [u8; 2]) -> Vec<u8> {
    let letters: Vec<u8> = (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9').chain(last).collect();
    let bit = |n: usize| secret.get(n / 8).map_or(0, |byte| usize::from(byte >> (7 - n % 8) & 1));
    let first = (shift * 8).div_ceil(6);
    let end = (shift + secret.len()) * 8 / 6;
    let value = |nth: usize| (0..6).fold(0, |value, n| value << 1 | bit(nth * 6 + n - shift * 8));
    (first..end).filter_map(|nth| letters.get(value(nth)).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &[u8] = b"\x00\xff0123456789abcd";

    #[test]
    fn it_is_found_in_every_form_and_nothing_else_is() {
        // What `base64` and `basenc --base64url` of coreutils make of the token, alone and after
        // one and two bytes.
        let written = [
            "AP8wMTIzNDU2Nzg5YWJjZA==",
            "eAD/MDEyMzQ1Njc4OWFiY2R5",
            "eAD_MDEyMzQ1Njc4OWFiY2R5",
            "eHgA/zAxMjM0NTY3ODlhYmNkeXk=",
            "00ff30313233343536373839616263 64",
        ];
        let found = written.map(|text| occurrences(TOKEN, text.as_bytes()));
        assert_eq!(found, [1, 1, 1, 1, 0]);
        let raw = [b"POST ".as_slice(), TOKEN, b" \r\n"].concat();
        assert_eq!(occurrences(TOKEN, &raw), 1);
        for text in ["00ff3031323334353637383961626364", "00FF3031323334353637383961626364"] {
            assert_eq!(occurrences(TOKEN, text.as_bytes()), 1);
        }
        assert_eq!(occurrences(TOKEN, b"0123456789abcd"), 0);
    }
}
