"""The golden GGUF files; generate.py calls this, README.md lists them.

The source of truth is the package `gguf` of llama.cpp: it writes the files, quantizes the tensors, and makes them float again
for `expected.safetensors`. The order of rows is that of llama.cpp's convert_hf_to_gguf.py.
"""

import struct

import gguf
import numpy as np
from safetensors.numpy import load_file, save_file

TYPES = {"f32": gguf.GGMLQuantizationType.F32, "f16": gguf.GGMLQuantizationType.F16,
         "q8_0": gguf.GGMLQuantizationType.Q8_0, "q4_0": gguf.GGMLQuantizationType.Q4_0}
PARTS = {"input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
         "self_attn.o_proj": "attn_output", "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate",
         "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
SHOWN = ["token_embd.weight", "blk.0.attn_q.weight", "blk.1.attn_k.weight", "blk.2.ffn_gate.weight"]


def permuted(weights, heads):
    """llama.cpp's order: neighbours are turned."""
    return weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:]).swapaxes(1, 2).reshape(weights.shape)


def settings(writer, d, layers, ff, heads, kv_heads, context, eps):
    writer.add_block_count(layers)
    writer.add_context_length(context)
    writer.add_embedding_length(d)
    writer.add_feed_forward_length(ff)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(eps)
    writer.add_rope_dimension_count(d // heads)


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def generate(folder):
    out = folder / "gguf"
    out.mkdir(parents=True, exist_ok=True)
    source = load_file(folder / "llama" / "checkpoint" / "model.safetensors")
    tensors = {"token_embd.weight": source["model.embed_tokens.weight"], "output_norm.weight": source["model.norm.weight"]}
    for layer in range(3):
        for theirs, ours in PARTS.items():
            weights = source[f"model.layers.{layer}.{theirs}.weight"]
            heads = {"attn_q": 4, "attn_k": 2}.get(ours)
            tensors[f"blk.{layer}.{ours}.weight"] = permuted(weights, heads) if heads else weights
    expected = {}
    for name, kind in TYPES.items():
        writer = gguf.GGUFWriter(out / f"{name}.gguf", "llama")
        settings(writer, 32, 3, 48, 4, 2, 64, 1e-5)
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
        for tensor, weights in tensors.items():
            weights = weights.astype(np.float32)
            # As llama.cpp does it: vectors, and rows that are no whole blocks, stay float.
            fits = weights.ndim == 2 and weights.shape[1] % 32 == 0
            kept = gguf.GGMLQuantizationType.F32 if weights.ndim == 1 else gguf.GGMLQuantizationType.F16
            used = kind if fits or name in ("f32", "f16") and weights.ndim == 2 else kept
            data = gguf.quantize(weights, used)
            if tensor in SHOWN:
                expected[f"{name}.{tensor}"] = np.ascontiguousarray(gguf.dequantize(data, used).astype(np.float32))
            writer.add_tensor(tensor, data, raw_dtype=used)
        finish(writer)
    save_file(expected, out / "expected.safetensors")

    # A tokenizer's scores, and a small model that carries them: examples/tiny.tbf is its image.
    data = (folder / "llama2c_tokenizer" / "tokenizer.bin").read_bytes()
    at, tokens, scores = 4, [], []
    while at < len(data):
        score, length = struct.unpack_from("<fi", data, at)
        tokens.append(data[at + 8:at + 8 + length].replace(b" ", "\u2581".encode()))
        scores.append(score)
        at += 8 + length
    writer = gguf.GGUFWriter(out / "tokenizer.gguf", "llama")
    settings(writer, 4, 1, 4, 1, 1, 32, 1e-5)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    shapes = {"token_embd": (len(tokens), 4), "output_norm": (4,), "output": (len(tokens), 4)}
    for part in PARTS.values():
        shapes[f"blk.0.{part}"] = (4,) if part.endswith("norm") else (4, 4)
    random = np.random.default_rng(20261129)
    for name, shape in shapes.items():
        weights = random.standard_normal(shape) if len(shape) > 1 else np.ones(shape)
        writer.add_tensor(f"{name}.weight", weights.astype(np.float16 if len(shape) > 1 else np.float32))
    finish(writer)
