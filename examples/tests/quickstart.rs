//! The quickstart does what it says.

#[allow(dead_code, unreachable_pub, missing_docs)] // The program itself, with a `main` that no test calls.
#[path = "../quickstart.rs"]
mod quickstart;

#[tokio::test]
async fn the_quickstart_shows_the_todo_that_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let node = farshore::Node::builder(dir.path().join("todos.fsh")).offline(true).open().await.unwrap();
    let left = quickstart::run(&node).await.unwrap();
    assert_eq!(left.iter().map(|todo| todo.title.as_str()).collect::<Vec<_>>(), ["Bread"]);
    // Run again, it goes on in the space that is there.
    assert_eq!(quickstart::run(&node).await.unwrap().len(), 2);
    assert_eq!(node.spaces().await.unwrap().len(), 1);
    node.shutdown().await;
}
