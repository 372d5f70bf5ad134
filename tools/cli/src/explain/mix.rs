//! Reduce and map: changes one token and finds every value that differs after it.
//!
//! ```text
//! sequence ────────────► engine ─► recording ─┐
//!    └─ one token changed ─► engine ─► recording ─┴─► at each point, the tokens whose vectors differ in any bit
//! ```

use super::grid::Grid;
use super::networks::{D_MODEL, Place, Shape, streams};
use super::recording::{Recording, Sequence, added};
use super::svg::Svg;
use super::{Mix, Page, in_range, with_model};
use anyhow::Result;
use thumbformer::observe::Point;
use thumbformer::{Mask, Model, NormPlace};

/// Shows how far a change of one token spreads.
///
/// # Errors
/// For an image, token or layer that does not exist.
pub fn mix(arguments: &Mix) -> Result<Page> {
    let image = arguments.model.as_deref();
    let (token, layer) = (arguments.token.as_deref(), arguments.layer);
    let mut grids =
        vec![with_model(image, &arguments.given(), |model, sequence| grid("", model, sequence, token, layer))?];
    if image.is_none() && layer == 0 {
        let sequence = Sequence::Streams(streams(D_MODEL, 12));
        for (name, attention) in [("", true), (", attention adds nothing", false)] {
            let words = Shape { n_layers: 2, place: Place::Pre, attention }.image()?;
            grids.push(grid(name, &Model::parse(&words)?, &sequence, None, 0)?);
        }
    }
    let texts: Vec<String> = grids.iter().map(|grid| grid.text()).collect();
    let legend = "\n· the same bits, # others\n";
    Ok(Page { text: texts.join("\n") + legend, svg: picture(&grids) })
}

/// Tokens that differ at each point of a layer, and in the stream after each later layer.
fn grid(name: &str, model: &Model<'_>, sequence: &Sequence, token: Option<&str>, layer: usize) -> Result<Grid> {
    let dims = model.dims();
    in_range("layer", layer, dims.n_layers)?;
    let token = token.map_or(Ok(sequence.len() / 3), |token| sequence.find(token))?;
    let changed = sequence.changed(token, dims.vocab);
    let recordings = [Recording::of(model, sequence)?, Recording::of(model, &changed)?];
    let mut rows = Vec::new();
    let mut compare = |name: &str, vectors: &dyn Fn(&Recording) -> Vec<Vec<f32>>| {
        let [before, after] = [vectors(&recordings[0]), vectors(&recordings[1])];
        let cells = before.iter().zip(&after).map(|(before, after)| if same(before, after) { 0 } else { 10 });
        let cells: Vec<u8> = cells.collect();
        // Some models lack some points.
        if !cells.is_empty() {
            rows.push((name.to_string(), cells));
        }
    };
    let at = |point| move |recording: &Recording| recording.at(point, layer).to_vec();
    let post = dims.options.norm_place == NormPlace::Post;
    compare("x", &|recording| recording.stream(layer).to_vec());
    if !post {
        compare("norm", &at(Point::AttentionNorm));
    }
    for (name, point) in [("query", Point::Query), ("key", Point::Key), ("value", Point::Value)] {
        compare(name, &at(point));
    }
    compare("gathered by the heads", &at(Point::Context));
    compare("x + attention", &|recording| added(recording.stream(layer), recording.at(Point::AttentionOutput, layer)));
    compare("norm", &at(if post { Point::AttentionNorm } else { Point::MlpNorm }));
    compare("mlp, hidden", &at(Point::Hidden));
    compare("x + mlp", &|recording| {
        added(&recording.between(layer, dims.options.norm_place), recording.at(Point::MlpOutput, layer))
    });
    if post {
        compare("norm", &at(Point::MlpNorm));
    }
    for later in layer + 1..dims.n_layers {
        compare(&format!("x after layer {later}"), &|recording| recording.stream(later + 1).to_vec());
    }
    let mask = if dims.options.mask == Mask::Causal { "causal" } else { "bidirectional" };
    let title = format!("layer {layer}, {mask}{name}: token {token} is another one");
    let columns = (0..sequence.len()).map(|token| sequence.name(token)).collect();
    Ok(Grid { title, columns, rows })
}

fn same(x: &[f32], y: &[f32]) -> bool {
    x.iter().map(|x| x.to_bits()).eq(y.iter().map(|y| y.to_bits()))
}

fn picture(grids: &[Grid]) -> String {
    let mut svg = Svg::new("Which tokens change when one token changes");
    let (mut right, mut below) = (0_f64, 0.0);
    for grid in grids {
        svg.text("title", 20.0, below + 30.0, &grid.title);
        let names = grid.columns.iter().map(|name| name.chars().count()).max().unwrap_or(0) as f64;
        let edges = grid.draw(&mut svg, "blue", (140.0, below + 50.0 + 7.0 * names));
        (right, below) = (right.max(edges.0), edges.1 + 10.0);
    }
    svg.finish((right + 20.0).max(720.0), below + 20.0)
}
