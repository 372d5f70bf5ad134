//! Files of `torch.save`, and what people have in their place: nothing is called, and what cannot be read is named.

use std::fs;
use std::io::{Cursor, Write};

use safetensors::tensor::Dtype;
use tempfile::TempDir;
use thumbformer_checkpoint::Checkpoint;
use zip::write::SimpleFileOptions;

use crate::Report;
use crate::files::{Raw, find, golden, rename, tensors, write};

/// A folder with the settings of the golden encoder.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(golden("saved/encoder/config.json"), folder.path().join("config.json")).unwrap();
    folder
}

fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in entries {
        zip.start_file(*name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A file of `torch.save` with a storage `0` of six floats.
fn saved(program: &[u8]) -> Vec<u8> {
    zip(&[("m/data.pkl", &[b"\x80\x02", program, b"."].concat()), ("m/byteorder", b"little"), ("m/data/0", &[0; 24])])
}

fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

fn call(global: &str, args: &[&[u8]]) -> Vec<u8> {
    let (module, name) = global.rsplit_once('.').unwrap();
    [format!("c{module}\n{name}\n(").as_bytes(), &args.concat(), b"tR"].concat()
}

fn dict(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let entries = entries.iter().flat_map(|(key, value)| [text(key), value.clone()].concat());
    [b"}(".to_vec(), entries.collect(), b"u".to_vec()].concat()
}

fn sizes(sizes: &[u8]) -> Vec<u8> {
    let sizes: Vec<u8> = sizes.iter().flat_map(|&size| [b'K', size]).collect();
    [b"(", &sizes[..], b"t"].concat()
}

/// A tensor of a storage's class and key, offset, sizes and strides.
fn tensor(class: &str, key: &str, offset: u8, shape: &[u8], strides: &[u8]) -> Vec<u8> {
    let global = format!("ctorch\n{class}\n").into_bytes();
    let storage = [b"(".to_vec(), text("storage"), global, text(key), text("cpu"), b"K\x06tQ".to_vec()];
    call(
        "torch._utils._rebuild_tensor_v2",
        &[&storage.concat(), &[b'K', offset], &sizes(shape), &sizes(strides), b"\x89N"],
    )
}

fn sound() -> Vec<u8> {
    tensor("FloatStorage", "0", 0, &[2, 3], &[3, 1])
}

#[test]
fn a_pickle_that_holds_no_state_dict_is_refused_by_what_it_holds() {
    let one = |tensor: Vec<u8>| saved(&dict(&[("a.weight", tensor)]));
    let state = dict(&[("a.weight", sound())]);
    let scaler = |state: &[u8]| {
        [b"csklearn.preprocessing._data\nStandardScaler\n)\x81".to_vec(), state.to_vec(), b"b".to_vec()].concat()
    };
    let module = |inner: &[u8]| {
        let parts = dict(&[("_parameters", b"}".to_vec()), ("_buffers", b"}".to_vec()), ("_modules", inner.to_vec())]);
        [b"cmine\nNet\n)\x81q\x07".to_vec(), parts, b"b".to_vec()].concat()
    };
    let view = |offset, shape: &[u8], strides: &[u8]| one(tensor("FloatStorage", "0", offset, shape, strides));
    let cases: [(&str, Vec<u8>, &[&str]); 26] = [
        ("a call", saved(&call("os.system", &[&text("true")])), &["a `os.system`", "torch.save(model.state_dict()"]),
        ("a call as a tensor", one(call("os.system", &[&text("true")])), &["without tensors", "`a.weight`"]),
        ("a scaler", saved(&scaler(&dict(&[("mean_", sound())]))), &["`sklearn.preprocessing._data.StandardScaler`"]),
        ("a function", saved(b"cmine\nmain\n"), &["the class or function `mine.main`"]),
        ("a list", saved(b"]"), &["a list", "state dict"]),
        ("a tensor alone", saved(&sound()), &["no state dict"]),
        ("an empty module", saved(&module(b"}")), &["`mine.Net` without tensors"]),
        ("a module in itself", saved(&module(&dict(&[("again", b"h\x07".to_vec())]))), &["a module without an end"]),
        (
            "two models",
            saved(&dict(&[("model", state.clone()), ("ema", state)])),
            &["`model` and `ema`", "checkpoint["],
        ),
        (
            "a sparse tensor",
            one(call("torch._utils._rebuild_sparse_tensor", &[])),
            &["`a.weight`", "_rebuild_sparse_tensor"],
        ),
        ("a quantized tensor", one(tensor("QInt8Storage", "0", 0, &[2], &[1])), &["`a.weight`", "torch.QInt8Storage"]),
        (
            "a tensor's subclass",
            one(call("torch._tensor._rebuild_from_type_v2", &[b"cmine\nf\ncmine\nPruned\n)}"])),
            &["`a.weight`", "the class `mine.Pruned`"],
        ),
        ("no storage", one(tensor("FloatStorage", "7", 0, &[2], &[1])), &["`a.weight`", "storage `7`"]),
        ("a longer view", view(0, &[7], &[1]), &["`a.weight`", "[7]", "6 of its storage"]),
        ("a later view", view(5, &[2], &[1]), &["`a.weight`", "from element 5"]),
        ("wide strides", view(0, &[2, 2], &[5, 1]), &["`a.weight`", "leaves"]),
        ("repeated elements", view(0, &[200, 6], &[0, 1]), &["`a.weight`", "expand"]),
        ("strides too few", view(0, &[2, 3], &[1]), &["`a.weight`", "2 sizes, but 1 strides"]),
        ("negative sizes", one([&sound()[..], b"K\x01"].concat()), &["not a readable pickle"]),
        ("an empty stack", saved(b"0"), &["not a readable pickle", "an empty stack at byte 2"]),
        ("no mark", saved(b"t"), &["no mark at byte 2"]),
        ("no memo", saved(b"h\x01"), &["a memo that was never put"]),
        ("no opcode", saved(b"\xff"), &["no opcode: 0xff"]),
        ("a text cut short", saved(b"X\xff\xff\xff\xff"), &["cut short"]),
        ("cut", b"\x80\x02}q\x00".to_vec(), &["not a readable pickle", "cut short"]),
        ("an odd key", saved(&[&b"}("[..], &text("a"), b"u"].concat()), &["a key without a value"]),
    ];
    let mut report = Report::default();
    let folder = folder();
    let path = folder.path().join("model.pt");
    for (case, bytes, expected) in cases {
        fs::write(&path, bytes).unwrap();
        report.check(case, &path, &[expected, &["model.pt"]].concat());
    }
    // The helpers make what PyTorch would: only the layers are missing.
    fs::write(&path, one(sound())).unwrap();
    report.check("sound", &path, &["its tensors: a.weight"]);
}

#[test]
fn a_legacy_file_cut_anywhere_is_refused_and_so_is_a_zip() {
    let folder = folder();
    for name in ["legacy.pt", "state_dict.pt"] {
        let whole = fs::read(golden("saved/encoder").join(name)).unwrap();
        let path = folder.path().join(name);
        for cut in (0..whole.len()).step_by(37) {
            fs::write(&path, &whole[..cut]).unwrap();
            assert!(Checkpoint::load(&path, None).is_err(), "{name}: {cut} bytes");
        }
        // A changed number is not a checkpoint's damage that only a chip would show: a zip has checksums.
        let mut changed = whole.clone();
        let place = whole.windows(10).position(|bytes| bytes.starts_with(b"encoder.la")).unwrap();
        changed[place] ^= 1;
        fs::write(&path, changed).unwrap();
        assert!(Checkpoint::load(&path, None).is_err(), "{name}");
    }
}

#[test]
fn another_format_is_named_for_what_it_is_with_the_way_that_works() {
    let program = b"\x80\x02}.".as_slice();
    let cases: [(&str, Vec<u8>, &[&str]); 24] = [
        ("scripted.pt", zip(&[("m/data.pkl", program), ("m/constants.pkl", program)]), &["TorchScript", "jit.load"]),
        ("model.pt2", zip(&[("m/archive_format", b"pt2")]), &["torch.export", "export.load"]),
        (
            "model.keras",
            zip(&[("metadata.json", b"{}"), ("config.json", b"{}")]),
            &["Keras", "tf2onnx.convert.from_keras(", "get_weights"],
        ),
        ("arrays.npz", zip(&[("a.npy", b"\x93NUMPY")]), &["numpy", "safetensors.numpy"]),
        ("all.zip", zip(&[("model.safetensors", b"")]), &["a zip around a checkpoint", "unpack"]),
        ("notes.zip", zip(&[("notes.txt", b"")]), &["a zip of notes.txt", "torch.save"]),
        ("big.pt", zip(&[("m/data.pkl", program), ("m/byteorder", b"big")]), &["byte order"]),
        ("model.h5", b"\x89HDF\r\n\x1a\n".to_vec(), &["HDF5", "Keras"]),
        ("model.tflite", b"\x1c\0\0\0TFL3".to_vec(), &["TensorFlow Lite", "PyTorch checkpoint"]),
        ("model.pte", b"\x1c\0\0\0ET12".to_vec(), &["ExecuTorch"]),
        ("array.npy", b"\x93NUMPY\x01".to_vec(), &["one array of numpy"]),
        ("model.tar.gz", b"\x1f\x8b\x08\0".to_vec(), &["gzip", "unpack"]),
        ("model.rar", b"Rar!\x1a".to_vec(), &["RAR", "unpack"]),
        ("model.7z", b"7z\xbc\xaf\x27\x1c".to_vec(), &["7z", "unpack"]),
        ("model.mlmodel", b"\x08\x04".to_vec(), &["Core ML"]),
        ("flax_model.msgpack", b"\x81".to_vec(), &["Flax", "from_flax=True"]),
        ("model.ckpt.index", b"\0\0".to_vec(), &["TensorFlow", "from_tf=True"]),
        ("saved_model.pb", b"\x08\x01".to_vec(), &["SavedModel"]),
        ("scaler.joblib", b"\x78\x9c".to_vec(), &["joblib"]),
        ("pointer.pt", b"version https://git-lfs.github.com/spec/v1".to_vec(), &["Git LFS", "git lfs pull"]),
        ("page.pt", b"<!DOCTYPE html>".to_vec(), &["HTML", "download"]),
        ("config.json", b"{}".to_vec(), &["give the folder"]),
        ("model.safetensors", b"\x89HDF\r\n\x1a\n".to_vec(), &["HDF5"]),
        ("empty.zip", b"PK\x05\x06".to_vec(), &["an empty zip"]),
    ];
    let mut report = Report::default();
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes, expected) in cases {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        report.check(name, &path, &[expected, &[name]].concat());
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn adapters_and_parametrizations_are_refused_with_the_call_that_folds_them() {
    const UP: &str = "encoder.layers.0.linear1.weight";
    type Spoil = fn(&mut Vec<Raw>);
    let cases: [(&str, Spoil, &[&str]); 6] = [
        (
            "an adapter",
            |all| rename(all, UP, "encoder.layers.0.linear1.lora_A.default.weight"),
            &["lora_A", "merge_and_unload()"],
        ),
        (
            "its base",
            |all| rename(all, UP, "encoder.layers.0.linear1.base_layer.weight"),
            &["base_layer", "merge_and_unload()"],
        ),
        (
            "spectral norm",
            |all| rename(all, UP, "encoder.layers.0.linear1.weight_orig"),
            &["weight_orig", "remove_spectral_norm(model.encoder.layers.0.linear1)"],
        ),
        (
            "a parametrization",
            |all| rename(all, UP, "encoder.layers.0.linear1.parametrizations.weight.original"),
            &["remove_parametrizations(model.encoder.layers.0.linear1, \"weight\")"],
        ),
        (
            "a gain of another shape",
            |all| {
                let gain = Raw { shape: vec![8], data: vec![0; 32], ..find(all, UP).clone() };
                all.push(Raw { name: UP.replace("weight", "weight_g"), ..gain });
                rename(all, UP, "encoder.layers.0.linear1.weight_v");
            },
            &["weight_g", "[8]", "[12, 8]", "remove_weight_norm"],
        ),
        (
            "a float beyond 32 bits",
            |all| {
                let up = find(all, UP);
                (up.dtype, up.data) = (Dtype::F64, 1e300_f64.to_le_bytes().repeat(96));
            },
            &[UP, "inf"],
        ),
    ];
    let mut report = Report::default();
    for (case, spoil, expected) in cases {
        let folder = folder();
        let mut all = tensors(&golden("saved/encoder/data_parallel.safetensors"));
        all.iter_mut().for_each(|raw| raw.name = raw.name.trim_start_matches("module.").into());
        spoil(&mut all);
        write(&folder.path().join("model.safetensors"), &all);
        report.check(case, folder.path(), expected);
    }
}

#[test]
fn a_folder_of_several_files_of_weights_is_refused_by_their_names_unless_it_is_known_which_is_read() {
    let mut report = Report::default();
    let folder = folder();
    let put = |from: &str, to: &str| _ = fs::copy(golden("saved/encoder").join(from), folder.path().join(to)).unwrap();
    put("state_dict.pt", "epoch1.pt");
    let wanted = Checkpoint::load(folder.path(), None).unwrap_or_else(|error| panic!("{error}"));
    put("state_dict.pt", "optimizer.pt");
    put("state_dict.pt", "rng_state.pth");
    assert!(Checkpoint::load(folder.path(), None).is_ok(), "what a training writes beside the weights");
    put("legacy.pt", "epoch2.pt");
    report.check("two", folder.path(), &["epoch1.pt and epoch2.pt", "give the one to convert"]);
    let file = Checkpoint::load(&folder.path().join("epoch2.pt"), None).unwrap();
    assert_eq!((file.tensors, file.config), (wanted.tensors, wanted.config));
    // As transformers: safetensors before pickles.
    put("legacy.pt", "pytorch_model.bin");
    put("float64.safetensors", "model.safetensors");
    let both = Checkpoint::load(folder.path(), None).unwrap();
    assert!(
        both.notes[0].contains("model.safetensors") && both.notes[0].contains("pytorch_model.bin is not"),
        "{:?}",
        both.notes
    );

    let adapter = tempfile::tempdir().unwrap();
    fs::write(adapter.path().join("config.json"), r#"{"model_type": "llama"}"#).unwrap();
    fs::write(adapter.path().join("adapter_model.safetensors"), "").unwrap();
    report.check("an adapter", adapter.path(), &["LoRA adapter", "merge_and_unload()"]);
    let keras = tempfile::tempdir().unwrap();
    fs::write(keras.path().join("saved_model.pb"), "").unwrap();
    report.check("TensorFlow", keras.path(), &["saved_model.pb", "SavedModel"]);
}
