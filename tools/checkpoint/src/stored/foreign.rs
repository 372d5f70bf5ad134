//! Other files that people have, by their first bytes or their names: what they are, and the way that works.

use std::path::Path;

use super::open::unknown;
use crate::Error;

/// Next step with a model of Keras or TensorFlow.
const KERAS: &str = "export it as ONNX: tf2onnx.convert.from_keras(model, output_path=\"model.onnx\"), or write its weights in this project's own layout: \
                     model.get_weights() as model.safetensors, and a config.json";
const TF_HUB: &str =
    "load it with transformers and save it again: AutoModel.from_pretrained(folder, from_tf=True).save_pretrained(out)";
const FLAX: &str = "load it with transformers and save it again: AutoModel.from_pretrained(folder, from_flax=True).save_pretrained(out)";
const SOURCE: &str = "convert the PyTorch checkpoint that it was made of: its weights are compiled into it";
const NUMPY: &str = "save the arrays with safetensors.numpy.save_file, and write a config.json beside them";
const UNPACK: &str = "unpack it, and give the folder or file of the checkpoint";

/// First bytes, what they are the beginning of, and the next step.
const MAGICS: [(usize, &[u8], &str, &str); 14] = [
    (0, b"\x89HDF\r\n\x1a\n", "HDF5, the format of Keras", KERAS),
    (4, b"TFL3", "a TensorFlow Lite model", SOURCE),
    (4, b"ET12", "an ExecuTorch program", SOURCE),
    (0, b"\x93NUMPY", "one array of numpy", NUMPY),
    (0, b"\x1f\x8b", "compressed by gzip", UNPACK),
    (0, b"BZh", "compressed by bzip2", UNPACK),
    (0, b"\xfd7zXZ\0", "compressed by xz", UNPACK),
    (0, b"\x28\xb5\x2f\xfd", "compressed by zstd", UNPACK),
    (0, b"Rar!", "a RAR archive", UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (257, b"ustar", "a tar archive", UNPACK),
    (0, b"PK\x05\x06", "an empty zip", "copy or download it again"),
    (0, b"version https://git-lfs", "a pointer of Git LFS, not the file", "fetch the file: git lfs pull"),
    (0, b"<!DOCTYPE", "a page of HTML", "download the file itself"),
];

/// Ends of names, what such files are, and the next step.
const ENDS: [(&str, &str, &str); 14] = [
    (".keras", "a model of Keras", KERAS),
    (".h5", "HDF5, the format of Keras", KERAS),
    (".hdf5", "HDF5, the format of Keras", KERAS),
    (".tflite", "a TensorFlow Lite model", SOURCE),
    (".pte", "an ExecuTorch program", SOURCE),
    (".mlmodel", "a Core ML model", SOURCE),
    (".msgpack", "weights of Flax", FLAX),
    (".ckpt.index", "a checkpoint of TensorFlow", TF_HUB),
    (".npz", "arrays of numpy", NUMPY),
    (".npy", "one array of numpy", NUMPY),
    ("saved_model.pb", "a SavedModel of TensorFlow", KERAS),
    (".joblib", "a pickle of joblib, as scikit-learn's models are", "give the transformer's own file"),
    (".json", "one file of a Hugging Face folder", "give the folder that holds config.json and model.safetensors"),
    (
        ".pt2",
        "a program of torch.export",
        "save its state dict: torch.save(torch.export.load(file).state_dict, \"model.pt\")",
    ),
];

/// Error for a file of another format, if its bytes or its name tell.
pub(crate) fn named(path: &Path, bytes: &[u8]) -> Option<Error> {
    let is_magic =
        |(at, magic, ..): &&(usize, &[u8], &str, &str)| bytes.get(*at..).is_some_and(|b| b.starts_with(magic));
    let by_bytes = MAGICS.iter().find(is_magic).map(|&(_, _, found, next)| (found, next));
    let name = path.file_name()?.to_string_lossy().to_lowercase();
    let by_name = || ENDS.iter().find(|(end, ..)| name.ends_with(end)).map(|&(_, found, next)| (found, next));
    let (found, next) = by_bytes.or_else(by_name)?;
    Some(unknown(path, found, next))
}

/// Error for bytes that nothing here reads.
pub(crate) fn nothing(path: &Path) -> Error {
    unknown(path, "no checkpoint that is known", "give a folder with config.json and model.safetensors")
}

/// Error for a zip that is not of `torch.save`, by the names in it.
pub(super) fn zip(path: &Path, names: &[String]) -> Option<Error> {
    let has = |name: &str| names.iter().any(|other| other == name);
    let ends = |end: &str| names.iter().any(|name| name.ends_with(end));
    let (found, next) = if has("model.weights.h5") || (has("metadata.json") && has("config.json")) {
        ("a model of Keras", KERAS)
    } else if ends("/constants.pkl") {
        (
            "a TorchScript archive, which is a program",
            "save its state dict: torch.save(torch.jit.load(file).state_dict(), \"model.pt\")",
        )
    } else if ends("archive_format") || ends("serialized_exported_program.json") {
        (
            "a program of torch.export",
            "save its state dict: torch.save(torch.export.load(file).state_dict, \"model.pt\")",
        )
    } else if !names.is_empty() && names.iter().all(|name| name.ends_with(".npy")) {
        ("arrays of numpy (.npz)", NUMPY)
    } else if ends("/data.pkl") || has("data.pkl") {
        return None;
    } else if ends(".safetensors") || ends(".pt") || ends(".bin") || ends(".pth") {
        ("a zip around a checkpoint", UNPACK)
    } else if ends("coremldata.bin") || ends(".mlmodel") {
        ("a Core ML package", SOURCE)
    } else {
        return None;
    };
    Some(unknown(path, found, next))
}
