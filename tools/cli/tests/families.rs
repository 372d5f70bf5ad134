//! Models of every family that is imported, as transformers saves them, held to its outputs (`tests/golden/family_files.py`).

use safetensors::SafeTensors;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use thumbformer::observe::NoObserver;
use thumbformer::{Activation, Mask, Model, Norm, Pooling, Positions};
use thumbformer_checkpoint::Checkpoint;
use thumbformer_cli::convert::{Settings, convert};
use thumbformer_cli::verify::Sequence;
use thumbformer_cli::verify::suspects::suspects;
use thumbformer_reference::Reference;
use thumbformer_reference::metrics::Sqnr;

/// Least SQNR of the float reference to transformers, and of a changed model at most, in dB.
const SAME: f64 = 110.0;
const OTHER: f64 = 60.0;
/// Most that the engine loses more than PyTorch's fake quantization, in the mean and of one model, in dB.
const LOST: f64 = 0.5;
const LOST_OF_ONE: f64 = 2.5;

fn golden(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/families").join(file)
}

/// A model of the table, with its inputs and transformers' outputs for the first one.
struct Row {
    name: String,
    /// Class of transformers.
    class: String,
    /// SQNR of PyTorch's fake quantization, over all inputs.
    fake: f64,
    checkpoint: Checkpoint,
    inputs: Vec<Sequence>,
    outputs: Vec<f64>,
}

fn rows() -> Vec<Row> {
    let text = std::fs::read_to_string(golden("families.json")).expect("a table");
    let table: Value = serde_json::from_str(&text).expect("JSON");
    let row = |(name, facts): (&String, &Value)| {
        let checkpoint = Checkpoint::load(&golden(name), None).unwrap_or_else(|error| panic!("{error}"));
        let bytes = std::fs::read(golden(&format!("{name}/expected.safetensors"))).expect("vectors");
        let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
        let floats = |name: &str| -> Option<Vec<f32>> {
            let view = file.tensor(name).ok()?;
            Some(view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
        };
        let kind = if floats("tokens").is_some() { "tokens" } else { "frames" };
        let (all, shape) = (floats(kind).expect("inputs"), file.tensor(kind).expect("inputs").shape().to_vec());
        let inputs = all.chunks(shape[1..].iter().product());
        let inputs = inputs.map(|one| match kind {
            "tokens" => Sequence::Tokens(one.iter().map(|id| *id as u16).collect()),
            _ => Sequence::Frames(one.to_vec()),
        });
        let inputs = inputs.collect();
        let outputs = floats("outputs").expect("outputs").into_iter().map(f64::from).collect();
        let fake = facts["fake_quantization_db"].as_f64().expect("a number");
        let class = facts["class"].as_str().expect("a name").into();
        Row { name: name.clone(), class, fake, checkpoint, inputs, outputs }
    };
    table.as_object().expect("a table").iter().map(row).collect()
}

impl Row {
    /// SQNR of the float reference of a checkpoint to transformers; of one that it refuses, none.
    fn reference(&self, checkpoint: &Checkpoint) -> f64 {
        let found = self.inputs[0].expected(&Reference::new(checkpoint), &mut |_, _| ());
        let found = found.map_or(Vec::new(), |found| found.concat());
        let mut sqnr = Sqnr::default();
        if found.len() != self.outputs.len() {
            return f64::NEG_INFINITY;
        }
        sqnr.add(&self.outputs, &found);
        sqnr.decibels()
    }

    /// SQNR of the int8 engine to the float reference, over all inputs.
    fn engine(&self) -> f64 {
        let name = &self.name;
        let words = convert(&self.checkpoint, Settings::default(), &mut |_| ())
            .unwrap_or_else(|error| panic!("{name}: {error:#}"));
        let model = Model::parse(&words).unwrap_or_else(|error| panic!("{name}: {error}"));
        let (reference, options) = (Reference::new(&self.checkpoint), self.checkpoint.config.options);
        let mut sqnr = Sqnr::default();
        for input in &self.inputs {
            let expected = input.expected(&reference, &mut |_, _| ()).unwrap_or_else(|error| panic!("{name}: {error}"));
            let mut found = input.found(&model, &mut NoObserver).unwrap_or_else(|error| panic!("{name}: {error}"));
            if options.mask == Mask::Causal && options.pooling == Pooling::Last {
                // A step has the output of the sequence up to it.
                found.drain(..found.len() - 1);
            }
            assert_eq!(found.len(), expected.len(), "{name}");
            expected.iter().zip(&found).for_each(|(expected, found)| sqnr.add(expected, found));
        }
        sqnr.decibels()
    }
}

/// The table of docs/models.md, which this prints where the page has another.
#[test]
fn every_family_computes_what_transformers_does() {
    let (mut wrong, mut table, mut lost) = (String::new(), String::new(), Vec::new());
    for row in rows() {
        let (reference, engine) = (row.reference(&row.checkpoint), row.engine());
        let family = &row.checkpoint.architecture;
        table += &format!("| {family} | `{}` | {reference:.0} | {engine:.1} | {:.1} |\n", row.class, row.fake);
        lost.push(row.fake - engine);
        if reference < SAME || engine < 20.0 || engine < row.fake - LOST_OF_ONE {
            wrong +=
                &format!("{}: float {reference:.1} dB, int8 {engine:.1} dB, PyTorch {:.1} dB\n", row.name, row.fake);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    let mean = lost.iter().sum::<f64>() / lost.len() as f64;
    println!("{} models; the engine loses {mean:.2} dB more than PyTorch's fake quantization in the mean", lost.len());
    assert!(mean < LOST, "{mean}");
    let page = std::fs::read_to_string(golden("../../../docs/models.md")).expect("the page");
    assert!(page.contains(&format!("|---|\n{table}\n")), "docs/models.md: expected the rows\n{table}");
}

/// Each tensor and each option matters to the outputs, so that a wrong one would be seen.
#[test]
fn no_tensor_or_option_can_be_another_unseen() {
    let (mut wrong, mut count) = (String::new(), 0);
    for row in rows() {
        let dropped = row.checkpoint.tensors.iter().map(|(tensor, layer, _)| {
            let mut other = row.checkpoint.clone();
            other.tensors[(tensor, layer)].data.fill(0.0);
            (format!("{} of layer {layer} dropped", tensor.name()), other)
        });
        for (change, other) in dropped.chain(suspects(&row.checkpoint)).chain(options(&row.checkpoint)) {
            count += 1;
            let found = row.reference(&other);
            if found >= bound(&row.checkpoint, &change) {
                wrong += &format!("{}: {change}: {found:.1} dB\n", row.name);
            }
        }
    }
    println!("{count} changes, all below {OTHER} dB");
    assert!(wrong.is_empty(), "{wrong}");
}

/// Most SQNR of a changed model.
fn bound(checkpoint: &Checkpoint, change: &str) -> f64 {
    let options = &checkpoint.config.options;
    match change {
        // The two forms of GELU differ by 5e-4 at most.
        "activation = Gelu" if options.activation == Activation::GeluTanh => 95.0,
        "activation = GeluTanh" if options.activation == Activation::Gelu => 95.0,
        // Without rotation it adds the same to all scores of a query, which the softmax takes out again.
        _ if change.starts_with("KeyBias") && options.positions != Positions::Rotary => f64::INFINITY,
        // The same vector, as there is one class token.
        "pooling = MeanOfClass" if checkpoint.config.n_class == 1 => f64::INFINITY,
        _ => OTHER,
    }
}

/// Options that `suspects` does not change.
fn options(checkpoint: &Checkpoint) -> Vec<(String, Checkpoint)> {
    let mut found = Vec::new();
    let mut add = |name: &str, change: &dyn Fn(&mut Checkpoint)| {
        let mut other = checkpoint.clone();
        change(&mut other);
        if other.config != checkpoint.config {
            found.push((name.to_string(), other));
        }
    };
    add("the other norm", &|c| {
        c.config.options.norm = if c.config.options.norm == Norm::Rms { Norm::Layer } else { Norm::Rms }
    });
    add("another window", &|c| c.config.sliding_window = c.config.sliding_window.map(|window| window + 1));
    found
}

/// Another value of a key.
fn another(value: &Value) -> Value {
    match value {
        Value::Bool(flag) => Value::Bool(!flag),
        Value::Number(number) => json!(number.as_f64().expect("a number") * 2.0 + 1.0),
        Value::String(_) => json!("another"),
        Value::Array(list) if list.iter().all(Value::is_number) => list.iter().map(another).collect(),
        Value::Array(_) => json!(["another"]),
        Value::Object(_) => json!({"another": 1}),
        Value::Null => json!(7),
    }
}

/// Every key that transformers writes is refused with another value, or changes what is computed, or is listed in docs/importers.md.
#[test]
fn no_key_of_a_configuration_is_ignored() {
    let page = std::fs::read_to_string(golden("../../../docs/importers.md")).expect("the page");
    let (mut count, mut wrong) = (0, String::new());
    for row in rows() {
        let text = std::fs::read_to_string(golden(&format!("{}/config.json", row.name))).expect("a config");
        let config: Value = serde_json::from_str(&text).expect("JSON");
        for (key, value) in config.as_object().expect("keys") {
            let folder = tempfile::TempDir::new().expect("a folder");
            for file in ["model.safetensors", "modules.json", "1_Pooling/config.json"] {
                let (from, to) = (golden(&row.name).join(file), folder.path().join(file));
                if from.is_file() {
                    std::fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
                    std::fs::copy(from, to).expect("a copy");
                }
            }
            let mut changed = config.clone();
            changed[key] = another(value);
            std::fs::write(folder.path().join("config.json"), changed.to_string()).expect("a config");
            let found = Checkpoint::load(folder.path(), None);
            let is_same = found
                .is_ok_and(|found| found.config == row.checkpoint.config && found.tensors == row.checkpoint.tensors);
            count += 1;
            if is_same && !page.contains(&format!("`{key}`")) {
                wrong += &format!("{}: {key} = {}\n", row.name, changed[key]);
            }
        }
    }
    println!("{count} keys with another value");
    assert!(wrong.is_empty(), "of no effect, and not in docs/importers.md:\n{wrong}");
}
