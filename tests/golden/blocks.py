"""The golden vectors of every block option beside the Llama family's; generate.py calls this, README.md lists them.

The source of truth is PyTorch's nn.TransformerEncoder and transformers' BERT, DistilBERT, GPT-2 and ViT in float32,
with random weights that float16 can hold (which is how they are stored). Points are read out by hooks; what a module
does not expose is left out, and nothing is computed again here.
"""

import json

SEQ = 6
D, HEADS, FF = 12, 2, 20


def randomise(model, generator):
    """Weights under which every part matters: sharp attention, norms that are not 1, biases that are not 0."""
    import torch

    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            noise = torch.randn(weight.shape, generator=generator)
            lower = name.lower()
            norm = "norm" in lower or ".ln_" in lower
            if norm and name.endswith("weight"):
                value = 1.0 + 0.3 * noise
            elif weight.dim() == 1:
                value = 0.3 * noise
            elif any(part in lower for part in ("embeddings.weight", "position", "cls_token", "dist_token", "distillation_token", "wte", "wpe", "embed.weight")):
                value = noise
            else:
                inputs = weight.shape[0] if "c_" in name.split(".")[-2] else weight[0].numel()
                sharp = 1.6 if any(part in lower for part in ("in_proj", "query", "key", "q_lin", "k_lin", "c_attn")) else 1.0
                value = sharp * noise / inputs ** 0.5
            weight.copy_(value.half().float())
    return model.eval()


def capture(outputs, inputs, run):
    """What `run()` returns, and what flows out of and into modules: `{point: module}`, first batch entry."""
    import torch

    found, hooks = {}, []

    def keep(point, value):
        value = value[0] if isinstance(value, tuple) else value
        found[point] = value[0].detach().clone().float()

    for point, module in outputs.items():
        hooks.append(module.register_forward_hook(lambda _m, _i, out, point=point: keep(point, out)))
    for point, module in inputs.items():
        hooks.append(module.register_forward_pre_hook(lambda _m, ins, point=point: keep(point, ins)))
    try:
        with torch.no_grad():
            returned = run()
    finally:
        for hook in hooks:
            hook.remove()
    return returned, found


def store(folder, points, save_checkpoint, config=None):
    from safetensors.torch import save_file

    checkpoint = folder / "checkpoint"
    checkpoint.mkdir(parents=True, exist_ok=True)
    save_file({name: value.float().contiguous() for name, value in points.items()}, folder / "activations.safetensors")
    save_checkpoint(checkpoint)
    if config is not None:
        (checkpoint / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (checkpoint / "generation_config.json").unlink(missing_ok=True)


def torch_encoders(folder, generator):
    """nn.TransformerEncoder: (norm_first, activation, bias, mask, input, pooling) as a small classifier has it."""
    import torch
    from safetensors.torch import save_file
    from torch import nn

    class Net(nn.Module):
        def __init__(self, norm_first, activation, bias, mask, inputs, pooling, layers):
            super().__init__()
            layer = nn.TransformerEncoderLayer(D, HEADS, FF, dropout=0.0, activation=activation, batch_first=True,
                                               norm_first=norm_first, bias=bias)
            norm = nn.LayerNorm(D, bias=bias) if norm_first else None
            self.encoder = nn.TransformerEncoder(layer, layers, norm=norm, enable_nested_tensor=False)
            self.mask, self.inputs, self.pooling = mask, inputs, pooling
            if inputs == "tokens":
                self.embed = nn.Embedding(20, D)
                self.position = nn.Parameter(torch.zeros(1, 9, D))
            elif inputs == "frames":
                self.embed = nn.Linear(5, D)
            if pooling == "class":
                self.cls_token = nn.Parameter(torch.zeros(1, 1, D))
            if pooling != "none":
                self.head = nn.Linear(D, 3, bias=bias)

        def forward(self, x, visible=None):
            x = x if self.inputs == "stream" else self.embed(x)
            if self.pooling == "class":
                x = torch.cat([self.cls_token, x], dim=1)
            if self.inputs == "tokens":
                x = x + self.position[:, :x.shape[1]]
            mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1]) if self.mask == "causal" else None
            if visible is None:
                visible = torch.ones(x.shape[:2], dtype=torch.bool)
            elif self.pooling == "class":
                visible = torch.cat([torch.ones(1, 1, dtype=torch.bool), visible], dim=1)
            hidden = None if visible.all() else ~visible
            x = self.encoder(x, mask=mask, src_key_padding_mask=hidden, is_causal=mask is not None)
            if self.pooling == "none":
                return x
            mean = x[:, visible[0]].mean(1)
            return self.head({"class": x[:, 0], "mean": mean, "last": x[:, -1]}[self.pooling])

    torch.backends.mha.set_fastpath_enabled(False)
    for name, options in {
        "torch_post_relu": (False, "relu", True, "bidirectional", "stream", "none", 2),
        "torch_post_gelu": (False, "gelu", False, "causal", "frames", "last", 1),
        "torch_pre_gelu": (True, "gelu", False, "bidirectional", "tokens", "mean", 1),
        "torch_pre_relu": (True, "relu", True, "bidirectional", "frames", "class", 1),
    }.items():
        norm_first, activation, bias, mask, inputs, pooling, layers = options
        net = randomise(Net(*options), generator)
        given = {"tokens": lambda: torch.randint(0, 20, (1, SEQ), generator=generator),
                 "frames": lambda: torch.randn(1, SEQ, 5, generator=generator),
                 "stream": lambda: torch.randn(1, SEQ, D, generator=generator)}[inputs]()
        outputs, ins = {}, {"embedding": net.encoder}
        for index, layer in enumerate(net.encoder.layers):
            here = f"layers.{index}."
            outputs |= {here + "attention_norm": layer.norm1, here + "attention.output": layer.self_attn,
                        here + "mlp_norm": layer.norm2, here + "mlp.output": layer.linear2, here + "output": layer}
            ins[here + "mlp.hidden"] = layer.linear2
        if norm_first:
            outputs["final_norm"] = net.encoder.norm
        logits, points = capture(outputs, ins, lambda: net(given))
        points["logits"] = logits[0] if pooling == "none" else logits
        points["tokens" if inputs == "tokens" else "frames"] = given[0].float()
        config = {"architecture": "nn.TransformerEncoder", "nhead": HEADS, "norm_first": norm_first,
                  "activation": activation, "mask": mask, "input": "tokens" if inputs == "tokens" else "frames",
                  "embedding": None if inputs == "stream" else "embed",
                  "positions": "position" if inputs == "tokens" else None, "pooling": pooling,
                  "head": None if pooling == "none" else "head"}
        if inputs != "tokens":
            config["max_seq"] = 9
        if pooling == "class":
            config["class_token"] = "cls_token"
        weights = {key: value.half().contiguous() for key, value in net.state_dict().items()}
        store(folder / name, points, lambda to: save_file(weights, to / "model.safetensors"), config)
        if mask == "bidirectional" and pooling != "none":
            visible = torch.tensor([[True, True, False, True, False, True]])
            with torch.no_grad():
                logits = net(given, visible)
            save_file({"visible": visible[0].float(), "logits": logits}, folder / name / "masked.safetensors")


def bert_points(layers, distil):
    """Points of the layers of BERT or DistilBERT: what flows out of modules, and into them."""
    outputs, inputs = {}, {}
    for index, layer in enumerate(layers):
        here = f"layers.{index}."
        if distil:
            a = layer.attention
            parts = (a.q_lin, a.k_lin, a.v_lin, a.out_lin, layer.sa_layer_norm, layer.ffn.lin2, layer.output_layer_norm)
        else:
            a = layer.attention
            parts = (a.self.query, a.self.key, a.self.value, a.output.dense, a.output.LayerNorm, layer.output.dense,
                     layer.output.LayerNorm)
        q, k, v, o, norm1, down, norm2 = parts
        outputs |= {here + "attention.q": q, here + "attention.k": k, here + "attention.v": v,
                    here + "attention.output": o, here + "attention_norm": norm1, here + "mlp.output": down,
                    here + "mlp_norm": norm2, here + "output": layer}
        inputs |= {here + "attention.gathered": o, here + "mlp.hidden": down}
    return outputs, inputs


def berts(folder, generator):
    import torch
    from transformers import (BertConfig, BertForSequenceClassification, DistilBertConfig,
                              DistilBertForTokenClassification)

    bert = BertConfig(vocab_size=24, hidden_size=D, num_hidden_layers=1, num_attention_heads=HEADS, intermediate_size=FF,
                      max_position_embeddings=10, num_labels=3, attn_implementation="eager")
    distil = DistilBertConfig(vocab_size=24, dim=D, n_layers=1, n_heads=4, hidden_dim=FF, max_position_embeddings=10,
                              num_labels=4, attn_implementation="eager")
    for name, model in {"bert": BertForSequenceClassification(bert), "distilbert": DistilBertForTokenClassification(distil)}.items():
        model = randomise(model, generator)
        tokens = torch.randint(0, 24, (1, SEQ), generator=generator)
        base = getattr(model, name)
        layers = base.encoder.layer if name == "bert" else base.transformer.layer
        outputs, inputs = bert_points(layers, name == "distilbert")
        inputs["embedding"] = outputs["embedding_norm"] = base.embeddings.LayerNorm
        if name == "bert":
            outputs["pooler"] = base.pooler.activation
        returned, points = capture(outputs, inputs, lambda: model(tokens, output_attentions=True))
        for index, scores in enumerate(returned.attentions):
            points[f"layers.{index}.attention.scores"] = scores[0]
        points["logits"] = returned.logits if name == "bert" else returned.logits[0]
        if name == "bert":
            points["pooler"] = points["pooler"][None]
        points["tokens"] = tokens[0].float()
        store(folder / name, points, model.half().save_pretrained)


def gpt2(folder, generator):
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    # Scores that are not divided by sqrt(head_dim): an attention scale of 1.
    model = GPT2LMHeadModel(GPT2Config(vocab_size=24, n_embd=D, n_layer=2, n_head=HEADS, n_inner=FF, n_positions=10,
                                       bos_token_id=0, eos_token_id=1, scale_attn_weights=False,
                                       attn_implementation="eager"))
    model = randomise(model, generator)
    tokens = torch.randint(0, 24, (1, SEQ), generator=generator)
    base = model.transformer
    outputs, inputs = {"embedding": base.drop, "final_norm": base.ln_f}, {}
    for index, layer in enumerate(base.h):
        here = f"layers.{index}."
        outputs |= {here + "attention_norm": layer.ln_1, here + "attention.output": layer.attn.c_proj,
                    here + "mlp_norm": layer.ln_2, here + "mlp.output": layer.mlp.c_proj, here + "output": layer}
        inputs |= {here + "attention.gathered": layer.attn.c_proj, here + "mlp.hidden": layer.mlp.c_proj}
    returned, points = capture(outputs, inputs, lambda: model(tokens, output_attentions=True, use_cache=False))
    for index, scores in enumerate(returned.attentions):
        points[f"layers.{index}.attention.scores"] = scores[0]
    points["logits"] = returned.logits[0]
    points["tokens"] = tokens[0].float()
    store(folder / "gpt2", points, model.half().save_pretrained)


def vit(folder, generator):
    from transformers import ViTConfig, ViTForImageClassification

    patches(folder / "vit", ViTForImageClassification, ViTConfig, "vit", generator)


def deits(folder, generator):
    from transformers import DeiTConfig, DeiTForImageClassification, DeiTForImageClassificationWithTeacher

    patches(folder / "deit", DeiTForImageClassification, DeiTConfig, "deit", generator)
    patches(folder / "deit_teacher", DeiTForImageClassificationWithTeacher, DeiTConfig, "deit", generator)


def patches(folder, Model, Config, base, generator):
    import torch

    model = Model(Config(hidden_size=D, num_hidden_layers=1, num_attention_heads=HEADS, intermediate_size=FF, image_size=9, patch_size=3,
                         num_channels=2, num_labels=3, attn_implementation="eager"))
    model = randomise(model, generator)
    picture = torch.randn(1, 2, 9, 9, generator=generator)
    base = getattr(model, base)
    outputs = {"final_norm": base.layernorm, "embedding": base.embeddings}
    inputs = {}
    for index, layer in enumerate(getattr(base, "layers", None) or base.encoder.layer):
        here = f"layers.{index}."
        outputs |= {here + "attention_norm": layer.layernorm_before, here + "mlp_norm": layer.layernorm_after,
                    here + "output": layer}
    returned, points = capture(outputs, inputs, lambda: model(picture, output_attentions=True))
    for index, scores in enumerate(returned.attentions):
        points[f"layers.{index}.attention.scores"] = scores[0]
    points["logits"] = returned.logits
    with_teacher = hasattr(model, "distillation_classifier")
    points["pooled"] = points["final_norm"][:2].flatten().clone() if with_teacher else points["final_norm"][:1].clone()
    points["frames"] = torch.nn.functional.unfold(picture, 3, stride=3)[0].T
    store(folder, points, model.half().save_pretrained)


def generate(folder, seed):
    import torch

    for part in (torch_encoders, berts, gpt2, vit, deits):
        part(folder, torch.Generator().manual_seed(seed))
