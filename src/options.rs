//! The options of a model: its architecture apart from its dimensions. The image declares them; one block computes all of them.

/// An option with its values, numbered as in the image's header; 0 is the default.
macro_rules! option {
    ($(#[$doc:meta])* $name:ident { $($(#[$value_doc:meta])* $value:ident = $number:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        #[non_exhaustive]
        #[repr(u32)]
        pub enum $name {
            $($(#[$value_doc])* $value = $number,)*
        }

        impl $name {
            /// All values.
            pub const ALL: &[$name] = &[$($name::$value,)*];

            /// The value of a number in the header.
            pub const fn from_id(id: u32) -> Option<$name> {
                match id {
                    $($number => Some($name::$value),)*
                    _ => None,
                }
            }
        }
    };
}

option! {
    /// The norm.
    Norm {
        /// `gain * x / sqrt(mean(x^2) + eps)` (Zhang & Sennrich 2019).
        Rms = 0,
        /// `gain * (x - mean(x)) / sqrt(variance(x) + eps) + bias` (Ba et al. 2016).
        Layer = 1,
    }
}

option! {
    /// The place of a block's norms (Xiong et al. 2020).
    NormPlace {
        /// Pre-LN, at the beginning of a branch: `x + f(norm(x))`. The stream is only added to.
        Pre = 0,
        /// Post-LN, on the stream after the branch was added: `norm(x + f(x))`.
        Post = 1,
    }
}

option! {
    /// The activation of the MLP, between its matrices.
    Activation {
        /// `x / (1 + e^-x)` (Elfwing et al. 2017).
        Silu = 0,
        /// `x * Phi(x)`, `Phi` by the error function (Hendrycks & Gimpel 2016).
        Gelu = 1,
        /// GELU in its approximation by `tanh` (Hendrycks & Gimpel 2016).
        GeluTanh = 2,
        /// `max(x, 0)`.
        Relu = 3,
    }
}

option! {
    /// The attention mask: the tokens that a token sees.
    Mask {
        /// Itself and the tokens before it.
        Causal = 0,
        /// The whole sequence.
        Bidirectional = 1,
    }
}

option! {
    /// The encoding of positions.
    Positions {
        /// Rotary: queries and keys are rotated in pairs `(i, i + head_dim / 2)` (Su et al. 2021).
        Rotary = 0,
        /// None, or one that the stream already contains.
        None = 1,
        /// A table, learned or sinusoidal, of which a row is added to the embedding (Vaswani et al. 2017, section 3.5).
        Table = 2,
    }
}

option! {
    /// The input of the network, and its output.
    Input {
        /// Tokens; the outputs are logits over the vocabulary.
        Tokens = 0,
        /// The residual stream itself, which is also the output: blocks without an embedding and a head.
        Stream = 1,
        /// Frames, vectors of numbers: sensor samples, spectra or patches, embedded by a matrix (Dosovitskiy et al. 2020, eq. 1);
        /// the outputs are those of the head.
        Frames = 2,
    }
}

option! {
    /// The pooling: the streams after the last block that the outputs are computed from.
    Pooling {
        /// Each token's own stream: a language model's.
        None = 0,
        /// The first stream: of a learned vector before the sequence, or of the sequence's own first token (Devlin et al. 2018).
        Class = 1,
        /// The mean of the streams.
        Mean = 2,
        /// The last stream.
        Last = 3,
        /// The mean of the streams of tokens or frames, those of class tokens left out.
        MeanOfInputs = 4,
        /// The mean of the class tokens' streams (Gong et al. 2021, "AST").
        MeanOfClass = 5,
        /// The class tokens' streams, one after the other (Touvron et al. 2020, "DeiT", with a head for each).
        Classes = 6,
    }
}

option! {
    /// The place of the class tokens, learned vectors that are part of the sequence (Devlin et al. 2018).
    ClassPlace {
        /// Before the sequence: positions 0 and up.
        First = 0,
        /// After the sequence.
        Last = 1,
    }
}

option! {
    /// A layer between pooling and head: `f(w · x + bias)`.
    Pooler {
        /// No layer.
        None = 0,
        /// `tanh` (Devlin et al. 2018).
        Tanh = 1,
        /// `max(x, 0)`.
        Relu = 2,
    }
}

option! {
    /// The activation of a layer outside the blocks: of the embedding of frames, and of the head's hidden layers.
    DenseActivation {
        /// `x` as it is.
        None = 0,
        /// `tanh(x)`.
        Tanh = 1,
        /// `max(x, 0)`.
        Relu = 2,
        /// [`Activation::Gelu`].
        Gelu = 3,
        /// [`Activation::GeluTanh`].
        GeluTanh = 4,
        /// [`Activation::Silu`].
        Silu = 5,
    }
}

option! {
    /// The meaning of the outputs. The engine returns them as the head computes them; tools show and judge them by this.
    Outputs {
        /// Scores of classes, one of which is right: softmax makes probabilities of them. A language model's are its logits.
        Classes = 0,
        /// Scores of labels, any number of which are right: the sigmoid of each is its probability.
        Labels = 1,
        /// Numbers: a regression, a reconstruction, values of actions.
        Numbers = 2,
    }
}

/// The options of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// The norm.
    pub norm: Norm,
    /// The place of a block's norms.
    pub norm_place: NormPlace,
    /// The activation of the MLP.
    pub activation: Activation,
    /// True if the MLP has a gate: `down(f(gate(x)) * up(x))` instead of `down(f(up(x)))` (Shazeer 2020).
    pub gated: bool,
    /// True if each head's queries and keys go through an RMSNorm of their own before they are rotated (Henry et al. 2020).
    pub qk_norm: bool,
    /// The attention mask.
    pub mask: Mask,
    /// The encoding of positions.
    pub positions: Positions,
    /// The input of the network.
    pub input: Input,
    /// The pooling of the streams.
    pub pooling: Pooling,
    /// The layer between pooling and head.
    pub pooler: Pooler,
    /// The place of the class tokens.
    pub class_place: ClassPlace,
    /// The activation of the embedding of frames, before a position is added.
    pub embedding_activation: DenseActivation,
    /// True if the head has hidden layers: an MLP.
    pub mlp_head: bool,
    /// The activation after each hidden layer of the head.
    pub head_activation: DenseActivation,
    /// The meaning of the outputs.
    pub outputs: Outputs,
    /// True if a matrix computes the outputs; without it they are the pooled stream.
    pub head: bool,
}

impl Options {
    /// A decoder of the Llama family (Touvron et al. 2023).
    pub const LLAMA: Options = Options {
        norm: Norm::Rms,
        norm_place: NormPlace::Pre,
        activation: Activation::Silu,
        gated: true,
        qk_norm: false,
        mask: Mask::Causal,
        positions: Positions::Rotary,
        input: Input::Tokens,
        pooling: Pooling::None,
        pooler: Pooler::None,
        class_place: ClassPlace::First,
        embedding_activation: DenseActivation::None,
        mlp_head: false,
        head_activation: DenseActivation::None,
        outputs: Outputs::Classes,
        head: true,
    };

    /// An encoder's blocks as in most frameworks: `torch.nn.TransformerEncoder(norm_first=True, activation="gelu")`.
    pub const ENCODER: Options = Options {
        norm: Norm::Layer,
        norm_place: NormPlace::Pre,
        activation: Activation::Gelu,
        gated: false,
        qk_norm: false,
        mask: Mask::Bidirectional,
        positions: Positions::None,
        input: Input::Stream,
        pooling: Pooling::None,
        pooler: Pooler::None,
        class_place: ClassPlace::First,
        embedding_activation: DenseActivation::None,
        mlp_head: false,
        head_activation: DenseActivation::None,
        outputs: Outputs::Classes,
        head: false,
    };
}
