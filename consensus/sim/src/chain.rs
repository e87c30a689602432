//! A small chain: all participants but the last are validators, the first is the central bank, and each validator holds coins of its
//! own. The last is a bank that observes until a hand-over (G-3) brings it in.

use ledger_state::memory::MemoryState;
use ledger_state::{GenesisLoad, GenesisStep, Ledger, Rules, preissued_coins};
use ledger_types::coin::Opening;
use ledger_types::encoding::{List, Octets, Text};
use ledger_types::genesis::{GENESIS_VERSION, Genesis, KemSuite, Preissue, Series};
use ledger_types::ids::*;
use ledger_types::keys::SigningKey;
use ledger_types::participant::{CentralBankKeys, Directory, Participant, ParticipantKeys, Roles};
use std::sync::OnceLock;

pub const GENESIS_TIME_MS: u64 = 1_700_000_000_000;
pub const COIN_AMOUNT: u64 = 100;
const COINS_EACH: u32 = 4;
pub const EXPIRY_WINDOW_MS: u64 = 86_400_000;

pub fn key(label: &str) -> SigningKey {
    SigningKey::from_seed(blake3::hash(label.as_bytes()).as_bytes())
}

/// A coin as its holder knows it.
#[derive(Clone, Debug)]
pub struct KnownCoin {
    pub id: CoinId,
    pub opening: Opening,
    pub origin: Origin,
    pub output_index: u8,
    pub bank: ParticipantNumber,
}

/// At height 0. Made once for each number of validators.
pub struct Chain0 {
    /// Of the genesis; the bank that observes is the next number.
    pub validators: u16,
    pub rules: Rules,
    pub state: MemoryState,
    pub ledger: Ledger,
    pub coins: Vec<KnownCoin>,
    /// Of every participant, by number.
    pub consensus: Vec<SigningKey>,
    pub bundle: Vec<SigningKey>,
    pub registration: SigningKey,
}

pub fn chain_of(validators: usize) -> &'static Chain0 {
    static FOUR: OnceLock<Chain0> = OnceLock::new();
    static SEVEN: OnceLock<Chain0> = OnceLock::new();
    match validators {
        4 => FOUR.get_or_init(|| make(4)),
        7 => SEVEN.get_or_init(|| make(7)),
        _ => panic!("4 or 7 validators"),
    }
}

pub fn officer(index: u8) -> SigningKey {
    key(&format!("officer {index}"))
}

fn purpose(number: u16, purpose: &str) -> SigningKey {
    key(&format!("{number} {purpose}"))
}

fn make(validators: u16) -> Chain0 {
    let observer = validators + 1;
    let participants = (1..=observer).map(|number| {
        let public = |name| purpose(number, name).public_key();
        let bank = if number == 1 { Roles::CENTRAL_BANK } else { Roles::COMMERCIAL_BANK };
        Participant {
            number: ParticipantNumber(number),
            name: Text::new(&format!("participant {number}")).expect("short"),
            roles: if number == observer { Roles::OBSERVER } else { Roles::VALIDATOR }.and(bank),
            power: u64::from(number != observer),
            keys: ParticipantKeys {
                consensus: public("consensus"),
                bundle: public("bundle"),
                cosign: public("cosign"),
                desk: public("desk"),
                offer: public("offer"),
                link: public("link"),
                engine_peer: public("engine peer"),
                data_peer: public("data peer"),
                kem: Octets::new(public("kem").0.to_vec()).expect("32 bytes"),
            },
            central_bank: (number == 1).then(|| CentralBankKeys {
                log: public("log"),
                registration: public("registration"),
                registration_link: public("registration link"),
                issue: public("issue"),
            }),
        }
    });
    let preissues = (1..=validators).map(|number| Preissue {
        series: SeriesNumber(1),
        seed: [number as u8; 32],
        bank: ParticipantNumber(number),
        owner: key("owner").public_key(),
        amount: Amount(COIN_AMOUNT),
        count: COINS_EACH,
    });
    let genesis = Genesis {
        version: GENESIS_VERSION,
        currency: Currency(*b"CNY"),
        exponent: 2,
        kem_suite: KemSuite::X25519,
        time_ms: GENESIS_TIME_MS,
        origin: Text::new("assay.example/log").expect("short"),
        officers: List::new((0..3).map(|index| officer(index).public_key()).collect()).expect("3"),
        officer_threshold: 2,
        unconfirmed_depth_max: 0,
        expiry_window_ms: EXPIRY_WINDOW_MS,
        release_deadline_ms: 60_000,
        bytes_per_submitter_per_height: 400_000,
        batch_records_max: 1_000,
        series: List::new(vec![Series { number: SeriesNumber(1), name: Text::new("first").expect("short") }])
            .expect("1"),
        preissues: List::new(preissues.collect()).expect("few"),
        directory: Directory::new(participants.collect()).expect("sound"),
    };
    genesis.check().expect("a sound genesis");
    let rules = Rules::new(genesis);
    let mut state = MemoryState::default();
    let mut load = GenesisLoad::start(&rules);
    let ledger = loop {
        match load.step(&state).expect("memory reads") {
            GenesisStep::More(changes) => state.write(&changes),
            GenesisStep::Last(changes, ledger) => {
                state.write(&changes);
                break *ledger;
            }
        }
    };
    let known = |coin: ledger_state::PreissuedCoin| KnownCoin {
        id: coin.id,
        opening: coin.opening,
        origin: coin.origin,
        output_index: 0,
        bank: coin.bank,
    };
    let coins = preissued_coins(&rules).map(known).collect();
    Chain0 {
        validators,
        rules,
        state,
        ledger,
        coins,
        consensus: (1..=observer).map(|number| purpose(number, "consensus")).collect(),
        bundle: (1..=observer).map(|number| purpose(number, "bundle")).collect(),
        registration: purpose(1, "registration"),
    }
}
