//! A model's float network beside it on the board: whether there is room, and the network as Rust source.
//!
//! ```text
//! models/*/checkpoint ──► Float ──► room in RAM for its heap, in flash for its weights ──► fn checkpoint() -> Checkpoint
//!                             └──► what this machine makes of it, for comparison
//! ```

use crate::test_model::outputs;
use anyhow::{Context, Result};
use board_manifest::{
    Application, Board, DefaultModel, FLOAT_STACK, Fit, Image, Kind, Room, Signal, default_models, first, first_bytes,
    free, signals, watch,
};
use std::fmt::Write;
use std::path::Path;
use thumbformer_checkpoint::{Checkpoint, Config, Options, Weights};
use thumbformer_reference::Reference;

/// Bytes of the device's heap that its float network needs. On a Cortex-M3, with inputs of 50 frames, 386,320 were in use at once,
/// and the highest address was 403,720 bytes above the heap's first; the rest is for other orders of the free list.
const HEAP: usize = 416 * 1024;
/// Bytes of a heap that nothing needs, so that it can be shown to stay empty.
const NO_HEAP: usize = 1024;
/// Bytes of code that the float network takes: 92,000 on a Cortex-M3, much of it `f64` without hardware and the text of its errors.
const CODE: usize = 96 * 1024;

/// The float network of a default model.
pub struct Float {
    model: DefaultModel,
    checkpoint: Checkpoint,
}

impl Float {
    /// Reads the one of the first default model that is a stream.
    ///
    /// # Errors
    /// When there is no such model, or its checkpoint cannot be read.
    pub fn read(models: &Path) -> Result<Float> {
        Float::of(first(Kind::Stream, models)?)
    }

    fn of(model: DefaultModel) -> Result<Float> {
        let folder = model.checkpoint();
        watch(&folder);
        Ok(Float { checkpoint: Checkpoint::load(&folder, None)?, model })
    }

    /// The one that a board has room for beside these models; another image in place of a default model has none.
    pub(crate) fn beside(board: &Board, images: &[(Image, Fit)], models: &Path) -> Result<Option<Float>> {
        let streams =
            images.iter().filter(|(image, _)| image.model().is_ok_and(|model| Kind::of(&model) == Kind::Stream));
        let streams: Vec<&str> = streams.map(|(image, _)| image.name.as_str()).collect();
        let model = default_models(models)?.into_iter().find(|model| streams.contains(&model.name.as_str()));
        let Some(model) = model else { return Ok(None) };
        let float = Float::of(model)?;
        let state = images.iter().map(|(_, fit)| fit.state).max().unwrap_or(0);
        let room = |image: &Image| Ok(Room::of(&image.model()?, Application::Verify).bytes());
        let rooms = images.iter().map(|(image, _)| room(image)).collect::<Result<Vec<usize>>>()?;
        let copies: usize =
            images.iter().map(|(image, _)| if board.weights_in_ram() { image.bytes() } else { 0 }).sum();
        let ram = copies + state + rooms.into_iter().max().unwrap_or(0) + FLOAT_STACK + HEAP;
        let inputs: usize = images.iter().map(|(image, _)| first_bytes(image)).sum::<Result<usize>>()?;
        Ok((ram <= board.ram.length && float.flash() + inputs <= free(board, Application::Verify, images))
            .then_some(float))
    }

    /// Bytes of flash that it takes.
    pub(crate) fn flash(&self) -> usize {
        4 * self.checkpoint.parameters() + CODE
    }

    /// The float check of the application `verify`, with this network.
    pub(crate) fn source(&self) -> String {
        let network = network(&self.checkpoint);
        format!(
            "\n/// Bytes of the heap.\nconst HEAP_BYTES: usize = {HEAP};\n\n\
             fn float_check(heap: &'static reference_on_device::Heap) -> impl firmware::FloatCheck {{\n    \
             reference_on_device::OnDevice::new(heap, {:?}, checkpoint)\n}}\n\n{network}",
            self.model.name
        )
    }

    /// Hundredths of a decibel between this network's outputs and the engine's on this machine, by the name of the input.
    ///
    /// # Errors
    /// When an input or the image cannot be read, or is refused.
    pub fn on_host(&self) -> Result<Vec<(String, u32)>> {
        let image = self.model.image()?;
        let (model, reference) = (image.model()?, Reference::new(&self.checkpoint));
        let compare = |(name, signal): (String, Signal)| {
            let Signal::Frames(frames) = &signal else { return Ok(None) };
            let sqnr = reference.compare_frames(frames, &outputs(&model, &signal)?).with_context(|| name.clone())?;
            Ok(Some((name, sqnr.decibel_hundredths())))
        };
        signals(&image, &model)?.into_iter().map(compare).filter_map(Result::transpose).collect()
    }
}

/// The float check of the application `verify` where there is no float network.
pub(crate) fn without() -> String {
    format!(
        "\n/// Bytes of the heap, which nothing uses.\nconst HEAP_BYTES: usize = {NO_HEAP};\n\n\
         fn float_check(heap: &'static reference_on_device::Heap) -> impl firmware::FloatCheck {{\n    \
         reference_on_device::HeapAlone(heap)\n}}\n"
    )
}

/// A function that builds the checkpoint; what the float network does not read (names, labels, a tokenizer, notes) is left out.
fn network(checkpoint: &Checkpoint) -> String {
    let mut code = String::from(
        "#[allow(clippy::approx_constant)]\nfn checkpoint() -> reference_on_device::checkpoint::Checkpoint {\n    \
         use reference_on_device::checkpoint::*;\n    use reference_on_device::{String, vec, weights};\n    \
         let mut options = Options::ENCODER;\n",
    );
    for (field, value) in options(&checkpoint.config.options) {
        let _ = writeln!(code, "    options.{field} = {value};");
    }
    let Config { d_model, n_heads, head_dim, .. } = checkpoint.config;
    let _ = writeln!(code, "    let mut config = Config::new(options, {d_model}, {n_heads}, {head_dim});");
    for (field, value) in config(&checkpoint.config) {
        let _ = writeln!(code, "    config.{field} = {value};");
    }
    code += "    let mut tensors = Tensors::default();\n";
    for (tensor, layer, values) in checkpoint.tensors.iter() {
        let _ = writeln!(code, "    tensors.insert(Tensor::{}, {layer}, {});", tensor.name(), weights(values));
    }
    code + "    let (source, architecture) = (String::new(), String::new());\n    \
            Checkpoint { source, architecture, config, tensors, tokenizer: None, notes: vec![] }\n}\n"
}

/// The fields of the options, and their values.
fn options(options: &Options) -> Vec<(&'static str, String)> {
    vec![
        ("norm", format!("Norm::{:?}", options.norm)),
        ("norm_place", format!("NormPlace::{:?}", options.norm_place)),
        ("activation", format!("Activation::{:?}", options.activation)),
        ("gated", options.gated.to_string()),
        ("qk_norm", options.qk_norm.to_string()),
        ("mask", format!("Mask::{:?}", options.mask)),
        ("positions", format!("Positions::{:?}", options.positions)),
        ("input", format!("Input::{:?}", options.input)),
        ("pooling", format!("Pooling::{:?}", options.pooling)),
        ("pooler", format!("Pooler::{:?}", options.pooler)),
        ("class_place", format!("ClassPlace::{:?}", options.class_place)),
        ("embedding_activation", format!("DenseActivation::{:?}", options.embedding_activation)),
        ("mlp_head", options.mlp_head.to_string()),
        ("head_activation", format!("DenseActivation::{:?}", options.head_activation)),
        ("outputs", format!("Outputs::{:?}", options.outputs)),
        ("head", options.head.to_string()),
    ]
}

/// The fields of a configuration beside those that it is made with, and their values.
fn config(config: &Config) -> Vec<(&'static str, String)> {
    let Config {
        d_model: _, n_heads: _, head_dim: _, options: _, labels: _, n_layers, n_kv_heads, d_ff, vocab, ..
    } = config;
    let Config { n_features, max_seq, norm_eps, sliding_window, rope_theta, attention_scale, .. } = config;
    let Config { n_outputs, n_class, head_widths, bos, eos, .. } = config;
    vec![
        ("n_layers", n_layers.to_string()),
        ("n_kv_heads", n_kv_heads.to_string()),
        ("d_ff", d_ff.to_string()),
        ("vocab", vocab.to_string()),
        ("n_class", n_class.to_string()),
        ("head_widths", format!("{head_widths:?}")),
        ("n_features", n_features.to_string()),
        ("max_seq", max_seq.to_string()),
        ("norm_eps", format!("{norm_eps:?}")),
        ("sliding_window", format!("{sliding_window:?}")),
        ("rope_theta", format!("{rope_theta:?}")),
        ("attention_scale", format!("{attention_scale:?}")),
        ("n_outputs", n_outputs.to_string()),
        ("bos", format!("{bos:?}")),
        ("eos", format!("vec!{eos:?}")),
    ]
}

/// Debug formatting of `f32` is the shortest that reads back as the same number.
fn weights(weights: &Weights) -> String {
    format!("weights(&{:?}, &{:?})", weights.shape, weights.data)
}

#[cfg(test)]
mod tests {
    use super::{Float, HEAP, config, network, options, weights};
    use board_manifest::{Application, Board, Region, all, models};
    use std::path::{Path, PathBuf};
    use thumbformer_checkpoint::Weights;

    fn folder(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
    }

    fn board() -> Board {
        let boards = all(&folder("boards")).expect("boards");
        boards.into_iter().find(|board| board.name == "qemu-mps2-an385").expect("the Cortex-M3")
    }

    fn has_room(board: &Board) -> bool {
        let images = models(board, Application::Verify, &folder("models")).expect("images");
        let float = Float::read(&folder("models")).expect("the checkpoint");
        assert!(images.iter().any(|(image, _)| image.name == float.model.name), "{}", board.name);
        Float::beside(board, &images, &folder("models")).expect("the checkpoint").is_some()
    }

    #[test]
    fn the_float_network_is_there_where_flash_and_ram_have_room_and_only_there() {
        assert!(has_room(&board()));
        let with = |region: Region, length| Region { length, ..region };
        let board = board();
        let narrow = Board { ram: with(board.ram, HEAP + 32 * 1024), ..board.clone() };
        assert!(!has_room(&narrow), "a heap, but no state beside it");
        let short = Board { flash: with(board.flash, 256 * 1024), ..board };
        assert!(!has_room(&short), "no flash for its weights");
    }

    #[test]
    fn the_engine_is_near_the_float_network_on_every_recording() {
        let float = Float::read(&folder("models")).expect("the checkpoint");
        let found = float.on_host().expect("recordings");
        println!("{found:?}");
        assert_eq!(found.len(), 7);
        assert!(found.iter().all(|(_, hundredths)| *hundredths > 2000), "{found:?}");
    }

    #[test]
    fn source_has_every_number_as_it_is() {
        let numbers = vec![1e-5, -0.1, 1.0, f32::MIN_POSITIVE];
        let source = weights(&Weights { name: "a".into(), shape: vec![2, 2], data: numbers });
        assert_eq!(source, "weights(&[2, 2], &[1e-5, -0.1, 1.0, 1.1754944e-38])");
        let float = Float::read(&folder("models")).expect("the checkpoint");
        let source = network(&float.checkpoint);
        for part in [
            "options.norm = Norm::Layer;",
            "config.sliding_window = Some(25);",
            "config.n_features = 60;",
            "config.norm_eps = 1e-5;",
            "tensors.insert(Tensor::Query, 0, weights(&[",
        ] {
            assert!(source.contains(part), "{part}: {}", &source[..2000]);
        }
    }

    #[test]
    fn source_has_every_field() {
        let float = Float::read(&folder("models")).expect("the checkpoint").checkpoint;
        // Debug formatting names each once; values have no colon.
        let fields = |text: String| text.matches(": ").count();
        assert_eq!(options(&float.config.options).len(), fields(format!("{:?}", float.config.options)));
        let mut plain = float.config.clone();
        plain.labels.clear();
        plain.columns.clear();
        // All but d_model, n_heads, head_dim, labels, what a frame is made of, the options and their fields.
        let others = 8 + options(&plain.options).len();
        assert_eq!(config(&plain).len() + others, fields(format!("{plain:?}")));
    }
}
