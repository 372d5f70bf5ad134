//! The table of tensors: all that is known of each stands in its row, and everything else is derived from it.
//!
//! ```text
//! row ──► Tensor (the number in the image) ──► ALL (the order of the section table) ──► part, encoding, shape, presence
//! ```
//! A new tensor is a new row with a number of its own, where its section is to stand, and its presence says in which models.

use crate::options::{Input, Norm, Options, Pooler, Pooling, Positions};

/// Number of times that a tensor stands in a model, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Part {
    /// Once, before the layers.
    Before,
    /// Once in each layer.
    Layer,
    /// Once, after the layers.
    After,
}

/// Storage of a tensor's values in an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encoding {
    /// Small integers, int8 or int4, in the image's packing.
    Matrix,
    /// 16-bit integers with one scale.
    Vector,
    /// Words.
    Table,
    /// Bytes.
    Bytes,
}

/// Need for a tensor in models with given options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Presence {
    /// It would mean nothing.
    Never,
    /// It may be there.
    Optional,
    /// It must be there.
    Always,
}

use Presence::{Always, Never, Optional};

/// The sizes that shapes consist of; `Dims` knows the number of each.
macro_rules! sizes {
    ($($name:ident $text:literal,)*) => {
        /// One side of a tensor's shape.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Size {
            $(#[doc = concat!("`", $text, "`.")] $name,)*
        }

        /// A side as the documentation writes it.
        macro_rules! text {
            $(($name) => { $text };)*
        }
    };
}

sizes! {
    One "1",
    Two "2",
    Byte "256",
    Any "n",
    DModel "d_model",
    QueryWidth "n_heads * head_dim",
    KvWidth "n_kv_heads * head_dim",
    HeadDim "head_dim",
    DFf "d_ff",
    VocabEnds "vocab + 1",
    Outputs "n_outputs",
    MaxSeq "max_seq",
    Fine "fine",
    Coarse "ceil(max_seq / fine)",
    EmbeddingRows "vocab, of frames d_model",
    EmbeddingColumns "d_model, of frames n_features",
}

/// Makes everything of the rows.
macro_rules! tensors {
    ($options:ident; $($part:ident {
        $($(#[$doc:meta])* $name:ident = $number:literal, $encoding:ident [$rows:ident, $cols:ident], $presence:expr;)*
    })*) => {
        /// The tensors of a model, by their numbers in an image's section table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        #[non_exhaustive]
        #[repr(u32)]
        pub enum Tensor {
            $($(
                $(#[$doc])*
                #[doc = concat!("\n\nShape: `[", text!($rows), ", ", text!($cols), "]`.")]
                $name = $number,
            )*)*
        }

        impl Tensor {
            /// All tensors in the order of the section table: before the layers, of each layer, after the layers.
            pub const ALL: &[Tensor] = &[$($(Tensor::$name,)*)*];

            /// All tensors, by part.
            pub(crate) const PARTS: [&[Tensor]; 3] = [$(&[$(Tensor::$name,)*],)*];

            /// One more than the largest number.
            pub(crate) const COUNT: usize = {
                let (mut most, mut i) = (0, 0);
                while i < Tensor::ALL.len() {
                    let number = Tensor::ALL[i] as usize;
                    most = if number > most { number } else { most };
                    i += 1;
                }
                most + 1
            };

            /// The name.
            pub const fn name(self) -> &'static str {
                match self {
                    $($(Tensor::$name => stringify!($name),)*)*
                }
            }

            /// The tensor that is added to what this one makes, which stands behind it and is named after it.
            pub fn bias(self) -> Option<Tensor> {
                let name = |tensor: &&Tensor| tensor.name().strip_suffix("Bias") == Some(self.name());
                Tensor::ALL.iter().find(name).copied()
            }

            /// Its place in a model.
            pub const fn part(self) -> Part {
                match self {
                    $($(Tensor::$name)|* => Part::$part,)*
                }
            }

            /// Encoding of its values in an image.
            pub const fn encoding(self) -> Encoding {
                match self {
                    $($(Tensor::$name => Encoding::$encoding,)*)*
                }
            }

            /// Rows and columns; a vector is one row.
            pub(crate) const fn sizes(self) -> (Size, Size) {
                match self {
                    $($(Tensor::$name => (Size::$rows, Size::$cols),)*)*
                }
            }

            /// Its presence in models with these options.
            pub const fn presence(self, $options: &Options) -> Presence {
                match self {
                    $($(Tensor::$name => $presence,)*)*
                }
            }
        }
    };
}

tensors! {
    options;
    Before {
        /// Embedding of tokens or frames.
        Embedding = 1, Matrix [EmbeddingRows, EmbeddingColumns], always_if(!is_stream(options));
        /// Bias of a frame's embedding.
        EmbeddingBias = 31, Vector [One, DModel], optional_if(matches!(options.input, Input::Frames));
        /// Learned vector before the sequence.
        ClassToken = 32, Vector [One, DModel], optional_if(matches!(options.pooling, Pooling::Class));
        /// Added to the embedding at each position.
        PositionTable = 33, Matrix [MaxSeq, DModel], always_if(matches!(options.positions, Positions::Table));
        /// Gain of a norm between embedding and first block.
        EmbeddingNorm = 34, Vector [One, DModel], optional_if(!is_stream(options));
        /// Bias of that norm.
        EmbeddingNormBias = 35, Vector [One, DModel], optional_if(!is_stream(options) && has_norm_bias(options));
    }
    Layer {
        /// Gain of the norm before attention (post-LN: after it).
        AttentionNorm = 2, Vector [One, DModel], Always;
        /// Bias of the norm before attention.
        AttentionNormBias = 20, Vector [One, DModel], optional_if(has_norm_bias(options));
        /// Query projection; with rotary positions, rows `i` and `i + head_dim / 2` of a head are a pair.
        Query = 3, Matrix [QueryWidth, DModel], Always;
        /// Bias of the query projection.
        QueryBias = 21, Vector [One, QueryWidth], Optional;
        /// Gain of the norm of each head's query, before rotation.
        QueryNorm = 39, Vector [One, HeadDim], always_if(options.qk_norm);
        /// Key projection; pairs as in the query projection.
        Key = 4, Matrix [KvWidth, DModel], Always;
        /// Bias of the key projection.
        KeyBias = 22, Vector [One, KvWidth], Optional;
        /// Gain of the norm of each head's key, before rotation.
        KeyNorm = 40, Vector [One, HeadDim], always_if(options.qk_norm);
        /// Value projection.
        Value = 5, Matrix [KvWidth, DModel], Always;
        /// Bias of the value projection.
        ValueBias = 23, Vector [One, KvWidth], Optional;
        /// Output projection of attention.
        AttentionOutput = 6, Matrix [DModel, QueryWidth], Always;
        /// Bias of the output projection.
        AttentionOutputBias = 24, Vector [One, DModel], Optional;
        /// Gain of the norm before the MLP (post-LN: after it).
        MlpNorm = 7, Vector [One, DModel], Always;
        /// Bias of the norm before the MLP.
        MlpNormBias = 25, Vector [One, DModel], optional_if(has_norm_bias(options));
        /// Gate projection of a gated MLP (Shazeer 2020); absent in a plain one.
        Gate = 8, Matrix [DFf, DModel], always_if(options.gated);
        /// Bias of the gate projection.
        GateBias = 26, Vector [One, DFf], optional_if(options.gated);
        /// Up projection of the MLP.
        Up = 9, Matrix [DFf, DModel], Always;
        /// Bias of the up projection.
        UpBias = 27, Vector [One, DFf], Optional;
        /// Down projection of the MLP.
        Down = 10, Matrix [DModel, DFf], Always;
        /// Bias of the down projection.
        DownBias = 28, Vector [One, DModel], Optional;
    }
    After {
        /// Gain of the norm after the last block.
        FinalNorm = 11, Vector [One, DModel], Optional;
        /// Bias of the final norm.
        FinalNormBias = 29, Vector [One, DModel], optional_if(has_norm_bias(options));
        /// Matrix of the layer between pooling and head.
        Pooler = 36, Matrix [DModel, DModel], always_if(has_pooler(options));
        /// Bias of that layer.
        PoolerBias = 37, Vector [One, DModel], optional_if(has_pooler(options));
        /// Output head; absent where the embedding of tokens is the head (Press & Wolf 2017).
        Head = 12, Matrix [Outputs, DModel], match (options.head, options.input) {
            (false, _) => Never,
            (true, Input::Frames) => Always,
            (true, _) => Optional,
        };
        /// Bias of the head.
        HeadBias = 30, Vector [One, Outputs], optional_if(options.head);
        /// Rotary table of positions `0..fine`: cosines, then sines.
        RotaryFine = 13, Vector [Fine, HeadDim], always_if(matches!(options.positions, Positions::Rotary));
        /// Rotary table of every `fine`-th position.
        RotaryCoarse = 14, Vector [Coarse, HeadDim], always_if(matches!(options.positions, Positions::Rotary));
        /// Tokenizer: first byte of each token's text.
        PieceOffsets = 15, Table [One, VocabEnds], optional_if(has_tokens(options));
        /// Tokenizer: the bytes of all tokens, one after the other.
        PieceBytes = 16, Bytes [One, Any], optional_if(has_tokens(options));
        /// Tokenizer: the token of each single byte.
        ByteTokens = 17, Table [One, Byte], optional_if(has_tokens(options));
        /// Tokenizer: tokens that are one character, sorted by character.
        Characters = 18, Table [Any, Two], optional_if(has_tokens(options));
        /// Tokenizer: pairs that merge, sorted by pair.
        Merges = 19, Table [Any, Two], optional_if(has_tokens(options));
        /// Names of the outputs, a line each, UTF-8.
        Labels = 38, Bytes [One, Any], optional_if(!is_stream(options));
    }
}

const fn always_if(condition: bool) -> Presence {
    if condition { Always } else { Never }
}

const fn optional_if(condition: bool) -> Presence {
    if condition { Optional } else { Never }
}

const fn is_stream(options: &Options) -> bool {
    matches!(options.input, Input::Stream)
}

const fn has_tokens(options: &Options) -> bool {
    matches!(options.input, Input::Tokens)
}

/// RMSNorm has a gain only.
const fn has_norm_bias(options: &Options) -> bool {
    matches!(options.norm, Norm::Layer)
}

const fn has_pooler(options: &Options) -> bool {
    !matches!(options.pooler, Pooler::None)
}

#[cfg(test)]
mod tests {
    use super::{Part, Presence, Tensor};
    use crate::options::Options;

    #[test]
    fn every_tensor_has_a_number_of_its_own_that_fits_the_header() {
        let mut numbers: std::vec::Vec<u32> = Tensor::ALL.iter().map(|&tensor| tensor as u32).collect();
        numbers.sort_unstable();
        // The header has a bit for each of 64, and bit 0 is none.
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]) && numbers[0] >= 1, "{numbers:?}");
        const { assert!(Tensor::COUNT <= 64) };
        assert_eq!(Tensor::COUNT, numbers.len() + 1);
    }

    #[test]
    fn parts_come_one_after_the_other() {
        let parts: std::vec::Vec<Part> = Tensor::ALL.iter().map(|tensor| tensor.part()).collect();
        let before = parts.iter().filter(|part| **part == Part::Before).count();
        let layer = parts.iter().filter(|part| **part == Part::Layer).count();
        assert!(parts[..before].iter().all(|part| *part == Part::Before));
        assert!(parts[before..before + layer].iter().all(|part| *part == Part::Layer));
        assert_eq!(Tensor::PARTS.concat(), Tensor::ALL);
    }

    #[test]
    fn presence_follows_the_options() {
        let need = |tensor: Tensor, options: &Options| tensor.presence(options);
        assert_eq!(need(Tensor::Gate, &Options::LLAMA), Presence::Always);
        assert_eq!(need(Tensor::Gate, &Options::ENCODER), Presence::Never);
        assert_eq!(need(Tensor::Head, &Options::LLAMA), Presence::Optional);
        assert_eq!(need(Tensor::AttentionNormBias, &Options::LLAMA), Presence::Never);
        assert_eq!(need(Tensor::AttentionNormBias, &Options::ENCODER), Presence::Optional);
        assert_eq!(Tensor::QueryBias.name(), "QueryBias");
        assert_eq!((Tensor::Query.bias(), Tensor::QueryBias.bias()), (Some(Tensor::QueryBias), None));
    }
}
