//! Values of a pickle, by number in one list, and what they mean as Python's own types.

use std::borrow::Cow;

use serde_json::{Map, Number, Value};

/// Number of a value.
pub(super) type Id = usize;

/// A value.
pub(super) enum Node<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// An integer beyond 64 bits, little-endian.
    Long(&'a [u8]),
    Float(f64),
    Text(Cow<'a, str>),
    Bytes(&'a [u8]),
    Tuple(Vec<Id>),
    /// A list or set.
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// Name of a class or function, `module.name`.
    Global(String),
    /// Reference to data outside of the pickle: a storage of PyTorch.
    Persistent(Id),
    Object(Box<Object>),
}

/// Object that Python would have made by calling `class` with `args`, and then given attributes and items.
pub(super) struct Object {
    pub(super) class: Id,
    pub(super) args: Id,
    pub(super) state: Option<Id>,
    pub(super) items: Vec<(Id, Id)>,
    pub(super) list: Vec<Id>,
}

/// All values of a pickle.
pub(super) struct Pickle<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    pub(super) root: Id,
}

/// Values of one that settings may have, and their depth: a pickle may name one value a million times.
const MOST_SETTINGS: usize = 1 << 16;
const DEEPEST: usize = 16;

impl Pickle<'_> {
    pub(super) fn text(&self, id: Id) -> Option<&str> {
        if let Node::Text(text) = &self.nodes[id] { Some(text) } else { None }
    }

    pub(super) fn size(&self, id: Id) -> Option<usize> {
        if let Node::Int(number) = self.nodes[id] { usize::try_from(number).ok() } else { None }
    }

    pub(super) fn tuple(&self, id: Id) -> Option<&[Id]> {
        if let Node::Tuple(items) = &self.nodes[id] { Some(items) } else { None }
    }

    pub(super) fn sizes(&self, id: Id) -> Option<Vec<usize>> {
        // `torch.Size` is a tuple of a class of its own.
        let items = match self.call(id) {
            Some(("torch.Size", args)) => self.tuple(*args.first()?)?,
            _ => self.tuple(id)?,
        };
        items.iter().map(|&item| self.size(item)).collect()
    }

    pub(super) fn global(&self, id: Id) -> Option<&str> {
        if let Node::Global(name) = &self.nodes[id] { Some(name) } else { None }
    }

    pub(super) fn object(&self, id: Id) -> Option<&Object> {
        if let Node::Object(object) = &self.nodes[id] { Some(object) } else { None }
    }

    /// Name and arguments of a call.
    pub(super) fn call(&self, id: Id) -> Option<(&str, &[Id])> {
        let object = self.object(id)?;
        Some((self.global(object.class)?, self.tuple(object.args)?))
    }

    /// Class of an object, through copyreg's ways to make one.
    pub(super) fn class(&self, id: Id) -> Option<&str> {
        match self.call(id)? {
            ("copyreg._reconstructor" | "copy_reg._reconstructor" | "copyreg.__newobj__", args) => {
                self.global(*args.first()?)
            }
            (name, _) => Some(name),
        }
    }

    /// Items of a dict, or of a class that is one.
    pub(super) fn mapping(&self, id: Id) -> Option<Vec<(&str, Id)>> {
        let items = match &self.nodes[id] {
            Node::Dict(items) => Cow::Borrowed(items),
            Node::Object(object) => match self.class(id)? {
                "collections.OrderedDict" if object.items.is_empty() => Cow::Owned(self.pairs(object)?),
                "collections.OrderedDict" | "collections.defaultdict" => Cow::Borrowed(&object.items),
                _ if object.items.is_empty() => return None,
                _ => Cow::Borrowed(&object.items),
            },
            _ => return None,
        };
        items.iter().map(|&(key, value)| Some((self.text(key)?, value))).collect()
    }

    /// Items of an `OrderedDict` that were given as its argument, as Python 2 does.
    fn pairs(&self, object: &Object) -> Option<Vec<(Id, Id)>> {
        let Some(&list) = self.tuple(object.args)?.first() else { return Some(Vec::new()) };
        let Node::List(pairs) = &self.nodes[list] else { return None };
        let pair = |&id: &Id| match &self.nodes[id] {
            Node::List(pair) | Node::Tuple(pair) => pair.as_chunks::<2>().0.first().map(|&[key, value]| (key, value)),
            _ => None,
        };
        pairs.iter().map(pair).collect()
    }

    /// Texts of a set or list, through the class `set` of protocols that have no opcode for it.
    pub(super) fn texts(&self, id: Id) -> Option<Vec<&str>> {
        let items = match &self.nodes[id] {
            Node::List(items) => items,
            Node::Object(_) => match self.call(id)? {
                ("builtins.set" | "__builtin__.set", &[list]) => return self.texts(list),
                _ => return None,
            },
            _ => return None,
        };
        items.iter().map(|&item| self.text(item)).collect()
    }

    /// Bytes, in the older protocols a text of their codes.
    fn bytes(&self, id: Id) -> Option<Cow<'_, [u8]>> {
        match (&self.nodes[id], self.call(id)) {
            (Node::Bytes(bytes), _) => Some(Cow::Borrowed(bytes)),
            (_, Some(("_codecs.encode", [text, ..]))) => self
                .text(*text)?
                .chars()
                .map(|code| u8::try_from(u32::from(code)).ok())
                .collect::<Option<_>>()
                .map(Cow::Owned),
            _ => None,
        }
    }

    /// A number of numpy.
    fn scalar(&self, id: Id) -> Option<Value> {
        let ("numpy.core.multiarray.scalar" | "numpy._core.multiarray.scalar", [dtype, bytes]) = self.call(id)? else {
            return None;
        };
        let ("numpy.dtype", [name, ..]) = self.call(*dtype)? else { return None };
        let bytes = self.bytes(*bytes)?;
        Some(match self.text(*name)? {
            "f8" => f64::from_le_bytes(bytes.as_ref().try_into().ok()?).into(),
            "f4" => f32::from_le_bytes(bytes.as_ref().try_into().ok()?).into(),
            "i8" => i64::from_le_bytes(bytes.as_ref().try_into().ok()?).into(),
            "i4" => i32::from_le_bytes(bytes.as_ref().try_into().ok()?).into(),
            "b1" => (*bytes != [0]).into(),
            _ => return None,
        })
    }

    /// Attributes of an object, or of a dict as it is.
    pub(super) fn attributes(&self, id: Id) -> Option<Vec<(&str, Id)>> {
        match self.object(id).and_then(|object| object.state) {
            Some(state) => self.mapping(state),
            None => self.mapping(id),
        }
    }

    /// A value as settings: what JSON can say; an object is its attributes.
    pub(super) fn json(&self, id: Id) -> Option<Value> {
        let mut count = 0;
        self.json_within(id, 0, &mut count).filter(|_| count <= MOST_SETTINGS)
    }

    fn json_within(&self, id: Id, depth: usize, count: &mut usize) -> Option<Value> {
        *count += 1;
        if depth > DEEPEST || *count > MOST_SETTINGS {
            return None;
        }
        let mut list = |items: &[Id]| -> Option<Value> {
            items.iter().map(|&item| self.json_within(item, depth + 1, count)).collect()
        };
        match &self.nodes[id] {
            Node::None => Some(Value::Null),
            Node::Bool(flag) => Some((*flag).into()),
            Node::Int(number) => Some((*number).into()),
            Node::Float(number) => Number::from_f64(*number).map(Value::Number),
            Node::Text(text) => Some(text.as_ref().into()),
            Node::Tuple(items) | Node::List(items) => list(items),
            Node::Dict(_) | Node::Object(_) => {
                if let Some(number) = self.scalar(id) {
                    return Some(number);
                }
                let mut map = Map::new();
                for (key, value) in self.attributes(id)? {
                    // What JSON cannot say is no setting.
                    if let Some(value) = self.json_within(value, depth + 1, count) {
                        map.insert(key.into(), value);
                    }
                }
                Some(Value::Object(map))
            }
            _ => None,
        }
    }

    /// A value's kind, for a message.
    pub(super) fn kind(&self, id: Id) -> String {
        match &self.nodes[id] {
            Node::None => "None".into(),
            Node::Bool(_) | Node::Int(_) | Node::Long(_) | Node::Float(_) => "a number".into(),
            Node::Text(_) => "a text".into(),
            Node::Bytes(_) => "bytes".into(),
            Node::Tuple(_) => "a tuple".into(),
            Node::List(_) => "a list".into(),
            Node::Dict(_) => "a dict".into(),
            Node::Global(name) => format!("the class or function `{name}`"),
            Node::Persistent(_) => "a storage".into(),
            Node::Object(_) => match self.class(id) {
                Some(class) => format!("a `{class}`"),
                None => "an object".into(),
            },
        }
    }
}
