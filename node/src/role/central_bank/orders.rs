//! What is carried in the clear: the officers' orders about contracts and feeds, and what publishers signed (K-7, K-8, K-10, K-11).
//!
//! What stays true here: an order is signed by officers at this machine, or not at all; a publication by its publishers, elsewhere.
//! The central bank alone carries them (PROTOCOL 12.1). None has coins: the ledger's verdict on the envelope is the job's end.

use crate::clock::now_ms;
use crate::role::commercial_bank::desk::Inner;
use crate::role::commercial_bank::run::{Ready, Setback};
use ledger_types::contract::ContractOrder;
use ledger_types::envelope::*;
use ledger_types::feed::FeedDefinition;
use ledger_types::{ContractNumber, Decode, EnvelopeHint, KeyCommitment, List, Salt};
use rand::RngCore;

impl Inner {
    pub(crate) fn prepare_contract_order(&self, order: &[u8]) -> Result<Ready, Setback> {
        let order = ContractOrder::from_bytes(order).map_err(|_| Setback::refused("the order does not decode"))?;
        let authorizations = List::empty();
        let core = self
            .in_the_clear(ClearContext::ContractOrder(ContractOrderContext { order: order.clone(), authorizations }));
        let authorizations = self.by_officers(&core)?;
        let context = ClearContext::ContractOrder(ContractOrderContext { order, authorizations });
        Ok(ready(Core { context, ..core }))
    }

    pub(crate) fn prepare_feed_order(&self, definition: &[u8]) -> Result<Ready, Setback> {
        let definition = FeedDefinition::from_bytes(definition);
        let definition = definition.map_err(|_| Setback::refused("the definition does not decode"))?;
        let authorizations = List::empty();
        let core = self
            .in_the_clear(ClearContext::FeedOrder(FeedOrderContext { definition: definition.clone(), authorizations }));
        let authorizations = self.by_officers(&core)?;
        let context = ClearContext::FeedOrder(FeedOrderContext { definition, authorizations });
        Ok(ready(Core { context, ..core }))
    }

    pub(crate) fn prepare_publication(&self, publication: &[u8]) -> Result<Ready, Setback> {
        if self.central.is_none() {
            return Err(Setback::refused("only the central bank carries publications"));
        }
        let context = PublicationContext::from_bytes(publication);
        let context = context.map_err(|_| Setback::refused("the publication does not decode"))?;
        Ok(ready(self.in_the_clear(ClearContext::Publication(context))))
    }

    fn in_the_clear(&self, context: ClearContext) -> Core {
        let mut salt = [0; 32];
        rand::rngs::OsRng.fill_bytes(&mut salt);
        Core {
            submitter: self.me,
            inputs: Inputs::Spends(List::empty()),
            outputs: List::empty(),
            contract: ContractNumber(0),
            expiry_ms: now_ms() + self.config.order_lifetime_ms,
            bucket: Bucket::None,
            hint: EnvelopeHint([0; 16]),
            salt: Salt(salt),
            context,
        }
    }

    fn by_officers(&self, core: &Core) -> Result<OfficerSignatures, Setback> {
        let central = self.central.as_ref().ok_or_else(|| Setback::refused("only the central bank orders this"))?;
        if !central.officers.are_enough(&self.rules) {
            return Err(Setback::refused("too few officers' keys are at hand"));
        }
        Ok(central.officers.sign(&self.rules, &core.authorization_message(self.chain())))
    }
}

fn ready(core: Core) -> Ready {
    let header = EnvelopeHeader { core, commitment: KeyCommitment::ZERO };
    let envelope = Envelope { header, ciphertext: Vec::new() };
    Ready { envelope, inputs: Vec::new(), outputs: Vec::new(), expected: Vec::new(), trace: Vec::new() }
}
