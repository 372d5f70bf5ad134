//! The input of a model: tokens or frames, and which of them it sees.

use crate::dims::Dims;
use crate::error::Error;
use crate::kernels::scaled::HUGE;
use crate::options::ClassPlace;

/// The input sequence of a model.
#[derive(Clone, Copy, Debug)]
pub enum Inputs<'i> {
    /// Token ids, `[seq]`.
    Tokens(&'i [u16]),
    /// Frames, `[seq, n_features]`.
    Frames(&'i [f32]),
}

impl<'i> From<&'i [u16]> for Inputs<'i> {
    fn from(tokens: &'i [u16]) -> Self {
        Inputs::Tokens(tokens)
    }
}

impl<'i> From<&'i [f32]> for Inputs<'i> {
    fn from(frames: &'i [f32]) -> Self {
        Inputs::Frames(frames)
    }
}

impl<'i> Inputs<'i> {
    /// Number of tokens or frames: the first step of every call that computes.
    ///
    /// # Errors
    /// [`Error::RoundingMode`]; [`Error::WrongInput`], [`Error::EmptySequence`], [`Error::FrameLength`], [`Error::BadFrame`] and
    /// [`Error::TokenOutOfVocabulary`] for inputs that this model cannot read.
    pub(crate) fn check(&self, dims: &Dims) -> Result<usize, Error> {
        Error::unless_rounding_to_nearest()?;
        let length = match *self {
            Inputs::Tokens(tokens) if dims.has_tokens() => {
                let vocab = dims.vocab;
                if let Some(&token) = tokens.iter().find(|&&token| usize::from(token) >= vocab) {
                    return Err(Error::TokenOutOfVocabulary { token: token.into(), vocab: vocab as u32 });
                }
                tokens.len()
            }
            Inputs::Frames(frames) if dims.has_frames() => {
                let (n_features, found) = (dims.n_features.max(1), frames.len());
                if !found.is_multiple_of(n_features) {
                    return Err(Error::FrameLength { n_features, found });
                }
                // NaN compares false with everything.
                let usable = |value: &f32| value.abs() <= HUGE;
                if let Some(index) = frames.iter().position(|value| !usable(value)) {
                    return Err(Error::BadFrame { frame: index / n_features });
                }
                found / n_features
            }
            _ => return Err(Error::WrongInput { expected: dims.expected_input() }),
        };
        if length == 0 { Err(Error::EmptySequence) } else { Ok(length) }
    }

    /// `count` neighbours of the sequence from `start` on; empty beyond its end.
    pub(crate) fn part(&self, start: usize, count: usize, dims: &Dims) -> Inputs<'i> {
        match self {
            Inputs::Tokens(tokens) => Inputs::Tokens(tokens.get(start..start + count).unwrap_or(&[])),
            Inputs::Frames(frames) => {
                let width = dims.n_features;
                Inputs::Frames(frames.get(start * width..(start + count) * width).unwrap_or(&[]))
            }
        }
    }
}

/// The visible tokens of a sequence. Hidden ones have no effect, except that those after them keep their positions.
#[derive(Clone, Copy)]
pub(crate) struct Visible<'v> {
    /// One entry for each token or frame; `None`: all.
    mask: Option<&'v [bool]>,
    length: usize,
    /// Class tokens before the sequence.
    before: usize,
    /// Class tokens after the sequence.
    after: usize,
}

impl<'v> Visible<'v> {
    /// # Errors
    /// [`Error::MaskLength`]; [`Error::NothingVisible`].
    pub(crate) fn new(mask: Option<&'v [bool]>, length: usize, dims: &Dims) -> Result<Self, Error> {
        let class_last = cfg!(feature = "ends") && dims.options.class_place == ClassPlace::Last;
        let (before, after) = if class_last { (0, dims.n_class) } else { (dims.n_class, 0) };
        match mask {
            Some(mask) if mask.len() != length => Err(Error::MaskLength { expected: length, found: mask.len() }),
            Some(mask) if !mask.contains(&true) => Err(Error::NothingVisible),
            _ => Ok(Visible { mask, length, before, after }),
        }
    }

    /// Indices of the visible tokens, in order.
    pub(crate) fn indices(&self) -> impl Iterator<Item = usize> + 'v {
        let mask = self.mask;
        (0..self.length).filter(move |&index| mask.is_none_or(|mask| mask.get(index).copied().unwrap_or(false)))
    }

    /// The same as runs of at most `most` neighbours: the first index and the number.
    pub(crate) fn runs(&self, most: usize) -> impl Iterator<Item = (usize, usize)> + 'v {
        let mut indices = self.indices().peekable();
        core::iter::from_fn(move || {
            let (start, mut count) = (indices.next()?, 1);
            while count < most && indices.next_if_eq(&(start + count)).is_some() {
                count += 1;
            }
            Some((start, count))
        })
    }

    /// True if class tokens stand after the sequence.
    pub(crate) const fn class_last(&self) -> bool {
        cfg!(feature = "ends") && self.after > 0
    }

    /// Positions of the visible tokens and of the class tokens.
    pub(crate) fn positions(&self) -> impl Iterator<Item = usize> + 'v {
        let Visible { mask, length, before, after } = *self;
        // The mask has entries for tokens and frames only.
        let is_visible = move |position: usize, mask: &[bool]| {
            position.checked_sub(before).and_then(|index| mask.get(index).copied()).unwrap_or(true)
        };
        (0..before + length + after).filter(move |&position| mask.is_none_or(|mask| is_visible(position, mask)))
    }
}
