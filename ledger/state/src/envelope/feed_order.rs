//! Feed order: k of n officers register a feed, or say who publishes one from now on (K-10).

use super::{Circumstances, Shape, is_plain, officers_authorize};
use crate::contracts::Feeds;
use crate::reader::StateReader;
use crate::working::Working;
use ledger_types::envelope::{Core, FeedOrderContext};
use ledger_types::feed::{Feed, FeedDefinition};
use ledger_types::log_leaf::LogLeaf;
use ledger_types::participant::Participant;
use ledger_types::rejection::Rejection;
use std::sync::Arc;

/// The officers' signatures authorise it. They cost whoever sends it nothing and every validator a look each, so not everybody may
/// send it.
pub(super) const SHAPE: Shape =
    Shape { may_submit: Participant::is_central_bank, inputs: 0..=0, outputs: 0..=0, terms_fit: is_plain };

pub(super) fn check(now: &Circumstances, core: &Core, context: &FeedOrderContext) -> Result<(), Rejection> {
    officers_authorize(now, core, &context.authorizations)
}

pub(super) fn execute<R: StateReader>(
    working: &mut Working<R>,
    core: &Core,
    context: &FeedOrderContext,
) -> Result<(), Rejection> {
    let authorization = working.unused_authorization(core)?;
    let definition = &context.definition;
    if !definition.is_sound() {
        return Err(Rejection::FeedUnsound);
    }
    if !fits(&working.ledger.feeds, definition) {
        return Err(Rejection::FeedDoesNotFit);
    }

    let feeds = Arc::make_mut(&mut working.ledger.feeds);
    match feeds.get_mut(definition.feed) {
        Some(feed) => feed.definition = definition.clone(),
        None => feeds.insert(Feed { definition: definition.clone(), newest: None }),
    }
    working.use_authorization(authorization, core.expiry_ms);
    working.feed_changed(definition.feed);
    working.ledger.events_to_log.push(LogLeaf::Feed(definition.clone())); // L-1
    Ok(())
}

fn fits(feeds: &Feeds, definition: &FeedDefinition) -> bool {
    match feeds.get(definition.feed) {
        Some(feed) => definition.may_replace(&feed.definition),
        None => feeds.next_number() == Some(definition.feed) && feeds.named(&definition.name).is_none(),
    }
}
