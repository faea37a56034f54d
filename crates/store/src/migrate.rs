//! The schema: writing it into a new store, refusing the future, and stepping up from the past.

use farshore_core::id::StoreId;
use redb::{Database, ReadableDatabase, TableError, WriteTransaction};

use crate::error::{OpenError, Source, StoreError};
use crate::place::Place;
use crate::store::{own_key, put_own};
use crate::tables::{
    CHECKPOINTS, COLLECTIONS, DOCUMENTS, ENTRIES, INVITATIONS, JOURNALS, META, PARTS, PEERS, REJECTED, ROSTER,
    ROSTER_SEEN, SCHEMA, SNAPSHOTS, SPACES, STORE, TAILS, TableSpec, VIEWS, row,
};
use crate::value::{Counters, Row, Tags, corrupt};

/// Fills a new database: every table exists from the first commit on, so that reading never meets a missing one.
pub(crate) fn create(txn: &WriteTransaction, tags: &Tags, id: StoreId, place: &Place) -> Result<(), StoreError> {
    fn make<const N: usize>(txn: &WriteTransaction, spec: TableSpec<N>) -> Result<(), StoreError> {
        txn.open_table(spec.definition())?;
        Ok(())
    }
    make(txn, META)?;
    make(txn, SPACES)?;
    make(txn, ROSTER)?;
    make(txn, ROSTER_SEEN)?;
    make(txn, COLLECTIONS)?;
    make(txn, JOURNALS)?;
    make(txn, ENTRIES)?;
    make(txn, DOCUMENTS)?;
    make(txn, SNAPSHOTS)?;
    make(txn, TAILS)?;
    make(txn, VIEWS)?;
    make(txn, PEERS)?;
    make(txn, INVITATIONS)?;
    make(txn, REJECTED)?;
    make(txn, CHECKPOINTS)?;
    make(txn, PARTS)?;
    put_own(
        txn,
        tags,
        &[
            (row::SCHEMA, SCHEMA.to_be_bytes().to_vec()),
            (row::STORE, id.0.to_vec()),
            (row::PLACE, place.encode()),
            (row::COUNTERS, Counters::default().encode()),
        ],
    )
}

/// Steps an older schema up, one version after another, in one transaction. The next change of a table adds its step here.
fn step_up(txn: &WriteTransaction, tags: &Tags, found: u32) -> Result<(), StoreError> {
    if found < 2 {
        // Checkpoints are new; a row of `journals` may end in a floor, and none of version 1 does.
        txn.open_table(CHECKPOINTS.definition())?;
        txn.open_table(PARTS.definition())?;
    }
    put_own(txn, tags, &[(row::SCHEMA, SCHEMA.to_be_bytes().to_vec())])
}

/// Checks schema and id of an opened database, steps an older schema up, and returns the place that is recorded in it.
///
/// # Errors
/// [`OpenError::Newer`] for the future; [`OpenError::Damaged`] when a row is missing or altered.
pub(crate) fn read_own(database: &Database, tags: &Tags, source: &Source, id: StoreId) -> Result<Place, OpenError> {
    let read = |name: &'static str| -> Result<Vec<u8>, StoreError> {
        let txn = database.begin_read()?;
        let table = match txn.open_table(STORE.definition()) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => {
                return Err(corrupt(&STORE, &own_key(name)?, "the table is missing"));
            }
            Err(error) => return Err(error.into()),
        };
        tags.expect(&STORE, &table, &own_key(name)?)
    };
    let read = |name| crate::store::guarded(|| read(name)).map_err(|error| OpenError::from_store(source, error));
    let damaged = |detail: &str| OpenError::Damaged { store: source.clone(), detail: detail.to_owned() };
    let schema: [u8; 4] = read(row::SCHEMA)?.try_into().map_err(|_| damaged("its schema version is not a number"))?;
    let schema = u32::from_be_bytes(schema);
    if schema > SCHEMA {
        return Err(OpenError::Newer {
            store: source.clone(),
            what: "schema",
            found: schema.into(),
            known: SCHEMA.into(),
        });
    }
    if schema == 0 {
        return Err(damaged("its schema version is 0, which no version writes"));
    }
    if read(row::STORE)? != id.0 {
        return Err(damaged("its header page belongs to another store"));
    }
    if schema < SCHEMA {
        let stepped = crate::store::write_database(database, |txn| step_up(txn, tags, schema));
        stepped.map_err(|error| OpenError::from_store(source, error))?;
    }
    Place::decode(&read(row::PLACE)?).map_err(|_| damaged("the record of its place is malformed"))
}

#[cfg(test)]
mod tests {
    use farshore_core::batch::{Batch, Load, Loaded, StoreOp};
    use farshore_core::id::StoreId;

    use crate::store::put_own;
    use crate::tables::{CHECKPOINTS, PARTS, SCHEMA, row};
    use crate::testing::Disk;
    use crate::{OpenError, Place, Store, StoreKey};

    fn with_row(name: &str, content: Vec<u8>) -> Result<Store, OpenError> {
        let (disk, key) = (Disk::new(), StoreKey::from_bytes([7; 64]));
        let store = Store::create_backend(disk.backend(), &key, StoreId([1; 16]), Place::default())?;
        store.inner.write(|txn| put_own(txn, &store.inner.tags, &[(name, content)])).unwrap();
        drop(store);
        Store::open_backend(disk.backend(), &key, Place::default())
    }

    #[test]
    fn a_store_of_a_newer_schema_is_refused_with_both_versions() {
        let error = with_row(row::SCHEMA, (SCHEMA + 1).to_be_bytes().to_vec()).unwrap_err();
        assert!(matches!(error, OpenError::Newer { found: 3, known: 2, what: "schema", .. }), "{error}");
        assert!(error.to_string().contains("update Farshore"), "{error}");
    }

    #[test]
    fn a_store_of_schema_1_is_stepped_up_and_reads_and_writes_as_a_new_one() {
        let (disk, key) = (Disk::new(), StoreKey::from_bytes([7; 64]));
        let store = Store::create_backend(disk.backend(), &key, StoreId([1; 16]), Place::default()).unwrap();
        let old = store.inner.write(|txn| {
            txn.delete_table(CHECKPOINTS.definition())?;
            txn.delete_table(PARTS.definition())?;
            put_own(txn, &store.inner.tags, &[(row::SCHEMA, 1_u32.to_be_bytes().to_vec())])
        });
        old.unwrap();
        drop(store);
        let store = Store::open_backend(disk.backend(), &key, Place::default()).unwrap();
        let part = StoreOp::PutPart { slot: [1; 16], part: 0, bytes: vec![2] };
        store.apply(&[Batch { id: 1, ops: vec![part] }]).unwrap();
        drop(store);
        let store = Store::open_backend(disk.backend(), &key, Place::default()).unwrap();
        let found = store.load(&Load::Part { slot: [1; 16], part: 0 }).unwrap();
        assert_eq!(found, Loaded::Part(Some(vec![2])));
        assert!(store.reader().check().unwrap().is_sound());
    }

    #[test]
    fn rows_of_its_own_that_make_no_sense_are_damage() {
        for (name, content) in [(row::SCHEMA, vec![0; 4]), (row::SCHEMA, vec![]), (row::STORE, vec![2; 16])] {
            assert!(matches!(with_row(name, content), Err(OpenError::Damaged { .. })));
        }
        assert!(matches!(with_row(row::PLACE, vec![2]), Err(OpenError::Damaged { .. })));
    }

    #[test]
    fn a_store_in_another_place_is_a_copy_and_an_unknown_place_decides_nothing() {
        let (disk, key) = (Disk::new(), StoreKey::from_bytes([7; 64]));
        let here = Place { machine: Some([1; 16]), inode: Some(5), born_ns: Some(9) };
        drop(Store::create_backend(disk.backend(), &key, StoreId([1; 16]), here).unwrap());
        let copied = |place| Store::open_backend(disk.backend(), &key, place).unwrap().identity().copied;
        assert!(!copied(here));
        assert!(!copied(Place::default()));
        assert!(!copied(Place { born_ns: None, ..here }));
        assert!(copied(Place { machine: Some([2; 16]), ..here }));
        assert!(copied(Place { inode: Some(6), ..here }));
        assert!(copied(Place { born_ns: Some(8), ..here }));
    }
}
