//! For tests and the simulator: a disk that fails, tears and forgets, and a model of what a store should hold.
//!
//! Behind the cargo feature `testing`; no build of the product has it.

mod disk;
mod image;
mod model;
mod workload;

pub use disk::{Disk, DiskBackend, Fault, Loss, Op, SECTOR_BYTES};
pub use image::Image;
pub use model::Model;
pub use workload::{Random, Workload};

/// Encrypts and decrypts pages as a store does, and gives both rates in MB/s; `clock` says how long its work took.
///
/// 64 MiB each way: long against the clock, and far above the caches.
pub fn cipher_rates(key: &crate::StoreKey, clock: impl Fn(&mut dyn FnMut()) -> std::time::Duration) -> (f64, f64) {
    const PAGES: usize = 16_384;
    let xts = key.xts();
    let mut bytes = vec![1; PAGES * crate::xts::SECTOR_BYTES];
    let mut run = |work: &dyn Fn(u64, &mut [u8])| {
        let took = clock(&mut || {
            for (page, bytes) in bytes.chunks_exact_mut(crate::xts::SECTOR_BYTES).enumerate() {
                work((page * crate::xts::SECTOR_BYTES) as u64, bytes);
            }
        });
        (PAGES * crate::xts::SECTOR_BYTES) as f64 / 1e6 / took.as_secs_f64()
    };
    let encrypt = run(&|at, bytes| assert_eq!(xts.encrypt(at, bytes), Ok(())));
    let decrypt = run(&|at, bytes| assert_eq!(xts.decrypt(at, bytes), Ok(())));
    (encrypt, decrypt)
}

/// Where the bytes of a store file are.
#[derive(Debug, Clone, Default)]
pub struct Sizes {
    /// By table: content, overhead of pages, space left in pages, in bytes.
    pub tables: Vec<(String, [u64; 3])>,
    /// All pages in use, in bytes.
    pub in_use_bytes: u64,
}

/// Measures a store file.
///
/// # Errors
/// Disk.
pub fn sizes(store: &crate::Store) -> Result<Sizes, crate::StoreError> {
    use redb::{ReadableTableMetadata, TableHandle};
    let mut sizes = Sizes::default();
    store.inner.read(|txn| {
        for handle in txn.list_tables()? {
            let stats = txn.open_untyped_table(handle.clone())?.stats()?;
            let bytes = [stats.stored_bytes(), stats.metadata_bytes(), stats.fragmented_bytes()];
            sizes.tables.push((handle.name().to_owned(), bytes));
        }
        Ok(())
    })?;
    store.inner.write(|txn| {
        let stats = txn.stats()?;
        sizes.in_use_bytes = stats.allocated_pages() * stats.page_size() as u64;
        Ok(())
    })?;
    Ok(sizes)
}
