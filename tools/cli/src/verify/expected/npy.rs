//! numpy's arrays: `.npy`, and `.npz`, a zip of them.
//!
//! # Source
//! NumPy's description of its format, `numpy.lib.format`: a magic of 6 bytes, version, length of the header, a Python dictionary with
//! `descr`, `fortran_order` and `shape`, the numbers.

use super::array::{Array, Number};
use anyhow::{Context, Result, bail};
use std::io::{Cursor, Read};

/// First bytes of an array.
const MAGIC: &[u8] = b"\x93NUMPY";

/// The arrays of a `.npz` file.
pub fn read_npz(bytes: &[u8]) -> Result<Vec<Array>> {
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).context("no .npz file, which is a zip of arrays")?;
    let count = zip.len();
    let array = |index| {
        let mut entry = zip.by_index(index)?;
        let name = entry.name()?.trim_end_matches(".npy").to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).with_context(|| format!("{name:?} cannot be unpacked"))?;
        read_npy(&name, &bytes).with_context(|| format!("{name:?}"))
    };
    (0..count).map(array).collect()
}

/// The array of a `.npy` file.
pub fn read_npy(name: &str, bytes: &[u8]) -> Result<Array> {
    let rest = bytes.strip_prefix(MAGIC).context("no .npy array")?;
    let (length, rest) = match rest {
        [1, _, a, b, rest @ ..] => (usize::from(u16::from_le_bytes([*a, *b])), rest),
        [2 | 3, _, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
        _ => bail!("a version of .npy that is not known; save it with numpy.save"),
    };
    let (header, data) = rest.split_at_checked(length).context("the header is cut off")?;
    let header = std::str::from_utf8(header).context("the header is no text")?;
    let value = |key: &str| {
        let after = header.split_once(&format!("'{key}':")).map(|(_, after)| after.trim_start());
        after.with_context(|| format!("no {key} in the header {header:?}"))
    };
    let descr = value("descr")?.strip_prefix('\'').and_then(|text| text.split_once('\''));
    let (descr, _) = descr.with_context(|| format!("an array of records: save one array of numbers: {header:?}"))?;
    let number = number(descr).with_context(|| format!("numbers of type {descr}, expected floats or integers"))?;
    let shape = value("shape")?.strip_prefix('(').and_then(|text| text.split_once(')')).context("no shape")?.0;
    let sizes = shape.split(',').map(str::trim).filter(|size| !size.is_empty()).map(|size| Ok(size.parse()?));
    let shape = sizes.collect::<Result<Vec<usize>>>().with_context(|| format!("shape ({shape})"))?;
    let mut array = Array::decoded(name, shape, number, data, descr.starts_with('>'))?;
    if value("fortran_order")?.starts_with("True") {
        array = array.column_major_to_row_major();
    }
    Ok(array)
}

fn number(descr: &str) -> Option<Number> {
    Some(match descr.trim_start_matches(['<', '>', '|', '=']) {
        "f2" => Number::F16,
        "f4" => Number::F32,
        "f8" => Number::F64,
        "i1" => Number::Signed(1),
        "i2" => Number::Signed(2),
        "i4" => Number::Signed(4),
        "i8" => Number::Signed(8),
        "u1" | "b1" => Number::Unsigned(1),
        "u2" => Number::Unsigned(2),
        "u4" => Number::Unsigned(4),
        "u8" => Number::Unsigned(8),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(descr: &str, order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n");
        let length = (header.len() as u16).to_le_bytes();
        [MAGIC, &[1, 0], &length, header.as_bytes(), data].concat()
    }

    #[test]
    fn arrays_of_every_kind_of_number_and_order_are_read() {
        let floats: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        let big: Vec<u8> = [258i16, -1].iter().flat_map(|x| x.to_be_bytes()).collect();
        let long: Vec<u8> = [7i64, -9].iter().flat_map(|x| x.to_le_bytes()).collect();
        for (descr, data, expected) in [
            ("'<f4'", &floats[..], [1.5, -2.0]),
            ("'>i2'", &big, [258.0, -1.0]),
            ("'<i8'", &long, [7.0, -9.0]),
            ("'|b1'", &[1, 0], [1.0, 0.0]),
            ("'<f2'", &[0, 0x3c, 0, 0xc0], [1.0, -2.0]),
        ] {
            let array = read_npy("x", &npy(descr, "False", "(2,)", data)).unwrap_or_else(|e| panic!("{descr}: {e:#}"));
            assert_eq!((&array.shape[..], &array.values[..]), (&[2][..], &expected[..]), "{descr}");
        }
        let columns = read_npy("x", &npy("'|u1'", "True", "(2, 3)", &[1, 4, 2, 5, 3, 6])).expect("an array");
        assert_eq!(columns.values, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert!(read_npy("x", &npy("'<i4'", "False", "()", &[3, 0, 0, 0])).expect("a number").shape.is_empty());
    }

    #[test]
    fn what_is_no_array_of_numbers_is_refused_by_what_it_is() {
        for (bytes, expected) in [
            (b"PK".to_vec(), "no .npy array"),
            (npy("'<f4'", "False", "(3,)", &[0; 8]), "8 bytes, expected 12"),
            (npy("'<U4'", "False", "(1,)", &[0; 16]), "numbers of type <U4"),
            (npy("[('a', '<f4')]", "False", "(1,)", &[0; 4]), "an array of records"),
            (npy("'<f4'", "False", "(x,)", &[]), "shape (x,)"),
        ] {
            let error = format!("{:#}", read_npy("x", &bytes).expect_err(expected));
            assert!(error.contains(expected), "{expected:?} is not in {error:?}");
        }
        assert!(read_npz(b"no zip").is_err());
    }
}
