//! The figures of `docs/benchmarks.md` that must not depend on the machine, as counts: frames, bytes, round trips, commits,
//! documents loaded, state per document. Each row names the figure that it guards (P1 and so on).
//!
//! With `FARSHORE_LARGE=1` the largest size is 100,000 documents instead of 10,000; `./test` does that.

use std::collections::{BTreeMap, VecDeque};

use farshore_core::batch::{Batch, CollectionKey};
use farshore_core::document::{Edit, Step};
use farshore_core::id::DocumentId;
use farshore_core::input::{DocEdit, DocOp, Input, Request, RequestId};
use farshore_core::output::Output;
use farshore_core::role::Role;
use farshore_core::value::Value;
use farshore_sim::World;
use farshore_sim::device::Counts;

/// One way. A meeting's time is then its round trips.
const LATENCY_MS: u64 = 100;

fn sizes() -> Vec<u32> {
    let large = std::env::var_os("FARSHORE_LARGE").is_some_and(|value| value == "1");
    vec![1_000, if large { 100_000 } else { 10_000 }]
}

fn id(index: u32) -> DocumentId {
    let mut id = [7; 16];
    id[..4].copy_from_slice(&index.to_be_bytes());
    DocumentId(id)
}

fn request(key: CollectionKey, edits: Vec<DocEdit>) -> Request {
    Request::Edit { space: key.space, collection: key.collection, edits }
}

fn write(world: &mut World, key: CollectionKey, edits: Vec<DocEdit>) {
    world.write(0, key, edits);
}

/// Ten scalar fields, as a task has them.
fn task(index: u32) -> DocEdit {
    let field = |field: u32| {
        let value = match field % 3 {
            0 => Value::Int(i64::from(index) * i64::from(field + 1)),
            1 => Value::Str(format!("{:016x}", u64::from(index).wrapping_mul(0x9e37_79b9_7f4a_7c15))),
            _ => Value::Bool((index >> field) & 1 == 1),
        };
        (format!("field-{field}"), value)
    };
    let fields: BTreeMap<_, _> = (0..10).map(field).collect();
    DocEdit { document: id(index), keyed: false, op: DocOp::Create(Value::Map(fields)) }
}

fn set(index: u32, value: i64) -> DocEdit {
    let edit = Edit::put(vec![Step::Key("field-0".into())], Value::Int(value));
    DocEdit { document: id(index), keyed: false, op: DocOp::Edit(vec![edit]) }
}

/// Two devices; the first has this many documents.
fn filled(documents: u32) -> (World, CollectionKey) {
    let mut world = World::new(40, 2);
    world.latency_ms = LATENCY_MS;
    let key = world.found("home", "tasks", Role::Writer);
    for chunk in (0..documents).collect::<Vec<_>>().chunks(2_048) {
        write(&mut world, key, chunk.iter().map(|index| task(*index)).collect());
    }
    (world, key)
}

/// What a meeting took of both devices together, and of time.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
struct Meeting {
    counts: [Counts; 2],
    one_way_trips: u64,
}

impl Meeting {
    fn of(world: &mut World) -> Meeting {
        let before: Vec<Counts> = world.devices.iter().map(|device| device.counts).collect();
        let began_ms = world.clock_ms;
        let link = world.link(1, 0);
        world.run();
        let one_way_trips = (world.clock_ms - began_ms) / LATENCY_MS;
        world.cut(link);
        let counts = [0, 1].map(|device| minus(world.devices[device].counts, before[device]));
        Meeting { counts, one_way_trips }
    }

    fn frames(&self) -> u64 {
        self.counts.iter().map(|counts| counts.frames).sum()
    }

    fn bytes(&self) -> u64 {
        self.counts.iter().map(|counts| counts.bytes).sum()
    }
}

fn minus(now: Counts, then: Counts) -> Counts {
    Counts {
        commits: now.commits - then.commits,
        loads: now.loads - then.loads,
        documents: now.documents - then.documents,
        jobs: now.jobs - then.jobs,
        applies: now.applies - then.applies,
        frames: now.frames - then.frames,
        entry_frames: now.entry_frames - then.entry_frames,
        bytes: now.bytes - then.bytes,
    }
}

/// P1. A document is made into an Automerge document once, from its change, and never read back.
#[test]
fn a_first_sync_loads_no_document_and_its_bytes_and_frames_follow_the_documents() {
    let mut each = Vec::new();
    for documents in sizes() {
        let (mut world, key) = filled(documents);
        let meeting = Meeting::of(&mut world);
        assert_eq!(world.views(1, key).len(), documents as usize);
        assert_eq!(meeting.counts.map(|counts| counts.documents), [0, 0]);
        let entries = u64::from(documents.div_ceil(256));
        // Opening and applying are a job each at most for each entry, and so is a commit.
        assert!(meeting.counts[1].jobs <= 2 * entries + 4, "{meeting:?}");
        assert!(meeting.counts[1].commits <= 2 * entries + 4, "{meeting:?}");
        each.push((meeting.bytes() / u64::from(documents), meeting.frames() * 1_000 / u64::from(documents)));
    }
    assert!(each.iter().all(|(bytes, _)| *bytes <= 120), "{each:?} bytes, and frames by 1,000 documents");
    assert!(each[1].1 <= each[0].1, "{each:?}: frames grow faster than documents");
}

/// P2.
#[test]
fn a_meeting_with_nothing_changed_costs_the_same_for_any_number_of_documents() {
    let mut meetings = Vec::new();
    for documents in sizes() {
        let (mut world, _) = filled(documents);
        Meeting::of(&mut world);
        meetings.push(Meeting::of(&mut world));
    }
    assert_eq!(meetings[0], meetings[1]);
    for counts in meetings[0].counts {
        // Hello, Auth, Spaces, and one State for the space.
        assert_eq!((counts.frames, counts.commits, counts.loads, counts.jobs), (4, 0, 0, 0));
        assert!(counts.bytes - (101 + 65 + 19) <= 200, "{} bytes, hello included", counts.bytes);
    }
    // Hello; Auth, and behind it Spaces; State; and nothing after it.
    assert!(meetings[0].one_way_trips <= 4, "{}", meetings[0].one_way_trips);
}

/// P3.
#[test]
fn a_meeting_after_ten_changes_costs_the_same_for_any_number_of_documents() {
    let mut meetings = Vec::new();
    for documents in sizes() {
        let (mut world, key) = filled(documents);
        Meeting::of(&mut world);
        (0..10).for_each(|index| write(&mut world, key, vec![set(index * 97, -1)]));
        meetings.push(Meeting::of(&mut world));
    }
    same_but_for_numbers(&meetings);
    assert!(meetings[0].bytes() <= 4_900, "{} bytes", meetings[0].bytes());
    // Ten documents at Ben, and none at Ada, who has them in her cache or need not touch them.
    assert_eq!(
        meetings[0].counts.map(|counts| counts.documents.min(11)),
        meetings[1].counts.map(|counts| counts.documents.min(11))
    );
    assert!(meetings[1].counts[1].documents <= 10, "{:?}", meetings[1]);
}

/// P2 and P3. History is entries: 3,000 of them cost a later meeting no more than ten.
#[test]
fn a_meeting_costs_the_same_after_any_length_of_history() {
    let mut unchanged = Vec::new();
    let mut changed = Vec::new();
    for edits in [10, 3_000] {
        let (mut world, key) = filled(100);
        (0..edits).for_each(|edit| write(&mut world, key, vec![set(edit % 100, i64::from(edit))]));
        Meeting::of(&mut world);
        unchanged.push(Meeting::of(&mut world));
        (0..10).for_each(|index| write(&mut world, key, vec![set(index, -1)]));
        changed.push(Meeting::of(&mut world));
    }
    assert_eq!(unchanged[0], unchanged[1]);
    same_but_for_numbers(&changed);
}

/// The same trips, and frames but for the receipt that each sixteenth entry of a journal brings, wherever that falls; bytes differ
/// by no more than that and longer sequence numbers.
fn same_but_for_numbers(meetings: &[Meeting]) {
    let [one, other] = meetings else { panic!("two meetings") };
    assert_eq!(one.one_way_trips, other.one_way_trips);
    assert!(one.frames().abs_diff(other.frames()) <= 1, "{} and {} frames", one.frames(), other.frames());
    assert!(one.bytes().abs_diff(other.bytes()) <= 100, "{} and {} bytes", one.bytes(), other.bytes());
    assert_eq!(one.counts.map(|counts| counts.jobs), other.counts.map(|counts| counts.jobs));
    assert_eq!(one.counts.map(|counts| counts.commits), other.counts.map(|counts| counts.commits));
}

/// P4, P7.
#[test]
fn a_single_edit_is_one_commit_on_each_side_and_one_job_to_write_it() {
    let (mut world, key) = filled(1_000);
    world.link(1, 0);
    world.run();
    write(&mut world, key, vec![set(5, 1)]); // both have the document in memory from here on
    world.run();
    let before: Vec<Counts> = world.devices.iter().map(|device| device.counts).collect();
    write(&mut world, key, vec![set(5, 2)]);
    let written = minus(world.devices[0].counts, before[0]);
    assert_eq!((written.commits, written.loads, written.jobs), (1, 0, 1));
    world.run();
    let spent = [0, 1].map(|device| minus(world.devices[device].counts, before[device]));
    // Opened, then applied; stored together.
    assert_eq!(spent.map(|counts| (counts.commits, counts.loads, counts.jobs)), [(1, 0, 1), (1, 0, 2)]);
    // The entry, and a receipt for it. Credit comes back for a quarter of the window at a time.
    assert_eq!(spent.map(|counts| counts.frames), [1, 1]);
}

/// P7. Sixty-four writers, each waiting for its edit before it makes the next: commits are shared, because what comes while one
/// is made gathers for the next.
#[test]
fn writers_at_the_same_time_share_commits() {
    const WRITERS: u64 = 64;
    const EACH: u64 = 20;
    let (mut world, key) = filled(WRITERS as u32);
    let now = world.now();
    let device = &mut world.devices[0];
    let mut edits_left: BTreeMap<u64, u64> = (0..WRITERS).map(|writer| (writer, EACH)).collect();
    let ask = |writer: u64, left: u64| {
        let edits = vec![set(writer as u32, left as i64)];
        Input::Request { id: RequestId(1_000 + writer), request: request(key, edits) }
    };
    let (mut commits, mut done) = (0_u64, 0);
    let mut inputs: VecDeque<Input> = edits_left.iter().map(|(writer, left)| ask(*writer, *left)).collect();
    let mut batches: Vec<Batch> = Vec::new();
    while done < WRITERS * EACH {
        // The disk is the slowest: it takes what has gathered once nothing else moves.
        if inputs.is_empty() {
            assert!(!batches.is_empty(), "everybody waits for nothing");
            commits += 1;
            for batch in batches.drain(..) {
                device.store.apply(&batch);
                inputs.push_back(Input::Stored { batch: batch.id });
            }
        }
        while let Some(input) = inputs.pop_front() {
            device.replica.handle(now, input);
            while let Some(output) = device.replica.poll_output() {
                match output {
                    Output::Store(batch) => batches.push(batch),
                    Output::Load { id, load } => {
                        inputs.push_back(Input::Loaded { load: id, loaded: device.store.load(&load) });
                    }
                    Output::Job { id, job } => inputs.push_back(Input::JobDone { job: id, result: job.run() }),
                    Output::Reply { id, result } => {
                        assert!(result.is_ok());
                        done += 1;
                        let writer = id.0 - 1_000;
                        let left = edits_left.get_mut(&writer).expect("a writer");
                        *left -= 1;
                        if *left > 0 {
                            inputs.push_back(ask(writer, *left));
                        }
                    }
                    _ => {}
                }
            }
        }
    }
    println!("{} edits in {commits} commits", WRITERS * EACH);
    assert!(commits <= EACH * 2 + 2, "{commits} commits for {} edits", WRITERS * EACH);
}

/// P8. What a replica holds of documents that nobody touches, printed: as long for many as for few.
#[test]
fn a_document_that_nobody_touches_takes_no_memory_and_no_part_in_opening() {
    let mut printed = Vec::new();
    for documents in sizes() {
        let (mut world, _) = filled(documents);
        Meeting::of(&mut world);
        for device in 0..2 {
            world.restart(device, 9);
        }
        let boots: usize = world.devices.iter().map(|device| format!("{:?}", device.store.boot()).len()).sum();
        let replicas: usize = world.devices.iter().map(|device| format!("{:?}", device.replica).len()).sum();
        printed.push((boots, replicas));
    }
    let [(small_boot, small), (large_boot, large)] = printed[..] else { panic!("two sizes") };
    assert!(small > 1_000, "a replica prints its state");
    // Hashes print as longer or shorter lists of numbers.
    assert!(large_boot.abs_diff(small_boot) <= 1_000, "{small_boot} and {large_boot} characters at opening");
    assert!(large.abs_diff(small) <= 4_000, "{small} and {large} characters of state");
}
