//! Attention of the heads: the probabilities that each head of each layer gives the tokens it sees.

use super::grid::Grid;
use super::recording::{Recording, Sequence};
use super::svg::Svg;
use super::{Heads, Page, in_range, with_model};
use anyhow::Result;
use std::fmt::Write;
use thumbformer::observe::Point;
use thumbformer::{Dims, Model};

/// Shows the attention of the heads.
///
/// # Errors
/// For an image, token, layer or head that does not exist.
pub fn heads(arguments: &Heads) -> Result<Page> {
    with_model(arguments.model.as_deref(), &arguments.given(), |model, sequence| page(model, sequence, arguments))
}

fn page(model: &Model<'_>, sequence: &Sequence, arguments: &Heads) -> Result<Page> {
    let dims = model.dims();
    let chosen = |what, wanted: Option<usize>, count| match wanted {
        Some(number) => in_range(what, number, count).map(|()| vec![number]),
        None => Ok((0..count).collect()),
    };
    let layers = chosen("layer", arguments.layer, dims.n_layers)?;
    let heads = chosen("head", arguments.head, dims.n_heads)?;
    let token = arguments.token.as_deref().map_or(Ok(sequence.len() - 1), |token| sequence.find(token))?;
    let recording = Recording::of(model, sequence)?;
    if let (Some(layer), Some(head)) = (arguments.layer, arguments.head) {
        return Ok(one(&recording, sequence, layer, head));
    }
    let mut text = String::new();
    let named = |token: usize| match sequence {
        Sequence::Tokens(..) => format!("{token} {}", sequence.name(token)),
        _ => sequence.name(token),
    };
    let names: Vec<String> = (0..sequence.len()).map(named).collect();
    let _ = writeln!(text, "tokens: {}\n", names.join("  "));
    let looks = format!("{} looks at", names[token]);
    let _ = writeln!(text, "layer head  first  previous  itself   {looks}");
    for &layer in &layers {
        for &head in &heads {
            let rows = recording.attention(layer, head);
            let percent = |habit| format!("{:>5.0} %", 100.0 * habit);
            let habits = habits(rows).map_or(["      –"; 3].join("  "), |habits| habits.map(percent).join("  "));
            let seen = most(&rows[token]).map(|(seen, part)| format!("{} {:.0} %", names[seen], 100.0 * part));
            let _ = writeln!(text, "{layer:>5}{head:>5}{habits}   {}", seen.collect::<Vec<_>>().join(", "));
        }
    }
    let _ = writeln!(
        text,
        "\nside by side: {} heads of {} numbers, {} of them for keys and values; concatenated {}, projected to {}",
        dims.n_heads,
        dims.head_dim,
        dims.n_kv_heads,
        dims.attention_width(),
        dims.d_model
    );
    let _ = writeln!(
        text,
        "probabilities times values, summed here, are what the engine gathered but for {:.1} % (its cache holds int8)",
        100.0 * context_error(&recording, dims)
    );
    Ok(Page { text, svg: overview(&recording, sequence.len(), &layers, &heads) })
}

/// Mean probability that a head gives the first token, the previous token and the token itself, over all tokens for which these are
/// three different ones; `None` without such a token.
fn habits(rows: &[Vec<f32>]) -> Option<[f64; 3]> {
    let mut sums = [0.0; 3];
    let mut count = 0_usize;
    for (token, row) in rows.iter().enumerate().skip(2) {
        for (sum, seen) in sums.iter_mut().zip([0, token - 1, token]) {
            *sum += f64::from(row[seen]);
        }
        count += 1;
    }
    (count > 0).then(|| sums.map(|sum| sum / count as f64))
}

/// The three tokens with the highest probabilities, and these.
fn most(row: &[f32]) -> impl Iterator<Item = (usize, f32)> {
    let mut seen: Vec<(usize, f32)> = row.iter().copied().enumerate().collect();
    // Stable: among equals the first.
    seen.sort_by(|(_, x), (_, y)| y.total_cmp(x));
    seen.into_iter().take(3)
}

/// Distance of the context computed here, observed probabilities times observed values, from the observed context, as a fraction
/// of it.
fn context_error(recording: &Recording, dims: &Dims) -> f64 {
    let (width, group) = (dims.head_dim, dims.n_heads / dims.n_kv_heads);
    let (mut far, mut all) = (0.0, 0.0);
    for layer in 0..dims.n_layers {
        let values = recording.at(Point::Value, layer);
        for (token, context) in recording.at(Point::Context, layer).iter().enumerate() {
            for (head, context) in context.chunks_exact(width).enumerate() {
                let row = &recording.attention(layer, head)[token];
                let start = head / group * width;
                for (index, &context) in context.iter().enumerate() {
                    let parts =
                        row.iter().zip(values).map(|(&p, value)| f64::from(p) * f64::from(value[start + index]));
                    far += (parts.sum::<f64>() - f64::from(context)).powi(2);
                    all += f64::from(context).powi(2);
                }
            }
        }
    }
    (far / all.max(f64::MIN_POSITIVE)).sqrt()
}

/// Probabilities as a square in tenths, a row for each query token; tokens that it does not see have 0.
fn square(rows: &[Vec<f32>], name: impl Fn(usize) -> String) -> Grid {
    let tenths = |p: f32| (10.0 * p).round() as u8;
    let cells = |row: &Vec<f32>| (0..rows.len()).map(|seen| row.get(seen).map_or(0, |&p| tenths(p))).collect();
    Grid {
        title: String::new(),
        columns: (0..rows.len()).map(&name).collect(),
        rows: rows.iter().enumerate().map(|(token, row)| (name(token), cells(row))).collect(),
    }
}

/// Attention of one head.
fn one(recording: &Recording, sequence: &Sequence, layer: usize, head: usize) -> Page {
    let mut grid = square(recording.attention(layer, head), |token| sequence.name(token));
    grid.title = format!("layer {layer}, head {head}: each row looks at the columns; tenths, · below 5 %, # from 95 %");
    let mut svg = Svg::new(&format!("Where head {head} of layer {layer} looks"));
    let names = grid.columns.iter().map(|name| name.chars().count()).max().unwrap_or(0) as f64;
    svg.text("title", 20.0, 30.0, &format!("layer {layer}, head {head}: each row looks at the columns"));
    let (right, below) = grid.draw(&mut svg, "blue", (30.0 + 8.0 * names, 50.0 + 8.0 * names));
    for (token, (name, _)) in grid.rows.iter_mut().enumerate() {
        *name = format!("{token:>2} {name}");
    }
    Page { text: grid.text(), svg: svg.finish((right + 20.0).max(420.0), below + 20.0) }
}

/// A small square for every head.
fn overview(recording: &Recording, tokens: usize, layers: &[usize], heads: &[usize]) -> String {
    // All heads fit a page.
    let cell = (90.0 / tokens as f64).clamp(1.0, 8.0);
    let side = cell * tokens as f64;
    let mut svg = Svg::new(
        "Where every head of every layer looks: a row for each token that looks, a column for each that is seen",
    );
    for (index, head) in heads.iter().enumerate() {
        svg.text("small muted", 80.0 + index as f64 * (side + 12.0), 24.0, &format!("head {head}"));
    }
    for (line, &layer) in layers.iter().enumerate() {
        let y = 34.0 + line as f64 * (side + 12.0);
        svg.text("small muted", 20.0, y + side / 2.0, &format!("layer {layer}"));
        for (index, &head) in heads.iter().enumerate() {
            let x = 80.0 + index as f64 * (side + 12.0);
            let grid = square(recording.attention(layer, head), |_| String::new());
            grid.cells(&mut svg, "blue", (x, y), cell);
            svg.frame(x, y, side, side);
        }
    }
    let (width, height) = (heads.len() as f64 * (side + 12.0), layers.len() as f64 * (side + 12.0));
    svg.finish(width + 90.0, height + 44.0)
}
