//! Contracts, feeds and loans for tests: a policy about time, sector and loan rate, and the feed that it reads.

use super::*;
use contracts_vm::Package;
use ledger_tree::map::{self, EntryType, Version};
use ledger_types::contract::*;
use ledger_types::encoding::Decode;
use ledger_types::feed::*;
use ledger_types::log_leaf::LogLeaf;

pub const ONE: ContractNumber = ContractNumber(1);
pub const FEED: FeedNumber = FeedNumber(1);
/// November 2023, in which the genesis lies, as a month.
pub const NOVEMBER: u32 = 2023 * 12 + 10;
/// Midnight UTC at the beginning of 20 November 2023, six days after the genesis: when the policy's window opens.
pub const OPENS_MS: u64 = 1_700_438_400_000;
/// Food, which the policy names, at the benchmark + 50 bp, which it just allows.
pub const GOOD_LOAN: Loan = Loan { sector: 0x430a, rate: 39_500, term_days: 365 };

/// Lends to farms and food from 20 November 2023 on, at 50 bp above the benchmark at most.
pub fn policy(version: u32) -> String {
    policy_with(version, "sector in ISIC { A, C10..C12 }", "60 days", "otherwise lpr - 100 bp")
}

pub fn policy_with(version: u32, condition: &str, idle: &str, rate: &str) -> String {
    format!(
        r#"policy "lending" version {version}
currency CNY
feed lpr = "cn.lpr.1y" monthly percent scale 2, at most 40 days old, latest vintage, when stale deny

effective when
    time from 2023-11-20 until 2024-06-01
    {condition}
    loan rate <= lpr + 50 bp

idle after {idle}
due 30 days after loan term

return rate
    when lpr < 3.00 % : 0.50 %
    {rate}
    clamp 0.10 % .. 4.00 %, step 1 bp
"#
    )
}

pub fn package(source: &str) -> Package {
    Package::of(source).unwrap_or_else(|diagnostics| panic!("{diagnostics:#?}"))
}

pub fn deployment(contract: u32, version: u32, notice: u32, source: &str) -> Deployment {
    Deployment {
        contract: ContractNumber(contract),
        version: PolicyVersion(version),
        notice,
        report: [8; 32],
        package: Octets::new(package(source).to_bytes()).unwrap(),
    }
}

pub fn benchmark() -> FeedDefinition {
    FeedDefinition {
        feed: FEED,
        name: FeedName::parse("cn.lpr.1y").unwrap(),
        unit: FeedUnit::Rate,
        scale: 2,
        frequency: Frequency::Monthly,
        publishers: List::new((0..3).map(|index| publisher(index).public_key()).collect()).unwrap(),
        threshold: 2,
        step_max: 100,
    }
}

pub fn publisher(index: u8) -> SigningKey {
    key(&format!("publisher {index}"))
}

impl Bed {
    /// Orders and publications are carried by the central bank.
    fn clear(&mut self, context: ClearContext) -> Draft {
        let nothing = Inputs::Spends(List::empty());
        self.draft_with_terms(CENTRAL, nothing, Origin::ZERO, SeriesNumber(0), &[], ContractNumber(0), context)
    }

    pub fn contract_order(&mut self, order: ContractOrder) -> Draft {
        let context = ContractOrderContext { order, authorizations: List::empty() };
        self.clear(ClearContext::ContractOrder(context)).authorize_by_officers(&self.rules, &[0, 2])
    }

    pub fn deploy(&mut self, contract: u32, version: u32, notice: u32, source: &str) -> Draft {
        self.contract_order(ContractOrder::Deploy(deployment(contract, version, notice, source)))
    }

    pub fn feed_order(&mut self, definition: FeedDefinition) -> Draft {
        let context = FeedOrderContext { definition, authorizations: List::empty() };
        self.clear(ClearContext::FeedOrder(context)).authorize_by_officers(&self.rules, &[0, 1])
    }

    /// Valid for a month from the next block on.
    pub fn head(&self, period: u32, vintage: u32) -> ItemHead {
        let published_ms = self.next_time_ms();
        let (period, vintage) = (Period(period), Vintage(vintage));
        ItemHead { feed: FEED, period, vintage, scale: 2, published_ms, valid_until_ms: published_ms + 90 * DAY_MS }
    }

    pub fn publish(&mut self, head: ItemHead, values: &[(u8, i64)]) -> Draft {
        let chain = self.rules.chain;
        let publish = |(publisher_index, value): &(u8, i64)| PublishedValue {
            publisher: *publisher_index,
            value: *value,
            signature: publisher(*publisher_index).sign(&head.message(&chain, *value)),
        };
        let values = List::new(values.iter().map(publish).collect()).unwrap();
        self.clear(ClearContext::Publication(PublicationContext { head, values }))
    }

    /// By publishers 0 and 1, who agree.
    #[track_caller]
    pub fn publishes(&mut self, period: u32, vintage: u32, value: i64) {
        let head = self.head(period, vintage);
        let publication = self.publish(head, &[(0, value), (1, value)]);
        assert_eq!(self.submit(publication), 0);
    }

    #[track_caller]
    pub fn registers_the_benchmark(&mut self) {
        let order = self.feed_order(benchmark());
        assert_eq!(self.submit(order), 0);
    }

    /// The benchmark of November is 3.45 %, the policy is deployed and binds, and the time is the first second of its window.
    pub fn with_a_policy_in_force() -> Self {
        Self::with_policy(&policy(1))
    }

    pub fn with_policy(source: &str) -> Self {
        let mut bed = Bed::new();
        bed.registers_the_benchmark();
        bed.publishes(NOVEMBER, 0, 345);
        let deploy = bed.deploy(1, 1, NOTICE_HEIGHTS_MIN, source);
        assert_eq!(bed.submit(deploy), 0);
        bed.wait_heights(1);
        bed.wait_until(OPENS_MS);
        bed
    }

    pub fn terms(&self, contract: u32, version: u32) -> Terms {
        let contract = ContractNumber(contract);
        let deployed = self.ledger.contracts.get(contract).unwrap().version(PolicyVersion(version)).unwrap();
        terms(&self.rules.chain, contract, &deployed.policy)
    }

    /// Of series 2, authorized. Under version 1 of the contract.
    pub fn issue_inert(&mut self, contract: u32, amounts: &[(ParticipantNumber, u64)]) -> Draft {
        let terms = self.terms(contract, 1);
        let (series, issue_number) = (SeriesNumber(2), self.ledger.issue_numbers[&SeriesNumber(2)]);
        let amount = Amount(amounts.iter().map(|(_, amount)| amount).sum());
        let authorization = Signature([0; 64]);
        let context = ClearContext::Issue(IssueContext { series, issue_number, amount, authorization });
        let origin = issue_origin(&self.rules.chain, series, issue_number);
        let outputs: Vec<_> = amounts.iter().map(|(bank, amount)| (*bank, *amount, terms)).collect();
        let (nothing, contract) = (Inputs::Spends(List::empty()), ContractNumber(contract));
        let draft = self.draft_with_terms(CENTRAL, nothing, origin, series, &outputs, contract, context);
        draft.authorize_by_issue_key(&self.rules)
    }

    /// A live coin under contract 1 in bank 2's custody.
    #[track_caller]
    pub fn inert_coin(&mut self, amount: u64) -> KnownCoin {
        let issue = self.issue_inert(1, &[(BANK2, amount)]);
        let coin = issue.coins[0].clone();
        assert_eq!(self.submit(issue), 0);
        self.make_live(std::slice::from_ref(&coin));
        coin
    }

    /// Bank 2 lends `lent` of the coins to somebody at bank 3, and keeps the rest inert.
    pub fn activate(&mut self, inputs: &[KnownCoin], loan: Loan, lent: u64) -> Draft {
        let worth: u64 = inputs.iter().map(|coin| coin.opening.amount.0).sum();
        let mut outputs = vec![(BANK3, lent, Terms::ZERO)];
        if worth > lent {
            outputs.push((BANK2, worth - lent, inputs[0].opening.terms));
        }
        let (spends, origin) = self.spends(BANK2, inputs);
        let context = ClearContext::Activate(loan);
        self.draft_with_terms(BANK2, spends, origin, common_series(inputs), &outputs, ONE, context)
    }

    pub fn obligation_of(&self, activation: &Draft) -> ObligationId {
        let envelope = activation.clone().seal();
        let id = envelope.id(&self.rules.chain);
        let salt = envelope.header.core.salt;
        let nothing = Obligation {
            contract: ONE,
            version: PolicyVersion(1),
            policy: PolicyHash::ZERO,
            activated_ms: 0,
            due_ms: 0,
        };
        OpenObligation { obligation: nothing, bank: activation.core.submitter, activation: id, salt }
            .id(&self.rules.chain)
    }

    /// Of the central bank's own coins, all of it retired. Authorized.
    pub fn return_loan(&mut self, inputs: &[KnownCoin], obligation: ObligationId, rate: i64) -> Draft {
        let amount = Amount(inputs.iter().map(|coin| coin.opening.amount.0).sum());
        let authorization = Signature([0; 64]);
        let context = ClearContext::Return(ReturnContext { obligation, rate, amount, authorization });
        let (spends, origin) = self.spends(CENTRAL, inputs);
        let series = common_series(inputs);
        let draft = self.draft_with_terms(CENTRAL, spends, origin, series, &[], ContractNumber(0), context);
        draft.authorize_by_issue_key(&self.rules)
    }

    pub fn reclaim(&mut self, inputs: &[KnownCoin]) -> Draft {
        let mut ids: Vec<CoinId> = inputs.iter().map(|coin| coin.id).collect();
        ids.sort();
        let amount = Amount(inputs.iter().map(|coin| coin.opening.amount.0).sum());
        let origin = origin(&self.rules.chain, &ids);
        let by_id = Inputs::ById(List::new(ids).unwrap());
        let context = ClearContext::Reclaim(ReclaimContext { amount });
        self.draft_with_terms(CENTRAL, by_id, origin, common_series(inputs), &[], ONE, context)
    }
}

pub const DAYS_60: u64 = 60 * DAY_MS;
/// 3.45 % − 100 bp.
pub const RETURN_RATE: i64 = 24_500;

pub fn of_map(bed: &Bed, entry: EntryType, id: &[u8], value: Option<&dyn Fn() -> Vec<u8>>) {
    let key = map::key_hash(entry, id);
    let root = &bed.ledger.map_root.0;
    let proof = map::prove(&bed.state, Version::after_height(bed.ledger.height.0), &key).unwrap().proof;
    match value {
        Some(value) => map::verify_inclusion(root, &key, &map::value_hash(&value()), &proof).unwrap(),
        None => map::verify_absence(root, &key, &proof).unwrap(),
    }
}

pub fn stop(bed: &mut Bed) -> Draft {
    bed.contract_order(ContractOrder::Stop { contract: ONE })
}

pub fn retire(bed: &mut Bed, notice: u32) -> Draft {
    bed.contract_order(ContractOrder::Retire { contract: ONE, notice })
}

/// The leaves that an empty batch puts into the log.
pub fn logged(bed: &mut Bed) -> Vec<LogLeaf> {
    let bundle = bed.confirmation(bed.batch(Vec::new()));
    let applied = bed.block(&[bundle]);
    applied.changes.log_leaves.iter().map(|(_, leaf)| LogLeaf::from_bytes(leaf).unwrap()).collect()
}

/// Bank 2 has lent 60 of an inert coin of 100. Gives the activation, and coins of the central bank's own to return with.
pub fn lent() -> (Bed, Draft) {
    let mut bed = Bed::with_a_policy_in_force();
    let coin = bed.inert_coin(100);
    let activation = bed.activate(&[coin], GOOD_LOAN, 60);
    assert_eq!(bed.submit(activation.clone()), 0);
    (bed, activation)
}

impl Bed {
    pub fn state_owes(&self, bank: ParticipantNumber, contract: ContractNumber) -> Option<u64> {
        ledger_state::StateReader::earliest_due(&self.state, bank, contract).unwrap()
    }
}
