//! The formats, pinned: bytes made from fixed seeds equal those in `tests/vectors/roster.txt`, which `docs/protocol.md`
//! explains. A difference here is a change of the wire or file format and needs a new version number, not a new vector.

mod roster_support;

use farshore_core::catalogue::{CollectionDefinition, ConflictPolicy, ContainerKind, DeletePolicy, SchemaStep};
use farshore_core::entropy::Entropy;
use farshore_core::id::{CollectionTag, DeviceId, EntryHash, Incarnation, JournalId, OpHash, Position, SpaceId, hex};
use farshore_core::keys::{DeviceCertificate, DeviceKeys, UserKey};
use farshore_core::role::Role;
use farshore_core::roster::author::found_space;
use farshore_core::roster::op::{EpochWrap, ParentEpoch};
use farshore_core::roster::{OpBody, ReservedKind, RosterOp, op_hash};
use farshore_core::seal;
use farshore_core::ticket::{Ticket, Transcript, join_mac, welcome_mac};
use zeroize::Zeroizing;

const PINNED: &str = include_str!("vectors/roster.txt");

fn device() -> (UserKey, DeviceKeys, DeviceCertificate) {
    let user = UserKey::generate(&mut Entropy::from_seed(&[1; 32], "user"));
    let keys = DeviceKeys::generate(&mut Entropy::from_seed(&[2; 32], "device"));
    let certificate = DeviceCertificate::issue(&user, &keys, "Ada's phone").unwrap();
    (user, keys, certificate)
}

fn key_vectors(out: &mut Vec<(String, String)>) {
    let (user, keys, certificate) = device();
    let mut say = |name: &str, bytes: &[u8]| out.push((name.to_owned(), hex(bytes)));
    say("entropy", &Entropy::from_seed(&[1; 32], "user").array::<40>());
    say("user-secret", &user.to_secret_bytes());
    say("user-id", &user.id().0);
    say("device-secret", &keys.to_secret_bytes());
    say("device-id", &keys.id().0);
    say("device-kem", &keys.kem_public());
    say("signature", &keys.sign("label", b"message"));
    say("certificate", &certificate.encode());
    let epoch = seal::EpochKey::from_bytes([3; 32]);
    let tags = seal::tag_key(&epoch);
    let collection = seal::collection_tag(&tags, "todos");
    say("epoch-id", &epoch.id().0);
    say("collection-tag", &collection.0);
    say("document-id", &seal::document_id_from_key(&tags, &collection, "milk").0);
    say("discovery-tag", &seal::discovery_tag(&epoch, &[4; 32], &[5; 32]));
    say("relay-discovery-tag", &seal::relay_discovery_tag(&SpaceId([6; 32]), &[4; 32], &[5; 32]));
    say("sealed-content", &seal::seal(&seal::content_key(&epoch, &collection), b"header", b"milk"));
    say("sealed-roster-content", &seal::seal(&seal::roster_key(&epoch), b"header", b"milk"));
    say("sealed-parent-key", &seal::seal_parent_key(&epoch, &seal::EpochKey::from_bytes([7; 32])));
    let info = seal::wrap_info(&SpaceId([6; 32]), &epoch.id(), &keys.id());
    let mut entropy = Entropy::from_seed(&[8; 32], "wrap");
    say("wrapped-key", &seal::wrap(&keys.kem_public(), &info, &epoch, &mut entropy).unwrap());
    let definition = CollectionDefinition {
        name: "todos".into(),
        delete_policy: DeletePolicy::EditWins,
        conflict_policy: ConflictPolicy::Quiet,
        schema_steps: vec![
            SchemaStep { path: vec!["notes".into()], kind: ContainerKind::Map },
            SchemaStep { path: vec!["notes".into(), "free".into()], kind: ContainerKind::Text },
        ],
        version: 7,
    };
    say("definition", &definition.encode().unwrap());
}

fn op_vectors(out: &mut Vec<(String, String)>) {
    let (user, keys, certificate) = device();
    let mut entropy = Entropy::from_seed(&[9; 32], "space");
    let (roster, founding) = found_space(&certificate, &keys, "household", 1_000, &mut entropy).unwrap();
    for (name, op) in ["op-genesis", "op-first-epoch", "op-space-name"].iter().zip(&founding) {
        out.push(((*name).to_owned(), hex(op)));
    }
    out.push(("space-id".to_owned(), hex(&roster.space().0)));
    out.push(("roster-digest".to_owned(), hex(&roster.digest())));
    let epoch = roster.first_epoch().unwrap();
    let journal =
        JournalId { collection: CollectionTag([1; 16]), device: keys.id(), incarnation: Incarnation([2; 16]) };
    let retain = vec![(journal, Position { seq: 5, hash: EntryHash([3; 32]) })];
    let wrap = EpochWrap { device: keys.id(), wrap: [4; 80] };
    let reserved = |kind| OpBody::Reserved { kind, body: vec![1, 2, 3] };
    let bodies = [
        ("op-add-user", OpBody::AddUser { user: user.id(), role: Role::Writer }),
        ("op-add-device", OpBody::AddDevice { certificate }),
        ("op-set-role", OpBody::SetRole { user: user.id(), role: Role::Reader, retain: retain.clone() }),
        ("op-remove-user", OpBody::RemoveUser { user: user.id(), retain: retain.clone() }),
        ("op-revoke-device", OpBody::RevokeDevice { device: keys.id(), retain }),
        (
            "op-key-epoch",
            OpBody::KeyEpoch {
                epoch: seal::EpochKey::from_bytes([3; 32]).id(),
                parents: vec![ParentEpoch { epoch, sealed: [5; 72] }],
                wraps: vec![wrap.clone()],
            },
        ),
        ("op-key-share", OpBody::KeyShare { epoch, wrap }),
        ("op-catalogue", OpBody::Catalogue { collection: CollectionTag([1; 16]), epoch, sealed: vec![6; 60] }),
        ("op-settle", reserved(ReservedKind::Settle)),
        ("op-adopt", reserved(ReservedKind::Adopt)),
        ("op-purge", reserved(ReservedKind::Purge)),
        ("op-policy", reserved(ReservedKind::Policy)),
        ("op-refound", reserved(ReservedKind::Refound)),
    ];
    for (name, body) in bodies {
        let op = RosterOp {
            space: roster.space(),
            parents: vec![OpHash([1; 32]), OpHash([2; 32])],
            author: keys.id(),
            seq: 4,
            prev: OpHash([3; 32]),
            claimed_ms: 0x0102_0304_0506_0708,
            body,
        };
        let bytes = op.sign(&keys);
        assert_eq!(RosterOp::decode(&bytes).unwrap(), op, "{name}");
        out.push((name.to_owned(), hex(&bytes)));
        if name == "op-add-user" {
            out.push(("op-add-user-hash".to_owned(), hex(&op_hash(&bytes).0)));
        }
    }
}

fn ticket_vectors(out: &mut Vec<(String, String)>) {
    let ticket = Ticket {
        space: SpaceId([1; 32]),
        role: Role::Writer,
        secret: Zeroizing::new([2; 32]),
        expires_unix_s: 1_800_000_000,
        inviter: DeviceId([3; 32]),
        peer: vec![4; 38],
        addresses: vec!["/ip4/192.168.1.7/tcp/4001".into()],
    };
    out.push(("ticket".to_owned(), ticket.to_text().unwrap().to_string()));
    out.push(("ticket-id".to_owned(), hex(&ticket.id())));
    let transcript = Transcript {
        space: SpaceId([1; 32]),
        joiner_peer: vec![4; 38],
        inviter_peer: vec![5; 38],
        joiner_nonce: [6; 32],
        inviter_nonce: [7; 32],
        joiner_device: DeviceId([8; 32]),
        inviter_device: DeviceId([3; 32]),
        joiner_certificate: device().2.encode(),
    };
    out.push(("join-mac".to_owned(), hex(&join_mac(&[2; 32], &transcript))));
    out.push(("welcome-mac".to_owned(), hex(&welcome_mac(&[2; 32], &transcript))));
}

#[test]
fn the_formats_are_those_that_were_pinned() {
    let mut made = Vec::new();
    key_vectors(&mut made);
    op_vectors(&mut made);
    ticket_vectors(&mut made);
    let made: Vec<String> = made.into_iter().map(|(name, value)| format!("{name} {value}")).collect();
    let pinned: Vec<&str> = PINNED.lines().collect();
    for line in &made {
        assert!(pinned.contains(&line.as_str()), "not pinned: {line}");
    }
    assert_eq!(made.len(), pinned.len());
}
