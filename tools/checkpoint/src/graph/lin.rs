//! Values of a graph as sums: every element is a sum of atoms' elements, each times a factor, and a constant.
//!
//! Whatever an exporter moves about (reshapes, transposes, slices, splits, concatenations, gathers), adds, scales or masks is a change of
//! places, factors and constants, so that only what is computed remains to be recognised.

use std::rc::Rc;

use super::array::{Array, count, expansion};

/// Places of a part's elements in its atom.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Map {
    /// Those of the atom, in order.
    Same,
    At(Rc<[u32]>),
}

/// Factors of a part's elements.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Factor {
    All(f64),
    Each(Rc<[f64]>),
}

/// One atom's elements in a sum.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// Index of the atom.
    pub atom: usize,
    /// Number of its elements.
    pub size: usize,
    pub map: Map,
    pub factor: Factor,
}

/// A value: a sum of parts and constants.
#[derive(Clone, Debug)]
pub(super) struct Lin {
    pub shape: Vec<usize>,
    pub parts: Vec<Part>,
    pub offset: Option<Rc<[f64]>>,
}

/// Tolerance for factors that an exporter has computed in float32.
pub(super) const CLOSE: f64 = 2e-6;

/// True if two numbers differ by rounding alone.
pub(super) fn close(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= CLOSE * a.abs().max(b.abs())
}

impl Part {
    pub(super) fn place(&self, index: usize) -> usize {
        match &self.map {
            Map::Same => index,
            Map::At(places) => places[index] as usize,
        }
    }

    pub(super) fn factor(&self, index: usize) -> f64 {
        match &self.factor {
            Factor::All(factor) => *factor,
            Factor::Each(factors) => factors[index],
        }
    }

    /// True if the part is the whole atom as it is.
    pub(super) fn is_whole(&self) -> bool {
        self.map == Map::Same && self.factor == Factor::All(1.0)
    }

    fn pick(&self, places: &[u32]) -> Part {
        let at: Vec<u32> = places.iter().map(|&place| self.place(place as usize) as u32).collect();
        let factor = match &self.factor {
            Factor::All(factor) => Factor::All(*factor),
            Factor::Each(_) => Factor::Each(places.iter().map(|&place| self.factor(place as usize)).collect()),
        };
        let mut part = Part { map: Map::At(at.into()), factor, ..*self };
        part.tidy();
        part
    }

    /// The simplest form.
    fn tidy(&mut self) {
        if let Map::At(places) = &self.map
            && places.len() == self.size
            && places.iter().enumerate().all(|(index, &place)| index == place as usize)
        {
            self.map = Map::Same;
        }
        if let Factor::Each(factors) = &self.factor
            && let Some(&first) = factors.first()
            && factors.iter().all(|&factor| factor == first)
        {
            self.factor = Factor::All(first);
        }
    }

    fn scaled(&self, by: &Factor, len: usize) -> Part {
        let factor = match (&self.factor, by) {
            (Factor::All(a), Factor::All(b)) => Factor::All(a * b),
            _ => {
                let by = |index: usize| match by {
                    Factor::All(by) => *by,
                    Factor::Each(by) => by[index],
                };
                // A masked element stays masked, even by an infinite factor.
                let product = |index: usize| match self.factor(index) {
                    0.0 => 0.0,
                    factor => factor * by(index),
                };
                Factor::Each((0..len).map(product).collect())
            }
        };
        let mut part = Part { map: self.map.clone(), factor, ..*self };
        part.tidy();
        part
    }

    fn is_zero(&self) -> bool {
        self.factor == Factor::All(0.0)
    }
}

impl Lin {
    /// All elements of an atom, in order.
    pub(super) fn whole(atom: usize, shape: Vec<usize>) -> Lin {
        let part = Part { atom, size: count(&shape), map: Map::Same, factor: Factor::All(1.0) };
        Lin { shape, parts: vec![part], offset: None }
    }

    pub(super) fn len(&self) -> usize {
        count(&self.shape)
    }

    pub(super) fn reshaped(&self, shape: Vec<usize>) -> Lin {
        Lin { shape, ..self.clone() }
    }

    /// As a matrix, by its last dimension.
    pub(super) fn matrix(&self) -> Lin {
        let width = self.shape.last().copied().unwrap_or(1);
        self.reshaped(vec![self.len() / width.max(1), width])
    }

    /// The elements at these places, in another shape.
    pub(super) fn pick(&self, shape: Vec<usize>, places: &[u32]) -> Lin {
        let parts = self.parts.iter().map(|part| part.pick(places)).filter(|part| !part.is_zero()).collect();
        let offset = self.offset.as_ref().map(|offset| places.iter().map(|&place| offset[place as usize]).collect());
        Lin { shape, parts, offset }.tidied()
    }

    pub(super) fn expanded(&self, shape: &[usize]) -> Lin {
        match expansion(&self.shape, shape) {
            None => self.reshaped(shape.to_vec()),
            Some(places) => self.pick(shape.to_vec(), &places),
        }
    }

    fn tidied(mut self) -> Lin {
        if self.offset.as_ref().is_some_and(|offset| offset.iter().all(|&value| value == 0.0)) {
            self.offset = None;
        }
        self
    }

    /// Times these factors; the shape is the same.
    pub(super) fn scaled(&self, by: &Factor) -> Lin {
        let len = self.len();
        let by_at = |index: usize| match by {
            Factor::All(by) => *by,
            Factor::Each(by) => by[index],
        };
        let parts = self.parts.iter().map(|part| part.scaled(by, len)).filter(|part| !part.is_zero()).collect();
        let offset = self.offset.as_ref().map(|offset| {
            let product = |(index, &value): (usize, &f64)| if value == 0.0 { 0.0 } else { value * by_at(index) };
            offset.iter().enumerate().map(product).collect()
        });
        Lin { shape: self.shape.clone(), parts, offset }.tidied()
    }

    pub(super) fn times(&self, by: f64) -> Lin {
        self.scaled(&Factor::All(by))
    }

    /// Zero where the condition does not hold.
    pub(super) fn masked(&self, keep: &[bool]) -> Lin {
        if keep.iter().all(|&keep| keep) {
            return self.clone();
        }
        let mask: Rc<[f64]> = keep.iter().map(|&keep| f64::from(u8::from(keep))).collect();
        let len = self.len();
        let by = Factor::Each(mask);
        let parts = self.parts.iter().map(|part| part.scaled(&by, len)).filter(|part| !part.is_zero()).collect();
        let offset = self.offset.as_ref();
        let offset =
            offset.map(|offset| offset.iter().zip(keep).map(|(&x, &keep)| if keep { x } else { 0.0 }).collect());
        Lin { shape: self.shape.clone(), parts, offset }.tidied()
    }

    /// The sum with another value of this shape.
    pub(super) fn plus(&self, other: &Lin) -> Lin {
        let len = self.len();
        let mut sum = self.clone();
        for part in &other.parts {
            let Some(own) = sum.parts.iter_mut().find(|own| own.atom == part.atom && own.map == part.map) else {
                sum.parts.push(part.clone());
                continue;
            };
            own.factor = match (&own.factor, &part.factor) {
                (Factor::All(a), Factor::All(b)) => Factor::All(a + b),
                _ => Factor::Each((0..len).map(|index| own.factor(index) + part.factor(index)).collect()),
            };
            own.tidy();
        }
        sum.parts.retain(|part| !part.is_zero());
        match &other.offset {
            Some(offset) => sum.plus_constant(offset),
            None => sum,
        }
    }

    pub(super) fn plus_constant(&self, values: &[f64]) -> Lin {
        let offset = match &self.offset {
            Some(offset) => offset.iter().zip(values).map(|(a, b)| a + b).collect(),
            None => values.into(),
        };
        Lin { offset: Some(offset), ..self.clone() }.tidied()
    }

    /// A constant as a value.
    pub(super) fn constant(array: &Array) -> Lin {
        Lin { shape: array.shape.clone(), parts: Vec::new(), offset: Some(array.data.clone()) }.tidied()
    }

    /// Elements put side by side: `places[k]` are those of value `k` in the result.
    pub(super) fn joined(shape: Vec<usize>, values: &[(Lin, Vec<u32>)]) -> Lin {
        let len = count(&shape);
        let mut offset: Option<Vec<f64>> = None;
        let mut parts: Vec<(usize, usize, Vec<u32>, Vec<f64>)> = Vec::new();
        for (value, places) in values {
            let mut used = vec![false; parts.len()];
            for part in &value.parts {
                // The k-th part of an atom joins the k-th of the others.
                let found = (0..used.len()).find(|&index| !used[index] && parts[index].0 == part.atom);
                let index = found.unwrap_or_else(|| {
                    parts.push((part.atom, part.size, vec![0; len], vec![0.0; len]));
                    used.push(true);
                    parts.len() - 1
                });
                used[index] = true;
                for (from, &to) in places.iter().enumerate() {
                    parts[index].2[to as usize] = part.place(from) as u32;
                    parts[index].3[to as usize] = part.factor(from);
                }
            }
            if let Some(own) = &value.offset {
                let offset = offset.get_or_insert_with(|| vec![0.0; len]);
                own.iter().zip(places).for_each(|(&value, &to)| offset[to as usize] = value);
            }
        }
        let part = |(atom, size, map, factors): (usize, usize, Vec<u32>, Vec<f64>)| {
            let mut part = Part { atom, size, map: Map::At(map.into()), factor: Factor::Each(factors.into()) };
            part.tidy();
            part
        };
        Lin { shape, parts: parts.into_iter().map(part).collect(), offset: offset.map(Into::into) }.tidied()
    }

    /// The only part, where there is no constant.
    pub(super) fn single(&self) -> Option<&Part> {
        match &self.parts[..] {
            [part] if self.offset.is_none() => Some(part),
            _ => None,
        }
    }

    /// The atom, where the value is all of it and nothing else.
    pub(super) fn atom(&self) -> Option<usize> {
        self.single().filter(|part| part.is_whole()).map(|part| part.atom)
    }

    /// The same value without the part at this index.
    pub(super) fn without(&self, index: usize) -> Lin {
        let mut rest = self.clone();
        rest.parts.remove(index);
        rest
    }

    /// `r`, where this is `r` times the other.
    pub(super) fn ratio(&self, other: &Lin) -> Option<f64> {
        if self.len() != other.len() || self.parts.len() != other.parts.len() || self.parts.is_empty() {
            return None;
        }
        let mut ratio: Option<f64> = None;
        let mut agree = |a: f64, b: f64| match (a, b) {
            (0.0, 0.0) => true,
            (_, 0.0) | (0.0, _) => false,
            _ => close(*ratio.get_or_insert(a / b), a / b),
        };
        for part in &self.parts {
            let same = |other: &&Part| other.atom == part.atom && other.map == part.map;
            let other_part = other.parts.iter().find(same)?;
            match (&part.factor, &other_part.factor) {
                (Factor::All(a), Factor::All(b)) => agree(*a, *b).then_some(())?,
                _ => (0..self.len()).all(|i| agree(part.factor(i), other_part.factor(i))).then_some(())?,
            }
        }
        match (&self.offset, &other.offset) {
            (None, None) => {}
            (Some(a), Some(b)) => a.iter().zip(b.iter()).all(|(&a, &b)| agree(a, b)).then_some(())?,
            _ => return None,
        }
        ratio
    }

    pub(super) fn same(&self, other: &Lin) -> bool {
        self.ratio(other).is_some_and(|ratio| close(ratio, 1.0))
    }

    /// The constant, if it is the same for every element; 0 without one.
    pub(super) fn uniform_offset(&self) -> Option<f64> {
        let Some(offset) = &self.offset else { return Some(0.0) };
        offset.iter().all(|value| *value == offset[0]).then(|| offset[0])
    }
}
