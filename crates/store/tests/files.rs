//! Paths, keys, locks and files that are not what they should be: each is told apart and says what to do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use farshore_core::batch::{Batch, ContentOp, StoreOp, ViewOp};
use farshore_core::id::{CollectionTag, DocKey, DocumentId, SpaceId, StoreId};
use farshore_store::{Holder, KeyError, OpenError, Store, StoreKey, key_path, load_or_create_key_file};

/// Set for a child process that a test starts of its own binary: the store to work on.
const CHILD: &str = "FARSHORE_STORE_TEST_PATH";

const DOC: DocKey =
    DocKey { space: SpaceId([1; 32]), collection: CollectionTag([2; 16]), document: DocumentId([3; 16]) };

fn key() -> StoreKey {
    StoreKey::from_bytes([7; 64])
}

fn batch(view: u8) -> Batch {
    let view = ViewOp::Put(vec![view; 20]);
    Batch {
        id: 1,
        ops: vec![StoreOp::PutDocument { key: DOC, generation: 1, record: vec![1], content: ContentOp::Keep, view }],
    }
}

/// Not random at all, so that a test can look for it.
fn threes(bytes: &mut [u8; 64]) -> std::io::Result<()> {
    bytes.fill(3);
    Ok(())
}

/// A closed store with one document, in a directory of its own.
fn store() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("todos.fsh");
    let store = Store::create(&path, &key(), StoreId([9; 16])).unwrap();
    store.apply(&[batch(5)]).unwrap();
    (directory, path)
}

fn refused(path: &Path) -> OpenError {
    let error = Store::open(path, &key()).expect_err("it should not open");
    let text = error.to_string();
    assert!(text.contains(&path.display().to_string()), "the message names no path: {text}");
    error
}

/// Runs one test of this binary as another process, on `path`.
fn child(test: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(CHILD, path);
    command
}

#[test]
fn a_store_is_there_again_after_closing() {
    let (_directory, path) = store();
    let store = Store::open(&path, &key()).unwrap();
    assert_eq!(store.identity().store, StoreId([9; 16]));
    assert!(!store.identity().copied);
    assert_eq!(store.reader().view(&DOC).unwrap(), Some(vec![5; 20]));
    assert!(Store::open_verified(&path, &key()).is_err(), "it is open");
    drop(store);
    assert!(Store::open_verified(&path, &key()).unwrap().reader().check().unwrap().is_sound());
}

#[test]
fn creating_leaves_only_the_store_and_never_overwrites() {
    let (directory, path) = store();
    let names: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["todos.fsh"]);
    let before = fs::read(&path).unwrap();
    assert!(matches!(Store::create(&path, &key(), StoreId([1; 16])), Err(OpenError::Exists(_))));
    assert_eq!(fs::read(&path).unwrap(), before);
    let nowhere = directory.path().join("missing/todos.fsh");
    assert!(matches!(Store::create(&nowhere, &key(), StoreId([1; 16])), Err(OpenError::NoDirectory(_))));
    let below_a_file = path.join("todos.fsh");
    assert!(matches!(Store::create(&below_a_file, &key(), StoreId([1; 16])), Err(OpenError::NotADirectory(_))));
}

#[cfg(unix)]
#[test]
fn a_store_and_its_key_are_readable_by_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("todos.fsh");
    let key = load_or_create_key_file(&path, threes).unwrap();
    drop(Store::create(&path, &key, StoreId([9; 16])).unwrap());
    for file in [path.clone(), key_path(&path)] {
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn nothing_of_the_content_is_in_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("todos.fsh");
    let store = Store::create(&path, &key(), StoreId([9; 16])).unwrap();
    let op = StoreOp::PutMeta { name: "a telling name".into(), value: b"a telling value".to_vec() };
    store.apply(&[Batch { id: 1, ops: vec![op] }]).unwrap();
    drop(store);
    let bytes = fs::read(&path).unwrap();
    let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    assert!(holds(b"farshore"));
    for secret in [&b"telling"[..], b"documents", b"redb", &[9; 17]] {
        assert!(!holds(secret), "{}", String::from_utf8_lossy(secret));
    }
}

#[test]
fn a_path_that_is_no_store_is_told_apart() {
    let (directory, path) = store();
    assert!(matches!(refused(&directory.path().join("typo.fsh")), OpenError::Missing(_)));
    assert!(matches!(refused(&directory.path().join("missing/todos.fsh")), OpenError::Missing(_)));
    assert!(matches!(refused(directory.path()), OpenError::IsDirectory(_)));
    assert!(matches!(refused(&path.join("below")), OpenError::NotADirectory(_)));
    let other = directory.path().join("other");
    for content in [&b""[..], b"hello", &[0; 5000], b"redb\x1a\x0a\xa9\x0d\x0a and so on", &[0xff; 100_000]] {
        fs::write(&other, content).unwrap();
        assert!(matches!(refused(&other), OpenError::NotAStore(..)));
        assert_eq!(fs::read(&other).unwrap(), content, "the file was touched");
    }
}

#[test]
fn a_store_cut_short_at_any_length_is_refused_or_whole() {
    let (_directory, path) = store();
    let whole = fs::read(&path).unwrap();
    let mut lengths: Vec<usize> = (8..whole.len()).step_by(509).collect();
    lengths.extend([12, 63, 64, 4095, 4096, 4097, 4096 + 512, 8192, whole.len() - 1]);
    for length in lengths {
        fs::write(&path, &whole[..length]).unwrap();
        match Store::open(&path, &key()) {
            Err(OpenError::Damaged { .. } | OpenError::NotAStore(..)) => {}
            Err(OpenError::Io { error, .. }) => panic!("{length}: {error}"),
            Err(other) => panic!("{length}: {other}"),
            Ok(store) => match store.reader().view(&DOC) {
                Ok(view) => assert_eq!(view, Some(vec![5; 20]), "{length}"),
                Err(error) => assert!(error.to_string().contains("damaged"), "{length}: {error}"),
            },
        }
    }
}

#[test]
fn a_read_only_store_is_refused_before_anything_is_written() {
    let (_directory, path) = store();
    let mut permissions = fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&path, permissions).unwrap();
    let error = refused(&path);
    assert!(matches!(error, OpenError::ReadOnly(_) | OpenError::Denied(_)), "{error}");
}

#[cfg(unix)]
#[test]
fn a_store_of_somebody_else_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    if let Ok(path) = std::env::var(CHILD) {
        let error = refused(Path::new(&path));
        assert!(matches!(error, OpenError::Denied(_)), "{error}");
        println!("refused as it should be");
        return;
    }
    let (directory, path) = store();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    let mut child = child("a_store_of_somebody_else_is_refused", &path);
    if fs::File::open(&path).is_ok() {
        child.uid(65_534).gid(65_534); // an administrator may read everything: try as nobody
    }
    let output = child.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("refused as it should be"), "{output:?}");
}

#[test]
fn a_wrong_key_is_told_apart_from_damage_and_named() {
    let (directory, path) = store();
    let wrong = load_or_create_key_file(&directory.path().join("wrong"), |bytes| {
        bytes.fill(8);
        Ok(())
    })
    .unwrap();
    let error = Store::open(&path, &wrong).unwrap_err();
    assert!(matches!(error, OpenError::WrongKey { .. }));
    assert!(error.to_string().contains("wrong.key"), "{error}");
    let mut bytes = fs::read(&path).unwrap();
    bytes[40] ^= 1; // within the key check
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(refused(&path), OpenError::Damaged { .. }));
}

#[test]
fn a_store_of_a_newer_container_version_is_refused_untouched() {
    let (_directory, path) = store();
    let mut bytes = fs::read(&path).unwrap();
    bytes[13] = 2;
    fs::write(&path, &bytes).unwrap();
    let error = refused(&path);
    assert!(matches!(error, OpenError::Newer { found: 2, known: 1, .. }), "{error}");
    assert!(error.to_string().contains("update Farshore"));
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_second_opening_names_the_holder() {
    if let Ok(path) = std::env::var(CHILD) {
        let _store = Store::open(Path::new(&path), &key()).unwrap();
        println!("open");
        std::io::Read::read(&mut std::io::stdin(), &mut [0]).unwrap();
        return;
    }
    let (_directory, path) = store();
    let first = Store::open(&path, &key()).unwrap();
    assert!(matches!(refused(&path), OpenError::InUse { holder: Holder::Ourselves, .. }));
    drop(first);
    let mut child = child("a_second_opening_names_the_holder", &path);
    let mut child = child.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    wait_for_line(&mut child, "open");
    let error = refused(&path);
    assert!(
        matches!(&error, OpenError::InUse { holder: Holder::Process { pid, .. }, .. } if *pid == child.id()),
        "{error}"
    );
    assert!(error.to_string().contains(&format!("process {}", child.id())), "{error}");
    if cfg!(target_os = "linux") {
        assert!(error.to_string().contains("a_second_opening_names_the_holder"), "{error}");
    }
    // Killed, it leaves its record, which blocks nothing.
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(fs::metadata(format!("{}.lock", path.display())).is_ok());
    let store = Store::open(&path, &key()).unwrap();
    assert_eq!(store.reader().view(&DOC).unwrap(), Some(vec![5; 20]));
    drop(store);
    assert!(fs::metadata(format!("{}.lock", path.display())).is_err());
}

fn wait_for_line(child: &mut std::process::Child, wanted: &str) {
    use std::io::BufRead;
    let output = std::io::BufReader::new(child.stdout.take().unwrap());
    // The harness prints the test's name on the same line first.
    let found = output.lines().map_while(Result::ok).any(|line| line.trim_end().ends_with(wanted));
    assert!(found, "the child never said `{wanted}`");
}

#[test]
fn a_reader_keeps_the_store_open_after_the_store_is_dropped() {
    let (_directory, path) = store();
    let reader = Store::open(&path, &key()).unwrap().reader();
    assert_eq!(reader.view(&DOC).unwrap(), Some(vec![5; 20]));
    assert!(matches!(refused(&path), OpenError::InUse { .. }));
    drop(reader);
    assert!(Store::open(&path, &key()).is_ok());
}

#[test]
fn a_copied_store_says_so_until_it_is_accepted() {
    let (directory, path) = store();
    let copy = directory.path().join("copy.fsh");
    fs::copy(&path, &copy).unwrap();
    let store = Store::open(&copy, &key()).unwrap();
    assert!(store.identity().copied);
    drop(store);
    let store = Store::open(&copy, &key()).unwrap();
    assert!(store.identity().copied, "opening it alone accepted the copy");
    store.accept_identity().unwrap();
    assert!(!store.identity().copied);
    drop(store);
    assert!(!Store::open(&copy, &key()).unwrap().identity().copied);
    assert!(!Store::open(&path, &key()).unwrap().identity().copied);
    // Renaming is no copy.
    let renamed = directory.path().join("renamed.fsh");
    fs::rename(&path, &renamed).unwrap();
    assert!(!Store::open(&renamed, &key()).unwrap().identity().copied);
}

#[test]
fn a_key_file_is_made_once_and_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("todos.fsh");
    let key = load_or_create_key_file(&path, threes).unwrap();
    let text = fs::read_to_string(key_path(&path)).unwrap();
    assert!(text.starts_with("farshore-key 1\n") && text.contains("does NOT protect"), "{text}");
    drop(Store::create(&path, &key, StoreId([9; 16])).unwrap());
    let again = load_or_create_key_file(&path, |_| panic!("it would be overwritten")).unwrap();
    assert!(Store::open(&path, &again).is_ok());
    assert!(!format!("{again:?}").contains("0303"));
    assert_eq!(fs::read_to_string(key_path(&path)).unwrap(), text);
}

#[test]
fn a_store_without_its_key_gets_no_new_one() {
    let (directory, path) = store();
    let error = load_or_create_key_file(&path, |_| panic!("no key may be made")).unwrap_err();
    assert!(matches!(&error, KeyError::Missing { key, .. } if *key == key_path(&path)), "{error}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    let nowhere = directory.path().join("missing/todos.fsh");
    let error = load_or_create_key_file(&nowhere, threes).unwrap_err();
    assert!(matches!(error, KeyError::Io { .. }), "{error}");
}

#[cfg(unix)]
#[test]
fn a_key_file_that_others_may_read_is_refused_with_the_remedy() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("todos.fsh");
    load_or_create_key_file(&path, threes).unwrap();
    for mode in [0o640, 0o604, 0o660] {
        fs::set_permissions(key_path(&path), fs::Permissions::from_mode(mode)).unwrap();
        let error = load_or_create_key_file(&path, |_| panic!("no key may be made")).unwrap_err();
        assert!(matches!(error, KeyError::Exposed { mode: found, .. } if found == mode));
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
}

#[test]
fn a_malformed_key_file_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("todos.fsh");
    load_or_create_key_file(&path, threes).unwrap();
    let good = fs::read_to_string(key_path(&path)).unwrap();
    let spoilt = [
        String::new(),
        "hello".into(),
        good.replace("key 03", "key 04"),
        good.replace("key 03", "key 3"),
        good.replace("check ", "chuck "),
        good.replace("farshore-key 1", "farshore-key x"),
        format!("{good}more"),
        "x".repeat(100_000),
    ];
    for text in spoilt {
        fs::write(key_path(&path), &text).unwrap();
        let error = load_or_create_key_file(&path, |_| panic!("no key may be made")).unwrap_err();
        assert!(matches!(error, KeyError::Malformed { .. }), "{error}");
        assert!(!error.to_string().contains("0303"), "the error shows the key");
        assert_eq!(fs::read_to_string(key_path(&path)).unwrap(), text);
    }
    fs::write(key_path(&path), good.replace("farshore-key 1", "farshore-key 2")).unwrap();
    let error = load_or_create_key_file(&path, |_| panic!("no key may be made")).unwrap_err();
    assert!(matches!(error, KeyError::Newer { found: 2, .. }), "{error}");
}
