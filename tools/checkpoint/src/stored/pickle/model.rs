//! The model in a pickle: a state dict, the dict around it, or a whole module, which reads like its state dict.

use serde_json::{Value, json};

use super::tensor::is_tensor;
use super::value::{Id, Node, Pickle};

/// Names and tensors, and what lies beside them.
#[derive(Default)]
pub(super) struct Model {
    pub(super) tensors: Vec<(String, Id)>,
    /// Sentence on where it was found, if it is not a state dict by itself.
    pub(super) note: Option<String>,
    /// Settings of the network, as `config.json` has them, and the key that they stood under.
    pub(super) settings: Option<(&'static str, Value)>,
    pub(super) labels: Option<Value>,
}

/// Most tensors and modules, which a module that contains itself would have without end.
const MOST: usize = 1 << 16;

/// Next step with a pickle that holds no state dict.
const NEXT: &str = "save the state dict: torch.save(model.state_dict(), \"model.pt\")";

/// Keys of a training's state, which is no model.
const TRAINING: [&str; 7] = ["optim", "sched", "scaler", "rng", "loop", "callback", "hook"];

/// Keys of what says how far a training is, and changes nothing.
const PROGRESS: [&str; 7] = ["epoch", "iter", "step", "loss", "version", "best", "seed"];

/// Keys of labels.
const LABELS: [&str; 5] = ["labels", "classes", "class_names", "label_names", "id2label"];

/// Finds the model; an error is what was found instead, and the next step.
pub(super) fn find(pickle: &Pickle<'_>) -> Result<Model, (String, String)> {
    let root = pickle.root;
    if is_module(pickle, root) {
        let note = format!("the whole module `{}` was pickled; its tensors are read", class(pickle, root));
        return Ok(Model { tensors: module(pickle, root)?, note: Some(note), ..Model::default() });
    }
    let Some(entries) = pickle.mapping(root) else {
        return Err((format!("{}, which is no state dict", pickle.kind(root)), next(pickle, root)));
    };
    let is_part = |name: &str| ["weight", "bias"].contains(&name.rsplit('.').next().unwrap_or(name));
    let is_flat = |(name, id): &(&str, Id)| is_tensor(pickle, *id) && is_part(name);
    if !entries.iter().any(is_flat) {
        let is_model = |(key, id): &&(&str, Id)| {
            let key = key.to_lowercase();
            !TRAINING.iter().any(|word| key.contains(word)) && (is_module(pickle, *id) || is_state_dict(pickle, *id))
        };
        match entries.iter().filter(is_model).collect::<Vec<_>>()[..] {
            [] => {}
            [(key, id)] => return within(pickle, &entries, key, *id),
            ref several => {
                let names: Vec<_> = several.iter().map(|(key, _)| format!("`{key}`")).collect();
                let next =
                    format!("save the one to convert: torch.save(checkpoint[\"{}\"], \"model.pt\")", several[0].0);
                return Err((format!("several models, {}", names.join(" and ")), next));
            }
        }
    }
    let tensors = tensors(pickle, &entries);
    if tensors.is_empty() {
        let keys: Vec<_> = entries.iter().take(12).map(|(key, _)| format!("`{key}`")).collect();
        let found = format!("a dict without tensors (its keys: {})", keys.join(", "));
        let unknown = entries.iter().find(|(_, id)| pickle.object(*id).is_some());
        return Err((found, unknown.map_or(NEXT.into(), |(_, id)| next(pickle, *id))));
    }
    let others: Vec<_> = entries.iter().filter(|(_, id)| !is_tensor(pickle, *id)).collect();
    let note = (!others.is_empty()).then(|| format!("not tensors, and not read: {}", list(pickle, &others)));
    Ok(Model { tensors: owned(&tensors), note, ..Model::default() })
}

/// The model at a key of a dict, and what it is told beside it.
fn within(pickle: &Pickle<'_>, entries: &[(&str, Id)], key: &str, id: Id) -> Result<Model, (String, String)> {
    let mut inner = pickle.mapping(id).unwrap_or_default();
    let tensors = if is_module(pickle, id) { module(pickle, id)? } else { owned(&tensors(pickle, &inner)) };
    let mut found = Model { tensors, ..Model::default() };
    let mut others = Vec::new();
    for entry @ (name, id) in entries.iter().filter(|(name, _)| *name != key) {
        let value = pickle.json(*id);
        match value {
            Some(args @ Value::Object(_)) if *name == "model_args" => {
                found.settings = Some(("model_args", named(args)));
            }
            Some(config @ Value::Object(_))
                if found.settings.is_none()
                    && (config.get("architecture").is_some() || config.get("model_type").is_some()) =>
            {
                found.settings = Some(("settings", config));
            }
            Some(Value::Array(names)) if LABELS.contains(name) && names.iter().all(Value::is_string) => {
                found.labels = Some(Value::Array(names));
            }
            _ if is_training(pickle, name, *id) => {}
            _ => others.push(entry),
        }
    }
    // Beside them, `config` is nanoGPT's and llama2.c's settings of the training.
    others.retain(|(name, _)| *name != "config" || found.settings.as_ref().is_none_or(|(key, _)| *key != "model_args"));
    inner.retain(|(_, id)| !is_tensor(pickle, *id));
    others.extend(&inner);
    let beside = match others[..] {
        [] => String::new(),
        _ => format!("; not read, though it may belong to what the model is given: {}", list(pickle, &others)),
    };
    let scales = |(name, _): &&(&str, Id)| ["scaler", "mean", "std"].iter().any(|word| name.contains(word));
    let scaled = match others.iter().copied().find(scales) {
        Some((name, _)) => {
            format!("; `{name}` is no part of the network: give recordings that are scaled as in the training")
        }
        None => String::new(),
    };
    found.note = Some(format!("the state dict is `{key}`{beside}{scaled}"));
    Ok(found)
}

/// True for what a training keeps to go on with: optimizers, and how far it is.
fn is_training(pickle: &Pickle<'_>, name: &str, id: Id) -> bool {
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    let items = pickle.mapping(id);
    // A GradScaler's state, or its empty one; another scaler scales inputs.
    let is_of_gradients =
        || items.as_ref().is_some_and(|it| it.is_empty() || it.iter().any(|(key, _)| *key == "growth_factor"));
    let is_simple =
        || matches!(pickle.nodes[id], Node::None | Node::Bool(_) | Node::Int(_) | Node::Float(_) | Node::Text(_));
    match name {
        _ if name.contains("scaler") => is_of_gradients(),
        _ if has(&TRAINING) => pickle.class(id).is_none() || items.is_some(),
        _ => {
            has(&PROGRESS) && (is_simple() || is_tensor(pickle, id) || pickle.json(id).is_some_and(|it| it.is_number()))
        }
    }
}

/// The model's settings under the name of their architecture, which nanoGPT and llama2.c do not write.
fn named(mut args: Value) -> Value {
    let architecture = match (args.get("n_embd"), args.get("dim")) {
        (Some(_), None) => "nanogpt",
        (None, Some(_)) => "llama2.c",
        _ => return args,
    };
    args["model_type"] = json!(architecture);
    args
}

/// Entries of a message, with what they are.
fn list(pickle: &Pickle<'_>, entries: &[&(&str, Id)]) -> String {
    let shown: Vec<_> = entries.iter().take(12).map(|(key, id)| format!("`{key}` ({})", kind(pickle, *id))).collect();
    shown.join(", ")
}

fn kind(pickle: &Pickle<'_>, id: Id) -> String {
    if is_tensor(pickle, id) { "a tensor".into() } else { pickle.kind(id) }
}

fn tensors<'e, 'p>(pickle: &Pickle<'_>, entries: &'e [(&'p str, Id)]) -> Vec<&'e (&'p str, Id)> {
    entries.iter().filter(|(_, id)| is_tensor(pickle, *id)).collect()
}

fn owned(entries: &[&(&str, Id)]) -> Vec<(String, Id)> {
    entries.iter().map(|(name, id)| (name.to_string(), *id)).collect()
}

fn class<'p>(pickle: &'p Pickle<'_>, id: Id) -> &'p str {
    pickle.class(id).unwrap_or("?")
}

/// The way that works for what somebody pickled instead.
fn next(pickle: &Pickle<'_>, id: Id) -> String {
    match pickle.class(id) {
        Some(class) if class.starts_with("sklearn.") || class.starts_with("xgboost.") => {
            "give the transformer's own file: what scikit-learn fits is no transformer".into()
        }
        _ => NEXT.into(),
    }
}

fn is_state_dict(pickle: &Pickle<'_>, id: Id) -> bool {
    pickle.mapping(id).is_some_and(|entries| entries.iter().any(|(_, id)| is_tensor(pickle, *id)))
}

/// True for an `nn.Module` of any class: nothing else has these attributes.
fn is_module(pickle: &Pickle<'_>, id: Id) -> bool {
    let Some(state) = pickle.object(id).and_then(|object| object.state) else { return false };
    let has = |name| pickle.mapping(state).is_some_and(|state| state.iter().any(|(key, _)| *key == name));
    has("_parameters") && has("_buffers") && has("_modules")
}

/// Tensors of a module by the names of its state dict: those of `_parameters` and `_buffers`, then those of `_modules`.
fn module(pickle: &Pickle<'_>, root: Id) -> Result<Vec<(String, Id)>, (String, String)> {
    let (mut tensors, mut rest, mut seen) = (Vec::new(), vec![(String::new(), root)], 0);
    while let Some((prefix, id)) = rest.pop() {
        seen += 1;
        let state = pickle.attributes(id).unwrap_or_default();
        let part = |name: &str| state.iter().find(|(key, _)| *key == name).map(|(_, id)| *id);
        let names = |name| part(name).and_then(|id| pickle.mapping(id)).unwrap_or_default();
        let hidden = part("_non_persistent_buffers_set").and_then(|id| pickle.texts(id)).unwrap_or_default();
        let buffers = names("_buffers").into_iter().filter(|(name, _)| !hidden.contains(name));
        for (name, id) in names("_parameters").into_iter().chain(buffers) {
            // `None` stands for a bias that a module does without.
            if is_tensor(pickle, id) {
                tensors.push((format!("{prefix}{name}"), id));
            }
        }
        // The last one is taken first.
        for (name, id) in names("_modules").into_iter().rev() {
            if pickle.object(id).is_some() {
                rest.push((format!("{prefix}{name}."), id));
            }
        }
        if seen + rest.len() + tensors.len() > MOST || prefix.len() > 1 << 10 {
            return Err(("a module without an end".into(), NEXT.into()));
        }
    }
    if tensors.is_empty() {
        return Err((format!("a `{}` without tensors", class(pickle, root)), NEXT.into()));
    }
    Ok(tensors)
}
