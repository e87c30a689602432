//! What a generated history does, block by block: plans are small numbers, so that a failing one shrinks to a readable one.

use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Clone, Debug)]
pub struct BlockPlan {
    pub time_step_ms: u16,
    pub bundles: Vec<BundlePlan>,
    pub defect: BlockDefect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockDefect {
    None,
    TimeStandsStill,
    FirstBundleTwice,
    SlotSkipped,
    Stranger,
}

#[derive(Clone, Debug)]
pub enum BundlePlan {
    Envelopes {
        bank: u8,
        begins_anew: bool,
        actions: Vec<Action>,
    },
    Batch(BatchPlan),
    /// A batch that was submitted before.
    OldBatch {
        which: u8,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandOverDefect {
    None,
    NumberSkipped,
    OtherKey,
    Stranger,
}

#[derive(Clone, Debug)]
pub enum Action {
    Transfer {
        own: bool,
        inputs: Vec<u8>,
        outputs: Vec<u8>,
        twist: Twist,
    },
    Issue {
        series: u8,
        number_ahead: i8,
        amount: u8,
        twist: Twist,
    },
    Redeem {
        inputs: Vec<u8>,
        amount: u8,
        twist: Twist,
    },
    Recover {
        inputs: Vec<u8>,
        officers: u8,
    },
    Update {
        line: u8,
        change: u8,
        officers: u8,
    },
    Request {
        class: u8,
        days_off: u8,
        officers: u8,
    },
    /// To the set that decides with one power changed.
    HandOver {
        line: u8,
        power: u8,
        defect: HandOverDefect,
        officers: u8,
    },
    /// To a version so far after the one that governs.
    RulesOrder {
        ahead: u8,
        notice: u8,
        officers: u8,
    },
    /// An envelope that was submitted before, by whomever.
    Again {
        which: u8,
    },
    /// Many envelopes that spend what never was.
    Flood {
        count: u8,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twist {
    None,
    OtherSubmitter,
    Expired,
    ExpiryTooFar,
    NoOutputs,
    InputTwice,
    OutputsReversed,
    Contract,
    TermsFlag,
    NotAuthorized,
    CoinThatNeverWas,
}

#[derive(Clone, Debug)]
pub struct BatchPlan {
    /// How many of the coins that wait for it are confirmed as they should be.
    pub confirm: u8,
    /// How many absent coins are recorded as spent.
    pub spent: u8,
    /// Any coin, any status.
    pub arbitrary: Vec<(u8, u8)>,
    pub settle: bool,
    pub overdue: Option<u8>,
    pub clear: bool,
    pub defect: BatchDefect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchDefect {
    None,
    NumberSkipped,
    ChainBroken,
    OtherKey,
    RecordTwice,
    FieldsDoNotFit,
    SettlesUnknown,
    ClearsUnknown,
    TooLarge,
}

fn twist() -> impl Strategy<Value = Twist> {
    prop_oneof![
        20 => Just(Twist::None),
        1 => Just(Twist::OtherSubmitter),
        1 => Just(Twist::Expired),
        1 => Just(Twist::ExpiryTooFar),
        1 => Just(Twist::NoOutputs),
        1 => Just(Twist::InputTwice),
        1 => Just(Twist::OutputsReversed),
        1 => Just(Twist::Contract),
        1 => Just(Twist::TermsFlag),
        2 => Just(Twist::NotAuthorized),
        1 => Just(Twist::CoinThatNeverWas),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        12 => (prop::bool::weighted(0.8), vec(any::<u8>(), 1..4), vec(any::<u8>(), 1..4), twist())
            .prop_map(|(own, inputs, outputs, twist)| Action::Transfer { own, inputs, outputs, twist }),
        2 => (0..5u8, prop_oneof![8 => Just(0i8), 1 => Just(-1), 1 => Just(1)], any::<u8>(), twist())
            .prop_map(|(series, number_ahead, amount, twist)| Action::Issue { series, number_ahead, amount, twist }),
        2 => (vec(any::<u8>(), 1..3), any::<u8>(), twist())
            .prop_map(|(inputs, amount, twist)| Action::Redeem { inputs, amount, twist }),
        2 => (vec(any::<u8>(), 1..5), officers()).prop_map(|(inputs, officers)| Action::Recover { inputs, officers }),
        2 => (any::<u8>(), any::<u8>(), officers()).prop_map(|(line, change, officers)| Action::Update { line, change, officers }),
        2 => (any::<u8>(), prop_oneof![6 => Just(0u8), 1 => 1..3u8], officers())
            .prop_map(|(class, days_off, officers)| Action::Request { class, days_off, officers }),
        2 => hand_over(),
        1 => (prop_oneof![6 => Just(1u8), 1 => Just(0), 1 => Just(2)], 0..8u8, officers())
            .prop_map(|(ahead, notice, officers)| Action::RulesOrder { ahead, notice, officers }),
        2 => any::<u8>().prop_map(|which| Action::Again { which }),
        1 => (20..90u8).prop_map(|count| Action::Flood { count }),
    ]
}

fn hand_over() -> impl Strategy<Value = Action> {
    let defect = prop_oneof![
        9 => Just(HandOverDefect::None),
        1 => Just(HandOverDefect::NumberSkipped),
        1 => Just(HandOverDefect::OtherKey),
        1 => Just(HandOverDefect::Stranger),
    ];
    (any::<u8>(), 0..4u8, defect, officers()).prop_map(|(line, power, defect, officers)| Action::HandOver {
        line,
        power,
        defect,
        officers,
    })
}

/// A set of the three officers, as bits; most often enough of them.
fn officers() -> impl Strategy<Value = u8> {
    prop_oneof![4 => Just(0b011u8), 2 => Just(0b110), 1 => 0..8u8]
}

fn batch() -> impl Strategy<Value = BatchPlan> {
    let defect = prop_oneof![
        30 => Just(BatchDefect::None),
        1 => Just(BatchDefect::NumberSkipped),
        1 => Just(BatchDefect::ChainBroken),
        1 => Just(BatchDefect::OtherKey),
        1 => Just(BatchDefect::RecordTwice),
        1 => Just(BatchDefect::FieldsDoNotFit),
        1 => Just(BatchDefect::SettlesUnknown),
        1 => Just(BatchDefect::ClearsUnknown),
        1 => Just(BatchDefect::TooLarge),
    ];
    let arbitrary = prop_oneof![3 => Just(vec![]), 1 => vec((any::<u8>(), 0..4u8), 1..3)];
    let overdue = prop_oneof![5 => Just(None), 1 => any::<u8>().prop_map(Some)];
    (0..12u8, 0..6u8, arbitrary, any::<bool>(), overdue, prop::bool::weighted(0.6), defect).prop_map(
        |(confirm, spent, arbitrary, settle, overdue, clear, defect)| BatchPlan {
            confirm,
            spent,
            arbitrary,
            settle,
            overdue,
            clear,
            defect,
        },
    )
}

fn bundle() -> impl Strategy<Value = BundlePlan> {
    prop_oneof![
        7 => (0..9u8, prop::bool::weighted(0.1), vec(action(), 1..5))
            .prop_map(|(bank, begins_anew, actions)| BundlePlan::Envelopes { bank, begins_anew, actions }),
        4 => batch().prop_map(BundlePlan::Batch),
        1 => any::<u8>().prop_map(|which| BundlePlan::OldBatch { which }),
    ]
}

fn block() -> impl Strategy<Value = BlockPlan> {
    let defect = prop_oneof![
        24 => Just(BlockDefect::None),
        1 => Just(BlockDefect::TimeStandsStill),
        1 => Just(BlockDefect::FirstBundleTwice),
        1 => Just(BlockDefect::SlotSkipped),
        1 => Just(BlockDefect::Stranger),
    ];
    (1..20_000u16, vec(bundle(), 0..5), defect).prop_map(|(time_step_ms, bundles, defect)| BlockPlan {
        time_step_ms,
        bundles,
        defect,
    })
}

pub fn history() -> impl Strategy<Value = Vec<BlockPlan>> {
    vec(block(), 24..32)
}
