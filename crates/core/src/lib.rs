//! Farshore's deterministic core: it decides everything and does nothing.
//!
//! No I/O, clock, OS randomness, thread or async lives here (invariant I2 of `docs/architecture.md`). The caller hands in
//! everything that can happen as an [`input::Input`], together with the time, and takes out everything that is asked for as an
//! [`output::Output`]. The same inputs give the same outputs, byte for byte, on every machine.
//!
//! Reading order: [`input`] and [`output`] (the contract), [`replica`] (the one loop), [`entry`] and [`payload`] (what travels),
//! [`roster`] (who may), [`change`] and [`document`] (Automerge behind a validator), [`wire`] (frames).

pub mod batch;
pub mod breakage;
pub mod bytes;
pub mod catalogue;
pub mod change;
pub mod checkpoint;
pub mod document;
pub mod entropy;
pub mod entry;
pub mod id;
pub mod input;
pub mod job;
pub mod keys;
pub mod limits;
pub mod output;
pub mod payload;
pub mod progress;
pub mod record;
pub mod replica;
pub mod role;
pub mod roster;
pub mod seal;
pub mod subscription;
pub mod ticket;
pub mod time;
pub mod value;
pub mod wire;
