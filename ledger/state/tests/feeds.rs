//! Feeds (K-10, K-11): who publishes, what an item is, and every refusal, met by one.

use crate::common;

use common::lending::*;
use common::*;
use ledger_tree::map::{self, EntryType};
use ledger_types::contract::{ContractOrder, DAY_MS};
use ledger_types::encoding::{Encode, List};
use ledger_types::envelope::ClearContext;
use ledger_types::feed::*;
use ledger_types::ids::*;
use ledger_types::keys::Signature;
use ledger_types::log_leaf::LogLeaf;
use ledger_types::rejection::Rejection;

fn registered() -> Bed {
    let mut bed = Bed::new();
    bed.registers_the_benchmark();
    bed
}

fn published(values: &[i64]) -> Bed {
    let mut bed = registered();
    for (value, period) in values.iter().zip(NOVEMBER - values.len() as u32 + 1..) {
        bed.publishes(period, 0, *value);
    }
    bed
}

fn stands_in_the_map(bed: &Bed, id: &[u8], value: &impl Encode) {
    let version = map::Version::after_height(bed.ledger.height.0);
    let key = map::key_hash(EntryType::Feed, id);
    let found = map::prove(&bed.state, version, &key).unwrap();
    map::verify_inclusion(&bed.ledger.map_root.0, &key, &map::value_hash(&value.to_bytes()), &found.proof).unwrap();
}

#[test]
fn a_registered_feed_and_its_items_stand_in_the_state_the_map_and_with_the_next_batch_in_the_log() {
    let mut bed = registered();
    bed.publishes(NOVEMBER, 0, 345);
    let feed = bed.ledger.feeds.get(FEED).unwrap().clone();
    assert_eq!(feed, Feed { definition: benchmark(), newest: Some(Period(NOVEMBER)) });
    let item = bed.state.feed_items[&(FEED, Period(NOVEMBER), Vintage(0))];
    assert_eq!(item.value, 345);
    stands_in_the_map(&bed, &FEED.to_bytes(), &feed);
    let id = [FEED.to_bytes(), Period(NOVEMBER).to_bytes(), Vintage(0).to_bytes()].concat();
    stands_in_the_map(&bed, &id, &item);

    let bundle = bed.confirmation(bed.batch(Vec::new()));
    let applied = bed.block(&[bundle]);
    let leaves: Vec<&Vec<u8>> = applied.changes.log_leaves.iter().map(|(_, leaf)| leaf).collect();
    assert_eq!(leaves[..2], [&LogLeaf::Feed(benchmark()).to_bytes(), &LogLeaf::FeedItem(item).to_bytes()]);
    assert!(bed.ledger.events_to_log.is_empty());
}

#[test]
fn the_item_is_the_lower_median_of_what_the_publishers_signed() {
    let mut bed = registered();
    let head = bed.head(NOVEMBER, 0);
    let publication = bed.publish(head, &[(0, 345), (1, 900), (2, 340)]);
    assert_eq!(bed.submit(publication), 0);
    let head = bed.head(NOVEMBER, 1);
    let publication = bed.publish(head, &[(1, 350), (2, 349)]);
    assert_eq!(bed.submit(publication), 0);
    let values: Vec<i64> = bed.state.feed_items.values().map(|item| item.value).collect();
    assert_eq!(values, [345, 349]);
}

#[test]
fn a_revision_is_a_new_vintage_and_the_old_one_stays() {
    let mut bed = published(&[340, 345]);
    bed.publishes(NOVEMBER - 1, 1, 342);
    bed.publishes(NOVEMBER - 1, 2, 341);
    let of_october = |vintage| bed.state.feed_items[&(FEED, Period(NOVEMBER - 1), Vintage(vintage))].value;
    assert_eq!([0, 1, 2].map(of_october), [340, 342, 341]);
    assert_eq!(bed.ledger.feeds.get(FEED).unwrap().newest, Some(Period(NOVEMBER)));
}

/// So a feed moves by one step a height, and no proposer chooses from where.
#[test]
fn a_feed_takes_one_item_a_height_of_whatever_period_and_the_step_is_measured_from_the_height_before() {
    let mut bed = published(&[340, 345]);
    let heads = [(NOVEMBER, 1), (NOVEMBER, 1), (NOVEMBER, 2), (NOVEMBER - 1, 1)];
    let heads = heads.map(|(period, vintage)| bed.head(period, vintage));
    let mut drafts = heads.map(|head| bed.publish(head, &[(0, 400), (1, 400)]).seal()).to_vec();
    let second = FeedDefinition { feed: FeedNumber(2), name: FeedName::parse("cn.lpr.5y").unwrap(), ..benchmark() };
    let order = bed.feed_order(second);
    assert_eq!(bed.submit(order), 0);
    let head = ItemHead { feed: FeedNumber(2), ..bed.head(NOVEMBER, 0) };
    drafts.push(bed.publish(head, &[(0, 500), (1, 500)]).seal());
    let (items, bundle) = (bed.state.feed_items.len(), bed.bundle(CENTRAL, drafts));
    let codes: Vec<u16> = bed.block(&[bundle]).results.iter().map(|result| result.code).collect();
    let taken = Rejection::VintageNotNext.number();
    assert_eq!(codes, [0, taken, taken, taken, 0], "and another feed its own");
    assert_eq!(bed.state.feed_items.len(), items + 2);
    // A step a height: from 400, which the block before gave, no longer from 345.
    let head = bed.head(NOVEMBER, 2);
    let publication = bed.publish(head, &[(0, 501), (1, 501)]);
    assert_refused(&bed, publication, Rejection::StepTooLarge);
    bed.publishes(NOVEMBER, 2, 500);
}

/// K-1: of h − 1 are the publishers, how many are needed, and the step.
#[test]
fn officers_may_replace_publishers_and_step_and_only_from_the_next_height_on_the_new_ones_count() {
    let mut bed = published(&[345]);
    let mut definition = benchmark();
    definition.publishers = List::new(vec![publisher(7).public_key()]).unwrap();
    (definition.threshold, definition.step_max) = (1, u64::MAX);
    let (order, head) = (bed.feed_order(definition.clone()), bed.head(NOVEMBER, 1));
    let by_the_new = |head: ItemHead, bed: &mut Bed, value: i64| {
        let mut new = bed.publish(head, &[(0, value)]);
        let ClearContext::Publication(context) = &mut new.core.context else { unreachable!() };
        context.values.as_mut_slice()[0].signature = publisher(7).sign(&head.message(&bed.rules.chain, value));
        new
    };
    let far = bed.publish(head, &[(0, 446), (1, 446)]);
    let of_the_new = by_the_new(head, &mut bed, 345);
    let near = bed.publish(head, &[(0, 445), (1, 445)]);
    let bundle = bed.bundle(CENTRAL, [order, far, of_the_new, near].map(Draft::seal).to_vec());
    let codes: Vec<u16> = bed.block(&[bundle]).results.iter().map(|result| result.code).collect();
    assert_eq!(codes, [0, Rejection::StepTooLarge.number(), Rejection::NotAuthorized.number(), 0]);
    assert_eq!(bed.ledger.feeds.get(FEED).unwrap().definition, definition);

    let head = bed.head(NOVEMBER, 2);
    let old = bed.publish(head, &[(0, 345), (1, 345)]);
    assert_refused(&bed, old, Rejection::NotAuthorized);
    let new = by_the_new(head, &mut bed, 9_000_000);
    assert_eq!(bed.submit(new), 0);
}

#[test]
fn rejection_3_the_central_bank_alone_carries_orders_and_publications() {
    let mut bed = registered();
    let head = bed.head(NOVEMBER, 0);
    let stop = ContractOrder::Stop { contract: ONE };
    for carrier in [BANK2, BANK5, OBSERVER] {
        for mut draft in
            [bed.publish(head, &[(0, 1), (1, 1)]), bed.feed_order(benchmark()), bed.contract_order(stop.clone())]
        {
            draft.core.submitter = carrier;
            assert_refused(&bed, draft, Rejection::SubmitterMayNotSubmitThis);
        }
    }
}

/// A signature costs a validator more than all else of a publication, and a replayed one has sixteen that verify.
#[test]
fn of_what_is_late_or_taken_no_signature_is_looked_at() {
    let mut bed = published(&[345]);
    let unsigned = |head: ItemHead, bed: &mut Bed| {
        let mut publication = bed.publish(head, &[(0, 345), (1, 345)]);
        let ClearContext::Publication(context) = &mut publication.core.context else { unreachable!() };
        context.values.as_mut_slice().iter_mut().for_each(|by| by.signature = Signature([1; 64]));
        publication
    };
    let head = bed.head(NOVEMBER, 0);
    let taken = unsigned(head, &mut bed);
    assert_refused(&bed, taken, Rejection::VintageNotNext);
    let head = bed.head(NOVEMBER, 1);
    let late = unsigned(ItemHead { published_ms: head.published_ms - DAY_MS - 1, ..head }, &mut bed);
    assert_refused(&bed, late, Rejection::PublicationTimeDoesNotFit);
    let next = unsigned(head, &mut bed);
    assert_refused(&bed, next, Rejection::NotAuthorized);
}

#[test]
fn rejection_13_a_publication_needs_k_of_the_feeds_publishers_in_order_each_signing_his_value() {
    let mut bed = registered();
    let head = bed.head(NOVEMBER, 0);
    for too_few in [&[(0, 345)][..], &[], &[(1, 345), (0, 345)], &[(0, 345), (0, 345)], &[(0, 345), (3, 345)]] {
        let publication = bed.publish(head, too_few);
        assert_refused(&bed, publication, Rejection::NotAuthorized);
    }
    let spoil = |spoil: fn(&mut ledger_types::envelope::PublicationContext), bed: &mut Bed| {
        let mut publication = bed.publish(head, &[(0, 345), (2, 345)]);
        let ClearContext::Publication(context) = &mut publication.core.context else { unreachable!() };
        spoil(context);
        assert_refused(bed, publication, Rejection::NotAuthorized);
    };
    spoil(|context| context.values.as_mut_slice()[1].value += 1, &mut bed);
    spoil(|context| context.values.as_mut_slice()[1].signature = Signature([1; 64]), &mut bed);
    // Every word of the head is signed.
    spoil(|context| context.head.period.0 -= 1, &mut bed);
    spoil(|context| context.head.published_ms -= 1, &mut bed);
    spoil(|context| context.head.valid_until_ms += 1, &mut bed);
    let mut later = bed.publish(head, &[(0, 345), (1, 345)]);
    let ClearContext::Publication(context) = &mut later.core.context else { unreachable!() };
    context.head.vintage.0 += 1;
    let mut revised = bed.clone();
    revised.publishes(NOVEMBER, 0, 345);
    assert_refused(&revised, later, Rejection::NotAuthorized);
    // A sixteenth of all that could be wrong with officers is tested at their own kind.
    let mut order = bed.feed_order(FeedDefinition { feed: FeedNumber(2), ..benchmark() });
    let ClearContext::FeedOrder(context) = &mut order.core.context else { unreachable!() };
    context.definition.step_max += 1;
    assert_refused(&bed, order, Rejection::NotAuthorized);
}

#[test]
fn rejection_13_a_feed_order_serves_once() {
    let mut bed = registered();
    let order = bed.feed_order(FeedDefinition { step_max: 7, ..benchmark() });
    let twice = bed.bundle(CENTRAL, vec![order.clone().seal(), order.clone().seal()]);
    let codes: Vec<u16> = bed.block(&[twice]).results.iter().map(|result| result.code).collect();
    assert_eq!(codes, [0, 13]);
    let back = bed.feed_order(benchmark());
    assert_eq!(bed.submit(back), 0);
    assert_refused(&bed, order, Rejection::NotAuthorized);
}

#[test]
fn rejection_80_a_publication_is_of_a_registered_feed_with_its_scale() {
    let mut bed = registered();
    let head = ItemHead { feed: FeedNumber(2), ..bed.head(NOVEMBER, 0) };
    let publication = bed.publish(head, &[(0, 345), (1, 345)]);
    assert_refused(&bed, publication, Rejection::FeedUnknown);
    // 3.45 % with three decimals is 3450: without the scale 345 could be taken for it.
    let head = ItemHead { scale: 3, ..bed.head(NOVEMBER, 0) };
    let publication = bed.publish(head, &[(0, 3450), (1, 3450)]);
    assert_refused(&bed, publication, Rejection::FeedUnknown);
}

#[test]
fn rejection_81_a_feeds_keys_threshold_and_scale_keep_the_rules() {
    let mut bed = Bed::new();
    let twice = vec![publisher(0).public_key(), publisher(0).public_key()];
    let unsound = vec![publisher(0).public_key(), ledger_types::keys::PublicKey([0; 32])];
    let with = |publishers: Vec<_>| FeedDefinition { publishers: List::new(publishers).unwrap(), ..benchmark() };
    let broken = [
        with(twice),
        with(unsound),
        FeedDefinition { threshold: 0, ..benchmark() },
        FeedDefinition { threshold: 4, ..benchmark() },
        // Not more than half: two groups of strangers.
        FeedDefinition { threshold: 1, ..benchmark() },
        FeedDefinition { threshold: 2, ..with((0..4).map(|index| publisher(index).public_key()).collect()) },
        FeedDefinition { scale: 10, ..benchmark() },
        FeedDefinition { threshold: 0, ..with(Vec::new()) },
    ];
    for definition in broken {
        let order = bed.feed_order(definition);
        assert_refused(&bed, order, Rejection::FeedUnsound);
    }
}

#[test]
fn rejection_82_numbers_are_dense_names_unique_and_what_a_feed_says_never_changes() {
    let mut bed = registered();
    let name = |name| FeedName::parse(name).unwrap();
    let second = FeedDefinition { feed: FeedNumber(2), name: name("cn.gdp"), ..benchmark() };
    let misfits = [
        FeedDefinition { feed: FeedNumber(3), ..second.clone() },
        FeedDefinition { feed: FeedNumber(0), ..second.clone() },
        FeedDefinition { name: name("cn.lpr.1y"), ..second.clone() },
        FeedDefinition { name: name("cn.lpr.5y"), ..benchmark() },
        FeedDefinition { scale: 3, ..benchmark() },
        FeedDefinition { unit: FeedUnit::Index, ..benchmark() },
        FeedDefinition { frequency: Frequency::Daily, ..benchmark() },
    ];
    for definition in misfits {
        let order = bed.feed_order(definition);
        assert_refused(&bed, order, Rejection::FeedDoesNotFit);
    }
    let order = bed.feed_order(second);
    assert_eq!(bed.submit(order), 0);
}

#[test]
fn rejection_83_an_item_is_published_within_a_day_before_its_block_and_in_its_period_or_later() {
    let mut bed = registered();
    let now = bed.next_time_ms();
    let head = bed.head(NOVEMBER, 0);
    let misfits = [
        ItemHead { published_ms: now + 1, ..head },
        ItemHead { published_ms: now - DAY_MS - 1, ..head },
        ItemHead { valid_until_ms: now, ..head },
        ItemHead { period: Period(NOVEMBER + 1), ..head },
        // A slip of the pen for ever: no later period could be published.
        ItemHead { period: Period(u32::MAX), ..head },
    ];
    for head in misfits {
        let publication = bed.publish(head, &[(0, 345), (1, 345)]);
        assert_refused(&bed, publication, Rejection::PublicationTimeDoesNotFit);
    }
    let oldest = ItemHead { published_ms: now - DAY_MS, valid_until_ms: now - DAY_MS + 1, ..head };
    let publication = bed.publish(oldest, &[(0, 345), (1, 345)]);
    assert_eq!(bed.submit(publication), 0);
}

#[test]
fn rejection_84_periods_only_grow_and_vintages_are_dense() {
    let mut bed = registered();
    bed.publishes(NOVEMBER - 3, 0, 340);
    bed.publishes(NOVEMBER - 1, 0, 345);
    let misfits = [
        (NOVEMBER - 1, 0, "again"),
        (NOVEMBER - 1, 2, "a vintage is left out"),
        (NOVEMBER - 2, 0, "a period that was left out is past"),
        (NOVEMBER - 2, 1, "and has no vintage to follow"),
        (NOVEMBER - 4, 0, "before the first"),
        (NOVEMBER, 1, "a period begins with vintage 0"),
    ];
    for (period, vintage, why) in misfits {
        let head = bed.head(period, vintage);
        let publication = bed.publish(head, &[(0, 345), (1, 345)]);
        println!("{why}");
        assert_refused(&bed, publication, Rejection::VintageNotNext);
    }
    bed.publishes(NOVEMBER - 3, 1, 341);
    bed.publishes(NOVEMBER, 0, 345);
}

#[test]
fn rejection_85_a_value_lies_within_a_step_of_the_one_before_it() {
    let mut bed = published(&[345]);
    bed.publishes(NOVEMBER, 1, 245);
    // From the last vintage, not from the first.
    let head = bed.head(NOVEMBER, 2);
    for (value, refused) in [(346, true), (144, true), (i64::MIN, true), (i64::MAX, true), (345, false)] {
        let publication = bed.publish(head, &[(0, value), (1, value)]);
        if refused {
            assert_refused(&bed, publication, Rejection::StepTooLarge);
        } else {
            assert_eq!(bed.submit(publication), 0);
        }
    }
    // A new period's step is measured from the newest period's last vintage.
    bed.wait_until(OPENS_MS + 20 * DAY_MS);
    let head = bed.head(NOVEMBER + 1, 0);
    let publication = bed.publish(head, &[(0, 446), (1, 446)]);
    assert_refused(&bed, publication, Rejection::StepTooLarge);
    bed.publishes(NOVEMBER + 1, 0, 445);
}
