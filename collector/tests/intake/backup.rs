//! Backup while serving, and what a restored collector is.

use crate::support::{Rig, ack_key, resumed};
use std::path::PathBuf;
use tenken_collector::{
    app,
    backup::{BackupError, backup, restore},
    config::CollectorConfig,
    pki::Pki,
};
use tenken_collector_core::stream::Entry;
use tenken_common::{envelope::Envelope, id::Seq, time::Clock};

fn config(data_dir: PathBuf) -> CollectorConfig {
    CollectorConfig { data_dir, ..CollectorConfig::default() }
}

#[tokio::test]
async fn a_backup_while_serving_is_restored_and_its_devices_go_on() {
    let rig = Rig::new().await;
    let dir = rig.dir.path();
    let old = config(dir.join("old"));
    app::init(&old).unwrap();
    let mut device = rig.device(1).await;
    for _ in 0..3 {
        let bytes = device.cut(2);
        rig.push(&device, &bytes).await;
    }
    let folder = dir.join("backup");
    let beside = rig.again().await;
    let mut other = rig.device(2).await;
    let (saved, ()) = tokio::join!(backup(&old, &beside.store, &folder), async {
        for _ in 0..10 {
            let bytes = other.cut(1);
            rig.push(&other, &bytes).await;
        }
    });
    let saved = saved.unwrap();
    assert!(!saved.files.iter().any(|f| f.path.contains("offline")), "the offline key stays where it is");
    assert!(folder.join("pki/000001/root.pem").exists() && !folder.join("pki/offline").exists());
    let again = backup(&old, &rig.store, &folder).await;
    assert!(matches!(again, Err(BackupError::Exists(_))), "{again:?}");

    // Acknowledged after the backup.
    for _ in 0..2 {
        let bytes = device.cut(2);
        rig.push(&device, &bytes).await;
    }
    let newest = rig.post(&device, &device.clone().cut(0)).await.1;
    device.cut(0);

    let new = config(dir.join("new"));
    let restored = restore(&new, rig.clock.clone(), &folder).await.unwrap();
    assert_eq!(restored, saved);
    assert_eq!(
        Pki::load(&new.pki_dir()).unwrap().root_sha256(),
        Pki::load(&old.pki_dir()).unwrap().root_sha256()
    );
    let occupied = restore(&new, rig.clock.clone(), &folder).await;
    assert!(matches!(occupied, Err(BackupError::Occupied(_))), "{occupied:?}");

    let after = Rig::at(new.database(), rig.dir.clone(), rig.clock.clone()).await;
    let added = after.store.entries_after(saved.position, 10).await.unwrap();
    assert_eq!(
        added.iter().map(|s| &s.entry).collect::<Vec<_>>(),
        [&Entry::Restored { taken: rig.clock.wall() }]
    );
    assert!(
        Envelope::from_bytes(&newest).unwrap().open::<tenken_common::ack::Ack>(&ack_key().public()).is_ok()
    );
    let reply = resumed(&after.resume(&device, Some(newest)).await.1);
    assert_eq!((reply.committed_seq, reply.committed_hash), (Seq(6), device.prev));
    let bytes = device.cut(1);
    assert_eq!(after.push(&device, &bytes).await.acked_seq, Seq(7));
    let counts = after.store.counts().await.unwrap();
    let lost = counts.iter().find(|c| c.device == device.id).unwrap();
    assert_eq!((lost.collector_lost, lost.quarantine), (3, None));
    assert_eq!(after.store.digest().await.unwrap(), {
        after.store.reset_derived().await.unwrap();
        after.store.digest().await.unwrap()
    });
}

#[tokio::test]
async fn what_does_not_fit_its_hash_is_not_restored() {
    let rig = Rig::new().await;
    let dir = rig.dir.path();
    let old = config(dir.join("old"));
    app::init(&old).unwrap();
    let folder = dir.join("backup");
    backup(&old, &rig.store, &folder).await.unwrap();
    let new = config(dir.join("new"));
    for file in ["collector.sqlite", "pki/000001/ack.key.pem"] {
        let path = folder.join(file);
        let good = std::fs::read(&path).unwrap();
        let mut bad = good.clone();
        *bad.last_mut().unwrap() ^= 1;
        std::fs::write(&path, bad).unwrap();
        let got = restore(&new, rig.clock.clone(), &folder).await;
        assert!(matches!(&got, Err(BackupError::Altered(p)) if *p == path), "{got:?}");
        assert!(!new.data_dir.exists(), "nothing is left behind");
        std::fs::write(&path, good).unwrap();
    }
    let manifest = folder.join("backup.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("\"format\": 1", "\"format\": 9")).unwrap();
    assert!(matches!(restore(&new, rig.clock.clone(), &folder).await, Err(BackupError::Format(9))));
    std::fs::write(&manifest, text.replace("pki/000001/ack.key.pem", "../ack.key.pem")).unwrap();
    assert!(matches!(restore(&new, rig.clock.clone(), &folder).await, Err(BackupError::Altered(_))));
    std::fs::write(&manifest, "{}").unwrap();
    assert!(matches!(restore(&new, rig.clock.clone(), &folder).await, Err(BackupError::Manifest(_))));
    std::fs::write(&manifest, text).unwrap();
    restore(&new, rig.clock.clone(), &folder).await.unwrap();
}
