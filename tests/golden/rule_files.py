"""Tokenizers with normalizers, pre-tokenizers and models beyond byte pairs, and the ids that the `tokenizers` library gives; part of
generate.py.

Every folder below tokenizers/rules/ has a `tokenizer.json`; `texts.json` has texts, `ids.json` by kind the ids of each, with names of special tokens as
plain text; the ids of those texts in which names are found; and of one long text, with names, the number of ids and the CRC-32 of them as
little-endian words of 16 bits.
"""

import json
import struct
import zlib
from pathlib import Path

from tokenizer_files import CORPUS, STORIES, TEXTS, random_texts

WORDS = ("Der \u00dcbergr\u00f6\u00dfentr\u00e4ger l\u00e4uft. \u00c9t\u00e9 \u00e0 No\u00ebl, \u0152uvre. \u041f\u0440\u0438\u0432\u0435\u0442 \u043c\u0438\u0440, \u0451\u043b\u043a\u0430. "
         "\u65e5\u672c\u8a9e\u306e\u6587\u7ae0 \u4e2d\u6587 \ud55c\uad6d\uc5b4 \uae00\uc790. \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 \u0928\u092e\u0938\u094d\u0924\u0947. I'm you're WE'LL don't It's 12 345 6789 3.14 $5 50% a_b c-d e/f #tag ##x")
MORE = [
    WORDS, "don't DON'T It'S we'RE 'tis 'S\u017f '\u017f 'll 'LL'ves", "x\u017f'\u017fy", "1 22 333 4444 55555 666666 7a8b9", "\u0661\u0662\u0663 \u00b2\u00b3 \u2167 \u00bd \u4e00\u4e8c",
    "\u4e2d\u6587\u5b57\u7b26 mixed\u4e2d\u6587mixed", "\ud55c\uad6d\uc5b4 \uae00\uc790 \u1112\u1161\u11ab", "e\u0301e\u0300\u0323 \u0958 \u0344", "\u0130stanbul I\u0307 \u1e9e \ufb03 \u01c5",
    "tabs\t\tand\u00a0nbsp\u2003em\u2028line\u2029para\u0085nel", "\r\n\r\n  \n x \r y\r\n", "   \n\n   a", "a \n", " \n \n", "\n\n\n", "a  b   c    d     ", "!!! ...\n\n --- \r\n???",
    "\u00ad\u200b\u200d\ufeff soft", "\ufffd\u0000ok", "\ue000\U000f0000 private", "[UNK] [CLS] [SEP] <unk> <s> <pad> [MASK]", "##ing ##x # ## a##b", "\u2581a \u2581\u2581 b\u2581c", "_a_ b_c",
    "a" * 60 + " " + "b" * 101 + " c", "word" * 30, "\u0e44\u0e17\u0e22\u0e20\u0e32\u0e29\u0e32 \u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", "\u0928\u092e\u0938\u094d\u0924\u0947 \u0915\u094d\u0937", "\u0c24\u0c46\u0c32\u0c41\u0c17\u0c41 \u06f1\u06f2",
    "\U0001f44d\U0001f3fd ok \u2764\ufe0f", "\u1680x\u180ey\u3000z", "\u2010\u2011\u2012\u2013\u2014\u2015 \u00ab\u00bb \u3001\u3002", "$\u20ac\u00a3\u00a5 +<=>|~^`", "\u0300leading mark", "CamelCaseXMLHttp", "user@example.com https://x.y/z?q=1&r=2",
]
SIZES = {"vocab_size": 400, "show_progress": False}


def kinds():
    """Tokenizers before training, with their trainers."""
    from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    corpus = " ".join([CORPUS, WORDS])
    bert_special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    plain = ["<unk>", "<s>", "</s>"]
    by_byte = [f"<0x{byte:02X}>" for byte in range(256)]
    special = lambda names: [AddedToken(name, special=True) for name in names]
    # Another release writes the same patterns with `tokenizers`' own names.
    llama3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    qwen2 = llama3.replace(r"\p{N}{1,3}", r"\p{N}")
    split = lambda pattern: pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    level = lambda **on: pre_tokenizers.ByteLevel(**{"add_prefix_space": False, **on})
    metaspace = pre_tokenizers.Metaspace
    bpe = lambda names, letters=(), **on: (trainers.BpeTrainer(
        special_tokens=special(names), initial_alphabet=list(letters), **SIZES, **on), corpus)
    byte_letters = pre_tokenizers.ByteLevel.alphabet()

    def make(model, trainer, normalizer=None, pre_tokenizer=None, **on):
        tokenizer = Tokenizer(model)
        if normalizer is not None:
            tokenizer.normalizer = normalizer
        if pre_tokenizer is not None:
            tokenizer.pre_tokenizer = pre_tokenizer
        tokenizer.train_from_iterator([trainer[1]], trainer[0])
        # What the trainer leaves out of its model stands in the file.
        file = json.loads(tokenizer.to_str())
        file["model"].update(on)
        return Tokenizer.from_str(json.dumps(file))

    word_piece = (trainers.WordPieceTrainer(special_tokens=special(bert_special), **SIZES), corpus)
    word_level = (trainers.WordLevelTrainer(special_tokens=special(["<unk>"]), **SIZES), corpus)
    unigram = lambda extra=(): (trainers.UnigramTrainer(
        special_tokens=special(["<unk>", "</s>", *extra]), unk_token="<unk>", **SIZES), corpus)
    bert = pre_tokenizers.BertPreTokenizer()
    every = pre_tokenizers.Split("", "isolated")
    made = {
        "bert": make(models.WordPiece(unk_token="[UNK]"), word_piece, normalizers.BertNormalizer(), bert),
        "bert_cased": make(models.WordPiece(unk_token="[UNK]"), word_piece, normalizers.BertNormalizer(lowercase=False), bert),
        "word_piece_steps": make(
            models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=20), word_piece,
            normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase(), normalizers.StripAccents(), normalizers.Replace("x", "ks")]),
            pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Digits(individual_digits=True)])),
        "words": make(models.WordLevel(unk_token="<unk>"), word_level, normalizers.Lowercase(), pre_tokenizers.Whitespace()),
        "words_by_spaces": make(
            models.WordLevel(unk_token="<unk>"), word_level, None,
            pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("contiguous")])),
        "characters": make(models.WordLevel(unk_token="<unk>"), word_level, None, every),
        "characters_lost": make(models.BPE(), (trainers.BpeTrainer(vocab_size=1, show_progress=False), corpus)),
        "gpt2": make(models.BPE(), bpe(["<|endoftext|>"], byte_letters), None, level()),
        "gpt2_space": make(models.BPE(), bpe(plain, byte_letters), None, level(add_prefix_space=True)),
        "gpt2_digits": make(
            models.BPE(), bpe(["<|endoftext|>"], byte_letters), None,
            pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), level()])),
        "llama3": make(models.BPE(), bpe(plain, byte_letters), None, split(llama3), ignore_merges=True),
        "qwen2": make(models.BPE(), bpe(plain, byte_letters), None, split(qwen2)),
        "lower_bytes": make(models.BPE(), bpe(plain, byte_letters), normalizers.Lowercase(), level()),
        "metaspace_always": make(models.BPE(byte_fallback=True), bpe(plain + by_byte), None, metaspace(), byte_fallback=True),
        "metaspace_first": make(
            models.BPE(byte_fallback=True), bpe(plain + by_byte), None, metaspace(prepend_scheme="first", split=False), byte_fallback=True),
        "metaspace_unknown": make(
            models.BPE(unk_token="<unk>", fuse_unk=True), bpe(plain), None, metaspace(), unk_token="<unk>", fuse_unk=True),
        "metaspace_lower": make(
            models.BPE(unk_token="<unk>"), bpe(plain),
            normalizers.Sequence([normalizers.Lowercase(), normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]), None,
            unk_token="<unk>"),
        "openai_gpt": make(
            models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"), bpe(["<unk>"], end_of_word_suffix="</w>"),
            normalizers.BertNormalizer(), bert, unk_token="<unk>", end_of_word_suffix="</w>"),
        "later_bpe": make(
            models.BPE(unk_token="<unk>", continuing_subword_prefix="##"), bpe(["<unk>"], continuing_subword_prefix="##"),
            None, pre_tokenizers.Whitespace(), unk_token="<unk>", continuing_subword_prefix="##"),
        "unigram": make(models.Unigram(), unigram(), None, metaspace()),
        "unigram_words": make(
            models.Unigram(), unigram(), normalizers.Lowercase(),
            pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace()])),
        "unigram_bytes": make(models.Unigram(), unigram(by_byte), None, metaspace(prepend_scheme="first", split=False), byte_fallback=True),
    }
    made["bert"].post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return made


def long_text(texts):
    """A megabyte: stories, then texts in any order."""
    parts, size, state = [], 0, 7
    stories = STORIES.parents[1] / "held_out.txt"
    text = stories.read_text()
    while size < 2**20:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        choice = (state >> 33) % (2 * len(texts))
        place = (state >> 33) % (len(text) - 2000)
        part = texts[choice] if choice < len(texts) else text[place:place + 1500]
        parts.append(part + "\n")
        size += len(part.encode()) + 1
    return "".join(parts)


def generate(folder):
    folder = folder / "tokenizers" / "rules"
    texts = TEXTS + MORE + random_texts(140)
    long = long_text(texts)
    ids, named, longs = {}, {}, {}
    for name, tokenizer in kinds().items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        tokenizer.save(str(folder / name / "tokenizer.json"), pretty=False)
        tokenizer.encode_special_tokens = True
        ids[name] = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
        tokenizer.encode_special_tokens = False
        named[name] = {index: found for index, text in enumerate(texts)
                       if (found := tokenizer.encode(text, add_special_tokens=False).ids) != ids[name][index]}
        found = tokenizer.encode(long, add_special_tokens=False).ids
        longs[name] = {"count": len(found), "crc32": zlib.crc32(struct.pack(f"<{len(found)}H", *found))}
    (folder / "texts.json").write_text(json.dumps(texts) + "\n")
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps({'long': longs[name], 'named': named[name], 'texts': ids[name]}, separators=(',', ':'))}" for name in ids)
    (folder / "ids.json").write_text(f"{{\n{lines}\n}}\n")


# Texts to classify: other cases, accents, scripts, a word that is too long, nothing.
CLASSIFIED = ["The cat sat on the mat.", "\u00c9t\u00e9 \u00e0 No\u00ebl, \u4e2d\u6587!", "Hello, said the CAT -- again & again", "\u041f\u0440\u0438\u0432\u0435\u0442 \u043c\u0438\u0440", "b" * 101 + " c", ""]


# With this one, the labels differ.
CLASSIFIER_SEED = 32


def classifier(folder, seed=CLASSIFIER_SEED):
    """A tiny BERT with the tokenizer `bert`: what transformers makes of texts, from text to logits."""
    import torch
    from safetensors.torch import save_file
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    folder = folder / "tokenizers"
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "rules" / "bert" / "tokenizer.json"))
    config = BertConfig(vocab_size=400, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
                        max_position_embeddings=48, type_vocab_size=2, num_labels=3)
    model = BertForSequenceClassification(config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            noise = torch.randn(weight.shape, generator=generator)
            is_norm = "LayerNorm.weight" in name
            weight.copy_(1 + 0.3 * noise if is_norm else 0.3 * noise if weight.dim() == 1 else
                         noise if "embeddings" in name else 1.6 * noise / weight.shape[1] ** 0.5)
    found = []
    for text in CLASSIFIED:
        ids = tokenizer(text)["input_ids"]
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0]
        found.append({"text": text, "ids": ids, "logits": [round(value, 6) for value in logits.tolist()]})
    folder = folder / "classifier"
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in model.state_dict().items() if "position_ids" not in name}, folder / "model.safetensors")
    config.architectures = ["BertForSequenceClassification"]
    (folder / "config.json").write_text(config.to_json_string())
    (folder / "tokenizer.json").write_text((folder.parent / "rules" / "bert" / "tokenizer.json").read_text())
    lines = ",\n".join("  " + json.dumps(row) for row in found)
    (folder / "texts.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    import sys

    here = Path(__file__).resolve().parent
    classifier(here) if "--classifier" in sys.argv else generate(here)
