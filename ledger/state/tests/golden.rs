//! The bytes of block headers over a small fixed history. They change on purpose only: `BLESS=1` writes the file anew, and the
//! commit that does so says why.

use crate::common;

use common::*;
use ledger_types::confirmation::{Overdue, RecordStatus};
use ledger_types::encoding::{Encode, List};
use ledger_types::ids::*;
use std::fmt::Write;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/headers.txt");

#[test]
fn the_headers_of_a_fixed_history_have_these_bytes() {
    let mut bed = Bed::new();
    let mut text = String::from("# height, block hash, header bytes; see tests/golden.rs\n");
    let mut line = |bed: &Bed, header: &[u8]| {
        writeln!(text, "{} {} {}", bed.ledger.height, bed.ledger.block, hex(header)).unwrap();
    };
    line(&bed, &[]);

    // 1: a payment, a double spend of the same coin, an issue.
    let coin = bed.coin_of(BANK2, 0);
    let payment = bed.transfer(BANK2, std::slice::from_ref(&coin), &[(BANK3, 60), (BANK2, 40)]);
    let double = bed.transfer(BANK2, std::slice::from_ref(&coin), &[(BANK4, 100)]);
    let issue = bed.issue(2, 0, &[(BANK5, 500)]).authorize_by_issue_key(&bed.rules);
    let (paid, issued) = (payment.coins.clone(), issue.coins[0].clone());
    let issue = issue.seal();
    let issue_id = issue.id(&bed.rules.chain);
    let bundles = [bed.bundle(BANK2, vec![payment.seal(), double.seal()]), bed.bundle(CENTRAL, vec![issue])];
    let applied = bed.block(&bundles);
    line(&bed, &applied.header.to_bytes());

    // 2: they are confirmed, the issue is settled, a key release is overdue.
    let mut records: Vec<_> = paid.iter().map(|coin| live(coin.id)).collect();
    records.extend([record(coin.id, RecordStatus::Spent), live(issued.id)]);
    let mut batch = bed.batch(records);
    batch.settled = List::new(vec![issue_id]).unwrap();
    batch.overdue = List::new(vec![Overdue { envelope: EnvelopeId([5; 32]), submitter: BANK4 }]).unwrap();
    let confirmation = bed.confirmation(batch);
    let applied = bed.block(&[confirmation]);
    assert_eq!(applied.results[0].code, 0);
    line(&bed, &applied.header.to_bytes());

    // 3: officers recover a coin and rotate a key; a redeem.
    let recover = bed.recover(&[bed.coin_of(BANK3, 0)], &[(BANK2, 100)]).authorize_by_officers(&bed.rules, &[0, 2]);
    let new_line = bed.line_with_new_desk_key(BANK3, "another desk key");
    let update = bed.update(BANK3, new_line).authorize_by_officers(&bed.rules, &[1, 2]);
    let redeem = bed.redeem(&[bed.coin_of(CENTRAL, 0)], 30, &[(CENTRAL, 70)]).authorize_by_issue_key(&bed.rules);
    let bundles = [bed.bundle(CENTRAL, vec![recover.seal(), redeem.seal()]), bed.bundle(BANK3, vec![update.seal()])];
    let applied = bed.block(&bundles);
    assert!(applied.results.iter().all(|result| result.code == 0));
    line(&bed, &applied.header.to_bytes());

    // 4: nothing.
    let applied = bed.block(&[]);
    line(&bed, &applied.header.to_bytes());

    if std::env::var_os("BLESS").is_some() {
        std::fs::write(FILE, &text).unwrap();
    }
    let golden = std::fs::read_to_string(FILE).expect("the golden file is part of the package");
    assert_eq!(text, golden);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
