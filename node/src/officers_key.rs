//! The officers' key ceremony: a distributed key generation after which every officer holds a share of a secret that nobody
//! ever held.
//!
//! It is FROST's (RFC 9591's authors; Pedersen's with proofs of possession). Here one machine plays all officers, as the rest of
//! [`crate::cluster_init`] does; apart, each runs his three rounds where his key lies, and sends the packages of the rounds.

use frost_ristretto255::Identifier;
use frost_ristretto255::keys::dkg;
use ledger_seal::DisclosureKeyDocument;
use ledger_types::List;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// The public document, not signed yet, and each officer's share.
pub struct Ceremony {
    pub document: DisclosureKeyDocument,
    pub shares: Vec<Zeroizing<[u8; 32]>>,
}

#[derive(Debug, thiserror::Error)]
#[error("the officers' key ceremony failed: {0}")]
pub struct CeremonyFailed(String);

impl CeremonyFailed {
    fn of(cause: impl std::fmt::Display) -> Self {
        CeremonyFailed(cause.to_string())
    }
}

/// `threshold` of `officers` open an envelope.
pub fn hold(officers: u16, threshold: u16) -> Result<Ceremony, CeremonyFailed> {
    let failed = |error: frost_ristretto255::Error| CeremonyFailed::of(error);
    let names: Vec<Identifier> = (1..=officers).map(Identifier::try_from).collect::<Result<_, _>>().map_err(failed)?;
    let (mut first_secrets, mut first) = (BTreeMap::new(), BTreeMap::new());
    for name in &names {
        let (secret, package) = dkg::part1(*name, officers, threshold, rand::rngs::OsRng).map_err(failed)?;
        first_secrets.insert(*name, secret);
        first.insert(*name, package);
    }
    let others = |name: &Identifier| {
        let mut others = first.clone();
        others.remove(name);
        others
    };
    let mut second_secrets = BTreeMap::new();
    let mut second: BTreeMap<Identifier, BTreeMap<Identifier, dkg::round2::Package>> = BTreeMap::new();
    for (name, secret) in first_secrets {
        let (secret, packages) = dkg::part2(secret, &others(&name)).map_err(failed)?;
        second_secrets.insert(name, secret);
        for (to, package) in packages {
            second.entry(to).or_default().insert(name, package);
        }
    }
    let (mut shares, mut public) = (Vec::new(), None);
    for name in &names {
        let (own, all) = dkg::part3(&second_secrets[name], &others(name), &second[name]).map_err(failed)?;
        shares.push(Zeroizing::new(bytes(own.signing_share().serialize())?));
        public = Some(all);
    }
    let public = public.ok_or_else(|| CeremonyFailed::of("nobody takes part"))?;
    let key = bytes(public.verifying_key().serialize().map_err(failed)?)?;
    let verifying = |name: &Identifier| {
        let share = public.verifying_shares().get(name).ok_or_else(|| CeremonyFailed::of("a share is missing"))?;
        bytes(share.serialize().map_err(failed)?)
    };
    let verifying: Vec<[u8; 32]> = names.iter().map(verifying).collect::<Result<_, _>>()?;
    let shares_public = List::new(verifying).map_err(CeremonyFailed::of)?;
    let document = DisclosureKeyDocument { key, shares: shares_public, authorizations: List::empty() };
    Ok(Ceremony { document, shares })
}

fn bytes(bytes: Vec<u8>) -> Result<[u8; 32], CeremonyFailed> {
    <[u8; 32]>::try_from(bytes).map_err(|_| CeremonyFailed::of("a value has not 32 bytes"))
}
