#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| dbproxy_mysql::fuzzing::statement(input));
