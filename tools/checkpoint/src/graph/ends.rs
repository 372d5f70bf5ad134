//! Recognition of the embedding: tokens or frames, class tokens, positions.

use thumbformer::{ClassPlace, Input, MAX_CLASS, Positions, Tensor};

use super::array::strides;
use super::assemble::Network;
use super::atoms::{Atoms, Made};
use super::lin::{Factor, Lin};
use super::tail::dense_activation;
use super::{Mismatch, ONE};

/// The windows of an input that are frames.
struct Windows {
    /// For each number of a frame in the order of the sensor's samples, its place in the order of the file.
    order: Vec<usize>,
    samples: usize,
    hop: usize,
}

impl Atoms {
    /// Reads the embedding from the stream before the blocks.
    pub(super) fn embedding(&self, stream: &Lin, input: &[usize], network: &mut Network) -> Result<(), Mismatch> {
        let mut stream = stream.clone();
        if let Some((norm, x)) = self.norm_of(&stream) {
            network.norm(self, norm, (Tensor::EmbeddingNorm, Tensor::EmbeddingNormBias), 0)?;
            stream = x.clone();
        }
        let (seq, width) = (stream.shape[0], stream.shape[1]);
        let last = stream.parts.iter().map(|part| part.atom).max();
        let node = last.map(|atom| self.list[atom].node);
        let wrong = |found: String, expected: &str| Err(Mismatch::new(node, found, expected));
        let [part] = &stream.parts[..] else {
            let found = match last {
                Some(atom) if stream.parts.len() > 1 => format!("a sum with {} in it", self.describe(atom)),
                _ => "constants".into(),
            };
            return wrong(found, "before the first block one embedding of the input, and positions");
        };
        // Class tokens are rows without the input.
        let is_input: Vec<bool> = (0..seq).map(|row| part.factor(row * width) != 0.0).collect();
        let first = is_input.iter().position(|&is| is).unwrap_or(seq);
        let count = is_input.iter().filter(|&&is| is).count();
        let n_class = seq - count;
        let in_place = (first..first + count).all(|row| {
            (0..width).all(|column| {
                let index = row * width + column;
                part.place(index) == (row - first) * width + column && part.factor(index) == part.factor(first * width)
            })
        });
        if !in_place || count * width != part.size || (first != 0 && first != n_class) || count == 0 {
            return wrong(
                "rows in another order".into(),
                "the input's rows in order, class tokens before or after them",
            );
        }
        if count < 2 {
            return wrong(ONE.into(), "a sequence: several tokens or frames");
        }
        if n_class > MAX_CLASS {
            return wrong(format!("{n_class} constant rows"), "at most two class tokens");
        }
        let factor = part.factor(first * width);
        let config = &mut network.config;
        config.n_class = n_class;
        config.max_seq = seq;
        if n_class > 0 && first == 0 {
            config.options.class_place = ClassPlace::Last;
        }
        self.source(part.atom, (count, width), factor, input, network)?;
        self.positions(&stream, &is_input, network);
        Ok(())
    }

    /// The constants of the stream: class tokens, and a table of positions.
    fn positions(&self, stream: &Lin, is_input: &[bool], network: &mut Network) {
        let width = stream.shape[1];
        let Some(offset) = &stream.offset else {
            if network.config.n_class > 0 {
                let zeros = vec![0.0; network.config.n_class * width];
                network.class_tokens(zeros, width);
            }
            return;
        };
        let rows = || offset.chunks(width).zip(is_input);
        if network.config.n_class > 0 {
            let tokens = rows().filter(|(_, is)| !**is).flat_map(|(row, _)| row.to_vec()).collect();
            network.class_tokens(tokens, width);
        }
        if rows().any(|(row, is)| *is && row.iter().any(|&x| x != 0.0)) {
            // A class token's own position is in its vector already.
            let table = rows().flat_map(|(row, is)| if *is { row.to_vec() } else { vec![0.0; width] }).collect();
            network.config.options.positions = Positions::Table;
            network.insert(Tensor::PositionTable, 0, "positions", vec![is_input.len(), width], table);
        }
    }

    /// The embedding of tokens or frames itself, times a factor.
    fn source(
        &self,
        atom: usize,
        (seq, width): (usize, usize),
        factor: f64,
        input: &[usize],
        network: &mut Network,
    ) -> Result<(), Mismatch> {
        let node = Some(self.list[atom].node);
        let wrong = |found: String, expected: &str| Err(Mismatch::new(node, found, expected));
        match self.made(atom) {
            Made::Embed { table, tokens } => {
                let in_order = tokens.atom().is_some_and(|atom| matches!(self.made(atom), Made::Tokens));
                if !in_order || tokens.len() != seq {
                    return wrong("tokens in another order".into(), "the tokens of the input, in order");
                }
                network.config.options.input = Input::Tokens;
                network.config.vocab = table.shape[0];
                let data = table.data.iter().map(|value| value * factor).collect();
                network.insert(Tensor::Embedding, 0, &table.name, vec![table.shape[0], width], data);
                Ok(())
            }
            Made::Act { f, x } if factor == 1.0 => match (dense_activation(*f), x.atom()) {
                (Some(activation), Some(linear)) => {
                    network.config.options.embedding_activation = activation;
                    self.frames(linear, seq, 1.0, input, network)
                }
                _ => wrong(format!("a function {f:?}"), "an activation behind a linear layer of frames"),
            },
            Made::Frames => {
                // The stream itself: the matrix is the identity.
                let identity = (0..width * width).map(|index| if index % (width + 1) == 0 { factor } else { 0.0 });
                network.config.options.input = Input::Frames;
                network.config.n_features = width;
                network.insert(Tensor::Embedding, 0, "identity", vec![width, width], identity.collect());
                self.whole_input(seq * width, input, node)
            }
            _ => self.frames(atom, seq, factor, input, network),
        }
    }

    fn whole_input(&self, used: usize, input: &[usize], node: Option<usize>) -> Result<(), Mismatch> {
        let all = input.iter().product::<usize>();
        if used == all {
            return Ok(());
        }
        Err(Mismatch::new(
            node,
            format!("{used} of the input's {all} numbers"),
            "all of them: what is not read is not part of a frame",
        ))
    }

    /// A linear layer of frames.
    fn frames(
        &self,
        atom: usize,
        seq: usize,
        factor: f64,
        input: &[usize],
        network: &mut Network,
    ) -> Result<(), Mismatch> {
        let node = Some(self.list[atom].node);
        let wrong = |found: String, expected: &str| Err(Mismatch::new(node, found, expected));
        let Made::Linear { x, weights, bias, name } = self.made(atom) else {
            return wrong(self.describe(atom), "an embedding of tokens, or a linear layer or convolution of the input");
        };
        let Some(part) = x.single().filter(|part| part.factor == Factor::All(1.0)) else {
            return wrong(
                "a linear layer of more than the input".into(),
                "of the input alone: fold what is added or scaled into it",
            );
        };
        if !matches!(self.made(part.atom), Made::Frames) || x.shape[0] != seq {
            return wrong(format!("a linear layer of {}", self.describe(part.atom)), "of the input");
        }
        let width = x.shape[1];
        let place = |row: usize, number: usize| part.place(row * width + number);
        let mut uses = vec![0_u32; part.size];
        (0..seq * width).for_each(|index| uses[part.place(index)] += 1);
        let windows = windows(seq, width, input, &place);
        let overlaps = uses.iter().any(|&uses| uses > 1);
        let out = weights.len() / width.max(1);
        let config = &mut network.config;
        let order = match windows {
            Some(windows) if windows.hop <= windows.samples => {
                (config.frame_samples, config.frame_hop) = (windows.samples, windows.hop);
                windows.order
            }
            _ if overlaps || seq < 2 => {
                return wrong(
                    "windows that overlap in two dimensions, or leave samples out".into(),
                    "windows along time, or patches",
                );
            }
            _ => {
                network
                    .notes
                    .push(format!("a frame is a patch of {width} numbers, in the order of the convolution's kernel"));
                (0..width).collect()
            }
        };
        let is_windowed = network.config.frame_samples > 1;
        if !is_windowed && !overlaps {
            self.whole_input(uses.iter().filter(|&&uses| uses > 0).count(), input, node)?;
        }
        let config = &mut network.config;
        config.options.input = Input::Frames;
        config.n_features = width;
        let at = |index: usize| weights[index / width * width + order[index % width]] * factor;
        let data = (0..out * width).map(at).collect();
        network.insert(Tensor::Embedding, 0, name, vec![out, width], data);
        if let Some(bias) = bias {
            network.insert(Tensor::EmbeddingBias, 0, name, vec![out], bias.iter().map(|bias| bias * factor).collect());
        }
        Ok(())
    }
}

/// The windows, if every frame is the first one moved along one dimension of the input by a number of samples.
fn windows(seq: usize, width: usize, input: &[usize], place: &dyn Fn(usize, usize) -> usize) -> Option<Windows> {
    let own = strides(input);
    let index = |place: usize, axis: usize| place / own[axis] % input[axis];
    let axes: Vec<usize> = (0..input.len()).filter(|&axis| input[axis] > 1).collect();
    let along = |time: usize| -> Option<Windows> {
        let hop = place(1, 0).checked_sub(place(0, 0))? / own[time];
        let moves =
            hop > 0 && (0..seq).all(|row| (0..width).all(|i| place(row, i) == place(0, i) + row * hop * own[time]));
        // A frame's numbers do not leave their line.
        let stays = (0..width).all(|i| index(place(0, i), time) + (seq - 1) * hop < input[time]);
        if !moves || !stays {
            return None;
        }
        let mut order: Vec<usize> = (0..width).collect();
        let others = |number: usize| place(0, number) - index(place(0, number), time) * own[time];
        order.sort_by_key(|&number| (index(place(0, number), time), others(number)));
        let times: std::collections::BTreeSet<usize> = (0..width).map(|number| index(place(0, number), time)).collect();
        let samples = times.len();
        let first = *times.first()?;
        // All channels of each sample, and no sample left out.
        let all = input.iter().product::<usize>() / input[time];
        let whole = first == 0 && times.last() == Some(&(samples - 1)) && samples * all == width;
        whole.then_some(Windows { order, samples, hop })
    };
    if seq < 2 {
        return None;
    }
    axes.into_iter().find_map(along)
}
