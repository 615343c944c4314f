//! LIBSVM text.

use thalweg_std::data::libsvm::{self, Options, Qid, ZeroBased};
use thalweg_std::data::{Limits, SparseDataset, TargetKind};

const LIMITS: Limits = Limits {
    bytes: 1 << 16,
    line_bytes: 1 << 12,
    rows: 1 << 10,
    columns: 1 << 10,
    values: 1 << 12,
    classes: 1 << 6,
};

/// What is accepted has ascending columns in range, is what a plain split of the text gives, and survives being
/// written and read.
pub fn check(bytes: &[u8]) {
    let zero_based = [ZeroBased::Auto, ZeroBased::Yes, ZeroBased::No][bytes.len() % 3];
    let qid = [Qid::Keep, Qid::Skip][bytes.len() / 3 % 2];
    for targets in [TargetKind::Class, TargetKind::Real] {
        let options = Options {
            targets,
            columns: None,
            zero_based,
            qid,
            limits: LIMITS,
        };
        let Ok(data) = libsvm::read(bytes, "fuzz", &options) else {
            continue;
        };
        sizes_agree(&data);
        plain_text_splits_alike(bytes, &options, &data);

        let mut written = Vec::new();
        libsvm::write(&data, &mut written).expect("a vector takes all");
        // Shorter text may print longer: 1e38 has 39 digits.
        let wide = Limits {
            bytes: 1 << 24,
            line_bytes: 1 << 20,
            ..LIMITS
        };
        let options = Options {
            zero_based: ZeroBased::No,
            qid: Qid::Keep,
            limits: wide,
            ..options
        };
        let again = libsvm::read(&written[..], "fuzz", &options).expect("own output");
        assert_eq!(again, data);
    }
}

fn sizes_agree(data: &SparseDataset) {
    let csr = &data.features;
    assert!(csr.rows() > 0 && csr.rows() <= LIMITS.rows);
    assert!(csr.columns() > 0 && csr.columns() <= LIMITS.columns);
    assert_eq!(data.targets.len(), Some(csr.rows()));
    assert!(data.query_ids.is_empty() || data.query_ids.len() == csr.rows());
    let mut non_zeros = 0;
    for i in 0..csr.rows() {
        let (columns, values) = csr.row(i).expect("a row");
        assert_eq!(columns.len(), values.len());
        assert!(columns.is_sorted_by(|a, b| a < b));
        assert!(columns.iter().all(|&j| (j as usize) < csr.columns()));
        assert!(values.iter().all(|value| value.is_finite()));
        non_zeros += columns.len();
    }
    assert_eq!(non_zeros, csr.non_zeros());
    assert!(csr.row(csr.rows()).is_none());

    if let Ok(dense) = data.to_dense(&LIMITS) {
        assert_eq!((dense.rows(), dense.columns()), (csr.rows(), csr.columns()));
        let sum = |values: &[f32]| values.iter().map(|&x| f64::from(x)).sum::<f64>();
        for i in 0..csr.rows() {
            // Zeros in between change no partial sum.
            assert_eq!(
                sum(dense.row(i).expect("a row")),
                sum(csr.row(i).expect("a row").1)
            );
        }
    }
}

/// Compares with the simplest reader there is.
fn plain_text_splits_alike(bytes: &[u8], options: &Options, data: &SparseDataset) {
    if !bytes.is_ascii() || bytes.starts_with(&[0x1f]) {
        return;
    }
    let text = std::str::from_utf8(bytes).expect("ASCII");
    let mut rows: Vec<Vec<(u32, f32)>> = Vec::new();
    let mut queries = Vec::new();
    for line in text.split('\n') {
        let line = line.split('#').next().unwrap_or(line);
        let mut words = line.split_ascii_whitespace();
        if words.next().is_none() {
            continue;
        }
        let pairs = words.map(|word| word.split_once(':').expect("pair"));
        let pairs = pairs.filter(|(index, query)| {
            let is_query = *index == "qid";
            queries.extend(is_query.then(|| query.to_string()));
            !is_query
        });
        let pairs = pairs.map(|(j, x)| (j.parse().expect("index"), x.parse().expect("value")));
        rows.push(pairs.collect());
    }
    let has_zero = rows.iter().flatten().any(|pair| pair.0 == 0);
    let first = match options.zero_based {
        ZeroBased::Auto => u32::from(!has_zero),
        ZeroBased::Yes => 0,
        ZeroBased::No => 1,
    };
    assert_eq!(rows.len(), data.features.rows());
    for (i, pairs) in rows.iter().enumerate() {
        let (columns, values) = data.features.row(i).expect("a row");
        assert!(
            pairs
                .iter()
                .map(|pair| pair.0 - first)
                .eq(columns.iter().copied())
        );
        assert!(pairs.iter().map(|pair| pair.1).eq(values.iter().copied()));
    }
    if options.qid == Qid::Keep {
        let queries = queries
            .iter()
            .map(|query| query.parse::<i64>().expect("query"));
        assert!(queries.eq(data.query_ids.iter().copied()));
    }
}
