//! Runs inputs through a target without any fuzzer: `cargo run -p farshore-fuzz --example replay -- TARGET FILE...`

use farshore_fuzz::TARGETS;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let target = arguments.next().unwrap_or_default();
    let Some((_, body)) = TARGETS.iter().find(|(name, _)| *name == target) else {
        let names: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
        eprintln!("error: name one of the targets and files: {}", names.join(" "));
        std::process::exit(2);
    };
    for file in arguments {
        let input = std::fs::read(&file).unwrap_or_else(|error| panic!("{file} cannot be read: {error}"));
        println!("{file}: {:?}", body(&input));
    }
}
