//! `thalweg.h` is what the sources say.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::Path;
use std::{env, fs};

/// With `THALWEG_WRITE_HEADER` set, writes the header instead of comparing it.
#[test]
fn the_committed_header_is_that_of_the_sources() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = here.join("src");
    // One text: the generator would take the names of submodules for those of the crate.
    let mut text = String::new();
    for file in [
        "lib.rs",
        "vector.rs",
        "optim/config.rs",
        "optim.rs",
        "compress.rs",
        "wire.rs",
        "rounding.rs",
        "stream.rs",
        "particle.rs",
        "mixture.rs",
        "mixture/component_selection.rs",
    ] {
        let source = fs::read_to_string(sources.join(file)).unwrap();
        // The text begins with documentation and attributes of the module, and may end with tests.
        let items = source.find("\nuse ").unwrap();
        let tests = source.find("\n#[cfg(test)]").unwrap_or(source.len());
        let lines = source[items..tests]
            .lines()
            .filter(|line| !line.contains("mod ") && !line.starts_with("#[cfg("));
        text.extend(lines.flat_map(|line| [line, "\n"]));
    }
    let joined = Path::new(env!("CARGO_TARGET_TMPDIR")).join("c.rs");
    fs::write(&joined, text).unwrap();
    let config = cbindgen::Config::from_file(here.join("cbindgen.toml")).unwrap();
    let builder = cbindgen::Builder::new()
        .with_config(config)
        .with_src(joined);
    let mut header = Vec::new();
    builder.generate().unwrap().write(&mut header);
    let path = here.join("thalweg.h");
    if env::var_os("THALWEG_WRITE_HEADER").is_some() {
        fs::write(path, header).unwrap();
        return;
    }
    assert!(
        fs::read(path).unwrap() == header,
        "thalweg.h is stale: run THALWEG_WRITE_HEADER=1 cargo test -p thalweg_c, and commit it"
    );
}
