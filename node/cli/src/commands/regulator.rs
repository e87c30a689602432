//! What the central bank's officers do (R-4, R-5): a request that is public before anything follows from it, and then its one use.
//!
//! ```text
//! request COIN --basis CODE        officers sign; the leaf is in the log; REQUEST (names the coin: mode 0600)
//! export REQUEST                   registration's operator: the envelope that made the coin, its root sealed to the officers
//! share SEALED --officer KEYFILE   each officer: checks the leaf from the pinned genesis, then answers, once a leaf
//! disclose SEALED --share F …      k answers open this one envelope; the coin's opening
//! freeze, unfreeze REQUEST         registration checks the leaf; its next batch carries the record
//! ```
//! What stays true here: a share is computed only behind [`verified`], and only after its use was made durable.

use super::ledger::{follow_kept, listed_hand_overs};
use super::{order, table};
use crate::Global;
use crate::amount;
use crate::cluster::{Cluster, client, now_ms, trust};
use crate::key_file::{Key, key, read_passphrase};
use crate::outcome::{Exit, Failure, Outcome};
use ledger_seal::{
    CannotCombine, DisclosureKey, DisclosureKeyDocument, EnvelopeRoot, OfficersAnswer, OfficersShare, SealedRoot,
    open_with_root,
};
use ledger_types::coin::{Opening, coin_id, coin_link, issue_origin, origin};
use ledger_types::envelope::*;
use ledger_types::keys::SigningKey;
use ledger_types::request::*;
use ledger_types::{CoinId, Decode, Encode, EnvelopeId, List, Origin, ParticipantNumber};
use ledger_verify::{LoggedRequest, REQUEST_PROOF_BYTES_MAX, RequestProof, Trust, Verdict, verify_request};
use node_api::log::HAND_OVERS_BYTES_MAX;
use node_api::regulator::*;
use node_api::{Client, SCHEMA_VERSION, ledger as doc};
use rand::RngCore;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Until a leaf is in the log, and a checkpoint over it is signed; until registration has answered.
const PATIENCE: Duration = Duration::from_secs(90);
const ASK_EVERY: Duration = Duration::from_millis(250);
const FILE_BYTES_MAX: u64 = (4 << 20) + HAND_OVERS_BYTES_MAX as u64;

#[derive(clap::Subcommand)]
pub enum Regulator {
    /// Say in public that a coin is to be opened, frozen or let go; waits until the log shows it.
    Request {
        coin: String,
        /// The legal basis, public: 1 to 8 of A-Z, 0-9 and -.
        #[arg(long)]
        basis: String,
        #[arg(long, default_value = "disclose")]
        class: String,
        /// Where the request is written; it names the coin.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        #[command(flatten)]
        officers: Officers,
        #[arg(long, value_name = "FILE")]
        genesis: Option<PathBuf>,
    },
    /// Take from registration what the officers need to answer a request (registration's operator).
    Export {
        request: PathBuf,
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        #[command(flatten)]
        registration: Registration,
    },
    /// One officer's answer to a request, after checking it from the pinned genesis. Once a request.
    Share {
        sealed: PathBuf,
        /// The file of the officer's share; `FILE.answered` beside it remembers what it was used for.
        #[arg(long, value_name = "KEYFILE")]
        officer: PathBuf,
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        #[command(flatten)]
        pinned: Pinned,
    },
    /// Open the coin with enough officers' answers.
    Disclose {
        sealed: PathBuf,
        #[arg(long = "share", value_name = "FILE")]
        shares: Vec<PathBuf>,
        /// Where the opening is written; it names the owner.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        #[command(flatten)]
        pinned: Pinned,
    },
    /// Freeze the coin of a request of that class (registration's operator).
    Freeze {
        request: PathBuf,
        #[command(flatten)]
        registration: Registration,
    },
    /// Let the coin of a request of that class go (registration's operator).
    Unfreeze {
        request: PathBuf,
        #[command(flatten)]
        registration: Registration,
    },
    /// Tell registration what a coin was worth that a disputed payment had spent (its operator).
    Count {
        /// As `disclose` wrote it.
        opening: PathBuf,
        #[command(flatten)]
        registration: Registration,
    },
    /// How often officers asked for what, and on which basis.
    Requests,
}

#[derive(clap::Args)]
pub struct Officers {
    /// The officers' signing keys; without it, those of a local cluster.
    #[arg(long = "officer", value_name = "KEYFILE")]
    keys: Vec<PathBuf>,
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

#[derive(clap::Args)]
pub struct Registration {
    /// Registration's state folder; without it, that of a local cluster.
    #[arg(long = "registration", value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

#[derive(clap::Args)]
pub struct Pinned {
    /// The genesis document that you pin; else the local cluster's.
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
    /// The officers' key document; else the one beside the genesis.
    #[arg(long, value_name = "FILE")]
    officers_key: Option<PathBuf>,
}

impl Regulator {
    pub async fn run(self, global: &Global) -> Result<Outcome, Failure> {
        match self {
            Regulator::Request { coin, basis, class, out, officers, genesis } => {
                request(global, &coin, &basis, &class, &out, &officers, genesis.as_deref()).await
            }
            Regulator::Export { request, out, registration } => export(global, &request, &out, &registration).await,
            Regulator::Share { sealed, officer, passphrase_file, out, pinned } => {
                share(global, &sealed, &officer, passphrase_file.as_deref(), &out, &pinned)
            }
            Regulator::Disclose { sealed, shares, out, pinned } => disclose(global, &sealed, &shares, &out, &pinned),
            Regulator::Freeze { request, registration } => {
                change(global, RequestClass::Freeze, &request, &registration).await
            }
            Regulator::Unfreeze { request, registration } => {
                change(global, RequestClass::Unfreeze, &request, &registration).await
            }
            Regulator::Count { opening, registration } => {
                let opening: OpeningFile = read(&opening)?;
                hand(global, &registration, &ToRegistration::Opening(opening)).await?;
                Ok(Outcome::new(json!({ "status": "counted" }), "registration knows what the coin was worth"))
            }
            Regulator::Requests => requests(global).await,
        }
    }
}

async fn request(
    global: &Global,
    coin: &str,
    basis: &str,
    class: &str,
    out: &Path,
    officers: &Officers,
    genesis: Option<&Path>,
) -> Result<Outcome, Failure> {
    let trust = trust(global, genesis)?;
    let coin = CoinId::parse(coin).map_err(|error| Failure::usage(error.to_string()))?;
    let class = RequestClass::parse(class).ok_or_else(|| Failure::usage("a class is disclose, freeze or unfreeze"))?;
    let basis = BasisCode::parse(basis).ok_or_else(|| Failure::usage("a basis is 1 to 8 of A-Z, 0-9 and -"))?;
    let keys = officers.keys(global, &trust)?;
    // Before anything is public: what is written later must have a place.
    let file = create_private(out)?;
    let node = client(global, "central_bank")?;
    let outcome = ask(&trust, &node, coin, class, basis, &keys).await;
    let request = match outcome {
        Ok(request) => request,
        Err(failure) => {
            let _ = std::fs::remove_file(out);
            return Err(failure);
        }
    };
    write(file, out, &request)?;
    let text = format!(
        "{} of one coin, basis {basis}, stands at {} in the public log\nrequest    {}",
        class.as_str(),
        request.index,
        out.display()
    );
    Ok(Outcome::new(&request, text))
}

/// Submits the request and waits until the log shows it.
async fn ask(
    trust: &Trust,
    node: &Client,
    coin: CoinId,
    class: RequestClass,
    basis: BasisCode,
    keys: &[(u8, SigningKey)],
) -> Result<RequestFile, Failure> {
    let chain = trust.chain();
    let mut blind = [0; 32];
    rand::rngs::OsRng.fill_bytes(&mut blind);
    let expiry_ms = now_ms() + trust.genesis().expiry_window_ms / 2;
    let commitment = request_commitment(chain, &coin, &blind);
    let request = OfficerRequest { class, basis, epoch: expiry_ms / EPOCH_MS, commitment };
    let context = |authorizations| ClearContext::Request(RequestContext { request, authorizations });
    let mut core = Core { expiry_ms, ..order::core(trust, node, context(List::empty())).await? };
    core.context = context(order::signatures(keys, &core.authorization_message(chain))?);
    let id = order::submit(trust, node, core).await?;

    let deadline = tokio::time::Instant::now() + PATIENCE;
    let index = loop {
        let shown: doc::Disclosures = node.get("/v1/disclosures").await?;
        let commitment = commitment.to_string();
        if let Some(leaf) = shown.newest.iter().find(|leaf| leaf.commitment == commitment) {
            break leaf.index;
        }
        order::is_accepted(node, &id).await?;
        if tokio::time::Instant::now() >= deadline {
            let message = "the request was submitted, and the log does not show it yet; it stays counted";
            return Err(Failure::network("not_logged_yet", message)
                .with_help("a batch of registration brings it in: is confirmation-issuance up?"));
        }
        tokio::time::sleep(ASK_EVERY).await;
    };
    let found: doc::Disclosure = node.get(&format!("/v1/disclosures/{index}")).await?;
    let file = RequestFile {
        schema_version: SCHEMA_VERSION,
        genesis_hash: chain.genesis_hash().to_string(),
        class: class.as_str().into(),
        basis: basis.to_string(),
        epoch: request.epoch,
        coin: coin.to_string(),
        blind: hex::encode(blind),
        index,
        proof: found.proof,
        hand_overs: listed_hand_overs(node).await?,
    };
    verified(trust, &file)?;
    Ok(file)
}

/// The request, if it stands in the log of the pinned chain, is about the coin that its file names, and still serves.
fn verified(trust: &Trust, file: &RequestFile) -> Result<LoggedRequest, Failure> {
    let malformed = |cause: &dyn std::fmt::Display| Failure::unverified("malformed", format!("the request: {cause}"));
    let coin = CoinId::parse(&file.coin).map_err(|error| malformed(&error))?;
    let mut blind = [0; 32];
    hex::decode_to_slice(&file.blind, &mut blind).map_err(|error| malformed(&error))?;
    if file.proof.len() > 2 * REQUEST_PROOF_BYTES_MAX {
        return Err(malformed(&"its proof is too long"));
    }
    let proof = hex::decode(&file.proof).map_err(|error| malformed(&error))?;
    let proof = RequestProof::from_bytes(&proof).map_err(|error| malformed(&error))?;
    let mut trust = trust.clone();
    follow_kept(&mut trust, &file.hand_overs, &proof.state.state_leaf.set_hash)?;
    match verify_request(&trust, &coin, &blind, &proof, now_ms()) {
        Verdict::Verified(logged) => Ok(logged),
        Verdict::Invalid(reason) => Err(Failure::unverified(reason.code(), reason.message())),
        Verdict::NotEnoughPower { have, need } => {
            Err(Failure::unverified("not_enough_power", format!("signers hold {have}, a quorum takes {need}")))
        }
    }
}

impl Officers {
    /// k of them, with their index in the genesis, ascending.
    pub fn keys(&self, global: &Global, trust: &Trust) -> Result<Vec<(u8, SigningKey)>, Failure> {
        let genesis = trust.genesis();
        let threshold = usize::from(genesis.officer_threshold);
        let (files, passphrase) = match (&self.keys[..], &self.passphrase_file) {
            ([], _) => {
                let central = Cluster::find(global)?.any_process("central-bank")?.folder.clone();
                let officers = central.with_file_name("officers");
                let files = (1..=threshold).map(|n| officers.join(format!("officer-{n}.pem"))).collect();
                (files, read_passphrase(&central.join("passphrase"))?)
            }
            (files, passphrase) => (files.to_vec(), passphrase_of(passphrase.as_deref())?),
        };
        let mut keys = Vec::new();
        for path in &files {
            let Key::Signing(key) = key(path, &passphrase)? else {
                return Err(Failure::file(path, "this is no signing key"));
            };
            let index = genesis.officers.iter().position(|officer| *officer == key.public_key());
            let index = index.and_then(|index| u8::try_from(index).ok());
            let index = index.ok_or_else(|| Failure::file(path, "this is no officer's key of the pinned genesis"))?;
            keys.push((index, key));
        }
        keys.sort_by_key(|(index, _)| *index);
        keys.dedup_by_key(|(index, _)| *index);
        if keys.len() < threshold {
            return Err(Failure::usage(format!("{threshold} officers must sign, {} do", keys.len())));
        }
        Ok(keys)
    }
}

fn passphrase_of(file: Option<&Path>) -> Result<crate::key_file::Passphrase, Failure> {
    match (file, std::env::var("ASSAY_PASSPHRASE")) {
        (Some(file), _) => read_passphrase(file),
        (None, Ok(text)) => Ok(text.into_bytes().into()),
        (None, Err(_)) => Err(Failure::usage("--passphrase-file, or the variable ASSAY_PASSPHRASE")),
    }
}

/// Puts a document into registration's folder and takes the answer out.
async fn hand(
    global: &Global,
    registration: &Registration,
    document: &ToRegistration,
) -> Result<FromRegistration, Failure> {
    let state = match &registration.folder {
        Some(folder) => folder.clone(),
        None => Cluster::find(global)?.any_process("registration")?.folder.join("state"),
    };
    let folder = state.join("regulator");
    let name = format!("{:032x}", rand::random::<u128>());
    let building = folder.join("in").join(format!("{name}.tmp"));
    write(create_private(&building)?, &building, document)?;
    let handed = folder.join("in").join(format!("{name}.json"));
    std::fs::rename(&building, &handed).map_err(|error| Failure::file(&handed, error))?;
    let answer = folder.join("out").join(format!("{name}.json"));
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !answer.exists() {
        if tokio::time::Instant::now() >= deadline {
            let _ = std::fs::remove_file(&handed);
            return Err(Failure::network("no_answer", "registration has not answered; is it up?"));
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
    let answered: FromRegistration = read(&answer)?;
    std::fs::remove_file(&answer).map_err(|error| Failure::file(&answer, error))?;
    match answered {
        FromRegistration::Refused { reason } => Err(Failure::new(Exit::Refused, "registration_refuses", reason)),
        other => Ok(other),
    }
}

/// Registration has followed the hand-overs by itself.
fn to_registration(request: RequestFile) -> ToRegistration {
    ToRegistration::Request(RequestFile { hand_overs: Vec::new(), ..request })
}

async fn export(global: &Global, request: &Path, out: &Path, registration: &Registration) -> Result<Outcome, Failure> {
    let request: RequestFile = read(request)?;
    let answer = hand(global, registration, &to_registration(request.clone())).await?;
    let FromRegistration::Sealed { envelope_id, sealed_root } = answer else {
        return Err(Failure::usage("this request is not of class disclose"));
    };
    let node = client(global, "central_bank")?;
    let content: doc::EnvelopeContent = node.get(&format!("/v1/envelopes/{envelope_id}/content")).await?;
    let sealed = SealedFile { schema_version: SCHEMA_VERSION, request, envelope: content.envelope, sealed_root };
    write(create_private(out)?, out, &sealed)?;
    let text = format!("for the officers: {}", out.display());
    Ok(Outcome::new(json!({ "envelope_id": envelope_id, "sealed": out }), text))
}

async fn change(
    global: &Global,
    class: RequestClass,
    request: &Path,
    registration: &Registration,
) -> Result<Outcome, Failure> {
    let request: RequestFile = read(request)?;
    if request.class != class.as_str() {
        return Err(Failure::usage(format!("this is a request to {}, not to {}", request.class, class.as_str())));
    }
    let coin = request.coin.clone();
    hand(global, registration, &to_registration(request)).await?;
    let text = format!("{} of {coin} goes into the next batch; assay coin show {coin}", class.as_str());
    Ok(Outcome::new(json!({ "coin": coin, "class": class.as_str() }), text))
}

/// A request with the envelope that made its coin, all checked.
struct Asked {
    logged: LoggedRequest,
    key: DisclosureKey,
    envelope: Envelope,
    id: EnvelopeId,
    sealed_root: SealedRoot,
    origin: Origin,
    output_index: u8,
}

impl Asked {
    fn check(trust: &Trust, file: &SealedFile, key: DisclosureKey) -> Result<Asked, Failure> {
        let logged = verified(trust, &file.request)?;
        if logged.request().class != RequestClass::Disclose {
            return Err(Failure::unverified("other_class", "the logged request is not to disclose"));
        }
        let malformed = |what: &str| Failure::unverified("malformed", format!("{what} does not decode"));
        let envelope = hex::decode(&file.envelope).ok().and_then(|bytes| Envelope::from_bytes(&bytes).ok());
        let envelope = envelope.ok_or_else(|| malformed("the envelope"))?;
        let sealed_root = hex::decode(&file.sealed_root).ok().and_then(|bytes| SealedRoot::from_bytes(&bytes).ok());
        let sealed_root = sealed_root.ok_or_else(|| malformed("the sealed root"))?;
        let (chain, core) = (trust.chain(), &envelope.header.core);
        let origin = match &core.context {
            ClearContext::Issue(issue) => issue_origin(chain, issue.series, issue.issue_number),
            _ => origin(chain, &core.input_ids(chain)),
        };
        let makes = |index: u8, output: &Output| {
            coin_id(chain, &coin_link(chain, &origin, index, &output.note), &output.custody) == logged.coin()
        };
        let output_index = (0u8..).zip(&core.outputs).find(|(index, output)| makes(*index, output));
        let (output_index, _) = output_index
            .ok_or_else(|| Failure::unverified("other_coin", "this envelope did not make the coin of the request"))?;
        let id = envelope.id(chain);
        if !sealed_root.is_of(chain, &id) {
            return Err(Failure::unverified("other_envelope", "the root was sealed for another envelope"));
        }
        Ok(Asked { logged, key, envelope, id, sealed_root, origin, output_index })
    }
}

impl Pinned {
    fn read(&self, global: &Global) -> Result<(Trust, DisclosureKey), Failure> {
        let trust = trust(global, self.genesis.as_deref())?;
        let beside = |genesis: &Path| genesis.with_file_name(DISCLOSURE_KEY_FILE);
        let path = match (&self.officers_key, &self.genesis) {
            (Some(path), _) => path.clone(),
            (None, Some(genesis)) => beside(genesis),
            (None, None) => beside(&Cluster::find(global)?.genesis),
        };
        let bytes = std::fs::read(&path).map_err(|error| Failure::file(&path, error))?;
        let document = DisclosureKeyDocument::from_bytes(&bytes).map_err(|error| Failure::file(&path, error))?;
        let key = DisclosureKey::check(trust.genesis(), &document).map_err(|error| Failure::file(&path, error))?;
        Ok((trust, key))
    }
}

fn share(
    global: &Global,
    sealed: &Path,
    officer: &Path,
    passphrase_file: Option<&Path>,
    out: &Path,
    pinned: &Pinned,
) -> Result<Outcome, Failure> {
    let (trust, disclosure_key) = pinned.read(global)?;
    let asked = Asked::check(&trust, &read(sealed)?, disclosure_key)?;
    let Key::Secret(secret) = key(officer, &passphrase_of(passphrase_file)?)? else {
        return Err(Failure::file(officer, "this is no officer's share, but a signing key"));
    };
    let share = OfficersShare::of_key(&asked.key, &secret)
        .ok_or_else(|| Failure::file(officer, "this is no share of the officers' key"))?;
    let file = create_private(out)?;
    let used = use_once(officer, &trust, asked.logged.index());
    let answer = used.and_then(|()| {
        let answer = share.answer(trust.chain(), &asked.id, &asked.sealed_root, &mut rand::rngs::OsRng);
        answer.ok_or_else(|| Failure::unverified("other_envelope", "the root was sealed for another envelope"))
    });
    let answer = match answer {
        Ok(answer) => answer,
        Err(failure) => {
            let _ = std::fs::remove_file(out);
            return Err(failure);
        }
    };
    let document = AnswerFile {
        schema_version: SCHEMA_VERSION,
        coin: asked.logged.coin().to_string(),
        index: asked.logged.index(),
        officer: share.officer() + 1,
        answer: hex::encode(answer.to_bytes()),
    };
    write(file, out, &document)?;
    let request = asked.logged.request();
    let text = format!(
        "officer {} has answered the request at {} in the log, basis {}",
        document.officer, document.index, request.basis
    );
    Ok(Outcome::new(&document, text))
}

/// R-5: one leaf, one answer. Made durable before the answer is computed, in a file that was created with the share: a share whose
/// file is gone answers nothing.
fn use_once(officer: &Path, trust: &Trust, index: u64) -> Result<(), Failure> {
    let path = officer.with_extension("answered");
    let wrong = |error: std::io::Error| Failure::file(&path, error);
    let mut file = std::fs::OpenOptions::new().read(true).append(true).open(&path).map_err(|error| {
        wrong(error).with_help("it remembers what this share has answered; without it the share answers nothing")
    })?;
    file.lock().map_err(wrong)?;
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(wrong)?;
    let line = format!("{} {index}", trust.chain().genesis_hash());
    if text.lines().any(|used| used == line) {
        let message = format!("this share has answered the request at {index} in the log");
        return Err(Failure::new(Exit::Refused, "request_used", message).with_help("a new request is counted anew"));
    }
    file.write_all(format!("{line}\n").as_bytes()).and_then(|()| file.sync_all()).map_err(wrong)
}

fn disclose(
    global: &Global,
    sealed: &Path,
    shares: &[PathBuf],
    out: &Path,
    pinned: &Pinned,
) -> Result<Outcome, Failure> {
    let (trust, key) = pinned.read(global)?;
    let asked = Asked::check(&trust, &read(sealed)?, key)?;
    let mut answers = Vec::new();
    for path in shares {
        let file: AnswerFile = read(path)?;
        let answer = hex::decode(&file.answer).ok().and_then(|bytes| OfficersAnswer::from_bytes(&bytes).ok());
        answers.push(answer.ok_or_else(|| Failure::file(path, "this is no officer's answer"))?);
    }
    let root = asked.key.open(&asked.id, &asked.sealed_root, &answers).map_err(|error| match error {
        CannotCombine::BadAnswer { .. } => Failure::unverified("bad_share", error.to_string()),
        CannotCombine::TooFew { .. } => Failure::new(Exit::Refused, "too_few_shares", error.to_string()),
        CannotCombine::NotOfThisEnvelope => Failure::unverified("other_envelope", error.to_string()),
    })?;
    let (document, opening) = open(&trust, &asked, &root)?;
    write(create_private(out)?, out, &document)?;
    let genesis = trust.genesis();
    let name = |number: u16| {
        let line = genesis.directory.get(ParticipantNumber(number));
        line.map_or_else(|| number.to_string(), |line| line.name.as_str().to_owned())
    };
    let text = format!(
        "{}\namount     {} {}\nowner key  {}\npaid by    {}\nheld at    {}\nbasis      {} (request at {} in the log)\nopening    {}",
        document.coin,
        amount::show(opening.amount.0.into(), genesis.exponent),
        document.currency,
        document.owner_key,
        name(document.payer_bank),
        name(document.payee_bank),
        asked.logged.request().basis,
        asked.logged.index(),
        out.display()
    );
    Ok(Outcome::new(&document, text))
}

/// The coin's opening in the opened envelope: it hashes to the coin, whatever else the envelope says.
fn open(trust: &Trust, asked: &Asked, root: &EnvelopeRoot) -> Result<(OpeningFile, Opening), Failure> {
    let (chain, core) = (trust.chain(), &asked.envelope.header.core);
    let closed =
        || Failure::unverified("does_not_open", "the envelope does not open to the coin: the payment was disputed");
    let sealed = open_with_root(chain, &asked.envelope, root).map_err(|_| closed())?;
    let index = usize::from(asked.output_index);
    let series = match &core.context {
        ClearContext::Issue(issue) => issue.series,
        _ => sealed.common_series(),
    };
    let has_terms = core.outputs.get(index).is_some_and(|output| output.terms_flag == TermsFlag::Contract);
    let opening = sealed.output_opening(index, series, has_terms).ok_or_else(closed)?;
    let bank = sealed.outputs.get(index).ok_or_else(closed)?.bank;
    if opening.coin_id(chain, &asked.origin, asked.output_index, bank) != asked.logged.coin() {
        return Err(closed());
    }
    let document = OpeningFile {
        schema_version: SCHEMA_VERSION,
        coin: asked.logged.coin().to_string(),
        envelope_id: asked.id.to_string(),
        payer_bank: core.submitter.0,
        payee_bank: bank.0,
        amount: opening.amount.0,
        currency: opening.currency.to_string(),
        owner_key: opening.owner.to_string(),
        opening: hex::encode(opening.to_bytes()),
        origin: asked.origin.to_string(),
        output_index: asked.output_index,
    };
    Ok((document, opening))
}

async fn requests(global: &Global) -> Result<Outcome, Failure> {
    let shown: doc::Disclosures = client(global, "observer")?.get("/v1/disclosures").await?;
    let rows: Vec<Vec<String>> = shown
        .by_basis
        .iter()
        .map(|kind| vec![kind.class.clone(), kind.basis.clone(), kind.count.to_string()])
        .collect();
    let text = format!(
        "{} to disclose, {} to freeze, {} to unfreeze\n{}",
        shown.disclose,
        shown.freeze,
        shown.unfreeze,
        table(&["class", "basis", "requests"], &rows)
    );
    Ok(Outcome::new(&shown, text))
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let length = std::fs::metadata(path).map_err(|error| Failure::file(path, error))?.len();
    if length > FILE_BYTES_MAX {
        return Err(Failure::file(path, "it is too long"));
    }
    let bytes = std::fs::read(path).map_err(|error| Failure::file(path, error))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Failure::unverified("malformed", format!("{}: {error}", path.display())))
}

/// For the own user alone, and never over an existing file.
fn create_private(path: &Path) -> Result<std::fs::File, Failure> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.map_err(|error| Failure::file(path, error))
}

fn write(mut file: std::fs::File, path: &Path, document: &impl Serialize) -> Result<(), Failure> {
    let bytes = serde_json::to_vec_pretty(document).expect("documents are plain JSON");
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(|error| Failure::file(path, error))
}
