//! What a person may do wrong, or find wrong, with a store: each is answered with its own exit code, says what to do, and
//! loses nothing. The table is `docs/bad-input.md`.

mod support;

use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::process::Command;
use support::{Shell, until};

fn message(failure: &(i32, Value)) -> &str {
    failure.1["message"].as_str().unwrap()
}

/// A store with one document, not in use.
fn written() -> Shell {
    let shell = Shell::new();
    shell.home("a.fsh", "ada");
    shell.item("a.fsh", &["put", "todos", "--key", "milk", "title=Milk"]);
    shell
}

/// Damages the file of a store at a place.
fn flip(shell: &Shell, store: &str, at: u64) {
    let file = fs::OpenOptions::new().read(true).write(true).open(shell.path(store)).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

#[test]
fn a_damaged_store_is_told_with_its_own_exit_code_and_left_as_it_is() {
    let shell = written();
    assert_eq!(shell.item("a.fsh", &["check"])["problems"], json!([]));
    flip(&shell, "a.fsh", 20); // the header page
    let before = fs::read(shell.path("a.fsh")).unwrap();
    for words in [&["list", "todos"][..], &["status"], &["check"], &["up"]] {
        let failure = shell.failure("a.fsh", words);
        assert_eq!(failure.0, 7, "{words:?}: {failure:?}");
        assert!(message(&failure).contains("damaged") && message(&failure).contains("backup"), "{failure:?}");
    }
    assert_eq!(fs::read(shell.path("a.fsh")).unwrap(), before);
}

#[test]
fn a_store_cut_short_is_told_as_damaged() {
    let shell = written();
    let file = fs::OpenOptions::new().write(true).open(shell.path("a.fsh")).unwrap();
    file.set_len(10_000).unwrap();
    let failure = shell.failure("a.fsh", &["list", "todos"]);
    assert_eq!(failure.0, 7, "{failure:?}");
}

#[test]
fn a_check_finds_a_damaged_page_wherever_it_is_in_use() {
    let shell = Shell::new();
    shell.home("a.fsh", "ada");
    let rows: String = (0..400).map(|n| format!("{{\"k\":\"{n}\",\"text\":\"{}\"}}\n", "x".repeat(200))).collect();
    fs::write(shell.path("rows.ndjson"), rows).unwrap();
    shell.item("a.fsh", &["import", "rows", "rows.ndjson", "--key", "k"]);
    let sound = fs::read(shell.path("a.fsh")).unwrap();
    let (mut found, pages) = (0, sound.len() as u64 / 4096);
    for page in (2..pages).step_by((pages / 24) as usize) {
        fs::write(shell.path("a.fsh"), &sound).unwrap();
        flip(&shell, "a.fsh", page * 4096 + 64);
        let output = shell.output("a.fsh", &["check"]);
        match output.status.code() {
            Some(7) => found += 1,
            Some(0) => {} // in space that holds nothing
            other => panic!("page {page}: {other:?} {output:?}"),
        }
    }
    assert!(found > 8, "{found} of 24");
}

#[test]
fn a_store_of_a_newer_version_is_refused_untouched() {
    let shell = written();
    let mut newer = fs::read(shell.path("a.fsh")).unwrap();
    newer[13] = 9; // the container's version, in the header page
    fs::write(shell.path("a.fsh"), &newer).unwrap();
    for words in [&["list", "todos"][..], &["up"], &["check"]] {
        let failure = shell.failure("a.fsh", words);
        assert_eq!(failure.0, 4, "{words:?}: {failure:?}");
        assert!(
            message(&failure).contains("version 9") && message(&failure).contains("update Farshore"),
            "{failure:?}"
        );
    }
    assert_eq!(fs::read(shell.path("a.fsh")).unwrap(), newer);
}

#[test]
fn a_file_that_is_no_store_is_told_apart_from_a_damaged_one() {
    let shell = Shell::new();
    fs::write(shell.path("photo.jpg"), vec![0xff; 9000]).unwrap();
    fs::copy(written().path("a.fsh.key"), shell.path("photo.jpg.key")).unwrap();
    let failure = shell.failure("photo.jpg", &["list", "todos"]);
    assert_eq!(failure.0, 6, "{failure:?}");
    assert!(message(&failure).contains("not a Farshore store"), "{failure:?}");
}

#[test]
fn an_unreadable_store_is_refused_with_the_remedy() {
    let shell = written();
    for name in ["a.fsh", "a.fsh.key"] {
        let path = shell.path(name);
        let usual = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
        let (code, text) = as_anybody(&shell, &["--store", "a.fsh", "list", "todos"]);
        assert_eq!(code, Some(4), "{name}: {text}");
        assert!(text.to_lowercase().contains("permission"), "{name}: {text}");
        fs::set_permissions(&path, usual).unwrap();
    }
    assert_eq!(shell.items("a.fsh", &["list", "todos"]).len(), 1);
}

/// Runs the program as a user who may do nothing: root may read everything. Gives the exit code and what was said.
fn as_anybody(shell: &Shell, arguments: &[&str]) -> (Option<i32>, String) {
    use std::os::unix::process::CommandExt as _;
    const NOBODY: u32 = 65_534;
    // Where the program was built may be closed to others.
    let program = shell.path("farshore");
    // By a process of its own: another test may start a program meanwhile, which would inherit the copy open for writing, and
    // a file that is open for writing cannot be run.
    assert!(Command::new("cp").arg(env!("CARGO_BIN_EXE_farshore")).arg(&program).status().unwrap().success());
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(&program);
    command.current_dir(shell.directory.path()).env_clear().env("HOME", shell.directory.path()).args(arguments);
    if rustix::process::getuid().is_root() {
        fs::set_permissions(shell.directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
        for entry in fs::read_dir(shell.directory.path()).unwrap() {
            std::os::unix::fs::chown(entry.unwrap().path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), text)
}

#[test]
fn a_forgotten_store_path_means_the_users_own_store_and_says_which() {
    let shell = written();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_farshore"));
        command.current_dir(shell.directory.path()).env_clear().env("HOME", shell.directory.path());
        let output = command.args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, text) = run(&["list", "todos"]);
    assert_eq!(code, Some(3));
    assert!(text.contains(".local/share/farshore/store.fsh") && text.contains("farshore init"), "{text}");
    assert!(!shell.path(".local").exists(), "a forgotten path leaves no traces");
    let homeless = Command::new(env!("CARGO_BIN_EXE_farshore")).env_clear().args(["list", "todos"]).output().unwrap();
    let text = String::from_utf8_lossy(&homeless.stderr);
    assert!(homeless.status.code() == Some(2) && text.contains("--store") && text.contains("FARSHORE_STORE"), "{text}");
}

#[test]
fn a_copied_store_lives_on_as_another_incarnation_and_both_lose_nothing() {
    let shell = written();
    shell.item("b.fsh", &["init", "--name", "ben"]);
    let ada = shell.up("a.fsh");
    let ben = shell.up("b.fsh");
    let to_ben = ben.item["listening"][0].as_str().unwrap().to_owned();
    let ticket = shell.item("a.fsh", &["invite"])["ticket"].as_str().unwrap().to_owned();
    shell.item("b.fsh", &["join", &ticket]);
    until("Ada's document at Ben's", || shell.output("b.fsh", &["get", "todos", "milk"]).status.success());
    assert_eq!(ada.stop(), 0);
    for suffix in ["", ".key"] {
        fs::copy(shell.path(&format!("a.fsh{suffix}")), shell.path(&format!("copy.fsh{suffix}"))).unwrap();
    }
    // Each is edited while the other does not run: the same seq of the same device, were they the same journal.
    shell.item("a.fsh", &["put", "todos", "--key", "original", "from=original"]);
    shell.item("copy.fsh", &["put", "todos", "--key", "copied", "from=copy"]);
    for (store, key) in [("a.fsh", "original"), ("copy.fsh", "copied")] {
        let running = shell.up_with(store, &["--peer", &to_ben]);
        until(&format!("{key} at Ben's"), || shell.output("b.fsh", &["get", "todos", key]).status.success());
        assert_eq!(running.stop(), 0);
    }
    let running = shell.up_with("a.fsh", &["--peer", &to_ben]);
    until("the copy's document at the original", || {
        shell.output("a.fsh", &["get", "todos", "copied"]).status.success()
    });
    for store in ["a.fsh", "b.fsh"] {
        assert_eq!(shell.items(store, &["list", "todos"]).len(), 3, "{store}");
    }
    assert_eq!((running.stop(), ben.stop()), (0, 0));
    assert_eq!(shell.item("a.fsh", &["check"])["problems"], json!([]));
}

#[test]
fn a_store_in_use_is_not_checked() {
    let shell = written();
    let up = shell.up("a.fsh");
    let failure = shell.failure("a.fsh", &["check"]);
    assert_eq!(failure.0, 8, "{failure:?}");
    assert!(message(&failure).contains(&up.pid().to_string()), "{failure:?}");
    assert_eq!(up.stop(), 0);
}

#[test]
fn words_that_cannot_be_understood_are_answered_and_never_a_panic() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    let shell = written();
    let huge = "9".repeat(400);
    let lines: &[(&[&str], i32)] = &[
        (&["lst", "todos"], 2),
        (&["list"], 2),
        (&["put", "todos"], 2),
        (&["put", "todos", "title"], 2),
        (&["get", "todos"], 2),
        (&["edit", "todos", "milk"], 2),
        (&["edit", "todos", "milk", "splice", "title", "-1", "0", "x"], 2),
        (&["edit", "todos", "milk", "splice", "title", &huge, "0", "x"], 2),
        (&["edit", "todos", "milk", "increment", "n", &huge], 2),
        (&["list", "todos", "--limit", &huge], 2),
        (&["log", "-n", "-5"], 2),
        (&["up", "--port", "65536"], 2),
        (&["up", "--peer", "192.0.2.7"], 2),
        (&["invite", "--valid", "soon"], 2),
        (&["invite", "--valid", &huge], 2),
        (&["join", "ticket", "--wait", "99999999999999999999s"], 2),
        (&["list", "todos", "--where", "title"], 2),
        (&["space", "create", ""], 2),
        (&["import", "todos", "/"], 2),
        (&["export", "todos", "no/such/dir/a.csv"], 3),
        (&["get", "todos", "--id", "0"], 2),
    ];
    for (words, code) in lines {
        let output = shell.output("a.fsh", words);
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
        assert!(!text.contains("panicked"), "{words:?}: {text}");
        assert_eq!(output.status.code(), Some(*code), "{words:?}: {text}");
    }
    assert_eq!(shell.failure("a.fsh/below", &["list", "todos"]).0, 3);
    let rotten = OsStr::from_bytes(b"mil\xffk");
    for place in 0..3 {
        let mut words = [OsStr::new("get"), OsStr::new("todos"), OsStr::new("milk")];
        words[place] = rotten;
        let output = shell.command("a.fsh").args(words).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}: {output:?}");
    }
    // A path may be any bytes.
    let output = shell.command("a.fsh").args([OsStr::new("import"), OsStr::new("todos"), rotten]).output().unwrap();
    assert!(matches!(output.status.code(), Some(2 | 3)), "{output:?}");
    assert_eq!(shell.items("a.fsh", &["list", "todos"]).len(), 1);
}
