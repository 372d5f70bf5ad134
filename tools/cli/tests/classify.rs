//! `classify` and `verify --recordings`: what they say of the default encoders' fixtures, and what they refuse.

use std::path::{Path, PathBuf};
use std::process::Command;
use thumbformer::Packing;
use thumbformer_checkpoint::{Checkpoint, Tensor};
use thumbformer_cli::classify::{Said, classify, read};
use thumbformer_cli::verify::sequences::{Bounds, Case, compare};
use thumbformer_cli::{model, read_image};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn models() -> PathBuf {
    root().join("models")
}

fn fixtures(model: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(models().join(model).join("fixtures")).expect("the fixtures");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

#[test]
fn every_packing_of_the_encoders_hears_every_fixture_with_the_same_bits() {
    for (name, count) in [("digits", 10), ("motion", 7)] {
        let mut all = Vec::new();
        for packing in Packing::ALL {
            let pack = if packing == Packing::Host { String::new() } else { format!("-{}", packing.name()) };
            let image = models().join(name).join(format!("{name}{pack}.tbf"));
            let words = read_image(&image).expect("an image");
            let Ok(model) = model(&words, &image) else {
                // A build for one packing refuses the others by name: its own tests say so.
                continue;
            };
            let files = fixtures(name);
            let heard = files.iter().map(|file| {
                let recording = read(&model, file).unwrap_or_else(|error| panic!("{error:#}"));
                let heard = classify(&model, &recording).expect("fits");
                let Said::Class { output, probability, .. } = heard.said.clone() else { panic!("{heard:?}") };
                assert_eq!(Some(output), recording.truth, "{heard:?}");
                assert!(probability > 0.5 && probability <= 1.0, "{heard:?}");
                heard
            });
            all.push(heard.collect::<Vec<_>>());
        }
        assert_eq!(all[0].len(), count);
        assert!(all.iter().all(|heard| *heard == all[0]), "{name}");
    }
}

#[test]
fn the_images_keep_their_bounds_over_the_fixtures_and_a_damaged_one_does_not() {
    for (name, count, answers) in [("digits", 10, 10), ("motion", 7, 350)] {
        let checkpoint = Checkpoint::load(&models().join(name).join("checkpoint"), None).expect("the checkpoint");
        let image = models().join(name).join(name).with_extension("tbf");
        let words = read_image(&image).expect("an image");
        let model = model(&words, &image).expect("a model");
        let recordings: Vec<Case> =
            fixtures(name).iter().flat_map(|file| Case::of(read(&model, file).expect("a recording"))).collect();
        let report = compare(&model, &checkpoint, &recordings, &|| ()).expect("the same model");
        assert_eq!((report.recordings, report.outputs, report.labelled), (count, answers, answers), "{name}");
        assert!(report.lines(&Bounds::INT8).iter().all(|line| line.ok), "{report:?}");
        let mut other = checkpoint;
        other.tensors[(Tensor::Up, 1)].data.iter_mut().for_each(|weight| *weight = -*weight);
        let report = compare(&model, &other, &recordings, &|| ()).expect("the same shape");
        assert!(report.lines(&Bounds::INT8).iter().any(|line| !line.ok), "{report:?}");
    }
}

/// `motion`'s state is for the smallest boards.
#[test]
fn the_motion_model_fits_24_kib_of_flash_and_8_kib_of_ram() {
    let image = models().join("motion/motion.tbf");
    let words = read_image(&image).expect("an image");
    let model = model(&words, &image).expect("a model");
    assert!(4 * words.len() <= 24 * 1024, "{} bytes", 4 * words.len());
    let state = 4 * model.dims().state_words(model.dims().max_seq, thumbformer::MAX_BATCH);
    assert!(state <= 8 * 1024, "{state} bytes");
}

#[test]
fn what_cannot_be_classified_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let wav = |name: &str, rate, samples: usize| {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: rate,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let file = folder.path().join(name);
        let mut writer = hound::WavWriter::create(&file, spec).expect("a file");
        (0..samples).for_each(|_| writer.write_sample(0_i16).expect("a sample"));
        writer.finalize().expect("a file");
        file
    };
    let file = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).expect("a file");
        file
    };
    let (image, stories) = (models().join("digits/digits.tbf"), root().join("models/stories/stories.tbf"));
    let motion = models().join("motion/motion.tbf");
    let table: [(&Path, PathBuf, &[&str]); 14] = [
        (&image, wav("fast.wav", 44_100, 8000), &["fast.wav: 44100 Hz, expected 8000 Hz: resample it"]),
        (&image, wav("wide.wav", 16_000, 8000), &["wide.wav: 16000 Hz, expected 8000 Hz: resample it"]),
        (&image, wav("short.wav", 8000, 255), &["short.wav", "256", "255"]),
        (&image, file("sound.mp3", "x"), &["sound.mp3", ".wav", ".csv"]),
        (&image, file("broken.wav", "RIFF"), &["broken.wav"]),
        (&image, file("words.csv", "1,2\n3,x\n"), &["words.csv: line 2, column 2: \"x\""]),
        (&image, file("ragged.csv", "1,2\n3\n"), &["ragged.csv: line 2: 1 cells, expected 2"]),
        (&image, file("seven.csv", "1,2,3,4,5,6,7\n"), &["seven.csv", "7 columns, expected 20"]),
        (&image, file("two.csv", "a,b\n1,2\n"), &["two.csv", "2 columns (a, b), expected 20"]),
        (
            &motion,
            file("three.csv", "ax,ay,az\n1,2,3\n"),
            &["3 columns (ax, ay, az), expected 6 (ax (2 g), ", "--columns"],
        ),
        (&motion, file("ten.csv", "1,2,3,4,5,6,7,8,9,10\n"), &["10 columns, expected 6 (ax (2 g), "]),
        (
            &motion,
            file("other.csv", "ax,ay,az,gx,gy,gz\n1,2,3,4,5,6\n"),
            &["columns (ax, ay, az, gx, gy, gz), expected"],
        ),
        (&motion, file("nine.csv", &"1,2,3,4,5,6\n".repeat(9)), &["too short for a frame of 10 samples"]),
        (&stories, wav("ok.wav", 8000, 8000), &["Tokens", "run"]),
    ];
    for (image, recording, words) in table {
        let mut command = Command::new(env!("CARGO_BIN_EXE_thumbformer"));
        let output = command.arg("classify").arg(image).arg(&recording).output().expect("the command starts");
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{recording:?}: {message}");
        assert!(message.starts_with("error: ") && !message.contains("panicked"), "{message}");
        for word in words {
            assert!(message.contains(word), "{recording:?}: expected {word:?} in {message}");
        }
    }
}

/// The dataset is not in the repository; where it lies beside it, all of its official test split is heard.
#[test]
fn the_official_test_split_of_fsdd_loses_at_most_half_a_point_where_it_is_found() {
    let recordings = root().join("../shared/data/fsdd/recordings");
    let Ok(entries) = std::fs::read_dir(&recordings) else {
        println!("{}: not there, nothing was compared", recordings.display());
        return;
    };
    let is_test = |file: &PathBuf| {
        let name = file.file_stem().map_or(String::new(), |name| name.to_string_lossy().into_owned());
        name.rsplit('_').next().and_then(|index| index.parse::<u32>().ok()).is_some_and(|index| index < 5)
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).filter(is_test).collect();
    files.sort();
    assert_eq!(files.len(), 300);
    let image = models().join("digits/digits.tbf");
    let words = read_image(&image).expect("an image");
    let model = model(&words, &image).expect("a model");
    let checkpoint = Checkpoint::load(&models().join("digits/checkpoint"), None).expect("the checkpoint");
    let recordings: Vec<Case> =
        files.iter().flat_map(|file| Case::of(read(&model, file).expect("a recording"))).collect();
    let report = compare(&model, &checkpoint, &recordings, &|| ()).expect("the same model");
    assert!(report.float_accuracy >= 0.975, "{report:?}");
    assert!(report.lines(&Bounds::INT8).iter().all(|line| line.ok), "{report:?}");
}

#[test]
fn a_text_is_refused_by_a_model_of_frames_with_the_commands_that_are_for_it() {
    let (digits, text) = (models().join("digits"), root().join("README.md"));
    let (image, checkpoint) = (digits.join("digits.tbf"), digits.join("checkpoint"));
    let words = |path: &Path| path.display().to_string();
    let table: [Vec<String>; 3] = [
        vec!["run".into(), words(&image), "--prompt".into(), "x".into()],
        vec!["verify".into(), words(&image), "--reference".into(), words(&checkpoint), "--text".into(), words(&text)],
        ["convert", &words(&checkpoint), "--quant", "q4", "--calibrate", &words(&text), "-o", "nowhere/x.tbf"]
            .map(String::from)
            .to_vec(),
    ];
    for arguments in table {
        let output =
            Command::new(env!("CARGO_BIN_EXE_thumbformer")).args(&arguments).output().expect("the command starts");
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && message.contains("reads Frames, not text"), "{arguments:?}: {message}");
        assert!(message.contains("verify --recordings"), "{message}");
    }
}
