//! The payee's side: a fresh key for every payment, and the desk's signature under what it is going to receive (E-6).
//!
//! - What is promised is on disk before it is said: an output that is ordered is recognised after a restart too.
//! - The randomness of an accepted coin follows from the order, so the same order gets the same coin.

use super::desk::Inner;
use super::invoices::InvoiceEntry;
use super::rows::{ExpectedRow, Table};
use super::sealing::PlannedOutput;
use crate::clock::now_ms;
use crate::link::{AcceptedCoin, Caller, Invoice, LinkRefusal};
use crate::wallet_keys::owner_key;
use ledger_types::keys::{PublicKey, Signature};
use ledger_types::order::{AcceptedOutput, AcceptedOutputs, Order, issue_order_hash};
use ledger_types::{Amount, ContractNumber, List, Note, OrderHash, SeriesNumber, Terms};

/// A key for a recovery is kept for so long after the central bank last asked for it; an attempt to recover asks again.
const OWNER_KEPT_MS: u64 = 24 * 60 * 60 * 1000;
/// Recoveries are rare and made by officers.
const OWNERS_MAX: usize = 8192;

/// What the desk answers when it accepts.
#[derive(Clone, Debug)]
pub(crate) struct Acceptance {
    pub coins: Vec<AcceptedCoin>,
    pub expiry_ms: u64,
    pub signature: Signature,
}

/// An order as it comes over a link or from the own desk.
pub(crate) struct OrderToAccept {
    pub order: Order,
    pub signatures: Vec<Signature>,
    /// Of each input, in the order of the inputs.
    pub input_owners: Vec<PublicKey>,
    pub series: SeriesNumber,
    pub invoice: [u8; 32],
}

fn refuse(code: &str, detail: impl Into<String>) -> LinkRefusal {
    LinkRefusal::new(code, detail)
}

impl Inner {
    pub async fn invoice(
        &self,
        caller: Caller,
        wallet: &str,
        amount: u64,
        nonce: &[u8; 16],
    ) -> Result<Invoice, LinkRefusal> {
        if amount == 0 {
            return Err(refuse("amount_is_zero", "a payment is worth something"));
        }
        let seed = self.shared().book.wallets.get(wallet).map(|wallet| wallet.seed.clone());
        // Not by its name, which is the caller's own and as long as it likes.
        let seed = seed.ok_or_else(|| refuse("wallet_unknown", "no such wallet at this bank"))?;
        let who = match caller {
            Caller::Participant(number) => number.0.to_le_bytes(),
            Caller::Registration => return Err(refuse("not_served", "registration pays nobody")),
        };
        let parts: [&[u8]; 4] = [wallet.as_bytes(), &who, nonce, &amount.to_le_bytes()];
        let key_index = self.key_index("invoice key", &parts);
        let owner = owner_key(&seed, key_index).public_key();
        let id = self.at_rest.secret("invoice", &parts);
        let entry = InvoiceEntry { wallet: wallet.to_owned(), key_index, owner, amount };
        self.invoices.insert(caller, id, entry);
        if self.is_central_bank(caller) {
            // Recovered coins come without an acceptance: the key alone says whose they are.
            let now_ms = now_ms();
            if self.shared().owners.len() >= OWNERS_MAX && !self.shared().owners.contains_key(&owner) {
                return Err(refuse("invoices_full", "as many keys for recoveries are out as this desk keeps"));
            }
            let row = ExpectedRow { wallet: wallet.to_owned(), key_index, expiry_ms: now_ms + OWNER_KEPT_MS };
            let kept = self.change_durably(|shared, unit| {
                let old: Vec<PublicKey> =
                    shared.owners.iter().filter(|(_, row)| row.expiry_ms < now_ms).map(|(owner, _)| *owner).collect();
                for owner in old {
                    shared.owners.remove(&owner);
                    unit.delete(Table::Owners, &owner.0);
                }
                unit.put(Table::Owners, &owner.0, &row);
                shared.owners.insert(owner, row);
            });
            kept.await.map_err(|stopped| refuse("stopping", stopped.to_string()))?;
        }
        Ok(Invoice { id, owner: owner.0 })
    }

    fn is_central_bank(&self, caller: Caller) -> bool {
        let central_bank = self.ports.ledger().directory.central_bank().number;
        caller == Caller::Participant(central_bank)
    }

    /// Checks an order, and promises to take its payment.
    pub async fn accept(&self, caller: Caller, offered: OrderToAccept) -> Result<Acceptance, LinkRefusal> {
        let OrderToAccept { order, signatures, input_owners, series, invoice } = offered;
        let now_ms = now_ms();
        let entry = self.invoices.get(caller, &invoice);
        let entry = entry.ok_or_else(|| refuse("invoice_unknown", "ask for an invoice first, or again"))?;
        let payee = order.payee.as_ref().ok_or_else(|| refuse("no_payee", "the order pays nobody"))?;
        if payee.bank != self.me || payee.owner != entry.owner {
            return Err(refuse("other_payee", "the order does not pay the invoice's key at this bank"));
        }
        if payee.amount.0 != entry.amount {
            return Err(refuse("other_amount", "the order's amount is not the invoice's"));
        }
        if order.currency != self.rules.genesis.currency {
            return Err(refuse("other_currency", "the chain has one currency"));
        }
        if order.inputs.is_empty()
            || !order.inputs.is_sorted_by(|a, b| a < b)
            || input_owners.len() != order.inputs.len()
        {
            return Err(refuse("inputs_malformed", "one to eight inputs, strictly ascending, each with its owner"));
        }
        if !order.change_owners.is_sorted_by(|a, b| a < b) {
            return Err(refuse("change_malformed", "the change keys are strictly ascending"));
        }
        if series.0 != 0 && !self.rules.genesis.series.iter().any(|line| line.number == series) {
            return Err(refuse("series_unknown", "no such series"));
        }
        // E-4: the ledger takes nothing that expires later.
        if order.expiry_ms <= now_ms || order.expiry_ms - now_ms > self.rules.genesis.expiry_window_ms {
            return Err(refuse("expiry_unfit", "the order has expired, or lives longer than the expiry window"));
        }
        let hash = order.hash(self.chain());
        if self.config.check_order_signatures && !owners_signed(&hash, input_owners, &signatures) {
            return Err(refuse("order_not_signed", "the order is not signed by every owner of an input"));
        }
        if !self.invoices.open_acceptance(caller, hash, order.expiry_ms, now_ms) {
            return Err(refuse(
                "acceptances_full",
                "this bank has as many orders open as this desk accepts from one caller",
            ));
        }
        let rho = self.at_rest.secret("accepted rho", &[&hash.0, &invoice]);
        let (amount, owner, terms) = (entry.amount, entry.owner, Terms::ZERO);
        let planned = [PlannedOutput { amount, bank: self.me, owner, rho, terms }];
        let row = ExpectedRow { wallet: entry.wallet, key_index: entry.key_index, expiry_ms: order.expiry_ms };
        self.promise_to_take(hash, series, &planned, vec![row], order.expiry_ms).await
    }

    /// An issue into the vault, by the central bank: plain, or under a contract.
    pub async fn accept_issue(
        &self,
        caller: Caller,
        series: SeriesNumber,
        issue_number: u64,
        amounts: &[u64],
        (contract, terms): (ContractNumber, Terms),
    ) -> Result<Acceptance, LinkRefusal> {
        if !self.is_central_bank(caller) {
            return Err(refuse("not_the_central_bank", "only the central bank issues"));
        }
        let are_terms = match contract {
            ContractNumber(0) => terms == Terms::ZERO,
            contract => self.ports.ledger().contracts.have_terms(self.chain(), contract, &terms),
        };
        if !are_terms {
            return Err(refuse("terms_unknown", "no version of that contract has these terms"));
        }
        let total = amounts.iter().try_fold(0u64, |sum, amount| sum.checked_add(*amount));
        let total = total.filter(|_| (1..=8).contains(&amounts.len()) && !amounts.contains(&0));
        let total = total.ok_or_else(|| refuse("amounts_malformed", "one to eight amounts, none of them zero"))?;
        let vault = self.shared().book.wallets.get(super::book::VAULT).map(|vault| vault.seed.clone());
        let vault = vault.ok_or_else(|| refuse("no_vault", "this bank has no vault"))?;
        let expiry_ms = now_ms() + self.rules.genesis.expiry_window_ms / 2;
        let (mut planned, mut expected) = (Vec::new(), Vec::new());
        for (place, amount) in (0u64..).zip(amounts) {
            let numbers: [&[u8]; 4] =
                [&series.0.to_le_bytes(), &issue_number.to_le_bytes(), &place.to_le_bytes(), &amount.to_le_bytes()];
            let key_index = self.key_index("issue key", &numbers);
            let owner = owner_key(&vault, key_index).public_key();
            let rho = self.at_rest.secret("issue rho", &numbers);
            planned.push(PlannedOutput { amount: *amount, bank: self.me, owner, rho, terms });
            expected.push(ExpectedRow { wallet: super::book::VAULT.to_owned(), key_index, expiry_ms });
        }
        let order = issue_order_hash(self.chain(), series, issue_number, Amount(total), self.me);
        self.promise_to_take(order, series, &planned, expected, expiry_ms).await
    }

    async fn promise_to_take(
        &self,
        order: OrderHash,
        series: SeriesNumber,
        planned: &[PlannedOutput],
        expected: Vec<ExpectedRow>,
        expiry_ms: u64,
    ) -> Result<Acceptance, LinkRefusal> {
        let (chain, currency) = (self.chain(), self.rules.genesis.currency);
        let mut outputs: Vec<AcceptedOutput> = Vec::with_capacity(planned.len());
        let mut rows: Vec<(Note, ExpectedRow)> = Vec::with_capacity(planned.len());
        for (output, row) in planned.iter().zip(expected) {
            let opening = output.opening(currency, series);
            let note = opening.note(chain);
            outputs.push(AcceptedOutput { note, custody: opening.custody(chain, self.me) });
            rows.push((note, row));
        }
        outputs.sort_by_key(|output| output.note);
        let outputs = List::new(outputs).map_err(|error| refuse("too_many_outputs", error.to_string()))?;
        let accepted = AcceptedOutputs { order, outputs, expiry_ms };
        let signature = self.desk_key.sign(&accepted.message(chain));
        let kept = self.change_durably(|shared, unit| {
            for (note, row) in rows {
                unit.put(Table::Expected, &note.0, &row);
                shared.expect(note, row);
            }
        });
        kept.await.map_err(|stopped| refuse("stopping", stopped.to_string()))?;
        let coins = planned.iter().map(|output| AcceptedCoin { owner: output.owner.0, rho: output.rho }).collect();
        Ok(Acceptance { coins, expiry_ms, signature })
    }
}

/// One signature a distinct owner, in ascending order of the keys (E-6).
fn owners_signed(order: &OrderHash, mut owners: Vec<PublicKey>, signatures: &[Signature]) -> bool {
    owners.sort_unstable();
    owners.dedup();
    owners.len() == signatures.len()
        && owners.iter().zip(signatures).all(|(owner, signature)| owner.verify(&order.0, signature))
}
