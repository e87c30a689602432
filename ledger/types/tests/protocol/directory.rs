//! G-2, one test a rule: who may stand in a directory.

use crate::fixture::*;
use crate::signatures::SMALL_ORDER_KEYS;
use ledger_types::keys::PublicKey;
use ledger_types::participant::*;
use ledger_types::*;

/// The fixture's directory after a change, as a set-up would build it and as its bytes would be read.
fn error_after(change: impl FnOnce(&mut Vec<Participant>)) -> DirectoryError {
    let mut participants = participants();
    change(&mut participants);
    if let Ok(list) = List::<Participant, PARTICIPANTS_MAX>::new(participants.clone()) {
        let decoded = Directory::from_bytes(&list.to_bytes()).unwrap_err();
        assert!(
            matches!(decoded, DecodeError::NotCanonical(rule) if rule.starts_with("directory: ")),
            "the bytes are refused too: {decoded}"
        );
    }
    Directory::new(participants).unwrap_err()
}

#[test]
fn the_fixtures_directory_is_good() {
    let directory = directory();
    assert_eq!(Directory::from_bytes(&directory.to_bytes()).unwrap(), directory);
    assert_eq!(directory.central_bank().number, CENTRAL_BANK);
    assert_eq!(directory.get(ParticipantNumber(5)), None);
    let numbers: Vec<_> = directory.validators().iter().map(|v| v.number).collect();
    assert_eq!(numbers, VALIDATORS);
    assert_eq!(directory.bundle_key(BANK_3), Some(participant_key(BANK_3, "bundle").public_key()));
    let registration = participant_key(CENTRAL_BANK, "registration").public_key();
    assert_eq!(directory.bundle_key(ParticipantNumber::REGISTRATION), Some(registration));
    assert_eq!(directory.bundle_key(ParticipantNumber(5)), None);
}

#[test]
fn participants_out_of_order_are_refused() {
    assert_eq!(error_after(|p| p.swap(1, 2)), DirectoryError::NotAscending);
}

#[test]
fn two_participants_with_one_number_are_refused() {
    assert_eq!(error_after(|p| p[2].number = p[1].number), DirectoryError::NotAscending);
}

#[test]
fn the_registration_lanes_number_is_refused() {
    let reserved = ParticipantNumber::REGISTRATION;
    assert_eq!(error_after(|p| p[4].number = reserved), DirectoryError::ReservedNumber(reserved));
}

#[test]
fn a_key_used_by_two_participants_is_refused() {
    let key = participant_key(BANK_2, "bundle").public_key();
    assert_eq!(error_after(|p| p[3].keys.bundle = key), DirectoryError::KeyRepeated(key));
}

#[test]
fn a_key_used_for_two_purposes_is_refused() {
    let key = participant_key(BANK_3, "desk").public_key();
    assert_eq!(error_after(|p| p[2].keys.offer = key), DirectoryError::KeyRepeated(key));
    let log = participant_key(CENTRAL_BANK, "log").public_key();
    assert_eq!(error_after(|p| p[0].keys.cosign = log), DirectoryError::KeyRepeated(log));
}

#[test]
fn every_single_key_of_small_order_is_refused() {
    for (at, hex) in SMALL_ORDER_KEYS.iter().enumerate() {
        let weak = PublicKey::from_hex(hex).unwrap();
        let unsound = DirectoryError::KeyUnsound(weak);
        let place = |p: &mut Participant| match at % 12 {
            0 => p.keys.consensus = weak,
            1 => p.keys.bundle = weak,
            2 => p.keys.cosign = weak,
            3 => p.keys.desk = weak,
            4 => p.keys.offer = weak,
            5 => p.keys.link = weak,
            6 => p.keys.engine_peer = weak,
            7 => p.keys.data_peer = weak,
            8 => p.central_bank.as_mut().unwrap().log = weak,
            9 => p.central_bank.as_mut().unwrap().registration = weak,
            10 => p.central_bank.as_mut().unwrap().registration_link = weak,
            _ => p.central_bank.as_mut().unwrap().issue = weak,
        };
        assert_eq!(error_after(|p| place(&mut p[0])), unsound, "{hex}");
    }
}

#[test]
fn a_kem_key_of_two_participants_is_refused() {
    assert_eq!(error_after(|p| p[3].keys.kem = p[1].keys.kem.clone()), DirectoryError::KemKeyRepeated(BANK_4));
}

#[test]
fn power_and_the_validators_role_go_together() {
    assert_eq!(error_after(|p| p[1].power = 0), DirectoryError::PowerWithoutRole(BANK_2));
    assert_eq!(error_after(|p| p[4].power = 1), DirectoryError::PowerWithoutRole(OBSERVER));
}

#[test]
fn the_central_banks_keys_and_role_go_together() {
    assert_eq!(error_after(|p| p[0].central_bank = None), DirectoryError::CentralBankKeys(CENTRAL_BANK));
    let keys = participant(ParticipantNumber(77), "x", Roles::CENTRAL_BANK).central_bank;
    assert_eq!(error_after(|p| p[1].central_bank = keys), DirectoryError::CentralBankKeys(BANK_2));
}

#[test]
fn there_is_exactly_one_central_bank() {
    assert_eq!(error_after(|p| drop(p.remove(0))), DirectoryError::CentralBanks(0));
    let second = participant(ParticipantNumber(77), "second", Roles::CENTRAL_BANK);
    assert_eq!(error_after(|p| p.push(second)), DirectoryError::CentralBanks(2));
}

#[test]
fn the_total_power_is_neither_zero_nor_beyond_its_bound() {
    let without_validators = |participants: &mut Vec<Participant>| {
        participants.truncate(1);
        participants[0].roles = Roles::CENTRAL_BANK;
        participants[0].power = 0;
    };
    assert_eq!(error_after(without_validators), DirectoryError::TotalPower);
    assert_eq!(error_after(|p| p[1].power = TOTAL_POWER_MAX), DirectoryError::TotalPower);
    assert_eq!(error_after(|p| (p[1].power, p[2].power) = (u64::MAX, u64::MAX)), DirectoryError::TotalPower);
}

#[test]
fn more_participants_than_the_bound_are_refused() {
    let too_many = |participants: &mut Vec<Participant>| {
        participants.extend((100..400).map(|n| participant(ParticipantNumber(n), "x", Roles::OBSERVER)));
    };
    assert_eq!(error_after(too_many), DirectoryError::TooMany(305));
}
