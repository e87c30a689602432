//! Lays an envelope out: which coins go in, which come out, in the order that the ledger wants, and what is sealed beside.

use ledger_types::coin::{INPUTS_BY_ID_MAX, OUTPUTS_MAX, Opening, coin_id, coin_link, issue_origin, origin};
use ledger_types::envelope::{Inputs, Output, Spend, TermsFlag};
use ledger_types::keys::PublicKey;
use ledger_types::sealed::{Sealed, SealedInput, SealedOutput};
use ledger_types::{
    Amount, Chain, CoinId, ContractNumber, Currency, List, Note, Octets, Origin, ParticipantNumber, SeriesNumber, Terms,
};

/// A coin that is spent, as its holder knows it.
#[derive(Clone)]
pub(crate) struct InputCoin {
    pub id: CoinId,
    pub opening: Opening,
    pub origin: Origin,
    pub output_index: u8,
    pub bank: ParticipantNumber,
}

impl InputCoin {
    /// P-4: a disputed coin whose opening nobody has, as the sealed part names it.
    pub fn unopened(id: CoinId, currency: Currency) -> Self {
        let SealedInput { amount, owner, rho, origin, output_index, series, bank } = SealedInput::UNOPENED;
        let opening = Opening { amount, currency, series, terms: Terms::ZERO, owner, rho };
        InputCoin { id, opening, origin, output_index, bank }
    }

    pub fn is_unopened(&self) -> bool {
        self.sealed().is_unopened()
    }

    fn sealed(&self) -> SealedInput {
        SealedInput {
            amount: self.opening.amount,
            owner: self.opening.owner,
            rho: self.opening.rho,
            origin: self.origin,
            output_index: self.output_index,
            series: self.opening.series,
            bank: self.bank,
        }
    }
}

/// A coin that is made.
#[derive(Clone)]
pub(crate) struct PlannedOutput {
    pub amount: u64,
    pub bank: ParticipantNumber,
    pub owner: PublicKey,
    pub rho: [u8; 32],
    /// Zero for plain money (C-4).
    pub terms: Terms,
}

impl PlannedOutput {
    pub fn opening(&self, currency: Currency, series: SeriesNumber) -> Opening {
        let (amount, owner, rho, terms) = (Amount(self.amount), self.owner, self.rho, self.terms);
        Opening { amount, currency, series, terms, owner, rho }
    }
}

/// Where the outputs come from.
pub(crate) enum Source {
    /// Spent by link and kappa, in the submitter's custody.
    Spends(Vec<InputCoin>),
    /// Named by their ids, in anyone's custody.
    ById(Vec<InputCoin>),
    Issue {
        series: SeriesNumber,
        number: u64,
    },
}

/// The public and the sealed half, without order and acceptance.
pub(crate) struct Layout {
    pub inputs: Inputs,
    /// Ascending.
    pub input_ids: Vec<CoinId>,
    pub outputs: List<Output, OUTPUTS_MAX>,
    /// What the header declares; whose terms the sealed part has (K-4).
    pub contract: ContractNumber,
    pub sealed: Sealed,
    /// In the order of the header's outputs.
    pub coins: Vec<CoinId>,
    pub notes: Vec<Note>,
    /// Where each planned output stands in the header.
    pub places: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an envelope has at most {OUTPUTS_MAX} outputs and eight inputs, {INPUTS_BY_ID_MAX} by id")]
pub(crate) struct TooMany;

/// The inputs' common series, else 0 (C-4).
pub(crate) fn common_series(inputs: &[InputCoin]) -> SeriesNumber {
    match inputs.split_first() {
        Some((first, rest)) if rest.iter().all(|coin| coin.opening.series == first.opening.series) => {
            first.opening.series
        }
        _ => SeriesNumber(0),
    }
}

/// `contract`: of the terms of what goes in or comes out; zero for plain money.
pub(crate) fn lay_out(
    chain: &Chain,
    currency: Currency,
    contract: ContractNumber,
    source: Source,
    planned: &[PlannedOutput],
    memo: &[u8],
) -> Result<Layout, TooMany> {
    let (by_id, mut coins_in, issue) = match source {
        Source::Spends(coins) => (false, coins, None),
        Source::ById(coins) => (true, coins, None),
        Source::Issue { series, number } => (false, Vec::new(), Some((series, number))),
    };
    coins_in.sort_by_key(|coin| coin.id);
    let input_ids: Vec<CoinId> = coins_in.iter().map(|coin| coin.id).collect();
    let (origin, series) = match issue {
        Some((series, number)) => (issue_origin(chain, series, number), series),
        None => (origin(chain, &input_ids), common_series(&coins_in)),
    };
    let inputs = if by_id {
        Inputs::ById(List::new(input_ids.clone()).map_err(|_| TooMany)?)
    } else {
        let spend = |coin: &InputCoin| Spend {
            link: coin_link(chain, &coin.origin, coin.output_index, &coin.opening.note(chain)),
            kappa: coin.opening.kappa(chain),
        };
        Inputs::Spends(List::new(coins_in.iter().map(spend).collect()).map_err(|_| TooMany)?)
    };
    let terms = coins_in.iter().map(|coin| coin.opening.terms).chain(planned.iter().map(|output| output.terms));
    let terms = terms.into_iter().find(|terms| *terms != Terms::ZERO);
    let sealed_inputs = List::new(coins_in.iter().map(InputCoin::sealed).collect()).map_err(|_| TooMany)?;

    let mut made: Vec<(Note, usize)> = planned
        .iter()
        .enumerate()
        .map(|(index, output)| (output.opening(currency, series).note(chain), index))
        .collect();
    made.sort_unstable();
    let mut places = vec![0; planned.len()];
    let (mut outputs, mut sealed_outputs, mut coins, mut notes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (place, (note, index)) in made.into_iter().enumerate() {
        let output = &planned[index];
        places[index] = place;
        let custody = output.opening(currency, series).custody(chain, output.bank);
        let place = u8::try_from(place).map_err(|_| TooMany)?;
        coins.push(coin_id(chain, &coin_link(chain, &origin, place, &note), &custody));
        notes.push(note);
        let terms_flag = if output.terms == Terms::ZERO { TermsFlag::Plain } else { TermsFlag::Contract };
        outputs.push(Output { note, custody, terms_flag });
        let (amount, owner, rho, bank) = (Amount(output.amount), output.owner, output.rho, output.bank);
        sealed_outputs.push(SealedOutput { amount, owner, rho, bank });
    }
    let sealed = Sealed {
        terms,
        currency,
        inputs: sealed_inputs,
        outputs: List::new(sealed_outputs).map_err(|_| TooMany)?,
        order: None,
        acceptance: None,
        memo: Octets::new(memo.to_vec()).map_err(|_| TooMany)?,
    };
    let outputs = List::new(outputs).map_err(|_| TooMany)?;
    Ok(Layout { inputs, input_ids, outputs, contract, sealed, coins, notes, places })
}
