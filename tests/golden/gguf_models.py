"""GGUF files of every type of tensors and of every architecture that is read; generate.py calls this, README.md lists them.

gguf/types.gguf          a Llama whose tensors have a type each; types.safetensors: the floats that `gguf.dequantize` makes of them
gguf/models/NAME.gguf    weights of families/ under llama.cpp's names, in float16; NAME.safetensors: `tokens`, `logits` of transformers in
                         float32, and `llama_cpp`, the logarithms of llama.cpp's probabilities after every token

llama.cpp computes the same weights in float32, with a cache in float32 and without flash attention; its GELU is a table of float16, its
SiLU is not.
"""

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

SEED = 20261130
# Name, row of families/, class of transformers: GPT-2's has the embedding as its head, whatever head was saved.
MODELS = [
    ("llama", "llama_biases", "LlamaForCausalLM"),
    ("qwen2", "qwen2", "Qwen2ForCausalLM"),
    ("qwen3", "qwen3", "Qwen3ForCausalLM"),
    ("gemma", "gemma", "GemmaForCausalLM"),
    ("phi3", "phi3", "Phi3ForCausalLM"),
    ("gpt2", "gpt2_answers", "GPT2LMHeadModel"),
]


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def random_blocks(kind, rows, random):
    """Blocks of 256 numbers with random bits everywhere but in the scales, which are small; the package quantizes none of these types."""
    import gguf
    import numpy as np

    size = gguf.GGML_QUANT_SIZES[kind][1]
    blocks = random.integers(0, 256, (rows, size), dtype=np.uint8)
    places = [208] if kind == gguf.GGMLQuantizationType.Q6_K else [0, 2]
    for place in places:
        scales = (random.standard_normal(rows) * 0.01).astype(np.float16)
        blocks[:, place:place + 2] = scales.view(np.uint8).reshape(rows, 2)
    return blocks


def write_types(out):
    import gguf
    import numpy as np
    from safetensors.numpy import save_file

    kinds = gguf.GGMLQuantizationType
    random = np.random.default_rng(SEED)
    table = {"token_embd": (kinds.Q6_K, 2, 256), "blk.0.attn_q": (kinds.Q4_K, 2, 256), "blk.0.attn_k": (kinds.Q5_K, 2, 256),
             "blk.0.attn_v": (kinds.Q4_1, 2, 256), "blk.0.attn_output": (kinds.F16, 256, 2), "blk.0.ffn_gate": (kinds.Q5_0, 2, 256),
             "blk.0.ffn_up": (kinds.Q5_1, 2, 256), "blk.0.ffn_down": (kinds.BF16, 256, 2), "blk.0.attn_norm": (kinds.F64, 256),
             "blk.0.ffn_norm": (kinds.F32, 256), "output_norm": (kinds.F32, 256)}
    writer, expected = gguf.GGUFWriter(out / "types.gguf", "llama"), {}
    for add, value in [(writer.add_block_count, 1), (writer.add_context_length, 8), (writer.add_embedding_length, 256),
                       (writer.add_feed_forward_length, 2), (writer.add_head_count, 1), (writer.add_head_count_kv, 1),
                       (writer.add_key_length, 2), (writer.add_value_length, 2), (writer.add_rope_dimension_count, 2),
                       (writer.add_layer_norm_rms_eps, 1e-5)]:
        add(value)
    for name, (kind, *shape) in table.items():
        if kind in (kinds.Q4_K, kinds.Q5_K, kinds.Q6_K):
            data = random_blocks(kind, shape[0], random)
        elif kind in (kinds.F64, kinds.F32):
            data = 1 + 0.1 * random.standard_normal(shape).astype(np.float32)
            data = data.astype(np.float64 if kind == kinds.F64 else np.float32)
        else:
            data = gguf.quantize(random.standard_normal(shape).astype(np.float32), kind)
        if kind not in (kinds.F64, kinds.F32, kinds.F16):
            expected[f"{name}.weight"] = np.ascontiguousarray(gguf.dequantize(data, kind).astype(np.float32))
        writer.add_tensor(f"{name}.weight", data, raw_dtype=kind)
        if name == "token_embd":
            # A head that is the embedding, as some converters write it.
            writer.add_tensor("output.weight", data, raw_dtype=kind)
    finish(writer)
    save_file(expected, out / "types.safetensors")


def permuted(weights, heads):
    """llama.cpp's order of a Llama's rows: neighbours are turned."""
    return weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:]).swapaxes(1, 2).reshape(weights.shape)


def tensors_of(name, config, state):
    """Tensors by llama.cpp's names, changed as its convert_hf_to_gguf.py changes them."""
    import gguf
    import numpy as np

    kinds = {text: arch for arch, text in gguf.MODEL_ARCH_NAMES.items()}
    names = gguf.get_tensor_name_map(kinds[name], config.num_hidden_layers)
    tensors = {}
    for theirs, weights in state.items():
        weights = weights.float().numpy()
        if theirs == "lm_head.weight" and config.tie_word_embeddings:
            continue
        if name == "gpt2" and theirs.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight")):
            weights = weights.T
        if name == "gemma" and theirs.endswith("norm.weight"):
            weights = weights + 1
        if name == "llama" and ".q_proj." in theirs:
            weights = permuted(weights, config.num_attention_heads)
        if name == "llama" and ".k_proj." in theirs:
            weights = permuted(weights, config.num_key_value_heads)
        ours = names.get_name(theirs, try_suffixes=(".weight", ".bias"))
        assert ours, theirs
        tensors[ours] = np.ascontiguousarray(weights)
    return tensors


def write_model(path, name, config, tensors, scratch):
    """The golden file; or, as llama.cpp wants it, one with float32 and with names of tokens."""
    import gguf
    import numpy as np

    heads = config.num_attention_heads
    writer = gguf.GGUFWriter(path, name)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_head_count(heads)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    if name == "gpt2":
        writer.add_feed_forward_length(4 * config.hidden_size)
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
    else:
        width = getattr(config, "head_dim", None) or config.hidden_size // heads
        writer.add_feed_forward_length(config.intermediate_size)
        writer.add_head_count_kv(config.num_key_value_heads)
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
        writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
        writer.add_rope_dimension_count(width)
        if width * heads != config.hidden_size:
            writer.add_key_length(width)
            writer.add_value_length(width)
    if name == "phi3":
        writer.add_rope_scaling_orig_ctx_len(config.original_max_position_embeddings)
        writer.add_sliding_window(0)
    if scratch:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("gpt-2")
        writer.add_token_list([f"t{index}".encode() for index in range(config.vocab_size)])
        writer.add_token_types([gguf.TokenType.NORMAL] * config.vocab_size)
        writer.add_token_merges(["t 0"])
        writer.add_eos_token_id(2)
    for tensor, weights in tensors.items():
        writer.add_tensor(tensor, weights.astype(np.float32 if scratch or weights.ndim == 1 else np.float16))
    finish(writer)


def serve(path, tokens, vocab):
    """Prints llama.cpp's logarithms of probabilities after every token; a process of its own, since the server has no end."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.warmup, params.verbosity = path, 64, False, 0
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.cpuparams.n_threads = 1
    server = xllamacpp.Server(params)
    rows = []
    for count in range(1, len(tokens) + 1):
        body = {"prompt": tokens[:count], "n_predict": 1, "n_probs": vocab, "cache_prompt": False, "temperature": 1.0}
        request = urllib.request.Request(server.listening_address + "/completion", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        found = json.load(urllib.request.urlopen(request))["completion_probabilities"][0]["top_logprobs"]
        row = {entry["id"]: entry["logprob"] for entry in found}
        assert len(row) == vocab, f"{len(row)} of {vocab} tokens"
        rows.append([row[token] for token in range(vocab)])
    print("\nROWS " + json.dumps(rows), flush=True)
    os._exit(0)


def write_models(folder, out):
    import numpy as np
    import torch
    import transformers
    from safetensors.numpy import save_file

    (out / "models").mkdir(exist_ok=True)
    generator = torch.Generator().manual_seed(SEED)
    for name, row, kind in MODELS:
        source = folder / "families" / row
        model = getattr(transformers, kind).from_pretrained(source, dtype=torch.float32, attn_implementation="eager").eval()
        config = model.config
        tokens = torch.randint(3, config.vocab_size, (8,), generator=generator)
        with torch.no_grad():
            logits = model(tokens[None]).logits[0].numpy()
        tensors = tensors_of(name, config, model.state_dict())
        write_model(out / "models" / f"{name}.gguf", name, config, tensors, False)
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "model.gguf"
            write_model(path, name, config, tensors, True)
            command = [sys.executable, __file__, str(path), json.dumps(tokens.tolist()), str(config.vocab_size)]
            made = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        llama_cpp = np.array(json.loads(made.rsplit("\nROWS ", 1)[1]), np.float32)
        expected = torch.log_softmax(torch.tensor(logits, dtype=torch.float64), -1).numpy()
        noise = 10 * np.log10((expected ** 2).sum() / ((expected - llama_cpp) ** 2).sum())
        assert noise > (60 if name in ("gemma", "gpt2") else 100), f"{name}: llama.cpp differs from transformers, {noise:.1f} dB"
        save_file({"tokens": tokens.float().numpy(), "logits": np.ascontiguousarray(logits), "llama_cpp": llama_cpp},
                  out / "models" / f"{name}.safetensors")
        print(f"{name}: llama.cpp and transformers agree to {noise:.1f} dB")


def generate(folder):
    write_types(folder / "gguf")
    write_models(folder, folder / "gguf")


if __name__ == "__main__":
    serve(sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3]))
