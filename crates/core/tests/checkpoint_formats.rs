//! The bytes of a checkpoint, pinned in `vectors/checkpoint.txt`, and what is refused of it. `docs/vectors/check.py` reads the
//! same file by the documented layouts, without this crate.

use std::collections::BTreeMap;
use std::fmt::Write;

use farshore_core::batch::StoredDocument;
use farshore_core::bytes::Writer;
use farshore_core::change::compact;
use farshore_core::checkpoint::check::{Checker, Reading};
use farshore_core::checkpoint::chunk::{self, Segment};
use farshore_core::checkpoint::survey::Survey;
use farshore_core::checkpoint::{self, Attestation, ChunkInfo, Contents, Draft, Manifest, SignedHead, Statement};
use farshore_core::document::{Document, Edit, GenesisScope, derived_actor};
use farshore_core::entropy::Entropy;
use farshore_core::entry::{Entry, Group, Header};
use farshore_core::id::{CollectionTag, DocumentId, EntryHash, Incarnation, JournalId, OpHash, SpaceId, hex, unhex};
use farshore_core::keys::DeviceKeys;
use farshore_core::payload::{self, Item, ItemBody, PackedChange};
use farshore_core::seal::{self, ContentKey, EpochKey};
use farshore_core::time::HybridTime;
use farshore_core::value::Value;

const VECTORS: &str = include_str!("vectors/checkpoint.txt");
const SPACE: SpaceId = SpaceId([0x11; 32]);
const COLLECTION: CollectionTag = CollectionTag([0x21; 16]);
const DOCUMENTS: [DocumentId; 2] = [DocumentId([0x22; 16]), DocumentId([0x23; 16])];
const TIME: u64 = 1_800_000_000_000 << 16;

fn device() -> DeviceKeys {
    DeviceKeys::generate(&mut Entropy::from_seed(&[2; 32], "device"))
}

fn epoch() -> EpochKey {
    EpochKey::from_bytes([3; 32])
}

fn key() -> ContentKey {
    seal::content_key(&epoch(), &COLLECTION)
}

fn journal() -> JournalId {
    JournalId { collection: COLLECTION, device: device().id(), incarnation: Incarnation([0x12; 16]) }
}

fn entry(seq: u64, prev: EntryHash, items: &[Item]) -> Entry {
    let header = Header {
        space: SPACE,
        journal: journal(),
        seq,
        prev,
        group: Group { first: seq, count: 1 },
        epoch: epoch().id(),
        time: HybridTime(TIME + seq),
        roster_heads: vec![OpHash([0x14; 32])],
        deps: Vec::new(),
        sealed_len: 0,
        sealed_hash: [0; 32],
    };
    let plain = payload::encode(items).unwrap();
    let sealed = seal::seal(&key(), &header.bound_bytes(), &plain);
    Entry::sign(header, &sealed, &device())
}

/// What one device did: a keyed document with a text in the first entry, an edit of it and another document's deletion after.
struct World {
    entries: Vec<(Entry, Vec<Item>)>,
    stored: BTreeMap<DocumentId, StoredDocument>,
}

fn world() -> World {
    let mut documents = DOCUMENTS.map(|document| (document, Document::empty()));
    let mut edit = |which: usize, edits: &[Edit]| {
        let (id, document) = &mut documents[which];
        let actor = derived_actor(SPACE, COLLECTION, device().id(), *id, 1, Incarnation([0x12; 16]));
        let made = document.edit(actor, GenesisScope::Keyed { document: *id, generation: 1 }, edits).unwrap().changes;
        let mut previous = None;
        let mut packed = Vec::new();
        for change in made {
            let (hash, bytes) = compact::strip(&change.bytes, previous).unwrap();
            previous = Some(hash);
            packed.push(match change.genesis {
                true => {
                    let decoded = farshore_core::change::decode(&change.bytes).unwrap();
                    PackedChange::Genesis { actor: decoded.actor().try_into().unwrap(), change: bytes }
                }
                false => PackedChange::Derived(bytes),
            });
        }
        Item { document: *id, generation: 1, body: ItemBody::Changes(packed) }
    };
    let fields = BTreeMap::from([("notes".to_owned(), Value::Text("two litres".into()))]);
    let first = vec![edit(0, &[Edit::replace(fields)]), edit(1, &[Edit::replace(BTreeMap::new())])];
    let more = BTreeMap::from([("title".to_owned(), Value::Str("Milk".into()))]);
    let mut second = vec![edit(0, &[Edit::Merge { value: Value::Map(more) }])];
    let heads = documents[1].1.heads().iter().map(|head| head.0).collect();
    second.push(Item { document: DOCUMENTS[1], generation: 1, body: ItemBody::Tombstone { heads } });
    let one = entry(1, EntryHash([0; 32]), &first);
    let two = entry(2, one.hash, &second);
    let stored = documents.map(|(id, document)| {
        let tail = document.changes().iter().map(|change| change.raw_bytes().to_vec()).collect();
        (id, StoredDocument { generation: 1, record: Vec::new(), snapshot: None, tail })
    });
    World { entries: vec![(one, first), (two, second)], stored: stored.into_iter().collect() }
}

fn survey(entries: &[(Entry, Vec<Item>)]) -> Survey {
    let mut survey = Survey::new(SPACE, COLLECTION, vec![journal()]).unwrap();
    for (entry, items) in entries {
        survey.add(entry, items).unwrap();
    }
    survey
}

fn segments(world: &World, survey: &Survey) -> Vec<Segment> {
    let pack = |(id, stored): (&DocumentId, &StoredDocument)| survey.pack(*id, 1, stored).unwrap();
    world.stored.iter().flat_map(pack).collect()
}

fn statement(survey: &Survey) -> Statement {
    survey.statement(vec![OpHash([0x14; 32])]).unwrap()
}

/// The chunk in codec 0, laid down field by field as documented.
fn plain_chunk(segments: &[Segment]) -> Vec<u8> {
    let mut w = Writer::new();
    w.u8(1).u32(segments.len() as u32);
    for segment in segments {
        let flags = match &segment.end {
            None => 0,
            Some(end) if end.tombstone.is_none() => 1,
            Some(_) => 3,
        };
        w.raw(&segment.document.0).u32(segment.generation).u8(flags);
        w.u32(segment.runs.len() as u32);
        for run in &segment.runs {
            w.u16(run.journal);
        }
        for run in &segment.runs {
            w.bool(run.genesis);
        }
        segment
            .runs
            .iter()
            .scan(0, |before, run| Some(run.seq.wrapping_sub(std::mem::replace(before, run.seq))))
            .for_each(|delta| {
                w.u64(delta);
            });
        for run in &segment.runs {
            w.u16(run.item);
        }
        for run in &segment.runs {
            w.u16(run.index);
        }
        for run in &segment.runs {
            w.u16(run.count);
        }
        let mut before = 0;
        for run in &segment.runs {
            w.u64(run.time.0.wrapping_sub(before));
            before = run.time.0;
        }
        for change in &segment.changes {
            match change {
                PackedChange::Derived(bytes) => w.bytes(bytes),
                PackedChange::Genesis { actor, change } => w.raw(actor).bytes(change),
            };
        }
        let Some(end) = &segment.end else { continue };
        w.u16(end.heads.len() as u16);
        for hash in &end.heads {
            w.raw(&hash.0);
        }
        if let Some((heads, places)) = &end.tombstone {
            w.u16(heads.len() as u16);
            for head in heads {
                w.raw(head);
            }
            w.u16(places.len() as u16);
            for place in places {
                w.u16(place.journal).u64(place.seq).raw(&place.hash.0);
            }
        }
    }
    let mut out = Writer::new();
    out.u32(w.len() as u32).u8(0).raw(w.as_slice());
    out.finish()
}

fn contents(world: &World, sealed: &[u8]) -> Contents {
    let chunk = ChunkInfo { hash: *blake3::hash(sealed).as_bytes(), length: sealed.len() as u32 };
    let survey = survey(&world.entries);
    Contents { closings: survey.closings().unwrap(), chunks: vec![chunk] }
}

fn manifest(world: &World, sealed: &[u8]) -> Manifest {
    let survey = survey(&world.entries);
    let draft = Draft {
        statement: statement(&survey),
        epoch: epoch().id(),
        time: HybridTime(TIME + 9),
        entry_bytes: survey.entry_bytes(),
    };
    Manifest::make(draft, &contents(world, sealed), &key(), &device()).unwrap()
}

#[test]
fn checkpoints_have_the_bytes_that_were_pinned() {
    let world = world();
    let survey = survey(&world.entries);
    let (statement, segments) = (statement(&survey), segments(&world, &survey));
    let plain = plain_chunk(&segments);
    assert_eq!(chunk::decode(&plain).unwrap(), segments);
    assert_eq!(chunk::decode(&chunk::encode(&segments).unwrap()).unwrap(), segments);
    let sealed = checkpoint::seal_chunk(&key(), &statement, 0, &plain);
    let made = manifest(&world, &sealed);
    // Deflated by whichever encoder made it, so pinned for reading only.
    let line = VECTORS.lines().find_map(|line| line.strip_prefix("manifest "));
    let manifest = line.map_or_else(|| made.as_bytes().to_vec(), bytes);
    let read = Manifest::decode(&manifest).unwrap();
    assert_eq!(read.open(&key()).unwrap(), contents(&world, &sealed));
    assert!(read.signed.verify() && read.signed.head.statement == statement);
    let mut out = String::new();
    let mut say = |name: &str, value: &[u8]| writeln!(out, "{name} {}", hex(value)).unwrap();
    say("space", &SPACE.0);
    say("collection-tag", &COLLECTION.0);
    say("device", &device().id().0);
    say("entry-1", world.entries[0].0.as_bytes());
    say("entry-2", world.entries[1].0.as_bytes());
    say("statement", &statement.encode());
    say("statement-hash", &statement.hash());
    say("state-root", &statement.root);
    say("attestation", &Attestation::sign(&statement, &device()).signature);
    say("chunk-plain", &plain);
    say("chunk", &sealed);
    say("manifest", &manifest);
    say("checkpoint-id", &read.signed.id.0);
    assert!(out == VECTORS, "the formats differ from those that were pinned; this build makes:\n{out}");
}

fn bytes(text: &str) -> Vec<u8> {
    let mut out = vec![0; text.len() / 2];
    unhex(text, &mut out).unwrap();
    out
}

#[test]
fn no_bit_of_a_manifest_a_head_an_attestation_or_a_chunk_can_be_changed() {
    let world = world();
    let survey = survey(&world.entries);
    let statement = statement(&survey);
    let plain = plain_chunk(&segments(&world, &survey));
    let sealed = checkpoint::seal_chunk(&key(), &statement, 0, &plain);
    let manifest = manifest(&world, &sealed);
    let flipped = |bytes: &[u8], bit: usize| {
        let mut out = bytes.to_vec();
        out[bit / 8] ^= 1 << (bit % 8);
        out
    };
    let whole = manifest.as_bytes();
    for bit in 0..whole.len() * 8 {
        let sound = Manifest::decode(&flipped(whole, bit)).is_ok_and(|read| read.signed.verify());
        assert!(!sound, "bit {bit} of a manifest");
    }
    for end in 0..whole.len() {
        assert!(Manifest::decode(&whole[..end]).is_err(), "cut at {end}");
    }
    let head = manifest.signed.as_bytes();
    assert_eq!(SignedHead::decode(head).unwrap(), manifest.signed);
    for bit in 0..head.len() * 8 {
        assert!(!SignedHead::decode(&flipped(head, bit)).is_ok_and(|read| read.verify()), "bit {bit} of a head");
    }
    let attestation = Attestation::sign(&statement, &device());
    assert!(attestation.verify(&statement));
    assert!(!attestation.verify(&Statement { lives: 1, ..statement.clone() }));
    for bit in 0..512 {
        let signature = flipped(&attestation.signature, bit).try_into().unwrap();
        assert!(!Attestation { signature, ..attestation }.verify(&statement), "bit {bit} of an attestation");
    }
    assert!(checkpoint::open_chunk(&key(), &statement, 1, &sealed).is_err(), "a chunk opens in its place only");
    for bit in (0..sealed.len() * 8).step_by(7) {
        assert!(checkpoint::open_chunk(&key(), &statement, 0, &flipped(&sealed, bit)).is_err(), "bit {bit} of a chunk");
    }
}

#[test]
fn a_chunk_has_one_encoding_and_every_other_is_refused() {
    let world = world();
    let survey = survey(&world.entries);
    let plain = plain_chunk(&segments(&world, &survey));
    let mut accepted = 0;
    for at in 5..plain.len() {
        for byte in [0_u8, 1, 2, 3, 0x7f, 0xff] {
            let mut other = plain.clone();
            other[at] = byte;
            if let Ok(read) = chunk::decode(&other) {
                assert_eq!(chunk::decode(&chunk::encode(&read).unwrap()).as_ref(), Ok(&read));
                assert!(plain_chunk(&read) == other, "byte {at}: there is another encoding of it");
                accepted += 1;
            }
        }
    }
    assert!(accepted > 100, "most of a chunk is hashes and changes, which are not looked at here");
    for end in 5..plain.len() {
        let mut cut = plain[..end].to_vec();
        cut[..4].copy_from_slice(&(end as u32 - 5).to_be_bytes());
        assert!(chunk::decode(&cut).is_err(), "cut at {end}");
    }
}

#[test]
fn a_checked_chunk_gives_the_state_root_and_one_with_anything_else_in_it_does_not() {
    let world = world();
    let survey = survey(&world.entries);
    let (statement, segments) = (statement(&survey), segments(&world, &survey));
    let sealed = checkpoint::seal_chunk(&key(), &statement, 0, &plain_chunk(&segments));
    let contents = contents(&world, &sealed);
    let check = |segments: &[Segment]| {
        let mut checker = Checker::new(Reading::new(&statement, &contents));
        checker.take(segments)?;
        checker.finish(&statement)
    };
    assert_eq!(check(&segments), Ok(()));
    let spoil = |spoiler: &dyn Fn(&mut Vec<Segment>)| {
        let mut other = segments.clone();
        spoiler(&mut other);
        check(&other).unwrap_err()
    };
    spoil(&|other| drop(other.pop()));
    spoil(&|other| other.reverse());
    spoil(&|other| other.push(other[1].clone()));
    spoil(&|other| other[0].end = None);
    spoil(&|other| other[0].generation = 2);
    spoil(&|other| other[0].runs[1].seq = 3);
    spoil(&|other| other[0].runs[1].journal = 1);
    spoil(&|other| other[0].end.as_mut().unwrap().heads[0] = EntryHash([9; 32]));
    spoil(&|other| other[1].end.as_mut().unwrap().tombstone = None);
    spoil(&|other| other[0].changes.swap(0, 1));
    spoil(&|other| {
        let PackedChange::Derived(bytes) = other[0].changes.last_mut().unwrap() else { panic!("derived") };
        *bytes.last_mut().unwrap() ^= 1;
    });
}

#[test]
fn a_survey_gives_the_same_root_whatever_was_edited_since_and_with_whichever_checkpoint_it_began() {
    let world = world();
    let first = survey(&world.entries[..1]);
    // The documents hold the second entry too: they are cut back.
    let segments = segments(&world, &first);
    let stated = statement(&first);
    let closings = first.closings().unwrap();
    let contents = Contents { closings, chunks: Vec::new() };
    let mut checker = Checker::new(Reading::new(&stated, &contents));
    checker.take(&segments).unwrap();
    assert_eq!(checker.finish(&stated), Ok(()));

    let mut seeded = Survey::new(SPACE, COLLECTION, vec![journal()]).unwrap();
    seeded.seed_journals(&contents, first.entry_bytes()).unwrap();
    for segment in &segments {
        seeded.seed(segment, &contents.journals()).unwrap();
    }
    assert_eq!(statement(&seeded), stated);
    let (entry, items) = &world.entries[1];
    seeded.add(entry, items).unwrap();
    let whole = survey(&world.entries);
    assert_eq!(statement(&seeded), statement(&whole));
    assert_eq!(seeded.entry_bytes(), whole.entry_bytes());
    assert_ne!(statement(&whole).root, stated.root);
    let from_seed: Vec<Segment> =
        world.stored.iter().flat_map(|(id, stored)| seeded.pack(*id, 1, stored).unwrap()).collect();
    assert_eq!(from_seed, self::segments(&world, &whole));
}
