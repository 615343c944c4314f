//! The main job from outside: bad input is named, threads change nothing, bits are counted to the last.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use clap::Parser;
use thalweg_examples::cli::Failure;
use thalweg_examples::federated::problem::{Problem, Spread};
use thalweg_examples::federated::{Options, Report, compare};
use thalweg_examples::source::Source;
use thalweg_std::train::TensorFile;

/// A separate folder for the files of one test.
fn folder(test: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test);
    fs::create_dir_all(&path).unwrap();
    path
}

fn program(test: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_federated"))
        .args(arguments)
        .current_dir(folder(test))
        .output()
        .unwrap()
}

/// Exit code 2, no panic, and a message with each of the words.
#[track_caller]
fn refused(arguments: &[&str], words: &[&str]) {
    let output = program("refused", arguments);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
    assert!(!text.contains("panicked"), "{arguments:?}: {text}");
    for word in words {
        assert!(text.contains(word), "{arguments:?}: {text} lacks {word}");
    }
}

#[test]
fn options_that_cannot_be_are_named_with_their_rule() {
    refused(&["--nope"], &["--nope"]);
    refused(&["--seed", "x"], &["--seed", "x"]);
    refused(&["--protocol", "gossip"], &["gossip", "marina"]);
    refused(&["--threads", "0"], &["--threads", "between 1 and 256"]);
    refused(&["--rounds", "0"], &["--rounds 0", "at least 1"]);
    refused(&["--bits", "77119"], &["--bits 77119", "at least 77120"]);
    refused(&["--k", "0"], &["--k 0", "between 1 and the 2410"]);
    refused(&["--k", "2411"], &["--k 2411", "between 1 and the 2410"]);
    refused(&["--restart", "1"], &["--restart", "'1'", "below 1"]);
    refused(&["--clients", "0"], &["--clients 0"]);
    refused(
        &["--clients", "1439"],
        &["--clients 1439", "1438", "without rows"],
    );
    for alpha in ["0", "-1", "nan", "inf"] {
        refused(
            &["--concentration", alpha],
            &[
                "--concentration",
                "must be a finite number of at least 1e-9",
            ],
        );
    }
    for step in ["0", "-0.5", "nan"] {
        let rule = "must be a finite number above 0";
        refused(&["--step-sizes", step], &["--step-sizes", rule]);
    }
    for step in ["1e39", "1e-60"] {
        refused(
            &["--step-sizes", step],
            &["--step-sizes", "must be positive"],
        );
    }
    refused(&["--hidden", "0"], &["--hidden 0"]);
    refused(
        &["--compressor", "perm-k"],
        &["perm-k", "exactly one protocol"],
    );
    let biased = ["--protocol", "marina", "--compressor", "top-k"];
    refused(&biased, &["top-k", "biased"]);
    let unbiased = ["--protocol", "ef21", "--compressor", "rand-k"];
    refused(&unbiased, &["rand-k", "contractive"]);
    for aggregator in [
        "krum",
        "median:0.1",
        "trimmed:0.5",
        "trimmed:x",
        "trimmed:-0.1",
    ] {
        let words = [aggregator, "trimmed:BETA with BETA in [0, 0.5)"];
        refused(&["--aggregator", aggregator], &words);
    }
    refused(
        &["--aggregator", "median"],
        &["--aggregator median", "--protocol fedavg"],
    );
    let sparse = [
        "--protocol",
        "fedavg",
        "--compressor",
        "rand-k",
        "--aggregator",
        "trimmed",
    ];
    refused(&sparse, &["--aggregator trimmed:0.1", "all coordinates"]);
    refused(&["--hostile", "1"], &["--hostile 1", "--protocol fedavg"]);
    let all = ["--protocol", "fedavg", "--hostile", "11"];
    refused(&all, &["--hostile 11", "at most all clients"]);
    refused(
        &["--plot", "no/such/x.svg"],
        &["no/such/x.svg", "the folder does not exist: no/such"],
    );
    refused(
        &["--json", "no/such/x.json"],
        &["no/such/x.json", "the folder does not exist: no/such"],
    );
    // Noticed before the run, not after it.
    refused(&["--plot", "."], &[".: cannot write"]);
    refused(&["--json", "."], &[".: cannot write"]);
    refused(&["--check", "--json", "."], &[".: cannot write"]);
    let both = ["--check", "--data", "x.csv", "--format", "csv"];
    refused(&both, &["x.csv", "--check"]);
}

#[test]
fn files_that_cannot_be_read_are_named_with_the_place() {
    let folder = folder("files");
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    refused(&["--data", "x"], &["--format"]);
    refused(&["--format", "csv"], &["--data"]);
    for format in ["csv", "libsvm"] {
        refused(
            &["--data", "no/such.txt", "--format", format],
            &["no/such.txt", "cannot open"],
        );
    }
    refused(
        &["--data", "no/such", "--format", "idx"],
        &["no/such", "not a folder"],
    );
    let empty = folder.to_str().unwrap();
    refused(
        &["--data", empty, "--format", "idx"],
        &["train-images-idx3-ubyte"],
    );
    let broken = write("broken.csv", b"1,2,a\n3,4,b\n5,x,a\n");
    refused(
        &["--data", &broken, "--format", "csv"],
        &["broken.csv:3", "x"],
    );
    let broken = write("broken.svm", b"1 1:0.5\n0 2:oops\n");
    refused(
        &["--data", &broken, "--format", "libsvm"],
        &["broken.svm:2", "oops"],
    );
    let short = write("short.csv", b"1,2,a\n3,4,b\n");
    refused(
        &["--data", &short, "--format", "csv"],
        &["short.csv", "five rows"],
    );
    let alike = write("alike.csv", &b"1,2,a\n".repeat(10));
    refused(
        &["--data", &alike, "--format", "csv"],
        &["alike.csv", "two classes"],
    );
    let images = folder.join("mnist");
    fs::create_dir_all(&images).unwrap();
    // A header that claims 2^32 - 1 images.
    fs::write(
        images.join("train-images-idx3-ubyte"),
        [0, 0, 8, 3, 255, 255, 255, 255, 0, 0, 0, 28, 0, 0, 0, 28],
    )
    .unwrap();
    let images = images.to_str().unwrap();
    refused(
        &["--data", images, "--format", "idx"],
        &["train-images-idx3-ubyte", "rows"],
    );
}

#[test]
fn csv_and_libsvm_files_run_to_a_table_a_picture_and_json() {
    let folder = folder("formats");
    let (mut csv, mut svm) = (String::new(), String::new());
    for i in 0..60 {
        let (x, y, label) = (i % 7, i % 5, i % 2);
        csv += &format!("{x},{y},{}\n", ["a", "b"][label]);
        svm += &format!("{} 1:{x} 2:{y}\n", ["+1", "-1"][label]);
    }
    fs::write(folder.join("rows.csv"), csv).unwrap();
    fs::write(folder.join("rows.svm"), svm).unwrap();
    for (data, format) in [("rows.csv", "csv"), ("rows.svm", "libsvm")] {
        let output = program(
            "formats",
            &[
                "--data",
                data,
                "--format",
                format,
                "--clients",
                "3",
                "--rounds",
                "3",
                "--step-sizes",
                "0.1",
                "--json",
                "out.json",
                "--plot",
                "out.svg",
            ],
        );
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{output:?}");
        assert!(text.contains("48 training rows over 3 clients") && text.contains("EF21 + TopK"));
        let json: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(folder.join("out.json")).unwrap()).unwrap();
        // 2-32-2: 2 * 32 + 32 + 32 * 2 + 2.
        assert_eq!(json["dimension"], 162);
        assert_eq!(json["rows"].as_array().unwrap().len(), 5);
        assert!(
            fs::read_to_string(folder.join("out.svg"))
                .unwrap()
                .ends_with("</svg>\n")
        );
    }
}

fn report(arguments: &str) -> Result<Report, Failure> {
    compare(&Options::parse_from(
        format!("federated {arguments}").split_whitespace(),
    ))
}

#[test]
fn one_hostile_client_of_ten_destroys_the_mean_alone() {
    let run = |seed: u64, more: &str| {
        report(&format!(
            "--protocol fedavg --concentration 100 --step-sizes 0.25 --rounds 10 --seed {seed} {more}"
        ))
    };
    let accuracy = |seed, more: &str| run(seed, more).unwrap().rows[0].test_accuracy;
    let seeds = 1..=5;
    for seed in seeds.clone() {
        let destroyed = run(seed, "--hostile 1");
        assert!(destroyed.map_or(true, |report| report.rows[0].diverged));
    }
    // In addition to the mean of ten clients of which none is hostile: the least difference that five seeds leave plausible.
    for robust in ["median", "trimmed"] {
        let lost = seeds.clone().map(|seed| {
            let hostile = format!("--hostile 1 --aggregator {robust}");
            accuracy(seed, "") - accuracy(seed, &hostile)
        });
        let lost: Vec<f64> = lost.collect();
        let mean = lost.iter().sum::<f64>() / 5.0;
        let squares = lost.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
        let error = (squares / 4.0 / 5.0).sqrt();
        assert!(mean - 3.0 * error < 0.01, "{robust}: {mean} +- {error}");
        assert!(mean < 0.02, "{robust}: {mean} +- {error}");
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let bits = |threads: usize| {
        let report = report(&format!(
            "--threads {threads} --rounds 12 --step-sizes 0.25,0.5"
        ))
        .unwrap();
        let figures = |row: &thalweg_examples::federated::Row| {
            let points = row.points.iter().flat_map(|p| {
                let m = p.measure;
                [m.train_loss, m.gradient_norm, m.test_accuracy].map(f64::to_bits)
            });
            (
                row.uplink_bits,
                row.step_size.to_bits(),
                points.collect::<Vec<_>>(),
            )
        };
        report.rows.iter().map(figures).collect::<Vec<_>>()
    };
    let one = bits(1);
    assert_eq!(one.len(), 5);
    assert!(one.iter().all(|row| row.2.len() > 3));
    for threads in [2, 3, 8] {
        assert_eq!(bits(threads), one, "{threads} threads");
    }
}

#[test]
fn bits_are_those_of_the_messages_and_stay_below_the_budget() {
    let d = 2410;
    let row = |arguments: &str| {
        report(&format!("--step-sizes 0.25 {arguments}"))
            .unwrap()
            .rows
            .remove(0)
    };
    // One gradient, then 4 messages of 50 numbers with 12-bit indices.
    let ef21 = row("--protocol ef21 --k 50 --rounds 5");
    assert_eq!(ef21.uplink_bits, 32 * d + 4 * 50 * (32 + 12));
    assert_eq!(row("--protocol gd --rounds 3").uplink_bits, 3 * 32 * d);
    assert_eq!(row("--protocol fedavg --rounds 3").uplink_bits, 3 * 32 * d);
    // Natural compression: 9 bits a number; scaled sign: 1, and the scale.
    let natural = row("--protocol fedavg --compressor natural --rounds 2");
    assert_eq!(natural.uplink_bits, 2 * 9 * d);
    let sign = row("--protocol ef21 --compressor sign --rounds 2");
    assert_eq!(sign.uplink_bits, 32 * d + 32 + d);
    let qsgd = row("--protocol fedavg --compressor qsgd --rounds 2");
    assert_eq!(qsgd.uplink_bits, 2 * (32 + 5 * d));
    // A frame takes 52 bytes in addition to its payload: 3 broadcasts and 30 replies.
    assert_eq!(row("--protocol fedavg --rounds 3").overhead_bytes, 33 * 52);
    let budget = 5 * 32 * d + 1;
    let all = report(&format!("--step-sizes 0.25 --bits {budget}")).unwrap();
    for row in all.rows {
        assert!(row.uplink_bits <= budget, "{}", row.method);
        assert!(row.uplink_bits + 32 * d > budget, "{}", row.method);
    }
}

#[test]
fn the_mean_of_the_clients_gradients_is_the_gradient_of_all_rows() {
    let source = Source::default();
    let data = source.load(3).unwrap();
    let all: Vec<u32> = (0..data.train.rows() as u32).collect();
    let problem = Problem::new(data, 7, Spread::Dirichlet(0.3), 8, 3).unwrap();
    let x = problem.start().unwrap();
    let (mut scratch, mut part) = (Vec::new(), vec![0.0; x.len()]);
    let mut mean = vec![0.0_f64; x.len()];
    for client in 0..7 {
        problem
            .client_gradient(client, &x, &mut scratch, &mut part)
            .unwrap();
        mean.iter_mut()
            .zip(&part)
            .for_each(|(m, g)| *m += f64::from(*g) / 7.0);
    }
    problem.gradient(&all, &x, &mut scratch, &mut part).unwrap();
    let largest = part.iter().fold(0.0_f32, |m, g| m.max(g.abs()));
    assert!(largest > 1e-2);
    for (m, g) in mean.iter().zip(&part) {
        assert!(
            (m - f64::from(*g)).abs() < 1e-5 * f64::from(largest),
            "{m} against {g}"
        );
    }
}

#[test]
fn a_run_that_diverges_says_so_and_a_step_that_does_not_is_preferred() {
    let report = report("--protocol gd --rounds 40 --step-sizes 0.25,1e30").unwrap();
    let row = &report.rows[0];
    assert_eq!(row.trials[1], (1e30, None));
    assert_eq!((row.step_size, row.diverged), (0.25, false));
    let output = program("diverges", &["--protocol", "gd", "--step-sizes", "1e30"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("(diverged)"),
        "{text}"
    );
    let output = program(
        "diverges",
        &["--protocol", "gd", "--step-sizes", "1e30,1e31"],
    );
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(text.contains("diverges with every step size"), "{text}");
}

#[test]
fn the_claims_of_the_check_hold() {
    let output = program("check", &["--check", "--json", "claims.json"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert_eq!(text.matches("holds ").count(), 11, "{text}");
    let json = fs::read_to_string(folder("check").join("claims.json")).unwrap();
    assert_eq!(json.matches("\"holds\": true").count(), 11);
}

/// One that is best on a part of the budget and ends above its start on the whole of it.
#[test]
fn a_step_that_diverges_on_the_whole_budget_gives_way_to_the_next_smaller() {
    let line = "--protocol marina --compressor rand-k --k 15 --clients 4 --hidden 4 --rounds 200 --seed 5 --json out.json";
    let row = |steps: &str| {
        let arguments: Vec<_> = line.split(' ').chain(["--step-sizes", steps]).collect();
        let output = program("gives_way", &arguments);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let text = fs::read_to_string(folder("gives_way").join("out.json")).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["rows"][0].clone()
    };
    assert_eq!(row("0.3")["diverged"], true);
    let both = row("0.3,0.02");
    assert!(both["trials"][0][1].as_f64() < both["trials"][1][1].as_f64());
    assert_eq!(both["step_size"], 0.02);
    assert_eq!(both["diverged"], false);
}

#[test]
fn the_saved_network_is_the_one_whose_check_is_reported() {
    let test = "saved";
    let folder = folder(test);
    let run = "--clients 3 --hidden 4 --rounds 5 --protocol marina --compressor perm-k --steps 0.5 --no-plot";
    let arguments = format!("{run} --json row.json --save model.safetensors");
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let path = folder.join("model.safetensors");
    // An older file is replaced, and nothing is left next to it.
    fs::write(&path, b"old").unwrap();
    let output = program(test, &arguments);
    assert!(output.status.success(), "{output:?}");
    let json = fs::read_to_string(folder.join("row.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let row = &json["rows"][0];
    assert!(row.get("params").is_none());
    let file = TensorFile::read(&path).unwrap();
    let shapes: Vec<_> = file
        .names()
        .map(|name| (name, file.shape(name).unwrap()))
        .collect();
    assert_eq!(
        shapes,
        [
            ("0.weight", &[4, 64][..]),
            ("0.bias", &[4]),
            ("2.weight", &[10, 4]),
            ("2.bias", &[10])
        ]
    );
    let bytes: Vec<u8> = file
        .names()
        .flat_map(|name| file.values::<f32>(name).unwrap())
        .flat_map(f32::to_le_bytes)
        .collect();
    assert_eq!(bytes.len(), 4 * 310);
    let crc = format!("{:08x}", thalweg::wire::crc32c(&bytes));
    assert_eq!(row["params_crc"], crc.as_str());
    assert_eq!(file.metadata("params_crc"), Some(crc.as_str()));
    assert_eq!(file.metadata("rounds"), Some("5"));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
}

#[test]
fn a_network_that_cannot_be_saved_is_refused_before_the_run() {
    let one = ["--protocol", "marina", "--compressor", "perm-k"];
    let with = |rest: &[&'static str]| [&one[..], rest].concat();
    refused(
        &with(&["--save", "missing/model"]),
        &["missing/model", "cannot write", "the folder does not exist"],
    );
    refused(&with(&["--save", "."]), &["it is a folder"]);
    refused(&["--save", "model"], &["--save", "one protocol"]);
    refused(
        &with(&["--save", "both", "--json", "both"]),
        &["--save both", "another file than that of --json"],
    );
    refused(
        &with(&["--save", "federated.svg"]),
        &["--save", "another file than that of --plot"],
    );
    refused(
        &with(&[
            "--save",
            "model",
            "--connect",
            "127.0.0.1:1",
            "--client",
            "0",
        ]),
        &["--save", "--connect"],
    );
    #[cfg(unix)]
    refused(
        &with(&["--save", "/dev/null"]),
        &["/dev/null", "it is no regular file"],
    );
    assert!(!folder("refused").join("model").exists());
}
