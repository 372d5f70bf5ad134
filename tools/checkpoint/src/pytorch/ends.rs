//! Ends of the network: embedding, class tokens and positions before it, head behind it.

use thumbformer::{ClassPlace, DenseActivation, Input, MAX_CLASS, MAX_HIDDEN, Outputs, Pooling, Positions, Tensor};

use crate::names::{Bias, Row, Source};
use crate::settings::{OUTPUTS, Settings};
use crate::weights::Reader;
use crate::{Config, Error, Tensors, Weights};

/// Samples of a frame, and those from one frame to the next: kernel and stride of a convolution.
pub(super) type Window = (usize, usize);

/// Names of `activation` and its like outside the blocks.
const ACTIVATIONS: [(&str, DenseActivation); 5] = [
    ("relu", DenseActivation::Relu),
    ("gelu", DenseActivation::Gelu),
    ("gelu_tanh", DenseActivation::GeluTanh),
    ("silu", DenseActivation::Silu),
    ("tanh", DenseActivation::Tanh),
];

/// Shape of a tensor in the file, which may have dimensions of 1 (of a batch) in addition to those of `shape`.
fn squeezed(reader: &Reader<'_>, name: &str, shape: &[usize]) -> Result<Vec<usize>, Error> {
    let found = reader.shape(name)?;
    let plain = |sizes: &[usize]| sizes.iter().copied().filter(|&size| size != 1).collect::<Vec<_>>();
    Ok(if plain(&found) == plain(shape) { found } else { shape.into() })
}

/// The embedding of tokens or frames, and what a convolution says of frames. Without an embedding, frames are the stream: the matrix is
/// the identity.
pub(super) fn embedding(
    settings: &Settings,
    reader: &mut Reader<'_>,
    config: &mut Config,
    made: &mut Tensors,
) -> Result<(Option<Row>, Option<Window>), Error> {
    let d = config.d_model;
    config.options.input = settings.choice("input", None, &[("tokens", Input::Tokens), ("frames", Input::Frames)])?;
    let tokens = config.options.input == Input::Tokens;
    config.options.embedding_activation = settings.dense("embedding_activation", &ACTIVATIONS, !tokens)?;
    let name = settings.text("embedding")?;
    let is_convolution =
        !tokens && name.is_some_and(|name| reader.shape(&format!("{name}.weight")).is_ok_and(|shape| shape.len() == 3));
    for key in ["embedding_stride", "embedding_padding"] {
        if settings.get(key).is_some() && !is_convolution {
            return Err(settings.error(key, "present", "absent: embedding names no nn.Conv1d", "leave it out"));
        }
    }
    match name {
        None if tokens => {
            let next = "give the name of the nn.Embedding";
            Err(settings.error("embedding", "null", "a name: tokens have an embedding", next))
        }
        None => {
            config.n_features = d;
            let data = (0..d * d).map(|index| if index % (d + 1) == 0 { 1.0 } else { 0.0 });
            let identity = Weights { name: "identity".into(), shape: vec![d, d], data: data.collect() };
            made.insert(Tensor::Embedding, 0, identity);
            Ok((None, None))
        }
        Some(name) => {
            let weight = format!("{name}.weight");
            if tokens {
                config.vocab = reader.rows(&weight, d)?;
            } else if let [rows, channels, kernel] = reader.shape(&weight)?[..] {
                if rows != d || channels * kernel == 0 {
                    return Err(reader.wrong_shape(&weight, &[d, channels, kernel]));
                }
                let window = convolution(settings, reader, name, (channels, kernel), config, made)?;
                return Ok((None, Some(window)));
            } else {
                config.n_features = reader.columns(&weight, d)?;
            }
            Ok((Some(Row::new(Tensor::Embedding, name, Bias::AsInFile)), None))
        }
    }
}

/// The `nn.Conv1d` that embeds frames: its kernel is their samples, its stride their hop, and the matrix reads a sample after the other.
fn convolution(
    settings: &Settings,
    reader: &mut Reader<'_>,
    name: &str,
    (channels, kernel): (usize, usize),
    config: &mut Config,
    made: &mut Tensors,
) -> Result<Window, Error> {
    settings.require(&["embedding_stride", "embedding_padding"], "as given to the nn.Conv1d that embedding names")?;
    let stride = settings.size("embedding_stride")?;
    match settings.get("embedding_padding") {
        Some(padding) if padding.as_u64() != Some(0) && padding != "valid" => {
            let expected = "0: at the edges a padded frame holds zeros that no recording has";
            return Err(settings.error("embedding_padding", padding, expected, "train the convolution with padding=0"));
        }
        _ => {}
    }
    for key in ["frame_samples", "frame_hop"] {
        if settings.get(key).is_some() {
            let expected = "absent: kernel and stride of the convolution say it";
            return Err(settings.error(key, "present", expected, "leave it out"));
        }
    }
    let d = config.d_model;
    let mut weights = reader.take(&format!("{name}.weight"), &[d, channels, kernel])?;
    let index = |row: usize, column: usize| (row * channels + column % channels) * kernel + column / channels;
    let columns = channels * kernel;
    weights.data = (0..d * columns).map(|i| weights.data[index(i / columns, i % columns)]).collect();
    weights.shape = vec![d, columns];
    made.insert(Tensor::Embedding, 0, weights);
    let bias = format!("{name}.bias");
    if reader.has(&bias) {
        made.insert(Tensor::EmbeddingBias, 0, reader.take(&bias, &[d])?);
    }
    config.n_features = columns;
    Ok((kernel, stride))
}

/// Refuses a convolution beside the embedding's by its name.
pub(super) fn no_other_convolution(settings: &Settings, reader: &Reader<'_>) -> Result<(), Error> {
    let is_convolution = |name: &&str| {
        name.ends_with(".weight") && reader.shape(name).is_ok_and(|shape| shape.len() > 2 && !shape.contains(&1))
    };
    match reader.unused().find(is_convolution) {
        None => Ok(()),
        Some(name) => {
            let found = format!("followed or preceded by a convolution, `{name}`");
            let next =
                "train the model with one nn.Conv1d of stride and kernel as large, or compute the others before it";
            Err(settings.error("embedding", found, "one nn.Conv1d, whose windows are frames", next))
        }
    }
}

/// Multiplies the embedding and its bias by `embedding_scale`.
pub(super) fn scale_embedding(settings: &Settings, config: &Config, tensors: &mut Tensors) -> Result<(), Error> {
    let scale = settings.positive("embedding_scale", Some(1.0))?;
    if scale != 1.0 && config.options.embedding_activation != DenseActivation::None {
        let expected = "1 behind an activation";
        return Err(settings.error(
            "embedding_scale",
            scale,
            expected,
            "put the factor into the encoder's first tensors",
        ));
    }
    for tensor in [Tensor::Embedding, Tensor::EmbeddingBias] {
        let weights = tensors.get_mut(tensor, 0).filter(|_| scale != 1.0);
        for value in weights.into_iter().flat_map(|weights| &mut weights.data) {
            *value = (f64::from(*value) * scale) as f32;
        }
    }
    Ok(())
}

/// Folds the batch norm behind the embedding into it: `(w x + b - mean) / sqrt(variance + eps) * gain + bias` (Ioffe & Szegedy 2015, at
/// inference). Returns the names of the constants that PyTorch saves with it.
pub(super) fn fold_batch_norm(
    settings: &Settings,
    reader: &mut Reader<'_>,
    config: &Config,
    tensors: &mut Tensors,
) -> Result<Vec<String>, Error> {
    let eps = settings.positive("batch_norm_eps", Some(1e-5))?;
    let Some(name) = settings.text("embedding_batch_norm")? else {
        return match settings.get("batch_norm_eps") {
            Some(eps) => Err(settings.error("batch_norm_eps", eps, "absent: there is no batch norm", "leave it out")),
            None => Ok(Vec::new()),
        };
    };
    if config.options.input != Input::Frames {
        let next = "leave it out, or fold it into the embedding";
        return Err(settings.error("embedding_batch_norm", name, "null: only frames have one", next));
    }
    let d = config.d_model;
    let mut take = |part: &str, absent: f32| match format!("{name}.{part}") {
        tensor if absent.is_nan() || reader.has(&tensor) => reader.take(&tensor, &[d]),
        tensor => Ok(Weights { name: tensor, shape: vec![d], data: vec![absent; d] }),
    };
    let (mean, variance) = (take("running_mean", f32::NAN)?, take("running_var", f32::NAN)?);
    let (gain, bias) = (take("weight", 1.0)?, take("bias", 0.0)?);
    let factor = |row: usize| f64::from(gain.data[row]) / (f64::from(variance.data[row]) + eps).sqrt();
    let zeros = || Weights { name: format!("{name}.bias"), shape: vec![d], data: vec![0.0; d] };
    let mut folded = tensors.get(Tensor::EmbeddingBias, 0).cloned().unwrap_or_else(zeros);
    for (row, value) in folded.data.iter_mut().enumerate() {
        let centred = f64::from(*value) - f64::from(mean.data[row]);
        *value = (centred * factor(row) + f64::from(bias.data[row])) as f32;
    }
    tensors.insert(Tensor::EmbeddingBias, 0, folded);
    let columns = config.n_features.max(1);
    for (row, weights) in tensors[(Tensor::Embedding, 0)].data.chunks_mut(columns).enumerate() {
        weights.iter_mut().for_each(|weight| *weight = (f64::from(*weight) * factor(row)) as f32);
    }
    Ok(vec![format!("{name}.num_batches_tracked")])
}

/// The table of positions, whose length is that of the longest sequence.
pub(super) fn positions(
    settings: &Settings,
    reader: &mut Reader<'_>,
    config: &mut Config,
    made: &mut Tensors,
) -> Result<(), Error> {
    let Some(name) = settings.text("positions")? else {
        config.max_seq = settings.size("max_seq")?;
        return Ok(());
    };
    let rows = reader.shape(name)?.iter().product::<usize>() / config.d_model;
    config.max_seq = settings.size_or("max_seq", rows)?;
    config.options.positions = Positions::Table;
    // A table may be longer than the sequences that the model is used for.
    let stored = squeezed(reader, name, &[rows, config.d_model])?;
    let mut table = reader.take(name, &stored)?;
    if config.max_seq > rows {
        return Err(settings.error(
            "max_seq",
            config.max_seq,
            format!("at most {rows}, the rows of `{name}`"),
            "give less",
        ));
    }
    table.data.truncate(config.max_seq * config.d_model);
    table.shape = vec![config.max_seq, config.d_model];
    made.insert(Tensor::PositionTable, 0, table);
    Ok(())
}

/// The class tokens: one tensor, or one for each.
pub(super) fn class_tokens(
    settings: &Settings,
    reader: &mut Reader<'_>,
    config: &mut Config,
    made: &mut Tensors,
) -> Result<(), Error> {
    let d = config.d_model;
    let places = [("first", ClassPlace::First), ("last", ClassPlace::Last)];
    config.options.class_place = settings.choice("class_place", Some(ClassPlace::First), &places)?;
    let names = settings.texts("class_token")?;
    let mut tokens = Weights { name: names.join(", "), shape: vec![0, d], data: Vec::new() };
    for name in names {
        let rows = reader.shape(name)?.iter().product::<usize>() / d;
        let shape = squeezed(reader, name, &[rows, d])?;
        tokens.data.extend(reader.take(name, &shape)?.data);
    }
    config.n_class = tokens.data.len() / d;
    if config.n_class > MAX_CLASS {
        let expected = format!("at most {MAX_CLASS} vectors");
        return Err(settings.error("class_token", config.n_class, expected, "train the model with fewer"));
    }
    if config.n_class > 0 {
        tokens.shape = if config.n_class == 1 { vec![d] } else { vec![config.n_class, d] };
        made.insert(Tensor::ClassToken, 0, tokens);
    } else if config.options.class_place != ClassPlace::First {
        return Err(settings.error("class_place", "last", "absent: there is no class token", "name it as class_token"));
    }
    Ok(())
}

/// The head: `null`, a linear layer, several of them one after the other, or the embedding's name for a tied one.
pub(super) fn head(
    settings: &Settings,
    reader: &mut Reader<'_>,
    config: &mut Config,
    made: &mut Tensors,
) -> Result<Vec<Row>, Error> {
    // Read in any case, so that the key counts as known.
    let scale = settings.positive("embedding_scale", Some(1.0))?;
    config.options.outputs = settings.choice("outputs", Some(Outputs::Classes), &OUTPUTS)?;
    let mut rows = Vec::new();
    if let Some(name) = settings.text("head_norm")? {
        if config.options.pooling == Pooling::None {
            let next = "call it the encoder's norm, or name a pooling";
            return Err(settings.error("head_norm", name, "null: there is no pooling", next));
        }
        rows.push(Row::new(Tensor::HeadNorm, name, Bias::AsInFile));
    }
    let names = settings.texts("head")?;
    config.options.mlp_head = names.len() > 1;
    if config.options.mlp_head {
        settings.require(&["head_activation"], "what follows each layer of the MLP but the last")?;
    }
    config.options.head_activation = settings.dense("head_activation", &ACTIVATIONS, config.options.mlp_head)?;
    let Some((name, hidden)) = names.split_last() else {
        config.n_outputs = config.dims().pooled_width();
        return Ok(rows);
    };
    config.options.head = true;
    if config.options.input == Input::Tokens && settings.text("embedding")? == Some(name) && hidden.is_empty() {
        if scale != 1.0 {
            let next = "export the head as a matrix of its own";
            return Err(settings.error("embedding_scale", "present", "1 with a tied head", next));
        }
        config.n_outputs = config.vocab;
        return Ok(rows);
    }
    if hidden.len() > MAX_HIDDEN {
        let expected = format!("at most {MAX_HIDDEN} hidden layers and the last one");
        return Err(settings.error("head", format!("{} layers", names.len()), expected, "train the model with fewer"));
    }
    for (layer, name) in hidden.iter().enumerate() {
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        let before = config.dims().hidden_input(layer);
        let width = reader.rows(&weight, before)?;
        config.head_widths[layer] = width;
        made.insert(Tensor::HeadHidden, layer, reader.take(&weight, &[width, before])?);
        if reader.has(&bias) {
            made.insert(Tensor::HeadHiddenBias, layer, reader.take(&bias, &[width])?);
        }
    }
    let dims = config.dims();
    config.n_outputs = reader.rows(&format!("{name}.weight"), dims.hidden_input(dims.n_hidden()))?;
    rows.push(Row::new(Tensor::Head, name, Bias::AsInFile));
    Ok(rows)
}
