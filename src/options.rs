//! What makes one transformer differ from another beside its dimensions; the image declares it, one block computes all of it.

/// An option as the image's header holds it.
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
            /// All there are.
            pub const ALL: &[$name] = &[$($name::$value,)*];

            /// The option of a number in the header.
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
    /// What a norm computes.
    Norm {
        /// `gain * x / sqrt(mean(x^2) + eps)` (Zhang & Sennrich 2019).
        Rms = 1,
        /// `gain * (x - mean(x)) / sqrt(variance(x) + eps) + bias` (Ba et al. 2016).
        Layer = 2,
    }
}

option! {
    /// Where the norms of a block stand (Xiong et al. 2020).
    NormPlace {
        /// At the beginning of a branch: `x + f(norm(x))`. Nothing but addition touches the stream.
        Pre = 1,
        /// On the stream, after the branch was added: `norm(x + f(x))`.
        Post = 2,
    }
}

option! {
    /// What the MLP does to each number between its matrices.
    Activation {
        /// `x / (1 + e^-x)` (Elfwing et al. 2017).
        Silu = 1,
        /// `x * Phi(x)` with the error function (Hendrycks & Gimpel 2016).
        Gelu = 2,
        /// The same with their approximation by `tanh`.
        GeluTanh = 3,
        /// `max(x, 0)`.
        Relu = 4,
    }
}

option! {
    /// What a token sees.
    Mask {
        /// Itself and the tokens before it.
        Causal = 1,
        /// The whole sequence.
        Bidirectional = 2,
    }
}

option! {
    /// How tokens learn where they stand.
    Positions {
        /// Queries and keys are rotated, pairs `(i, i + head_dim / 2)` (Su et al. 2021).
        Rotary = 1,
        /// Not at all, or by what the stream already holds.
        None = 2,
        /// A row of a table, learned or sinusoidal, is added to the embedding (Vaswani et al. 2017, section 3.5).
        Table = 3,
    }
}

option! {
    /// What goes into the network and comes out.
    Input {
        /// Tokens; logits over the vocabulary come out.
        Tokens = 1,
        /// The residual stream itself, which comes out as well: blocks without an embedding and a head.
        Stream = 2,
        /// Vectors of numbers: sensor samples, spectra or patches, embedded by a matrix (Dosovitskiy et al. 2020, eq. 1);
        /// outputs come out.
        Frames = 3,
    }
}

option! {
    /// Which of the streams after the last block the outputs are made of.
    Pooling {
        /// Each token's own: a language model's.
        None = 0,
        /// The first one's: a learned vector before the sequence, or the sequence's own first token (Devlin et al. 2018).
        Class = 1,
        /// Their mean.
        Mean = 2,
        /// The last one's.
        Last = 3,
    }
}

option! {
    /// A layer between pooling and head: `f(w · x + bias)`.
    Pooler {
        /// There is none.
        None = 0,
        /// `tanh` (Devlin et al. 2018).
        Tanh = 1,
        /// `max(x, 0)`.
        Relu = 2,
    }
}

/// The options of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// What a norm computes.
    pub norm: Norm,
    /// Where the norms of a block stand.
    pub norm_place: NormPlace,
    /// What the MLP does between its matrices.
    pub activation: Activation,
    /// Whether the MLP has a gate: `down(f(gate(x)) * up(x))` instead of `down(f(up(x)))` (Shazeer 2020).
    pub gated: bool,
    /// Whether each head's queries and keys go through an RMSNorm of their own before they are rotated (Henry et al. 2020).
    pub qk_norm: bool,
    /// What a token sees.
    pub mask: Mask,
    /// How tokens learn where they stand.
    pub positions: Positions,
    /// What goes in and comes out.
    pub input: Input,
    /// Which streams the outputs are made of.
    pub pooling: Pooling,
    /// What stands between pooling and head.
    pub pooler: Pooler,
    /// Whether a matrix makes the outputs; without, they are what was pooled.
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
        head: true,
    };

    /// Blocks of an encoder as most frameworks make them: `torch.nn.TransformerEncoder(norm_first=True, activation="gelu")`.
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
        head: false,
    };
}
