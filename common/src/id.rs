//! Identities: fixed-size byte identities (hex for people, `bin` on the wire), bounded names,
//! and the counters of a delivery chain.
//!
//! Holds: a [`Name`] is 1 to 64 characters of `A-Z a-z 0-9 . _ : / @ -`, so no free text (and
//! with it no patient's name) fits into one. A counter never wraps silently.
//!
//! Does not: make random identities; bytes are passed in.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};
use std::{borrow::Cow, fmt, str::FromStr};

/// A text that was refused as an identity.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum IdError {
    #[error("expected {expected} hexadecimal digits, got {got}")]
    HexLength { expected: usize, got: usize },
    #[error("`{0}` is not a hexadecimal digit")]
    HexDigit(char),
    #[error("an identifier has 1 to {max} characters, this has {got}", max = Name::LEN_MAX)]
    NameLength { got: usize },
    #[error("`{0}` may not stand in an identifier (allowed: A-Z a-z 0-9 . _ : / @ -)")]
    NameCharacter(char),
}

/// Lower-case hexadecimal digits of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{b:02x}");
        out
    })
}

/// The bytes of exactly `2 * N` hexadecimal digits.
pub fn unhex<const N: usize>(text: &str) -> Result<[u8; N], IdError> {
    if text.chars().count() != 2 * N {
        return Err(IdError::HexLength { expected: 2 * N, got: text.chars().count() });
    }
    let mut digits = text.chars();
    let mut out = [0u8; N];
    for byte in &mut out {
        for _ in 0..2 {
            let c = digits.next().unwrap_or('?');
            let digit = c.to_digit(16).ok_or(IdError::HexDigit(c))?;
            *byte = (*byte << 4) | u8::try_from(digit).unwrap_or(0);
        }
    }
    Ok(out)
}

macro_rules! byte_identity {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            pub fn as_bytes(&self) -> &[u8] { &self.0 }

            pub fn from_slice(bytes: &[u8]) -> Option<Self> { bytes.try_into().ok().map(Self) }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&hex(&self.0)) }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), hex(&self.0))
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> { unhex(text).map(Self) }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                if s.is_human_readable() { s.collect_str(self) } else { s.serialize_bytes(&self.0) }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                if d.is_human_readable() {
                    let text = Cow::<'de, str>::deserialize(d)?;
                    return text.parse().map_err(de::Error::custom);
                }
                let bytes = serde_bytes::ByteBuf::deserialize(d)?;
                Self::from_slice(&bytes).ok_or_else(|| {
                    de::Error::invalid_length(bytes.len(), &concat!(stringify!($len), " bytes"))
                })
            }
        }
    };
}

byte_identity!(/// A maintained device, given by the collector at enrollment.
    DeviceId, 16);
byte_identity!(/// One start of an operating system.
    BootId, 16);
byte_identity!(/// An enrollment slot that a hospital made.
    SlotId, 16);
byte_identity!(/// The first 8 bytes of a public key's SHA-256: a hint for finding the key, no proof.
    KeyId, 8);
byte_identity!(/// A number used once, chosen by the asker and echoed by the answerer.
    Nonce, 16);
byte_identity!(/// SHA-256.
    Hash, 32);

impl Hash {
    pub const ZERO: Self = Self([0; 32]);

    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

/// A bounded identifier; see the module's head.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<str>);

impl Name {
    pub const LEN_MAX: usize = 64;

    pub fn new(text: &str) -> Result<Self, IdError> {
        let got = text.chars().count();
        if got == 0 || got > Self::LEN_MAX {
            return Err(IdError::NameLength { got });
        }
        match text.chars().find(|c| !Self::allows(*c)) {
            Some(c) => Err(IdError::NameCharacter(c)),
            None => Ok(Self(text.into())),
        }
    }

    /// A name for something that the outside world named: as it is where it fits, else
    /// `h:` and 16 digits of its SHA-256, so that nothing unbounded gets through.
    pub fn of_outside(text: &str) -> Self {
        Self::new(text).unwrap_or_else(|_| {
            let digest = hex(&Hash::of(text.as_bytes()).0);
            Self(format!("h:{}", digest.get(..16).unwrap_or("")).into())
        })
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn allows(c: char) -> bool {
        c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '/' | '@' | '-')
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::new(text)
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(d)?;
        Self::new(&text).map_err(de::Error::custom)
    }
}

macro_rules! named_identity {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Name);

        impl $name {
            pub fn as_str(&self) -> &str { self.0.as_str() }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { self.0.fmt(f) }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> { Name::new(text).map(Self) }
        }
    };
}

named_identity!(/// 甲, a hospital (HCF).
    HospitalId);
named_identity!(/// A contract (SLA) between one hospital and the vendor.
    ContractId);

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident, $int:ty) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $int);

        impl $name {
            /// The one after this. At one a microsecond a `u64` lasts 500,000 years.
            #[must_use]
            pub fn next(self) -> Self { Self(self.0.saturating_add(1)) }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { self.0.fmt(f) }
        }
    };
}

counter!(/// One life of a device's chain; a rejoin begins the next.
    Epoch, u32);
counter!(/// A batch's place in its epoch's chain, from 1.
    Seq, u64);
counter!(/// A record's number in its epoch, from 1, dense.
    RecId, u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_and_back() {
        let id = DeviceId([0xab; 16]);
        assert_eq!(id.to_string().parse::<DeviceId>().unwrap(), id);
        assert_eq!("abc".parse::<KeyId>(), Err(IdError::HexLength { expected: 16, got: 3 }));
        assert_eq!("zz00000000000000".parse::<KeyId>(), Err(IdError::HexDigit('z')));
    }

    #[test]
    fn names_are_bounded_and_plain() {
        assert!(Name::new("disk:/var/lib").is_ok());
        assert_eq!(Name::new(""), Err(IdError::NameLength { got: 0 }));
        assert_eq!(Name::new("山田 太郎"), Err(IdError::NameCharacter('山')));
        assert_eq!(Name::new(&"x".repeat(65)), Err(IdError::NameLength { got: 65 }));
    }

    #[test]
    fn an_outside_name_that_does_not_fit_leaves_as_a_hash() {
        assert_eq!(Name::of_outside("/data").as_str(), "/data");
        let hashed = Name::of_outside("/mnt/YAMADA TARO 1960");
        assert!(hashed.as_str().starts_with("h:") && hashed.as_str().len() == 18);
    }
}
