//! The real data of the demo: 28,298 airports, embedded.

use crate::exit::Failure;
use crate::formats::Source;

/// The airports as gzip-compressed CSV: icao, iata, name, city, subd, country, elevation, lat, lon, tz, lid.
///
/// Source: the PyPI package `airportsdata`, MIT; [`AIRPORTS_LICENSE`].
pub const AIRPORTS_CSV_GZ: &[u8] = include_bytes!("../../data/airports.csv.gz");

/// The licence of the airports.
pub const AIRPORTS_LICENSE: &str = include_str!("../../data/airports.LICENSE");

/// The airports as the source of an import; the key is the column `icao`.
///
/// Errors: no temporary file.
pub fn airports() -> Result<Source, Failure> {
    Source::spool(AIRPORTS_CSV_GZ, "the airports", AIRPORTS_CSV_GZ.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::{Format, ImportOptions, check};

    #[test]
    fn the_embedded_airports_are_all_there_with_unique_keys() {
        let source = airports().unwrap();
        let options = ImportOptions { key: Some("icao".into()), ..ImportOptions::new(Format::Csv) };
        let checked = check(&source, &options, &mut |_, _| {}).unwrap();
        assert_eq!((checked.good_rows, checked.bad_rows), (28_298, 0));
        assert!(AIRPORTS_LICENSE.contains("MIT"));
    }
}
