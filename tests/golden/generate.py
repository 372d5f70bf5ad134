#!/usr/bin/env python3
"""Makes the golden vectors beside this script; README.md says how they are used.

    python3 -m venv .venv && .venv/bin/pip install -r requirements.txt
    .venv/bin/python generate.py            # writes the folders beside it
    .venv/bin/python generate.py --check    # makes them again elsewhere and compares

The source of truth is transformers' LlamaForCausalLM and Qwen3ForCausalLM in float32 with eager attention. Every named point is taken out
of its own forward pass by hooks; nothing is computed again here. blocks.py makes those of the other architectures.

Licence: MIT OR Apache-2.0, the generated files too (random weights, no foreign data).
"""

import argparse
import json
import struct
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import audio_files
import blocks
import ends_files
import expected_files
import family_files
import gguf_files
import gguf_models
import onnx_files
import page_files
import saved_files
import special_files
import tokenizer_files
from keywords import train as keywords

HERE = Path(__file__).resolve().parent
SEED = 20261123

MODELS = {
    # Tied head, two query heads to each key and value head.
    "llama": dict(
        sizes=dict(vocab_size=48, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
                   head_dim=8, intermediate_size=48, max_position_embeddings=64, rms_norm_eps=1e-5, rope_theta=10000.0,
                   tie_word_embeddings=True, bos_token_id=1, eos_token_id=2),
        tokens=16, bfloat16=False),
    # Separate head, as many key and value heads as query heads, heads wider than hidden_size / heads; other epsilon
    # and rotary base; weights stored as bfloat16.
    "llama_untied": dict(
        sizes=dict(vocab_size=40, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4,
                   head_dim=12, intermediate_size=40, max_position_embeddings=32, rms_norm_eps=1e-6, rope_theta=500.0,
                   tie_word_embeddings=False, bos_token_id=1, eos_token_id=2),
        tokens=12, bfloat16=True),
    # Queries and keys are normalised, head by head; two query heads to each key and value head, wider than
    # hidden_size / heads; Qwen3's rotary base.
    "qwen3": dict(
        sizes=dict(vocab_size=40, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                   head_dim=12, intermediate_size=40, max_position_embeddings=32, rms_norm_eps=1e-6,
                   rope_theta=1000000.0, tie_word_embeddings=True, bos_token_id=1, eos_token_id=2),
        tokens=14, bfloat16=False),
}


def check_versions():
    for line in (HERE / "requirements.txt").read_text().splitlines():
        if "==" in line:
            package, pinned = line.split("==")
            found = version(package)
            if found.split("+")[0] != pinned:
                sys.exit(f"{package} is {found}, the vectors need {pinned}: pip install -r {HERE / 'requirements.txt'}")


def make_model(name, sizes, bfloat16, generator):
    """A random model whose every part matters: sharp attention, norm weights that are not 1."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

    theta = sizes.pop("rope_theta")
    rope = {"rope_type": "default", "rope_theta": theta}
    Config, Model = (Qwen3Config, Qwen3ForCausalLM) if name == "qwen3" else (LlamaConfig, LlamaForCausalLM)
    config = Config(**sizes, rope_parameters=rope, attn_implementation="eager")
    model = Model(config).float().eval()
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            noise = torch.randn(weight.shape, generator=generator)
            if weight.dim() == 1:
                value = 1.0 + 0.3 * noise
            elif "embed_tokens" in name:
                value = noise
            else:
                sharp = 1.6 if "q_proj" in name or "k_proj" in name else 1.0
                value = sharp * noise / weight.shape[1] ** 0.5
            weight.copy_(value.bfloat16().float() if bfloat16 else value)
    return model


def activations(model, tokens):
    """Every named point of one forward pass, `[seq, width]`; attention probabilities `[n_heads, seq, seq]`."""
    import torch

    modeling = sys.modules[type(model).__module__]
    found, rotated = {}, []

    def keep(name):
        def hook(_module, _inputs, output):
            output = output[0] if isinstance(output, tuple) else output
            found[name] = output[0].detach().clone()
        return hook

    def keep_input(name):
        def hook(_module, inputs):
            found[name] = inputs[0][0].detach().clone()
        return hook

    inner = model.model
    hooks = [inner.embed_tokens.register_forward_hook(keep("embedding")), inner.norm.register_forward_hook(keep("final_norm"))]
    for index, layer in enumerate(inner.layers):
        here = f"layers.{index}."
        for module, point in [(layer.input_layernorm, "attention_norm"), (layer.self_attn.v_proj, "attention.v"),
                              (layer.self_attn.o_proj, "attention.output"), (layer.post_attention_layernorm, "mlp_norm"),
                              (layer.mlp, "mlp.output"), (layer, "output")]:
            hooks.append(module.register_forward_hook(keep(here + point)))
        for module, point in [(layer.self_attn.o_proj, "attention.gathered"), (layer.mlp.down_proj, "mlp.hidden")]:
            hooks.append(module.register_forward_pre_hook(keep_input(here + point)))

    # Rotated queries and keys are no module's output: listen to the function instead.
    original = modeling.apply_rotary_pos_emb

    def listen(*args, **kwargs):
        rotated.append(original(*args, **kwargs))
        return rotated[-1]

    modeling.apply_rotary_pos_emb = listen
    try:
        with torch.no_grad():
            output = model(torch.tensor([tokens]), output_attentions=True, use_cache=False)
    finally:
        modeling.apply_rotary_pos_emb = original
        for hook in hooks:
            hook.remove()

    assert len(rotated) == len(inner.layers) == len(output.attentions)
    for index, ((q, k), scores) in enumerate(zip(rotated, output.attentions)):
        for name, heads in [("q", q), ("k", k)]:  # [1, heads, seq, head_dim] -> [seq, heads * head_dim]
            found[f"layers.{index}.attention.{name}"] = heads[0].transpose(0, 1).flatten(1)
        found[f"layers.{index}.attention.scores"] = scores[0]
    found["logits"] = output.logits[0]
    return {name: value.float().contiguous() for name, value in found.items()}


def adjacent_pairs(weight, heads):
    """Rows of a rotate-half projection in the order of llama2.c, whose rotary pairs are adjacent.

    Hugging Face turns rows (i, i + dim/2) of a head together, llama2.c rows (2i, 2i + 1): row (half, i) becomes
    row (i, half). This is the inverse of what llama2.c's export.py does when it writes Hugging Face files.
    """
    rows, columns = weight.shape
    return weight.view(heads, 2, rows // heads // 2, columns).transpose(1, 2).reshape(rows, columns)


def write_llama2c(model, path):
    """The same weights as a llama2.c file of the headerless version 0."""
    import torch

    c, state = model.config, model.state_dict()
    per_layer = lambda part, change=lambda w: w: [
        change(state[f"model.layers.{i}.{part}.weight"]) for i in range(c.num_hidden_layers)]
    angles = torch.outer(torch.arange(c.max_position_embeddings).float(),
                         10000.0 ** (-torch.arange(0, c.head_dim, 2).float() / c.head_dim))
    tensors = [
        state["model.embed_tokens.weight"],
        *per_layer("input_layernorm"),
        *per_layer("self_attn.q_proj", lambda w: adjacent_pairs(w, c.num_attention_heads)),
        *per_layer("self_attn.k_proj", lambda w: adjacent_pairs(w, c.num_key_value_heads)),
        *per_layer("self_attn.v_proj"),
        *per_layer("self_attn.o_proj"),
        *per_layer("post_attention_layernorm"),
        *per_layer("mlp.gate_proj"),
        *per_layer("mlp.down_proj"),
        *per_layer("mlp.up_proj"),
        state["model.norm.weight"],
        angles.cos(),
        angles.sin(),
    ]
    assert c.tie_word_embeddings, "a positive vocabulary size says that the head is tied"
    with open(path, "wb") as out:
        out.write(struct.pack("<7i", c.hidden_size, c.intermediate_size, c.num_hidden_layers, c.num_attention_heads,
                              c.num_key_value_heads, c.vocab_size, c.max_position_embeddings))
        for tensor in tensors:
            out.write(tensor.contiguous().float().numpy().astype("<f4").tobytes())


def llama2c_vocabulary():
    """Specials, 256 byte tokens, then pieces with scores: ties, several ways to one piece, pieces that never win."""
    vocabulary = [(b"<unk>", 0.0), (b"\n<s>\n", 0.0), (b"\n</s>\n", 0.0)]
    vocabulary += [(b"<0x%02X>" % byte, 0.0) for byte in range(256)]
    merged = [(" t", -1), ("he", -2), (" a", -2), ("in", -3), (" the", -4), ("the", -4), ("an", -5), (" an", -5),
              ("and", -6), (" and", -6), ("nd", -6), ("ing", -7), ("ll", -8), ("  ", -9), ("ée", -9), ("aa", -10),
              ("aaa", -10), ("aaaa", -10.5), ("hat", -11), ("at", -11), (" that", -12), ("é ", -13), (" h", -1e10),
              ("<0", -14)]
    vocabulary += [(text.encode(), float(score)) for text, score in merged]
    characters = " abcdefghilmnorstuwyé.,'<0x41>\u00df\u4e16"
    seen = {piece for piece, _ in vocabulary}
    for index, character in enumerate(dict.fromkeys(characters)):
        if character.encode() not in seen:
            vocabulary.append((character.encode(), -100.0 - index))
    return vocabulary


def llama2c_encode(vocabulary, text):
    """llama2.c's encoder, from its description: characters or bytes, then always the merge with the highest score."""
    ids = {piece: index for index, (piece, _) in enumerate(vocabulary)}
    tokens = [ids[b" "]] if text else []
    for character in text:
        raw = character.encode()
        tokens += [ids[raw]] if raw in ids else [byte + 3 for byte in raw]
    while True:
        best, best_score = None, -1e10
        for place, (left, right) in enumerate(zip(tokens, tokens[1:])):
            merged = ids.get(vocabulary[left][0] + vocabulary[right][0])
            if merged is not None and vocabulary[merged][1] > best_score:
                best, best_score = (place, merged), vocabulary[merged][1]
        if best is None:
            return tokens
        place, merged = best
        tokens[place:place + 2] = [merged]


TEXTS = ["", " ", "  ", "   ", "    ", "the cat", "the hat and that", "and  the   aaaaa aaaa aaa", "aaaaaaaaaaa", "standing in the hall",
         "caf\u00e9 \u00e9t\u00e9 ann\u00e9e", "\u4e16\u754c", "\U0001f600 a \U0001f468\u200d\U0001f469\u200d\U0001f467", "line\nline\n\n", "\ttab\r\n",
         "ABC", "<0x41>", "<0x41> <s> </s> <unk>", "\n<s>\n", "a\u0301 \u00df", " the", "the ", "hhhe tthe", "\x01\x7f\u0080\uffff"]


def write_llama2c_tokenizer(folder):
    vocabulary = llama2c_vocabulary()
    with open(folder / "tokenizer.bin", "wb") as out:
        out.write(struct.pack("<i", max(len(piece) for piece, _ in vocabulary)))
        for piece, score in vocabulary:
            out.write(struct.pack("<fi", score, len(piece)) + piece)
    encodings = [{"text": text, "ids": llama2c_encode(vocabulary, text)} for text in TEXTS]
    lines = ",\n".join("  " + json.dumps(encoding) for encoding in encodings)
    (folder / "encodings.json").write_text(f'{{"vocab": {len(vocabulary)}, "encodings": [\n{lines}\n]}}\n')


def write_whole(folder, name):
    """The logits of a decoder whose config.json has `is_causal` = false: since transformers 5, every position sees the whole sequence."""
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import AutoConfig, AutoModelForCausalLM

    with tempfile.TemporaryDirectory() as scratch:
        keys = json.loads((folder / name / "checkpoint" / "config.json").read_text())
        (Path(scratch) / "config.json").write_text(json.dumps({**keys, "is_causal": False}))
        config = AutoConfig.from_pretrained(scratch)
    model = AutoModelForCausalLM.from_pretrained(
        folder / name / "checkpoint", config=config, dtype=torch.float32, attn_implementation="eager").eval()
    given = load_file(folder / name / "activations.safetensors")
    with torch.no_grad():
        logits = model(given["tokens"].long()[None]).logits[0]
    assert (logits[0] - given["logits"][0]).abs().max() > 0.1, f"{name}: the mask makes no difference"
    save_file({"logits": logits.contiguous()}, folder / name / "whole.safetensors")


def generate(folder):
    import torch
    from safetensors.torch import save_file

    torch.set_num_threads(1)
    for name, recipe in MODELS.items():
        generator = torch.Generator().manual_seed(SEED)
        model = make_model(name, dict(recipe["sizes"]), recipe["bfloat16"], generator)
        vocab = model.config.vocab_size
        tokens = [1] + torch.randint(3, vocab, (recipe["tokens"] - 1,), generator=generator).tolist()
        tokens[-1] = tokens[1]  # a repeated token, and the last row of the embedding
        tokens[-2] = vocab - 1
        points = activations(model, tokens)
        points["tokens"] = torch.tensor(tokens, dtype=torch.float32)
        (folder / name).mkdir(parents=True, exist_ok=True)
        save_file(points, folder / name / "activations.safetensors")
        if name == "llama":
            for part in ("llama2c", "llama2c_tokenizer"):
                (folder / part).mkdir(exist_ok=True)
            write_llama2c(model, folder / "llama2c" / "model.bin")
            write_llama2c_tokenizer(folder / "llama2c_tokenizer")
        stored = model.bfloat16() if recipe["bfloat16"] else model
        stored.save_pretrained(folder / name / "checkpoint")
        (folder / name / "checkpoint" / "generation_config.json").unlink(missing_ok=True)
    blocks.generate(folder, SEED)
    family_files.generate(folder, SEED)
    for name in ("llama", "qwen3", "gpt2"):
        write_whole(folder, name)
    gguf_files.generate(folder)
    gguf_models.generate(folder)
    tokenizer_files.generate(folder)
    audio_files.generate(folder)
    special_files.generate(folder)
    expected_files.generate(folder, folder)
    keywords.generate(folder)
    ends_files.generate(folder)
    onnx_files.generate(folder)
    page_files.generate(folder)
    saved_files.generate(folder)


def check():
    from safetensors.numpy import load_file

    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        generate(scratch)
        for made in sorted(path for path in scratch.rglob("*") if path.is_file()):
            name = made.relative_to(scratch)
            if name.parts[0] == "families" and name.name == "expected.safetensors" or \
                    name.parts[:2] == ("gguf", "models") and name.suffix == ".safetensors" or \
                    name.name in ("activations.safetensors", "masked.safetensors", "whole.safetensors"):
                # Sums may be taken in another order on another processor.
                a, b = load_file(made), load_file(HERE / name)
                assert a.keys() == b.keys(), f"{name}: other points"
                worst = max((abs(a[point] - b[point]).max() / abs(b[point]).max(), point) for point in a)
                assert worst[0] < 1e-5, f"{name}: {worst[1]} differs by {worst[0]:.1e}"
            elif name.name == "families.json":
                # In hundredths of a dB, which a sum in another order may change.
                a, b = json.loads(made.read_text()), json.loads((HERE / name).read_text())
                assert a.keys() == b.keys() and all(a[row]["class"] == b[row]["class"] for row in a), f"{name}: other rows"
                worst = max(abs(a[row]["fake_quantization_db"] - b[row]["fake_quantization_db"]) for row in a)
                assert worst < 0.1, f"{name}: differs by {worst:.2f} dB"
            elif name.parts[0] in ("your_model", "own_module"):
                assert page_files.same(made, HERE / name), f"{name}: differs"
            elif name.parts[0] == "audio":
                assert audio_files.same(made, HERE / name), f"{name}: differs"
            elif name.name == "legacy.pt":
                assert saved_files.same(made, HERE / name), f"{name}: differs"
            elif name.suffix == ".npz":
                onnx_files.same_outputs(made, HERE / name)
            else:
                assert made.read_bytes() == (HERE / name).read_bytes(), f"{name}: differs"
            print(f"{name}: same")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the committed files instead of writing them")
    arguments = parser.parse_args()
    check_versions()
    check() if arguments.check else generate(HERE)


if __name__ == "__main__":
    main()
