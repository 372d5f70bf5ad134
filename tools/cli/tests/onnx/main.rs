//! ONNX files of several exporters, held to onnxruntime's outputs (`tests/golden/onnx_files.py`, `tests/golden/exporter_files.py`).

mod rebuilt;

use std::path::{Path, PathBuf};
use thumbformer::{Outputs, Tensor};
use thumbformer_checkpoint::{Checkpoint, Weights};
use thumbformer_cli::convert::{Settings, convert};
use thumbformer_cli::verify::{Sequence, expected};
use thumbformer_reference::Reference;
use thumbformer_reference::metrics::Sqnr;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/onnx")
}

/// Names of the golden files.
fn names() -> Vec<String> {
    let files = std::fs::read_dir(golden()).expect("the golden files").map(|entry| entry.expect("a file").path());
    let onnx = files.filter(|path| path.extension().is_some_and(|extension| extension == "onnx"));
    let mut names: Vec<String> = onnx.filter_map(|path| Some(path.file_stem()?.to_str()?.to_string())).collect();
    names.sort();
    names
}

fn load(name: &str) -> Result<Checkpoint, String> {
    Checkpoint::load(&golden().join(format!("{name}.onnx")), None).map_err(|error| error.to_string())
}

fn softmax(scores: &[f64]) -> Vec<f64> {
    let sum: f64 = scores.iter().map(|score| score.exp()).sum();
    scores.iter().map(|score| score.exp() / sum).collect()
}

/// Ratio of signal to difference between the float reference and onnxruntime; the reason, where they cannot be compared.
fn agreement(name: &str, checkpoint: &Checkpoint) -> Result<f64, String> {
    let files = [golden().join(format!("{name}.npz"))];
    let expected = expected::load(&files, &checkpoint.config.dims(), None).map_err(|error| format!("{error:#}"))?;
    let reference = Reference::new(checkpoint);
    let is_softmax = checkpoint.notes.iter().any(|note| note.contains("softmax"));
    let is_sigmoid = checkpoint.config.options.outputs == Outputs::Labels;
    let mut sqnr = Sqnr::default();
    for sequence in expected {
        let mut ignored = |_: &str, _: &[f64]| ();
        let found = match &sequence.input {
            Sequence::Tokens(tokens) => {
                reference.forward(&tokens.iter().map(|&token| token.into()).collect::<Vec<u32>>(), &mut ignored)
            }
            Sequence::Frames(frames) => {
                let frames = frames.chunks(checkpoint.config.n_features);
                let frames = frames.map(|frame| frame.iter().map(|&number| number.into()).collect());
                reference.forward_frames(&frames.collect::<Vec<Vec<f64>>>(), &mut ignored)
            }
        };
        let found = found.map_err(|error| error.to_string())?;
        if found.len() != sequence.outputs.len() {
            return Err(format!("{} outputs for {}", found.len(), sequence.outputs.len()));
        }
        for (found, expected) in found.iter().zip(&sequence.outputs) {
            let found = match (is_softmax, is_sigmoid) {
                (true, _) => softmax(found),
                (_, true) => found.iter().map(|score| 1.0 / (1.0 + (-score).exp())).collect(),
                _ => found.clone(),
            };
            sqnr.add(expected, &found);
        }
    }
    Ok(sqnr.decibels())
}

#[test]
fn the_reference_computes_what_onnxruntime_does() {
    let mut wrong = Vec::new();
    for name in names() {
        match load(&name).and_then(|checkpoint| agreement(&name, &checkpoint)) {
            Ok(decibels) => {
                println!("{name}: {decibels:.1} dB");
                if decibels < 110.0 {
                    wrong.push(format!("{name}: {decibels:.1} dB"));
                }
            }
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    assert!(wrong.is_empty() && names().len() >= 24, "{wrong:#?}");
}

#[test]
fn every_file_becomes_an_image() {
    for name in names() {
        let checkpoint = load(&name).expect("a checkpoint");
        convert(&checkpoint, Settings::default(), &mut |_| ()).unwrap_or_else(|error| panic!("{name}: {error:#}"));
    }
}

/// A file as records of protobuf: number of the field, record, and payload where it has a length.
type Records = Vec<(u64, std::ops::Range<usize>, Option<std::ops::Range<usize>>)>;

fn varint(bytes: &[u8], at: &mut usize) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = bytes[*at];
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            return value;
        }
    }
}

fn records(bytes: &[u8], within: std::ops::Range<usize>) -> Records {
    let (mut at, mut found) = (within.start, Vec::new());
    while at < within.end {
        let start = at;
        let key = varint(bytes, &mut at);
        let payload = match key & 7 {
            0 => {
                varint(bytes, &mut at);
                None
            }
            1 => {
                at += 8;
                None
            }
            2 => {
                let length = varint(bytes, &mut at) as usize;
                at += length;
                Some(at - length..at)
            }
            _ => {
                at += 4;
                None
            }
        };
        found.push((key >> 3, start..at, payload));
    }
    found
}

/// Payloads of the fields at this path.
fn fields(bytes: &[u8], path: &[u64]) -> Vec<std::ops::Range<usize>> {
    let whole = 0..bytes.len();
    let mut found = vec![whole];
    for &field in path {
        let of = |range: std::ops::Range<usize>| {
            records(bytes, range).into_iter().filter(move |(own, ..)| *own == field).filter_map(|(.., payload)| payload)
        };
        found = found.into_iter().flat_map(of).collect();
    }
    found
}

/// Reads bytes as the golden file of this name; its data file is beside it.
fn load_bytes(name: &str, bytes: &[u8]) -> Result<Checkpoint, String> {
    let folder = tempfile::TempDir::new().expect("a folder");
    let beside = format!("{name}.onnx.data");
    if golden().join(&beside).is_file() {
        std::fs::copy(golden().join(&beside), folder.path().join(&beside)).expect("its data");
    }
    // The image names the file.
    let path = folder.path().join(format!("{name}.onnx"));
    std::fs::write(&path, bytes).expect("a file");
    Checkpoint::load(&path, None).map_err(|error| error.to_string())
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(golden().join(format!("{name}.onnx"))).expect("a golden file")
}

/// Tensors that differ.
fn differences(a: &Checkpoint, b: &Checkpoint) -> Vec<Tensor> {
    let differs = |(tensor, layer, weights): (Tensor, usize, &Weights)| {
        let other = b.tensors.get(tensor, layer);
        other.is_none_or(|other| other.shape != weights.shape || other.data != weights.data).then_some(tensor)
    };
    a.tensors.iter().filter_map(differs).collect()
}

/// Every letter of a name as another one, so that different names stay different.
fn garbled(text: &mut [u8]) {
    for letter in text {
        *letter = match letter {
            b'a'..=b'z' => b'a' + (*letter - b'a' + 11) % 26,
            b'A'..=b'Z' => b'A' + (*letter - b'A' + 7) % 26,
            b'0'..=b'9' => b'0' + (*letter - b'0' + 3) % 10,
            _ => b'_',
        };
    }
}

#[test]
fn no_name_and_no_order_decides_anything() {
    for name in names() {
        let original = bytes(&name);
        let mut changed = original.clone();
        // Names of nodes, their inputs and outputs; of the graph, tensors, inputs and outputs; of open dimensions.
        let names: [&[u64]; 9] = [
            &[7, 1, 1],
            &[7, 1, 2],
            &[7, 1, 3],
            &[7, 2],
            &[7, 5, 8],
            &[7, 11, 1],
            &[7, 12, 1],
            &[7, 11, 2, 1, 2, 1, 2],
            &[7, 12, 2, 1, 2, 1, 2],
        ];
        for path in names {
            fields(&original, path).into_iter().for_each(|range| garbled(&mut changed[range]));
        }
        // Nodes, tensors and inputs backwards.
        let graph = fields(&changed, &[7]).remove(0);
        let mut backwards = Vec::new();
        for (_, record, _) in records(&changed, graph.clone()).into_iter().rev() {
            backwards.extend_from_slice(&changed[record]);
        }
        changed[graph].copy_from_slice(&backwards);
        assert_ne!(original, changed, "{name}");
        let image = |checkpoint: &Checkpoint| {
            convert(checkpoint, Settings::default(), &mut |_| ()).unwrap_or_else(|error| panic!("{name}: {error:#}"))
        };
        let changed = load_bytes(&name, &changed).unwrap_or_else(|error| panic!("{name}: {error}"));
        let original = load(&name).expect("a checkpoint");
        assert_eq!(changed.config, original.config, "{name}");
        assert_eq!(differences(&changed, &original), [], "{name}");
        assert!(image(&changed) == image(&original), "{name}: another image");
    }
}

/// True if all nodes that read this tensor ask for its shape.
fn is_only_measured(file: &[u8], name: &str) -> bool {
    let texts = |node: &std::ops::Range<usize>, field: u64| -> Vec<&[u8]> {
        let of = records(file, node.clone()).into_iter().filter(|(own, ..)| *own == field);
        of.filter_map(|(.., payload)| payload).map(|range| &file[range]).collect()
    };
    let readers = fields(file, &[7, 1]).into_iter().filter(|node| texts(node, 1).contains(&name.as_bytes()));
    readers.into_iter().all(|node| texts(&node, 4) == [b"Shape"])
}

/// Every weight of a file matters: with another value the file is refused, or the float reference is far from onnxruntime.
#[test]
fn every_changed_tensor_is_refused_or_seen_in_the_outputs() {
    let (mut count, mut wrong) = (0, Vec::new());
    for name in names() {
        let original = bytes(&name);
        for tensor in fields(&original, &[7, 5]) {
            let of = |field: u64| records(&original, tensor.clone()).into_iter().find(|(own, ..)| *own == field);
            let is_float = of(2).is_some_and(|(_, record, _)| original[record.end - 1] == 1);
            let Some((.., Some(raw))) = of(9).filter(|_| is_float) else { continue };
            let label =
                of(8).and_then(|(.., payload)| payload).map(|range| original[range].to_vec()).unwrap_or_default();
            let label = String::from_utf8_lossy(&label).into_owned();
            let mut numbers = original[raw.clone()].as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
            if numbers.all(|number| number < -1e8) || is_only_measured(&original, &label) {
                // What hides a score hides it whatever it is; what gives a shape alone gives it whatever it is.
                continue;
            }
            let mut changed = original.clone();
            for number in changed[raw].chunks_exact_mut(4) {
                let value = f32::from_le_bytes([number[0], number[1], number[2], number[3]]);
                number.copy_from_slice(&(value * 1.25 + 0.125).to_le_bytes());
            }
            count += 1;
            match load_bytes(&name, &changed) {
                // A key's bias changes all scores of a query by the same, which the softmax takes out again.
                Ok(checkpoint)
                    if differences(&checkpoint, &load(&name).expect("a checkpoint")) == [Tensor::KeyBias] => {}
                Ok(checkpoint) => match agreement(&name, &checkpoint) {
                    Ok(decibels) if decibels < 60.0 => {}
                    Ok(decibels) => wrong.push(format!("{name}, {label}: {decibels:.1} dB")),
                    Err(error) => println!("{name}, {label}: {error}"),
                },
                Err(error) => println!("{name}, {label}: {error}"),
            }
        }
    }
    assert!(wrong.is_empty() && count > 100, "{count} tensors, {wrong:#?}");
}
