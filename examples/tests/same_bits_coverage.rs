//! Holds the public functions of `thalweg` against the sources of the same-bits suite, so that a new kernel cannot be forgotten.
//!
//! A scan of text, not of meaning. The text is that of the suite's cases without comments, imports and
//! literals. A public function must occur in it by name, where several modules share the name with its module or
//! the folder of that (`sgd::step`, `wire::frame_len`); a method must be called, and
//! its type named; for every public type that implements a public trait of the crate, the type must be named and each
//! method of the trait called.
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

/// Traits whose methods are the inside of kernels, or have no arithmetic.
const EXEMPT_TRAITS: &[(&str, &str)] = &[
    ("Lanes", "kernels are written with it"),
    ("BitLanes", "kernels are written with it"),
    ("Mask", "kernels are written with it"),
    ("Simd", "chooses the lanes"),
    ("Kernel", "simd::dispatch calls it"),
    ("Map", "simd::map calls it"),
    ("Update", "simd::update calls it"),
    ("Sum", "simd::sum calls it"),
    ("Storage", "lends a slice"),
    ("Fixed", "zeros"),
    ("Zeroed", "zeros"),
    ("Real", "the numbers themselves"),
    ("Exp", "coefficients of simd::math"),
    ("Ln", "coefficients of simd::math"),
    ("Erf", "coefficients of simd::math"),
    ("Normal", "coefficients of simd::math"),
    ("SinCos", "coefficients of simd::math"),
    ("Protocol", "the functions of federated::estimator call it"),
    ("Word", "Snapshot::save and restore call it"),
    ("Flash", "Slots calls it"),
    ("Driver", "sums over pairs of particles call it"),
    ("Recipe", "stein::general calls it"),
    ("Landscape", "limit_flow calls it"),
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

/// The last name of a path, without generic arguments.
fn last(path: &str) -> &str {
    let path = path.split(['<', ' ', '{']).next().unwrap_or(path);
    identifier(path.rsplit("::").next().unwrap_or(path))
}

/// The trait, if any, and the type of a line `impl<...> Trait<...> for Type<...> {`.
fn implemented(line: &str) -> Option<(Option<&str>, &str)> {
    let rest = line.strip_prefix("impl")?;
    let mut depth = 0;
    let start = rest.find(|c| {
        depth += i32::from(c == '<') - i32::from(c == '>');
        depth == 0 && (c == ' ' || c == '>')
    })?;
    let rest = rest[start + 1..].trim_start();
    Some(match rest.split_once(" for ") {
        Some((of, on)) => (Some(last(of)), last(on)),
        None => (None, identifier(rest)),
    })
}

/// Public functions of a file, up to its tests.
fn items(file: &Path) -> Vec<Item> {
    let text = fs::read_to_string(file).unwrap();
    let module = file.file_stem().unwrap().to_str().unwrap();
    let folder = file.parent().and_then(Path::file_stem).unwrap();
    let (mut owner, mut found) = (None, Vec::new());
    for line in text.lines().take_while(|line| *line != "#[cfg(test)]") {
        if let Some((of, on)) = implemented(line) {
            owner = of.is_none().then(|| on.to_owned());
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

/// Public traits with their methods, and which type implements which trait.
fn traits(file: &Path, methods: &mut BTreeSet<[String; 2]>, on: &mut BTreeSet<[String; 2]>) {
    let text = fs::read_to_string(file).unwrap();
    let mut owner: Option<&str> = None;
    for line in text.lines().take_while(|line| *line != "#[cfg(test)]") {
        if let Some(rest) = line.strip_prefix("pub trait ") {
            owner = Some(identifier(rest));
        } else if line == "}" {
            owner = None;
        } else if let Some((Some(of), ty)) = implemented(line) {
            on.insert([of.to_owned(), ty.to_owned()]);
        }
        let function = line
            .strip_prefix("    ")
            .map(|line| line.strip_prefix("const ").unwrap_or(line));
        if let (Some(owner), Some(rest)) = (owner, function.and_then(|f| f.strip_prefix("fn "))) {
            methods.insert([owner.to_owned(), identifier(rest).to_owned()]);
        }
    }
}

fn words(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .collect()
}

/// Occurs as `name(`, `name::<`, or at the end of a path.
fn is_called(suite: &str, name: &str) -> bool {
    suite.match_indices(name).any(|(at, _)| {
        let (before, after) = (&suite[..at], &suite[at + name.len()..]);
        let is_inside = |c: char| c.is_alphanumeric() || c == '_';
        !before.ends_with(is_inside)
            && !after.starts_with(is_inside)
            && !before.ends_with("fn ")
            && (after.starts_with('(') || after.starts_with("::<") || before.ends_with("::"))
    })
}

/// Rust without comments, imports and the text of string literals.
fn bare(text: &str) -> String {
    let mut out = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let code = line.trim_start();
        if code.starts_with("//") {
            continue;
        }
        if code.starts_with("use ") {
            let mut end = code;
            while !end.trim_end().ends_with(';') {
                end = lines.next().unwrap();
            }
            continue;
        }
        // Every other piece between quotes; the cases escape none.
        out.extend(code.split('"').step_by(2));
        out.push('\n');
    }
    out
}

/// Files of the crate, but for backends and helpers of tests, and the text of the suite.
fn read() -> (Vec<PathBuf>, String) {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut core, mut suite) = (Vec::new(), Vec::new());
    sources(&home.join("../core/src"), &mut core);
    sources(&home.join("same-bits/suite/src/cases"), &mut suite);
    core.retain(|file| {
        let text = file.to_str().unwrap();
        let is_test = text.ends_with("tests.rs") || text.ends_with("testing.rs");
        !is_test && !text.contains("/tests/") && !text.contains("simd/x86")
    });
    let text = suite.iter().map(|file| fs::read_to_string(file).unwrap());
    (core, text.map(|text| bare(&text)).collect())
}

#[test]
fn every_public_function_of_the_crate_is_in_the_suite() {
    let (core, suite) = read();
    let words = words(&suite);
    let items: BTreeSet<Item> = core.iter().flat_map(|file| items(file)).collect();
    assert!(items.len() > 300, "only {} functions found", items.len());

    let mut modules = BTreeMap::<&str, usize>::new();
    for item in items.iter().filter(|item| !item.is_method) {
        *modules.entry(&item.name).or_default() += 1;
    }
    let missing: Vec<String> = items
        .iter()
        .filter(|item| {
            let path = format!("{}::{}", item.owner, item.name);
            let longer = format!("{}::{}", item.folder, item.name);
            // A method is exempt by its type, a function by its module or the folder of that.
            let is = |name: &str| name == path || (!item.is_method && name == longer);
            let exempt = EXEMPT.iter().any(|(name, _)| is(name));
            let covered = if item.is_method {
                is_called(&suite, &item.name)
                    && (words.contains(item.owner.as_str()) || !starts_upper(&item.owner))
            } else {
                let qualified = suite.contains(&path) || suite.contains(&longer);
                words.contains(item.name.as_str())
                    && (modules[item.name.as_str()] == 1 || qualified)
            };
            !covered && !exempt
        })
        .map(|item| format!("{}::{}", item.owner, item.name))
        .collect();
    assert!(missing.is_empty(), "the suite does not call {missing:#?}");
}

#[test]
fn every_public_trait_is_in_the_suite_on_every_type() {
    let (core, suite) = read();
    let words = words(&suite);
    let (mut methods, mut on) = (BTreeSet::new(), BTreeSet::new());
    for file in &core {
        traits(file, &mut methods, &mut on);
    }
    assert!(methods.len() > 40 && on.len() > 100, "{methods:?} {on:?}");
    let exempt = |of: &str| EXEMPT_TRAITS.iter().any(|(name, _)| *name == of);
    let public: BTreeSet<&str> = methods.iter().map(|[of, _]| of.as_str()).collect();
    let mut missing = Vec::new();
    for [of, name] in methods.iter().filter(|[of, _]| !exempt(of)) {
        if !is_called(&suite, name) {
            missing.push(format!("{of}::{name}"));
        }
    }
    for [of, ty] in on
        .iter()
        .filter(|[of, _]| public.contains(of.as_str()) && !exempt(of))
    {
        // A type parameter or a macro's `$name` is no type.
        if ty.len() > 1 && starts_upper(ty) && !words.contains(ty.as_str()) {
            missing.push(format!("<{ty} as {of}>"));
        }
    }
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
        Some((None, "Client"))
    );
    assert_eq!(implemented("impl Sign {"), Some((None, "Sign")));
    assert_eq!(
        implemented("impl<T: Real> Compressor<T> for Sign {"),
        Some((Some("Compressor"), "Sign"))
    );
    assert_eq!(
        implemented("impl core::fmt::Display for wire::Error<'_> {"),
        Some((Some("Display"), "Error"))
    );
    assert_eq!(identifier("step<T: Real>("), "step");
    let suite = "vector::sum(x); map(x, f::exp); state.update(&x); fn norm(x) {} summed(x)";
    for name in ["sum", "exp", "update"] {
        assert!(is_called(suite, name), "{name}");
    }
    for name in ["norm", "state", "vector", "su"] {
        assert!(!is_called(suite, name), "{name}");
    }
    let text = "use a::{\n    dot,\n};\n// norm\nsum(\"axpy\", exp);";
    assert_eq!(bare(text), "sum(, exp);\n");
}
