//! The span of each step: what it is about, so that a log can be read by space, collection, document or peer.

use std::collections::BTreeMap;

use farshore_core::id::DeviceId;
use farshore_core::input::{Input, LinkId, Request};
use tracing::{Span, debug_span, field};

/// The span of one input. Fields that it does not have are left out.
pub(super) fn of(input: &Input, peers: &BTreeMap<LinkId, DeviceId>) -> Span {
    let peer = |link: &LinkId| peers.get(link).map(|device| field::display(*device));
    match input {
        Input::Request { id, request } => {
            let span = debug_span!(
                "request",
                id = id.0,
                kind = kind(request),
                space = field::Empty,
                collection = field::Empty,
                document = field::Empty,
                documents = field::Empty
            );
            record(&span, request);
            span
        }
        Input::Stored { batch } => debug_span!("stored", batch),
        Input::Loaded { load, .. } => debug_span!("loaded", load),
        Input::JobDone { job, .. } => debug_span!("job_done", job),
        Input::LinkUp { link, address, dialled, .. } => debug_span!("link_up", %link, %address, dialled),
        Input::Frame { link, class, bytes } => {
            debug_span!("frame", %link, peer = peer(link), ?class, bytes = bytes.len())
        }
        Input::Addresses(addresses) => debug_span!("addresses", count = addresses.len()),
        Input::Writable { link } => debug_span!("writable", %link, peer = peer(link)),
        Input::LinkDown { link } => debug_span!("link_down", %link, peer = peer(link)),
        Input::Wake => debug_span!("wake"),
    }
}

fn record(span: &Span, request: &Request) {
    match request {
        Request::Edit { space, collection, edits } => {
            span.record("space", field::display(space)).record("collection", field::display(collection));
            match edits.as_slice() {
                [one] => span.record("document", field::display(one.document)),
                many => span.record("documents", many.len()),
            };
        }
        Request::DocumentIds { space, collection, .. } | Request::Checkpoint { space, collection } => {
            span.record("space", field::display(space)).record("collection", field::display(collection));
        }
        Request::DefineCollection { space, .. } | Request::Invite { space, .. } => {
            span.record("space", field::display(space));
        }
        _ => {}
    }
}

fn kind(request: &Request) -> &'static str {
    match request {
        Request::CreateSpace { .. } => "create_space",
        Request::DefineCollection { .. } => "define_collection",
        Request::Edit { .. } => "edit",
        Request::DocumentIds { .. } => "document_ids",
        Request::Invite { .. } => "invite",
        Request::Checkpoint { .. } => "checkpoint",
        Request::Join { .. } => "join",
        Request::CancelJoin { .. } => "cancel_join",
        Request::SetName { .. } => "set_name",
        Request::Status => "status",
        Request::SyncNow { .. } => "sync_now",
        Request::Retry { .. } => "retry",
        Request::Subscribe { .. } => "subscribe",
        Request::Pause { .. } => "pause",
        Request::Resume { .. } => "resume",
        Request::SetMetered(_) => "set_metered",
        Request::SetSuspended(_) => "set_suspended",
        _ => "other",
    }
}
