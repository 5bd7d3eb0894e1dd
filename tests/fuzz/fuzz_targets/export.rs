//! See `tenken_tests::fuzz::export`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tenken_tests::fuzz::export(data));
