"""Tokenizers of the `tokenizers` library, trained here on a few sentences, and the ids that it gives to texts; part of generate.py.

Every folder below tokenizers/ has a `tokenizer.json` of a kind that the project takes, and `encodings.json`. `stories.json` has the ids
that the default model's own tokenizer gives.
"""

import json
from pathlib import Path

STORIES = Path(__file__).resolve().parents[2] / "models" / "stories" / "checkpoint" / "tokenizer.json"

CORPUS = ("Once upon a time there was a little cat. The cat sat on the mat. The mat was red and the cat was happy. "
          "\"Hello,\" said the cat.  Then the cat ran to the caf\u00e9 and said it again and again. na\u00efve \u00fcber")

# What a person or a fuzzer might type.
TEXTS = [
    "", " ", "  ", "   three leading spaces", "trailing space ", "a", CORPUS,
    "Once upon a time, there was a little girl named Lily.",
    "the the the cat sat on the mat and the cat ran", "double  and   triple    spaces",
    "She said, \"It's Tom's ball!\" and didn't stop.", "line\nline\n\nparagraph\n", "\n", "\r\n\ttabs\tand\r\nreturns",
    "na\u00efve caf\u00e9 fa\u00e7ade \u00fcber \u00c6r\u00f8sk\u00f8bing \u2014 \u201cquotes\u201d \u2026 100 \u20ac",
    "e\u0301 combining, \u212b angstrom, \ufb01 ligature",
    "\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8", "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440",
    "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd",
    "\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea \U0001f3f3\ufe0f\u200d\U0001f308 \U0001f980 crabs",
    "zero\u200bwidth\ufeff", "a\u2581mark \u2581 and \u2581\u2581", "<0x41> <s> </s> <unk>", "<0x0A>",
    "\u0000\u0001\u007f\u0080\uffff\U0010ffff", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "1234567890 3.14159 -42",
    "ALL CAPS AND MiXeD", "don't won't I'll you're we've", "!!!???...,,,;;;", "the\u00a0no-break\u3000ideographic space",
    "mat\u0000mat the mat sat",
]


def random_texts(count):
    """Short words of the corpus and awkward characters in random order, the same on every run."""
    parts = ["the", "a", " ", " ", "  ", "cat", "t", "h", "e", "and ", "\n", "\u00e9", "\u2581", "\U0001f600", "on", "said", ".", "\""]
    state = 1

    def below(limit):
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (state >> 33) % limit

    return ["".join(parts[below(len(parts))] for _ in range(below(25))) for _ in range(count)]


def train(steps, byte_fallback):
    """A BPE with these normalizer and pre-tokenizer steps (the library's JSON), trained on the corpus."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, trainers

    empty = json.loads(Tokenizer(models.BPE(byte_fallback=byte_fallback)).to_str())
    tokenizer = Tokenizer.from_str(json.dumps({**empty, **steps}))
    special = ["<unk>", "<s>", "</s>"] + ([f"<0x{byte:02X}>" for byte in range(256)] if byte_fallback else [])
    tokenizer.train_from_iterator([CORPUS], trainers.BpeTrainer(
        vocab_size=400, show_progress=False, special_tokens=[AddedToken(text, special=True) for text in special],
        initial_alphabet=[] if byte_fallback else sorted(pre_tokenizers.ByteLevel.alphabet())))
    return tokenizer


def write_encodings(tokenizer, path):
    """Texts with their ids, names of special tokens as plain text, no special token around."""
    tokenizer.encode_special_tokens = True
    texts = TEXTS + random_texts(100)
    lines = ",\n".join("  " + json.dumps({"text": text, "ids": tokenizer.encode(text, add_special_tokens=False).ids}) for text in texts)
    path.write_text(f'{{"encodings": [\n{lines}\n]}}\n')


def generate(folder):
    from tokenizers import Tokenizer

    prepend = {"type": "Prepend", "prepend": "\u2581"}
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
    metaspace = lambda split: {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "never", "split": split}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    kinds = {
        "byte_level": ({"pre_tokenizer": byte_level}, False),
        "llama2": ({"normalizer": {"type": "Sequence", "normalizers": [prepend, replace]}}, True),
        "replace": ({"normalizer": replace}, True),
        "metaspace": ({"pre_tokenizer": metaspace(False)}, True),
        "metaspace_split": ({"pre_tokenizer": metaspace(True)}, True),
    }
    made = {name: train(*kind) for name, kind in kinds.items()}
    # A vocabulary with merges across spaces, under a pre-tokenizer that cuts there.
    made["metaspace_split_later"] = Tokenizer.from_str(
        json.dumps({**json.loads(made["metaspace"].to_str()), "pre_tokenizer": metaspace(True)}))
    for name, tokenizer in made.items():
        (folder / "tokenizers" / name).mkdir(parents=True, exist_ok=True)
        tokenizer.save(str(folder / "tokenizers" / name / "tokenizer.json"), pretty=False)
        write_encodings(tokenizer, folder / "tokenizers" / name / "encodings.json")
    write_encodings(Tokenizer.from_file(str(STORIES)), folder / "tokenizers" / "stories.json")
