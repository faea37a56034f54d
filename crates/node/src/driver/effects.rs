//! What the replica asks for, done.

use farshore_core::output::{Event, Output};

use super::{Driver, Engine};
use crate::disk::batch_bytes;

impl Driver {
    /// Takes outputs until there are none.
    pub(super) fn effects(&mut self) {
        while let Engine::Up(replica) = &mut self.engine {
            let Some(output) = replica.poll_output() else { return };
            self.effect(output);
        }
    }

    fn effect(&mut self, output: Output) {
        match output {
            Output::Store(batch) => {
                let bytes = batch_bytes(&batch);
                self.flight.batch(batch.id, bytes);
                self.disk.batch(self.life, batch, bytes);
            }
            Output::Load { id, load } => {
                // A load must see every batch before it: with none under way any reader does.
                let ahead = self.flight.no_batches();
                self.flight.job();
                if ahead {
                    self.workers.load(self.life, id, load);
                } else {
                    self.disk.load(self.life, id, load);
                }
            }
            Output::Job { id, job } => {
                // With nothing else to do, handing a small job over and back takes longer than doing it.
                let here = self.flight.no_jobs() && job.is_small();
                self.flight.job();
                if here {
                    self.workers.job_here(self.life, id, job);
                } else {
                    self.workers.job(self.life, id, job);
                }
            }
            Output::Send { link, class, frame } => {
                self.observer.sent(link, frame.len());
                self.network.send(link, class, frame);
            }
            Output::Close { link, reason } => {
                let device = self.peers.remove(&link);
                self.observer.link_gone(link, device, &reason);
                self.network.close(link, &reason);
            }
            Output::Reply { id, result } => {
                self.observer.answered(id.0, &result, self.clock.now_us());
                if let Some(waiter) = self.waiters.remove(&id.0) {
                    self.reply(waiter, result.map_err(Into::into));
                }
            }
            Output::Notify(event) => self.notify(event),
            Output::KeepPeers(peers) => self.network.keep(peers),
        }
    }

    fn notify(&mut self, event: Event) {
        self.stale = true;
        match &event {
            Event::Changed { space, collection, documents, remote } => {
                let (documents_count, remote) = (documents.len(), *remote);
                tracing::debug!(%space, %collection, documents = documents_count, remote, "changed");
                self.watchers.changed(*space, *collection, documents);
            }
            Event::PeerUp { device, link } => {
                tracing::info!(peer = %device, %link, "peer up");
                self.peers.insert(*link, *device);
            }
            Event::PeerDown { device } => tracing::info!(peer = %device, "peer down"),
            Event::InSync { space, device } => tracing::debug!(%space, peer = %device, "in sync"),
            Event::PeerFault { link, fault } => tracing::warn!(%link, %fault, "a peer broke the protocol"),
            Event::JournalRejected { space, journal, seq, reason } => {
                tracing::warn!(%space, collection = %journal.collection, peer = %journal.device, seq, %reason, "journal rejected");
            }
            Event::ForkDetected { space, journal, seq } => {
                tracing::warn!(%space, collection = %journal.collection, peer = %journal.device, seq, "journal forked");
            }
            Event::CheckpointMade { space, collection, made } => {
                tracing::info!(%space, %collection, documents = made.lives, bytes = made.bytes, "checkpoint made");
            }
            Event::CheckpointAttested { space, collection, device } => {
                tracing::info!(%space, %collection, peer = %device, "checkpoint attested");
            }
            Event::CheckpointLoaded { space, collection, entries } => {
                tracing::info!(%space, %collection, entries, "checkpoint loaded");
            }
            Event::CheckpointRefused { space, collection, maker, reason } => {
                tracing::warn!(%space, %collection, peer = %maker, %reason, "checkpoint refused");
            }
            Event::NewIncarnation { incarnation, reason } => tracing::warn!(%incarnation, %reason, "new incarnation"),
            other => tracing::debug!(event = ?other, "event"),
        }
        self.observe(event);
    }
}
