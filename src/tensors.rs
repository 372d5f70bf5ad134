//! The table of tensors: all that is known of each stands in its row, and everything else is derived from it.
//!
//! ```text
//! row ──► Tensor (its kind in the image, four letters) ──► ALL (the order of the section table) ──► part, encoding, shape, presence
//! ```
//! A new tensor is a new row with a kind of its own, where its section is to stand, and its presence says in which models. Rows keep
//! their kinds and their order for ever: images of earlier releases are read by them. What a reader may ignore comes last.

use crate::options::{Input, Norm, Options, Pooler, Pooling, Positions};

/// Number of times that a tensor stands in a model, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Part {
    /// Once, before the layers.
    Before,
    /// Once in each layer.
    Layer,
    /// Once in each hidden layer of the head.
    HeadLayer,
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
    ClassTokens "n_class",
    Pooled "pooled width",
    HiddenWidth "width",
    HiddenInput "width before",
    HeadInput "last width",
    Features "n_features",
    MaxSeq "max_seq",
    Fine "fine",
    Coarse "ceil(max_seq / fine)",
    EmbeddingRows "vocab, of frames d_model",
    EmbeddingColumns "d_model, of frames n_features",
}

/// Makes everything of the rows.
macro_rules! tensors {
    ($options:ident; $($part:ident {
        $($(#[$doc:meta])* $name:ident = $kind:literal, $encoding:ident [$rows:ident, $cols:ident], $presence:expr;)*
    })*) => {
        /// The tensors of a model, and what else an image holds.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        #[non_exhaustive]
        #[repr(u32)]
        pub enum Tensor {
            $($(
                $(#[$doc])*
                #[doc = concat!("\n\nShape: `[", text!($rows), ", ", text!($cols), "]`.")]
                $name,
            )*)*
        }

        impl Tensor {
            /// All tensors in the order of the section table: before the layers, of each layer, after the layers.
            pub const ALL: &[Tensor] = &[$($(Tensor::$name,)*)*];

            /// Number of tensors.
            pub(crate) const COUNT: usize = Tensor::ALL.len();

            /// Its kind in an image's section table: four letters.
            pub const fn kind(self) -> [u8; 4] {
                match self {
                    $($(Tensor::$name => *$kind,)*)*
                }
            }

            /// The tensor of a kind.
            pub const fn from_kind(kind: [u8; 4]) -> Option<Tensor> {
                let mut i = 0;
                while i < Tensor::ALL.len() {
                    if u32::from_le_bytes(Tensor::ALL[i].kind()) == u32::from_le_bytes(kind) {
                        return Some(Tensor::ALL[i]);
                    }
                    i += 1;
                }
                None
            }

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
        /// Offset of each feature of a frame, which is subtracted, and its scale after that: what brings features in different units
        /// to one int8 scale.
        FeatureScaling = b"feat", Table [Two, Features], optional_if(has_frames(options));
        /// Embedding of tokens or frames.
        Embedding = b"embw", Matrix [EmbeddingRows, EmbeddingColumns], always_if(!is_stream(options));
        /// Bias of a frame's embedding.
        EmbeddingBias = b"embb", Vector [One, DModel], optional_if(has_frames(options));
        /// Class tokens: learned vectors that are part of the sequence.
        ClassToken = b"clst", Vector [ClassTokens, DModel], class_token(options.pooling);
        /// Added to the embedding at each position.
        PositionTable = b"post", Matrix [MaxSeq, DModel], always_if(matches!(options.positions, Positions::Table));
        /// Gain of a norm between embedding and first block.
        EmbeddingNorm = b"nemg", Vector [One, DModel], optional_if(!is_stream(options));
        /// Bias of that norm.
        EmbeddingNormBias = b"nemb", Vector [One, DModel], optional_if(!is_stream(options) && has_norm_bias(options));
    }
    Layer {
        /// Gain of the norm before attention (post-LN: after it).
        AttentionNorm = b"natg", Vector [One, DModel], Always;
        /// Bias of the norm before attention.
        AttentionNormBias = b"natb", Vector [One, DModel], optional_if(has_norm_bias(options));
        /// Query projection; with rotary positions, rows `i` and `i + head_dim / 2` of a head are a pair.
        Query = b"qryw", Matrix [QueryWidth, DModel], Always;
        /// Bias of the query projection.
        QueryBias = b"qryb", Vector [One, QueryWidth], Optional;
        /// Gain of the norm of each head's query, before rotation.
        QueryNorm = b"nqug", Vector [One, HeadDim], always_if(options.qk_norm);
        /// Key projection; pairs as in the query projection.
        Key = b"keyw", Matrix [KvWidth, DModel], Always;
        /// Bias of the key projection.
        KeyBias = b"keyb", Vector [One, KvWidth], Optional;
        /// Gain of the norm of each head's key, before rotation.
        KeyNorm = b"nkeg", Vector [One, HeadDim], always_if(options.qk_norm);
        /// Value projection.
        Value = b"valw", Matrix [KvWidth, DModel], Always;
        /// Bias of the value projection.
        ValueBias = b"valb", Vector [One, KvWidth], Optional;
        /// Output projection of attention.
        AttentionOutput = b"outw", Matrix [DModel, QueryWidth], Always;
        /// Bias of the output projection.
        AttentionOutputBias = b"outb", Vector [One, DModel], Optional;
        /// Gain of the norm before the MLP (post-LN: after it).
        MlpNorm = b"nmlg", Vector [One, DModel], Always;
        /// Bias of the norm before the MLP.
        MlpNormBias = b"nmlb", Vector [One, DModel], optional_if(has_norm_bias(options));
        /// Gate projection of a gated MLP (Shazeer 2020); absent in a plain one.
        Gate = b"gatw", Matrix [DFf, DModel], always_if(options.gated);
        /// Bias of the gate projection.
        GateBias = b"gatb", Vector [One, DFf], optional_if(options.gated);
        /// Up projection of the MLP.
        Up = b"uppw", Matrix [DFf, DModel], Always;
        /// Bias of the up projection.
        UpBias = b"uppb", Vector [One, DFf], Optional;
        /// Down projection of the MLP.
        Down = b"dwnw", Matrix [DModel, DFf], Always;
        /// Bias of the down projection.
        DownBias = b"dwnb", Vector [One, DModel], Optional;
    }
    HeadLayer {
        /// Matrix of a hidden layer of the head; its width is a dimension.
        HeadHidden = b"hidw", Matrix [HiddenWidth, HiddenInput], always_if(options.mlp_head);
        /// Bias of that layer.
        HeadHiddenBias = b"hidb", Vector [One, HiddenWidth], optional_if(options.mlp_head);
    }
    After {
        /// Gain of the norm after the last block.
        FinalNorm = b"nfig", Vector [One, DModel], Optional;
        /// Bias of the final norm.
        FinalNormBias = b"nfib", Vector [One, DModel], optional_if(has_norm_bias(options));
        /// Gain of a norm behind the pooling.
        HeadNorm = b"nheg", Vector [One, Pooled], optional_if(!matches!(options.pooling, Pooling::None));
        /// Bias of that norm.
        HeadNormBias = b"nheb", Vector [One, Pooled], optional_if(!matches!(options.pooling, Pooling::None) && has_norm_bias(options));
        /// Matrix of the layer between pooling and head.
        Pooler = b"polw", Matrix [Pooled, Pooled], always_if(has_pooler(options));
        /// Bias of that layer.
        PoolerBias = b"polb", Vector [One, Pooled], optional_if(has_pooler(options));
        /// Output head; absent where the embedding of tokens is the head (Press & Wolf 2017).
        Head = b"hedw", Matrix [Outputs, HeadInput], match (options.head, options.input) {
            (false, _) => Never,
            (true, Input::Frames) => Always,
            (true, _) => always_or_optional(options.mlp_head || matches!(options.pooling, Pooling::Classes)),
        };
        /// Bias of the head.
        HeadBias = b"hedb", Vector [One, Outputs], optional_if(options.head);
        /// Rotary table of positions `0..fine`: cosines, then sines.
        RotaryFine = b"rotf", Vector [Fine, HeadDim], always_if(matches!(options.positions, Positions::Rotary));
        /// Rotary table of every `fine`-th position.
        RotaryCoarse = b"rotc", Vector [Coarse, HeadDim], always_if(matches!(options.positions, Positions::Rotary));
        /// Tokenizer: first byte of each token's text.
        PieceOffsets = b"pcof", Table [One, VocabEnds], optional_if(has_tokens(options));
        /// Tokenizer: the bytes of all tokens, one after the other.
        PieceBytes = b"pcby", Bytes [One, Any], optional_if(has_tokens(options));
        /// Tokenizer: the token of each single byte.
        ByteTokens = b"bytk", Table [One, Byte], optional_if(has_tokens(options));
        /// Tokenizer: tokens that are one character, sorted by character.
        Characters = b"char", Table [Any, Two], optional_if(has_tokens(options));
        /// Tokenizer: pairs that merge, sorted by pair.
        Merges = b"mrge", Table [Any, Two], optional_if(has_tokens(options));
        /// Tokenizer: tokens with names, and where each name ends.
        AddedTokens = b"addt", Table [Any, Two], optional_if(has_tokens(options));
        /// Tokenizer: the names, one after the other, UTF-8.
        AddedNames = b"addn", Bytes [One, Any], optional_if(has_tokens(options));
        /// Names of the outputs, a line each, UTF-8.
        Labels = b"labl", Bytes [One, Any], optional_if(!is_stream(options));
        /// Names of the columns of a sensor's recordings, a line each, UTF-8.
        Columns = b"colu", Bytes [One, Any], optional_if(has_frames(options));
        /// Audio front end: what turns samples into frames; see `thumbformer::audio`.
        AudioFrontEnd = b"audi", Table [One, Any], optional_if(has_frames(options));
        /// Lines `key: value`, UTF-8, that nothing is computed with. A reader may ignore them.
        Info = b"info", Bytes [One, Any], Optional;
    }
}

const fn always_if(condition: bool) -> Presence {
    if condition { Always } else { Never }
}

const fn optional_if(condition: bool) -> Presence {
    if condition { Optional } else { Never }
}

const fn always_or_optional(condition: bool) -> Presence {
    if condition { Always } else { Optional }
}

/// The poolings that read a class token, and those that may. The first stream may also be the sequence's own first token.
const fn class_token(pooling: Pooling) -> Presence {
    match pooling {
        Pooling::None | Pooling::Last => Never,
        Pooling::Class | Pooling::Mean => Optional,
        Pooling::MeanOfInputs | Pooling::MeanOfClass | Pooling::Classes => Always,
    }
}

const fn is_stream(options: &Options) -> bool {
    matches!(options.input, Input::Stream)
}

const fn has_frames(options: &Options) -> bool {
    matches!(options.input, Input::Frames)
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
    fn every_tensor_has_a_kind_of_its_own_of_four_letters() {
        for (index, tensor) in Tensor::ALL.iter().enumerate() {
            assert_eq!(Tensor::from_kind(tensor.kind()), Some(*tensor), "{tensor:?}: the kind of another one");
            assert!(tensor.kind().iter().all(u8::is_ascii_lowercase), "{tensor:?}");
            assert_eq!(*tensor as usize, index);
        }
        assert_eq!(Tensor::from_kind(*b"sign"), None, "kept for a signature");
    }

    #[test]
    fn parts_come_one_after_the_other() {
        let parts: std::vec::Vec<Part> = Tensor::ALL.iter().map(|tensor| tensor.part()).collect();
        assert!(parts.is_sorted(), "{parts:?}");
        assert!([Part::Before, Part::Layer, Part::HeadLayer, Part::After].iter().all(|part| parts.contains(part)));
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
