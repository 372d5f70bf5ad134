//! The error type of the core. Variants carry the facts; [`Error::message`] ends with the next step.

use crate::arch::{Packing, rounding_mode};
use crate::tensors::Tensor;
use core::fmt;

/// Every error of the core, with the facts that tell where it occurred.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Error {
    /// The bytes do not start with the image's magic number.
    NotAnImage {
        /// The first word that was found.
        found: u32,
    },
    /// The image's format version is not the one that this crate reads.
    Version {
        /// The version that this crate reads.
        expected: u32,
        /// The version in the image.
        found: u32,
    },
    /// The image's length differs from its header's; with fewer bytes it was cut off.
    Length {
        /// Bytes that the header promises.
        expected: u32,
        /// Bytes that are there.
        found: u32,
    },
    /// The CRC-32 of the image is wrong: at least one bit has changed.
    Checksum {
        /// The CRC-32 stored in the image.
        expected: u32,
        /// The CRC-32 of the bytes that are there.
        found: u32,
    },
    /// The image does not start at an address that is a multiple of 4.
    Misaligned,
    /// The image declares an option that this crate does not have.
    Unsupported {
        /// The header field.
        field: &'static str,
        /// Its value.
        found: u32,
    },
    /// The image needs a cargo feature of this crate that is off.
    MissingFeature {
        /// The feature.
        feature: &'static str,
    },
    /// A dimension is zero, too large, or does not fit the others.
    Dimension {
        /// The dimension's name.
        name: &'static str,
        /// Its value.
        found: u32,
    },
    /// The section table lacks a tensor in its place.
    MissingTensor {
        /// The tensor.
        tensor: Tensor,
        /// Its layer (0 for tensors outside the layers).
        layer: u32,
    },
    /// The image holds a tensor that has no meaning with its options.
    UnexpectedTensor {
        /// The tensor.
        tensor: Tensor,
    },
    /// The image holds a section of a later version, which may not be ignored.
    UnknownSection {
        /// Its kind, four letters as a little-endian word.
        kind: u32,
    },
    /// A tensor's shape does not match the dimensions.
    ShapeMismatch {
        /// The tensor.
        tensor: Tensor,
        /// Its layer (0 for tensors outside the layers).
        layer: u32,
        /// Rows and columns from the dimensions.
        expected: (u32, u32),
        /// Rows and columns in the image.
        found: (u32, u32),
    },
    /// A section lies outside the image or within its header and section table, or is not aligned.
    BadSection {
        /// The tensor.
        tensor: Tensor,
        /// Its layer (0 for tensors outside the layers).
        layer: u32,
    },
    /// A weight, a scale or a table value is NaN or infinite, a scale is negative or subnormal, or a table entry is out of range.
    BadValue {
        /// The tensor.
        tensor: Tensor,
        /// Its layer (0 for tensors outside the layers).
        layer: u32,
        /// The index of the first bad value; where one of a matrix' integers is out of range, of its word.
        index: u32,
    },
    /// The state for the model's whole context has more words than a `usize` of this machine can count.
    StateTooLarge {
        /// The model's longest context.
        max_seq: usize,
        /// Its number of layers.
        n_layers: usize,
    },
    /// The size of the state is not the size that the model needs.
    StateTooSmall {
        /// Words that are needed.
        expected: usize,
        /// Words that are there.
        found: usize,
    },
    /// The weights are packed for cores that this build's kernels are not made for.
    Packing {
        /// The packing of this build's kernels.
        expected: Packing,
        /// The image's.
        found: Packing,
    },
    /// A token id is outside the vocabulary.
    TokenOutOfVocabulary {
        /// The token.
        token: u32,
        /// The size of the vocabulary.
        vocab: u32,
    },
    /// The function that was called is not for this model's kind of input.
    WrongInput {
        /// The model's input, and the functions for it.
        expected: &'static str,
    },
    /// A buffer of frames does not consist of whole frames.
    FrameLength {
        /// Numbers in a frame.
        n_features: usize,
        /// Numbers in the buffer.
        found: usize,
    },
    /// A frame holds NaN, infinity or a number beyond 1e30.
    BadFrame {
        /// Index of the frame in the call.
        frame: usize,
    },
    /// The sequence is empty.
    EmptySequence,
    /// The length of a mask differs from the sequence's.
    MaskLength {
        /// Tokens or frames of the sequence.
        expected: usize,
        /// Entries of the mask.
        found: usize,
    },
    /// The mask hides the whole sequence.
    NothingVisible,
    /// A buffer of streams does not consist of whole tokens.
    StreamLength {
        /// Width of a token's stream.
        d_model: usize,
        /// Numbers in the buffer.
        found: usize,
    },
    /// The context is full: no further token fits the KV cache.
    CacheFull {
        /// Tokens that the cache holds.
        max_seq: usize,
    },
    /// A value became NaN or infinite in this layer; the result is invalid.
    NotFinite {
        /// The layer; the number of layers stands for the head.
        layer: usize,
    },
    /// The FPU does not round to nearest: the outputs would have other bits.
    RoundingMode {
        /// FPSCR's bits 22 and 23: 1 is up, 2 down, 3 towards zero.
        found: u32,
    },
    /// Queries and keys are so large that their product is out of the softmax's range.
    ScoresTooLarge {
        /// The layer.
        layer: usize,
    },
    /// The text has more symbols than the token buffer holds.
    PromptTooLong {
        /// Symbols that fit.
        max: usize,
    },
    /// A piece of the text has more symbols than are merged in bounded time.
    PieceTooLong {
        /// Most symbols of a piece.
        max: usize,
    },
    /// `prefill` was called without a token.
    EmptyPrompt,
    /// The image holds no tokenizer.
    NoTokenizer,
    /// The vocabulary has no token for this byte.
    UnknownByte {
        /// The byte.
        byte: u8,
    },
    /// The audio front end does not take this sample rate.
    SampleRate {
        /// The rate, in hertz.
        found: u32,
    },
    /// A setting of the audio front end is out of range or does not match the others.
    FrontEnd {
        /// The setting's name.
        name: &'static str,
        /// Its value, or the bits of a float.
        found: u32,
    },
    /// The FFT of the audio front end has no power of two as its length.
    FftLength {
        /// The length.
        found: u32,
        /// The shortest that works with the same window.
        nearest: u32,
    },
    /// A setting of the audio front end needs all of a recording, which a stream never has.
    WholeRecording {
        /// The setting's name.
        setting: &'static str,
    },
    /// A recording is too short for a single frame.
    RecordingTooShort {
        /// Samples of a frame.
        expected: usize,
        /// Samples that are there.
        found: usize,
    },
    /// A sampling parameter is out of range.
    BadSampling {
        /// The parameter's name.
        parameter: &'static str,
    },
}

impl Error {
    /// Holds the FPU to the rounding that all results rest on; three instructions, and none where there is no FPU.
    ///
    /// # Errors
    /// [`Error::RoundingMode`].
    #[inline(always)]
    pub(crate) fn unless_rounding_to_nearest() -> Result<(), Error> {
        match rounding_mode() {
            0 => Ok(()),
            found => Err(Error::RoundingMode { found }),
        }
    }

    /// One sentence without the numbers: the error, then the next step.
    ///
    /// A `const fn`, so that [`model!`](crate::model) can stop a build with it.
    pub const fn message(&self) -> &'static str {
        match self {
            Error::NotAnImage { .. } => "this is not a thumbformer image; make one with `thumbformer convert`",
            Error::Version { .. } => {
                "the image's format version is not supported; convert the checkpoint again with this version's `thumbformer convert`"
            }
            Error::Length { .. } => {
                "the image's length differs from its header's, it was cut off or has extra bytes; copy or convert it again"
            }
            Error::Checksum { .. } => "the image's CRC-32 is wrong, it was damaged; copy it again or convert it again",
            Error::Misaligned => "the image must start at a multiple of 4 bytes; align it",
            Error::Unsupported { .. } => {
                "the image uses an option that this version does not support; use a newer version or convert the checkpoint again"
            }
            Error::MissingFeature { feature } => match feature.as_bytes() {
                b"front-ends" => "the front end's settings need thumbformer's cargo feature `front-ends`; enable it",
                b"fft-1024" => "the front end's FFT needs thumbformer's cargo feature `fft-1024`; enable it",
                b"fft-2048" => "the front end's FFT needs thumbformer's cargo feature `fft-2048`; enable it",
                b"ends" => "the image needs thumbformer's cargo feature `ends`; enable it",
                _ => "the image needs thumbformer's cargo feature `qk-norm`; enable it",
            },
            Error::Dimension { .. } => {
                "a dimension of the model is zero, too large or does not match the others; check the checkpoint's config"
            }
            Error::MissingTensor { .. } => "the image lacks a tensor; convert the checkpoint again",
            Error::UnexpectedTensor { .. } => {
                "the image holds a tensor that has no meaning with its options; convert the checkpoint again"
            }
            Error::UnknownSection { .. } => {
                "the image has a section of a kind that this version does not know; use a newer version or convert the checkpoint again"
            }
            Error::ShapeMismatch { .. } => {
                "a tensor's shape does not match the model's dimensions; check the checkpoint's config"
            }
            Error::BadSection { .. } => "a section lies outside the image; convert the checkpoint again",
            Error::BadValue { .. } => {
                "a tensor holds NaN, infinity or an entry out of range; check the training run, then convert again"
            }
            Error::StateTooLarge { .. } => {
                "the state for the model's whole context is larger than this chip's address space; lower max_seq in the checkpoint's config and convert again"
            }
            Error::StateTooSmall { .. } => {
                "the state has the wrong size for this model; use the `State` type that `model!` made from this image"
            }
            Error::Packing { expected, .. } => expected.remedy(),
            Error::TokenOutOfVocabulary { .. } => "the token is not in the vocabulary; use this image's own tokenizer",
            Error::WrongInput { .. } => "the function is not for this model's input; call one that is",
            Error::FrameLength { .. } => {
                "the buffer does not consist of whole frames; pass [seq, n_features], as this model's front end makes them"
            }
            Error::BadFrame { .. } => "a frame holds NaN, infinity or a number beyond 1e30; check the front end",
            Error::EmptySequence => "the sequence is empty; pass at least one token or frame",
            Error::MaskLength { .. } => {
                "the mask's length differs from the sequence's; pass one entry per token or frame"
            }
            Error::NothingVisible => "the mask hides the whole sequence; leave at least one token or frame visible",
            Error::StreamLength { .. } => "the buffer does not consist of whole tokens; pass [seq, d_model]",
            Error::CacheFull { .. } => {
                "the context is full; stop here, reset the session, or build with a larger max_seq"
            }
            Error::NotFinite { .. } => "a value became NaN or infinite; check the checkpoint with `thumbformer verify`",
            Error::RoundingMode { .. } => {
                "the FPU must round to nearest; clear bits 22 and 23 of FPSCR, and of FPDSCR for interrupt handlers"
            }
            Error::ScoresTooLarge { .. } => {
                "attention scores are out of range; check the checkpoint with `thumbformer verify`"
            }
            Error::PromptTooLong { .. } => {
                "the prompt has more symbols than the token buffer; shorten it or enlarge the buffer"
            }
            Error::PieceTooLong { .. } => {
                "the text is too long to be merged at once; shorten it, or encode it on a host with `Tokenizer::encode_long`"
            }
            Error::EmptyPrompt => "the prompt holds no token; give a prompt, or the BOS token where the model has one",
            Error::NoTokenizer => "the image holds no tokenizer; convert with the tokenizer file beside the checkpoint",
            Error::UnknownByte { .. } => {
                "the vocabulary has no token for a byte of the text; remove the character from the text"
            }
            Error::SampleRate { .. } => {
                "the front end takes 8000 to 48000 samples per second; resample the recordings and train at that rate"
            }
            Error::FrontEnd { .. } => {
                "a setting of the audio front end is out of range or does not match the others; see `FrontEndConfig` for its range"
            }
            Error::FftLength { .. } => {
                "the FFT takes powers of two from 64 to 2048; train with such an n_fft, and give the old one as win_length"
            }
            Error::WholeRecording { .. } => {
                "a stream has no end, and this setting of the front end needs one; train without it, or classify clips"
            }
            Error::RecordingTooShort { .. } => {
                "the recording is shorter than one window of the front end; record longer"
            }
            Error::BadSampling { .. } => {
                "a sampling parameter is out of range; use a finite temperature >= 0 and 0 < top_p <= 1"
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotAnImage { found } => write!(f, "found first word {found:#010x}: ")?,
            Error::Version { expected, found } | Error::Length { expected, found } => {
                write!(f, "expected {expected}, found {found}: ")?;
            }
            Error::Checksum { expected, found } => {
                write!(f, "expected {expected:08x}, found {found:08x}: ")?;
            }
            Error::Unsupported { field, found } => write!(f, "{field} = {found}: ")?,
            Error::MissingFeature { feature } => write!(f, "{feature}: ")?,
            Error::Dimension { name, found } => write!(f, "{name} = {found}: ")?,
            Error::UnexpectedTensor { tensor } => write!(f, "{tensor:?}: ")?,
            Error::UnknownSection { kind } => write!(f, "section `{}`: ", kind.to_le_bytes().escape_ascii())?,
            Error::MissingTensor { tensor, layer } | Error::BadSection { tensor, layer } => {
                write!(f, "{tensor:?} of layer {layer}: ")?;
            }
            Error::ShapeMismatch { tensor, layer, expected, found } => {
                write!(f, "{tensor:?} of layer {layer}: expected {expected:?}, found {found:?}: ")?;
            }
            Error::BadValue { tensor, layer, index } => {
                write!(f, "{tensor:?} of layer {layer}, value {index}: ")?;
            }
            Error::StateTooLarge { max_seq, n_layers } => write!(f, "max_seq {max_seq}, n_layers {n_layers}: ")?,
            Error::StateTooSmall { expected, found } => write!(f, "expected {expected} words, found {found}: ")?,
            Error::Packing { expected, found } => {
                write!(f, "expected {}, found {}: ", expected.name(), found.name())?;
            }
            Error::TokenOutOfVocabulary { token, vocab } => {
                write!(f, "token {token}, vocabulary of {vocab}: ")?;
            }
            Error::WrongInput { expected } => write!(f, "the model takes {expected}: ")?,
            Error::FrameLength { n_features, found } => write!(f, "n_features {n_features}, found {found} numbers: ")?,
            Error::BadFrame { frame } => write!(f, "frame {frame}: ")?,
            Error::MaskLength { expected, found } => write!(f, "expected {expected}, found {found}: ")?,
            Error::StreamLength { d_model, found } => write!(f, "d_model {d_model}, found {found} numbers: ")?,
            Error::CacheFull { max_seq } => write!(f, "{max_seq} tokens: ")?,
            Error::NotFinite { layer } | Error::ScoresTooLarge { layer } => write!(f, "layer {layer}: ")?,
            Error::RoundingMode { found } => {
                let direction =
                    ["to nearest", "up", "down", "towards zero"].get(*found as usize).unwrap_or(&"otherwise");
                write!(f, "expected to nearest, found {direction}: ")?;
            }
            Error::PromptTooLong { max } => write!(f, "room for {max} symbols: ")?,
            Error::PieceTooLong { max } => write!(f, "at most {max} symbols: ")?,
            Error::UnknownByte { byte } => write!(f, "byte {byte:#04x}: ")?,
            Error::SampleRate { found } => write!(f, "{found} Hz: ")?,
            Error::FrontEnd { name, found } => write!(f, "{name} = {found}: ")?,
            Error::FftLength { found, nearest } => {
                write!(f, "n_fft = {found}, nearest: n_fft = {nearest} with win_length = {found}: ")?;
            }
            Error::WholeRecording { setting } => write!(f, "{setting}: ")?,
            Error::RecordingTooShort { expected, found } => {
                write!(f, "expected {expected} samples, found {found}: ")?;
            }
            Error::BadSampling { parameter } => write!(f, "{parameter}: ")?,
            Error::Misaligned
            | Error::EmptyPrompt
            | Error::EmptySequence
            | Error::NothingVisible
            | Error::NoTokenizer => {}
        }
        f.write_str(self.message())
    }
}

impl core::error::Error for Error {}
