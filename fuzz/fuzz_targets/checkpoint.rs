#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    farshore_fuzz::checkpoint(data);
});
