//! Finding one hash in an ascending list of many.
//!
//! Hashes are spread evenly, so their first bits tell nearly where one stands: two look-ups in place of one for each bit of the
//! list's length.

use crate::CoinId;

/// So many elements of a list have one start, or up to twice as many.
const ELEMENTS_PER_START: usize = 4;

/// Where in an ascending list the elements begin that have the same first bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    bits: u32,
    /// One for each value of the first bits, and the list's length.
    starts: Vec<u32>,
}

impl Default for Places {
    /// Of an empty list.
    fn default() -> Self {
        Places::of(std::iter::empty())
    }
}

/// The first eight bytes, in whose order ids are.
#[inline]
pub fn beginning(id: &CoinId) -> u64 {
    u64::from_be_bytes(*id.0.first_chunk().expect("8 of 32 bytes"))
}

impl Places {
    /// Of the elements' first eight bytes, ascending; less than 2³² of them.
    pub fn of(beginnings: impl ExactSizeIterator<Item = u64>) -> Self {
        let count = beginnings.len();
        let bits = (count / ELEMENTS_PER_START).checked_ilog2().unwrap_or(0);
        let mut starts: Vec<u32> = Vec::with_capacity((1 << bits) + 1);
        for (at, beginning) in (0..).zip(beginnings) {
            let first_bits = first_bits(beginning, bits);
            while starts.len() <= first_bits {
                starts.push(at);
            }
        }
        starts.resize((1 << bits) + 1, u32::try_from(count).expect("no list has 2³² elements"));
        Places { bits, starts }
    }

    /// Of the first element that is not before the one sought, which begins with `beginning`. `is_before` holds of an element that
    /// begins lower, and of none that begins higher.
    #[inline]
    pub fn position(&self, beginning: u64, is_before: impl Fn(usize) -> bool) -> usize {
        let first_bits = first_bits(beginning, self.bits);
        let (mut low, mut high) = (self.starts[first_bits] as usize, self.starts[first_bits + 1] as usize);
        while low < high {
            let middle = low + (high - low) / 2;
            (low, high) = if is_before(middle) { (middle + 1, high) } else { (low, middle) };
        }
        low
    }
}

#[inline]
fn first_bits(beginning: u64, bits: u32) -> usize {
    // In two steps: no bits are none of 64.
    ((beginning >> 1) >> (63 - bits)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_element_is_found_where_a_plain_search_finds_it(
            spread: Vec<u64>,
            alike in prop::collection::vec(any::<u8>(), 0..300),
            sought: Vec<u64>,
        ) {
            // Evenly spread, all at one end, and many times the same.
            let low: Vec<u64> = alike.iter().map(|byte| u64::from(*byte)).collect();
            let high: Vec<u64> = alike.iter().map(|byte| u64::MAX - u64::from(*byte / 4)).collect();
            let both = [spread.clone(), low.clone()].concat();
            for mut list in [spread, low, high, both, vec![]] {
                list.sort_unstable();
                let places = Places::of(list.iter().copied());
                for sought in list.iter().chain(&sought).copied().chain([0, 1, u64::MAX]) {
                    let first = places.position(sought, |at| list[at] < sought);
                    prop_assert_eq!(first, list.partition_point(|element| *element < sought));
                    let behind = places.position(sought, |at| list[at] <= sought);
                    prop_assert_eq!(behind, list.partition_point(|element| *element <= sought));
                }
            }
        }
    }
}
