//! Holds the public functions of `thalweg` against the sources of the same-bits suite, so that a new kernel cannot be forgotten.
//!
//! Both are parsed. The public functions are those of public modules and of what these re-export, with the methods of their types and of
//! their traits. In the suite, each path is resolved through the imports of its file and the re-exports of the crate: a free
//! function counts when its own path occurs, so that `adam::step` does not stand for `lion::step`. The types of receivers are not
//! known: a method counts as called in a file that names its type or the type's module.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::{ImplItem, Item, TraitItem, UseTree, Visibility};

/// Functions that the suite need not call.
const EXEMPT: &[(&str, &str)] = &[
    ("simd::dispatch::dispatch", "every kernel goes through it"),
    (
        "simd::dispatch::force",
        "chooses the level; the host's binary calls it",
    ),
    (
        "simd::dispatch::level",
        "tells the level, which differs between targets",
    ),
    (
        "simd::dispatch::Level::is_available",
        "differs between targets",
    ),
    (
        "error::check",
        "checks of arguments are inside every kernel",
    ),
    ("error::check_length", "the same"),
    ("error::check_scratch", "the same"),
    ("error::ensure_finite", "the same"),
    (
        "matrix::gemm::Product::plain",
        "writes three fields; Product::PLAIN is that of a caller",
    ),
    ("matrix::gemm::Product::adding", "the same"),
    ("simd::loops::update", "every optimiser goes through it"),
    ("simd::loops::sum::sum", "every reduction goes through it"),
    (
        "federated::protocol::Place::desynchronise",
        "MARINA calls it where a compressor outside the crate fails",
    ),
    (
        "optim::optimiser::Optimiser::prepare_and_run",
        "every step goes through it",
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
    ("Workspace", "the same"),
    ("Real", "the numbers themselves"),
    ("Protocol", "the functions of federated::machine call it"),
    ("Aggregator", "the functions of federated::machine call it"),
    ("Word", "Snapshot::save and restore call it"),
    ("Stored", "the same"),
    ("Flash", "Slots calls it"),
    ("Executor", "sums over pairs of particles call it"),
    ("Recipe", "stein::general calls it"),
    ("Visitor", "optim::registry calls it"),
    ("SmoothLoss", "limit_flow calls it"),
];

/// The crate: what is public, by paths of definitions without the name of the crate.
#[derive(Default)]
struct Crate {
    /// Modules that can be named from outside.
    modules: BTreeSet<String>,
    /// Re-exports: the path from outside, and that of the definition.
    exports: BTreeMap<String, String>,
    /// Free functions, types and traits that are marked `pub`.
    functions: BTreeSet<String>,
    types: BTreeSet<String>,
    traits: BTreeMap<String, BTreeSet<String>>,
    /// Methods: the type, and the name.
    methods: BTreeSet<(String, String)>,
    /// Implementations: the trait's name, and the type.
    implemented: BTreeSet<(String, String)>,
}

/// Paths that a `use` brings in: the name, and the path.
fn imports(tree: &UseTree, before: &str, into: &mut BTreeMap<String, String>) {
    let join = |name: &dyn std::fmt::Display| match before {
        "" => name.to_string(),
        before => format!("{before}::{name}"),
    };
    match tree {
        UseTree::Path(path) => imports(&path.tree, &join(&path.ident), into),
        UseTree::Name(name) if name.ident == "self" => {
            let name = before.rsplit("::").next().unwrap();
            into.insert(name.to_owned(), before.to_owned());
        }
        UseTree::Name(name) => drop(into.insert(name.ident.to_string(), join(&name.ident))),
        UseTree::Rename(name) => drop(into.insert(name.rename.to_string(), join(&name.ident))),
        UseTree::Group(group) => group
            .items
            .iter()
            .for_each(|tree| imports(tree, before, into)),
        UseTree::Glob(_) => {}
    }
}

const fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let list = attribute.meta.require_list();
        attribute.path().is_ident("cfg") && list.is_ok_and(|list| list.tokens.to_string() == "test")
    })
}

impl Crate {
    /// Reads a module and those below it.
    fn read(&mut self, folder: &Path, module: &str, items: &[Item]) {
        let inner = |name: &dyn std::fmt::Display| match module {
            "" => name.to_string(),
            module => format!("{module}::{name}"),
        };
        let mut known = BTreeMap::new();
        for item in items {
            if let Item::Use(import) = item {
                imports(&import.tree, "", &mut known);
            }
        }
        // A type of an `impl`: of this module, or imported.
        let place = |name: &str| match known.get(name) {
            Some(path) => match path.strip_prefix("crate::") {
                Some(path) => path.to_owned(),
                None => match path.strip_prefix("super::") {
                    Some(rest) => match module.rsplit_once("::") {
                        Some((parent, _)) => format!("{parent}::{rest}"),
                        None => rest.to_owned(),
                    },
                    None => inner(path),
                },
            },
            None => inner(&name),
        };
        for item in items {
            match item {
                Item::Mod(part) if !is_test(&part.attrs) => {
                    let path = inner(&part.ident);
                    if is_public(&part.vis) && (module.is_empty() || self.modules.contains(module))
                    {
                        self.modules.insert(path.clone());
                    }
                    if let Some((_, items)) = &part.content {
                        self.read(folder, &path, items);
                        continue;
                    }
                    let file = folder.join(format!("{}.rs", path.replace("::", "/")));
                    // Backends of other names, and the C interface, which has a separate example.
                    if file.exists() && path != "c" && !path.starts_with("simd::x86") {
                        let file = syn::parse_file(&fs::read_to_string(file).unwrap()).unwrap();
                        self.read(folder, &path, &file.items);
                    }
                }
                Item::Use(export) if is_public(&export.vis) => {
                    let mut names = BTreeMap::new();
                    imports(&export.tree, "", &mut names);
                    for (name, path) in names {
                        self.exports.insert(inner(&name), inner(&path));
                    }
                }
                Item::Fn(function) if is_public(&function.vis) => {
                    self.functions.insert(inner(&function.sig.ident));
                }
                Item::Struct(ty) if is_public(&ty.vis) => drop(self.types.insert(inner(&ty.ident))),
                Item::Enum(ty) if is_public(&ty.vis) => drop(self.types.insert(inner(&ty.ident))),
                Item::Trait(of) if is_public(&of.vis) => {
                    let methods = of.items.iter().filter_map(|item| match item {
                        TraitItem::Fn(method) => Some(method.sig.ident.to_string()),
                        _ => None,
                    });
                    self.traits.insert(inner(&of.ident), methods.collect());
                }
                Item::Impl(part) => {
                    let syn::Type::Path(ty) = &*part.self_ty else {
                        continue;
                    };
                    let ty = place(&ty.path.segments.last().unwrap().ident.to_string());
                    if let Some((_, of, _)) = &part.trait_ {
                        let of = of.segments.last().unwrap().ident.to_string();
                        self.implemented.insert((of, ty));
                        continue;
                    }
                    for item in &part.items {
                        if let ImplItem::Fn(method) = item
                            && is_public(&method.vis)
                        {
                            self.methods
                                .insert((ty.clone(), method.sig.ident.to_string()));
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// The path of the definition that a path names.
    fn definition(&self, path: &str) -> String {
        let mut path = path.to_owned();
        while let Some((len, target)) = path
            .match_indices("::")
            .map(|(at, _)| at)
            .chain([path.len()])
            .find_map(|len| Some((len, self.exports.get(&path[..len])?)))
        {
            // Another crate, handed on under its name.
            if *target == path[..len] {
                return path;
            }
            // A function with the name of its module: what is behind the name is of the module.
            let within = target.strip_prefix(&path[..len]);
            if within.is_some_and(|rest| rest.starts_with("::")) {
                return if len == path.len() {
                    target.clone()
                } else {
                    path
                };
            }
            path = format!("{target}{}", &path[len..]);
        }
        path
    }

    /// Whether a definition can be named from outside.
    fn is_reachable(&self, path: &str) -> bool {
        let module = path.rsplit_once("::").map_or("", |(module, _)| module);
        let exported = |target: &String| self.definition(target) == path;
        self.modules.contains(module) || self.exports.values().any(exported)
    }
}

/// What a file of the suite names.
#[derive(Default)]
struct Case {
    /// Paths of definitions.
    paths: BTreeSet<String>,
    /// Names behind a dot, with an argument list.
    methods: BTreeSet<String>,
    /// Every other name.
    words: BTreeSet<String>,
}

impl Case {
    fn read(of: &Crate, text: &str) -> Self {
        let file = syn::parse_file(text).unwrap();
        let mut known = BTreeMap::new();
        for item in &file.items {
            if let Item::Use(import) = item {
                imports(&import.tree, "", &mut known);
            }
        }
        let mut case = Self::default();
        // Tokens, so that the arguments and bodies of macros count.
        case.scan(of, &known, text.parse().unwrap());
        case
    }

    fn scan(&mut self, of: &Crate, known: &BTreeMap<String, String>, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let is = |at: usize, c: char| matches!(tokens.get(at), Some(TokenTree::Punct(p)) if p.as_char() == c);
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            at += 1;
            match token {
                TokenTree::Group(group) => self.scan(of, known, group.stream()),
                TokenTree::Ident(word) if word == "use" => {
                    while !is(at, ';') {
                        at += 1;
                    }
                }
                TokenTree::Ident(word)
                    if at > 1 && is(at - 2, '.') && !(at > 2 && is(at - 3, '.')) =>
                {
                    let is_call =
                        matches!(tokens.get(at), Some(TokenTree::Group(_))) || is(at, ':');
                    if is_call {
                        self.methods.insert(word.to_string());
                    }
                }
                TokenTree::Ident(word) => {
                    self.words.insert(word.to_string());
                    let mut path = known
                        .get(&word.to_string())
                        .cloned()
                        .unwrap_or_else(|| word.to_string());
                    while is(at, ':') && is(at + 1, ':') {
                        at += 2;
                        if let Some(TokenTree::Ident(word)) = tokens.get(at) {
                            path = format!("{path}::{word}");
                            self.words.insert(word.to_string());
                            at += 1;
                        } else if is(at, '<') {
                            let mut depth = 0;
                            loop {
                                depth += i32::from(is(at, '<')) - i32::from(is(at, '>'));
                                at += 1;
                                if depth == 0 {
                                    break;
                                }
                            }
                        }
                    }
                    if let Some(path) = path.strip_prefix("thalweg::") {
                        let path = of.definition(path);
                        // A path names what it goes through as well.
                        for (end, _) in path.match_indices("::") {
                            self.paths.insert(path[..end].to_owned());
                        }
                        self.paths.insert(path);
                    }
                }
                _ => {}
            }
        }
    }

    /// Whether the file names a type, or something of the module that defines it.
    fn knows(&self, ty: &str) -> bool {
        let module = ty.rsplit_once("::").map_or("", |(module, _)| module);
        self.paths.contains(ty)
            || self
                .paths
                .iter()
                .any(|path| path.rsplit_once("::").is_some_and(|(of, _)| of == module))
    }
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        into.push(entry.unwrap().path());
    }
}

fn read() -> (Crate, Vec<Case>) {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let core = home.join("../core/src");
    let root = syn::parse_file(&fs::read_to_string(core.join("lib.rs")).unwrap()).unwrap();
    let mut of = Crate::default();
    of.read(&core, "", &root.items);
    let mut files = Vec::new();
    sources(&home.join("same-bits/suite/src/cases"), &mut files);
    let cases = files
        .iter()
        .map(|file| Case::read(&of, &fs::read_to_string(file).unwrap()));
    let cases = cases.collect();
    (of, cases)
}

#[test]
fn every_public_function_of_the_crate_is_in_the_suite() {
    let (of, cases) = read();
    let functions = of.functions.iter().filter(|path| of.is_reachable(path));
    // A macro makes a function on slices of each function on lanes.
    let on_slices = |path: &str| {
        let name = path.strip_prefix("simd::math::")?.rsplit("::").next()?;
        Some(format!("{name}_into"))
    };
    let calls = |path: &String, case: &Case| {
        case.paths.contains(path) || on_slices(path).is_some_and(|name| case.words.contains(&name))
    };
    let mut missing: Vec<String> = functions
        .filter(|path| !cases.iter().any(|case| calls(path, case)))
        .cloned()
        .collect();
    let mut seen = of.functions.len();
    for (ty, name) in &of.methods {
        if !of.types.contains(ty) || !of.is_reachable(ty) {
            continue;
        }
        seen += 1;
        let path = format!("{ty}::{name}");
        let calls = |case: &Case| {
            case.paths.contains(&path) || (case.methods.contains(name) && case.knows(ty))
        };
        if !cases.iter().any(calls) {
            missing.push(path);
        }
    }
    assert!(seen > 400, "only {seen} functions found");
    missing.retain(|path| !EXEMPT.iter().any(|(name, _)| name == path));
    assert!(missing.is_empty(), "the suite does not call {missing:#?}");
    for (name, _) in EXEMPT {
        let exists = of.functions.contains(*name)
            || name.rsplit_once("::").is_some_and(|(ty, name)| {
                of.methods.contains(&(ty.to_owned(), name.to_owned()))
                    || of.traits.get(ty).is_some_and(|of| of.contains(name))
            });
        assert!(exists, "{name} is exempt and does not exist");
    }
}

#[test]
fn every_public_trait_is_in_the_suite_on_every_type() {
    let (of, cases) = read();
    let mut missing = Vec::new();
    let mut seen = 0;
    for (path, methods) in &of.traits {
        let name = path.rsplit("::").next().unwrap();
        if EXEMPT_TRAITS.iter().any(|(exempt, _)| *exempt == name) || !of.is_reachable(path) {
            continue;
        }
        for method in methods {
            let calls = |case: &Case| {
                case.methods.contains(method)
                    || case
                        .paths
                        .iter()
                        .any(|path| path.ends_with(&format!("::{method}")))
            };
            if !cases.iter().any(calls) {
                missing.push(format!("{path}::{method}"));
            }
        }
        for (_, ty) in of.implemented.iter().filter(|(of, _)| of == name) {
            seen += 1;
            let public = of.types.contains(ty) && of.is_reachable(ty);
            if public && !cases.iter().any(|case| case.paths.contains(ty)) {
                missing.push(format!("<{ty} as {name}>"));
            }
        }
    }
    assert!(seen > 60, "only {seen} implementations found");
    missing.retain(|path| !EXEMPT.iter().any(|(name, _)| name == path));
    assert!(missing.is_empty(), "the suite does not call {missing:#?}");
}

#[test]
fn paths_are_resolved_through_imports_and_exports() {
    let mut of = Crate::default();
    of.exports
        .insert("compress::Sign".into(), "compress::sign::Sign".into());
    let case = Case::read(
        &of,
        "use thalweg::{compress::{self, Sign}, optim::adam};\n\
         macro_rules! run { () => { adam::State::<[f32; 3]>::new().step(1) } }\n\
         fn f() { compress::Sign; g(Sign::alpha, x.y, 0..n.max(1)); }",
    );
    for path in [
        "optim::adam::State::new",
        "optim::adam",
        "compress::sign::Sign",
        "compress::sign::Sign::alpha",
    ] {
        assert!(case.paths.contains(path), "{path} of {:?}", case.paths);
    }
    assert_eq!(case.methods.iter().collect::<Vec<_>>(), ["max", "step"]);
    assert!(case.knows("optim::adam::State") && !case.knows("optim::lion::State"));
}
