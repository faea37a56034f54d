//! Farshore's deterministic core: it decides everything and does nothing.
//!
//! No I/O, clock, OS randomness, thread or async lives here (invariant I2 of `docs/architecture.md`). The caller hands in
//! everything that can happen as an `Input`, together with the time, and takes out everything that is asked for as an
//! `Output`. The same inputs give the same outputs, byte for byte, on every machine.

pub mod batch;
pub mod bytes;
pub mod catalogue;
pub mod entropy;
pub mod id;
pub mod keys;
pub mod limits;
pub mod role;
pub mod roster;
pub mod seal;
pub mod ticket;
