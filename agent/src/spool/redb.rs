//! The second engine: redb, whose commits are durable by themselves and which idles at no CPU.
//!
//! Holds: one table, one write transaction a commit, `Durability::Immediate` (redb's default).

use super::{EngineKind, house::Store};
use redb::{Database, ReadableDatabase, TableDefinition, TableError};
use std::{error::Error, path::Path};
use tenken_agent_core::spool::{EngineError, Op, engine::Pair};

const TABLE: TableDefinition<&[u8], &[u8]> = TableDefinition::new("spool");
const CACHE_BYTES: usize = 1024 * 1024;

/// See the module's head.
pub struct RedbStore(Database);

impl Store for RedbStore {
    const KIND: EngineKind = EngineKind::Redb;
    const FRAGILE: Option<&str> = None;

    fn open(dir: &Path) -> Result<Self, EngineError> {
        let db = Database::builder().set_cache_size(CACHE_BYTES).create(dir.join("redb"));
        let mut db = db.map_err(failed("open"))?;
        // Pages carry checksums, but redb looks at them only when it is asked to.
        db.check_integrity().map_err(failed("check integrity"))?;
        let store = Self(db);
        super::house::sync_dir(dir).map_err(failed("sync a new store"))?;
        Ok(store)
    }

    fn commit(&mut self, ops: &[Op]) -> Result<(), EngineError> {
        let write = self.0.begin_write().map_err(failed("begin"))?;
        {
            let mut table = write.open_table(TABLE).map_err(failed("open table"))?;
            for op in ops {
                match op {
                    Op::Put(key, value) => table.insert(key.as_slice(), value.as_slice()),
                    Op::Delete(key) => table.remove(key.as_slice()),
                }
                .map_err(failed("write"))?;
            }
        }
        write.commit().map_err(failed("commit"))
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        let read = self.0.begin_read().map_err(failed("begin"))?;
        match read.open_table(TABLE) {
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            table => {
                let value = table.map_err(failed("open table"))?.get(key).map_err(failed("read"))?;
                Ok(value.map(|v| v.value().to_vec()))
            }
        }
    }

    fn scan(&self, from: &[u8], to: &[u8], max: usize) -> Result<Vec<Pair>, EngineError> {
        if from >= to {
            return Ok(Vec::new());
        }
        let read = self.0.begin_read().map_err(failed("begin"))?;
        let table = match read.open_table(TABLE) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            table => table.map_err(failed("open table"))?,
        };
        let pairs = table.range::<&[u8]>(from..to).map_err(failed("scan"))?.take(max);
        let owned = pairs.map(|pair| pair.map(|(k, v)| (k.value().to_vec(), v.value().to_vec())));
        owned.collect::<Result<_, _>>().map_err(failed("scan"))
    }

    fn degraded(&self) -> Option<String> {
        None
    }
}

fn failed<E: Error + Send + Sync + 'static>(operation: &'static str) -> impl Fn(E) -> EngineError {
    move |source| EngineError::new(operation, source)
}
