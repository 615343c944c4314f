//! Holds the public functions of `thalweg` against the sources of the suite, so that a new kernel cannot be forgotten.
//!
//! A scan of text, not of meaning: the name of every public function must occur as a word in the suite; a name
//! that several modules share, with its module or the folder of that (`sgd::step`, `wire::frame_len`); a method,
//! together with its type.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Names that the suite need not call.
const EXEMPT: &[(&str, &str)] = &[
    ("simd::dispatch", "every kernel goes through it"),
    (
        "simd::force",
        "chooses the level; the host's binary calls it",
    ),
    (
        "simd::level",
        "tells the level, which differs between targets",
    ),
    ("simd::update", "every kernel goes through it"),
    ("simd::sum", "every kernel goes through it"),
    ("simd::prefetch", "no result"),
    ("Level::is_available", "differs between targets"),
    (
        "error::check",
        "checks of arguments are inside every kernel",
    ),
    (
        "error::check_length",
        "checks of arguments are inside every kernel",
    ),
    (
        "error::check_scratch",
        "checks of arguments are inside every kernel",
    ),
];

/// A public function: the type or module that it belongs to, and its name.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Item {
    owner: String,
    folder: String,
    name: String,
    is_method: bool,
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// The identifier at the start of a text.
fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

/// The type of a line `impl<...> Type<...> {`; `None` for the implementation of a trait.
fn implemented(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("impl")?;
    let mut depth = 0;
    let start = rest.find(|c| {
        depth += i32::from(c == '<') - i32::from(c == '>');
        depth == 0 && (c == ' ' || c == '>')
    })?;
    let rest = rest[start + 1..].trim_start();
    (!rest.contains(" for ")).then(|| identifier(rest))
}

/// Public functions of a file, up to its tests.
fn items(file: &Path) -> Vec<Item> {
    let text = fs::read_to_string(file).unwrap();
    let module = file.file_stem().unwrap().to_str().unwrap();
    let folder = file.parent().and_then(Path::file_stem).unwrap();
    let (mut owner, mut found) = (None, Vec::new());
    for line in text.lines().take_while(|line| *line != "#[cfg(test)]") {
        if let Some(name) = implemented(line) {
            owner = Some(name.to_owned());
        } else if line == "}" {
            owner = None;
        }
        let function = line.trim_start().strip_prefix("pub ");
        let function = function.map(|rest| rest.strip_prefix("const ").unwrap_or(rest));
        let Some(name) = function.and_then(|rest| rest.strip_prefix("fn ")) else {
            continue;
        };
        let name = identifier(name);
        // A macro's `$name` is no name; what it makes is listed by the macro's caller.
        if !name.is_empty() {
            let is_method = line.starts_with(' ');
            let of = if is_method { owner.clone() } else { None };
            found.push(Item {
                owner: of.unwrap_or_else(|| module.to_owned()),
                folder: folder.to_str().unwrap().to_owned(),
                name: name.to_owned(),
                is_method,
            });
        }
    }
    found
}

fn words(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .collect()
}

#[test]
fn every_public_function_of_the_crate_is_in_the_suite() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut core, mut suite) = (Vec::new(), Vec::new());
    sources(&home.join("../../../core/src"), &mut core);
    sources(&home.join("src/cases"), &mut suite);
    let suite: String = suite
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    let words = words(&suite);
    // Backends and helpers of tests are behind the public functions.
    let core = core.iter().filter(|file| {
        let text = file.to_str().unwrap();
        !text.ends_with("tests.rs") && !text.ends_with("testing.rs") && !text.contains("simd/x86")
    });
    let items: BTreeSet<Item> = core.flat_map(|file| items(file)).collect();
    assert!(items.len() > 300, "only {} functions found", items.len());

    let mut modules = BTreeMap::<&str, usize>::new();
    for item in items.iter().filter(|item| !item.is_method) {
        *modules.entry(&item.name).or_default() += 1;
    }
    let missing: Vec<String> = items
        .iter()
        .filter(|item| {
            let path = format!("{}::{}", item.owner, item.name);
            let exempt = EXEMPT.iter().any(|(name, _)| {
                *name == path || name.strip_prefix("simd::") == Some(item.name.as_str())
            });
            let named = words.contains(item.name.as_str());
            let covered = if item.is_method {
                named && (words.contains(item.owner.as_str()) || !starts_upper(&item.owner))
            } else {
                let longer = format!("{}::{}", item.folder, item.name);
                let qualified = suite.contains(&path) || suite.contains(&longer);
                named && (modules[item.name.as_str()] == 1 || qualified)
            };
            !covered && !exempt
        })
        .map(|item| format!("{}::{}", item.owner, item.name))
        .collect();
    assert!(missing.is_empty(), "the suite does not call {missing:#?}");
}

/// Methods made by macros have a module for an owner.
fn starts_upper(name: &str) -> bool {
    name.starts_with(char::is_uppercase)
}

#[test]
fn the_scan_reads_functions_methods_and_implementations() {
    assert_eq!(
        implemented("impl<T: Real, B: Storage<Elem = T>> Client<B> {"),
        Some("Client")
    );
    assert_eq!(implemented("impl Sign {"), Some("Sign"));
    assert_eq!(implemented("impl<T: Real> Compressor<T> for Sign {"), None);
    assert_eq!(identifier("step<T: Real>("), "step");
}
