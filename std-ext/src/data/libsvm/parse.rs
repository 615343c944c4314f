//! From lines to rows.

use super::{Options, Qid, ZeroBased};
use crate::data::decimal::Decimal;
use crate::data::error::{DataError, excerpt};
use crate::data::input::{Input, number};
use crate::data::sparse::{Csr, SparseDataset};
use crate::data::targets::TargetBuilder;

pub(super) fn parse(mut input: Input<'_>, options: &Options) -> Result<SparseDataset, DataError> {
    let limits = &options.limits;
    let mut targets = TargetBuilder::new(options.targets);
    let mut query_ids = Vec::new();
    // Indices as in the file, until all are known.
    let mut csr = Csr {
        columns: 0,
        starts: vec![0],
        indices: Vec::new(),
        values: Vec::new(),
    };
    let mut line = Vec::new();
    while input.line(&mut line)? {
        input.check_line_end(&line, false)?;
        let mut tokens = tokens(&line).peekable();
        let Some((at, label)) = tokens.next() else {
            continue;
        };
        let rows = csr.rows();
        input.cap(Input::line_place, "rows", rows + 1, limits.rows)?;
        check_label(&input, &line, at, label)?;
        targets
            .push(label)
            .map_err(|expected| unexpected(&input, at, "label", label, expected))?;
        input.cap(
            Input::line_place,
            "classes",
            targets.classes(),
            limits.classes,
        )?;
        let query = tokens.next_if(|(_, token)| token.starts_with(b"qid:"));
        keep_query(&input, query, options.qid, rows, &mut query_ids)?;

        let mut previous = None;
        for (at, token) in tokens {
            let (index, value) = pair(&input, at, token, previous, options)?;
            previous = Some(index);
            let stored = csr.values.len() + 1;
            input.cap(Input::line_place, "values", stored, limits.values)?;
            // Below the cap on columns, which is below 2^32.
            csr.indices.push(index as u32);
            csr.values.push(value);
        }
        csr.starts.push(csr.values.len());
    }
    if csr.rows() == 0 {
        return Err(DataError::Empty {
            place: input.whole(),
            what: "rows",
        });
    }
    count_columns(&mut csr, &input, options)?;
    Ok(SparseDataset {
        features: csr,
        targets: targets.finish(),
        query_ids,
    })
}

/// Most columns that may be stored.
fn widest(options: &Options) -> usize {
    let limit = options.limits.columns.min(u32::MAX as usize);
    options.columns.map_or(limit, |columns| columns.min(limit))
}

/// Decides what the first index is, and makes indices columns from 0.
fn count_columns(csr: &mut Csr, input: &Input<'_>, options: &Options) -> Result<(), DataError> {
    let is_zero_based = match options.zero_based {
        ZeroBased::Auto => csr.indices.contains(&0),
        ZeroBased::Yes => true,
        ZeroBased::No => false,
    };
    if !is_zero_based {
        for index in &mut csr.indices {
            *index -= 1;
        }
    }
    let largest = csr.indices.iter().max();
    let needed = largest.map_or(0, |&column| column as usize + 1);
    if let Some(asked) = options.columns.filter(|&asked| needed > asked) {
        return Err(DataError::Count {
            place: input.whole(),
            what: "columns, since an index of 0 occurs",
            expected: asked as u64,
            found: needed as u64,
        });
    }
    input.cap(Input::whole, "columns", needed, widest(options))?;
    csr.columns = options.columns.unwrap_or(needed);
    if csr.columns == 0 {
        return Err(DataError::Empty {
            place: input.whole(),
            what: "features",
        });
    }
    Ok(())
}

/// Refuses what stands in the place of a label in other formats by their names.
fn check_label(input: &Input<'_>, line: &[u8], at: usize, label: &[u8]) -> Result<(), DataError> {
    let misread = |found: String, cure: &str| {
        Err(DataError::Misread {
            place: input.column_place(at),
            found,
            cure: cure.into(),
        })
    };
    if Decimal::is_plain(label) {
        return Ok(());
    }
    let text = excerpt(label);
    if label.contains(&b':') {
        return misread(
            format!("a row without a label, `{text}` stands in its place"),
            "put a label first; multilabel files, which have such rows, are not read",
        );
    }
    if label.contains(&b',') && !line.contains(&b':') {
        return misread(
            format!("`{text}` and no `index:value`, as in a CSV file"),
            "read it as CSV",
        );
    }
    if label.contains(&b',') {
        return misread(
            format!("the label `{text}` is a list, as in a multilabel file"),
            "only files with one label a row are read",
        );
    }
    match Decimal::parse(label) {
        Some(_) => Ok(()),
        None => Err(unexpected(input, at, "label", label, "a finite number")),
    }
}

/// Takes the query of a row after `rows` others, or its absence.
fn keep_query(
    input: &Input<'_>,
    query: Option<(usize, &[u8])>,
    qid: Qid,
    rows: usize,
    query_ids: &mut Vec<i64>,
) -> Result<(), DataError> {
    let Some((at, token)) = query else {
        if query_ids.is_empty() {
            return Ok(());
        }
        return Err(DataError::Misread {
            place: input.line_place(),
            found: "a row without `qid:` behind rows with one".into(),
            cure: "add it, or set `Options::qid` to skip all".into(),
        });
    };
    match qid {
        Qid::Skip => Ok(()),
        Qid::Refuse => Err(DataError::Misread {
            place: input.column_place(at),
            found: format!(
                "`{}` as in a file for ranking, whose rows belong to queries",
                excerpt(token)
            ),
            cure: "set `Options::qid` to read such files".into(),
        }),
        Qid::Keep if query_ids.len() < rows => Err(DataError::Misread {
            place: input.column_place(at),
            found: "a row with `qid:` behind rows without one".into(),
            cure: "take it out, or set `Options::qid` to skip all".into(),
        }),
        Qid::Keep => {
            let number = token.get(4..).unwrap_or_default();
            let number = std::str::from_utf8(number).map(str::parse);
            let Ok(Ok(number)) = number else {
                let expected = "`qid:` and an integer of 64 bits";
                return Err(unexpected(input, at, "query", token, expected));
            };
            query_ids.push(number);
            Ok(())
        }
    }
}

/// Reads `index:value`; the index as in the file.
fn pair(
    input: &Input<'_>,
    at: usize,
    token: &[u8],
    previous: Option<usize>,
    options: &Options,
) -> Result<(usize, f32), DataError> {
    let unexpected = |what, part, expected| unexpected(input, at, what, part, expected);
    let colon = token.iter().position(|&byte| byte == b':');
    let (index, value) = colon
        .and_then(|colon| token.split_at_checked(colon))
        .ok_or_else(|| unexpected("pair", token, "`index:value`"))?;
    let value = value.get(1..).unwrap_or_default();
    if index == b"qid" {
        return Err(unexpected(
            "pair",
            token,
            "`qid:` behind the label only, once a row",
        ));
    }
    let expected = match options.zero_based {
        ZeroBased::No => "an integer from 1",
        ZeroBased::Auto | ZeroBased::Yes => "an integer from 0",
    };
    let text = std::str::from_utf8(index).map(str::parse::<usize>);
    let Ok(Ok(column)) = text else {
        return Err(unexpected("index", index, expected));
    };
    if column == 0 && options.zero_based == ZeroBased::No {
        return Err(unexpected(
            "index",
            index,
            "an integer from 1; files that count from 0 are read by `Options::zero_based`",
        ));
    }
    if previous.is_some_and(|previous| column <= previous) {
        return Err(unexpected(
            "index",
            index,
            "an index above the one before it",
        ));
    }
    // Where the first index is not known yet, it is 1: so many columns there are at least.
    let needed = column.saturating_add(usize::from(options.zero_based == ZeroBased::Yes));
    if options.columns.is_some_and(|columns| needed > columns) {
        return Err(unexpected(
            "index",
            index,
            "an index within the columns asked for",
        ));
    }
    input.cap(
        |input| input.column_place(at),
        "columns",
        needed,
        widest(options),
    )?;
    let value = number(value).map_err(|expected| unexpected("value", value, expected))?;
    Ok((column, value))
}

fn unexpected(
    input: &Input<'_>,
    at: usize,
    what: &'static str,
    found: &[u8],
    expected: &'static str,
) -> DataError {
    DataError::Unexpected {
        place: input.column_place(at),
        what,
        found: excerpt(found),
        expected,
    }
}

/// The words of a line before its comment, each with the byte at which it starts.
fn tokens(line: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let end = line
        .iter()
        .position(|&byte| byte == b'#')
        .unwrap_or(line.len());
    let mut at = 0;
    line.get(..end)
        .unwrap_or(line)
        .split(u8::is_ascii_whitespace)
        .filter_map(move |word| {
            let start = at;
            at += word.len() + 1;
            (!word.is_empty()).then_some((start, word))
        })
}
