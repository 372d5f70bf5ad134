//! Recordings that are longer than a model's clip, and ends of recordings that fill no frame: cut into windows or left out, and said.

use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use thumbformer::Model;
use thumbformer_checkpoint::{Checkpoint, Mask, Pooling};
use thumbformer_cli::classify::{Said, classify, read};
use thumbformer_cli::convert::{Settings, convert};
use thumbformer_cli::model;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn checkpoint(folder: &str) -> Checkpoint {
    Checkpoint::load(&root().join(folder), None).unwrap_or_else(|error| panic!("{error}"))
}

fn image(checkpoint: &Checkpoint) -> Vec<u32> {
    convert(checkpoint, Settings::default(), &mut |_| ()).unwrap_or_else(|error| panic!("{error:#}"))
}

/// Samples of the default digits model's clip.
const CLIP: usize = 7776;

/// A word of the fixtures, and silence up to the clip's end.
fn word(name: &str) -> Vec<i16> {
    let file = root().join("models/digits/fixtures").join(name);
    let mut samples = thumbformer_recordings::Sound::read(&file).expect("a sound").samples;
    samples.resize(CLIP, 0);
    samples
}

fn wav(folder: &TempDir, name: &str, samples: &[i16]) -> PathBuf {
    let sample_format = hound::SampleFormat::Int;
    let spec = hound::WavSpec { channels: 1, sample_rate: 8000, bits_per_sample: 16, sample_format };
    let file = folder.path().join(name);
    let mut writer = hound::WavWriter::create(&file, spec).expect("a file");
    samples.iter().for_each(|&sample| writer.write_sample(sample).expect("a sample"));
    writer.finalize().expect("a file");
    file
}

/// So many samples of one word after the other.
fn sound(folder: &TempDir, samples: usize) -> PathBuf {
    wav(folder, "3_cut.wav", &word("3_m8.wav").repeat(3)[..samples])
}

/// A table of so many rows, each with the same numbers.
fn rows(folder: &TempDir, rows: usize) -> PathBuf {
    let file = folder.path().join("rest_0.csv");
    std::fs::write(&file, "0.1,0,1,0,0.2,0\n".repeat(rows)).expect("a file");
    file
}

/// Standard output and standard error of a command that succeeds.
fn thumbformer(arguments: &[&str]) -> (String, String) {
    let ended = Command::new(env!("CARGO_BIN_EXE_thumbformer")).args(arguments).output().expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(ended.status.success(), "{}", text(&ended.stderr));
    (text(&ended.stdout), text(&ended.stderr))
}

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn a_recording_of_several_clips_has_the_answers_of_each_and_the_mean_of_their_probabilities() {
    let folder = TempDir::new().expect("a folder");
    let digits = root().join("models/digits/digits.tbf");
    let words = thumbformer_cli::read_image(&digits).expect("an image");
    let model = model(&words, &digits).expect("a model");
    let (three, seven) = (word("3_m8.wav"), word("7_iven2.wav"));
    let alone = [&three, &seven].map(|samples| {
        let answer = classify(&model, &read(&model, &wav(&folder, "alone.wav", samples)).expect("a clip"));
        answer.expect("an answer").windows.remove(0)
    });
    let file = wav(&folder, "3_long.wav", &[&three[..], &seven, &seven].concat());
    let answer = classify(&model, &read(&model, &file).expect("a recording")).expect("an answer");
    let found: Vec<_> = answer.windows.iter().map(|window| (window.name.as_str(), window.crc32)).collect();
    let names = ["3_long +0.00 s", "3_long +0.97 s", "3_long +1.94 s"];
    assert_eq!(found, [(names[0], alone[0].crc32), (names[1], alone[1].crc32), (names[2], alone[1].crc32)]);
    let Said::Class { label, probability, .. } = &answer.said else { panic!("{answer:?}") };
    assert!(label == "seven" && (probability - 2.0 / 3.0).abs() < 0.1, "{answer:?}");

    let (printed, _) = thumbformer(&["classify", path(&digits), path(&file)]);
    assert_eq!(printed.lines().count(), 4, "{printed}");
    assert!(printed.ends_with("mean of 3 windows\n"), "{printed}");
    let (printed, _) = thumbformer(&["classify", "--json", path(&digits), path(&file)]);
    let json: serde_json::Value = serde_json::from_str(&printed).expect("one line of JSON");
    assert_eq!((&json["label"], &json["windows"][1]["start"]["seconds"]), (&"seven".into(), &0.972.into()));
    assert_eq!(json["windows"][2]["logits"].as_array().map(Vec::len), Some(10));
    let reference = root().join("models/digits/checkpoint");
    let arguments = ["verify", path(&digits), "--reference", path(&reference), "--max-accuracy-loss", "100"];
    let short = wav(&folder, "3_short.wav", &three[..4000]);
    let (printed, _) = thumbformer(&[&arguments[..], &["--recordings", path(&file), path(&short)]].concat());
    assert!(printed.starts_with("4 outputs of 4 windows of 2 recordings"), "{printed}");
}

#[test]
fn a_last_part_is_a_window_where_it_has_a_frame_and_is_counted_where_it_has_none() {
    let folder = TempDir::new().expect("a folder");
    let mut stream = checkpoint("models/digits/checkpoint");
    (stream.config.options.mask, stream.config.options.pooling) = (Mask::Causal, Pooling::Last);
    let [digits, gestures, motion, stream] = [
        checkpoint("models/digits/checkpoint"),
        checkpoint("tests/golden/your_model/checkpoint"),
        checkpoint("models/motion/checkpoint"),
        stream,
    ]
    .map(|checkpoint| image(&checkpoint));
    // Of a clip: 48 frames of 256 samples, every 160; 10 frames of 10 rows. Of a stream: frames of 10 rows, or of 2 with 256 samples.
    type Row<'a> = (&'a [u32], fn(&TempDir, usize) -> PathBuf, usize, usize, Option<&'a str>);
    let table: [Row<'_>; 15] = [
        (&digits, sound, CLIP, 1, None),
        (&digits, sound, CLIP + 160, 1, None),
        (&digits, sound, CLIP + 161, 1, Some("161 of 7937 samples fill no frame of the front end")),
        (&digits, sound, CLIP + 256, 2, None),
        (&digits, sound, 2 * CLIP + 160, 2, None),
        (&digits, sound, 2 * CLIP + 200, 2, Some("200 of 15752 samples fill no frame of the front end")),
        (&digits, sound, 2 * CLIP + 4000, 3, None),
        (&gestures, rows, 100, 1, None),
        (&gestures, rows, 103, 1, Some("3 of 103 rows fill no frame of 10")),
        (&gestures, rows, 112, 2, Some("2 of 112 rows fill no frame of 10")),
        (&gestures, rows, 300, 3, None),
        (&gestures, rows, 59, 1, Some("9 of 59 rows fill no frame of 10")),
        (&motion, rows, 127, 1, Some("7 of 127 rows fill no frame of 10")),
        (&stream, sound, 256 + 3 * 160 + 159, 1, None),
        (&stream, sound, 256 + 4 * 160, 1, Some("0.02 s of sound fill no frame of the model")),
    ];
    for (words, write, length, windows, note) in table {
        let file = write(&folder, length);
        let model = Model::parse(words).expect("an image");
        let found = read(&model, &file).unwrap_or_else(|error| panic!("{length}: {error:#}"));
        assert_eq!(found.windows.len(), windows, "{length}: {:?}", found.note);
        let expected = note.map(|note| format!("{}: {note}: left out, at the end", file.display()));
        assert_eq!(found.note, expected, "{length}");
        classify(&model, &found).unwrap_or_else(|error| panic!("{length}: {error}"));
    }
    let file = folder.path().join("motion.tbf");
    std::fs::write(&file, thumbformer::image::bytes(&motion)).expect("a file");
    let (_, said) = thumbformer(&["classify", path(&file), path(&rows(&folder, 127))]);
    assert_eq!(said.matches("7 of 127 rows").count(), 1, "{said}");
}
