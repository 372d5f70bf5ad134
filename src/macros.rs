//! Macros that work at compile time: `model!` checks a model, `constant_model!` makes one of constants.

/// Includes an image, checks it at compile time, and makes a module with its model and the type of its state.
///
/// ```
/// thumbformer::model!(mod tiny = "../examples/tiny.tbf", max_seq = 8, batch = 4, ram <= 4 * 1024);
///
/// // All memory that inference takes, the stack aside; on a board a `static`.
/// let mut state = tiny::State::new();
/// let mut session = tiny::MODEL.session(state.memory());
/// let logits = session.decode(1)?;
/// assert_eq!(logits.len(), tiny::MODEL.dims().vocab);
/// # Ok::<(), thumbformer::Error>(())
/// ```
/// The module has `tiny::MODEL` ([`Model`](crate::Model)), `tiny::State` (all memory of a session; `size_of` is its cost),
/// `tiny::MAX_SEQ` and `tiny::IMAGE_BYTES`; with the feature `audio` also `tiny::AudioBuffers`, the memory of its front end. The path is relative to the file that contains the macro. Without `max_seq` the
/// state has room for the model's whole context; without `batch` the tokens of a prompt go through the network
/// [`MAX_BATCH`](crate::MAX_BATCH) at a time (fewer take less memory); without `ram` the size is not limited. The build stops
/// with a message for a damaged image, an unsupported version, a context longer than the model's and a state beyond the RAM
/// budget.
///
/// Attributes before `mod` apply to the `static` that holds the image: with `#[unsafe(link_section = ".data.weights")]`
/// cortex-m-rt copies it into RAM before `main`, which pays off where flash is slow.
#[macro_export]
macro_rules! model {
    ($(#[$place:meta])* $vis:vis mod $name:ident = $path:literal $(, max_seq = $max_seq:expr)? $(, batch = $batch:expr)? $(, ram <= $ram:expr)? $(,)?) => {
        #[doc = concat!("The model in `", $path, "`.")]
        $vis mod $name {
            /// Bytes of the image in flash.
            pub const IMAGE_BYTES: usize = include_bytes!($path).len();

            $(#[$place])*
            static IMAGE: $crate::image::Aligned<IMAGE_BYTES> = $crate::image::Aligned(*include_bytes!($path));
            const WORDS: &[u32] = IMAGE.words();

            $crate::checked!($(max_seq = $max_seq,)? $(batch = $batch,)? $(ram = $ram,)?);
        }
    };
}

/// The items of a model that hears: the memory of its front end, with the FFT of its length and no other.
#[cfg(feature = "audio")]
#[doc(hidden)]
#[macro_export]
macro_rules! hearing {
    () => {
        #[allow(dead_code)]
        const HEARS: (usize, usize) = match MODEL.front_end() {
            Some(front_end) => (front_end.fft(), front_end.bands()),
            None => (0, 0),
        };

        /// All memory of the model's audio front end; empty where it has none.
        pub type AudioBuffers = $crate::audio::Buffers<{ HEARS.0 }, { HEARS.1 }>;
    };
}

/// Without the feature `audio` a model has frames only.
#[cfg(not(feature = "audio"))]
#[doc(hidden)]
#[macro_export]
macro_rules! hearing {
    () => {};
}

/// Makes a model of constants at compile time, for a block whose weights are part of the program's source.
///
/// ```
/// use thumbformer::{Dims, Error, Options, Tensor};
///
/// // One encoder block: d_model 2, one head, d_ff 2, at most 3 tokens. Its weights are constants.
/// const DIMS: Dims = Dims::block(2, 1, 2, 3, Options::ENCODER);
/// const ONES: [f32; 2] = [1.0, 1.0];
/// const IDENTITY: [f32; 4] = [1.0, 0.0, 0.0, 1.0];
///
/// thumbformer::constant_model!(
///     mod block = DIMS,
///     &[
///         (Tensor::AttentionNorm, 0, &ONES),
///         (Tensor::Query, 0, &IDENTITY),
///         (Tensor::Key, 0, &IDENTITY),
///         (Tensor::Value, 0, &IDENTITY),
///         (Tensor::AttentionOutput, 0, &IDENTITY),
///         (Tensor::MlpNorm, 0, &ONES),
///         (Tensor::Up, 0, &IDENTITY),
///         (Tensor::Down, 0, &IDENTITY),
///     ],
///     ram <= 512
/// );
///
/// fn main() -> Result<(), Error> {
///     let mut state = block::State::new();
///     let mut x = [1.0, -1.0, 0.5, 2.0]; // [seq, d_model]
///     block::MODEL.session(state.memory()).encode(&mut x)
/// }
/// ```
/// `DIMS` is a constant [`Dims`](crate::Dims), see [`Dims::block`](crate::Dims::block). Each tensor comes with its layer and its
/// values, `&[f32]`, a matrix row-major. The module is that of [`model!`](crate::model). Weights that do not match the
/// dimensions stop the build.
#[macro_export]
macro_rules! constant_model {
    ($vis:vis mod $name:ident = $dims:expr, $tensors:expr $(, max_seq = $max_seq:expr)? $(, batch = $batch:expr)? $(, ram <= $ram:expr)? $(,)?) => {
        /// A model of constants.
        $vis mod $name {
            #[allow(unused_imports)]
            use super::*;

            const TENSORS: &[$crate::image::Constant<'static>] = $tensors;

            /// Bytes of the image in flash.
            pub const IMAGE_BYTES: usize = 4 * $crate::image::constant_words(&$dims, TENSORS);

            static IMAGE: [u32; IMAGE_BYTES / 4] = match $crate::image::constant(&$dims, TENSORS) {
                Ok(words) => words,
                Err(error) => panic!("{}", error.message()),
            };
            const WORDS: &[u32] = &IMAGE;

            $crate::checked!($(max_seq = $max_seq,)? $(batch = $batch,)? $(ram = $ram,)?);
        }
    };
}

/// The common part of `model!` and `constant_model!`, for an image in `WORDS`: the model, the type of its state, and its limits.
#[doc(hidden)]
#[macro_export]
macro_rules! checked {
    ($(max_seq = $max_seq:expr,)? $(batch = $batch:expr,)? $(ram = $ram:expr,)?) => {
        /// The model, checked at compile time.
        #[allow(long_running_const_eval)]
        pub const MODEL: $crate::Model<'static> = {
            const PARSED: $crate::Model<'static> = match $crate::Model::parse_at_compile_time(WORDS) {
                Ok(model) => model,
                Err(error) => panic!("{}", error.message()),
            };
            PARSED
        };

        #[allow(unused_mut, unused_assignments)]
        const LIMITS: (usize, usize, usize) = {
            let (mut max_seq, mut batch, mut ram) = (MODEL.dims().max_seq, $crate::MAX_BATCH, usize::MAX);
            $(max_seq = $max_seq;)?
            $(batch = $batch;)?
            $(ram = $ram;)?
            assert!(max_seq > 0, "max_seq must be at least 1");
            assert!(max_seq <= MODEL.dims().max_seq, "max_seq is longer than the model's context: lower it");
            assert!(batch > 0 && batch <= $crate::MAX_BATCH, "batch must be 1 to MAX_BATCH");
            (max_seq, batch, ram)
        };

        $crate::hearing!();

        /// Longest sequence that fits the state, in tokens.
        pub const MAX_SEQ: usize = LIMITS.0;

        /// All memory that a session of this model needs.
        pub type State = $crate::State<{ MAX_SEQ }, { LIMITS.1 }, { MODEL.dims().state_words(MAX_SEQ, LIMITS.1) }>;

        const _: () = if size_of::<State>() > LIMITS.2 {
            const SAID: $crate::budget::Sentence =
                $crate::budget::exceeded(MODEL.dims(), LIMITS.0, LIMITS.1, LIMITS.2);
            panic!("{}", SAID.as_str());
        };
    };
}
