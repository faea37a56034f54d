//! Tells the binary which commit it was built from; without git, or outside a checkout, it says so.

use std::process::Command;

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

fn main() {
    let commit = match git(&["rev-parse", "--short=12", "HEAD"]) {
        Some(hash) if !hash.is_empty() => {
            let tracked = git(&["status", "--porcelain", "--untracked-files=no"]);
            if tracked.is_some_and(|changes| !changes.is_empty()) { format!("{hash}-dirty") } else { hash }
        }
        _ => "unknown".to_owned(),
    };
    println!("cargo:rustc-env=FARSHORE_COMMIT={commit}");
    println!("cargo:rerun-if-changed=build.rs");
    // HEAD names a branch, and the branch's file changes with every commit; in a worktree they lie in two places.
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", name])
            && std::path::Path::new(&path).exists()
        {
            println!("cargo:rerun-if-changed={path}");
        }
    }
}
