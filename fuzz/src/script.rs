//! Changes of a sound file. JSON is changed by lines of text, which libFuzzer mutates better than JSON and a reader understands.
//!
//! ```text
//! /hidden_size=64                a JSON pointer, and the value that replaces what is there or is added
//! /rope_parameters/rope_type=x   what is no JSON is a string
//! /hidden_size=                  nothing: removed
//! ```

use serde_json::Value;

/// Applies a line; one that means nothing is left out.
pub fn change(root: &mut Value, line: &str) {
    let Some((pointer, text)) = line.split_once('=') else { return };
    let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.into()));
    let Some((parent, key)) = pointer.rsplit_once('/') else { return };
    let key = key.replace("~1", "/").replace("~0", "~");
    match root.pointer_mut(parent) {
        Some(Value::Object(map)) if text.is_empty() => _ = map.remove(&key),
        Some(Value::Object(map)) => _ = map.insert(key, value),
        Some(Value::Array(list)) => match key.parse::<usize>() {
            Ok(index) if index < list.len() && text.is_empty() => _ = list.remove(index),
            Ok(index) if index < list.len() => list[index] = value,
            _ => list.push(value),
        },
        _ => {}
    }
}

/// The first byte of an input as a choice of `count`, `0` for the first; and the rest as lines of text.
pub fn choice(data: &[u8], count: usize) -> (usize, &[u8]) {
    let (first, rest) = data.split_first().unwrap_or((&b'0', &[]));
    (usize::from(first.wrapping_sub(b'0')) % count, rest)
}

/// Changes a file by records of 7 bytes: a kind, a place, four bytes.
pub fn patched(base: &[u8], records: &[u8]) -> Vec<u8> {
    let mut bytes = base.to_vec();
    for [kind, a, b, value @ ..] in records.as_chunks::<7>().0 {
        let at = usize::from(u16::from_le_bytes([*a, *b])) % bytes.len().max(1);
        let (_, rest) = bytes.split_at_mut_checked(at).unwrap_or_default();
        match kind % 5 {
            0 => rest.iter_mut().zip(value).take(1).for_each(|(byte, &new)| *byte = new),
            1 => rest.iter_mut().zip(value).for_each(|(byte, &new)| *byte = new),
            2 => rest.iter_mut().zip(value.iter().chain(&[0; 4])).for_each(|(byte, &new)| *byte = new),
            3 => _ = bytes.splice(at..at, *value),
            _ => _ = bytes.splice(at..(at + usize::from(value[0])).min(bytes.len()), []),
        }
    }
    bytes
}
