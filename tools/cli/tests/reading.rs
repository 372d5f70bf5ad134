//! `classify` of what people have: texts, sound of another rate, tables with more columns, labels in names, folders and lists.

use std::path::{Path, PathBuf};
use std::process::Command;
use thumbformer_checkpoint::{Checkpoint, Mask, Pooling};
use thumbformer_cli::convert::{Settings, convert};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Exit, standard output and standard error of the command.
fn classify(image: &Path, arguments: &[&str]) -> (bool, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thumbformer"));
    let ended = command.arg("classify").arg(image).args(arguments).output().expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (ended.status.success(), text(&ended.stdout), text(&ended.stderr))
}

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A language model as a classifier of texts: it sees all of a text, and its outputs are those of the mean.
fn classifier(folder: &Path) -> PathBuf {
    let file = root().join("tests/golden/gguf/tokenizer.gguf");
    let mut checkpoint = Checkpoint::load(&file, None).expect("a checkpoint");
    (checkpoint.config.options.mask, checkpoint.config.options.pooling) = (Mask::Bidirectional, Pooling::Mean);
    let words = convert(&checkpoint, Settings::default(), &mut |_| ()).expect("an image");
    let image = folder.join("classifier.tbf");
    std::fs::write(&image, thumbformer::image::bytes(&words)).expect("a file");
    image
}

#[test]
fn texts_are_classified_one_by_one_and_line_by_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let image = classifier(folder.path());
    let (ok, alone, said) = classify(&image, &["--text", "the cat", "--text", "a dog"]);
    assert!(ok, "{said}");
    assert_eq!(alone.lines().count(), 2);
    assert!(alone.starts_with("the cat: "), "{alone}");
    let list = folder.path().join("list.txt");
    std::fs::write(&list, "the cat\n\na dog\n").expect("a file");
    assert_eq!(classify(&image, &[path(&list)]).1, alone, "a line is a text");
    let stories = root().join("models/stories/stories.tbf");
    let (ok, _, said) = classify(&stories, &["--text", "the cat"]);
    assert!(!ok && said.contains("use `run` for a language model"), "{said}");
    let digits = root().join("models/digits/digits.tbf");
    let (ok, _, said) = classify(&digits, &["--text", "the cat"]);
    assert!(!ok && said.contains("not text: give it recordings"), "{said}");
}

#[test]
fn sound_of_another_rate_is_heard_where_that_is_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let digits = root().join("models/digits/digits.tbf");
    let sound = thumbformer_recordings::Sound::read(&root().join("models/digits/fixtures/3_m8.wav")).expect("a sound");
    let wide = sound.resampled(44_100).expect("a rate");
    let file = folder.path().join("3_wide.WAV");
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: wide.rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(&file, spec).expect("a file");
    wide.samples.iter().for_each(|&sample| writer.write_sample(sample).expect("a sample"));
    writer.finalize().expect("a file");
    let (ok, _, said) = classify(&digits, &[path(&file)]);
    assert!(!ok && said.contains("44100 Hz, expected 8000 Hz: resample it"), "{said}");
    let (ok, found, said) = classify(&digits, &["--resample", path(&file)]);
    assert!(ok && found.starts_with("3_wide: three ("), "{found}{said}");
    // Three times the sound is longer than the clip.
    let longer: Vec<i16> = [&wide.samples[..], &wide.samples[..], &wide.samples[..]].concat();
    let mut writer = hound::WavWriter::create(&file, spec).expect("a file");
    longer.iter().for_each(|&sample| writer.write_sample(sample).expect("a sample"));
    writer.finalize().expect("a file");
    let (ok, found, said) = classify(&digits, &["--resample", path(&file)]);
    assert!(ok && found.contains("3_wide +0.97 s: ") && found.ends_with("windows\n"), "{found}{said}");
}

#[test]
fn columns_are_chosen_and_labels_come_from_names_folders_or_a_list() {
    let folder = tempfile::tempdir().expect("a folder");
    let motion = root().join("models/motion/motion.tbf");
    let text = std::fs::read_to_string(root().join("models/motion/fixtures/row_1.csv")).expect("a recording");
    let (mut logged, mut plain) = (String::new(), String::new());
    for (number, line) in text.lines().enumerate() {
        let columns: Vec<&str> = line.split(',').collect();
        let first = if number == 0 { "time,label".into() } else { format!("12:{number},rest") };
        logged += &format!("{first},{}\n", columns.join(","));
        plain += &format!("{line}\n");
    }
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(&file, text).expect("a file");
        file
    };
    let (logged, in_folder) = (write("row_logged.csv", &logged), write("row/7.csv", &plain));
    let (ok, expected, _) = classify(&motion, &[path(&root().join("models/motion/fixtures/row_1.csv"))]);
    assert!(ok);
    let (ok, found, said) = classify(&motion, &["--columns", "ax,ay,az,wx,wy,wz", path(&logged)]);
    assert!(ok, "{said}");
    assert_eq!(found.split_once(' ').unwrap().1, expected.split_once(' ').unwrap().1, "the same bits");
    let (ok, _, said) = classify(&motion, &[path(&logged)]);
    assert!(!ok && said.contains("column \"time\", 1"), "{said}");
    let nameless = write("nothing/x.csv", &plain);
    let recordings = [path(&in_folder), path(&nameless)];
    let (_, _, said) = classify(&motion, &recordings);
    assert_eq!(said, "2 recordings, 1 labelled, 1 of these right\n");
    let list = write("list.csv", "file,label\nx.csv,row\n");
    let (_, _, said) = classify(&motion, &["--labels", path(&list), recordings[0], recordings[1]]);
    assert_eq!(said, "2 recordings, 1 labelled, 1 of these right\n");
    let wrong = write("wrong.csv", "x.csv,dance\n");
    let (ok, _, said) = classify(&motion, &["--labels", path(&wrong), recordings[1]]);
    assert!(!ok && said.contains("the label \"dance\" is no output of the model"), "{said}");
}

#[test]
fn a_folder_in_the_place_of_recordings_is_refused_with_how_to_give_its_files() {
    let digits = root().join("models/digits");
    let (image, fixtures) = (digits.join("digits.tbf"), digits.join("fixtures"));
    let (ok, _, said) = classify(&image, &[path(&fixtures)]);
    assert!(!ok && said.contains("a folder, expected files") && said.contains("fixtures/*.wav"), "{said}");
}
