//! Repeatable chance, and how sure a measured share is.

/// SplitMix64: the same numbers on every machine.
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn happens(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// An index, each as likely as its weight.
    pub fn weighted(&mut self, weights: &[f64]) -> usize {
        let mut at = self.unit() * weights.iter().sum::<f64>();
        for (index, weight) in weights.iter().enumerate() {
            at -= weight;
            if at < 0.0 {
                return index;
            }
        }
        weights.len() - 1
    }

    /// Between the given quantiles evenly in the logarithm.
    pub fn quantile(&mut self, quantiles: &[(f64, f64)]) -> f64 {
        let at = self.unit();
        let upper = quantiles.iter().position(|(share, _)| *share > at).unwrap_or(quantiles.len() - 1).max(1);
        let ((from, low), (to, high)) = (quantiles[upper - 1], quantiles[upper]);
        let part = ((at - from) / (to - from)).clamp(0.0, 1.0);
        (low.ln() + part * (high.ln() - low.ln())).exp()
    }
}

/// What a strategy reached, against what a guess without looking reaches on the same challenges.
#[derive(Clone, Copy, Default)]
pub struct Score {
    pub asked: u64,
    pub right: u64,
    /// Sum over the challenges of the chance of a blind guess.
    pub blind: f64,
}

impl Score {
    pub fn add(&mut self, right: bool, blind: f64) {
        self.asked += 1;
        self.right += u64::from(right);
        self.blind += blind;
    }

    pub fn merge(&mut self, other: &Score) {
        self.asked += other.asked;
        self.right += other.right;
        self.blind += other.blind;
    }

    pub fn share(&self) -> f64 {
        self.right as f64 / self.asked.max(1) as f64
    }

    pub fn blind_share(&self) -> f64 {
        self.blind / self.asked.max(1) as f64
    }

    /// |P(right) − P(blind)|, `scale` times.
    pub fn advantage(&self, scale: f64) -> f64 {
        scale * (self.share() - self.blind_share()).abs()
    }

    /// Half of the 95 % interval of the advantage.
    pub fn half_width(&self, scale: f64) -> f64 {
        // Agresti–Coull: no interval of width zero where every guess was right.
        let asked = self.asked as f64 + 4.0;
        let share = (self.right as f64 + 2.0) / asked;
        scale * 1.96 * (share * (1.0 - share) / asked).sqrt()
    }
}
