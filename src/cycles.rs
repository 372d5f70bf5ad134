//! Cycle counters, and a profile of the time that each part of a model takes.
//!
//! ```text
//! hardware or emulator ──► CycleCounter ──► Profile, an observer ──► ticks of embed, norm, qkv, attention, projection, MLP, head
//!                                           └─ the cost of observing is measured first and subtracted
//! ```

use crate::observe::{Observer, Point, Vector};

/// A counter that runs while code runs: cycles on hardware, executed instructions in an emulator.
pub trait CycleCounter {
    /// Ticks since a fixed moment; never decreases.
    fn now(&mut self) -> u64;

    /// Name of a [unit](CycleCounter::units): `"cycles"`, or `"instructions"` in an emulator that counts instructions.
    fn unit(&self) -> &'static str;

    /// Number of units in `ticks` ticks, for a counter whose tick is not one unit.
    fn units(&self, ticks: u64) -> u64 {
        ticks
    }

    /// Units since `start`, a value of [`now`](CycleCounter::now).
    fn since(&mut self, start: u64) -> u64 {
        let ticks = self.now().saturating_sub(start);
        self.units(ticks)
    }
}

/// A part of a model in a [`Profile`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// Embedding and positions.
    Embed,
    /// Norms, and additions to the stream.
    Norm,
    /// Projections to queries, keys and values.
    Qkv,
    /// Scores, softmax, weighted sums, the cache.
    Attention,
    /// The output projection of the context.
    Projection,
    /// The matrices of the MLP.
    Mlp,
    /// The MLP's activation and gate.
    Activation,
    /// Pooling, the layer after it, and the head.
    Head,
}

impl Part {
    /// All parts, in the order of the computation.
    pub const ALL: [Part; 8] = [
        Part::Embed,
        Part::Norm,
        Part::Qkv,
        Part::Attention,
        Part::Projection,
        Part::Mlp,
        Part::Activation,
        Part::Head,
    ];

    /// Name of the part in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Part::Embed => "embed",
            Part::Norm => "norm",
            Part::Qkv => "qkv",
            Part::Attention => "attention",
            Part::Projection => "projection",
            Part::Mlp => "mlp",
            Part::Activation => "activation",
            Part::Head => "head",
        }
    }

    /// The part that ends at a point of the observer.
    const fn before(point: Point) -> Part {
        match point {
            Point::Embedding | Point::EmbeddingNorm => Part::Embed,
            Point::Query | Point::Key | Point::Value => Part::Qkv,
            Point::Context => Part::Attention,
            Point::AttentionOutput => Part::Projection,
            Point::Gate | Point::Up | Point::MlpOutput => Part::Mlp,
            Point::Hidden => Part::Activation,
            Point::Pooled | Point::HeadNorm | Point::Pooler | Point::HeadHidden | Point::Logits => Part::Head,
            Point::AttentionNorm | Point::MlpNorm | Point::Output | Point::FinalNorm => Part::Norm,
        }
    }
}

/// Ticks of one part, and the number of times it was observed.
#[derive(Clone, Copy, Default)]
struct Sum {
    ticks: u64,
    points: u64,
}

/// An observer that sums a counter's ticks by part of the model.
///
/// ```
/// # use thumbformer::cycles::{CycleCounter, Part, Profile};
/// # struct Clock(u64);
/// # impl CycleCounter for Clock {
/// #     fn now(&mut self) -> u64 { self.0 += 1; self.0 }
/// #     fn unit(&self) -> &'static str { "cycles" }
/// # }
/// # let mut counter = Clock(0);
/// let mut profile = Profile::new(&mut counter);
/// profile.start();
/// // session.observe(&mut profile).decode(token)?;
/// assert_eq!(profile.units(Part::Attention), 0);
/// ```
pub struct Profile<'c, C> {
    counter: &'c mut C,
    last: u64,
    sums: [Sum; Part::ALL.len()],
    /// Ticks that observing one point takes.
    overhead: u64,
}

/// Number of empty observations that measure the cost of observing.
const TRIALS: usize = 16;

impl<'c, C: CycleCounter> Profile<'c, C> {
    /// An empty profile; measures the cost of observing, with nothing between two points.
    pub fn new(counter: &'c mut C) -> Self {
        let mut profile = Profile { counter, last: 0, sums: [Sum::default(); Part::ALL.len()], overhead: 0 };
        let mut least = u64::MAX;
        for _ in 0..TRIALS {
            profile.start();
            profile.vector(Point::Output, 0, &Vector::Floats(&[]));
            least = least.min(profile.sum(Part::Norm).ticks);
        }
        profile.overhead = least;
        profile.start();
        profile
    }

    /// Clears the profile and starts the clock; call it right before the computation.
    pub fn start(&mut self) {
        self.sums = [Sum::default(); Part::ALL.len()];
        self.last = self.counter.now();
    }

    /// Units of a part, without the cost of observing it.
    pub fn units(&self, part: Part) -> u64 {
        let Sum { ticks, points } = self.sum(part);
        self.counter.units(ticks.saturating_sub(points * self.overhead))
    }

    /// Units that observing one point takes.
    pub fn overhead(&self) -> u64 {
        self.counter.units(self.overhead)
    }

    fn sum(&self, part: Part) -> Sum {
        self.sums.get(part as usize).copied().unwrap_or_default()
    }
}

impl<C: CycleCounter> Observer for Profile<'_, C> {
    #[inline(never)]
    fn vector(&mut self, point: Point, _layer: usize, _vector: &Vector<'_>) {
        let now = self.counter.now();
        if let Some(sum) = self.sums.get_mut(Part::before(point) as usize) {
            sum.ticks += now.saturating_sub(self.last);
            sum.points += 1;
        }
        // The time up to here, spent on observing, is not counted.
        self.last = self.counter.now();
    }
}

#[cfg(test)]
mod tests {
    use super::{CycleCounter, Part, Profile};
    use crate::observe::{Observer, Point, Vector};

    /// A clock that advances one tick with each reading; two ticks are a unit.
    struct Clock(u64);

    impl CycleCounter for Clock {
        fn now(&mut self) -> u64 {
            self.0 += 1;
            self.0
        }

        fn unit(&self) -> &'static str {
            "cycles"
        }

        fn units(&self, ticks: u64) -> u64 {
            ticks / 2
        }
    }

    #[test]
    fn a_profile_counts_each_part_and_takes_its_own_looks_off() {
        let mut counter = Clock(0);
        let mut profile = Profile::new(&mut counter);
        let nothing = Vector::Floats(&[]);
        profile.start();
        for (point, work) in
            [(Point::Query, 100), (Point::Key, 40), (Point::Context, 60), (Point::Hidden, 8), (Point::Output, 0)]
        {
            profile.counter.0 += work;
            profile.vector(point, 0, &nothing);
        }
        let found = Part::ALL.map(|part| profile.units(part));
        assert_eq!(found, [0, 0, 70, 30, 0, 0, 4, 0]);
        profile.start();
        assert_eq!(profile.units(Part::Qkv), 0, "a new beginning forgets");
    }

    #[test]
    fn every_part_has_its_place_and_its_own_name() {
        for (index, part) in Part::ALL.into_iter().enumerate() {
            assert_eq!(part as usize, index);
            assert!(Part::ALL.iter().filter(|other| other.name() == part.name()).count() == 1);
        }
    }
}
