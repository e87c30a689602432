//! Issue: the receiving bank accepts, the issue key authorises, the total is public.

use crate::clock::{now_ms, now_us};
use crate::link::{Caller, Request};
use crate::role::commercial_bank::desk::Inner;
use crate::role::commercial_bank::job::{Step, TraceRow};
use crate::role::commercial_bank::pay::accepted;
use crate::role::commercial_bank::run::{Ready, Setback};
use crate::role::commercial_bank::sealing::{PlannedOutput, Source};
use ledger_types::contract;
use ledger_types::envelope::{ClearContext, IssueContext};
use ledger_types::keys::{PublicKey, Signature};
use ledger_types::sealed::SealedAcceptance;
use ledger_types::{Amount, ContractNumber, ParticipantNumber, SeriesNumber, Terms};

impl Inner {
    pub(crate) async fn prepare_issue(
        &self,
        bank: ParticipantNumber,
        series: u32,
        amounts: &[u64],
        contract: ContractNumber,
    ) -> Result<Ready, Setback> {
        let central = self.central.as_ref().ok_or_else(|| Setback::refused("only the central bank issues"))?;
        let series = SeriesNumber(series);
        let number = self.ports.ledger().issue_numbers.get(&series).copied();
        let number = number.ok_or_else(|| Setback::refused("the series does not exist"))?;
        let terms = self.terms_in_force(contract)?;
        let (coins, expiry_ms, signature) = if bank == self.me {
            let accepted =
                self.accept_issue(Caller::Participant(self.me), series, number, amounts, (contract, terms)).await;
            let accepted = accepted.map_err(|refusal| Setback::refused(refusal.to_string()))?;
            (accepted.coins, accepted.expiry_ms, accepted.signature)
        } else {
            let request = Request::AcceptIssue {
                series: series.0,
                issue_number: number,
                amounts: amounts.to_vec(),
                contract: contract.0,
                terms: terms.0,
            };
            accepted(self.ask(bank, request).await?, amounts.len())?
        };
        let note = format!("by {}", self.participant_name(bank));
        let trace = vec![TraceRow { step: Step::AcceptedByPayeeBank, at_us: now_us(), note }];
        let planned: Vec<PlannedOutput> = coins
            .iter()
            .zip(amounts)
            .map(|(coin, amount)| {
                let (owner, rho) = (PublicKey(coin.owner), coin.rho);
                PlannedOutput { amount: *amount, bank, owner, rho, terms }
            })
            .collect();
        let mut layout = self.lay_out(contract, Source::Issue { series, number }, &planned, b"")?;
        layout.sealed.acceptance = Some(SealedAcceptance { expiry_ms, signature });
        let total = amounts.iter().try_fold(0u64, |sum, amount| sum.checked_add(*amount));
        let amount = Amount(total.ok_or_else(|| Setback::refused("the amounts exceed what a number holds"))?);
        let authorization = Signature([0; 64]);
        let context = ClearContext::Issue(IssueContext { series, issue_number: number, amount, authorization });
        let outputs = layout.places.iter().map(|place| layout.coins[*place]).collect();
        let expiry_ms = expiry_ms.min(now_ms() + self.config.order_lifetime_ms);
        let chain = *self.chain();
        let envelope =
            self.seal(layout, bank, context, expiry_ms, |part| central.authority.authorize(&chain, part)).await?;
        Ok(Ready { envelope, inputs: Vec::new(), outputs, expected: Vec::new(), trace })
    }

    /// What an issue under a contract is bound to: the policy in force at the next height (K-4). Zero for plain money.
    fn terms_in_force(&self, number: ContractNumber) -> Result<Terms, Setback> {
        if number == ContractNumber(0) {
            return Ok(Terms::ZERO);
        }
        let ledger = self.ports.ledger();
        let in_force = ledger.contracts.get(number).and_then(|contract| contract.in_force(ledger.height.next()));
        let (_, policy) = in_force.ok_or_else(|| Setback::refused("no version of the contract is in force"))?;
        Ok(contract::terms(self.chain(), number, &policy.policy))
    }
}
