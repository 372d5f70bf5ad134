//! The residual stream with norms in either place: the numbers at every step of a block, and how much of the input is left.
//!
//! With `x_l` the stream before layer `l`, all tokens of the sequence concatenated, so that `x_0` is the input:
//! - `carried = x_l · x_0 / x_0 · x_0`: factor of `x_0` in the projection of `x_l` on `x_0`;
//! - `length = |x_l| / |x_0|`;
//! - `cosine = carried / length`: the fraction of the stream's length that is the input.
//!
//! The places of the norms are those of Xiong et al. 2020, "On Layer Normalization in the Transformer Architecture", which shows
//! that gradients flow well where `carried` stays 1.

use super::networks::{Place, Shape, streams};
use super::recording::{Recording, Sequence, added};
use super::svg::Svg;
use super::{Page, Stream, in_range, with_model};
use anyhow::Result;
use std::fmt::Write;
use thumbformer::observe::Point;
use thumbformer::{Model, NormPlace};

/// Layers of the networks with random weights.
const LAYERS: usize = 12;
/// Tokens of their input.
const SEQ: usize = 16;
/// Numbers of a stream that are shown.
const SHOWN: usize = 6;

/// An observed network.
struct Observed {
    name: &'static str,
    place: NormPlace,
    n_layers: usize,
    recording: Recording,
}

/// A panel of the picture: its title and its quantity.
type Panel = (&'static str, fn(&Left) -> f64);

/// The part of the input that is left before a layer.
struct Left {
    carried: f64,
    length: f64,
    cosine: f64,
}

/// Shows the stream of a model, or of random networks with pre-LN and post-LN.
///
/// # Errors
/// For an image or layer that does not exist.
pub fn stream(arguments: &Stream) -> Result<Page> {
    let observed = match &arguments.model {
        None => {
            let sequence = Sequence::Streams(streams(super::networks::D_MODEL, SEQ));
            let network = |place| {
                let words = Shape { n_layers: LAYERS, place, attention: true }.image()?;
                observe(&Model::parse(&words)?, &sequence)
            };
            vec![network(Place::Pre)?, network(Place::Post)?]
        }
        Some(image) => {
            vec![with_model(Some(image), &arguments.given(), observe)?]
        }
    };
    in_range("layer", arguments.layer, observed[0].n_layers)?;
    let mut text = String::new();
    for network in &observed {
        steps(&mut text, network, arguments.layer);
    }
    Ok(Page { text: text + &table(&observed), svg: picture(&observed) })
}

fn observe(model: &Model<'_>, sequence: &Sequence) -> Result<Observed> {
    let (place, n_layers) = (model.dims().options.norm_place, model.dims().n_layers);
    let name = if place == NormPlace::Post { "post-LN" } else { "pre-LN" };
    Ok(Observed { name, place, n_layers, recording: Recording::of(model, sequence)? })
}

/// The first numbers of the last token at every step of one block; `>` marks the stream.
fn steps(text: &mut String, network: &Observed, layer: usize) {
    let recording = &network.recording;
    let x = recording.stream(layer);
    let at = |point| recording.at(point, layer).to_vec();
    let (attention, mlp) = (at(Point::AttentionOutput), at(Point::MlpOutput));
    let (attention_norm, mlp_norm) = (at(Point::AttentionNorm), at(Point::MlpNorm));
    let between = recording.between(layer, network.place);
    let rows = match network.place {
        NormPlace::Post => [
            ("> x", x.to_vec()),
            ("  a = attention(x)", attention.clone()),
            ("> x + a", added(x, &attention)),
            ("> x = norm(x + a)", attention_norm),
            ("  m = mlp(x)", mlp.clone()),
            ("> x + m", added(&between, &mlp)),
            ("> x = norm(x + m)", mlp_norm),
        ],
        _ => [
            ("> x", x.to_vec()),
            ("  norm(x)", attention_norm),
            ("  a = attention(norm(x))", attention.clone()),
            ("> x = x + a", between.clone()),
            ("  norm(x)", mlp_norm),
            ("  m = mlp(norm(x))", mlp.clone()),
            ("> x = x + m", recording.stream(layer + 1).to_vec()),
        ],
    };
    let _ =
        writeln!(text, "{}, layer {layer}: the last token, its first {SHOWN} numbers; > is the stream", network.name);
    for (name, vectors) in rows {
        let last = vectors.last().map_or(&[][..], |vector| &vector[..vector.len().min(SHOWN)]);
        let numbers: String = last.iter().map(|x| format!("{x:>8.3}")).collect();
        let _ = writeln!(text, "{name:<25}{numbers}");
    }
    let _ = writeln!(text);
}

/// `x_0 · y` over all tokens, in `f64` and in order.
fn dot(x: &[Vec<f32>], y: &[Vec<f32>]) -> f64 {
    x.iter().flatten().zip(y.iter().flatten()).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
}

impl Observed {
    fn left(&self, layer: usize) -> Left {
        let (input, stream) = (self.recording.stream(0), self.recording.stream(layer));
        let carried = dot(input, stream) / dot(input, input);
        let length = (dot(stream, stream) / dot(input, input)).sqrt();
        Left { carried, length, cosine: carried / length }
    }

    /// Distance from the input of the last stream without the branches, as a fraction of the input.
    fn without_branches(&self) -> f64 {
        let mut rest: Vec<f64> = self.recording.stream(self.n_layers).iter().flatten().map(|&x| x.into()).collect();
        for layer in 0..self.n_layers {
            for point in [Point::AttentionOutput, Point::MlpOutput] {
                let branch = self.recording.at(point, layer).iter().flatten();
                rest.iter_mut().zip(branch).for_each(|(x, &branch)| *x -= f64::from(branch));
            }
        }
        let input = self.recording.stream(0);
        let far: f64 = rest.iter().zip(input.iter().flatten()).map(|(x, &input)| (x - f64::from(input)).powi(2)).sum();
        (far / dot(input, input)).sqrt()
    }
}

fn table(observed: &[Observed]) -> String {
    let mut text = String::from("in front of   ");
    for network in observed {
        let _ = write!(text, "  {:<27}", format!("{}: carried", network.name) + "  length  cosine");
    }
    let mut text = text.trim_end().to_string() + "\n";
    for layer in 0..=observed[0].n_layers {
        let place = if layer < observed[0].n_layers { format!("layer {layer}") } else { "the end".into() };
        let _ = write!(text, "{place:<14}");
        for (index, network) in observed.iter().enumerate() {
            let Left { carried, length, cosine } = network.left(layer);
            let indent = network.name.len() + if index > 0 { 2 } else { 0 };
            let _ = write!(text, "{:indent$}  {carried:>9.3}{length:>8.3}{cosine:>8.3}", "");
        }
        text.push('\n');
    }
    text.push('\n');
    for network in observed {
        let _ = writeln!(
            text,
            "{}: the last stream without all that branches added is the input, but for {} of its length",
            network.name,
            part(network.without_branches())
        );
    }
    text
}

/// A fraction as text: in percent, or in the digits of a rounding error.
fn part(x: f64) -> String {
    if x < 1e-4 { format!("{x:.0e}") } else { format!("{:.1} %", 100.0 * x) }
}

/// Two panels side by side, a line for each network.
fn picture(observed: &[Observed]) -> String {
    const WIDTH: f64 = 300.0;
    const HEIGHT: f64 = 200.0;
    let mut svg = Svg::new("How much of the input each stream still carries, layer by layer");
    let panels: [Panel; 2] =
        [("carried: x_l · x_0 / x_0 · x_0", |left| left.carried), ("cosine of x_l and x_0", |left| left.cosine)];
    let n_layers = observed[0].n_layers;
    for (index, (title, value)) in panels.iter().enumerate() {
        let series: Vec<Vec<f64>> =
            observed.iter().map(|network| (0..=n_layers).map(|layer| value(&network.left(layer))).collect()).collect();
        let all = || series.iter().flatten().copied();
        // The axis ends at multiples of 0.5 around all values.
        let top = (2.0 * all().fold(1.0, f64::max)).ceil() / 2.0;
        let bottom = (2.0 * all().fold(0.0, f64::min)).floor() / 2.0;
        let (left, below) = (50.0 + index as f64 * (WIDTH + 60.0), 50.0 + HEIGHT);
        let x = |layer: usize| left + WIDTH * layer as f64 / n_layers as f64;
        let y = |value: f64| below - HEIGHT * (value - bottom) / (top - bottom);
        svg.text("title", left, 30.0, title);
        for half in 0..=(2.0 * (top - bottom)) as usize {
            let value = bottom + half as f64 / 2.0;
            svg.line("grid", [(left, y(value)), (left + WIDTH, y(value))]);
            svg.text("muted end", left - 8.0, y(value) + 4.0, &format!("{value:.1}"));
        }
        for layer in (0..=n_layers).step_by(n_layers.div_ceil(6).max(1)) {
            svg.text("muted middle", x(layer), below + 18.0, &layer.to_string());
        }
        svg.text("muted middle", left + WIDTH / 2.0, below + 38.0, "layers passed");
        for ((network, values), colour) in observed.iter().zip(&series).zip(["blue", "red"]) {
            svg.line(&format!("{colour} line"), values.iter().enumerate().map(|(layer, &value)| (x(layer), y(value))));
            // At the middle of the line, which has room beside it.
            let middle = n_layers / 2;
            svg.text("", x(middle) + 6.0, y(values[middle]) - 8.0, network.name);
        }
    }
    svg.finish(2.0 * WIDTH + 130.0, HEIGHT + 100.0)
}
