//! A bank that cheats: it has every key of a participant, and a program of its own in the place of its desk.
//!
//! Its envelopes are as good as any bank's in all that a validator, a payee's bank or registration can check, but for
//! the one rule that a test has it break: real orders and acceptances, an epoch that its members hold, keys that are
//! released. So what refuses them is the rule, and not some other flaw of the forgery.

use crate::cluster::Cluster;
use futures::future::BoxFuture;
use ledger_seal::{BankSecret, Draft, EpochAck, Member, OfferTerms, SendingEpoch, make_offer, seal};
use ledger_types::coin::{Opening, coin_id, coin_link, issue_origin, origin};
use ledger_types::envelope::{ClearContext, Envelope, Inputs, Output, Spend, TermsFlag};
use ledger_types::keys::{PublicKey, Signature, SigningKey};
use ledger_types::order::{AcceptedOutput, AcceptedOutputs, Order, Payee as OrderPayee, memo_hash};
use ledger_types::sealed::{Sealed, SealedAcceptance, SealedInput, SealedOrder, SealedOutput};
use ledger_types::{
    Amount, Chain, CoinId, ContractNumber, Decode, Encode, EnvelopeId, List, Octets, Origin, ParticipantNumber, Terms,
};
use ledger_verify::Trust;
use node::clock::now_ms;
use node::config::{Config, Network};
use node::link::{Caller, LinkRefusal, LinkService, Links, Release, Request, Response, SuccessState};
use node::wallet_keys::owner_key;
use node_api::{Client, ledger};
use rand::RngCore;
use rand::rngs::OsRng;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

const ORDER_LIVES_MS: u64 = 40_000;
const CALL_DEADLINE: Duration = Duration::from_secs(10);

pub struct Cheat {
    number: ParticipantNumber,
    trust: Trust,
    /// Of its own validator, which takes what its bank submits.
    client: Client,
    desk: SigningKey,
    offer: SigningKey,
    vault: [u8; 32],
    links: Arc<Links>,
    released: watch::Sender<Vec<Release>>,
    epochs: AtomicU64,
}

/// A coin, as its holder knows it.
#[derive(Clone)]
pub struct Held {
    pub id: CoinId,
    opening: Opening,
    origin: Origin,
    output_index: u8,
    owner: SigningKey,
}

/// Whom it pays.
pub enum Payee<'a> {
    /// An honest bank's, which is asked for an invoice and an acceptance over the link.
    Customer { bank: u16, wallet: &'a str },
    /// Signs whatever it is given.
    Accomplice(&'a Cheat),
}

/// A sealed payment that nobody else has seen yet.
pub struct Made {
    pub id: EnvelopeId,
    envelope: Envelope,
    root: [u8; 32],
    /// The only output. Its owner's key is known if it went to an accomplice.
    pub coin: CoinId,
    pub held: Option<Held>,
}

/// What registration and other banks hear.
struct Answers {
    released: watch::Receiver<Vec<Release>>,
}

impl LinkService for Answers {
    fn answer(&self, caller: Caller, request: Request) -> BoxFuture<'static, Response> {
        let mut released = self.released.clone();
        Box::pin(async move {
            match (caller, request) {
                (Caller::Registration, Request::TakeReleases { after, max, wait_ms }) => {
                    let is_new = |release: &&Release| release.cursor > after;
                    let wait = Duration::from_millis(wait_ms.into());
                    let more = released.wait_for(|released| released.iter().any(|release| is_new(&release)));
                    let _ = tokio::time::timeout(wait, more).await;
                    let new = released.borrow().iter().filter(is_new).take(max as usize).cloned().collect();
                    Response::Releases(new)
                }
                (Caller::Registration, Request::AckReleases { .. }) => Response::Done,
                _ => Response::Refused(LinkRefusal::new("not_served", "a bank that cheats serves itself")),
            }
        })
    }
}

impl Cheat {
    /// In the place of this bank's desk, at the address that [`Cluster::answer_for_the_desk_of`] gave.
    pub async fn in_place_of(cluster: &Cluster, name: &str, listen: &str) -> Self {
        let keys = cluster.keys(name);
        let config = Config::read(&cluster.folder(name).join("node.toml")).unwrap();
        let peers = config.link.expect("a bank has links").peers;
        let network = Network { listen: listen.to_owned(), peers };
        let released = watch::Sender::new(Vec::new());
        let service = Arc::new(Answers { released: released.subscribe() });
        let directory = &cluster.trust().genesis().directory;
        let links = Links::start(&network, &keys.signing_key("link").unwrap(), directory, service).await.unwrap();
        Cheat {
            number: ParticipantNumber(config.participant),
            trust: cluster.trust().clone(),
            client: cluster.client(name),
            desk: keys.signing_key("desk").unwrap(),
            offer: keys.signing_key("offer").unwrap(),
            vault: *keys.secret("vault").unwrap(),
            links,
            released,
            epochs: AtomicU64::new(0),
        }
    }

    fn chain(&self) -> &Chain {
        self.trust.chain()
    }

    /// A pre-issued coin of its vault.
    pub fn coin(&self, index: u32) -> Held {
        let (genesis, chain) = (self.trust.genesis(), self.chain());
        let at = genesis.preissues.iter().position(|line| line.bank == self.number).expect("the vault has coins");
        let line = &genesis.preissues[at];
        let before: u64 = genesis.preissues[..at].iter().map(|line| u64::from(line.count)).sum();
        let opening = line.opening(chain, genesis.currency, index);
        let origin = issue_origin(chain, line.series, before + u64::from(index));
        let id = opening.coin_id(chain, &origin, 0, self.number);
        Held { id, opening, origin, output_index: 0, owner: owner_key(&self.vault, 0) }
    }

    /// Spends a coin into one of `amount` for the payee, whatever the spent one is worth.
    pub async fn pay(&self, spent: &Held, payee: &Payee<'_>, amount: u64) -> Made {
        let (genesis, chain) = (self.trust.genesis(), self.chain());
        let expiry_ms = now_ms() + ORDER_LIVES_MS;
        let bank = match payee {
            Payee::Customer { bank, .. } => ParticipantNumber(*bank),
            Payee::Accomplice(accomplice) => accomplice.number,
        };
        // Where to pay to.
        let accomplices_key = SigningKey::from_seed(&random());
        let (owner, invoice) = match payee {
            Payee::Accomplice(_) => (accomplices_key.public_key(), [0; 32]),
            Payee::Customer { wallet, .. } => {
                let nonce = *random().first_chunk().unwrap();
                let request = Request::Invoice { wallet: (*wallet).to_owned(), amount, nonce };
                match self.links.call(bank, request, CALL_DEADLINE).await.unwrap() {
                    Response::Invoice(invoice) => (PublicKey(invoice.owner), invoice.id),
                    other => panic!("no invoice: {other:?}"),
                }
            }
        };
        let order = Order {
            inputs: List::new(vec![spent.id]).unwrap(),
            payee: Some(OrderPayee { bank, owner, amount: Amount(amount) }),
            currency: genesis.currency,
            change_owners: List::empty(),
            nonce: OsRng.next_u64(),
            expiry_ms,
            memo_hash: memo_hash(chain, b""),
        };
        let hash = order.hash(chain);
        let signature = spent.owner.sign(&hash.0);
        // What the payee's bank adds, and signs.
        let series = spent.opening.series;
        let output = |rho| Opening {
            amount: Amount(amount),
            currency: genesis.currency,
            series,
            terms: Terms::ZERO,
            owner,
            rho,
        };
        let (opening, acceptance) = match payee {
            Payee::Accomplice(accomplice) => {
                let opening = output(random());
                let accepted = AcceptedOutput { note: opening.note(chain), custody: opening.custody(chain, bank) };
                let outputs = AcceptedOutputs { order: hash, outputs: List::new(vec![accepted]).unwrap(), expiry_ms };
                let signature = accomplice.desk.sign(&outputs.message(chain));
                (opening, SealedAcceptance { expiry_ms, signature })
            }
            Payee::Customer { .. } => {
                let request = Request::Accept {
                    order: order.to_bytes(),
                    signatures: vec![signature.0.to_vec()],
                    input_owners: vec![spent.opening.owner.0],
                    series: series.0,
                    invoice,
                };
                match self.links.call(bank, request, CALL_DEADLINE).await.unwrap() {
                    Response::Accepted { coins, expiry_ms, signature } => {
                        let signature = Signature::from_bytes(&signature).unwrap();
                        (output(coins[0].rho), SealedAcceptance { expiry_ms, signature })
                    }
                    other => panic!("not accepted: {other:?}"),
                }
            }
        };
        let sealed = Sealed {
            terms: None,
            currency: genesis.currency,
            inputs: List::new(vec![SealedInput {
                amount: spent.opening.amount,
                owner: spent.opening.owner,
                rho: spent.opening.rho,
                origin: spent.origin,
                output_index: spent.output_index,
                series,
                bank: self.number,
            }])
            .unwrap(),
            outputs: List::new(vec![SealedOutput { amount: Amount(amount), owner, rho: opening.rho, bank }]).unwrap(),
            order: Some(SealedOrder {
                payee_output: Some(0),
                nonce: order.nonce,
                expiry_ms,
                signatures: List::new(vec![signature]).unwrap(),
            }),
            acceptance: Some(acceptance),
            memo: Octets::new(Vec::new()).unwrap(),
        };
        let (note, custody) = (opening.note(chain), opening.custody(chain, bank));
        let spend = Spend {
            link: coin_link(chain, &spent.origin, spent.output_index, &spent.opening.note(chain)),
            kappa: spent.opening.kappa(chain),
        };
        let draft = Draft {
            inputs: Inputs::Spends(List::new(vec![spend]).unwrap()),
            outputs: List::new(vec![Output { note, custody, terms_flag: TermsFlag::Plain }]).unwrap(),
            contract: ContractNumber(0),
            expiry_ms,
            context: ClearContext::Transfer,
        };
        let mut epoch = self.epoch_with(bank, payee).await;
        let reservation = epoch.reserve().expect("nothing is reserved yet");
        epoch.confirm(reservation);
        let slot = epoch.next_slot(now_ms()).unwrap();
        let secret = BankSecret::from_bytes(random());
        let (envelope, root) = seal(chain, slot, draft, &sealed, &secret, &mut OsRng).unwrap();
        let origin = origin(chain, &[spent.id]);
        let coin = coin_id(chain, &coin_link(chain, &origin, 0, &note), &custody);
        let held = Held { id: coin, opening, origin, output_index: 0, owner: accomplices_key };
        let held = matches!(payee, Payee::Accomplice(_)).then_some(held);
        Made { id: envelope.id(chain), envelope, root: *root.secret(), coin, held }
    }

    /// A new epoch for every payment: offered, and acknowledged by the other member (E-2).
    async fn epoch_with(&self, bank: ParticipantNumber, payee: &Payee<'_>) -> SendingEpoch {
        let (genesis, chain) = (self.trust.genesis(), self.chain());
        let mut members = [self.number, bank];
        members.sort_unstable();
        let lines = members.map(|number| Member::from(genesis.directory.get(number).unwrap()));
        let terms = OfferTerms {
            sender: self.number,
            number: 1 + self.epochs.fetch_add(1, Ordering::Relaxed),
            not_after_ms: now_ms() + 600_000,
            envelopes_max: 1_000,
        };
        let mut offered = make_offer(chain, genesis.kem_suite, &terms, &lines, &self.offer, &mut OsRng).unwrap();
        let signature = match payee {
            Payee::Accomplice(accomplice) => {
                accomplice.offer.sign(&offered.signed_offer().offer.ack_message(chain, bank))
            }
            Payee::Customer { .. } => {
                let request = Request::OfferEpoch { offer: offered.signed_offer().to_bytes() };
                match self.links.call(bank, request, CALL_DEADLINE).await.unwrap() {
                    Response::EpochAcked { signature } => Signature::from_bytes(&signature).unwrap(),
                    other => panic!("not acknowledged: {other:?}"),
                }
            }
        };
        let ack = EpochAck { epoch: offered.id(), member: bank, signature };
        offered.acknowledge(chain, &ack, &genesis.directory.get(bank).unwrap().keys.offer).unwrap();
        offered.into_sending().expect("the only other member has acknowledged")
    }

    /// Through its own validator; gives what the ledger says of it.
    pub async fn submit(&self, made: &Made) -> ledger::EnvelopeStatus {
        self.client.submit_envelopes(vec![hex::encode(made.envelope.to_bytes())]).await.unwrap();
        let mut status = None;
        crate::cluster::wait_until(30, "a block holds the envelope", async || {
            status = self.client.envelope(&made.id.to_string()).await.ok();
            status.is_some()
        })
        .await;
        status.expect("the wait ends with a verdict")
    }

    /// Registration gets the key when it asks next.
    pub fn release(&self, made: &Made) {
        self.released.send_modify(|released| {
            let cursor = released.len() as u64 + 1;
            released.push(Release { cursor, envelope: made.id.0, root: made.root });
        });
    }

    /// What the payee's bank says within this time when it is asked for success.
    pub async fn success_at(&self, bank: u16, made: &Made, wait_ms: u32) -> SuccessState {
        let request = Request::AwaitSuccess { envelope: made.id.0, wait_ms };
        let deadline = CALL_DEADLINE + Duration::from_millis(wait_ms.into());
        match self.links.call(ParticipantNumber(bank), request, deadline).await.unwrap() {
            Response::Success(state) => state,
            other => panic!("no state: {other:?}"),
        }
    }
}

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    OsRng.fill_bytes(&mut bytes);
    bytes
}
