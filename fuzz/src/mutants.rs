//! Seeded mutants of seeds: what the quick tests run instead of libFuzzer.

/// SplitMix64: the same seed gives the same run.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).expect("fits");
        usize::try_from(self.next() % bound).expect("below a usize")
    }

    /// Any byte, and more often one that lengths and counts are sensitive to.
    pub fn byte(&mut self) -> u8 {
        const SENSITIVE: [u8; 8] = [0, 1, 2, 0x7e, 0x7f, 0x80, 0xfe, 0xff];
        match self.below(3) {
            0 => SENSITIVE[self.below(SENSITIVE.len())],
            _ => u8::try_from(self.next() & 0xff).expect("one byte"),
        }
    }
}

/// `seed` with one to six changes: bytes replaced, put in, taken out, repeated, or the end cut off.
pub fn mutant(seed: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(6) {
        if bytes.is_empty() {
            bytes.push(random.byte());
        }
        let at = random.below(bytes.len());
        let end = (at + 1 + random.below(12)).min(bytes.len());
        match random.below(8) {
            0 => bytes.insert(at, random.byte()),
            1 => drop(bytes.drain(at..end)),
            2 => bytes.extend_from_within(at..end),
            3 if random.below(4) == 0 => bytes.truncate(at),
            4 => bytes[at..end].fill(random.byte()),
            _ => bytes[at] = random.byte(),
        }
    }
    bytes
}

/// Runs each seed and `each` mutants of it, the same every time.
pub fn run_mutants(seeds: &[Vec<u8>], each: usize, run: fn(&[u8])) {
    let mut random = Random(1);
    for seed in seeds {
        run(seed);
        (0..each).for_each(|_| run(&mutant(seed, &mut random)));
    }
}
