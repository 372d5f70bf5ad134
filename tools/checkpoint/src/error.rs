//! Errors in a checkpoint. Each message has the place, the error and the next step.

use std::path::PathBuf;

/// The reason that a checkpoint was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read.
    #[error("{}: cannot be read: {}", path.display(), crate::files::cause(source.kind()))]
    Read {
        /// The file.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },

    /// A file is not of the expected format.
    #[error("{}: {found}; {next}", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// The format that it seems to have.
        found: String,
        /// Next step.
        next: String,
    },

    /// A JSON file cannot be parsed, or lacks a key.
    #[error("{}: not the expected JSON ({source}); save it again with transformers' save_pretrained", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Error of the parser, with line and column.
        source: serde_json::Error,
    },

    /// The file is shorter than its header requires.
    #[error("{}: cut short: its header asks for {expected} bytes, found {found}; copy or download it again", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Bytes that the header implies.
        expected: u64,
        /// Bytes in the file.
        found: u64,
    },

    /// The file is longer than its header requires.
    #[error("{}: too long: its header asks for {expected} bytes, found {found}; {next}", path.display())]
    TrailingBytes {
        /// The file.
        path: PathBuf,
        /// Bytes that the header implies.
        expected: u64,
        /// Bytes in the file.
        found: u64,
        /// Next step.
        next: &'static str,
    },

    /// The architecture is not supported.
    #[error(
        "{}: architecture `{found}` is not supported (its tensors: {tensors}); use one of {supported}, or write the weights in this project's own layout",
        path.display()
    )]
    Architecture {
        /// The file.
        path: PathBuf,
        /// The name in the file.
        found: String,
        /// The supported names.
        supported: String,
        /// The file's tensors, with `N` for the layers' numbers.
        tensors: String,
    },

    /// A setting that changes the computation is not supported, or contradicts another one.
    #[error("{}: `{key}` is {found}, expected {expected}; {next}", path.display())]
    Setting {
        /// The file.
        path: PathBuf,
        /// The setting's name.
        key: String,
        /// Its value.
        found: String,
        /// The accepted values.
        expected: String,
        /// Next step.
        next: String,
    },

    /// A tensor that the configuration requires is not in the file.
    #[error("{}: tensor `{tensor}` is missing ({present}); {next}", path.display())]
    MissingTensor {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// The tensors that the file has instead.
        present: String,
        /// Next step.
        next: String,
    },

    /// The file has a tensor without a place in the architecture; ignoring it would change the result.
    #[error(
        "{}: tensor `{tensor}` {shape:?} has no place in this architecture (others without a place: {others}); ignoring it would change the result: export the model without it",
        path.display()
    )]
    UnexpectedTensor {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// Its shape.
        shape: Vec<usize>,
        /// Further tensors without a place, with `N` for the layers' numbers.
        others: String,
    },

    /// A tensor's shape does not match the configuration.
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

    /// A tensor's element type is not a supported float type.
    #[error("{}: tensor `{tensor}` holds {found}, expected F64, F32, F16 or BF16; export the unquantized float model", path.display())]
    ElementType {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// The element type.
        found: String,
    },

    /// A graph is not one of a network that is computed here.
    #[error("{}: {node}: {found}, expected {expected}; {next}", path.display())]
    Graph {
        /// The file.
        path: PathBuf,
        /// The first node that does not fit, its name and its operation.
        node: String,
        /// Its operation.
        found: String,
        /// Operation that a network has there.
        expected: String,
        /// Next step.
        next: &'static str,
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
        /// Index of the value, one number per dimension.
        index: Vec<usize>,
        /// The value.
        value: f32,
    },

    /// The tokenizer is damaged, contradicts the model, or encodes text in a way that the tables cannot reproduce.
    #[error("{}: {what}; {next}, or convert with --no-tokenizer and give token ids", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// The error.
        what: String,
        /// Next step.
        next: String,
    },
}
