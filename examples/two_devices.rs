//! Two devices of one household, here in one process: one invites the other, both edit the same field while they are apart,
//! and a person settles the conflict. `cargo run -p farshore-examples --example two_devices`

use std::path::Path;
use std::time::Duration;

use farshore::{Document, Edit, Error, Node, Role, Value};
use serde::{Deserialize, Serialize};

/// Something to do.
#[derive(Debug, Serialize, Deserialize)]
pub struct Todo {
    /// What.
    pub title: String,
}

/// How the story went.
#[derive(Debug)]
pub struct Story {
    /// What both devices kept when each had set the title alone.
    pub candidates: Vec<Value>,
    /// Which of them every device shows until somebody chooses.
    pub shown: Value,
    /// What Ben reads after Ada has chosen.
    pub settled: Todo,
}

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    println!("{:#?}", run(dir.path()).await?);
    Ok(())
}

/// The story, with the stores of both devices in a directory.
pub async fn run(dir: &Path) -> Result<Story, Error> {
    let (ada, ben) = (open(dir, "ada").await?, open(dir, "ben").await?);

    // Ada founds a space and invites Ben. The ticket is a text: a chat, a mail or a QR code takes it to him.
    let hers = ada.create_space("household").await?;
    let milk = hers.collection::<Todo>("todos").await?.insert(Todo { title: "Milk".into() }).await?;
    let ticket = hers.invite(Role::Writer).open().await?;
    let his = ben.join(&ticket, PATIENCE).await?;

    // He learns of the collection and of what is in it with his first sync.
    let bens_milk = his.wait_for_collection::<Todo>("todos", PATIENCE).await?.document(milk.id());
    until(&bens_milk, async || bens_milk.get().await).await?;

    // Apart, both change the title. Each change is durable where it was made, and waits for nobody.
    ben.suspend().await?;
    milk.change(|todo| todo.title = "Oat milk".into()).await?;
    bens_milk.change(|todo| todo.title = "Soy milk".into()).await?;
    ben.resume().await?;

    // When they meet, both titles are kept, and every device shows the same one of them.
    let conflict = until(&milk, async || Ok(milk.conflicts().await?.pop())).await?;
    let candidates: Vec<Value> = conflict.values.into_iter().map(|candidate| candidate.value).collect();
    let shown = candidates[conflict.winner].clone();

    // Ada chooses. Writing to the place settles the conflict, also with the value that is shown already.
    milk.edit(vec![Edit::put(conflict.path, "Oat milk")]).await?;
    let settled = until(&bens_milk, async || {
        let is_settled = bens_milk.conflicts().await?.is_empty();
        Ok(bens_milk.get().await?.filter(|todo| is_settled && todo.title == "Oat milk"))
    });
    let settled = settled.await?;
    ben.shutdown().await;
    ada.shutdown().await;
    Ok(Story { candidates, shown, settled })
}

/// A device that only this machine can reach. An app keeps the defaults: devices on one network find each other.
async fn open(dir: &Path, name: &str) -> Result<Node, Error> {
    Node::builder(dir.join(name)).name(name).mdns(false).quic(false).listen("/ip4/127.0.0.1/tcp/0").open().await
}

/// Looks at a document each time that it may have changed, until what is looked for is there.
async fn until<T>(document: &Document<Todo>, look: impl AsyncFn() -> Result<Option<T>, Error>) -> Result<T, Error> {
    let mut changes = document.watch(); // before the first look, so that no change falls in between
    loop {
        match look().await? {
            Some(found) => return Ok(found),
            None => changes.next().await.ok_or(Error::Closed)?,
        };
    }
}
