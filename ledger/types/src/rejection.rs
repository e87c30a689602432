//! The ledger's numbered refusals. Checks run in the order of the numbers, but for kinds of rules K in that of PROTOCOL.md 12.6, and
//! the first that fails is the answer.
//!
//! A *final* refusal can never turn into an acceptance of the same bytes; an *open* one may, when the state or the directory
//! changes, or when the bytes come in another bundle. Whoever gives up an envelope at a refusal does so at a final one, and
//! then its inputs are free: a refusal that was called final and is not would have it pay twice.

macro_rules! refusals {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[doc = $doc:literal])* $variant:ident = $number:literal, $code:literal, $final:ident),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum $name { $($(#[doc = $doc])* $variant = $number),* }
        impl $name {
            pub const ALL: &'static [$name] = &[$($name::$variant),*];
            pub const fn number(self) -> u16 { self as u16 }
            /// Stable, for programs: `coin_is_not_spendable`.
            pub const fn code(self) -> &'static str { match self { $($name::$variant => $code),* } }
            /// For people.
            pub fn message(self) -> &'static str { match self { $($name::$variant => concat!($($doc),*).trim_ascii()),* } }
            pub const fn is_final(self) -> bool { match self { $($name::$variant => refusals!(@$final)),* } }
            pub fn from_number(number: u16) -> Option<Self> { match number { $($number => Some($name::$variant),)* _ => None } }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { write!(f, "{} ({}): {}", self.code(), self.number(), self.message()) }
        }
        impl std::error::Error for $name {}
    };
    (@last) => { true };
    (@open) => { false };
}

refusals! {
    /// Why an envelope or a confirmation batch is refused (PROTOCOL.md, "Refusals").
    pub enum Rejection {
        /// The bytes are no envelope.
        Malformed = 1, "malformed", last,
        // Anybody can copy an envelope into a bundle of his own, and be ordered first: no word about the envelope in its own.
        /// The envelope's submitter is not the bundle's.
        SubmitterIsNotTheBundles = 2, "submitter_is_not_the_bundles", open,
        // A participant update gives a role.
        /// This participant may not submit this kind of envelope.
        SubmitterMayNotSubmitThis = 3, "submitter_may_not_submit_this", open,
        /// The envelope has expired.
        Expired = 4, "expired", last,
        /// The expiry lies further ahead than the expiry window allows.
        ExpiryTooFar = 5, "expiry_too_far", open,
        /// The kind demands another number of inputs or outputs.
        CountsDoNotFitTheKind = 6, "counts_do_not_fit_the_kind", last,
        /// Inputs are not strictly ascending by coin id.
        InputsNotAscending = 7, "inputs_not_ascending", last,
        /// Outputs are not strictly ascending by note.
        OutputsNotAscending = 8, "outputs_not_ascending", last,
        // It may be deployed, or its notice run out.
        /// No version of the declared contract binds yet.
        ContractUnknown = 9, "contract_unknown", open,
        /// The declared contract or the outputs' terms are not what the kind allows.
        TermsNotAllowed = 10, "terms_not_allowed", last,
        /// The public amount is zero.
        AmountIsZero = 11, "amount_is_zero", last,
        /// The series does not exist.
        SeriesUnknown = 12, "series_unknown", last,
        // The issue key rotates.
        /// The authorization is missing, too small, was used, or does not verify.
        NotAuthorized = 13, "not_authorized", open,
        /// The issue number is not the next of its series.
        IssueNumberNotNext = 14, "issue_number_not_next", open,
        /// The submitter has overdue key releases.
        SubmitterIsOverdue = 15, "submitter_is_overdue", open,
        /// An input does not exist or is spent, or is not in the submitter's custody.
        CoinIsNotSpendable = 16, "coin_is_not_spendable", open,
        /// An input is not live: unconfirmed, frozen or disputed.
        CoinIsNotLive = 17, "coin_is_not_live", open,
        /// An input's terms are not what the kind allows.
        InputTermsNotAllowed = 18, "input_terms_not_allowed", last,
        /// The participant to update, or one of the incoming set, is not in the directory.
        ParticipantUnknown = 19, "participant_unknown", last,
        // A repeated key is free when its holder rotates away from it.
        /// The new directory line breaks a directory rule: a repeated or unsound key, roles or power that do not agree.
        DirectoryRuleBroken = 20, "directory_rule_broken", open,
        /// The update would change the validator set; that takes a hand-over (G-3).
        ValidatorSetWouldChange = 21, "validator_set_would_change", last,
        /// The request's epoch is not the day on which its envelope expires.
        EpochDoesNotFit = 22, "epoch_does_not_fit", last,
        /// Another hand-over of the validator set is ordered and does not bind yet.
        HandOverPending = 23, "hand_over_pending", open,
        /// The hand-over's number is not the next, or its outgoing set is not the one that decides.
        HandOverNotNext = 24, "hand_over_not_next", open,
        // The directory rotates the keys of those who are no validators.
        /// A validator of the incoming set has other keys than its directory line.
        ValidatorKeysDiffer = 25, "validator_keys_differ", open,
        // Both sets are in the order.
        /// The hand-over moves a third of the power or more.
        TooMuchPowerMoved = 26, "too_much_power_moved", last,
        /// The incoming set is the outgoing one.
        SetUnchanged = 27, "set_unchanged", last,
        // Only while it is a validator.
        /// The central bank would leave the validator set, and with it the log's signature.
        CentralBankWouldLeave = 28, "central_bank_would_leave", open,
        /// Another version of the rules is ordered and not active yet.
        RulesPending = 29, "rules_pending", open,
        // A later version may be ordered before its turn.
        /// The version of the rules is not the next.
        RulesNotNext = 30, "rules_not_next", open,
        // One that is too far ahead comes nearer.
        /// The activation height is less than two heights ahead, or more than ten million.
        ActivationDoesNotFit = 31, "activation_does_not_fit", open,

        /// The batch number is not the next.
        BatchNumberNotNext = 40, "batch_number_not_next", open,
        /// The batch does not continue the hash of the one before.
        BatchChainBroken = 41, "batch_chain_broken", last,
        // The registration key rotates.
        /// The registration key's signature does not verify.
        BatchSignatureInvalid = 42, "batch_signature_invalid", open,
        /// The batch holds more records than the genesis allows.
        BatchTooLarge = 43, "batch_too_large", last,
        /// The batch's records or lists are not strictly ascending.
        BatchNotAscending = 44, "batch_not_ascending", last,
        /// A record's tag or failed check does not fit its status.
        RecordFieldsDoNotFit = 45, "record_fields_do_not_fit", last,
        /// A record asks for a change that rule R-3 forbids.
        RecordChangeForbidden = 46, "record_change_forbidden", open,
        /// The batch settles an envelope that has no open public amount.
        SettledUnknown = 47, "settled_unknown", open,
        /// An overdue entry exists already or names no participant, or a cleared one does not exist.
        OverdueDoesNotFit = 48, "overdue_does_not_fit", open,

        // A new version binds again where the last one was stopped.
        /// The contract is stopped or retired.
        ContractNotInForce = 60, "contract_not_in_force", open,
        /// The submitter has an overdue obligation under this contract.
        ObligationOverdue = 61, "obligation_overdue", open,
        // A verdict changes with time, feeds and versions. The number is 61 + the program's reason.
        /// The policy has not taken effect yet.
        DeniedNotYet = 62, "denied_not_yet", open,
        /// The policy's window is over, or the coin's idle window.
        DeniedWindowOver = 63, "denied_window_over", open,
        /// The policy does not take effect in this month or on this day.
        DeniedCalendar = 64, "denied_calendar", open,
        /// The policy does not allow this sector.
        DeniedSector = 65, "denied_sector", open,
        /// The policy does not allow this loan rate.
        DeniedLoanRate = 66, "denied_loan_rate", open,
        /// The policy does not allow this term.
        DeniedLoanTerm = 67, "denied_loan_term", open,
        /// The policy does not take effect in this state of the economy.
        DeniedState = 68, "denied_state", open,
        /// A condition of the policy does not hold.
        DeniedCondition = 69, "denied_condition", open,
        /// A deny of the policy applies.
        DeniedExplicitly = 70, "denied_explicitly", open,
        /// A feed that the policy reads is missing or stale.
        DeniedFeedStale = 71, "denied_feed_stale", open,
        /// A number of the policy left its range.
        DeniedUncomputable = 72, "denied_uncomputable", open,
        // Its activation may be accepted yet.
        /// The obligation does not exist or was returned.
        ObligationUnknown = 73, "obligation_unknown", open,
        /// The policy gives another return rate than the one named.
        ReturnRateDiffers = 74, "return_rate_differs", open,
        /// The idle window of a coin is not over.
        NotIdleYet = 75, "not_idle_yet", open,
        /// The contract number or the version is not the next, or the contract has another order in this block.
        VersionNotNext = 76, "version_not_next", open,
        // A retirement may wait for the block that has another order.
        /// The contract is retired, or will be by then, or has another order in this block.
        ContractIsRetired = 77, "contract_is_retired", open,
        /// The notice is shorter than two heights.
        NoticeTooShort = 78, "notice_too_short", last,
        /// The package does not verify, or its policy's currency, name, version or idle window does not fit.
        PackageUnsound = 79, "package_unsound", last,
        /// A feed does not exist, or is not what it is taken for.
        FeedUnknown = 80, "feed_unknown", open,
        /// The feed's keys, threshold or scale break a rule.
        FeedUnsound = 81, "feed_unsound", last,
        /// The feed's number is not the next, its name is taken, or what may not change would.
        FeedDoesNotFit = 82, "feed_does_not_fit", open,
        /// Its publication is after the block or long before it, before its period began, or after its end of validity.
        PublicationTimeDoesNotFit = 83, "publication_time_does_not_fit", open,
        /// The period is older than the newest one, the vintage is not the next of its period, or the feed has an item of this block.
        VintageNotNext = 84, "vintage_not_next", open,
        /// The value lies further from the one before it than the feed allows.
        StepTooLarge = 85, "step_too_large", open,
        /// What the order calls a bank's statement is none under this contract, or the finding does not contradict it.
        StatementDoesNotFit = 86, "statement_does_not_fit", last,
    }
}
