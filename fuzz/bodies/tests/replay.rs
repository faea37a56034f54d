//! Every input that is kept of the fuzzers holds its target's property: the committed corpora, and what once broke something.

use std::path::{Path, PathBuf};

use farshore_fuzz::{Outcome, TARGETS};

fn fuzz_directory() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in `fuzz`")
}

/// The files kept of a target, in order; none where there is no directory.
fn kept(of: &str, target: &str) -> Vec<PathBuf> {
    let directory = fuzz_directory().join(of).join(target);
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn replay(target: &str) {
    let (_, body) = TARGETS.iter().find(|(name, _)| *name == target).expect("a target of this name");
    let mut accepted = 0;
    let corpus = kept("corpus", target);
    for file in corpus.iter().chain(&kept("artifacts-known", target)) {
        // Shown only when it fails: which input it was.
        println!("{}", file.display());
        accepted += usize::from(body(&std::fs::read(file).unwrap()) == Outcome::Accepted);
    }
    assert!(accepted * 10 >= corpus.len() && accepted > 0, "{accepted} of {} come past the first checks", corpus.len());
}

macro_rules! targets {
    ($($target:ident)*) => {
        mod every_kept_input_holds_the_property_of {
            $(#[test]
            fn $target() {
                super::replay(stringify!($target));
            })*
        }

        #[test]
        fn every_target_has_a_corpus_that_is_replayed() {
            let replayed = [$(stringify!($target)),*];
            let targets: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(replayed.as_slice(), targets);
            for of in ["corpus", "artifacts-known"] {
                for entry in std::fs::read_dir(fuzz_directory().join(of)).into_iter().flatten() {
                    let name = entry.unwrap().file_name();
                    assert!(targets.iter().any(|target| name == *target), "{of}/{name:?} is no target's");
                }
            }
        }
    };
}

targets! { change change_automerge checkpoint control entry frame import roster_op store ticket world }
