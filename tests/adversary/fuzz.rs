//! The fuzzer's corpus, replayed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use tenken_tests::fuzz::{TARGETS, corpus, seeds};

#[test]
fn the_corpus_holds_real_messages_and_none_of_it_does_any_harm() {
    for (target, entry) in TARGETS {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        if std::env::var_os("TENKEN_BLESS").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            for (number, seed) in seeds(target).iter().enumerate() {
                std::fs::write(folder.join(format!("seed-{number:02}")), seed).unwrap();
            }
        }
        let corpus = corpus(target);
        assert!(corpus.len() >= 4, "the corpus of {target} is gone");
        let made = seeds(target).into_iter().map(|bytes| ("made just now".into(), bytes));
        for (path, bytes) in corpus.into_iter().chain(made) {
            let harm = catch_unwind(AssertUnwindSafe(|| entry(&bytes))).is_err();
            assert!(!harm, "{target}: {}", path.display());
        }
    }
}
