//! `farshore demo`: two devices, real data, an unreliable line between them, and the proof that they agree.

mod data;
pub mod proxy;

pub use data::{AIRPORTS_CSV_GZ, AIRPORTS_LICENSE, airports};
