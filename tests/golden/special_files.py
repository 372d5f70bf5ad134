"""What tokenizers put around a text and cut out of it, by the frameworks' own output; generate.py calls this.

- `tokenizers/specials.json`: post-processors and added tokens, put into `tokenizers/byte_level/tokenizer.json`, with the ids that the
  `tokenizers` library and transformers' AutoTokenizer give; the latter whatever `tokenizer_config.json` says.
- `gguf/specials.gguf`: a small model whose tokenizer has control and user-defined tokens; `gguf/specials.json`: llama.cpp's ids of texts,
  for every setting of `add_bos_token` and `add_eos_token`.
"""

import itertools
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

TEXTS = ["the cat", "", " the", "a</s>b", "<|user|>the cat<|end|>", "the<|user|><|user|> cat", "<|user|", "<s><|user|>", "<|user|><|user|>x", "cat <|user|>"]
SPECIAL = {"<unk>": 0, "<s>": 1, "</s>": 2}


def template(single):
    """A TemplateProcessing of one sequence."""
    parts = [{"Sequence": {"id": "A", "type_id": 0}} if part == "$A" else {"SpecialToken": {"id": part, "type_id": 0}}
             for part in single.split()]
    special = {text: {"id": text, "ids": [index], "tokens": [text]} for text, index in SPECIAL.items()}
    pair = parts + [{"Sequence": {"id": "B", "type_id": 1}}]
    return {"type": "TemplateProcessing", "single": parts, "pair": pair, "special_tokens": special}


def added(index, text, special):
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": not special}
    return {"id": index, "content": text, **flags, "special": special}


BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}
AROUND = {"sep": ["</s>", 2], "cls": ["<s>", 1]}
PROCESSORS = {
    "none": None,
    "a template of the text alone": template("$A"),
    "a token before": template("<s> $A"),
    "tokens before and after": template("<s> $A </s>"),
    "two tokens before": template("<s> <unk> $A"),
    "RoBERTa's": {"type": "RobertaProcessing", **AROUND, "trim_offsets": True, "add_prefix_space": False},
    "BERT's": {"type": "BertProcessing", **AROUND},
    "offsets only": BYTE_LEVEL,
    "a sequence, as Llama 3 has it": {"type": "Sequence", "processors": [BYTE_LEVEL, template("<s> $A")]},
}


def with_added(base):
    """The tokenizer with a user's token and a special one, and the two."""
    first = len(base["model"]["vocab"])
    tokens = [added(first, "<|user|>", False), added(first + 1, "<|end|>", True)]
    return {**base, "added_tokens": base["added_tokens"] + tokens}, tokens


def library(fields, config):
    """The tokenizer of the library and transformers', the latter with a `tokenizer_config.json`."""
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer

    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        (scratch / "tokenizer.json").write_text(json.dumps(fields))
        (scratch / "config.json").write_text('{"model_type": "llama"}')
        (scratch / "tokenizer_config.json").write_text(json.dumps(config))
        return Tokenizer.from_file(str(scratch / "tokenizer.json")), AutoTokenizer.from_pretrained(scratch)


def tokenizer_cases(base):
    cases = []
    for name, processor in PROCESSORS.items():
        fields = {**base, "post_processor": processor}
        names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
        encodings = []
        for text in TEXTS[:3]:
            expected = None
            # Beside a tokenizer.json, transformers 5 reads neither of the two.
            for flags in [{}, {"add_bos_token": True, "add_eos_token": True}, {"add_bos_token": False, "add_eos_token": False}]:
                plain, auto = library(fields, {**names, **flags})
                ids = plain.encode(text).ids
                assert auto(text)["input_ids"] == ids and expected in (None, ids), (name, flags)
                expected = ids
            encodings.append({"text": text, "ids": expected})
        cases.append({"name": name, "post_processor": processor, "encodings": encodings})
    return cases


def added_cases(base):
    """Ids with the names of special tokens as tokens, and as plain text."""
    fields, tokens = with_added(base)
    plain, auto = library(fields, {})
    encodings = []
    for text in TEXTS:
        plain.encode_special_tokens = False
        ids = plain.encode(text).ids
        assert auto(text)["input_ids"] == ids, text
        plain.encode_special_tokens = True
        encodings.append({"text": text, "special": ids, "plain": plain.encode(text).ids})
    return {"added_tokens": tokens, "encodings": encodings}


def write(path, fields, lists):
    """JSON with a line for each entry of the lists."""
    lines = [f'  "{name}": [\n' + ",\n".join("    " + json.dumps(entry) for entry in entries) + "\n  ]" for name, entries in lists.items()]
    lines = [f'  "{name}": {json.dumps(value)}' for name, value in fields.items()] + lines
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def vocabulary():
    """Texts, scores and types of SentencePiece's kind; `<|user|>` is user-defined, `<|eot|>` a control token."""
    tokens = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3)] + [(f"<0x{byte:02X}>", 0.0, 6) for byte in range(256)]
    tokens += [(letter, -90.0, 1) for letter in "\u2581thecasodrniu<>/|"]
    merged = ["th", "he", "the", "\u2581the", "ca", "cat", "\u2581cat", "</", "s>", "<s", "at"]
    tokens += [(text, -10.0 - index, 1) for index, text in enumerate(merged)]
    return tokens + [("<|user|>", -20.0, 4), ("<|eot|>", 0.0, 3)]


def write_gguf(path, add_bos, add_eos):
    import gguf
    import numpy as np

    tokens = vocabulary()
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(32)
    writer.add_head_count(4)
    writer.add_head_count_kv(4)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(8)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([text.encode() for text, _, _ in tokens])
    writer.add_token_scores([score for _, score, _ in tokens])
    writer.add_token_types([kind for _, _, kind in tokens])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_eot_token_id(len(tokens) - 1)
    writer.add_add_bos_token(add_bos)
    writer.add_add_eos_token(add_eos)
    shapes = {"token_embd": (len(tokens), 32), "output_norm": (32,), "blk.0.attn_norm": (32,), "blk.0.ffn_norm": (32,)}
    shapes |= {f"blk.0.{part}": (32, 32) for part in ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"]}
    random = np.random.default_rng(20261129)
    for name, shape in shapes.items():
        data = random.standard_normal(shape).astype(np.float32) if len(shape) > 1 else np.ones(shape, np.float32)
        kind = gguf.GGMLQuantizationType.Q4_0 if len(shape) > 1 else gguf.GGMLQuantizationType.F32
        writer.add_tensor(f"{name}.weight", gguf.quantize(data, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def serve(path):
    """Prints llama.cpp's ids of every text; a process of its own, since the server has no end."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.warmup, params.verbosity = path, 64, False, 0
    server = xllamacpp.Server(params)

    def ids(text, special):
        body = json.dumps({"content": text, "add_special": True, "parse_special": special}).encode()
        request = urllib.request.Request(server.listening_address + "/tokenize", body, {"Content-Type": "application/json"})
        return json.load(urllib.request.urlopen(request))["tokens"]

    texts = TEXTS + ["the<|eot|>cat", "<|eot|><|user|> the"]
    print("\nIDS " + json.dumps([{"text": text, "special": ids(text, True), "plain": ids(text, False)} for text in texts]), flush=True)
    os._exit(0)


def generate(folder):
    base = json.loads((folder / "tokenizers" / "byte_level" / "tokenizer.json").read_text())
    cut = added_cases(base)
    write(folder / "tokenizers" / "specials.json", {"added_tokens": cut["added_tokens"]},
          {"cases": tokenizer_cases(base), "encodings": cut["encodings"]})
    variants = []
    for add_bos, add_eos in itertools.product([True, False], [False, True]):
        path = folder / "gguf" / "specials.gguf"
        write_gguf(path, add_bos, add_eos)
        made = subprocess.run([sys.executable, __file__, str(path)], check=True, capture_output=True, text=True).stdout
        encodings = json.loads(made.rsplit("\nIDS ", 1)[1])
        variants.append({"add_bos_token": add_bos, "add_eos_token": add_eos, "encodings": encodings})
    # The committed file has the defaults, which a test changes in place.
    write_gguf(folder / "gguf" / "specials.gguf", True, False)
    write(folder / "gguf" / "specials.json", {}, {"variants": variants})


if __name__ == "__main__":
    serve(sys.argv[1])
