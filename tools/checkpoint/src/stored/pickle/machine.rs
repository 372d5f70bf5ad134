//! The pickle machine: a program of opcodes becomes a graph of values. It calls nothing and knows no class: what Python would call
//! is an [`Object`] that says so.
//!
//! Protocols 0 to 5, as Python's `pickletools` documents them. An opcode makes at most one value, so memory is bounded by the length
//! of the program, and values refer to each other by number, so that nothing here or in a drop recurses.

use std::borrow::Cow;
use std::collections::HashMap;

use super::value::{Id, Node, Object, Pickle};

/// Most values of a pickle; a state dict has about twenty for each tensor.
const MOST: usize = 1 << 22;

/// The opcodes' stack, and what was made so far.
struct Machine<'a> {
    rest: &'a [u8],
    nodes: Vec<Node<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack at the marks.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
}

/// Runs one pickle; returns its values and the bytes behind it. An error is the reason that it is none.
pub(super) fn run(bytes: &[u8]) -> Result<(Pickle<'_>, &[u8]), String> {
    let mut machine =
        Machine { rest: bytes, nodes: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
    loop {
        let at = bytes.len() - machine.rest.len();
        let code = machine.byte().map_err(|reason| format!("{reason} at byte {at}"))?;
        if code == b'.' {
            let root = machine.pop()?;
            return Ok((Pickle { nodes: machine.nodes, root }, machine.rest));
        }
        machine.step(code).map_err(|reason| format!("{reason} at byte {at}"))?;
    }
}

impl<'a> Machine<'a> {
    fn step(&mut self, code: u8) -> Result<(), String> {
        match code {
            // Protocol, frame: no values.
            0x80 => drop(self.byte()?),
            0x95 => drop(self.take(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_mark()?),
            b'2' => self.stack.push(self.top()?),
            b'N' => self.push(Node::None)?,
            0x88 => self.push(Node::Bool(true))?,
            0x89 => self.push(Node::Bool(false))?,
            b'I' | b'L' | b'J' | b'K' | b'M' | 0x8a | 0x8b | b'F' | b'G' => self.number(code)?,
            b'S' | b'T' | b'U' | b'V' | b'X' | 0x8c | 0x8d => self.text(code)?,
            b'B' | b'C' | 0x8e | 0x96 => self.bytes(code)?,
            b')' | b't' | 0x85..=0x87 | b']' | b'l' | b'a' | b'e' | 0x8f..=0x91 => self.sequence(code)?,
            b'}' | b'd' | b's' | b'u' => self.mapping(code)?,
            b'c' | b'i' | b'o' | b'R' | b'b' | b'Q' | 0x81 | 0x92 | 0x93 => self.object(code)?,
            b'p' | b'q' | b'r' | 0x94 | b'g' | b'h' | b'j' => self.remember(code)?,
            0x82..=0x84 => return Err("a global of copyreg's extension registry".into()),
            0x97 | 0x98 => return Err("a buffer outside of the pickle".into()),
            other => return Err(format!("no opcode: 0x{other:02x}")),
        }
        Ok(())
    }

    fn number(&mut self, code: u8) -> Result<(), String> {
        let node = match code {
            b'J' => Node::Int(i32::from_le_bytes(self.array()?).into()),
            b'K' => Node::Int(self.byte()?.into()),
            b'M' => Node::Int(u16::from_le_bytes(self.array()?).into()),
            b'G' => Node::Float(f64::from_be_bytes(self.array()?)),
            b'F' => Node::Float(self.line()?.parse().map_err(|_| "no number")?),
            b'I' | b'L' => match self.line()? {
                "00" if code == b'I' => Node::Bool(false),
                "01" if code == b'I' => Node::Bool(true),
                line => Node::Int(line.trim_end_matches('L').parse().map_err(|_| "no number")?),
            },
            _ => {
                let size = if code == 0x8a { self.byte()?.into() } else { u32::from_le_bytes(self.array()?) as usize };
                let bytes = self.take(size)?;
                match bytes {
                    [] => Node::Int(0),
                    [.., last] if bytes.len() <= 8 => {
                        let mut wide = [if *last >= 0x80 { 0xFF } else { 0 }; 8];
                        wide[..bytes.len()].copy_from_slice(bytes);
                        Node::Int(i64::from_le_bytes(wide))
                    }
                    _ => Node::Long(bytes),
                }
            }
        };
        self.push(node)
    }

    fn text(&mut self, code: u8) -> Result<(), String> {
        let text = match code {
            b'S' => Cow::Borrowed(self.line()?.trim_matches(['\'', '"'])),
            b'V' => match self.line()? {
                line if line.contains('\\') => return Err("an escaped text of protocol 0".into()),
                line => Cow::Borrowed(line),
            },
            // Texts of Python 2, whose encoding nobody knows.
            b'T' | b'U' => {
                let size = if code == b'U' { self.byte()?.into() } else { u32::from_le_bytes(self.array()?) as usize };
                String::from_utf8_lossy(self.take(size)?)
            }
            _ => {
                let size = match code {
                    b'X' => u32::from_le_bytes(self.array()?).into(),
                    0x8c => self.byte()?.into(),
                    _ => u64::from_le_bytes(self.array()?),
                };
                let bytes = self.take(usize::try_from(size).map_err(|_| "it is cut short")?)?;
                Cow::Borrowed(std::str::from_utf8(bytes).map_err(|_| "a text that is not UTF-8")?)
            }
        };
        self.push(Node::Text(text))
    }

    fn bytes(&mut self, code: u8) -> Result<(), String> {
        let size = match code {
            b'B' => u32::from_le_bytes(self.array()?).into(),
            b'C' => self.byte()?.into(),
            _ => u64::from_le_bytes(self.array()?),
        };
        let bytes = self.take(usize::try_from(size).map_err(|_| "it is cut short")?)?;
        self.push(Node::Bytes(bytes))
    }

    fn sequence(&mut self, code: u8) -> Result<(), String> {
        match code {
            b')' => self.push(Node::Tuple(Vec::new())),
            b']' | 0x8f => self.push(Node::List(Vec::new())),
            0x85..=0x87 => {
                let mut items = vec![self.pop()?];
                for _ in 0x85..code {
                    items.insert(0, self.pop()?);
                }
                self.push(Node::Tuple(items))
            }
            b't' | b'l' | 0x91 => {
                let items = self.pop_mark()?;
                self.push(if code == b't' { Node::Tuple(items) } else { Node::List(items) })
            }
            _ => {
                let items = if code == b'a' { vec![self.pop()?] } else { self.pop_mark()? };
                match self.node()? {
                    Node::List(list) => list.extend(items),
                    Node::Object(object) => object.list.extend(items),
                    _ => return Err("items for what is no list".into()),
                }
                Ok(())
            }
        }
    }

    fn mapping(&mut self, code: u8) -> Result<(), String> {
        let flat = match code {
            b'}' => Vec::new(),
            b's' => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
            _ => self.pop_mark()?,
        };
        let (pairs, []) = flat.as_chunks::<2>() else { return Err("a key without a value".into()) };
        let pairs = pairs.iter().map(|&[key, value]| (key, value));
        if matches!(code, b'}' | b'd') {
            let pairs = pairs.collect();
            return self.push(Node::Dict(pairs));
        }
        match self.node()? {
            Node::Dict(items) => items.extend(pairs),
            Node::Object(object) => object.items.extend(pairs),
            _ => return Err("a key of what is no mapping".into()),
        }
        Ok(())
    }

    fn object(&mut self, code: u8) -> Result<(), String> {
        match code {
            b'c' => {
                let global = format!("{}.{}", self.line()?, self.line()?);
                self.push(Node::Global(global))
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Node::Text(module), Node::Text(name)) = (&self.nodes[module], &self.nodes[name]) else {
                    return Err("a global without a name".into());
                };
                let global = format!("{module}.{name}");
                self.push(Node::Global(global))
            }
            b'Q' => {
                let id = self.pop()?;
                self.push(Node::Persistent(id))
            }
            b'b' => {
                let state = self.pop()?;
                if let Node::Object(object) = self.node()? {
                    object.state = Some(state);
                }
                // The attributes of a mapping or list (`_metadata` of a state dict) are none of its items.
                Ok(())
            }
            b'i' | b'o' => {
                let mut args = self.pop_mark()?;
                let class = if code == b'i' {
                    let global = format!("{}.{}", self.line()?, self.line()?);
                    self.make(Node::Global(global))?
                } else if args.is_empty() {
                    return Err("an object without a class".into());
                } else {
                    args.remove(0)
                };
                let args = self.make(Node::Tuple(args))?;
                self.push_object(class, args)
            }
            _ => {
                if code == 0x92 {
                    // Arguments by name, which no class that is read here takes.
                    self.pop()?;
                }
                let (args, class) = (self.pop()?, self.pop()?);
                self.push_object(class, args)
            }
        }
    }

    fn remember(&mut self, code: u8) -> Result<(), String> {
        let index = match code {
            0x94 => self.memo.len() as u64,
            b'q' | b'h' => self.byte()?.into(),
            b'r' | b'j' => u32::from_le_bytes(self.array()?).into(),
            _ => self.line()?.parse().map_err(|_| "no number")?,
        };
        if matches!(code, b'g' | b'h' | b'j') {
            let id = *self.memo.get(&index).ok_or("a memo that was never put")?;
            self.stack.push(id);
        } else {
            let id = self.top()?;
            self.memo.insert(index, id);
        }
        Ok(())
    }

    fn make(&mut self, node: Node<'a>) -> Result<Id, String> {
        if self.nodes.len() == MOST {
            return Err(format!("more than {MOST} values"));
        }
        self.nodes.push(node);
        Ok(self.nodes.len() - 1)
    }

    fn push(&mut self, node: Node<'a>) -> Result<(), String> {
        let id = self.make(node)?;
        self.stack.push(id);
        Ok(())
    }

    fn push_object(&mut self, class: Id, args: Id) -> Result<(), String> {
        let object = Object { class, args, state: None, items: Vec::new(), list: Vec::new() };
        self.push(Node::Object(Box::new(object)))
    }

    /// The value on top of the stack, above the last mark.
    fn top(&self) -> Result<Id, String> {
        let floor = self.marks.last().copied().unwrap_or(0);
        self.stack[floor..].last().copied().ok_or("an empty stack".into())
    }

    fn pop(&mut self) -> Result<Id, String> {
        let id = self.top()?;
        self.stack.pop();
        Ok(id)
    }

    fn pop_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().ok_or("no mark")?;
        Ok(self.stack.split_off(mark))
    }

    fn node(&mut self) -> Result<&mut Node<'a>, String> {
        let id = self.top()?;
        Ok(&mut self.nodes[id])
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or("it is cut short")?;
        self.rest = rest;
        Ok(bytes)
    }

    fn byte(&mut self) -> Result<u8, String> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or("it is cut short")?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn line(&mut self) -> Result<&'a str, String> {
        let end = self.rest.iter().position(|&byte| byte == b'\n').ok_or("it is cut short")?;
        let line = self.take(end + 1)?;
        std::str::from_utf8(&line[..end]).map_err(|_| "a line that is not UTF-8".into())
    }
}
