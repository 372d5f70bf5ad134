//! The recognised network as configuration and tensors.

use std::rc::Rc;

use thumbformer::{
    ClassPlace, DenseActivation, Input, MAX_HIDDEN, Mask, Norm, NormPlace, Options, Pooler, Pooling, Positions, Tensor,
};

use super::Mismatch;
use super::atoms::{Atoms, Made};
use super::attention::{Attention, Heads};
use super::lin::{Lin, close};
use super::network::{Blocks, Layer};
use super::tail::{Dense, Pooled, Tail};
use crate::{Config, Tensors, Weights};

/// Width of a bias.
type Width = fn(&Config) -> usize;

/// Tensors that a network may lack in one layer and have in another, and what they are where they are absent.
const OPTIONAL: [(Tensor, Width); 9] = [
    (Tensor::AttentionNormBias, |config| config.d_model),
    (Tensor::MlpNormBias, |config| config.d_model),
    (Tensor::QueryBias, Config::q_width),
    (Tensor::KeyBias, Config::kv_width),
    (Tensor::ValueBias, Config::kv_width),
    (Tensor::AttentionOutputBias, |config| config.d_model),
    (Tensor::GateBias, |_| 0),
    (Tensor::UpBias, |_| 0),
    (Tensor::DownBias, |config| config.d_model),
];

/// A recognised network.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub config: Config,
    pub tensors: Tensors,
    pub notes: Vec<String>,
    /// Kind and epsilon of the norms, by the first one.
    norms: Option<(bool, f64)>,
}

impl Network {
    pub(super) fn insert(&mut self, tensor: Tensor, layer: usize, name: &str, shape: Vec<usize>, data: Vec<f64>) {
        let data = data.into_iter().map(|value| value as f32).collect();
        self.tensors.insert(tensor, layer, Weights { name: name.into(), shape, data });
    }

    pub(super) fn class_tokens(&mut self, data: Vec<f64>, width: usize) {
        let n = self.config.n_class;
        self.insert(Tensor::ClassToken, 0, "class token", if n == 1 { vec![width] } else { vec![n, width] }, data);
    }

    /// A norm's gain and bias; all norms are of one kind.
    pub(super) fn norm(
        &mut self,
        atoms: &Atoms,
        atom: usize,
        tensors: (Tensor, Tensor),
        layer: usize,
    ) -> Result<(), Mismatch> {
        let Made::Norm { x, is_rms, eps, gain, bias, name } = atoms.made(atom) else {
            return Err(Mismatch::new(Some(atoms.list[atom].node), atoms.describe(atom), "a norm"));
        };
        self.same_norm(*is_rms, *eps, atoms.list[atom].node)?;
        let width = x.shape[1];
        let gain = gain.as_ref().map_or(vec![1.0; width], |gain| gain.to_vec());
        self.insert(tensors.0, layer, name, vec![width], gain);
        match bias {
            Some(_) if *is_rms => Err(Mismatch::new(Some(atoms.list[atom].node), "an RMSNorm with a bias", "without")),
            Some(bias) => {
                self.insert(tensors.1, layer, name, vec![width], bias.to_vec());
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn same_norm(&mut self, is_rms: bool, eps: f64, node: usize) -> Result<(), Mismatch> {
        let (kind, first) = *self.norms.get_or_insert((is_rms, eps));
        if kind != is_rms || !close(first, eps) {
            let name = |is_rms: bool| if is_rms { "RMSNorm" } else { "LayerNorm" };
            let expected = format!("{} with epsilon {first}, as before it: all norms are alike", name(kind));
            return Err(Mismatch::new(Some(node), format!("{} with epsilon {eps}", name(is_rms)), expected));
        }
        Ok(())
    }

    /// A linear layer's matrix and bias, or those of its rows.
    fn linear(&mut self, atoms: &Atoms, atom: usize, tensors: (Tensor, Tensor), layer: usize, rows: Option<&[usize]>) {
        let Made::Linear { x, weights, bias, name } = atoms.made(atom) else { return };
        let width = x.shape[1];
        let every: Vec<usize> = (0..atoms.list[atom].width).collect();
        let rows = rows.unwrap_or(&every);
        let data = rows.iter().flat_map(|row| weights[row * width..][..width].iter().copied()).collect();
        self.insert(tensors.0, layer, name, vec![rows.len(), width], data);
        if let Some(bias) = bias {
            self.insert(tensors.1, layer, name, vec![rows.len()], rows.iter().map(|&row| bias[row]).collect());
        }
    }
}

impl Atoms {
    /// The network that an output is of; `input` is the shape of the frames.
    pub(super) fn network(&self, output: &Lin, input: &[usize]) -> Result<Network, Mismatch> {
        let tail = self.tail(output)?;
        let blocks = self.blocks(&tail.stream)?;
        let first = &blocks.layers[0];
        let attention = &first.attention;
        let width = blocks.stream.shape[1];
        let mut options = Options::ENCODER;
        options.norm_place = blocks.place;
        options.activation = first.mlp.activation;
        options.gated = first.mlp.gate.is_some();
        options.qk_norm = attention.query.norm.is_some();
        options.mask = if attention.is_causal { Mask::Causal } else { Mask::Bidirectional };
        if attention.query.angles.is_some() {
            options.positions = Positions::Rotary;
        }
        options.outputs = tail.outputs;
        let mut config = Config::new(options, width, attention.n_heads, attention.head_dim);
        config.n_kv_heads = attention.n_kv_heads;
        config.n_layers = blocks.layers.len();
        config.sliding_window = attention.window;
        config.attention_scale = attention.scale;
        if close(attention.scale, Config::usual_scale(attention.head_dim)) {
            config.attention_scale = Config::usual_scale(attention.head_dim);
        }
        if let Some(angles) = &attention.query.angles {
            config.rope_theta = self.theta(angles, attention.head_dim)?;
        }
        let mut network = Network { config, tensors: Tensors::default(), notes: tail.notes.clone(), norms: None };
        self.layers(&blocks, &mut network)?;
        self.embedding(&blocks.stream, input, &mut network)?;
        if network.config.options.positions == Positions::Table && attention.query.angles.is_some() {
            return Err(Mismatch::new(None, "positions that are added, and rotation", "one of them"));
        }
        if let Some(norm) = blocks.final_norm {
            network.norm(self, norm, (Tensor::FinalNorm, Tensor::FinalNormBias), 0)?;
        }
        self.pooling(&tail, blocks.final_norm, &mut network)?;
        self.head(&tail, &mut network)?;
        let (is_rms, eps) = network.norms.unwrap_or((false, 1e-5));
        network.config.options.norm = if is_rms { Norm::Rms } else { Norm::Layer };
        network.config.norm_eps = eps as f32;
        Ok(network)
    }

    fn layers(&self, blocks: &Blocks, network: &mut Network) -> Result<(), Mismatch> {
        let first = &blocks.layers[0];
        for (index, layer) in blocks.layers.iter().enumerate() {
            let node = self.list[layer.output].node;
            let differ = |what: &str| {
                Err(Mismatch::new(
                    Some(node),
                    format!("{what} of another kind than in the first block"),
                    "all blocks alike",
                ))
            };
            if !alike(&layer.attention, &first.attention) {
                return differ("attention");
            }
            let (mlp, other) = (&layer.mlp, &first.mlp);
            if mlp.activation != other.activation || mlp.gate.is_some() != other.gate.is_some() {
                return differ("an MLP");
            }
            self.layer(layer, index, network)?;
        }
        // A bias that one layer has, all layers have.
        let n_layers = blocks.layers.len();
        for (tensor, size) in OPTIONAL {
            let found = (0..n_layers).filter(|&layer| network.tensors.get(tensor, layer).is_some()).count();
            for layer in (0..n_layers).filter(|_| found > 0) {
                if network.tensors.get(tensor, layer).is_none() {
                    let width = match size(&network.config) {
                        0 => network.tensors[(Tensor::Up, layer)].shape[0],
                        width => width,
                    };
                    network.insert(tensor, layer, "zeros", vec![width], vec![0.0; width]);
                }
            }
        }
        Ok(())
    }

    fn layer(&self, layer: &Layer, index: usize, network: &mut Network) -> Result<(), Mismatch> {
        let attention = &layer.attention;
        network.norm(self, layer.attention_norm, (Tensor::AttentionNorm, Tensor::AttentionNormBias), index)?;
        network.norm(self, layer.mlp_norm, (Tensor::MlpNorm, Tensor::MlpNormBias), index)?;
        for (heads, tensors) in [
            (&attention.query, (Tensor::Query, Tensor::QueryBias)),
            (&attention.key, (Tensor::Key, Tensor::KeyBias)),
            (&attention.value, (Tensor::Value, Tensor::ValueBias)),
        ] {
            network.linear(self, heads.linear, tensors, index, Some(&heads.columns));
        }
        for (heads, tensor) in [(&attention.query, Tensor::QueryNorm), (&attention.key, Tensor::KeyNorm)] {
            self.head_norm(heads, tensor, index, network)?;
        }
        network.linear(self, layer.output, (Tensor::AttentionOutput, Tensor::AttentionOutputBias), index, None);
        if let Some(gate) = layer.mlp.gate {
            network.linear(self, gate, (Tensor::Gate, Tensor::GateBias), index, None);
        }
        network.linear(self, layer.mlp.up, (Tensor::Up, Tensor::UpBias), index, None);
        network.linear(self, layer.mlp.down, (Tensor::Down, Tensor::DownBias), index, None);
        network.config.d_ff = network.config.d_ff.max(self.list[layer.mlp.up].width);
        Ok(())
    }

    /// The norm of each head's queries or keys.
    fn head_norm(&self, heads: &Heads, tensor: Tensor, layer: usize, network: &mut Network) -> Result<(), Mismatch> {
        let Some(atom) = heads.norm else { return Ok(()) };
        let node = self.list[atom].node;
        let Made::Norm { x, is_rms, eps, gain, bias, name } = self.made(atom) else { return Ok(()) };
        if !is_rms || bias.is_some() {
            return Err(Mismatch::new(Some(node), "queries or keys behind a LayerNorm", "an RMSNorm without bias"));
        }
        network.same_norm(true, *eps, node)?;
        let width = x.shape[1];
        network.insert(tensor, layer, name, vec![width], gain.as_ref().map_or(vec![1.0; width], |gain| gain.to_vec()));
        Ok(())
    }

    /// The base of rotary positions, from the angles of one position.
    fn theta(&self, angles: &[f64], head_dim: usize) -> Result<f64, Mismatch> {
        let half = angles.len();
        let last = angles[half - 1];
        // A single pair turns by 1 whatever the base is.
        let found = match half {
            1 => 10_000.0,
            _ => last.powf(-(head_dim as f64) / (2.0 * (half - 1) as f64)),
        };
        let angle = |theta: f64, pair: usize| theta.powf(-2.0 * pair as f64 / head_dim as f64);
        let fits = |theta: f64| (0..half).all(|pair| (angles[pair] / angle(theta, pair) - 1.0).abs() < 1e-5);
        // The table's rounding is not the base's: the shortest number that fits.
        let digits = |count: i32| {
            let unit = 10_f64.powi(found.log10().floor() as i32 + 1 - count);
            (found / unit).round() * unit
        };
        let shortest = (1..8).map(digits).find(|&theta| fits(theta) && (theta / found - 1.0).abs() < 1e-4);
        match shortest.or(Some(found)).filter(|&theta| theta.is_finite() && theta > 0.0 && fits(theta)) {
            Some(theta) => Ok(theta),
            None => Err(Mismatch::new(
                None,
                format!("rotary angles {angles:?}"),
                "powers of one base (no scaling of positions)",
            )),
        }
    }

    fn pooling(&self, tail: &Tail, final_norm: Option<usize>, network: &mut Network) -> Result<(), Mismatch> {
        let config = &mut network.config;
        let (seq, n_class) = (tail.stream.shape[0], config.n_class);
        let is_last = config.options.class_place == ClassPlace::Last;
        let class: Vec<usize> = if is_last { (seq - n_class..seq).collect() } else { (0..n_class).collect() };
        let inputs: Vec<usize> = (0..seq).filter(|row| !class.contains(row)).collect();
        let all: Vec<usize> = (0..seq).collect();
        let first = class.first().copied().unwrap_or(0);
        let found = match &tail.pooled {
            Pooled::Rows(rows) if *rows == all => Some(Pooling::None),
            Pooled::Rows(rows) | Pooled::Joined(rows) if *rows == [first] => Some(Pooling::Class),
            Pooled::Rows(rows) | Pooled::Joined(rows) if *rows == [seq - 1] && n_class == 0 => Some(Pooling::Last),
            Pooled::Joined(rows) if *rows == class => Some(Pooling::Classes),
            Pooled::Mean(rows) if *rows == all => Some(Pooling::Mean),
            Pooled::Mean(rows) if *rows == inputs => Some(Pooling::MeanOfInputs),
            Pooled::Mean(rows) if *rows == class => Some(Pooling::MeanOfClass),
            _ => None,
        };
        let causal = config.options.mask == Mask::Causal;
        let Some(pooling) = found.filter(|pooling| !causal || matches!(pooling, Pooling::None | Pooling::Last)) else {
            let expected = "all vectors, the mean of them, the first, the last, or those of class tokens (under a causal mask all or the last)";
            return Err(Mismatch::new(None, format!("{:?} of {seq} vectors", tail.pooled), expected));
        };
        if n_class > 0 && matches!(pooling, Pooling::None | Pooling::Last) {
            return Err(Mismatch::new(
                None,
                format!("{pooling:?} of a sequence with class tokens"),
                "a pooling that reads them",
            ));
        }
        config.options.pooling = pooling;
        if let Some(norm) = tail.norm {
            // A norm of one vector is the same before it is chosen.
            let alone = matches!(pooling, Pooling::Class | Pooling::Last) && final_norm.is_none();
            let post = config.options.norm_place == NormPlace::Post;
            let tensors = match alone && !post {
                true => (Tensor::FinalNorm, Tensor::FinalNormBias),
                false => (Tensor::HeadNorm, Tensor::HeadNormBias),
            };
            network.norm(self, norm, tensors, 0)?;
        }
        Ok(())
    }

    fn head(&self, tail: &Tail, network: &mut Network) -> Result<(), Mismatch> {
        let mut layers = &tail.layers[..];
        let pooled = network.config.dims().pooled_width();
        let node = |layer: &Dense| Some(self.list[layer.linear].node);
        if network.config.options.pooling != Pooling::None
            && let Some(first) = layers.first()
            && self.list[first.linear].width == pooled
            && layers.len() <= 2
            && let Some(pooler) = match first.activation {
                DenseActivation::Tanh => Some(Pooler::Tanh),
                DenseActivation::Relu => Some(Pooler::Relu),
                _ => None,
            }
        {
            network.config.options.pooler = pooler;
            network.linear(self, first.linear, (Tensor::Pooler, Tensor::PoolerBias), 0, None);
            layers = &layers[1..];
        }
        let Some((head, hidden)) = layers.split_last() else {
            network.config.n_outputs = pooled;
            return Ok(());
        };
        if head.activation != DenseActivation::None {
            let expected = "a linear layer, or softmax or sigmoid behind one";
            return Err(Mismatch::new(node(head), format!("{:?} at the end", head.activation), expected));
        }
        if hidden.len() > MAX_HIDDEN {
            let expected = format!("at most {MAX_HIDDEN} hidden layers");
            return Err(Mismatch::new(node(head), format!("a head of {} layers", layers.len()), expected));
        }
        if hidden.iter().any(|layer| layer.activation != hidden[0].activation) {
            return Err(Mismatch::new(node(head), "hidden layers of different activations", "the same behind each"));
        }
        network.config.options.head = true;
        network.config.n_outputs = self.list[head.linear].width;
        for (index, layer) in hidden.iter().enumerate() {
            network.config.options.mlp_head = true;
            network.config.options.head_activation = layer.activation;
            network.config.head_widths[index] = self.list[layer.linear].width;
            network.linear(self, layer.linear, (Tensor::HeadHidden, Tensor::HeadHiddenBias), index, None);
        }
        network.linear(self, head.linear, (Tensor::Head, Tensor::HeadBias), 0, None);
        let is_tied = hidden.is_empty()
            && network.config.options.input == Input::Tokens
            && network.config.options.pooling == Pooling::None
            && network.tensors.get(Tensor::Embedding, 0).map(|embedding| &embedding.data)
                == network.tensors.get(Tensor::Head, 0).map(|head| &head.data);
        if is_tied {
            network.tensors.remove(Tensor::Head, 0);
        }
        Ok(())
    }
}

/// True if two blocks' attention has the same form.
fn alike(a: &Rc<Attention>, b: &Rc<Attention>) -> bool {
    let angles = |heads: &Heads| heads.angles.clone().unwrap_or_default();
    let near = |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| close(*a, *b));
    (a.n_heads, a.n_kv_heads, a.head_dim, a.is_causal, a.window)
        == (b.n_heads, b.n_kv_heads, b.head_dim, b.is_causal, b.window)
        && close(a.scale, b.scale)
        && a.query.norm.is_some() == b.query.norm.is_some()
        && near(&angles(&a.query), &angles(&b.query))
}
