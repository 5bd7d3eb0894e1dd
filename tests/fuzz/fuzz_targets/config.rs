//! See `tenken_tests::fuzz::configuration`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tenken_tests::fuzz::configuration(data));
