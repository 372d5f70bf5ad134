//! Settings that are often wrong, each changed alone: the one under which the reference agrees with a framework is the error.

use thumbformer::{Activation, Encoding, Input, Mask, NormPlace, Pooling, Positions, Tensor};
use thumbformer_checkpoint::{Checkpoint, Config};

/// Checkpoints that differ from one in a single setting or a kind of tensor, with its name.
pub fn suspects(checkpoint: &Checkpoint) -> Vec<(String, Checkpoint)> {
    let mut found = Vec::new();
    let mut add = |name: String, change: &dyn Fn(&mut Checkpoint)| {
        let mut other = checkpoint.clone();
        change(&mut other);
        if other.config != checkpoint.config || other.tensors != checkpoint.tensors {
            found.push((name, other));
        }
    };
    for &activation in Activation::ALL {
        add(format!("activation = {activation:?}"), &|c| c.config.options.activation = activation);
    }
    for place in [NormPlace::Pre, NormPlace::Post] {
        let name = format!("norm_first = {} (norm_place = {place:?})", place == NormPlace::Pre);
        add(name, &|c| c.config.options.norm_place = place);
    }
    for mask in [Mask::Causal, Mask::Bidirectional] {
        add(format!("mask = {mask:?}"), &|c| c.config.options.mask = mask);
    }
    // Only those that the same tensors can have.
    let n_class = checkpoint.config.n_class;
    let with_class = [Pooling::Class, Pooling::Mean, Pooling::MeanOfInputs, Pooling::MeanOfClass];
    let without = [Pooling::Class, Pooling::Mean, Pooling::Last];
    for &pooling in if n_class > 0 { &with_class[..] } else { &without } {
        if !matches!(checkpoint.config.options.pooling, Pooling::None | Pooling::Classes) {
            add(format!("pooling = {pooling:?}"), &|c| c.config.options.pooling = pooling);
        }
    }
    for eps in [1e-3, 1e-5, 1e-6, 1e-8, 1e-12] {
        add(format!("an epsilon of the norms of {eps:e}"), &|c| c.config.norm_eps = eps as f32);
    }
    numbers(&checkpoint.config, &mut add);
    tensors(checkpoint, &mut add);
    found
}

type Add<'a> = dyn FnMut(String, &dyn Fn(&mut Checkpoint)) + 'a;

/// Heads, scale of the scores, rotation.
fn numbers(config: &Config, add: &mut Add<'_>) {
    for head_dim in 1..=config.q_width() {
        let fits = config.q_width().is_multiple_of(head_dim) && config.kv_width().is_multiple_of(head_dim);
        let (heads, kv_heads) = (config.q_width() / head_dim, config.kv_width() / head_dim);
        let rotary = config.options.positions == Positions::Rotary && !head_dim.is_multiple_of(2);
        if fits && heads.is_multiple_of(kv_heads.max(1)) && !rotary && !config.options.qk_norm {
            add(format!("{heads} heads"), &|c| {
                (c.config.n_heads, c.config.n_kv_heads, c.config.head_dim) = (heads, kv_heads, head_dim);
                // A scale of its own stays.
                if c.config.attention_scale == Config::usual_scale(config.head_dim) {
                    c.config.attention_scale = Config::usual_scale(head_dim);
                }
            });
        }
    }
    for scale in [1.0, Config::usual_scale(config.head_dim), Config::usual_scale(config.d_model)] {
        add(format!("an attention scale of {scale:.4}"), &|c| c.config.attention_scale = scale);
    }
    if config.options.positions == Positions::Rotary {
        for theta in [10_000.0, 100_000.0, 500_000.0, 1_000_000.0] {
            add(format!("rope_theta = {theta}"), &|c| c.config.rope_theta = theta);
        }
    }
}

/// Tensors that are transposed, exchanged, in another order or of another scale.
fn tensors(checkpoint: &Checkpoint, add: &mut Add<'_>) {
    let layers = checkpoint.config.n_layers;
    for &tensor in Tensor::ALL.iter().filter(|tensor| tensor.encoding() == Encoding::Matrix) {
        let there: Vec<usize> = (0..layers).filter(|&layer| checkpoint.tensors.get(tensor, layer).is_some()).collect();
        let all = (there.len() > 1).then(|| there.clone());
        for places in all.into_iter().chain(there.iter().map(|&layer| vec![layer])) {
            let layer = if places.len() > 1 { "every layer".into() } else { format!("layer {}", places[0]) };
            add(format!("the {} matrix of {layer} transposed", tensor.name()), &|c| {
                places.iter().for_each(|&layer| transpose(c, tensor, layer));
            });
        }
    }
    let pairs = [
        (Tensor::Query, Tensor::Key),
        (Tensor::Key, Tensor::Value),
        (Tensor::Query, Tensor::Value),
        (Tensor::Gate, Tensor::Up),
    ];
    for (a, b) in pairs {
        add(format!("{} and {} exchanged", a.name(), b.name()), &|c| {
            (0..layers).for_each(|layer| exchange(c, a, b, layer));
        });
    }
    if checkpoint.config.options.input == Input::Tokens && !checkpoint.has_tied_head() {
        let factor = (checkpoint.config.d_model as f64).sqrt();
        for (name, factor) in [("the square root of d_model", factor), ("its inverse", 1.0 / factor)] {
            add(format!("an embedding times {name}"), &|c| {
                let embedding = c.tensors.get_mut(Tensor::Embedding, 0).into_iter();
                embedding.flat_map(|weights| &mut weights.data).for_each(|weight| *weight *= factor as f32);
            });
        }
    }
}

/// Transposes a square matrix; leaves any other as it is.
fn transpose(checkpoint: &mut Checkpoint, tensor: Tensor, layer: usize) {
    let Some(weights) = checkpoint.tensors.get_mut(tensor, layer) else { return };
    if let &[rows, cols] = &weights.shape[..]
        && rows == cols
    {
        weights.data = (0..rows * cols).map(|index| weights.data[index % rows * rows + index / rows]).collect();
    }
}

/// Exchanges two tensors of the same shape, and their biases.
fn exchange(checkpoint: &mut Checkpoint, a: Tensor, b: Tensor, layer: usize) {
    let tensors = &mut checkpoint.tensors;
    let shape = |tensor| tensors.get(tensor, layer).map(|weights| weights.shape.clone());
    if shape(a).is_none() || shape(a) != shape(b) {
        return;
    }
    for (a, b) in [(Some(a), Some(b)), (a.bias(), b.bias())] {
        if let (Some(a), Some(b)) = (a, b)
            && let (Some(one), Some(other)) = (tensors.get(a, layer).cloned(), tensors.get(b, layer).cloned())
        {
            tensors.insert(a, layer, other);
            tensors.insert(b, layer, one);
        }
    }
}
