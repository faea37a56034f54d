//! Farshore's seeded world: many devices on the real core and the real store, in virtual time.
//!
//! Nothing here reads a clock or draws a random number of its own: time is a number that jumps to the next event, and every
//! choice follows from one seed. `docs/simulator.md` is the guide.
//!
//! A run, from its seed to its verdict:
//! - [`plan`]: what a seed expands to before it runs: devices, users' acts and [`fault`]s, as data; [`dice`] is the chance.
//! - [`app`]: what the users do, also in an app's own types ([`typed`]); [`workload`] is the built-in one.
//! - [`run`]: the world: devices, disks, links, time.
//! - [`observe`]: what is seen of it from outside, in [`plain`] data; [`oracle`] judges that, by a [`model`] of the truth;
//!   [`timeline`] tells it to people.
//! - [`byzantine`]: devices in bad hands, among the honest ones.
//! - [`sweep`]: many seeds, and what they say together; [`mod@shrink`]: one that fails, made small; [`mod@reproduce`]: both told.
//! - [`recording`]: a run's acts as the edits that they came to.
//!
//! A scene, for tests that choose every step themselves: [`World`] holds devices and links, and jobs and commits happen at
//! once, on [`memory`], a store in maps.

pub mod app;
pub mod byzantine;
pub mod convert;
pub mod device;
pub mod dice;
pub mod fault;
mod limits;
pub mod memory;
pub mod model;
pub mod observe;
pub mod oracle;
pub mod plain;
pub mod plan;
pub mod powercut;
pub mod recording;
pub mod reproduce;
pub mod run;
pub mod shrink;
pub mod sweep;
pub mod timeline;
mod trace;
pub mod typed;
pub mod workload;
pub mod world;

pub use device::Device;
pub use memory::MemoryStore;
pub use reproduce::{reproduce, reproduce_plan};
pub use world::World;
