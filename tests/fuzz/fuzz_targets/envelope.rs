//! See `tenken_tests::fuzz::envelope`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tenken_tests::fuzz::envelope(data));
