//! Every code by which a node, a bank's desk or the query site refuses a request, with its cause and what mends it.
//!
//! Codes are stable. A ledger rejection keeps its own code and number, with status 422; those here have no number. 429 and 503 come
//! with `Retry-After`. A test holds that no source of the programs refuses by a code that does not stand here.

/// What a code means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusalMeaning {
    pub code: &'static str,
    pub cause: &'static str,
    /// What whoever asked can do.
    pub mend: &'static str,
}

/// The meaning of a code of the interface.
pub fn meaning(code: &str) -> Option<&'static RefusalMeaning> {
    REFUSALS.iter().find(|meaning| meaning.code == code)
}

const fn of(code: &'static str, cause: &'static str, mend: &'static str) -> RefusalMeaning {
    RefusalMeaning { code, cause, mend }
}

/// By HTTP status; what a desk says to another bank's desk stands last. A desk repeats that in the reason of a refused payment.
pub const REFUSALS: &[RefusalMeaning] = &[
    // 400: the request is not well-formed.
    of("malformed", "the bytes are no canonical encoding of what is asked for", "encode it as ledger/PROTOCOL.md says"),
    of("malformed_json", "the body is no JSON of the document's fields", "compare it with the document's fields"),
    of("body_unreadable", "the body broke off", "send it again"),
    of(
        "bad_body",
        "the body did not arrive whole, or is not the document that the path asks for",
        "send the document that /openapi.json describes",
    ),
    of("bad_path", "a parameter of the path is not of its type", "compare the path with the list of paths"),
    of("bad_query", "a parameter of the query is unknown or outside its bounds", "the detail names the bounds"),
    of(
        "bad_tile_path",
        "the path is not a tile's (c2sp.org/tlog-tiles)",
        "three digits a folder, all but the last with an x",
    ),
    of(
        "bad_prefix",
        "the prefix has more bits than are asked for, or is no hex",
        "ask with the bits that /v1/buckets proposes",
    ),
    of("not_a_coin_id", "the text is no coin id, or a letter of it is wrong", "copy the whole id, coin1… to its end"),
    of("not_an_envelope_id", "an envelope id has 64 hex digits", "copy the whole id"),
    of("envelope_count", "a request holds at least one envelope, and no more than the detail says", "split it"),
    of("bad_address", "the text is no wallet@bank of this chain", "assay participants lists the banks: alice@bank2"),
    of("bad_wallet_name", "a wallet's name has 1 to 32 letters, digits, - or _", "choose such a name"),
    of("bad_idempotency_key", "an idempotency key has 1 to 64 bytes", "shorten it"),
    of("bad_id", "a payment's or operation's id has 32 hex digits", "copy the whole id from the answer that made it"),
    of("bad_batch", "a batch holds 1 to 256 payments", "split it"),
    of("bad_coins", "too many coins are named, none, or one twice", "name each coin once"),
    of("bad_reason", "a reason is missing, too long, or none of those that count", "the detail lists what is taken"),
    of("bad_challenge", "the challenge is no hex of a challenge", "copy it whole from whoever asks for the proof"),
    of("bad_feed_name", "a feed's name has 1 to 32 of a-z, 0-9, ., _ and -", "copy it from assay feed list"),
    of("bad_unit", "a feed's unit is percent, index or a currency's three letters", "name one of them"),
    of("bad_frequency", "a feed is daily, monthly, quarterly or yearly", "name one of them"),
    of("bad_publishers", "a feed has 1 to 16 publishers, each a public key of 64 hex digits", "copy each key whole"),
    of(
        "bad_values",
        "a publication has 1 to 16 values, each with a signature of 128 hex digits",
        "copy each signature whole",
    ),
    of("bad_package", "a package is hex", "assay contract deploy makes it from a policy"),
    of("bad_report", "the hash of a report has 64 hex digits", "copy it from assay contract backtest"),
    of("bad_sector", "the text is no section or division of ISIC Rev. 4", "write a letter, or C10"),
    of("bad_basis", "a basis is 1 to 8 of A-Z, 0-9 and -", "write the code that the law or the order has"),
    of("bad_evidence", "the hash of the evidence has 64 hex digits", "give the file to assay loan dispute"),
    of("not_an_obligation_id", "an obligation id has 64 hex digits", "copy the whole id from assay loan list"),
    // 401, 403: who asks.
    of("token_required", "the endpoint takes the node's own token", "the file token in the node's folder holds it"),
    of("not_the_central_bank", "only the central bank does this", "ask its node: --as central-bank"),
    of(
        "bundle_signature",
        "the bundle is not signed by its submitter",
        "sign the header with the key that the directory names",
    ),
    of("unknown_submitter", "the bundle's submitter is not in the directory", "assay participants lists who is"),
    of("own_lane", "the node signs the bundles of its own lane itself", "submit through another validator"),
    of("not_a_submitter", "this node takes no bundles", "submit through a validator"),
    // 404, 405, 413.
    of(
        "not_found",
        "there is no such wallet, coin, payment, height or difference here",
        "is it another bank's? --as asks another",
    ),
    of(
        "not_held",
        "this node holds blocks and envelopes from a height on, and does not keep or never had what was before",
        "ask a node whose /v1/status names an earlier first_height",
    ),
    of("no_such_path", "the interface has no such path on this node", "desks have paths that observers have not"),
    of("method_not_allowed", "the path does not take this method", "use the path's own method"),
    of("body_too_large", "the body is longer than the endpoint reads", "split it"),
    of("over_quota", "the bundle exceeds what its submitter may have in a height", "put fewer envelopes into it"),
    // 409: it belongs to something else.
    of("idempotency_key_reused", "the key was used for another request", "a fresh key for every new payment"),
    of("wallet_exists", "this bank has a wallet of the name", "choose another name"),
    of("slot_taken", "the slot holds another bundle", "ask for the lane's next slot, and sign anew for that"),
    of("slot_closed", "the slot's incarnation is closed", "ask for the lane's next slot, and sign anew for that"),
    of("slot_lost", "another bundle got the slot", "ask for the lane's next slot, and sign anew for that"),
    of(
        "slot_far_ahead",
        "the slot is far from being the lane's next",
        "ask for the lane's next slot, and sign anew for that",
    ),
    of("already_returned", "the loan is returned, and nothing is owed for it", "assay loan list says at which rate"),
    // 422: a rule of the desk or the interface says no.
    of("package_too_large", "a package takes 32 KiB at most", "say the policy in fewer lines"),
    of(
        "lent_to_the_lender",
        "the borrower is the bank's own vault",
        "lend it to somebody, or leave it until it is reclaimed",
    ),
    of(
        "too_many_inert_coins",
        "a loan spends at most eight coins, all of one version of the contract, and no bank can put inert coins together (K-4)",
        "lend it in several loans, of the amounts that the detail says; assay loan list --inert shows the coins",
    ),
    of(
        "insufficient_funds",
        "the wallet's coins, live and on their way to it, do not cover this and what is promised already",
        "pay less, or wait: what is unconfirmed becomes live when the central bank confirms it",
    ),
    of("same_wallet", "payer and payee are the same wallet", "pay another wallet"),
    of("amount_is_zero", "a payment is worth something", "name an amount above zero"),
    of("amount_too_large", "more is asked for than the coins are worth, or than one coin holds", "ask for less"),
    of(
        "amount_needed",
        "nobody could open one of the coins",
        "say how much of what the disputed payment spent is given back",
    ),
    of("memo_too_long", "the memo has more than 80 bytes", "shorten it"),
    of("bad_coin_count", "an issue makes 1 to 8 coins, each worth something", "name fewer coins, or more money"),
    of("bank_unknown", "the participant is no bank", "assay participants lists the banks"),
    of("series_unknown", "the genesis names no such series", "the genesis document names the series"),
    of("coin_unknown", "no bank gives the coin's opening", "for a disputed coin that nobody opened, name the amount"),
    of("challenge_expired", "the challenge's time has passed", "ask for a new one"),
    of("not_the_owner", "the challenge names another owner than the coin's", "prove it at the owner's bank"),
    of("bucket_too_large", "too many entries begin with this prefix", "ask with a longer one"),
    of(
        "nothing_to_repair_here",
        "this side of the reconciliation has nothing to repair there",
        "repair it at the other side",
    ),
    of("cannot_be_mended", "the offered repair does not work", "the detail says what is in its way"),
    of("time_has_passed", "a difference is muted until a time to come", "name a later time"),
    // 429, 5xx: not now.
    of("busy", "as much waits already as is taken", "send the same again after Retry-After"),
    of("rate_limited", "this address asks too often", "wait for Retry-After; the node's own token is not limited"),
    of("internal", "the node could not read or write what it stores", "its log says why"),
    of("file", "registration cannot read the request's file", "is it whole, and readable for registration's user?"),
    of(
        "unverified",
        "the observer's answer fails the site's verification",
        "ask again later; the site's network page names the observer",
    ),
    of("observers_silent", "no observer answers the site, which keeps nothing verified that would", "ask again later"),
    of("not_reckoned", "what is owed cannot be reckoned now", "ask again; the detail says why"),
    of("stopping", "the program stops; what was answered before is kept", "ask again when it runs"),
    of("starting", "the desk is starting", "ask again in a second"),
    of("overloaded", "as many reads wait as the program keeps", "ask again after Retry-After"),
    of("no_checkpoint", "no checkpoint was signed yet", "ask again in a moment; does the central bank run?"),
    of("too_many_streams", "this address, or all together, follow as many streams as are kept", "close one, or poll"),
    of("no_proof", "no proof of what the registry says verifies just now", "try again when the validator answers"),
    of("timed_out", "request and answer together took too long", "send it again, smaller if it is large"),
    // Between desks, and between registration and a desk.
    of(
        "not_served",
        "this process does not answer that, or not to who asks",
        "does the directory name the right bank?",
    ),
    of("wallet_unknown", "the payee's bank has no such wallet", "ask the payee for the address"),
    of(
        "invoice_unknown",
        "the payee's bank gave no such invoice, or it has ended",
        "pay again: a new one is asked for",
    ),
    of("invoices_full", "the payee's bank keeps no more keys for recoveries", "try again in some minutes"),
    of(
        "acceptances_full",
        "the payee's bank has as many of this bank's orders open as it keeps",
        "wait until some are settled",
    ),
    of("order_malformed", "the order does not decode", "a fault of the payer's bank"),
    of("no_payee", "the order pays nobody", "a fault of the payer's bank"),
    of("other_payee", "the order does not pay the invoice's key", "a fault of the payer's bank"),
    of("other_amount", "the order's amount is not the invoice's", "a fault of the payer's bank"),
    of("other_currency", "the order is in a currency that the chain does not have", "a fault of the payer's bank"),
    of("inputs_malformed", "the order's inputs are not one to eight coins in order", "a fault of the payer's bank"),
    of("change_malformed", "the order's change keys are not in order", "a fault of the payer's bank"),
    of(
        "amounts_malformed",
        "an issue has one to eight amounts, none of them zero",
        "a fault of the central bank's desk",
    ),
    of("too_many_outputs", "more outputs are asked for than an envelope has", "a fault of the caller's bank"),
    of(
        "expiry_unfit",
        "the order has expired, or lives longer than the expiry window",
        "are both banks' clocks right?",
    ),
    of("order_not_signed", "the order lacks the signature of an input's owner", "a fault of the payer's bank"),
    of(
        "terms_unknown",
        "no version of the contract has these terms",
        "the bank follows the chain: ask again when it has caught up",
    ),
    of("no_vault", "the bank has no vault", "its desk has not started"),
    of(
        "epoch_refused",
        "the offered epoch is not taken; the detail says why",
        "are both clocks, directories and keys the same?",
    ),
    of("bundle_unknown", "the validator does not have this bundle at hand", "ask for its block first"),
    of("unknown_status", "reconciliation knows no such status", "is one side of another version?"),
    of("too_many_ranges", "a question of reconciliation names too many ranges", "is one side of another version?"),
    of("no_claim", "the desk has no claim of that height", "ask for one first"),
    of("other_state", "claim and report are not about the same state", "begin the run again"),
    of("not_signed", "registration's link key has not signed this", "does the directory name its key?"),
];
