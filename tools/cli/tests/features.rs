//! `thumbformer features`: the front end's own frames of WAV files, and what it says of files that it cannot read.

use std::path::Path;
use std::process::{Command, Output};
use thumbformer::audio::{FrontEnd, FrontEndConfig, HostBuffers};

fn wav(path: &Path, spec: hound::WavSpec, samples: &[i16]) {
    let mut writer = hound::WavWriter::create(path, spec).expect("the folder is writable");
    for sample in samples {
        writer.write_sample(*sample).expect("a sample");
    }
    writer.finalize().expect("a file");
}

fn speech() -> hound::WavSpec {
    hound::WavSpec { channels: 1, sample_rate: 8000, bits_per_sample: 16, sample_format: hound::SampleFormat::Int }
}

fn features(arguments: &[&str], inputs: &[&Path], output: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thumbformer"));
    command.args(["features", "--front-end", "thumbformer"]).args(arguments).args(inputs).arg("-o").arg(output);
    command.output().expect("the command starts")
}

#[test]
fn frames_of_wav_files_are_the_front_end_s() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name);
    let sound: Vec<i16> = (0..5000_i32).map(|i| ((i * i) % 20_011 - 10_000) as i16).collect();
    wav(&file("long.wav"), speech(), &sound);
    wav(&file("short.wav"), speech(), &sound[1000..1700]);
    let read = || -> Vec<f32> {
        let bytes = std::fs::read(file("frames")).expect("the output");
        let (floats, rest) = bytes.as_chunks::<4>();
        assert!(rest.is_empty());
        floats.iter().map(|&float| f32::from_le_bytes(float)).collect()
    };
    let expected = |samples: &[i16], silence: usize| {
        let mut frames = Vec::<f32>::new();
        let samples: Vec<i16> = samples.iter().copied().chain(vec![0; silence]).collect();
        let words = FrontEndConfig::thumbformer().words().expect("a preset");
        let front_end = FrontEnd::parse(&words).expect("a front end");
        let mut buffers = HostBuffers::new(&front_end);
        let mut extractor = front_end.extractor(buffers.memory()).expect("its memory");
        extractor.push(&samples, |frame| frames.extend(frame)).expect("a stream");
        frames
    };
    let inputs = [&*file("long.wav"), &*file("short.wav")];
    let output = features(&[], &inputs, &file("frames"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "2 recordings, 33 frames of 20 bands\n");
    assert_eq!(read(), [expected(&sound, 0), expected(&sound[1000..1700], 0)].concat());

    assert!(features(&["--frames", "10"], &inputs, &file("frames")).status.success());
    assert_eq!(read(), [&expected(&sound, 0)[..10 * 20], &expected(&sound[1000..1700], 996)].concat());

    assert!(features(&["--cut", "2500"], &inputs[..1], &file("frames")).status.success());
    assert_eq!(read(), [expected(&sound[..2500], 0), expected(&sound[2500..], 0)].concat());
}

#[test]
fn recordings_that_cannot_be_computed_with_are_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name);
    wav(&file("rate.wav"), hound::WavSpec { sample_rate: 44_100, ..speech() }, &[0; 500]);
    wav(&file("wide.wav"), hound::WavSpec { sample_rate: 16_000, ..speech() }, &[0; 500]);
    wav(&file("stereo.wav"), hound::WavSpec { channels: 2, ..speech() }, &[0; 500]);
    wav(&file("short.wav"), speech(), &[0; 255]);
    wav(&file("empty.wav"), speech(), &[]);
    wav(&file("cut.wav"), speech(), &[0; 500]);
    let bytes = std::fs::read(file("cut.wav")).expect("a file");
    std::fs::write(file("cut.wav"), &bytes[..700]).expect("a file");
    std::fs::write(file("text.wav"), "text").expect("a file");
    let table: [(&str, &[&str]); 8] = [
        ("absent.wav", &["absent.wav"]),
        ("text.wav", &["text.wav", "WAV"]),
        ("rate.wav", &["rate.wav", "44100 Hz", "resample"]),
        ("wide.wav", &["wide.wav", "16000 Hz", "8000 Hz"]),
        ("stereo.wav", &["stereo.wav", "2 channels, expected 1: mix them down"]),
        ("short.wav", &["short.wav", "expected 256 samples, found 255"]),
        ("empty.wav", &["empty.wav", "no samples"]),
        ("cut.wav", &["cut.wav", "cut off"]),
    ];
    for (name, words) in table {
        let output = features(&[], &[&file(name)], &file("frames"));
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{name}: {message}");
        assert!(message.starts_with("error: ") && !message.contains("panicked"), "{name}: {message}");
        for word in words {
            assert!(message.contains(word), "{name}: expected {word:?} in {message}");
        }
    }
}
