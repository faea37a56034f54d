//! The first program: todos in a store, durable, mergeable, watched. `cargo run -p farshore-examples --example quickstart -- todos.fsh`
use farshore::{Error, Node, field};
use serde::{Deserialize, Serialize};

/// Something to do.
#[derive(Debug, Serialize, Deserialize)]
pub struct Todo {
    /// What.
    pub title: String,
    /// Whether it was done.
    pub done: bool,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "todos.fsh".into());
    let node = Node::open(path).await?;
    println!("{:?}", run(&node).await?);
    node.shutdown().await;
    Ok(())
}

/// Writes, edits and asks; returns what is still to do.
pub async fn run(node: &Node) -> Result<Vec<Todo>, Error> {
    let space = match node.space("household").await {
        Err(Error::NoSpace(_)) => node.create_space("household").await?, // on a second device: node.join(ticket, time)
        space => space?,
    };
    let todos = space.collection::<Todo>("todos").await?;
    let milk = todos.insert(Todo { title: "Milk".into(), done: false }).await?; // durable when it returns
    todos.insert(Todo { title: "Bread".into(), done: false }).await?;
    milk.change(|todo| todo.done = true).await?;
    let open = todos.query().filter(field("done").eq(false)).run().await?;
    Ok(open.into_iter().map(|(_, todo)| todo).collect())
}
