//! Everything that can be wrong with a checkpoint. Each message says where, what, and the next step.

use std::path::PathBuf;

/// Why a checkpoint was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read.
    #[error("{}: cannot be read; check the path and its permissions", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// A file is not what its place says it is.
    #[error("{}: {found}; {next}", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// What it seems to be.
        found: String,
        /// What to do.
        next: String,
    },

    /// A JSON file cannot be parsed, or lacks a key.
    #[error("{}: not the JSON that was expected ({source}); save it again with transformers' save_pretrained", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What the parser said, with line and column.
        source: serde_json::Error,
    },

    /// The file is shorter than its own header says.
    #[error("{}: cut short: its header asks for {expected} bytes, found {found}; copy or download it again", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Bytes that the header implies.
        expected: u64,
        /// Bytes in the file.
        found: u64,
    },

    /// The file is longer than its own header says.
    #[error("{}: too long: its header asks for {expected} bytes, found {found}; {next}", path.display())]
    TrailingBytes {
        /// The file.
        path: PathBuf,
        /// Bytes that the header implies.
        expected: u64,
        /// Bytes in the file.
        found: u64,
        /// What to do.
        next: &'static str,
    },

    /// The architecture is not one that is computed here.
    #[error(
        "{}: architecture `{found}` is not supported (its tensors: {tensors}); use one of {supported}, or write the weights in this project's own layout",
        path.display()
    )]
    Architecture {
        /// The file.
        path: PathBuf,
        /// The name found.
        found: String,
        /// The names accepted.
        supported: String,
        /// The tensors that could not be placed, with `N` for layers' numbers.
        tensors: String,
    },

    /// A setting would change the computation and is not supported, or contradicts another one.
    #[error("{}: `{key}` is {found}, expected {expected}; {next}", path.display())]
    Setting {
        /// The file.
        path: PathBuf,
        /// The setting's name.
        key: String,
        /// Its value.
        found: String,
        /// What would be accepted.
        expected: String,
        /// What to do.
        next: String,
    },

    /// A tensor that the configuration asks for is not in the file.
    #[error("{}: tensor `{tensor}` is missing ({present}); {next}", path.display())]
    MissingTensor {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// What the file has instead.
        present: String,
        /// What to do.
        next: String,
    },

    /// The file has a tensor that the supported architectures do not use, so ignoring it would change the result.
    #[error(
        "{}: tensor `{tensor}` {shape:?} has no place in this architecture (others without a place: {others}); leaving it out would change the result, so export the model without it",
        path.display()
    )]
    UnexpectedTensor {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// Its shape.
        shape: Vec<usize>,
        /// Further tensors of this kind, with `N` for layers' numbers.
        others: String,
    },

    /// A tensor has another shape than the configuration implies.
    #[error(
        "{}: tensor `{tensor}` has shape {found:?}, expected {expected:?} from the configuration; check that both come from the same training run",
        path.display()
    )]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// The shape that the configuration implies.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },

    /// A tensor's element type is not a float type that is read here.
    #[error("{}: tensor `{tensor}` holds {found}, expected F32, F16 or BF16; export the unquantized float model", path.display())]
    ElementType {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// The element type.
        found: String,
    },

    /// A weight is NaN or infinite.
    #[error(
        "{}: tensor `{tensor}` holds {value} at {index:?}, expected finite numbers; training diverged or the file is damaged: take an earlier checkpoint",
        path.display()
    )]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// Where, one number per dimension.
        index: Vec<usize>,
        /// What was found.
        value: f32,
    },

    /// The tokenizer is damaged, contradicts the model, or encodes text in a way that tables cannot reproduce.
    #[error("{}: {what}; {next}", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
        /// What to do.
        next: String,
    },
}
