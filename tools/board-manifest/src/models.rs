//! The default models: the folders of `models/` that have a `model.toml`, named nowhere else.
//!
//! ```text
//! models/NAME/model.toml ──► order, programs, fixtures, held-out text ──┐
//!             NAME.tbf, NAME-PACK.tbf ──► kind of model, its dimensions ──┴─► DefaultModel
//! ```

use crate::image::{Image, is_for};
use crate::inputs::watch;
use crate::manifest::Application;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use thumbformer::{Input, Model};

/// The file that makes a folder a default model.
const FILE: &str = "model.toml";

/// A kind of model, by what its image reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Tokens: a language model.
    Language,
    /// Frames, an answer for each.
    Stream,
    /// Frames of a whole clip.
    Clip,
}

impl Kind {
    /// The kind of a model.
    pub fn of(model: &Model<'_>) -> Kind {
        let dims = model.dims();
        match dims.options.input {
            Input::Tokens => Kind::Language,
            _ if dims.is_causal() => Kind::Stream,
            _ => Kind::Clip,
        }
    }
}

/// A default model's folder, read.
#[derive(Clone, Debug)]
pub struct DefaultModel {
    /// The name of its folder and of its images.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// The programs that show it.
    pub programs: Vec<Application>,
    /// Recordings for it, a folder; a language model has none.
    pub fixtures: Option<PathBuf>,
    /// Text that a language model was not trained on.
    pub held_out: Option<PathBuf>,
    /// Text that it was trained on, for int4.
    pub calibration: Option<PathBuf>,
}

/// A file `model.toml`; its paths are relative to its folder.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Facts {
    order: u32,
    programs: Vec<Application>,
    fixtures: Option<PathBuf>,
    held_out: Option<PathBuf>,
    calibration: Option<PathBuf>,
}

/// The default models of a folder, in the order in which programs with several take them.
///
/// # Errors
/// When there is none, or a `model.toml` is no such file.
pub fn default_models(models: &Path) -> Result<Vec<DefaultModel>> {
    let entries = std::fs::read_dir(models).with_context(|| format!("{}: no folder of models", models.display()))?;
    watch(models);
    let mut found = Vec::new();
    for entry in entries {
        let folder = entry?.path();
        let file = folder.join(FILE);
        if !file.is_file() {
            continue;
        }
        watch(&file);
        let text = std::fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
        let facts: Facts = toml::from_str(&text).with_context(|| format!("{}", file.display()))?;
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let inside = |path: Option<PathBuf>| path.map(|path| folder.join(path));
        let (fixtures, held_out) = (inside(facts.fixtures), inside(facts.held_out));
        let (calibration, programs) = (inside(facts.calibration), facts.programs);
        found.push((facts.order, DefaultModel { name, folder, programs, fixtures, held_out, calibration }));
    }
    ensure!(!found.is_empty(), "{}: no folder in it has a {FILE}", models.display());
    found.sort_by(|(order, model), (other, than)| (order, &model.name).cmp(&(other, &than.name)));
    Ok(found.into_iter().map(|(_, model)| model).collect())
}

/// The default models that a program shows.
///
/// # Errors
/// As [`default_models`].
pub fn shown_by(application: Application, models: &Path) -> Result<Vec<DefaultModel>> {
    let mut found = default_models(models)?;
    found.retain(|model| model.programs.contains(&application));
    Ok(found)
}

/// The first default model of a kind.
///
/// # Errors
/// When there is none, or as [`default_models`] and [`DefaultModel::image`].
pub fn first(kind: Kind, models: &Path) -> Result<DefaultModel> {
    for found in default_models(models)? {
        if Kind::of(&found.image()?.model()?) == kind {
            return Ok(found);
        }
    }
    anyhow::bail!("{}: no default model is of the kind {kind:?}; see models/*/{FILE}", models.display())
}

impl DefaultModel {
    /// The image for this machine, a file.
    pub fn file(&self) -> PathBuf {
        self.folder.join(&self.name).with_extension("tbf")
    }

    /// The image of a packing, a file.
    pub fn packed(&self, pack: &str) -> PathBuf {
        self.folder.join(format!("{}-{pack}.tbf", self.name))
    }

    /// The float checkpoint, a folder.
    pub fn checkpoint(&self) -> PathBuf {
        self.folder.join("checkpoint")
    }

    /// The image for this machine.
    ///
    /// # Errors
    /// When it cannot be read, or contradicts `model.toml`.
    pub fn image(&self) -> Result<Image> {
        self.read(&self.file())
    }

    /// The image as a board takes it.
    ///
    /// # Errors
    /// As [`DefaultModel::image`].
    pub fn image_for(&self, pack: &str) -> Result<Image> {
        self.read(&self.packed(pack))
    }

    fn read(&self, file: &Path) -> Result<Image> {
        let facts = self.folder.join(FILE);
        let image = Image::read(file)?.named(&self.name).with_recordings(self.fixtures.as_deref());
        let model = image.model()?;
        for &application in &self.programs {
            ensure!(
                is_for(&model, application),
                "{}: the image reads {:?}, `{}` is for other models: take it out of `programs`",
                facts.display(),
                model.dims().options.input,
                application.name()
            );
        }
        ensure!(
            self.fixtures.is_some() || Kind::of(&model) == Kind::Language,
            "{}: the image reads {:?}, but there are no `fixtures`: name a folder of recordings",
            facts.display(),
            model.dims().options.input
        );
        Ok(image)
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, default_models, first, shown_by};
    use crate::manifest::Application;
    use std::path::{Path, PathBuf};
    use tempfile::TempDir;

    fn repository() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    /// A folder of models: those of the repository, and one more that is the motion model's images under another name.
    fn with_a_fourth(facts: &str) -> TempDir {
        let folder = TempDir::new().expect("a temporary folder");
        for model in default_models(&repository().join("models")).expect("the default models") {
            let names = [Some(model.name.as_str()), (Kind::of_default(&model) == Kind::Stream).then_some("fourth")];
            for name in names.into_iter().flatten() {
                let to = folder.path().join(name);
                std::fs::create_dir(&to).expect("a folder");
                std::fs::copy(model.file(), to.join(name).with_extension("tbf")).expect("a copy");
                std::fs::copy(model.packed("m4"), to.join(format!("{name}-m4.tbf"))).expect("a copy");
                std::fs::copy(model.folder.join("model.toml"), to.join("model.toml")).expect("a copy");
                let Some(fixtures) = &model.fixtures else { continue };
                std::fs::create_dir(to.join("fixtures")).expect("a folder");
                for file in std::fs::read_dir(fixtures).expect("fixtures") {
                    let file = file.expect("a file");
                    std::fs::copy(file.path(), to.join("fixtures").join(file.file_name())).expect("a copy");
                }
            }
        }
        std::fs::create_dir(folder.path().join("no-model")).expect("a folder");
        std::fs::rename(folder.path().join("fourth/fixtures"), folder.path().join("fourth/recordings"))
            .expect("a name");
        std::fs::write(folder.path().join("fourth/model.toml"), facts).expect("a file");
        folder
    }

    impl Kind {
        fn of_default(model: &super::DefaultModel) -> Kind {
            Kind::of(&model.image().expect("an image").model().expect("a model"))
        }
    }

    #[test]
    fn a_fourth_folder_appears_by_itself() {
        let facts = "order = 0\nprograms = [\"classify\", \"verify\"]\nfixtures = \"recordings\"\n";
        let folder = with_a_fourth(facts);
        let mut board = crate::find(&repository().join("boards"), "qemu-mps2-an386").expect("a board");
        (board.flash.length, board.ram.length) = (8 << 20, 8 << 20);
        let names = |application, models: &Path| -> Vec<String> {
            let found = crate::models(&board, application, models).expect("models");
            found.into_iter().map(|(image, _)| image.name).collect()
        };
        for application in Application::ALL {
            let mut expected = names(application, &repository().join("models"));
            match application {
                Application::Classify => expected.insert(0, "fourth".into()),
                // The other way around.
                Application::Verify => expected.push("fourth".into()),
                Application::Generate | Application::Bench => (),
            }
            assert_eq!(names(application, folder.path()), expected, "{application:?}");
        }
        let stream = first(Kind::Stream, folder.path()).expect("a stream");
        assert_eq!(stream.name, "fourth");
        assert_eq!(stream.image().expect("an image").recordings, Some(folder.path().join("fourth/recordings")));
    }

    #[test]
    fn a_model_toml_that_contradicts_its_image_or_has_other_keys_is_refused() {
        let table = [
            ("order = 4\nprograms = [\"generate\"]\nfixtures = \"recordings\"\n", "take it out of `programs`"),
            ("order = 4\nprograms = [\"classify\"]\n", "name a folder of recordings"),
            ("order = 4\nprograms = [\"sing\"]\nfixtures = \"recordings\"\n", "unknown variant `sing`"),
            ("order = 4\nprograms = []\nfixture = \"recordings\"\n", "unknown field `fixture`"),
        ];
        for (facts, expected) in table {
            let folder = with_a_fourth(facts);
            let images = default_models(folder.path())
                .and_then(|models| models.iter().try_for_each(|model| model.image().map(drop)));
            let error = format!("{:#}", images.expect_err("a contradiction"));
            assert!(error.contains(expected) && error.contains("fourth/model.toml"), "{facts}: {error}");
        }
    }

    #[test]
    fn every_default_model_has_what_its_file_names() {
        let models = repository().join("models");
        for model in default_models(&models).expect("the default models") {
            model.image().expect("an image");
            assert!(model.checkpoint().join("config.json").is_file(), "{}", model.name);
            assert!(model.fixtures.as_deref().is_none_or(Path::is_dir), "{}", model.name);
            for text in [&model.held_out, &model.calibration] {
                assert!(text.as_deref().is_none_or(Path::is_file), "{}: {text:?}", model.name);
            }
        }
        for application in Application::ALL {
            assert!(!shown_by(application, &models).expect("the default models").is_empty(), "{application:?}");
        }
    }
}
