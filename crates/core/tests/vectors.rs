//! The bytes of entries, payloads, actors and frames, pinned: what fixed inputs give equals `vectors/entry.txt` and
//! `vectors/frames.txt`, which `docs/protocol.md` explains. A difference here is a change of the format and needs a new
//! version number, not a new vector.
//!
//! Keys, sealing, roster operations and tickets are in `roster_vectors.rs`. `docs/vectors/check.py` reads the same files by the
//! documented layouts, without this crate.

use std::collections::BTreeMap;
use std::fmt::Write;

use farshore_core::bytes::Writer;
use farshore_core::change::{self, compact};
use farshore_core::checkpoint::Attestation;
use farshore_core::document::{Document, Edit, GenesisScope, derived_actor};
use farshore_core::entropy::Entropy;
use farshore_core::entry::{Dep, Entry, Group, Header};
use farshore_core::id::{
    CheckpointId, CollectionTag, DeviceId, DocumentId, EntryHash, Incarnation, JournalId, OpHash, Position, SpaceId,
    StoreId, hex, unhex,
};
use farshore_core::input::Class;
use farshore_core::keys::{self, DeviceCertificate, DeviceKeys, UserKey};
use farshore_core::limits::CHANGE_BYTES;
use farshore_core::payload::{self, Item, ItemBody, PackedChange};
use farshore_core::seal;
use farshore_core::time::HybridTime;
use farshore_core::value::Value;
use farshore_core::wire::{
    self, Attest, Branch, CheckpointPiece, Fetch, Frame, Frontier, Handle, Held, Hello, Of, Offer, PeerHint, Range,
    Rank, RosterPosition, State, TreePath, TreePlace,
};

const ENTRIES: &str = include_str!("vectors/entry.txt");
const FRAMES: &str = include_str!("vectors/frames.txt");

/// 125 bytes of items, deflated by zlib: one item, a tombstone of three heads. Pinned for decoding only, since encoders differ.
const DEFLATED: &str = "0000007d0163605444030c0c0cac4c4022898199910060220098090000";

const SPACE: SpaceId = SpaceId([0x11; 32]);
const INCARNATION: Incarnation = Incarnation([0x12; 16]);
const GENERATION: u32 = 1;
const HANDLE: Handle = Handle([0x31; 8]);

fn bytes(text: &str) -> Vec<u8> {
    let mut out = vec![0; text.len() / 2];
    unhex(text, &mut out).unwrap();
    out
}

/// The value behind a name in a pinned file.
fn pinned<'a>(file: &'a str, name: &str) -> &'a str {
    let value = file.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no vector is named {name}")).trim()
}

fn compare(file: &str, made: &[(String, String)]) {
    let made = made.iter().fold(String::new(), |mut out, (name, value)| {
        writeln!(out, "{name} {value}").unwrap();
        out
    });
    assert!(made == file, "the formats differ from those that were pinned; this build makes:\n{made}");
}

fn device() -> DeviceKeys {
    DeviceKeys::generate(&mut Entropy::from_seed(&[2; 32], "device"))
}

fn epoch() -> seal::EpochKey {
    seal::EpochKey::from_bytes([3; 32])
}

/// The collection `todos` and the document with the key `milk` in it, in a space whose first epoch is [`epoch`].
fn place() -> (CollectionTag, DocumentId) {
    let tags = seal::tag_key(&epoch());
    let collection = seal::collection_tag(&tags, "todos");
    (collection, seal::document_id_from_key(&tags, &collection, "milk"))
}

fn journal() -> JournalId {
    JournalId { collection: place().0, device: device().id(), incarnation: INCARNATION }
}

/// What the first edit of the document made: the genesis change of the text `notes`, and the device's own change.
struct Made {
    actor: [u8; 16],
    genesis_actor: [u8; 16],
    genesis: Vec<u8>,
    own: Vec<u8>,
    compact_genesis: Vec<u8>,
    compact_own: Vec<u8>,
    items: Vec<Item>,
}

fn edit() -> Made {
    let (collection, document) = place();
    let actor = derived_actor(SPACE, collection, device().id(), document, GENERATION, INCARNATION);
    let fields = BTreeMap::from([
        ("notes".to_owned(), Value::Text("two litres".into())),
        ("title".to_owned(), Value::Str("Milk".into())),
    ]);
    let scope = GenesisScope::Keyed { document, generation: GENERATION };
    let made = Document::empty().edit(actor, scope, &[Edit::replace(fields)]).unwrap().changes;
    let [genesis, own] = made.as_slice() else { panic!("a text takes one genesis change: {made:?}") };
    assert!(genesis.genesis && !own.genesis);
    let genesis_actor = change::decode(&genesis.bytes).unwrap().actor().try_into().unwrap();
    let (hash, compact_genesis) = compact::strip(&genesis.bytes, None).unwrap();
    let (_, compact_own) = compact::strip(&own.bytes, Some(hash)).unwrap();
    let changes = vec![
        PackedChange::Genesis { actor: genesis_actor, change: compact_genesis.clone() },
        PackedChange::Derived(compact_own.clone()),
    ];
    let items = vec![Item { document, generation: GENERATION, body: ItemBody::Changes(changes) }];
    let (genesis, own) = (genesis.bytes.clone(), own.bytes.clone());
    Made { actor, genesis_actor, genesis, own, compact_genesis, compact_own, items }
}

/// The payload in codec 0, laid down field by field as documented.
fn plain_payload(made: &Made) -> Vec<u8> {
    let mut body = Writer::new();
    body.u16(2).u8(1).raw(&made.genesis_actor).bytes(&made.compact_genesis).u8(0).bytes(&made.compact_own);
    let mut items = Writer::new();
    items.u16(1).raw(&place().1.0).u32(GENERATION).u8(1).bytes(body.as_slice());
    let mut payload = Writer::new();
    payload.u32(items.len() as u32).u8(0).raw(items.as_slice());
    payload.finish()
}

fn header() -> Header {
    let dep = Dep {
        device: DeviceId([0x16; 32]),
        incarnation: Incarnation([0x17; 16]),
        position: Position { seq: 9, hash: EntryHash([0x18; 32]) },
    };
    Header {
        space: SPACE,
        journal: journal(),
        seq: 3,
        prev: EntryHash([0x13; 32]),
        group: Group { first: 2, count: 4 },
        epoch: epoch().id(),
        time: HybridTime(1_800_000_000_000 << 16 | 7),
        roster_heads: vec![OpHash([0x14; 32]), OpHash([0x15; 32])],
        deps: vec![dep],
        sealed_len: 0,
        sealed_hash: [0; 32],
    }
}

fn entry(made: &Made) -> Entry {
    let key = seal::content_key(&epoch(), &place().0);
    let sealed = seal::seal(&key, &header().bound_bytes(), &plain_payload(made));
    Entry::sign(header(), &sealed, &device())
}

/// The same entry as a later version might write it: flags and an extension that nobody knows yet.
fn newer_entry(made: &Made) -> Vec<u8> {
    let entry = entry(made);
    let sealed = entry.sealed().to_vec();
    let header = &entry.as_bytes()[..entry.as_bytes().len() - 64 - sealed.len()];
    // The extension's length is the last of the bound fields; 36 bytes about the ciphertext follow.
    let (bound, rest) = header.split_at(header.len() - 36);
    let mut newer = [&bound[..bound.len() - 2], &[0, 3, 0xa1, 0xa2, 0xa3], rest].concat();
    newer[0] = 2;
    newer[3] = 1;
    let signature = device().sign("farshore entry v1", &newer);
    newer.extend_from_slice(&signature);
    newer.extend_from_slice(&sealed);
    newer
}

fn hellos() -> (Hello, Hello) {
    let hello = |nonce, store, device| Hello {
        min_version: 1,
        max_version: 2,
        features: 0x0102_0304_0506_0708,
        nonce: [nonce; 32],
        store: StoreId([store; 16]),
        device,
    };
    (hello(0x41, 0x42, device().id()), hello(0x43, 0x44, DeviceId([0x45; 32])))
}

fn auth_message() -> Vec<u8> {
    let (mine, theirs) = hellos();
    wire::auth_message(&[0x46; 38], &[0x47; 38], &mine, &theirs)
}

fn certificate() -> Vec<u8> {
    let user = UserKey::generate(&mut Entropy::from_seed(&[1; 32], "user"));
    DeviceCertificate::issue(&user, &device(), "Ada's phone").unwrap().encode()
}

/// Frames about the link and about pairing.
fn link_frames() -> Vec<(&'static str, Class, Frame)> {
    let ticket = [0x51; 16];
    let signature = device().sign("farshore hello v1", &auth_message());
    vec![
        ("hello", Class::Ctl, Frame::Hello(hellos().0)),
        ("auth", Class::Ctl, Frame::Auth { signature }),
        ("spaces", Class::Ctl, Frame::Spaces { tags: vec![[0x61; 16], [0x62; 16]] }),
        ("goodbye", Class::Ctl, Frame::Goodbye { reason: "à bientôt".into() }),
        ("credit-live", Class::Ctl, Frame::Credit { class: Class::Live, bytes: 1_000 }),
        ("credit-bulk", Class::Ctl, Frame::Credit { class: Class::Bulk, bytes: 65_537 }),
        ("join", Class::Ctl, Frame::Join { ticket, certificate: certificate(), mac: [0x52; 32] }),
        ("welcome", Class::Ctl, Frame::Welcome { ticket, space: SPACE, mac: [0x53; 32] }),
        ("refuse", Class::Ctl, Frame::Refuse { ticket, reason: "it expired".into() }),
        ("grant", Class::Live, Frame::Grant { ticket, last: true, bytes: vec![0x54; 5] }),
    ]
}

/// Frames about a space that both sides have.
fn space_frames() -> Vec<(&'static str, Class, Frame)> {
    let handle = HANDLE;
    let state = State {
        handle,
        fresh: true,
        scope: 5,
        roster: [0x71; 32],
        frontier: [0x72; 32],
        few: true,
        arrival: 1_000,
        seen_store: StoreId([0x73; 16]),
        seen: 999,
    };
    let roster = RosterPosition { author: DeviceId([0x74; 32]), seq: 4, hash: OpHash([0x75; 32]) };
    let position = (journal(), Position { seq: 3, hash: EntryHash([0x76; 32]) });
    let frontier = Frontier { handle, answer: true, more: false, arrival: 1_000, positions: vec![position.into()] };
    let floored = Frontier { positions: vec![Held { floor: 2, ..position.into() }], ..frontier.clone() };
    let branch = Branch { first: EntryHash([0x79; 32]), common: 1 };
    let forked = Frontier {
        positions: vec![position.into(), Held { branch: Some(branch), ..position.into() }],
        ..frontier.clone()
    };
    let range = Range { journal: journal(), from: 4, to: 1_000_000, of: Of::Shown };
    let of_branch = Range { of: Of::Branch(EntryHash([0x79; 32])), ..range };
    let one = Range { to: 4, of: Of::Entry(EntryHash([0x7a; 32])), ..range };
    let rest = Range { of: Of::Rest { hash: EntryHash([0x7b; 32]), offset: 65_000 }, ..range };
    let hint = PeerHint {
        device: device().id(),
        peer: vec![0x77; 38],
        addresses: vec!["/ip4/192.168.1.7/tcp/4001".into(), "/ip6/::1/udp/4001/quic-v1".into()],
    };
    let bytes = entry(&edit()).into_bytes();
    let mut children = [[0; 16]; 16];
    children[3] = [0x7A; 16];
    let places = vec![
        TreePlace { path: TreePath::ROOT, children: Some(Box::new(children)) },
        TreePlace { path: TreePath::ROOT.child(3).child(15), children: None },
    ];
    let ranks = [(0x7d, Rank::Lazy), (0x7e, Rank::Eager)];
    let ranks = ranks.into_iter().map(|(tag, rank)| (CollectionTag([tag; 16]), rank)).collect();
    let piece = |range: std::ops::Range<usize>| Frame::Part {
        handle,
        hash: EntryHash([0x7c; 32]),
        total: bytes.len() as u32,
        offset: range.start as u32,
        bytes: bytes[range].to_vec(),
    };
    vec![
        ("state", Class::Ctl, Frame::State(state)),
        ("roster-have", Class::Ctl, Frame::RosterHave { handle, more: true, positions: vec![roster] }),
        ("roster-op", Class::Live, Frame::RosterOp { handle, bytes: vec![0x78; 5] }),
        ("roster-end", Class::Live, Frame::RosterEnd { handle }),
        ("frontier", Class::Ctl, Frame::Frontier(frontier)),
        ("frontier-branch", Class::Ctl, Frame::Frontier(forked)),
        ("scope", Class::Ctl, Frame::Scope { handle, number: 6, more: true, rest: Rank::None, ranks }),
        ("scope-rest", Class::Ctl, Frame::Scope { handle, number: 7, more: false, rest: Rank::Normal, ranks: vec![] }),
        ("frontier-floor", Class::Ctl, Frame::Frontier(floored)),
        ("tree", Class::Ctl, Frame::Tree { handle, more: true, places }),
        ("want-branch", Class::Ctl, Frame::Want { handle, more: false, ranges: vec![of_branch] }),
        ("want-entry", Class::Ctl, Frame::Want { handle, more: false, ranges: vec![one] }),
        ("want-rest", Class::Ctl, Frame::Want { handle, more: false, ranges: vec![rest] }),
        ("want", Class::Ctl, Frame::Want { handle, more: false, ranges: vec![range] }),
        ("want-nothing", Class::Ctl, Frame::Want { handle, more: false, ranges: vec![] }),
        ("receipt", Class::Ctl, Frame::Receipt { handle, positions: vec![(journal(), 3)] }),
        ("peers", Class::Ctl, Frame::Peers { handle, peers: vec![hint] }),
        ("part-first", Class::Bulk, piece(0..100)),
        ("part-last", Class::Bulk, piece(100..bytes.len())),
        ("next", Class::Live, Frame::Next { handle, after: [0x7f; 4], rest: without_place(&bytes) }),
        ("entry", Class::Live, Frame::Entry { handle, bytes }),
    ]
}

/// An entry as `Next` carries it.
fn without_place(entry: &[u8]) -> Vec<u8> {
    [&entry[..4], &entry[140..]].concat()
}

/// Frames about checkpoints.
fn checkpoint_frames() -> Vec<(&'static str, Class, Frame)> {
    let (handle, id) = (HANDLE, CheckpointId([0x81; 32]));
    let attestation = Attestation { device: device().id(), signature: [0x82; 64] };
    let offer = Offer { handle, head: vec![0x83; 5], attestations: vec![attestation] };
    let fetch = Fetch { handle, id, part: 2, offset: 65_000, last: 7 };
    let piece = CheckpointPiece { handle, id, part: 2, total: 70_000, offset: 65_000, bytes: vec![0x84; 5_000] };
    let attest = Attest { handle, collection: place().0, statement: [0x85; 32], attestation };
    vec![
        ("checkpoint", Class::Ctl, Frame::Checkpoint(offer)),
        ("fetch", Class::Ctl, Frame::Fetch(fetch)),
        ("checkpoint-piece", Class::Bulk, Frame::CheckpointPiece(CheckpointPiece { bytes: vec![0x84; 50], ..piece })),
        ("attest", Class::Ctl, Frame::Attest(attest)),
    ]
}

fn frames() -> Vec<(&'static str, Class, Frame)> {
    link_frames().into_iter().chain(space_frames()).chain(checkpoint_frames()).collect()
}

/// A frame's name in the pinned file.
fn name(of: &str, class: Class) -> String {
    let class = match class {
        Class::Ctl => "ctl",
        Class::Live => "live",
        Class::Bulk => "bulk",
    };
    format!("{of} {class}")
}

#[test]
fn entries_payloads_and_actors_have_the_bytes_that_were_pinned() {
    let made = edit();
    let entry = entry(&made);
    let (_, document) = place();
    let mut out = Vec::new();
    let mut say = |name: &str, value: String| out.push((name.to_owned(), value));
    say("space", hex(&SPACE.0));
    say("collection-tag", hex(&place().0.0));
    say("device", hex(&device().id().0));
    say("incarnation", hex(&INCARNATION.0));
    say("document", hex(&document.0));
    say("document-text", document.to_string());
    say("derived-actor", hex(&made.actor));
    say("genesis-actor", hex(&made.genesis_actor));
    say("genesis-change", hex(&made.genesis));
    say("own-change", hex(&made.own));
    say("compact-genesis-change", hex(&made.compact_genesis));
    say("compact-own-change", hex(&made.compact_own));
    say("payload-plain", hex(&plain_payload(&made)));
    say("payload-deflated", DEFLATED.to_owned());
    say("sealed-payload", hex(entry.sealed()));
    say("entry-bound", hex(&entry.header.bound_bytes()));
    say("entry", hex(entry.as_bytes()));
    say("entry-hash", hex(&entry.hash.0));
    say("entry-newer", hex(&newer_entry(&made)));
    say("entry-newer-hash", hex(&Entry::decode(newer_entry(&made)).unwrap().hash.0));
    say("auth-message", hex(&auth_message()));
    compare(ENTRIES, &out);
}

#[test]
fn frames_have_the_bytes_that_were_pinned() {
    let made: Vec<(String, String)> =
        frames().iter().map(|(of, class, frame)| (name(of, *class), hex(&frame.encode()))).collect();
    compare(FRAMES, &made);
}

#[test]
fn a_pinned_entry_reads_back_verifies_and_opens() {
    let entry = Entry::decode(bytes(pinned(ENTRIES, "entry"))).unwrap();
    assert!(entry.verify());
    assert_eq!(hex(&entry.hash.0), pinned(ENTRIES, "entry-hash"));
    let expected = Header { sealed_len: entry.header.sealed_len, sealed_hash: entry.header.sealed_hash, ..header() };
    assert_eq!(entry.header, expected);
    let key = seal::content_key(&epoch(), &place().0);
    let payload = seal::open(&key, &entry.header.bound_bytes(), entry.sealed()).unwrap();
    assert_eq!(hex(&payload), pinned(ENTRIES, "payload-plain"));
    assert_eq!(payload::decode(&payload).unwrap(), edit().items);
}

#[test]
fn an_entry_of_a_newer_version_reads_as_far_as_every_version_goes() {
    let newer = Entry::decode(bytes(pinned(ENTRIES, "entry-newer"))).unwrap();
    assert!(newer.verify() && newer.is_newer());
    assert_eq!(newer.header, entry(&edit()).header);
    // What is free in a later version is fixed in this one: the same bytes under version 1 are no entry.
    for (at, byte) in [(0, 1), (0, 0), (1, 2), (1, 0)] {
        let mut changed = newer.as_bytes().to_vec();
        changed[at] = byte;
        assert!(Entry::decode(changed).is_err(), "byte {at} = {byte}");
    }
}

#[test]
fn a_pinned_compact_change_restores_to_its_chunk() {
    let actor = |name| bytes(pinned(ENTRIES, name)).try_into().unwrap();
    let compacted = bytes(pinned(ENTRIES, "compact-genesis-change"));
    let (hash, chunk) = compact::restore(&compacted, &actor("genesis-actor"), None, CHANGE_BYTES).unwrap();
    assert_eq!(hex(&chunk), pinned(ENTRIES, "genesis-change"));
    let compacted = bytes(pinned(ENTRIES, "compact-own-change"));
    let (_, chunk) = compact::restore(&compacted, &actor("derived-actor"), Some(hash), CHANGE_BYTES).unwrap();
    assert_eq!(hex(&chunk), pinned(ENTRIES, "own-change"));
}

#[test]
fn actors_follow_from_the_documented_fields() {
    let (collection, document) = place();
    let first_16 = |w: Writer| hex(&blake3::hash(w.as_slice()).as_bytes()[..16]);
    let mut derived = Writer::new();
    derived.raw(b"farshore actor").raw(&SPACE.0).raw(&collection.0).raw(&device().id().0);
    derived.raw(&document.0).u32(GENERATION).raw(&INCARNATION.0);
    assert_eq!(first_16(derived), pinned(ENTRIES, "derived-actor"));
    let mut genesis = Writer::new();
    genesis.raw(b"farshore genesis").raw(&document.0).u32(GENERATION).u32(1).text("notes").u8(3);
    assert_eq!(first_16(genesis), pinned(ENTRIES, "genesis-actor"));
}

#[test]
fn a_document_id_reads_back_from_its_pinned_text() {
    let id: DocumentId = pinned(ENTRIES, "document-text").parse().unwrap();
    assert_eq!(hex(&id.0), pinned(ENTRIES, "document"));
}

#[test]
fn a_deflated_payload_of_another_encoder_is_read() {
    let heads = vec![[1; 32], [2; 32], [3; 32]];
    let item = Item { document: DocumentId([0x21; 16]), generation: 5, body: ItemBody::Tombstone { heads } };
    assert_eq!(payload::decode(&bytes(pinned(ENTRIES, "payload-deflated"))).unwrap(), vec![item]);
}

#[test]
fn a_payload_cut_anywhere_is_refused() {
    for name in ["payload-plain", "payload-deflated"] {
        let whole = bytes(pinned(ENTRIES, name));
        for end in 0..whole.len() {
            assert!(payload::decode(&whole[..end]).is_err(), "{name} cut at {end}");
        }
    }
}

#[test]
fn an_entry_cut_anywhere_or_followed_by_anything_is_refused() {
    let mut whole = bytes(pinned(ENTRIES, "entry"));
    for end in 0..whole.len() {
        assert!(Entry::decode(whole[..end].to_vec()).is_err(), "cut at {end}");
    }
    whole.push(0);
    assert!(Entry::decode(whole).is_err());
}

#[test]
fn an_entry_changed_in_any_bit_is_refused() {
    let whole = bytes(pinned(ENTRIES, "entry"));
    for at in 0..whole.len() * 8 {
        let mut changed = whole.clone();
        changed[at / 8] ^= 1 << (at % 8);
        let accepted = Entry::decode(changed).is_ok_and(|entry| entry.verify());
        assert!(!accepted, "bit {} of byte {} may be changed", at % 8, at / 8);
    }
}

#[test]
fn pinned_frames_read_back_on_their_own_stream_only() {
    for (of, class, frame) in frames() {
        let whole = bytes(pinned(FRAMES, &name(of, class)));
        assert_eq!(Frame::decode(class, &whole).unwrap(), frame, "{of}");
        for other in [Class::Ctl, Class::Live, Class::Bulk].into_iter().filter(|other| *other != class) {
            // Entries and their parts go on either stream of entries.
            let entry = matches!(frame, Frame::Entry { .. } | Frame::Next { .. } | Frame::Part { .. });
            let allowed = entry && other != Class::Ctl;
            assert_eq!(Frame::decode(other, &whole).is_ok(), allowed, "{of} on {other:?}");
        }
    }
}

#[test]
fn a_frame_cut_anywhere_or_followed_by_anything_is_refused() {
    for (name, class, frame) in frames() {
        let mut whole = frame.encode();
        let whole_in = |bytes: &[u8]| match Frame::decode(class, bytes) {
            Err(_) => false,
            Ok(Frame::Entry { bytes, .. }) => Entry::decode(bytes).is_ok(),
            Ok(Frame::Next { rest, .. }) => {
                let place = &entry(&edit()).into_bytes()[4..140];
                rest.len() > 4 && Entry::decode([&rest[..4], place, &rest[4..]].concat()).is_ok()
            }
            // Parts are put together up to their total: a cut one leaves a gap before the next, or the entry unfinished.
            Ok(Frame::Part { bytes, .. }) => {
                matches!(&frame, Frame::Part { bytes: full, .. } if bytes.len() == full.len())
            }
            Ok(Frame::CheckpointPiece(piece)) => {
                matches!(&frame, Frame::CheckpointPiece(full) if piece.bytes.len() == full.bytes.len())
            }
            Ok(_) => true,
        };
        assert!(whole_in(&whole), "{name}");
        for end in 0..whole.len() {
            assert!(!whole_in(&whole[..end]), "{name} cut at {end}");
        }
        whole.push(0);
        assert!(!whole_in(&whole), "{name} with a byte behind it");
    }
}

#[test]
fn a_frame_changed_in_any_bit_is_refused_or_means_something_else() {
    for (name, class, frame) in frames() {
        let whole = frame.encode();
        for at in 0..whole.len() * 8 {
            let mut changed = whole.clone();
            changed[at / 8] ^= 1 << (at % 8);
            if let Ok(other) = Frame::decode(class, &changed) {
                assert_ne!(other, frame, "{name}, bit {at}");
                assert_eq!(other.encode(), changed, "{name} has two encodings, bit {at}");
            }
        }
    }
}

#[test]
fn an_auth_signature_holds_for_its_side_and_connection_only() {
    let (mine, theirs) = hellos();
    let signature = device().sign("farshore hello v1", &auth_message());
    let holds = |message: Vec<u8>| keys::verify(&device().id().0, "farshore hello v1", &message, &signature);
    assert!(holds(wire::auth_message(&[0x46; 38], &[0x47; 38], &mine, &theirs)));
    assert!(!holds(wire::auth_message(&[0x47; 38], &[0x46; 38], &theirs, &mine)));
    assert!(!holds(wire::auth_message(&[0x46; 38], &[0x48; 38], &mine, &theirs)));
    let replayed = Hello { nonce: [0x49; 32], ..theirs };
    assert!(!holds(wire::auth_message(&[0x46; 38], &[0x47; 38], &mine, &replayed)));
}
