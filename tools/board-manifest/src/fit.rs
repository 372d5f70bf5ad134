//! Models that fit a board, and what is missing where one does not.

use crate::image::{Image, Room, is_for};
use crate::inputs::first_bytes;
use crate::manifest::{Application, Board};
use crate::memory::{beside, code};
use crate::models::shown_by;
use anyhow::{Result, bail, ensure};
use std::path::Path;
use thumbformer::Input;

/// Contexts that a language model may get, the best first.
const CONTEXTS: [usize; 3] = [256, 128, 64];

/// Context, batch and state with which a model fits.
#[derive(Clone, Copy, Debug)]
pub struct Fit {
    /// Context that its state has room for.
    pub max_seq: usize,
    /// Tokens or frames at a time.
    pub batch: usize,
    /// Bytes of its state.
    pub state: usize,
}

/// Fit of a model on a board, by itself.
///
/// # Errors
/// Everything that is missing, by how much, and what would fit; the packing when it is another core's.
pub fn fit(board: &Board, application: Application, image: &Image) -> Result<Fit> {
    let model = image.model()?;
    let dims = model.dims();
    let (name, found) = (image.file.display(), model.image().packing().name());
    ensure!(
        is_for(&model, application),
        "{name}: the model reads {:?}, `{}` is for other models",
        dims.options.input,
        application.name()
    );
    ensure!(
        found == board.pack,
        "{name}: packed for {found}, {} wants {}: convert it with `--pack {}`",
        board.name,
        board.pack,
        board.pack
    );
    let text = dims.options.input == Input::Tokens;
    let contexts: Vec<usize> = match text {
        true => CONTEXTS.into_iter().map(|context| context.min(dims.max_seq)).collect(),
        false => vec![dims.max_seq],
    };
    // Frames come one by one where the model is a stream.
    let batch = if !text && dims.is_causal() { 1 } else { thumbformer::MAX_BATCH };
    let room = Room::of(&model, application);
    let state = |max_seq: usize| 4 * dims.state_words(max_seq, batch) + room.bytes();
    let copy = if board.weights_in_ram() { image.bytes() } else { 0 };
    let ram = board.ram.length.saturating_sub(beside(board, application) + copy);
    let flash = board.flash.length.saturating_sub(code(application));
    let context = contexts.iter().copied().find(|&context| state(context) <= ram);
    match context {
        Some(max_seq) if image.bytes() <= flash => Ok(Fit { max_seq, batch, state: state(max_seq) - room.bytes() }),
        _ => {
            let least = contexts.last().copied().unwrap_or(dims.max_seq);
            bail!("{}", misfit(board, application, image, (flash, ram), least, room, &state))
        }
    }
}

/// Reason that a model does not fit.
fn misfit(
    board: &Board,
    application: Application,
    image: &Image,
    (flash, ram): (usize, usize),
    least: usize,
    room: Room,
    state: &dyn Fn(usize) -> usize,
) -> String {
    let mut text = format!("{} does not fit {}.", image.file.display(), board.name);
    let bytes = image.bytes();
    if bytes > flash {
        text += &format!(
            " Flash: the image has {bytes} bytes, beside the program {flash} of {} are free: {} too many.",
            board.flash.length,
            bytes - flash
        );
        // int4 with its scales takes about 5 bits, and the embedding stays at 8.
        let int4 = bytes * 6 / 10;
        let int8 = image.model().is_ok_and(|model| !model.image().has_int4());
        text += match int8 {
            true if int4 <= flash => " With int4 weights it would fit: convert it with `--quant q4`.",
            true => " int4 weights (`--quant q4`) would not be small enough either: train a smaller model.",
            false => " Its weights are int4 already: train a smaller model.",
        };
    }
    if state(least) > ram {
        text += &format!(
            " RAM: the state for {least} tokens has {} bytes, beside the stack and `{}` {ram} of {} are free: {} too many.",
            state(least),
            application.name(),
            board.ram.length,
            state(least) - ram
        );
        let clip = 2 * room.samples;
        text += &match (1..least).rev().find(|&context| state(context) <= ram) {
            _ if clip > 0 && state(least) - clip <= ram => format!(
                " {clip} of them are for a clip's samples on the serial port: `verify` does without, and computes the stored recordings."
            ),
            Some(context) => format!(" A context of {context} would fit."),
            None => " No context is short enough: train a narrower model.".into(),
        };
    }
    text
}

/// The default models that an application gets on a board, as many as fit into its flash together; one after the other they share
/// their state's memory.
///
/// # Errors
/// When an image cannot be read.
pub fn models(board: &Board, application: Application, models: &Path) -> Result<Vec<(Image, Fit)>> {
    let mut free = board.flash.length.saturating_sub(code(application));
    let mut order = shown_by(application, models)?;
    if application == Application::Verify {
        // The smallest first: its float model runs on the board too.
        order.reverse();
    }
    let mut found: Vec<(Image, Fit)> = Vec::new();
    for model in order {
        let image = model.image_for(&board.pack)?;
        let Ok(fit) = fit(board, application, &image) else { continue };
        let bytes = image.bytes() + first_bytes(&image)?;
        let copies: usize = found.iter().map(|(image, _)| image.bytes()).sum::<usize>() + image.bytes();
        let state = found.iter().map(|(_, fit)| fit.state).fold(fit.state, usize::max);
        let in_ram = !board.weights_in_ram() || copies + state + beside(board, application) <= board.ram.length;
        if bytes <= free && in_ram {
            free -= bytes;
            found.push((image, fit));
        }
    }
    Ok(found)
}

/// Bytes of flash that are left for inputs.
pub fn free(board: &Board, application: Application, images: &[(Image, Fit)]) -> usize {
    board.flash.length.saturating_sub(code(application) + images.iter().map(|(image, _)| image.bytes()).sum::<usize>())
}

#[cfg(test)]
mod tests {
    use super::{Application, Board, Image, fit};
    use std::path::{Path, PathBuf};

    fn repository() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    fn board(name: &str) -> Board {
        crate::find(&repository().join("boards"), name).expect("a board")
    }

    fn image(model: &str, pack: &str) -> Image {
        let models = crate::default_models(&repository().join("models")).expect("the default models");
        let found = models.into_iter().find(|found| found.name == model).expect("a default model");
        found.image_for(pack).expect("an image")
    }

    #[test]
    fn what_does_not_fit_says_by_how_much_and_what_would() {
        let micro = board("microbit");
        let mut cases = vec![
            // 281,600 bytes are more than 256 KiB less the program; as int4 they are 168,960, which is more too.
            (
                micro.clone(),
                "stories",
                "m0",
                Application::Generate,
                vec!["Flash: the image has 281600 bytes", "too many"],
            ),
            (
                micro.clone(),
                "stories",
                "m0",
                Application::Generate,
                vec!["train a smaller model", "RAM: the state for 64 tokens"],
            ),
            (
                micro.clone(),
                "motion",
                "m4",
                Application::Classify,
                vec!["packed for m4", "convert it with `--pack m0`"],
            ),
            (
                micro,
                "motion",
                "m0",
                Application::Generate,
                vec!["the model reads Frames", "`generate` is for other models"],
            ),
        ];
        let mut small = board("stm32-nucleo-f411re");
        small.flash.length = 300 * 1024;
        cases.push((
            small,
            "stories",
            "m4",
            Application::Generate,
            vec!["With int4 weights it would fit", "--quant q4"],
        ));
        let mut narrow = board("stm32-nucleo-f411re");
        narrow.ram.length = 44 * 1024;
        cases.push((narrow, "stories", "m4", Application::Generate, vec!["A context of ", " would fit"]));
        for (board, model, pack, application, expected) in cases {
            let error = fit(&board, application, &image(model, pack)).expect_err("does not fit").to_string();
            for part in expected {
                assert!(error.contains(part), "{model} on {}: {part:?} is not in {error:?}", board.name);
            }
        }
    }

    #[test]
    fn a_context_is_as_long_as_the_memory_allows() {
        let mut board = board("stm32f405");
        for (kibibytes, context) in [(128, 256), (80, 128), (56, 64)] {
            board.ram.length = kibibytes * 1024;
            let found = fit(&board, Application::Generate, &image("stories", "m4")).expect("fits");
            assert_eq!(found.max_seq, context, "{kibibytes} KiB: {found:?}");
            assert!(found.state <= board.ram.length);
        }
    }
}
