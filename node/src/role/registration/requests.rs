//! What the operator hands to registration for the officers (R-5): requests, and openings that officers have disclosed.
//!
//! ```text
//! state/regulator/in/NAME.json ──▶ registrar ──▶ state/regulator/out/NAME.json          one document each, see `node_api::regulator`
//! ```
//! | handed               | checked                                                     | done                          |
//! |----------------------|-------------------------------------------------------------|-------------------------------|
//! | request, disclose    | it stands in the log, is about this coin, and still serves   | the sealed root is given out  |
//! | request, freeze      | the same; unused; the coin is live                           | frozen with the next batch    |
//! | request, unfreeze    | the same; unused; the coin is frozen                         | live with the next batch      |
//! | opening              | it hashes to the coin; a dispute had spent it                | the dispute's worth grows     |
//!
//! What stays true here: nothing changes for a request that the public log does not show; one leaf changes one coin once. A sealed
//! root is no secret of registration's: it says nothing without k officers, each of whom checks the request for himself.

use super::RegistrationError;
use super::accounts::Booking;
use super::loans::Loans;
use super::registrar::Registrar;
use super::rows::{self, AccountRow, AccountStatus, RequestUse};
use crate::outbox::{Changed, Event};
use ledger_state::preissued_coins;
use ledger_types::coin::Opening;
use ledger_types::confirmation::RecordStatus;
use ledger_types::request::RequestClass;
use ledger_types::{CoinId, Decode, Encode, EnvelopeId, Origin, ParticipantNumber};
use ledger_verify::{LoggedRequest, RequestProof, Verdict, verify_request};
use node_api::regulator::{FromRegistration, OpeningFile, RequestFile, ToRegistration};
use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A request with its proof takes some 100 KB.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Of one look.
const FILES_MAX: usize = 64;

pub struct RequestFolder {
    handed: PathBuf,
    answered: PathBuf,
}

/// One file of the folder.
pub struct Handed {
    path: PathBuf,
    name: String,
}

impl RequestFolder {
    /// Makes it in the process's state folder, for the own user alone.
    pub fn open(state: &Path) -> Result<Self, RegistrationError> {
        let folder = state.join("regulator");
        let folders = RequestFolder { handed: folder.join("in"), answered: folder.join("out") };
        for path in [&folders.handed, &folders.answered] {
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
            made.map_err(|source| RegistrationError::RequestFolder { path: path.clone(), source })?;
        }
        Ok(folders)
    }

    /// Whole files only: whoever hands one over writes it under another name first.
    pub fn handed(&self) -> Result<Vec<Handed>, RegistrationError> {
        let wrong = |source| RegistrationError::RequestFolder { path: self.handed.clone(), source };
        let mut handed = Vec::new();
        for item in fs::read_dir(&self.handed).map_err(wrong)? {
            let path = item.map_err(wrong)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).filter(|name| name.ends_with(".json"));
            let Some(name) = name.map(str::to_owned) else { continue };
            handed.push(Handed { path, name });
        }
        handed.sort_by(|a, b| a.name.cmp(&b.name));
        handed.truncate(FILES_MAX);
        Ok(handed)
    }

    /// The answer first, then the question goes: killed in between, it is asked again, and the answer is the same or says so.
    pub fn answer(&self, handed: &Handed, answer: &FromRegistration) -> Result<(), RegistrationError> {
        let (path, building) = (self.answered.join(&handed.name), self.answered.join(format!("{}.tmp", handed.name)));
        let wrong = |source| RegistrationError::RequestFolder { path: path.clone(), source };
        let bytes = serde_json::to_vec_pretty(answer).map_err(std::io::Error::other).map_err(wrong)?;
        let _ = fs::remove_file(&building);
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&building);
        let mut file = file.map_err(wrong)?;
        std::io::Write::write_all(&mut file, &bytes).and_then(|()| file.sync_all()).map_err(wrong)?;
        fs::rename(&building, &path).and_then(|()| fs::remove_file(&handed.path)).map_err(wrong)
    }
}

impl Handed {
    pub fn document(&self) -> Result<ToRegistration, String> {
        let meta = fs::symlink_metadata(&self.path).map_err(|error| error.to_string())?;
        if !meta.file_type().is_file() || meta.len() > FILE_BYTES_MAX {
            return Err("it is no regular file of at most 1 MiB".into());
        }
        let bytes = fs::read(&self.path).map_err(|error| error.to_string())?;
        serde_json::from_slice(&bytes).map_err(|error| format!("it is no document for registration: {error}"))
    }
}

fn refused(reason: impl ToString) -> FromRegistration {
    FromRegistration::Refused { reason: reason.to_string() }
}

impl Registrar {
    pub fn take_handed(&mut self, document: &ToRegistration) -> Result<FromRegistration, RegistrationError> {
        match document {
            ToRegistration::Request(request) => match self.check_request(request) {
                Ok(logged) => self.act_on(&logged),
                Err(reason) => Ok(refused(reason)),
            },
            ToRegistration::Opening(opening) => self.learn_opening(opening),
        }
    }

    fn check_request(&self, file: &RequestFile) -> Result<LoggedRequest, String> {
        let coin = CoinId::parse(&file.coin).map_err(|error| error.to_string())?;
        let mut blind = [0; 32];
        hex::decode_to_slice(&file.blind, &mut blind).map_err(|error| format!("the blind: {error}"))?;
        let proof = hex::decode(&file.proof).map_err(|error| format!("the proof: {error}"))?;
        let proof = RequestProof::from_bytes(&proof).map_err(|error| format!("the proof: {error}"))?;
        let trust = self.fixed.trust.after(proof.state.state_leaf.height);
        match verify_request(&trust, &coin, &blind, &proof, (self.fixed.clock)()) {
            Verdict::Verified(logged) => Ok(logged),
            Verdict::Invalid(reason) => Err(format!("{}: {}", reason.code(), reason.message())),
            Verdict::NotEnoughPower { have, need } => {
                Err(format!("not_enough_power: signers hold {have} of the power, a quorum takes {need}"))
            }
        }
    }

    fn act_on(&mut self, logged: &LoggedRequest) -> Result<FromRegistration, RegistrationError> {
        let (coin, class) = (logged.coin(), logged.request().class);
        let used = self.fixed.store.get(&rows::REQUESTS_USED, &logged.index())?;
        if class == RequestClass::Disclose {
            return self.give_sealed_root(coin);
        }
        if used.is_some() {
            return Ok(refused("this request was used"));
        }
        let Some(row) = self.account(&coin)? else { return Ok(refused("no such coin is booked as unspent")) };
        let (from, to, status) = match class {
            RequestClass::Freeze => (AccountStatus::Live, AccountStatus::Frozen, RecordStatus::Frozen),
            _ => (AccountStatus::Frozen, AccountStatus::Live, RecordStatus::Live),
        };
        let Some(tag) = row.tag.filter(|_| row.status == from) else {
            return Ok(refused(format!("the coin is {:?}, not {from:?}", row.status)));
        };
        let mut step = self.fixed.step();
        if row.made_by == EnvelopeId::ZERO && to == AccountStatus::Live {
            step.writes.delete(&rows::ACCOUNTS, &coin);
        } else {
            step.writes.put(&rows::ACCOUNTS, &coin, &AccountRow { status: to, ..row })?;
        }
        // R-7: until a batch says so, the registry says what it said before.
        let says = self.memory.registered_as.get(&coin).copied().unwrap_or(from);
        self.memory.note_registered_as(&coin, Some(says).filter(|says| *says != to), &mut step.writes)?;
        step.writes.put(&rows::REQUESTS_USED, &logged.index(), &RequestUse { class, coin })?;
        step.events.push(Event::Changed(Changed { coin, status, tag }));
        self.fixed.commit(&mut self.memory, step)?;
        tracing::warn!(%coin, class = class.as_str(), basis = %logged.request().basis, index = logged.index(), "for the officers");
        Ok(FromRegistration::Done { status: class.as_str().into() })
    }

    fn give_sealed_root(&self, coin: CoinId) -> Result<FromRegistration, RegistrationError> {
        let store = &self.fixed.store;
        let made_by = match store.get(&rows::ACCOUNTS, &coin)? {
            Some(row) if row.made_by != EnvelopeId::ZERO => Some(row.made_by),
            _ => store.get(&rows::SPENT, &coin)?,
        };
        let Some(made_by) = made_by else {
            return Ok(refused("no envelope that was booked made this coin; a pre-issued coin's opening is public"));
        };
        let Some(sealed) = store.get(&rows::SEALED_ROOTS, &made_by)? else {
            return Ok(refused("the key of the envelope that made this coin was never released"));
        };
        Ok(FromRegistration::Sealed { envelope_id: made_by.to_string(), sealed_root: hex::encode(sealed.to_bytes()) })
    }

    /// A coin that is booked as unspent; a pre-issued one as its genesis line has it.
    fn account(&self, coin: &CoinId) -> Result<Option<AccountRow>, RegistrationError> {
        let fixed = &self.fixed;
        if let Some(row) = fixed.store.get(&rows::ACCOUNTS, coin)? {
            return Ok(Some(row));
        }
        if !fixed.preissued.holds(coin) || fixed.store.get(&rows::PREISSUED_SPENT, coin)?.is_some() {
            return Ok(None);
        }
        let found = preissued_coins(&fixed.rules).find(|preissued| preissued.id == *coin);
        Ok(found.map(|preissued| AccountRow {
            status: AccountStatus::Live,
            made_by: EnvelopeId::ZERO,
            bank: Some(preissued.bank),
            tag: Some(preissued.opening.owner_tag(&fixed.rules.chain, coin)),
        }))
    }

    /// The opening proves itself: it hashes to the coin.
    fn learn_opening(&mut self, file: &OpeningFile) -> Result<FromRegistration, RegistrationError> {
        let Some((coin, opening)) = self.opening_of(file) else {
            return Ok(refused("this is not the opening of the coin"));
        };
        let mut step = self.fixed.step();
        let fixed = &self.fixed;
        let mut booking = Booking::new(
            &fixed.store,
            &fixed.key,
            &fixed.rules,
            &fixed.preissued,
            Loans::new(&fixed.store, &fixed.key),
        );
        if !booking.learn(&coin, opening.amount)? {
            return Ok(refused("no dispute waits for the worth of this coin"));
        }
        booking.finish(&mut step.writes)?;
        fixed.commit(&mut self.memory, step)?;
        Ok(FromRegistration::Done { status: "counted".into() })
    }

    fn opening_of(&self, file: &OpeningFile) -> Option<(CoinId, Opening)> {
        let coin = CoinId::parse(&file.coin).ok()?;
        let opening = Opening::from_bytes(&hex::decode(&file.opening).ok()?).ok()?;
        let origin = Origin::from_hex(&file.origin)?;
        let bank = ParticipantNumber(file.payee_bank);
        let is_its = opening.coin_id(&self.fixed.rules.chain, &origin, file.output_index, bank) == coin;
        is_its.then_some((coin, opening))
    }
}
