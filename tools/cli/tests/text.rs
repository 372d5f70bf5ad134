//! A text that is encoded part by part has the tokens that the tokenizer makes of the whole, for every kind of tokenizer.

use std::path::{Path, PathBuf};
use thumbformer::Model;
use thumbformer_checkpoint::Checkpoint;
use thumbformer_checkpoint::random::Random;
use thumbformer_cli::convert::{Settings, convert};
use thumbformer_cli::text::Encoder;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden")
}

/// The image of a decoder of small numbers with a tokenizer.
fn image(folder: &Path, tokenizer: &Path, vocab: usize) -> Vec<u32> {
    let sizes = [8, 8, 1, 2, 2, vocab as i32, 16];
    let floats = vocab * 8 + (2 * 8 + 4 * 64 + 3 * 64) + 8 + 16 * 4;
    let mut file: Vec<u8> = sizes.iter().flat_map(|size| size.to_le_bytes()).collect();
    file.extend((0..floats).flat_map(|i| ((i * i % 251) as f32 / 250.0 - 0.5).to_le_bytes()));
    let path = folder.join("model.bin");
    std::fs::write(&path, file).expect("the folder is writable");
    let checkpoint = Checkpoint::load(&path, Some(tokenizer)).unwrap_or_else(|error| panic!("{error}"));
    convert(&checkpoint, Settings::default(), &mut |_| ()).unwrap_or_else(|error| panic!("{error:#}"))
}

/// Words, spaces and signs in any order.
fn text(random: &mut Random) -> String {
    let parts = [
        "the", " ", "  ", "cat", "\n", " a", "é", "日本", "s", ".", "\"", " the", "t", "\t", "he said", "😀", "▁", "1",
    ];
    (0..1 + random.next() % 40).map(|_| random.pick(&parts)).collect()
}

#[test]
fn a_text_encoded_part_by_part_has_the_tokens_of_the_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let kinds = ["byte_level", "llama2", "replace", "metaspace", "metaspace_split", "metaspace_split_later"];
    let file = |kind: &str| (golden().join("tokenizers").join(kind).join("tokenizer.json"), 512);
    let mut tokenizers: Vec<(PathBuf, usize)> = kinds.into_iter().map(file).collect();
    tokenizers.push((golden().join("llama2c_tokenizer/tokenizer.bin"), 315));
    let mut random = Random::new(5);
    for (file, vocab) in tokenizers {
        let words = image(folder.path(), &file, vocab);
        let model = Model::parse(&words).expect("an image");
        let (encoder, tokenizer) =
            (Encoder::new(&model).expect("a tokenizer"), model.tokenizer().expect("a tokenizer"));
        for _ in 0..200 {
            let text = text(&mut random);
            let mut whole = vec![0; 2 * text.len() + 2];
            let expected = tokenizer.encode_named(&text, true, &mut whole).map(|length| whole[..length].to_vec());
            assert_eq!(encoder.encode(&text), expected, "{}: {text:?}", file.display());
        }
        assert_eq!(encoder.encode("").expect("nothing").len(), usize::from(tokenizer.bos().is_some()));
    }
}
