//! Where the results of a program go: files that are replaced in one piece, links, pipes, full disks; and numbers with
//! their ranges. One program stands for all, since the command line is shared.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A run of a moment.
const SMALL: [&str; 10] = [
    "--dim",
    "8",
    "--clients",
    "2",
    "--noise-scales",
    "0",
    "--budget",
    "20k",
    "--multipliers",
    "1",
];

/// An empty folder for one test.
fn folder(test: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("outputs-{test}"));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_permutation_compressors"));
    command.args(arguments).current_dir(folder);
    command
}

fn small(folder: &Path, arguments: &[&str]) -> Output {
    let arguments = [&SMALL[..], arguments].concat();
    command(folder, &arguments).output().unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A program with a full disk or a closed pipe for its standard output.
#[cfg(unix)]
fn small_into(folder: &Path, arguments: &[&str], stdout: Stdio) -> Output {
    let arguments = [&SMALL[..], arguments].concat();
    let mut command = command(folder, &arguments);
    command.stdout(stdout).stderr(Stdio::piped());
    command.spawn().unwrap().wait_with_output().unwrap()
}

/// A pipe whose reader has gone.
#[cfg(unix)]
fn closed_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[cfg(unix)]
fn full_disk() -> Stdio {
    let device = fs::OpenOptions::new().write(true).open("/dev/full");
    device.unwrap().into()
}

#[test]
fn figures_picture_and_nothing_else_are_left() {
    let folder = folder("plain");
    let out = small(&folder, &["--json", "out.json"]);
    assert!(out.status.success(), "{out:?}");
    assert_eq!(names(&folder), ["out.json", "permutation_compressors.svg"]);
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(
        text.ends_with("picture: permutation_compressors.svg\n"),
        "{text}"
    );
    let figures = fs::read_to_string(folder.join("out.json")).unwrap();
    let figures: serde_json::Value = serde_json::from_str(&figures).unwrap();
    assert_eq!(figures[0]["clients"], 2);

    fs::remove_file(folder.join("permutation_compressors.svg")).unwrap();
    assert!(small(&folder, &["--no-plot"]).status.success());
    assert_eq!(names(&folder), ["out.json"]);
}

#[test]
#[cfg(unix)]
fn a_closed_pipe_is_no_error_and_a_full_disk_is_one_when_the_files_are_written() {
    let folder = folder("stdout");
    for (stdout, code, message) in [
        (closed_pipe(), 0, ""),
        (full_disk(), 2, "standard output: cannot write"),
    ] {
        let files = ["--json", "out.json", "--plot", "out.svg"];
        let out = small_into(&folder, &files, stdout);
        let text = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(code), "{text}");
        assert!(text.contains(message), "{text}");
        assert!(!text.contains("panicked"), "{text}");
        for file in ["out.json", "out.svg"] {
            assert!(fs::metadata(folder.join(file)).unwrap().len() > 100);
            fs::remove_file(folder.join(file)).unwrap();
        }
    }
}

#[test]
#[cfg(unix)]
fn what_can_be_written_is_written_whatever_fails() {
    let folder = folder("full");
    for files in [
        ["--plot", "/dev/full", "--json", "out.json"],
        ["--json", "/dev/full", "--plot", "out.svg"],
    ] {
        let out = small(&folder, &files);
        let text = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(2), "{text}");
        assert!(text.contains("/dev/full: cannot write"), "{text}");
        assert!(fs::metadata(folder.join(files[3])).unwrap().len() > 100);
        assert!(String::from_utf8(out.stdout).unwrap().contains("MARINA"));
    }
    // Standard error that nobody reads is no reason to panic either.
    let mut command = command(&folder, &["--dim", "0"]);
    let out = command.stderr(closed_pipe()).status().unwrap();
    assert_eq!(out.code(), Some(2));
}

#[test]
#[cfg(unix)]
fn a_write_that_fails_or_is_killed_leaves_the_old_file() {
    let folder = folder("old");
    let program = env!("CARGO_BIN_EXE_permutation_compressors");
    let arguments = [&SMALL[..], &["--json", "out.json", "--no-plot"]].concat();
    // Files of at most 512 bytes: the figures have more. The signal kills unless it is ignored.
    for (trap, code) in [("trap '' XFSZ; ", Some(2)), ("", None)] {
        fs::write(folder.join("out.json"), "good").unwrap();
        let script = format!("{trap}ulimit -f 1; exec \"$@\"");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script, "sh", program]).args(&arguments);
        let out = shell.current_dir(&folder).output().unwrap();
        assert_eq!(out.status.code(), code, "{out:?}");
        assert_eq!(fs::read_to_string(folder.join("out.json")).unwrap(), "good");
        if code.is_some() {
            assert_eq!(names(&folder), ["out.json"]);
            let text = String::from_utf8(out.stderr).unwrap();
            assert!(text.contains("out.json: cannot write"), "{text}");
        }
    }
}

#[test]
#[cfg(unix)]
fn links_stay_and_the_files_at_their_ends_get_the_figures() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    let folder = folder("links");
    let at = |name: &str| folder.join(name);
    let is_link = |name: &str| fs::symlink_metadata(at(name)).unwrap().is_symlink();
    fs::create_dir(at("d")).unwrap();
    symlink("d/target.json", at("link.json")).unwrap();
    symlink("link.json", at("link-of-link.json")).unwrap();
    // The link dangles the first time, and leads to a file the second time.
    for _ in 0..2 {
        let out = small(&folder, &["--json", "link-of-link.json", "--no-plot"]);
        assert!(out.status.success(), "{out:?}");
        assert!(is_link("link.json") && is_link("link-of-link.json"));
        assert_eq!(names(&at("d")), ["target.json"]);
        let target = at("d/target.json");
        assert!(fs::metadata(&target).unwrap().len() > 100);
        fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).unwrap();
        fs::write(&target, "short").unwrap();
    }
    assert!(
        small(&folder, &["--json", "link.json", "--no-plot"])
            .status
            .success()
    );
    let mode = fs::metadata(at("d/target.json")).unwrap().mode();
    assert_eq!(mode & 0o777, 0o640);

    // Both names of a file have the new figures, and nothing of longer old ones.
    fs::write(at("one.json"), "x".repeat(1 << 20)).unwrap();
    fs::hard_link(at("one.json"), at("two.json")).unwrap();
    assert!(
        small(&folder, &["--json", "one.json", "--no-plot"])
            .status
            .success()
    );
    let [one, two] = ["one.json", "two.json"].map(|name| fs::read_to_string(at(name)).unwrap());
    assert_eq!(one, two);
    assert!(serde_json::from_str::<serde_json::Value>(&one).is_ok());

    symlink("b.json", at("a.json")).unwrap();
    symlink("a.json", at("b.json")).unwrap();
    symlink("nowhere/x.json", at("lost.json")).unwrap();
    for (path, why) in [
        ("a.json", "circle"),
        ("lost.json", "the folder does not exist: nowhere"),
        ("d", "folder"),
        ("new/", "no file name"),
    ] {
        let out = small(&folder, &["--json", path]);
        let text = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(2), "{text}");
        assert!(text.contains(path) && text.contains(why), "{text}");
    }
    assert!(is_link("a.json") && is_link("lost.json"));
}

#[test]
fn figures_and_picture_cannot_be_one_file() {
    let folder = folder("same");
    fs::create_dir(folder.join("d")).unwrap();
    let mut pairs = vec![("x", "x"), ("./x", "x"), ("d/../x", "x")];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("x", folder.join("dangling")).unwrap();
        std::os::unix::fs::symlink("d", folder.join("e")).unwrap();
        fs::write(folder.join("old"), "").unwrap();
        fs::hard_link(folder.join("old"), folder.join("other")).unwrap();
        pairs.extend([("dangling", "x"), ("e/x", "d/x"), ("old", "other")]);
    }
    for (json, plot) in pairs {
        let out = small(&folder, &["--json", json, "--plot", plot]);
        let text = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(2), "{json} {plot}: {text}");
        assert!(text.contains("another file than that of --json"), "{text}");
    }
    // The default picture counts as well.
    let out = small(&folder, &["--json", "permutation_compressors.svg"]);
    assert_eq!(out.status.code(), Some(2));
}

#[test]
#[cfg(target_os = "linux")]
fn pipes_and_standard_output_are_written_directly() {
    let folder = folder("pipes");
    let out = small(&folder, &["--json", "/dev/stdout", "--no-plot"]);
    assert!(out.status.success(), "{out:?}");
    let text = String::from_utf8(out.stdout).unwrap();
    let (figures, table) = text.split_once("\n]\n").unwrap();
    assert!(figures.starts_with('[') && figures.contains("\"clients\": 2"));
    assert!(table.contains("gamma") && table.contains("MARINA+PermK"));

    // The same when it is a file, under its own name too: figures, then the table.
    for path in ["/dev/stdout", "/dev/fd/1", "all.txt"] {
        let all = fs::File::create(folder.join("all.txt")).unwrap();
        let out = small_into(&folder, &["--json", path, "--no-plot"], all.into());
        assert!(out.status.success(), "{out:?}");
        assert_eq!(fs::read_to_string(folder.join("all.txt")).unwrap(), text);
    }
    assert_eq!(names(&folder), ["all.txt"]);

    let fifo = folder.join("fifo");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    let reader = std::thread::spawn({
        let fifo = fifo.clone();
        move || fs::read_to_string(fifo).unwrap()
    });
    let out = small(&folder, &["--json", "fifo", "--plot", "/dev/null"]);
    assert!(out.status.success(), "{out:?}");
    let figures: serde_json::Value = serde_json::from_str(&reader.join().unwrap()).unwrap();
    assert_eq!(figures[0]["clients"], 2);
    let kind = fs::symlink_metadata(&fifo).unwrap().file_type();
    assert!(std::os::unix::fs::FileTypeExt::is_fifo(&kind));
}

#[test]
fn numbers_out_of_range_are_told_option_value_and_range() {
    let folder = folder("numbers");
    let seed = "between 0 and 18446744073709551615";
    for (arguments, [option, value, range]) in [
        (&["--seed", "-1"][..], ["--seed", "'-1'", seed]),
        (&["--seed=-1"], ["--seed", "'-1'", seed]),
        (
            &["--seed", "18446744073709551616"],
            ["--seed", "'18446744073709551616'", seed],
        ),
        (&["--seed", "1.5"], ["--seed", "'1.5'", seed]),
        (
            &["--threads", "-1"],
            ["--threads", "'-1'", "between 1 and 256"],
        ),
        (
            &["--threads", "257"],
            ["--threads", "'257'", "between 1 and 256"],
        ),
        (
            &["--clients", "-3"],
            ["--clients", "'-3'", "between 1 and 100000"],
        ),
        (
            &["--clients", "3,0"],
            ["--clients", "'0'", "between 1 and 100000"],
        ),
        (
            &["--dim", "1.5M"],
            ["--dim", "'1.5M'", "between 1 and 1000000"],
        ),
        (&["--mu", "-1e-3"], ["--mu", "'-1e-3'", "at least 0"]),
        (
            &["--budget", "1e400"],
            ["--budget", "'1e400'", "at most 1000000000000000"],
        ),
        (&["--family-seed", "-7"], ["--family-seed", "'-7'", seed]),
        (&["--p-hat", "-0.1"], ["--p-hat", "'-0.1'", "at most 1"]),
    ] {
        let out = command(&folder, arguments).output().unwrap();
        let text = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(2), "{arguments:?}: {text}");
        for part in [option, value, range] {
            assert!(text.contains(part), "{arguments:?}: {text}");
        }
    }
    let out = command(&folder, &["--help"]).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(
        text.contains("does not hold; about a minute of one core"),
        "{text}"
    );
}

/// One meaning has one name in every program; the names of earlier releases still work, and are not listed.
#[test]
fn old_names_of_options_keep_their_meaning() {
    use clap::{CommandFactory, Parser};
    use thalweg_examples::{federated, invariant_measure, label_noise, permutation_compressors};

    fn alike<O: Parser + CommandFactory + std::fmt::Debug>(old: &str, new: &str, value: &str) {
        let parse = |option: &str| {
            let found = O::try_parse_from(["program", option, value]).unwrap();
            format!("{found:?}")
        };
        assert_eq!(parse(old), parse(new));
        let default = format!("{:?}", O::try_parse_from(["program"]).unwrap());
        assert_ne!(parse(old), default, "{old}");
        let help = O::command().render_long_help().to_string();
        assert!(help.contains(&format!("{new} <")), "{new}");
        assert!(!help.contains(&format!("{old} ")), "{old}");
    }
    alike::<federated::Options>("--steps", "--step-sizes", "0.25,3");
    alike::<federated::Options>("--alpha", "--concentration", "0.75");
    alike::<invariant_measure::Options>("--rates", "--step-sizes", "0.25,3");
    alike::<label_noise::Options>("--rate", "--step-size", "0.002");
    alike::<label_noise::Options>("--alpha", "--start", "2");
    alike::<permutation_compressors::Options>("--noise", "--noise-scales", "0.3,1k");
    alike::<permutation_compressors::Options>("--draws", "--family-seed", "1M");
    alike::<permutation_compressors::Options>("--steps", "--step-sizes", "0.25,3");
}

#[test]
fn no_output_replaces_the_data() {
    let folder = folder("data");
    let at = |name: &str| folder.join(name);
    let image = "mnist/train-images-idx3-ubyte.gz";
    fs::create_dir(at("mnist")).unwrap();
    for name in ["x.csv", image] {
        fs::write(at(name), "1,2,a\n").unwrap();
    }
    let mut names = vec![("x.csv", "x.csv"), ("x.csv", "./mnist/../x.csv")];
    let mut images = vec![
        ("mnist", image),
        ("./mnist", "mnist/.././mnist/train-images-idx3-ubyte.gz"),
    ];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("x.csv", at("link")).unwrap();
        std::os::unix::fs::symlink("mnist", at("folder")).unwrap();
        fs::hard_link(at("x.csv"), at("other")).unwrap();
        names.extend([("x.csv", "link"), ("link", "x.csv"), ("other", "x.csv")]);
        images.push(("folder", image));
    }
    let files = || ["x.csv", image].map(|name| fs::read_to_string(at(name)).unwrap());
    let before = (self::names(&folder), files());
    let csv = &["--format", "csv"][..];
    let idx = &["--format", "idx"][..];
    for (program, formats) in [
        (env!("CARGO_BIN_EXE_federated"), [csv, idx]),
        (env!("CARGO_BIN_EXE_stein_mcmc"), [csv, idx]),
        (env!("CARGO_BIN_EXE_bilevel"), [csv, idx]),
        (env!("CARGO_BIN_EXE_invariant_measure"), [csv, idx]),
        (env!("CARGO_BIN_EXE_implicit_bias"), [csv, idx]),
        (env!("CARGO_BIN_EXE_ntk_federated"), [csv, idx]),
        (
            env!("CARGO_BIN_EXE_permutation_compressors"),
            [&[][..], &["--autoencoder"][..]],
        ),
    ] {
        for (pairs, format) in [&names, &images].into_iter().zip(formats) {
            for (data, output) in pairs {
                for option in ["--json", "--plot"] {
                    let mut command = Command::new(program);
                    command.args(["--data", data, option, output]).args(format);
                    let out = command.current_dir(&folder).output().unwrap();
                    let text = String::from_utf8(out.stderr).unwrap();
                    assert_eq!(out.status.code(), Some(2), "{command:?}: {text}");
                    let rule =
                        format!("{option} {output}: must be another file than those of --data");
                    assert!(text.contains(&rule), "{command:?}: {text}");
                }
            }
        }
    }
    // The network of a run neither.
    let save = [
        "--protocol",
        "marina",
        "--compressor",
        "perm-k",
        "--no-plot",
    ];
    let mut federated = Command::new(env!("CARGO_BIN_EXE_federated"));
    federated
        .args(save)
        .args(csv)
        .args(["--data", "x.csv", "--save", "./x.csv"]);
    let out = federated.current_dir(&folder).output().unwrap();
    let text = String::from_utf8(out.stderr).unwrap();
    let rule = "--save ./x.csv: must be another file than those of --data";
    assert!(
        out.status.code() == Some(2) && text.contains(rule),
        "{text}"
    );
    assert_eq!((self::names(&folder), files()), before);
    // A picture in the folder of the images is none of them: the images are read, and found wanting.
    let picture = ["--autoencoder", "--data", "mnist", "--plot", "mnist/a.svg"];
    let out = command(&folder, &picture).output().unwrap();
    let text = String::from_utf8(out.stderr).unwrap();
    assert!(text.contains("found magic number"), "{text}");
}
