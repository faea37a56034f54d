//! For tests and the simulator: a disk that fails, tears and forgets, and a model of what a store should hold.
//!
//! Behind the cargo feature `testing`; no build of the product has it.

mod disk;
mod model;
mod workload;

pub use disk::{Disk, DiskBackend, Fault, Loss, Op, SECTOR_BYTES};
pub use model::Model;
pub use workload::{Random, Workload};
