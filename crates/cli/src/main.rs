//! The binary `farshore`.

fn main() {}
