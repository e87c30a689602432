//! Publication: k of a feed's n publishers give a period a value, or revise it (K-11).
//!
//! What stays true here: an item is written once. Vintages are dense and periods only grow, so nothing can be published twice,
//! and what an earlier verdict was judged by stays where it was. A feed takes one item a height, and all that it is judged by is of
//! h − 1 (K-1), so a value moves by one step a height. No signature is verified of what is late or taken.

use super::{Circumstances, Shape, is_plain};
use crate::policy::has_begun;
use crate::reader::StateReader;
use crate::working::{NoVerdict, Working};
use ledger_types::Chain;
use ledger_types::contract::DAY_MS;
use ledger_types::envelope::PublicationContext;
use ledger_types::feed::{Feed, FeedDefinition, FeedItem, ItemHead, median};
use ledger_types::log_leaf::LogLeaf;
use ledger_types::participant::Participant;
use ledger_types::rejection::Rejection;
use std::sync::Arc;

/// The publishers' signatures authorise it. They cost whoever sends it nothing and every validator a look each, so not everybody
/// may send it.
pub(super) const SHAPE: Shape =
    Shape { may_submit: Participant::is_central_bank, inputs: 0..=0, outputs: 0..=0, terms_fit: is_plain };

pub(super) fn check(now: &Circumstances, context: &PublicationContext) -> Result<(), Rejection> {
    let head = &context.head;
    let feed = now.parent.feeds.get(head.feed).filter(|feed| feed.definition.scale == head.scale);
    let feed = feed.ok_or(Rejection::FeedUnknown)?;
    if time_fits(head, feed, now.time_ms) { Ok(()) } else { Err(Rejection::PublicationTimeDoesNotFit) }
}

pub(super) fn execute<R: StateReader>(working: &mut Working<R>, context: &PublicationContext) -> Result<(), NoVerdict> {
    let PublicationContext { head, values } = context;
    let Feed { definition, newest } = working.parent.feeds.get(head.feed).ok_or(Rejection::FeedUnknown)?;
    if working.has_new_item(head.feed) {
        return Err(Rejection::VintageNotNext.into());
    }
    let is_new = newest.is_none_or(|newest| head.period > newest);
    let last = match if is_new { *newest } else { Some(head.period) } {
        Some(period) => working.reader.last_vintage(head.feed, period)?,
        None => None,
    };
    if !is_next(head, is_new, last) {
        return Err(Rejection::VintageNotNext.into());
    }
    publishers_authorize(working.chain(), definition, context)?;
    let value = median(values).ok_or(Rejection::NotAuthorized)?;
    if last.is_some_and(|last| value.abs_diff(last.value) > definition.step_max) {
        return Err(Rejection::StepTooLarge.into());
    }

    let item = FeedItem { head: *head, value };
    let feed = Arc::make_mut(&mut working.ledger.feeds).get_mut(head.feed).expect("a feed never goes");
    feed.newest = feed.newest.max(Some(head.period));
    working.feed_changed(head.feed);
    working.put_feed_item(item);
    working.ledger.events_to_log.push(LogLeaf::FeedItem(item)); // L-1
    Ok(())
}

fn time_fits(head: &ItemHead, feed: &Feed, time_ms: u64) -> bool {
    let ItemHead { published_ms, valid_until_ms, .. } = *head;
    time_ms.checked_sub(published_ms).is_some_and(|age_ms| age_ms <= DAY_MS)
        && published_ms < valid_until_ms
        && has_begun(head.period, feed.definition.frequency, published_ms)
}

/// `last` is what the step is measured from: of the same period if it has an item, else of the newest.
fn is_next(head: &ItemHead, is_new: bool, last: Option<FeedItem>) -> bool {
    let next = match last {
        Some(last) if !is_new => last.head.vintage.0.checked_add(1),
        // An older period that was left out is past.
        None if !is_new => None,
        _ => Some(0),
    };
    next == Some(head.vintage.0)
}

/// Of the feed as of the parent: a new publisher's key binds from the next height.
fn publishers_authorize(
    chain: &Chain,
    definition: &FeedDefinition,
    publication: &PublicationContext,
) -> Result<(), Rejection> {
    let PublicationContext { head, values } = publication;
    let enough = values.len() >= usize::from(definition.threshold);
    if !enough || !values.is_sorted_by(|a, b| a.publisher < b.publisher) {
        return Err(Rejection::NotAuthorized);
    }
    let all_verify = values.iter().all(|by| {
        let key = definition.publishers.get(usize::from(by.publisher));
        key.is_some_and(|key| key.verify(&head.message(chain, by.value), &by.signature))
    });
    if all_verify { Ok(()) } else { Err(Rejection::NotAuthorized) }
}
