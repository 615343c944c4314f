//! Images with signs: odd against even, a fixed pattern, and one class against another.

use thalweg::random::{self, Purpose};
use thalweg_std::data::{Dataset, digits};

use crate::cli::{Failure, bad, input};
use crate::source::Source;

/// Rows of numbers with classes.
#[derive(Clone, Debug, Default)]
pub struct Images {
    columns: usize,
    features: Vec<f64>,
    classes: Vec<u32>,
}

/// Rows with labels of -1 and 1.
#[derive(Clone, Debug, Default)]
pub struct Signs {
    /// Numbers of a row.
    pub columns: usize,
    /// Rows of norm `sqrt(columns)`.
    pub features: Vec<f64>,
    /// A sign each.
    pub labels: Vec<f64>,
}

/// What is learned from and what is judged by.
#[derive(Clone, Debug)]
pub struct Data {
    /// What they are called.
    pub name: String,
    /// Rows to learn from.
    pub train: Images,
    /// Rows to be judged by; none where they are taken from those to learn from.
    pub test: Option<Images>,
}

/// Mean and deviation of the pixels of the digits in the repository, after division by 16.
const DIGITS: [f64; 2] = [0.3053, 0.3760];

impl Images {
    /// All rows, less a mean and over a deviation.
    fn new(data: &Dataset, [mean, deviation]: [f64; 2]) -> Self {
        let scaled = |&x: &f32| (f64::from(x) - mean) / deviation;
        Self {
            columns: data.columns(),
            features: data.features().iter().map(scaled).collect(),
            classes: data.labels().to_vec(),
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// No rows.
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    /// Rows at these positions, with the sign that `sign` gives to position and class.
    fn signed(&self, rows: impl Iterator<Item = usize>, sign: impl Fn(usize, u32) -> f64) -> Signs {
        let mut signs = Signs {
            columns: self.columns,
            ..Signs::default()
        };
        for i in rows {
            let row = self.features.iter().skip(i * self.columns);
            let row: Vec<f64> = row.take(self.columns).copied().collect();
            let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt();
            let scale = (self.columns as f64).sqrt() / norm;
            signs.features.extend(row.iter().map(|x| x * scale));
            let class = self.classes.get(i).copied().unwrap_or_default();
            signs.labels.push(sign(i, class));
        }
        signs
    }

    /// The first rows: odd classes are positive, even ones negative.
    pub fn parity(&self, n: usize) -> Signs {
        self.signed(0..n.min(self.len()), |_, class| {
            if class % 2 == 1 { 1.0 } else { -1.0 }
        })
    }

    /// The first rows with signs that have nothing to do with them: positive where `(7919 i + 13) mod 97 < 48`.
    pub fn pattern(&self, n: usize) -> Signs {
        self.signed(0..n.min(self.len()), |i, _| {
            if (7919 * i + 13) % 97 < 48 { 1.0 } else { -1.0 }
        })
    }

    /// Positions of a class, in an order that the seed draws.
    fn shuffled(&self, class: u32, seed: u64) -> Vec<usize> {
        let rows = self.classes.iter().enumerate();
        let mut rows: Vec<usize> = rows.filter(|(_, c)| **c == class).map(|(i, _)| i).collect();
        let mut rng = random::stream(seed, u64::from(class), 0, Purpose::DATA);
        random::shuffle(&mut rng, &mut rows);
        rows
    }
}

impl Signs {
    /// Number of rows.
    pub const fn len(&self) -> usize {
        self.labels.len()
    }

    /// No rows.
    pub const fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}

impl Data {
    /// The digits in the repository, or other data, whose pixels are scaled by the mean and deviation of their training rows.
    ///
    /// # Errors
    /// What the reader says.
    pub fn load(source: &Source, seed: u64) -> Result<Self, Failure> {
        if source.data.is_none() {
            let mut data = digits().map_err(input)?;
            data.scale(1.0 / 16.0);
            return Ok(Self {
                name: "UCI digits".to_owned(),
                train: Images::new(&data, DIGITS),
                test: None,
            });
        }
        let data = source.load(seed)?;
        let pixels = data.train.features().iter().map(|&x| f64::from(x));
        let n = pixels.len() as f64;
        let mean = pixels.clone().sum::<f64>() / n;
        let variance = pixels.map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
        if variance == 0.0 {
            return Err(bad("data", data.name, "has equal numbers in all rows"));
        }
        let scale = [mean, variance.sqrt()];
        Ok(Self {
            name: data.name,
            train: Images::new(&data.train, scale),
            test: Some(Images::new(&data.test, scale)),
        })
    }

    /// Two classes, the second positive: as many rows of either, one more of the second where `train` is odd.
    ///
    /// # Errors
    /// Classes that are equal or of which there are too few rows.
    pub fn pair(
        &self,
        classes: [u32; 2],
        [train, test]: [usize; 2],
        seed: u64,
    ) -> Result<[Signs; 2], Failure> {
        let [negative, positive] = classes;
        if negative == positive {
            return Err(bad("classes", positive, "must be two different classes"));
        }
        let judged = self.test.as_ref().unwrap_or(&self.train);
        let rows = |of: &Images, skip: usize, n: usize| -> Result<Vec<usize>, Failure> {
            let mut rows = Vec::new();
            for (class, n) in [(negative, n / 2), (positive, n.div_ceil(2))] {
                let all = of.shuffled(class, seed);
                let skip = skip.min(1)
                    * if class == negative {
                        train / 2
                    } else {
                        train.div_ceil(2)
                    };
                if all.len() < skip + n {
                    let rule = format!("has {} rows, of which {} are needed", all.len(), skip + n);
                    return Err(bad("classes", class, &rule));
                }
                rows.extend(all.iter().skip(skip).take(n));
            }
            Ok(rows)
        };
        let sign = |_, class| if class == positive { 1.0 } else { -1.0 };
        let learned = rows(&self.train, 0, train)?;
        // Of one set the rows behind those to learn from.
        let tested = rows(judged, usize::from(self.test.is_none()), test)?;
        Ok([
            self.train.signed(learned.into_iter(), sign),
            judged.signed(tested.into_iter(), sign),
        ])
    }
}
