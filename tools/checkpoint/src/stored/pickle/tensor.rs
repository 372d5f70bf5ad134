//! Tensors of a pickle of PyTorch: a view of a storage, whose bytes lie elsewhere in the file.

use std::collections::HashMap;
use std::ops::Range;

use super::value::{Id, Node, Pickle};
use crate::stored::{Element, View};

/// Storages by their key: where their bytes lie in the file.
pub(super) type Storages = HashMap<String, Range<usize>>;

/// Storages' classes and `torch.dtype`s: name and element type.
const ELEMENTS: [(&str, &str, Element); 10] = [
    ("DoubleStorage", "float64", Element::F64),
    ("FloatStorage", "float32", Element::F32),
    ("HalfStorage", "float16", Element::F16),
    ("BFloat16Storage", "bfloat16", Element::BF16),
    ("LongStorage", "int64", Element::Other("int64", 8)),
    ("IntStorage", "int32", Element::Other("int32", 4)),
    ("ShortStorage", "int16", Element::Other("int16", 2)),
    ("CharStorage", "int8", Element::Other("int8", 1)),
    ("ByteStorage", "uint8", Element::Other("uint8", 1)),
    ("BoolStorage", "bool", Element::Other("bool", 1)),
];

/// Most parameters and subclasses around a tensor.
const WRAPPED: usize = 8;

/// Classes that add nothing to a tensor's values.
const PLAIN: [&str; 4] =
    ["torch.Tensor", "torch._tensor.Tensor", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer"];

/// True if a value is a tensor of any kind.
pub(super) fn is_tensor(pickle: &Pickle<'_>, id: Id) -> bool {
    pickle.call(id).is_some_and(|(name, _)| {
        name.starts_with("torch._utils._rebuild_") || name.starts_with("torch._tensor._rebuild_")
    })
}

/// A tensor's view of the file; an error is the reason that it cannot be read.
pub(super) fn view(pickle: &Pickle<'_>, mut id: Id, storages: &Storages) -> Result<View, String> {
    for _ in 0..WRAPPED {
        let Some((name, mut args)) = pickle.call(id) else { break };
        let mut name = name;
        if name == "torch._tensor._rebuild_from_type_v2" {
            let [func, class, inner, ..] = args else { break };
            match pickle.global(*class) {
                Some(class) if PLAIN.contains(&class) => {}
                class => return Err(format!("a tensor of the class `{}`", class.unwrap_or("?"))),
            }
            (name, args) = match (pickle.global(*func), pickle.tuple(*inner)) {
                (Some(name), Some(args)) => (name, args),
                _ => break,
            };
        }
        match (name, args) {
            ("torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state", [inner, ..]) => {
                id = *inner;
            }
            (
                "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2",
                [storage, offset, shape, strides, ..],
            ) => return plain(pickle, *storage, None, [*offset, *shape, *strides], storages),
            ("torch._utils._rebuild_tensor_v3", [storage, offset, shape, strides, _, _, kind, ..]) => {
                return plain(pickle, *storage, Some(*kind), [*offset, *shape, *strides], storages);
            }
            (name, _) => return Err(format!("a tensor made by `{name}`")),
        }
    }
    Err("no tensor that PyTorch would make".into())
}

fn plain(
    pickle: &Pickle<'_>,
    storage: Id,
    kind: Option<Id>,
    [offset, shape, strides]: [Id; 3],
    storages: &Storages,
) -> Result<View, String> {
    const WRONG: &str = "no storage that PyTorch would write";
    let Node::Persistent(storage) = pickle.nodes[storage] else {
        return Err("its storage is within the pickle, as pickle.dump writes it; torch.save writes it beside".into());
    };
    let Some([_, class, key, ..]) = pickle.tuple(storage) else { return Err(WRONG.into()) };
    let (class, key) = (pickle.global(*class).ok_or(WRONG)?, pickle.text(*key).ok_or(WRONG)?);
    let name = match kind {
        Some(kind) => pickle.global(kind).ok_or(WRONG)?,
        None => class,
    };
    let name = name.strip_prefix("torch.").unwrap_or(name);
    let element = ELEMENTS.iter().find(|(storage, dtype, _)| *storage == name || *dtype == name);
    let (.., element) = element.ok_or_else(|| format!("a tensor of `torch.{name}`"))?;
    let sizes = |id| pickle.sizes(id).ok_or("sizes that are none");
    let (offset, shape, strides) = (pickle.size(offset).ok_or("sizes that are none")?, sizes(shape)?, sizes(strides)?);
    let bytes = storages.get(key).ok_or_else(|| format!("its storage `{key}` is not in the file"))?;
    View { shape, strides, offset, element: *element, bytes: bytes.clone() }.checked()
}

/// Bytes of an element of every storage that the pickle names, by key.
pub(super) fn sizes<'p>(pickle: &'p Pickle<'_>) -> HashMap<&'p str, usize> {
    let size = |node: &'p Node<'_>| {
        let Node::Persistent(id) = node else { return None };
        let [_, class, key, ..] = pickle.tuple(*id)? else { return None };
        let class = pickle.global(*class)?.strip_prefix("torch.")?;
        let (.., element) = ELEMENTS.iter().find(|(storage, ..)| *storage == class)?;
        Some((pickle.text(*key)?, element.size()))
    };
    pickle.nodes.iter().filter_map(size).collect()
}
