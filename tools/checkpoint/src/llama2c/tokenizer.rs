//! Importer of the tokenizer's `.bin`: the length of the longest token, then for each token a score, a length and its text.
//!
//! The format has scores instead of a merge list: of all neighbours whose concatenated text is a token, the pair with
//! the highest score of that token is merged, the leftmost among equals. The table therefore has every pair of tokens whose
//! concatenation is a token, and its rank is the number of tokens with a higher score. Pairs whose score is not above the
//! encoder's starting value of -1e10 never merge.

use std::collections::HashMap;
use std::path::Path;

use super::Cursor;
use crate::{AddedToken, Error, Merge, Named, Tokenizer, TokenizerKind};

/// Unknown, begin and end of a text come first, then one token for each byte.
const SPECIALS: usize = 3;
const FIXED: usize = SPECIALS + 256;
/// No pair is merged at this score or below.
const LOWEST_SCORE: f32 = -1e10;

struct Entry<'a> {
    text: &'a [u8],
    score: f32,
}

/// Reads a tokenizer file for a model with `vocab` token ids; the file does not have their number.
pub(crate) fn load(path: &Path, vocab: usize) -> Result<Tokenizer, Error> {
    let bytes = crate::files::read(path)?;
    of_entries(path, &entries(path, &bytes, vocab)?)
}

/// The tokenizer of texts and scores, whose specials and bytes come first.
pub(crate) fn scored(path: &Path, entries: &[(Vec<u8>, f32)]) -> Result<Tokenizer, Error> {
    let entries: Vec<Entry<'_>> = entries.iter().map(|(text, score)| Entry { text, score: *score }).collect();
    of_entries(path, &entries)
}

fn of_entries(path: &Path, entries: &[Entry<'_>]) -> Result<Tokenizer, Error> {
    check_fixed(path, entries)?;
    let ids = ids(path, entries)?;
    let mut characters: Vec<(char, u32)> = ids.iter().filter_map(|(text, id)| Some((only_char(text)?, *id))).collect();
    characters.sort_unstable();
    let mut pieces: Vec<Vec<u8>> = entries.iter().map(|entry| entry.text.to_vec()).collect();
    pieces[..SPECIALS].fill(Vec::new());
    let mut byte_ids = [0; 256];
    for byte in 0..=255 {
        let id = SPECIALS + usize::from(byte);
        byte_ids[usize::from(byte)] = id as u32;
        pieces[id] = vec![byte];
    }
    Ok(Tokenizer {
        kind: TokenizerKind::Characters,
        prefix_space: true,
        pieces,
        bytes: byte_ids,
        characters,
        merges: merges(entries, &ids),
        added: names(entries),
        // The program that runs these files puts BOS before every text.
        before: vec![1],
        after: Vec::new(),
    })
}

/// Names of the specials, which this format's encoder does not look for in a text; the files hold them between line ends.
fn names(entries: &[Entry<'_>]) -> Vec<AddedToken> {
    let specials = entries.iter().take(SPECIALS).enumerate();
    let name = |text: &[u8]| String::from_utf8_lossy(text).trim().to_string();
    specials.map(|(id, entry)| AddedToken { id: id as u32, name: name(entry.text), named: Named::Never }).collect()
}

fn fail(path: &Path, what: impl Into<String>) -> Error {
    Error::Tokenizer {
        path: path.into(),
        what: what.into(),
        next: "give the tokenizer .bin that belongs to this model".into(),
    }
}

fn entries<'a>(path: &Path, bytes: &'a [u8], vocab: usize) -> Result<Vec<Entry<'a>>, Error> {
    let mut cursor = Cursor { rest: bytes };
    let short = |index: usize| {
        let what = format!("cut short: it ends within token {index}, but the model has {vocab} tokens");
        fail(path, what)
    };
    let longest = cursor.i32().ok_or_else(|| short(0))?;
    let mut entries = Vec::new();
    for index in 0..vocab {
        let score = cursor.f32().ok_or_else(|| short(index))?;
        let length = cursor.i32().ok_or_else(|| short(index))?;
        if score.is_nan() || length < 0 || length > longest {
            let what =
                format!("token {index} has score {score} and length {length}, expected a number and 0 to {longest}");
            return Err(fail(path, what));
        }
        let text = cursor.bytes(length as usize).ok_or_else(|| short(index))?;
        entries.push(Entry { text, score });
    }
    match cursor.rest.len() {
        0 => Ok(entries),
        more => Err(fail(path, format!("{more} bytes follow token {}, the model's last", vocab - 1))),
    }
}

/// The encoder takes token `byte + 3` for a byte without looking, so the tokens there must be the bytes.
fn check_fixed(path: &Path, entries: &[Entry<'_>]) -> Result<(), Error> {
    if entries.len() < FIXED {
        let what =
            format!("the model has {} tokens, expected at least {FIXED}: 3 specials and 256 bytes", entries.len());
        return Err(fail(path, what));
    }
    for (byte, entry) in entries[SPECIALS..FIXED].iter().enumerate() {
        let expected = format!("<0x{byte:02X}>");
        if entry.text != expected.as_bytes() {
            let found = String::from_utf8_lossy(entry.text);
            return Err(fail(path, format!("token {} is `{found}`, expected `{expected}`", SPECIALS + byte)));
        }
    }
    Ok(())
}

/// Tokens by text. Which of two equal texts the encoder finds is up to its sorting, so there must not be two.
fn ids<'a>(path: &Path, entries: &[Entry<'a>]) -> Result<HashMap<&'a [u8], u32>, Error> {
    let mut ids = HashMap::new();
    for (index, entry) in entries.iter().enumerate().filter(|(_, entry)| !entry.text.is_empty()) {
        if let Some(first) = ids.insert(entry.text, index as u32) {
            let text = String::from_utf8_lossy(entry.text);
            return Err(fail(path, format!("tokens {first} and {index} are both `{text}`")));
        }
    }
    Ok(ids)
}

fn only_char(text: &[u8]) -> Option<char> {
    let mut characters = std::str::from_utf8(text).ok()?.chars();
    characters.next().filter(|_| characters.next().is_none())
}

fn merges(entries: &[Entry<'_>], ids: &HashMap<&[u8], u32>) -> Vec<Merge> {
    let mut scores: Vec<f32> = entries.iter().map(|entry| entry.score).collect();
    scores.sort_unstable_by(|a, b| b.total_cmp(a));
    let mut merges = Vec::new();
    for (merged, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.score > LOWEST_SCORE) {
        let rank = scores.partition_point(|score| *score > entry.score) as u32;
        for cut in 1..entry.text.len() {
            let (left, right) = entry.text.split_at(cut);
            if let (Some(&left), Some(&right)) = (ids.get(left), ids.get(right)) {
                merges.push(Merge { left, right, merged: merged as u32, rank });
            }
        }
    }
    merges.sort_unstable_by_key(|merge| (merge.left, merge.right));
    merges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/llama2c_tokenizer").join(name)
    }

    /// The known encodings, made by an independent encoder that works on texts and scores.
    fn encodings() -> serde_json::Value {
        serde_json::from_str(&std::fs::read_to_string(file("encodings.json")).unwrap()).unwrap()
    }

    fn vocab() -> usize {
        encodings()["vocab"].as_u64().unwrap() as usize
    }

    #[test]
    fn the_tables_reproduce_the_known_encodings() {
        let tokenizer = load(&file("tokenizer.bin"), vocab()).unwrap_or_else(|error| panic!("{error}"));
        let encodings = encodings();
        let mut wrong = Vec::new();
        for case in encodings["encodings"].as_array().unwrap() {
            let text = case["text"].as_str().unwrap();
            let expected: Vec<u32> = serde_json::from_value(case["ids"].clone()).unwrap();
            let found = crate::tokenizer::plain::encode(&tokenizer, text);
            if found != expected {
                wrong.push(format!("{text:?}: found {found:?}, expected {expected:?}"));
            }
            let printed: Vec<u8> = found.iter().flat_map(|&id| tokenizer.pieces[id as usize].clone()).collect();
            let prefix = if text.is_empty() { "" } else { " " };
            assert_eq!(String::from_utf8_lossy(&printed), format!("{prefix}{text}"));
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn equal_scores_have_equal_ranks_and_higher_scores_lower_ones() {
        let tokenizer = load(&file("tokenizer.bin"), vocab()).unwrap();
        let rank = |piece: &str| {
            let merged = tokenizer.pieces.iter().position(|other| other == piece.as_bytes()).unwrap() as u32;
            let mut ranks = tokenizer.merges.iter().filter(|merge| merge.merged == merged).map(|merge| merge.rank);
            let first = ranks.next();
            assert!(ranks.all(|rank| Some(rank) == first), "{piece}");
            first
        };
        assert_eq!(rank("he"), rank(" a"));
        assert!(rank(" t") < rank("he") && rank("he") < rank(" that"));
        assert_eq!(rank(" h"), None, "a score of -1e10 never wins");
        // "the" is t + he; " the" is " t" + he and " " + the.
        assert_eq!(
            tokenizer.merges.iter().filter(|merge| tokenizer.pieces[merge.merged as usize] == b" the").count(),
            2
        );
    }

    /// Writes entries as a tokenizer file.
    fn write(entries: &[(Vec<u8>, f32)]) -> tempfile::NamedTempFile {
        let longest = entries.iter().map(|(text, _)| text.len()).max().unwrap() as i32;
        let mut bytes = longest.to_le_bytes().to_vec();
        for (text, score) in entries {
            bytes.extend(score.to_le_bytes());
            bytes.extend((text.len() as i32).to_le_bytes());
            bytes.extend(text);
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    #[test]
    fn a_bad_file_is_refused_by_name() {
        let bytes = (0..256).map(|byte| format!("<0x{byte:02X}>").into_bytes());
        let sound: Vec<(Vec<u8>, f32)> = ["<unk>", "<s>", "</s>"]
            .map(|text| text.as_bytes().to_vec())
            .into_iter()
            .chain(bytes)
            .chain([b"a".to_vec(), b"b".to_vec(), b"ab".to_vec()])
            .map(|text| (text, 0.0))
            .collect();
        let count = sound.len();
        assert!(load(write(&sound).path(), count).is_ok());
        let changed = |index: usize, text: &[u8], score: f32| {
            let mut entries = sound.clone();
            entries[index] = (text.to_vec(), score);
            entries
        };
        let cases = [
            ("another model's, longer", sound.clone(), count - 1, "bytes follow token 260"),
            ("another model's, shorter", sound.clone(), count + 1, "ends within token 262"),
            ("too few tokens", sound[..100].to_vec(), 100, "at least 259"),
            ("a byte's place taken", changed(10, b"x", 0.0), count, "expected `<0x07>`"),
            ("one text twice", changed(260, b"a", 0.0), count, "tokens 259 and 260 are both `a`"),
            ("a score that is no number", changed(260, b"b", f32::NAN), count, "score NaN"),
        ];
        for (case, entries, vocab, expected) in cases {
            let error = load(write(&entries).path(), vocab).expect_err(case).to_string();
            assert!(error.contains(expected) && error.contains("give the tokenizer"), "{case}: {error}");
        }
    }
}
