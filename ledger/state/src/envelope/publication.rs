//! Publication: k of a feed's n publishers give a period a value, or revise it (K-11).
//!
//! What stays true here: an item is written once. Vintages are dense and periods only grow, so nothing can be published twice,
//! and what an earlier verdict was judged by stays where it was.

use super::{Circumstances, Shape, is_plain};
use crate::policy::has_begun;
use crate::reader::StateReader;
use crate::working::{NoVerdict, Working};
use ledger_types::contract::DAY_MS;
use ledger_types::envelope::PublicationContext;
use ledger_types::feed::{Feed, FeedItem, ItemHead, median};
use ledger_types::ids::*;
use ledger_types::log_leaf::LogLeaf;
use ledger_types::rejection::Rejection;
use std::sync::Arc;

/// Any participant may carry it: the publishers' signatures authorise it.
pub(super) const SHAPE: Shape = Shape { may_submit: |_| true, inputs: 0..=0, outputs: 0..=0, terms_fit: is_plain };

/// The feed as of the parent: a new publisher's key binds from the next height.
pub(super) fn check(now: &Circumstances, context: &PublicationContext) -> Result<(), Rejection> {
    let PublicationContext { head, values } = context;
    let feed = now.parent.feeds.get(head.feed).filter(|feed| feed.definition.scale == head.scale);
    let Feed { definition, .. } = feed.ok_or(Rejection::FeedUnknown)?;
    // What is cheap comes first: any participant may send us sixteen signatures.
    let enough = values.len() >= usize::from(definition.threshold);
    if !enough || !values.is_sorted_by(|a, b| a.publisher < b.publisher) {
        return Err(Rejection::NotAuthorized);
    }
    let all_verify = values.iter().all(|by| {
        let key = definition.publishers.get(usize::from(by.publisher));
        key.is_some_and(|key| key.verify(&head.message(&now.rules.chain, by.value), &by.signature))
    });
    if all_verify { Ok(()) } else { Err(Rejection::NotAuthorized) }
}

pub(super) fn execute<R: StateReader>(working: &mut Working<R>, context: &PublicationContext) -> Result<(), NoVerdict> {
    let PublicationContext { head, values } = context;
    let feed = working.ledger.feeds.get(head.feed).ok_or(Rejection::FeedUnknown)?;
    if !time_fits(head, feed, working.time_ms) {
        return Err(Rejection::PublicationTimeDoesNotFit.into());
    }
    let (newest, step_max) = (feed.newest, feed.definition.step_max);
    let before = value_before(working, head, newest)?;
    let value = median(values).ok_or(Rejection::NotAuthorized)?;
    if before.is_some_and(|before| value.abs_diff(before) > step_max) {
        return Err(Rejection::StepTooLarge.into());
    }

    let item = FeedItem { head: *head, value };
    let feed = Arc::make_mut(&mut working.ledger.feeds).get_mut(head.feed).expect("looked at above");
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

/// From which the step is measured, if the period and its vintage are the next.
fn value_before<R: StateReader>(
    working: &Working<R>,
    head: &ItemHead,
    newest: Option<Period>,
) -> Result<Option<i64>, NoVerdict> {
    let is_new = newest.is_none_or(|newest| head.period > newest);
    let last = match if is_new { newest } else { Some(head.period) } {
        Some(period) => working.last_vintage(head.feed, period)?,
        None => None,
    };
    let next = match last {
        Some(last) if !is_new => last.head.vintage.0.checked_add(1),
        // An older period that was left out is past.
        None if !is_new => None,
        _ => Some(0),
    };
    if next != Some(head.vintage.0) {
        return Err(Rejection::VintageNotNext.into());
    }
    Ok(last.map(|item| item.value))
}
