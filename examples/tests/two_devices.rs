//! The two devices do what the example says.

#[allow(dead_code, unreachable_pub, missing_docs)] // The program itself, with a `main` that no test calls.
#[path = "../two_devices.rs"]
mod two_devices;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_devices_keep_both_titles_and_settle_on_one() {
    let dir = tempfile::tempdir().unwrap();
    let story = tokio::time::timeout(std::time::Duration::from_secs(120), two_devices::run(dir.path()));
    let story = story.await.expect("it does not hang").unwrap();
    let kept = |title: &str| story.candidates.contains(&title.into());
    assert!(story.candidates.len() == 2 && kept("Oat milk") && kept("Soy milk"), "{story:?}");
    assert!(story.candidates.contains(&story.shown), "{story:?}");
    assert_eq!(story.settled.title, "Oat milk");
}
