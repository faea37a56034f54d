//! `farshore demo`: two devices, real data, an unreliable line between them, and the proof that they agree.

mod data;
pub mod proxy;

pub use data::{AIRPORTS_CSV_GZ, AIRPORTS_LICENSE, airports};

/// placeholder
pub async fn run(_: Option<&std::path::Path>, _: Option<u64>, _: &mut crate::print::Printer) -> Result<(), crate::exit::Failure> {
    Ok(())
}
