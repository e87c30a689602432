//! The checks of a sealed payment, numbered in the order in which they run. The number stands in public in the record of a coin
//! that failed one. 17, 19 and 20 are registration's own: no sealed part
//! fails 17, because none could be opened, and none says 19 or 20.

use crate::numbered::numbered_reasons;

numbered_reasons! {
    /// Why a payment is not good (rules P).
    pub enum PaymentRule {
        /// The sealed part does not open or decode under the committed key, or the kind seals none.
        DoesNotOpen = 1, "does_not_open",
        /// An input is in another bank's custody than the submitter's.
        NamesAnotherSubmitter = 2, "names_another_submitter",
        /// The inputs' openings and origins do not hash to the header's coin ids.
        InputsDiffer = 3, "inputs_differ",
        /// The currency is not the chain's.
        CurrencyDiffers = 4, "currency_differs",
        /// The sealed terms are not what the header declares.
        TermsDiffer = 5, "terms_differ",
        /// The outputs' openings do not hash to the header's notes, or their series is not the inputs'.
        OutputsDiffer = 6, "outputs_differ",
        /// An output's custody does not open to the bank that the sealed part names, or that is no bank.
        CustodyDiffers = 7, "custody_differs",
        /// The order is missing, names no output, pays somebody in a redeem, or stands where the kind has none.
        OrderDoesNotFit = 8, "order_does_not_fit",
        /// The order is not signed by every owner of an input.
        OrderNotSigned = 9, "order_not_signed",
        /// The envelope is valid for longer than the order.
        OrderExpiresFirst = 10, "order_expires_first",
        /// The acceptance is missing, or there is one where nobody has to accept, or the outputs to accept are of several banks.
        AcceptanceDoesNotFit = 11, "acceptance_does_not_fit",
        /// The envelope is valid for longer than the acceptance.
        AcceptanceExpiresFirst = 12, "acceptance_expires_first",
        /// The acceptance is not signed by the bank that receives the payment.
        AcceptanceNotSigned = 13, "acceptance_not_signed",
        /// Change goes to another bank than the submitter.
        ChangeLeavesTheSubmitter = 14, "change_leaves_the_submitter",
        /// What comes out is not what goes in.
        ValueNotConserved = 15, "value_not_conserved",
        /// An output is worth nothing.
        OutputIsZero = 16, "output_is_zero",
        /// The envelope's key was not released within two deadlines, so nobody could look.
        KeyNeverReleased = 17, "key_never_released",
        /// The borrower's key is one of the lender's: lending to oneself is idling (K-5).
        LentToTheLender = 18, "lent_to_the_lender",
        /// Evidence at registration contradicts what the bank stated of the loan (K-5).
        StatementIsFalse = 19, "statement_is_false",
        /// What a return retires is not what registration knows to be owed for the loan (K-2).
        ReturnDiffers = 20, "return_differs",
    }
}
