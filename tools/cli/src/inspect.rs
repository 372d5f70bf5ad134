//! Contents of an image, and its cost in flash, RAM and multiply-accumulates.

use crate::texts::Texts;
use serde::{Serialize, Serializer};
use std::fmt;
use thumbformer::image::layout::{ENCODING_I16, ENCODING_Q4, ENCODING_Q8, VERSION, scale_bytes};
use thumbformer::{DenseActivation, Dims, Error, Input, MAX_BATCH, Model, Pooler, Tensor};

/// A report on an image; sizes are in bytes.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Format version.
    pub version: u32,
    /// Packing of the weights.
    pub packing: &'static str,
    /// Integer types of the matrices.
    pub quantization: &'static str,
    /// Dimensions by name.
    #[serde(serialize_with = "as_map")]
    pub dims: Vec<(&'static str, usize)>,
    /// The blocks' options, in one line.
    pub blocks: String,
    /// From pooling to outputs, in one line; none where the streams come out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// Begin and end of texts, if the model has a tokenizer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<Texts>,
    /// Audio front end, if the image has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub front_end: Option<String>,
    /// Columns, samples and hop of a frame, if the model reads frames.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames: Option<String>,
    /// Names of the outputs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Facts that the image says of itself, by key.
    #[serde(serialize_with = "as_texts")]
    pub info: Vec<(String, String)>,
    /// All sections.
    pub sections: Vec<Section>,
    /// Number of weights, norms included, without tables.
    pub parameters: usize,
    /// Flash that the image takes: its length.
    pub flash: usize,
    /// CRC-32 over the image.
    pub crc32: u32,
    /// Context of the state.
    pub max_seq: usize,
    /// RAM that the state takes.
    pub ram: Ram,
    /// Multiply-accumulates for one token.
    pub macs: Macs,
}

/// A section of the image.
#[derive(Clone, Debug, Serialize)]
pub struct Section {
    /// The tensor's name.
    pub tensor: String,
    /// The tensor's layer.
    pub layer: usize,
    /// `int8`, `int4`, `int16` or `table`.
    pub encoding: &'static str,
    /// Rows and columns.
    pub shape: [usize; 2],
    /// First byte in the image.
    pub offset: usize,
    /// Bytes, scales included.
    pub bytes: usize,
}

/// RAM of the state, by part.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Ram {
    /// Keys and values of all layers with their scales.
    pub kv_cache: usize,
    /// The stream, projections and quantized vectors.
    pub activations: usize,
    /// Attention's row of scores, and the logits.
    pub rest: usize,
    /// The whole state: `size_of::<State>()`.
    pub total: usize,
}

/// Multiply-accumulates for one token.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Macs {
    /// With weights, the head included.
    pub weights: usize,
    /// With keys and values, at the first position.
    pub attention_first: usize,
    /// With keys and values, when the context is full.
    pub attention_last: usize,
}

/// Reports on an image with a state for `max_seq` tokens.
pub fn inspect(model: &Model<'_>, max_seq: usize) -> Report {
    let (dims, image) = (model.dims(), model.image());
    let (mut parameters, mut some_int4) = (0, false);
    let sections = (0..image.sections()).map(|index| {
        let section = image.section(index);
        let name = format!("{:?}", section.tensor);
        let int4 = section.encoding == ENCODING_Q4;
        some_int4 |= int4;
        let is_weight =
            int4 || section.encoding == ENCODING_Q8 || section.encoding == ENCODING_I16 && !name.starts_with("Rotary");
        parameters += if is_weight { section.rows * section.cols } else { 0 };
        Section {
            tensor: name,
            layer: section.layer,
            encoding: match section.encoding {
                ENCODING_Q8 => "int8",
                ENCODING_Q4 => "int4",
                ENCODING_I16 => "int16",
                _ => "table",
            },
            shape: [section.rows, section.cols],
            offset: section.offset,
            bytes: section.bytes + scale_bytes(section.encoding, section.rows),
        }
    });
    let sections = sections.collect();
    Report {
        version: VERSION,
        packing: image.packing().name(),
        quantization: if some_int4 { "int4 and int8" } else { "int8" },
        dims: named(dims),
        blocks: blocks(dims),
        head: head(model),
        text: Texts::of(model),
        front_end: front_end(model),
        frames: frames(model),
        labels: (0..dims.n_outputs).map_while(|output| model.label(output).map(String::from)).collect(),
        info: model.info().map(|(key, value)| (key.into(), value.into())).collect(),
        sections,
        parameters,
        flash: image.bytes(),
        crc32: image.crc32(),
        max_seq,
        ram: ram(dims, max_seq),
        macs: Macs {
            weights: dims.weight_macs(),
            attention_first: dims.attention_macs(0),
            attention_last: dims.attention_macs(max_seq.saturating_sub(1)),
        },
    }
}

/// The blocks' options in one line.
fn blocks(dims: &Dims) -> String {
    let options = &dims.options;
    let norm = format!("{:?} norms {:?}, epsilon {:e}", options.norm, options.norm_place, dims.norm_eps);
    let gate = if options.gated { " with a gate" } else { "" };
    let qk_norm = if options.qk_norm { ", normed queries and keys" } else { "" };
    let window = match dims.sliding_window {
        0 => String::new(),
        window => format!(" within {window}"),
    };
    let mask = format!("mask {:?}{window}, positions {:?}", options.mask, options.positions);
    let text = format!("{norm}, {:?}{gate}, {mask}{qk_norm}", options.activation);
    text.to_lowercase()
}

/// From the embedding's activation to the outputs, in one line.
fn head(model: &Model<'_>) -> Option<String> {
    let (dims, image) = (model.dims(), model.image());
    let options = &dims.options;
    if options.input == Input::Stream {
        return None;
    }
    let hidden = &dims.head_widths[..dims.n_hidden()];
    let parts = [
        (options.embedding_activation != DenseActivation::None)
            .then(|| format!("embedding {:?}", options.embedding_activation)),
        (dims.n_class > 0).then(|| format!("class tokens {} {:?}", dims.n_class, options.class_place)),
        Some(format!("pooling {:?}", options.pooling)),
        image.has(Tensor::HeadNorm).then(|| "norm".into()),
        (options.pooler != Pooler::None).then(|| format!("pooler {:?}", options.pooler)),
        (!hidden.is_empty()).then(|| format!("hidden {hidden:?} {:?}", options.head_activation)),
        Some(format!("{} outputs: {:?}", dims.n_outputs, options.outputs)),
    ];
    Some(parts.into_iter().flatten().collect::<Vec<_>>().join(", ").to_lowercase())
}

/// The audio front end in one line.
fn front_end(model: &Model<'_>) -> Option<String> {
    let front_end = model.front_end()?;
    let (window, hop, fft, bands) = (front_end.window(), front_end.hop(), front_end.fft(), front_end.bands());
    let clips = match front_end.streams() {
        Ok(()) => String::new(),
        Err(Error::WholeRecording { setting }) => format!(", whole clips only ({setting})"),
        Err(error) => format!(", {error}"),
    };
    Some(format!("{} Hz, window {window}, hop {hop}, FFT {fft}, {bands} bands{clips}", front_end.sample_rate()))
}

/// Columns, samples and hop of a frame in one line.
fn frames(model: &Model<'_>) -> Option<String> {
    let (columns, n_features) = (model.n_columns(), model.dims().n_features);
    let samples = n_features.checked_div(columns)?;
    let names: Vec<&str> = model.columns().into_iter().flatten().collect();
    let names = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
    let scaled = if model.image().has(Tensor::FeatureScaling) { ", each feature scaled" } else { "" };
    Some(format!(
        "{n_features} numbers: {samples} x {columns} columns{names}, a frame every {}{scaled}",
        model.frame_hop()
    ))
}

/// RAM of a state for `max_seq` tokens.
pub fn ram(dims: &Dims, max_seq: usize) -> Ram {
    let kv_cache = 4 * dims.cache_words(max_seq);
    let rest = 4 * (dims.score_words(max_seq) + dims.logit_words());
    let total = 4 * dims.state_words(max_seq, MAX_BATCH);
    Ram { kv_cache, activations: total - kv_cache - rest, rest, total }
}

/// Texts as a JSON object, in their order.
fn as_texts<S: Serializer>(info: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(info.iter().map(|(key, value)| (key, value)))
}

/// Pairs as a JSON object, in their order.
fn as_map<S: Serializer>(dims: &[(&'static str, usize)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(dims.iter().copied())
}

fn named(dims: &Dims) -> Vec<(&'static str, usize)> {
    vec![
        ("d_model", dims.d_model),
        ("n_layers", dims.n_layers),
        ("n_heads", dims.n_heads),
        ("n_kv_heads", dims.n_kv_heads),
        ("head_dim", dims.head_dim),
        ("d_ff", dims.d_ff),
        ("vocab", dims.vocab),
        ("max_seq", dims.max_seq),
    ]
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kib = |bytes: usize| format!("{bytes:>9} bytes {:>8.1} KiB", bytes as f64 / 1024.0);
        let dims: Vec<String> = self.dims.iter().map(|(name, value)| format!("{name} {value}")).collect();
        writeln!(
            f,
            "image        version {}, packed for {}, {}, crc32 {:08x}",
            self.version, self.packing, self.quantization, self.crc32
        )?;
        writeln!(f, "dimensions   {}", dims.join(", "))?;
        writeln!(f, "parameters   {}", self.parameters)?;
        writeln!(f, "blocks       {}", self.blocks)?;
        for (name, line) in [("head", &self.head), ("front end", &self.front_end), ("frames", &self.frames)] {
            if let Some(line) = line {
                writeln!(f, "{name:<12} {line}")?;
            }
        }
        if !self.labels.is_empty() {
            writeln!(f, "labels       {}", self.labels.join(", "))?;
        }
        for (key, value) in &self.info {
            writeln!(f, "{key:<12} {value}")?;
        }
        if let Some(text) = &self.text {
            writeln!(f, "text         {text}")?;
        }
        writeln!(f)?;
        writeln!(
            f,
            "{:<16} {:>5} {:>8} {:>13} {:>9} {:>9}",
            "section", "layer", "encoding", "shape", "offset", "bytes"
        )?;
        for section in &self.sections {
            let shape = format!("{} x {}", section.shape[0], section.shape[1]);
            writeln!(
                f,
                "{:<16} {:>5} {:>8} {shape:>13} {:>9} {:>9}",
                section.tensor, section.layer, section.encoding, section.offset, section.bytes
            )?;
        }
        writeln!(f)?;
        writeln!(f, "flash        {}", kib(self.flash))?;
        writeln!(f, "RAM          {}  for a context of {} tokens", kib(self.ram.total), self.max_seq)?;
        writeln!(f, "  KV cache   {}", kib(self.ram.kv_cache))?;
        writeln!(f, "  activations{}", kib(self.ram.activations))?;
        writeln!(f, "  the rest   {}  scores and logits", kib(self.ram.rest))?;
        writeln!(f, "MACs a token {:>9} with weights", self.macs.weights)?;
        write!(
            f,
            "             {:>9} with keys and values at the first position, {} at the last",
            self.macs.attention_first, self.macs.attention_last
        )
    }
}
