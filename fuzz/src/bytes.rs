//! Choices of a fuzzer, read from its bytes.

/// What is left of the bytes; zeros follow them.
#[derive(Debug)]
pub struct Bytes<'a>(pub &'a [u8]);

impl Bytes<'_> {
    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let (&first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        first
    }

    /// True for one byte in `n`, zero among them.
    pub fn rarely(&mut self, n: u8) -> bool {
        self.byte().is_multiple_of(n)
    }

    /// A short length.
    pub fn len(&mut self) -> usize {
        usize::from(self.byte() % 40)
    }

    /// All bytes have been read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A number: some are special, the others between -2 and 2.
    pub fn real(&mut self) -> f64 {
        match self.byte() {
            0 => f64::from(f32::MAX),
            1 => -f64::from(f32::MAX),
            2 => f64::NAN,
            3 => f64::INFINITY,
            4 => 1e30,
            5 => 1e-45,
            6 => -1.0,
            7 => 0.0,
            8 => 1e300,
            9 => 5e-324,
            byte => (f64::from(byte) - 128.0) / 64.0,
        }
    }

    /// So many numbers.
    pub fn reals(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.real() as f32).collect()
    }

    /// A count: small, or at an end of its range.
    pub fn count(&mut self) -> u64 {
        match self.byte() {
            250 => u64::MAX,
            251 => 1 << 62,
            252 => (1 << 53) + 1,
            253 => 1 << 32,
            254 => u32::MAX.into(),
            255 => (1 << 31) + u64::from(self.byte()),
            byte => u64::from(byte % 24),
        }
    }
}
