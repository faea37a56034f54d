//! Farshore's seeded world: many devices on the real core, in virtual time.
//!
//! A [`World`] holds devices and the links between them. Nothing in it reads a clock or draws a random number of its own: time
//! is a number that jumps to the next event, and every choice follows from one seed. Jobs run inline.
//!
//! - [`memory`]: a store in maps: small enough to be checked by reading, and what batches are compared with.
//! - [`device`]: one replica on one store, with its app.
//! - [`world`]: devices, links, time.

pub mod device;
pub mod memory;
pub mod world;

pub use device::Device;
pub use memory::MemoryStore;
pub use world::World;
