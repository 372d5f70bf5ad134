//! The image that a program gets in place of the default models, with its recordings.

use crate::firmware::Board;
use anyhow::{Context, Result, ensure};
use board_manifest::{Application, Image, Inputs, Room, fit, free, held, inputs};
use std::path::{Path, PathBuf};
use thumbformer::Input;

/// Arguments of every command that builds a program.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Given {
    /// Image in place of the default models
    #[arg(long)]
    pub model: Option<PathBuf>,
    /// Recordings for that image, which the program holds: a folder of WAV or CSV files
    #[arg(long, value_name = "FOLDER", requires = "model")]
    pub recordings: Option<PathBuf>,
}

impl Given {
    /// The build of a board's program with this image, checked as far as manifest and image tell; says on standard error what the
    /// program will hold.
    ///
    /// # Errors
    /// When the image does not fit, is for another program, or its recordings are missing or cannot be read.
    pub fn build_for(&self, board: &board_manifest::Board, application: Application) -> Result<Board> {
        let mut buildable = Board::from(board.clone());
        let about = format!("{} on {}", application.name(), board.name);
        let Some(model) = &self.model else {
            let names: Vec<String> = match application {
                Application::Generate => vec![crate::firmware::language_model()?.name],
                _ => {
                    let models = board_manifest::models(board, application, &crate::shell::root().join("models"))?;
                    models.into_iter().map(|(image, _)| image.name).collect()
                }
            };
            eprintln!("{about}: the default models {}", names.join(", "));
            return Ok(buildable);
        };
        let (file, recordings) = (absolute(model)?, self.recordings.as_deref().map(absolute).transpose()?);
        let image = Image::read(&file)?.with_recordings(recordings.as_deref());
        let fit = fit(board, application, &image)?;
        let images = [(image, fit)];
        let [(image, _)] = &images;
        let parsed = image.model()?;
        let is_text = parsed.dims().options.input == Input::Tokens;
        let mut holds = String::new();
        if let Some(folder) = &recordings {
            ensure!(
                !is_text,
                "{}: a language model has no recordings: leave out --recordings {}",
                model.display(),
                folder.display()
            );
            let Inputs { signals, recordings, notes } = inputs(image, &parsed)?;
            let all = signals.len();
            let held = match application {
                Application::Bench => 1,
                _ => held(&signals, free(board, application, &images)),
            };
            let windows = if all > recordings { format!("windows of the {recordings} ") } else { String::new() };
            holds = format!(", {held} of the {all} {windows}recordings in {}", folder.display());
            notes.iter().for_each(|note| eprintln!("note: {note}"));
            if held < all && application != Application::Bench {
                holds += ": the flash has no room for more";
            }
            buildable.build.variables.push(("THUMBFORMER_RECORDINGS", folder.display().to_string()));
        } else {
            ensure!(
                is_text,
                "{}: `{}` computes with recordings, and the image holds none: give a folder of them by --recordings",
                model.display(),
                application.name()
            );
        }
        buildable.build.variables.push(("THUMBFORMER_MODEL", file.display().to_string()));
        if parsed.dims().options.qk_norm {
            buildable.build.features.push("firmware/qk-norm");
        }
        if parsed.image().needs_ends() {
            buildable.build.features.push("firmware/ends");
        }
        if let Some(front_end) = parsed.front_end() {
            buildable.build.features.extend(match front_end.fft() {
                1024 => Some("firmware/fft-1024"),
                2048 => Some("firmware/fft-2048"),
                _ => None,
            });
            if parsed.dims().is_causal() {
                buildable.build.features.push("firmware/sound-streams");
            }
            if Room::of(&parsed, application).samples > 0 {
                buildable.build.features.push("firmware/whole-clips");
            }
            if front_end.is_extended() {
                buildable.build.features.push("firmware/front-ends");
            }
        }
        eprintln!("{about}: {}{holds}", model.display());
        Ok(buildable)
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("{}", path.display()))
}

#[cfg(test)]
mod tests {
    use crate::{keywords, shell::root};
    use board_manifest::{Application, Image, Room, beside, fit};

    #[test]
    fn a_board_without_room_for_a_clip_on_the_serial_port_is_refused_before_anything_is_compiled() {
        let given = keywords::given("mfcc", "m4").expect("an image");
        let mut board = board_manifest::find(&root().join("boards"), "qemu-mps2-an386").expect("a board");
        let image = Image::read(given.model.as_deref().expect("an image")).expect("an image");
        let room = Room::of(&image.model().expect("a model"), Application::Classify);
        assert_eq!((room.numbers, room.samples), (100 * 40, 16_000));
        let state = fit(&board, Application::Classify, &image).expect("it fits").state;
        board.ram.length = state + room.bytes() + beside(&board, Application::Classify);
        let built = given.build_for(&board, Application::Classify).expect("it fits").build;
        assert!(built.features.contains(&"firmware/whole-clips"), "{built:?}");
        board.ram.length -= 4;
        let error = given.build_for(&board, Application::Classify).expect_err("too little").to_string();
        let wanted = "32000 of them are for a clip's samples on the serial port: `verify` does without";
        assert!(error.contains(wanted), "{error}");
        let built = given.build_for(&board, Application::Verify).expect("it does without").build;
        assert!(!built.features.contains(&"firmware/whole-clips"), "{built:?}");
    }
}
