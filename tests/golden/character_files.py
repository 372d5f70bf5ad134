"""Answers of the `tokenizers` library on every code point: classes of characters, lower case and decompositions; part of generate.py.

They are what a normalizer or a pre-tokenizer asks of a character. The file that they become is the importer's own, which
takes from it what one vocabulary needs.

    characters.txt: `class NAME: first-last …` and `map NAME: character=characters …`, in hexadecimal
"""

from pathlib import Path

FILE = Path(__file__).resolve().parents[2] / "tools/checkpoint/src/huggingface/tokenizer/characters.txt"
SURROGATES = range(0xd800, 0xe000)


def ranges(codes):
    """Ranges of sorted numbers, as text."""
    found = []
    for code in codes:
        if found and found[-1][1] == code - 1:
            found[-1][1] = code
        else:
            found.append([code, code])
    return " ".join(f"{first:x}" if first == last else f"{first:x}-{last:x}" for first, last in found)


def classes():
    """Classes by name, each the characters that a pre-tokenizer cuts out."""
    from tokenizers import Regex, pre_tokenizers

    split = lambda pattern: pre_tokenizers.Split(Regex(pattern), "removed")
    return {
        "letter": split(r"\p{L}"), "number": split(r"\p{N}"), "space": split(r"\s"),
        "whitespace": pre_tokenizers.WhitespaceSplit(), "punctuation": pre_tokenizers.Punctuation("removed"),
        "digit": pre_tokenizers.Split(Regex(r"\d"), "removed"), "numeric": pre_tokenizers.Digits(individual_digits=True),
    }


def hangul(code):
    """Decomposition of a syllable by the arithmetic of the Unicode standard, chapter 3.12."""
    index = code - 0xac00
    parts = [0x1100 + index // 588, 0x1161 + index % 588 // 28] + ([0x11a7 + index % 28] if index % 28 else [])
    return "".join(map(chr, parts))


def generate():
    from tokenizers import normalizers, pre_tokenizers

    characters = [chr(code) for code in range(0x110000) if code not in SURROGATES]
    lines = []
    for name, splitter in classes().items():
        if name == "numeric":
            # Digits stand alone, others with their neighbours: between two letters, the pieces tell.
            is_in = lambda character: len(splitter.pre_tokenize_str(f"a{character}a")) == 3
        else:
            is_in = lambda character: not splitter.pre_tokenize_str(character)
        lines.append(f"class {name}: {ranges(ord(c) for c in characters if is_in(c))}")
    # Another library of regular expressions than that of `Split`.
    words = pre_tokenizers.Whitespace()
    lines.append(f"class word: {ranges(ord(c) for c in characters if len(words.pre_tokenize_str(f'a{c}')) == 1 and words.pre_tokenize_str(c))}")
    lines.append(f"class gap: {ranges(ord(c) for c in characters if not words.pre_tokenize_str(c))}")
    bert = lambda **on: normalizers.BertNormalizer(
        **{**dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False), **on})
    clean, chinese, strip = bert(clean_text=True), bert(handle_chinese_chars=True), bert(strip_accents=True)
    accents, lower, nfd = normalizers.StripAccents(), normalizers.Lowercase(), normalizers.NFD()
    is_in = {
        "control": lambda c: clean.normalize_str(c) == "",
        "cleaned": lambda c: clean.normalize_str(c) == " ",
        "chinese": lambda c: chinese.normalize_str(c) == f" {c} ",
        "nonspacing": lambda c: strip.normalize_str(c) == "",
        "mark": lambda c: accents.normalize_str(c) == "",
    }
    for name, test in is_in.items():
        lines.append(f"class {name}: {ranges(ord(c) for c in characters if test(c))}")
    decomposed = {c: nfd.normalize_str(c) for c in characters}
    for code in range(0xac00, 0xd7a4):
        assert decomposed.pop(chr(code)) == hangul(code)
    for name, changed in [("lower", {c: lower.normalize_str(c) for c in characters}), ("decomposed", decomposed)]:
        pairs = [f"{ord(c):x}={'+'.join(f'{ord(part):x}' for part in to)}" for c, to in changed.items() if to != c]
        lines.append(f"map {name}: {' '.join(pairs)}")
    # The importer puts these together character by character; here is that the library does so, too.
    decomposed = {**decomposed, **{chr(code): hangul(code) for code in range(0xac00, 0xd7a4)}}
    for c in characters:
        assert strip.normalize_str(c) == "".join(d for d in decomposed[c] if strip.normalize_str(d)), hex(ord(c))
        assert bert(lowercase=True).normalize_str(c) == lower.normalize_str(c), hex(ord(c))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    FILE.write_text(generate())
