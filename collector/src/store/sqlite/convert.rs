//! Between columns and our types.
//!
//! Holds: unsigned numbers are kept in SQLite's signed 64 bits, bit for bit. Fixed-size
//! identities are blobs.

use crate::store::StoreError;
use sqlx::{Row, sqlite::SqliteRow};
use tenken_common::{id::Name, key::PublicKey, time::Timestamp};

pub(in crate::store) fn int(value: u64) -> i64 {
    value.cast_signed()
}

pub(in crate::store) fn uint(value: i64) -> u64 {
    value.cast_unsigned()
}

pub(in crate::store) fn ts(us: i64) -> Timestamp {
    Timestamp::from_micros(us)
}

pub(in crate::store) fn name(text: &str, column: &'static str) -> Result<Name, StoreError> {
    Name::new(text).map_err(|_| StoreError::Value(column))
}

/// Reading a row's columns by name.
pub(in crate::store) trait Columns {
    fn int(&self, column: &'static str) -> Result<i64, StoreError>;
    fn maybe_int(&self, column: &'static str) -> Result<Option<i64>, StoreError>;
    fn text(&self, column: &'static str) -> Result<&str, StoreError>;
    fn maybe_text(&self, column: &'static str) -> Result<Option<&str>, StoreError>;
    fn blob(&self, column: &'static str) -> Result<&[u8], StoreError>;
    fn maybe_blob(&self, column: &'static str) -> Result<Option<&[u8]>, StoreError>;

    fn uint(&self, column: &'static str) -> Result<u64, StoreError> {
        self.int(column).map(uint)
    }

    /// A small number, a code for instance.
    fn small<T: TryFrom<i64>>(&self, column: &'static str) -> Result<T, StoreError> {
        T::try_from(self.int(column)?).map_err(|_| StoreError::Value(column))
    }

    fn time(&self, column: &'static str) -> Result<Timestamp, StoreError> {
        self.int(column).map(ts)
    }

    fn maybe_time(&self, column: &'static str) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.maybe_int(column)?.map(ts))
    }

    fn name(&self, column: &'static str) -> Result<Name, StoreError> {
        name(self.text(column)?, column)
    }

    fn maybe_name(&self, column: &'static str) -> Result<Option<Name>, StoreError> {
        self.maybe_text(column)?.map(|text| name(text, column)).transpose()
    }

    /// An identity of `N` bytes.
    fn bytes<const N: usize>(&self, column: &'static str) -> Result<[u8; N], StoreError> {
        self.blob(column)?.try_into().map_err(|_| StoreError::Value(column))
    }

    fn maybe_bytes<const N: usize>(&self, column: &'static str) -> Result<Option<[u8; N]>, StoreError> {
        let bytes = self.maybe_blob(column)?;
        bytes.map(|b| b.try_into().map_err(|_| StoreError::Value(column))).transpose()
    }

    fn public_key(&self, column: &'static str) -> Result<PublicKey, StoreError> {
        PublicKey::from_bytes(&self.bytes(column)?).map_err(|_| StoreError::Value(column))
    }
}

impl Columns for SqliteRow {
    fn int(&self, column: &'static str) -> Result<i64, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn maybe_int(&self, column: &'static str) -> Result<Option<i64>, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn text(&self, column: &'static str) -> Result<&str, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn maybe_text(&self, column: &'static str) -> Result<Option<&str>, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn blob(&self, column: &'static str) -> Result<&[u8], StoreError> {
        Ok(self.try_get(column)?)
    }

    fn maybe_blob(&self, column: &'static str) -> Result<Option<&[u8]>, StoreError> {
        Ok(self.try_get(column)?)
    }
}
