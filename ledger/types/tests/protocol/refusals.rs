//! The numbered refusals: programs rely on number, code and finality, so those are pinned.

use ledger_types::rejection::Rejection;
use std::collections::BTreeSet;

#[test]
fn numbers_and_codes_are_unique_and_numbers_ascend_in_the_order_of_the_checks() {
    assert!(Rejection::ALL.is_sorted_by(|a, b| a.number() < b.number()));
    let codes: BTreeSet<&str> = Rejection::ALL.iter().map(|rejection| rejection.code()).collect();
    assert_eq!(codes.len(), Rejection::ALL.len());
    for rejection in Rejection::ALL {
        assert!(rejection.number() > 0, "0 means accepted");
        assert_eq!(Rejection::from_number(rejection.number()), Some(*rejection));
        assert!(rejection.code().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{}", rejection.code());
    }
    assert_eq!(Rejection::from_number(0), None);
    assert_eq!(Rejection::from_number(u16::MAX), None);
}

#[test]
fn a_code_is_the_name_in_snake_case_and_a_message_is_a_sentence() {
    for rejection in Rejection::ALL {
        let mut snake = String::new();
        for c in format!("{rejection:?}").chars() {
            if c.is_uppercase() && !snake.is_empty() {
                snake.push('_');
            }
            snake.push(c.to_ascii_lowercase());
        }
        assert_eq!(rejection.code(), snake);
        let message = rejection.message();
        assert!(
            message.ends_with('.') && message.starts_with(char::is_uppercase) && !message.contains("  "),
            "{message:?}"
        );
        assert!(rejection.to_string().starts_with(&format!("{snake} ({}): ", rejection.number())));
    }
}
