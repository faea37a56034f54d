//! Requests about what the device does: progress, events, and what happened since.

use super::convert;
use super::documents::conflict_item;
use super::executor::Device;
use crate::control::{
    CameItem, CollectionProgressItem, DistributionItem, EventItem, FlowItem, HeldUpItem, LatencyItem, LossItem,
    OwnItem, PeerProgressItem, ProgressItem, ReplySink, SinceItem, StatusItem, TouchedItem,
};
use crate::exit::Failure;
use farshore::{
    CollectionTag, DeviceId, Distribution, Event, EventKind, Flow, Latency, Measure, NodeStatus, Outcome, OwnLoss,
    Progress, SinceReport, SpaceId, SpaceStatus, SyncCounts, SyncResult, Trouble,
};

/// What people call spaces, collections and devices.
pub(super) struct Names<'a>(pub(super) &'a NodeStatus);

impl Names<'_> {
    fn of(&self, space: SpaceId) -> Option<&SpaceStatus> {
        self.0.engine.spaces.iter().find(|status| status.space == space)
    }

    fn space(&self, space: SpaceId) -> String {
        self.of(space).and_then(|status| status.name.clone()).unwrap_or_else(|| space.to_string())
    }

    fn collection(&self, space: SpaceId, tag: CollectionTag) -> String {
        let collections = self.of(space).map(|status| status.collections.as_slice()).unwrap_or_default();
        let named = collections.iter().find(|collection| collection.collection == tag);
        named.and_then(|collection| collection.name.clone()).unwrap_or_else(|| tag.to_string())
    }

    fn device(&self, device: DeviceId) -> String {
        let mut members = self.0.engine.spaces.iter().flat_map(|space| &space.members);
        members.find(|member| member.device == device).map_or_else(|| device.short(), |member| member.name.clone())
    }
}

impl Device {
    pub(super) async fn status(&self, watch: bool, replies: &ReplySink) -> Result<(), Failure> {
        let mut progress = self.node.progress()?;
        if !watch {
            let status = self.node.status().await?;
            let progress = progress.next().await.ok_or(farshore::Error::Closed)?;
            return replies.item(&self.full_status(&status, Some(&progress))).await;
        }
        self.must_run("watch")?;
        let mut watch = self.node.status_watch()?;
        let (mut status, mut last) = (self.node.status().await?, None);
        let mut now = None;
        loop {
            tokio::select! {
                next = watch.next() => match next {
                    Some(next) => status = next,
                    None => return Ok(()),
                },
                next = progress.next() => match next {
                    Some(next) => now = Some(next),
                    None => return Ok(()),
                },
            }
            let mut item = self.full_status(&status, now.as_deref());
            // Latencies move with every edit; they are told with what is worth a line.
            let latency = item.latency.take();
            if last.as_ref() != Some(&item) {
                replies.item(&StatusItem { latency, ..item.clone() }).await?;
                last = Some(item);
            }
        }
    }

    fn full_status(&self, status: &NodeStatus, progress: Option<&Progress>) -> StatusItem {
        StatusItem {
            progress: progress.map(|progress| progress_item(progress, &Names(status))),
            latency: Some(latency_item(&self.node.latency())),
            ..self.status_item(status)
        }
    }

    /// Waits until everything that the inviter has is here, with a bar.
    pub(super) async fn first_sync(&self, space: SpaceId, replies: &ReplySink) -> Result<(), Failure> {
        let mut watch = self.node.progress()?;
        while let Some(progress) = watch.next().await {
            let of_space = || progress.peers.iter().filter(|peer| peer.space == space);
            let done: u64 = of_space().map(|peer| peer.incoming.done).sum();
            let to_go: u64 = of_space().map(|peer| peer.incoming.to_go.entries).sum();
            replies.progress(done, Some(done + to_go), "entries");
            if progress.is_settled() && of_space().any(|peer| peer.linked) {
                return Ok(());
            }
        }
        Err(farshore::Error::Closed.into())
    }

    pub(super) async fn events(&self, replies: &ReplySink) -> Result<(), Failure> {
        self.must_run("watch events")?;
        let mut events = self.node.events()?;
        let mut status = self.node.status().await?;
        while let Some(event) = events.next().await {
            let renames = matches!(
                event.kind,
                EventKind::RosterChanged { .. } | EventKind::Joined { .. } | EventKind::PeerUp { .. }
            );
            if renames {
                status = self.node.status().await?;
            }
            replies.item(&event_item(event, &Names(&status))).await?;
        }
        Ok(())
    }

    pub(super) async fn since(&self, marker: Option<&str>, moving: bool, replies: &ReplySink) -> Result<(), Failure> {
        let report = match marker {
            None => self.node.since_last_online().await?,
            Some(name) if moving => match self.node.since_marker(name).await {
                Err(farshore::Error::Invalid(_)) => {
                    return Ok(self.node.set_marker(name).await?); // The first time there is nothing to tell.
                }
                report => report?,
            },
            Some(name) => self.node.since_marker(name).await?,
        };
        replies.item(&since_item(&report, &Names(&self.node.status().await?))).await?;
        if let (Some(name), true) = (marker, moving) {
            self.node.set_marker(name).await?;
        }
        Ok(())
    }
}

fn flow_item(flow: &Flow) -> FlowItem {
    FlowItem {
        entries: flow.to_go.entries,
        bytes: (flow.to_go.measure != Measure::Unknown).then_some(flow.to_go.bytes),
        estimated: flow.to_go.measure == Measure::Estimated,
        done: flow.done,
        per_second: (flow.per_second * 10.0).round() / 10.0,
        bytes_per_second: flow.bytes_per_second().map(|bytes| bytes as u64),
        left_s: flow.time_left().map(|left| left.as_secs_f64().ceil() as u64),
    }
}

fn progress_item(progress: &Progress, names: &Names<'_>) -> ProgressItem {
    let texts = |obstacles: &[farshore::Obstacle]| obstacles.iter().map(ToString::to_string).collect();
    let peers = progress.peers.iter().map(|peer| PeerProgressItem {
        space: names.space(peer.space),
        name: names.device(peer.device),
        device: peer.device.to_string(),
        linked: peer.linked,
        compared: peer.compared,
        incoming: flow_item(&peer.incoming),
        outgoing: flow_item(&peer.outgoing),
        collections: peer
            .collections
            .iter()
            .map(|collection| CollectionProgressItem {
                collection: names.collection(peer.space, collection.collection),
                incoming: flow_item(&collection.incoming),
                outgoing: flow_item(&collection.outgoing),
            })
            .collect(),
        obstacles: texts(&peer.obstacles),
    });
    let held_up = progress.held_up.iter().map(|held| HeldUpItem {
        collection: names.collection(held.space, held.collection),
        entries: held.entries,
        waiting: held.waiting.as_ref().map(ToString::to_string),
        oversize: held.oversize as u64,
    });
    let own = progress.own.iter().map(|own| OwnItem {
        collection: names.collection(own.space, own.collection),
        last: own.last,
        nobody_from: own.nobody_from(),
        held_by: own.held_by.iter().map(|(device, seq)| (names.device(*device), *seq)).collect(),
    });
    ProgressItem {
        settled: progress.is_settled(),
        obstacles: texts(&progress.obstacles),
        peers: peers.collect(),
        held_up: held_up.collect(),
        own: own.collect(),
    }
}

fn latency_item(latency: &Latency) -> LatencyItem {
    let of = |distribution: &Distribution| DistributionItem {
        count: distribution.count,
        min_us: distribution.min_us,
        p50_us: distribution.p50_us,
        p90_us: distribution.p90_us,
        p99_us: distribution.p99_us,
        max_us: distribution.max_us,
    };
    LatencyItem {
        write_to_durable: of(&latency.write_to_durable),
        durable_to_receipt: of(&latency.durable_to_receipt),
        received_to_visible: of(&latency.received_to_visible),
        claimed_to_visible: of(&latency.claimed_to_visible),
        unmeasured: latency.unmeasured,
    }
}

fn event_item(event: Event, names: &Names<'_>) -> EventItem {
    let item = |kind: &str| EventItem { time_ms: event.at_ms, kind: kind.to_owned(), ..EventItem::default() };
    let of = |kind: &str, space: SpaceId| EventItem { space: Some(names.space(space)), ..item(kind) };
    match event.kind {
        EventKind::SyncBegan { space, device } => {
            EventItem { device: Some(names.device(device)), ..of("sync-began", space) }
        }
        EventKind::SyncEnded { space, device, result, counts, took_ms } => EventItem {
            device: Some(names.device(device)),
            counts: Some(counts_json(&counts, took_ms)),
            message: Some(match result {
                SyncResult::InSync => "in sync".to_owned(),
                SyncResult::Restarted => "begun anew".to_owned(),
                SyncResult::Interrupted { reason } => format!("interrupted: {reason}"),
                _ => "ended".to_owned(),
            }),
            ..of("sync-ended", space)
        },
        EventKind::PeerUp { device } => EventItem { device: Some(names.device(device)), ..item("peer-up") },
        EventKind::PeerDown { device, reason } => {
            EventItem { device: Some(names.device(device)), message: Some(reason), ..item("peer-down") }
        }
        EventKind::RosterChanged { space } => of("roster-changed", space),
        EventKind::Joined { space, name, .. } => EventItem { device: Some(name), ..of("joined", space) },
        EventKind::Error(trouble) => EventItem {
            retryable: Some(trouble.is_retryable()),
            message: Some(trouble_text(&trouble, names)),
            ..item("error")
        },
        EventKind::Lagged(lost) => EventItem { count: Some(lost), ..item("lagged") },
        EventKind::ConflictsNotLookedFor { documents } => {
            EventItem { count: Some(documents), ..item("conflicts-not-looked-for") }
        }
        data => EventItem { time_ms: event.at_ms, ..data_item(data, names) },
    }
}

/// An event about a collection's documents or entries.
fn data_item(event: EventKind, names: &Names<'_>) -> EventItem {
    let of = |kind: &str, space, collection| EventItem {
        kind: kind.to_owned(),
        space: Some(names.space(space)),
        collection: Some(names.collection(space, collection)),
        ..EventItem::default()
    };
    let ids = |documents: &[farshore::DocumentId]| documents.iter().map(ToString::to_string).collect();
    match event {
        EventKind::LocalWrite { space, collection, documents } => {
            EventItem { documents: ids(&documents), ..of("local-write", space, collection) }
        }
        EventKind::Merged { space, collection, documents } => {
            EventItem { documents: ids(&documents), ..of("merged", space, collection) }
        }
        EventKind::Received { space, collection, author, entries, bytes, .. } => EventItem {
            device: Some(names.device(author)),
            count: Some(entries),
            bytes: Some(bytes),
            ..of("received", space, collection)
        },
        EventKind::Conflict { space, collection, document, conflicts } => EventItem {
            documents: ids(&[document]),
            conflicts: conflicts.iter().map(conflict_item).collect(),
            ..of("conflict", space, collection)
        },
        EventKind::Receipted { space, collection, device, seq } => {
            EventItem { device: Some(names.device(device)), count: Some(seq), ..of("receipted", space, collection) }
        }
        _ => EventItem { kind: "other".to_owned(), ..EventItem::default() },
    }
}

fn counts_json(counts: &SyncCounts, took_ms: u64) -> serde_json::Value {
    serde_json::json!({
        "received_entries": counts.received_entries,
        "received_bytes": counts.received_bytes,
        "receipted_entries": counts.receipted_entries,
        "frames_in": counts.frames_in,
        "bytes_in": counts.bytes_in,
        "frames_out": counts.frames_out,
        "bytes_out": counts.bytes_out,
        "took_ms": took_ms,
    })
}

fn trouble_text(trouble: &Trouble, names: &Names<'_>) -> String {
    match trouble {
        Trouble::Peer { device: Some(device), fault } => format!("{} {fault}", names.device(*device)),
        Trouble::Peer { device: None, fault } => format!("a peer {fault}"),
        Trouble::Dial { peer, cause } => format!("peer {peer} was not reached: {cause}"),
        Trouble::Network { cause } => format!("no network: {cause}"),
        Trouble::Disk { message, .. } => format!("nothing can be written: {message}"),
        Trouble::Journal { journal, seq, reason, .. } => {
            format!("entries of {} from {seq} on do not count: {reason}", names.device(journal.device))
        }
        Trouble::Fork { journal, seq, .. } => {
            format!("{} signed two entries {seq}: its store was copied, or it cheats", names.device(journal.device))
        }
        Trouble::NewIncarnation { reason } => format!("this store began a new life: {reason}"),
        other => format!("{other:?}"),
    }
}

fn since_item(report: &SinceReport, names: &Names<'_>) -> SinceItem {
    let came = report.came.iter().map(|came| CameItem {
        by: names.device(came.device),
        collection: names.collection(came.space, came.collection),
        entries: came.entries,
        bytes: came.bytes,
        documents: came.documents,
        claimed_ms: came.claimed_ms,
    });
    let documents = report.documents.items.iter().map(|touched| TouchedItem {
        collection: names.collection(touched.space, touched.collection),
        id: touched.document.to_string(),
        by: touched.by.iter().map(|(device, _)| names.device(*device)).collect(),
        deleted: !touched.exists,
        conflicts: touched.conflicts,
    });
    let merged = report.merged.items.iter().map(|merged| TouchedItem {
        collection: names.collection(merged.space, merged.collection),
        id: merged.document.to_string(),
        by: merged.with.iter().map(|device| names.device(*device)).collect(),
        deleted: false,
        conflicts: false,
    });
    SinceItem {
        since_ms: report.since_ms,
        came: came.collect(),
        documents_total: report.documents.total,
        documents: documents.collect(),
        merged_total: report.merged.total,
        merged: merged.collect(),
        overwritten_total: report.overwritten.total,
        overwritten: report.overwritten.items.iter().map(|loss| loss_item(loss, names)).collect(),
        conflicts_total: report.conflicts.total,
        conflicts: report.conflicts.items.iter().map(|loss| loss_item(loss, names)).collect(),
        unread: report.unread,
        incomplete: report.incomplete,
    }
}

fn loss_item(loss: &OwnLoss, names: &Names<'_>) -> LossItem {
    let (outcome, now) = match &loss.outcome {
        Outcome::Overwritten { now } => ("overwritten", Some(now)),
        Outcome::Deleted => ("deleted", None),
        // Of a conflict the other value is told: the own one is in `mine`.
        Outcome::Conflict { shown: true, others, .. } => ("conflict-shown", others.last()),
        Outcome::Conflict { shown: false, now, .. } => ("conflict-hidden", Some(now)),
    };
    LossItem {
        collection: names.collection(loss.space, loss.collection),
        id: loss.document.to_string(),
        path: convert::path_text(&loss.path),
        outcome: outcome.to_owned(),
        mine: loss.mine.as_ref().map(convert::json),
        now: now.map(convert::json),
        by: loss.by.map(|device| names.device(device)),
        time_ms: loss.when_ms,
    }
}
