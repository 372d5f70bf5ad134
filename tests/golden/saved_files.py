"""Small models saved in every way in which people save them with PyTorch: the same tensors must come out of each file.

The encoder is one module in many files; the decoders (nanoGPT's, the lecture's and llama2.c's training checkpoints) are written from their
descriptions, with PyTorch's modules, and their logits are those of the forward pass.
"""

import json
import math
from collections import OrderedDict

from blocks import randomise

D, HEADS, FF = 8, 2, 12
MODULES = {}


def define():
    """Classes of this module's own, so that a pickle can name them; torch is imported only here."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Linear(5, D)
            self.position = nn.Parameter(torch.zeros(1, 6, D))
            layer = nn.TransformerEncoderLayer(D, HEADS, FF, dropout=0.0, activation="gelu", batch_first=True, norm_first=True)
            self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
            self.head = nn.Linear(D, 3)
            self.register_buffer("scratch", torch.zeros(2), persistent=False)

        def forward(self, x):
            return self.head(self.encoder(self.embed(x) + self.position[:, :x.shape[1]]).mean(1))

    class CausalSelfAttention(nn.Module):
        def __init__(self):
            super().__init__()
            self.c_attn, self.c_proj = nn.Linear(D, 3 * D), nn.Linear(D, D)
            # The mask that nanoGPT saves where there is no flash attention.
            self.register_buffer("bias", torch.tril(torch.ones(6, 6)).view(1, 1, 6, 6))

        def forward(self, x):
            q, k, v = (part.view(1, -1, HEADS, D // HEADS).transpose(1, 2) for part in self.c_attn(x).split(D, dim=2))
            return self.c_proj(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(1, -1, D))

    class GPTBlock(nn.Module):
        def __init__(self):
            super().__init__()
            self.ln_1, self.attn, self.ln_2 = nn.LayerNorm(D), CausalSelfAttention(), nn.LayerNorm(D)
            self.mlp = nn.ModuleDict({"c_fc": nn.Linear(D, 4 * D), "c_proj": nn.Linear(4 * D, D)})

        def forward(self, x):
            x = x + self.attn(self.ln_1(x))
            return x + self.mlp["c_proj"](F.gelu(self.mlp["c_fc"](self.ln_2(x))))

    class GPT(nn.Module):
        def __init__(self):
            super().__init__()
            self.transformer = nn.ModuleDict({"wte": nn.Embedding(11, D), "wpe": nn.Embedding(6, D), "h": nn.ModuleList([GPTBlock()]),
                                              "ln_f": nn.LayerNorm(D)})
            self.lm_head = nn.Linear(D, 11, bias=False)
            self.transformer["wte"].weight = self.lm_head.weight

        def forward(self, tokens):
            x = self.transformer["wte"](tokens) + self.transformer["wpe"](torch.arange(tokens.shape[1]))
            for block in self.transformer["h"]:
                x = block(x)
            return self.lm_head(self.transformer["ln_f"](x))

    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.key, self.query, self.value = (nn.Linear(D, D // HEADS, bias=False) for _ in range(3))
            self.register_buffer("tril", torch.tril(torch.ones(6, 6)))

        def forward(self, x):
            seq, k = x.shape[1], self.key(x)
            scores = self.query(x) @ k.transpose(-2, -1) * k.shape[-1] ** -0.5
            return scores.masked_fill(self.tril[:seq, :seq] == 0, -math.inf).softmax(-1) @ self.value(x)

    class MultiHead(nn.Module):
        def __init__(self):
            super().__init__()
            self.heads, self.proj = nn.ModuleList([Head() for _ in range(HEADS)]), nn.Linear(D, D)

        def forward(self, x):
            return self.proj(torch.cat([head(x) for head in self.heads], -1))

    class FeedForward(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(D, 4 * D), nn.ReLU(), nn.Linear(4 * D, D), nn.Dropout(0.0))

        def forward(self, x):
            return self.net(x)

    class LectureBlock(nn.Module):
        def __init__(self):
            super().__init__()
            self.sa, self.ffwd, self.ln1, self.ln2 = MultiHead(), FeedForward(), nn.LayerNorm(D), nn.LayerNorm(D)

        def forward(self, x):
            x = x + self.sa(self.ln1(x))
            return x + self.ffwd(self.ln2(x))

    class Lecture(nn.Module):
        def __init__(self):
            super().__init__()
            self.token_embedding_table, self.position_embedding_table = nn.Embedding(11, D), nn.Embedding(6, D)
            self.blocks, self.ln_f, self.lm_head = nn.Sequential(LectureBlock()), nn.LayerNorm(D), nn.Linear(D, 11)

        def forward(self, tokens):
            x = self.token_embedding_table(tokens) + self.position_embedding_table(torch.arange(tokens.shape[1]))
            return self.lm_head(self.ln_f(self.blocks(x)))

    for made in (Net, GPT, Lecture):
        made.__qualname__ = made.__name__
        globals()[made.__name__] = MODULES[made.__name__] = made


CONFIG = {"nhead": HEADS, "norm_first": True, "activation": "gelu", "mask": "bidirectional", "input": "frames", "embedding": "embed",
          "positions": "position", "pooling": "mean", "head": "head"}


def encoder(folder, generator):
    """One encoder in every file."""
    import torch
    from safetensors.torch import save_file
    from torch import nn

    net = randomise(MODULES["Net"](), generator)
    frames = torch.randn(1, 4, 5, generator=generator)
    with torch.no_grad():
        logits = net(frames)
    state = net.state_dict()
    here = folder / "encoder"
    here.mkdir(parents=True, exist_ok=True)
    (here / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    save_file({"frames": frames[0].contiguous(), "logits": logits}, here / "activations.safetensors")
    prefixed = lambda prefix: {prefix + name: tensor for name, tensor in state.items()}
    torch.save(state, here / "state_dict.pt")
    parameters = OrderedDict((name, nn.Parameter(tensor)) for name, tensor in state.items())
    torch.save({"epoch": 3, "model_state_dict": parameters, "optimizer_state_dict": torch.optim.AdamW(net.parameters()).state_dict(),
                "classes": ["rest", "walk", "run"], "loss": 0.5, "scaler_mean": torch.zeros(5), "scaler_scale": [1.0] * 5, "scaler": torch.amp.GradScaler("cpu").state_dict()}, here / "wrapped.pth",
               pickle_protocol=4)
    save_file(prefixed("module."), here / "data_parallel.safetensors")
    torch.save({"state_dict": prefixed("model._orig_mod."), "pytorch-lightning_version": "2"}, here / "lightning.ckpt")
    torch.save(net, here / "module.pt")
    torch.save(state, here / "legacy.pt", _use_new_zipfile_serialization=False)
    # Every matrix as a view: transposed, of a wider one, behind others.
    def view(tensor):
        if tensor.dim() != 2:
            return tensor
        wide = torch.zeros(tensor.shape[1] + 1, tensor.shape[0] + 2)
        wide[1:, 2:] = tensor.t()
        return wide[1:, 2:].t()
    torch.save({name: view(tensor) for name, tensor in state.items()}, here / "views.pt")
    save_file({name: tensor.double() for name, tensor in state.items()}, here / "float64.safetensors")
    # Weight norm, and the weight that PyTorch computes of it.
    normed = MODULES["Net"]()
    normed.load_state_dict(state)
    nn.utils.parametrizations.weight_norm(normed.encoder.layers[0].linear1)
    with torch.no_grad():
        normed.encoder.layers[0].linear1.parametrizations.weight.original0.mul_(1.5)
    save_file(normed.state_dict(), here / "weight_norm.safetensors")
    torch.nn.utils.parametrize.remove_parametrizations(normed.encoder.layers[0].linear1, "weight")
    save_file(normed.state_dict(), here / "weight_norm_removed.safetensors")


def shards(folder, generator):
    """An encoder of transformers, in one file, in shards of both kinds, and by the names of old exporters."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(vocab_size=11, hidden_size=D, num_hidden_layers=1, num_attention_heads=HEADS, intermediate_size=FF,
                        max_position_embeddings=6, num_labels=3)
    model = randomise(BertForSequenceClassification(config), generator)
    model.save_pretrained(folder / "bert" / "whole")
    model.save_pretrained(folder / "bert" / "shards", max_shard_size="2KB")
    old = folder / "bert" / "old"
    old.mkdir(parents=True, exist_ok=True)
    config.save_pretrained(old)
    rename = lambda name: name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
    state = {rename(name): tensor for name, tensor in model.state_dict().items()}
    half = len(state) // 2
    parts = {"pytorch_model-00001-of-00002.bin": list(state)[:half], "pytorch_model-00002-of-00002.bin": list(state)[half:]}
    for part, names in parts.items():
        torch.save({name: state[name] for name in names}, old / part)
    index = {"metadata": {}, "weight_map": {name: part for part, names in parts.items() for name in names}}
    (old / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=2) + "\n")


def decoders(folder, generator):
    """Checkpoints that training scripts write, which carry their own settings or need none."""
    import torch
    from generate import adjacent_pairs
    from safetensors.torch import save_file, save_model
    from transformers import LlamaConfig, LlamaForCausalLM

    tokens = torch.tensor([[3, 1, 10, 0, 3]])

    def keep(name, model, logits):
        (folder / name).mkdir(parents=True, exist_ok=True)
        save_file({"tokens": tokens[0].float(), "logits": logits[0].contiguous()}, folder / name / "activations.safetensors")

    gpt = randomise(MODULES["GPT"](), generator)
    with torch.no_grad():
        keep("nanogpt", gpt, gpt(tokens))
    args = {"n_layer": 1, "n_head": HEADS, "n_embd": D, "block_size": 6, "bias": True, "vocab_size": 11, "dropout": 0.0}
    torch.save({"model": {"_orig_mod." + name: tensor for name, tensor in gpt.state_dict().items()}, "model_args": args, "iter_num": 5,
                "best_val_loss": torch.tensor(1.5), "optimizer": torch.optim.AdamW(gpt.parameters()).state_dict(),
                "config": {"dataset": "shakespeare", "learning_rate": 1e-3}}, folder / "nanogpt" / "ckpt.pt")
    # The library keeps one name of the tied head, and the other as metadata.
    save_model(gpt, str(folder / "nanogpt" / "save_model.safetensors"))

    lecture = randomise(MODULES["Lecture"](), generator)
    with torch.no_grad():
        keep("lecture", lecture, lecture(tokens))
    torch.save(lecture.state_dict(), folder / "lecture" / "model.pth")
    # Its versions differ in this, and the tensors do not tell.
    (folder / "lecture" / "config.json").write_text(json.dumps({"attention_scale": (D // HEADS) ** -0.5}) + "\n")

    config = LlamaConfig(vocab_size=11, hidden_size=D, num_hidden_layers=1, num_attention_heads=HEADS, num_key_value_heads=1,
                         intermediate_size=FF, max_position_embeddings=6, rms_norm_eps=1e-5, tie_word_embeddings=True,
                         rope_parameters={"rope_type": "default", "rope_theta": 10000.0}, attn_implementation="eager")
    llama = randomise(LlamaForCausalLM(config), generator)
    with torch.no_grad():
        keep("llama2c", llama, llama(tokens).logits)
    state = llama.state_dict()
    names = {"model.layers.0.input_layernorm": "layers.0.attention_norm", "model.layers.0.self_attn.v_proj": "layers.0.attention.wv",
             "model.layers.0.self_attn.o_proj": "layers.0.attention.wo", "model.layers.0.post_attention_layernorm": "layers.0.ffn_norm",
             "model.layers.0.mlp.gate_proj": "layers.0.feed_forward.w1", "model.layers.0.mlp.down_proj": "layers.0.feed_forward.w2",
             "model.layers.0.mlp.up_proj": "layers.0.feed_forward.w3", "model.norm": "norm", "lm_head": "output",
             "model.embed_tokens": "tok_embeddings"}
    made = {f"{ours}.weight": state[f"{theirs}.weight"] for theirs, ours in names.items()}
    for theirs, ours, heads in [("q_proj", "wq", HEADS), ("k_proj", "wk", 1)]:
        made[f"layers.0.attention.{ours}.weight"] = adjacent_pairs(state[f"model.layers.0.self_attn.{theirs}.weight"], heads).contiguous()
    args = {"dim": D, "n_layers": 1, "n_heads": HEADS, "n_kv_heads": 1, "vocab_size": 11, "multiple_of": 4, "max_seq_len": 6,
            "norm_eps": 1e-5, "dropout": 0.0}
    torch.save({"optimizer": {}, "model": made, "model_args": args, "iter_num": 7}, folder / "llama2c" / "ckpt.pt")


def generate(folder):
    import torch

    define()
    torch.backends.mha.set_fastpath_enabled(False)
    here = folder / "saved"
    for make, seed in [(encoder, 20261130), (shards, 20261131), (decoders, 20261132)]:
        make(here, torch.Generator().manual_seed(seed))


def same(made, kept):
    """The files hold the same tensors: PyTorch before 1.6 names storages by their addresses."""
    import torch

    a, b = (torch.load(path, weights_only=True) for path in (made, kept))
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)
