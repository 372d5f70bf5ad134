"""Small random models of every family that is imported, as transformers saves them; generate.py calls this, README.md tells of it.

families/ROW/       config.json and model.safetensors (float16) by save_pretrained; expected.safetensors: sequences of inputs, and the outputs
                    of the first one in float32
families.json       class, and the SQNR of all outputs under fake quantization: weights of int8 by row, inputs of matrices of int8 by vector,
                    queries, keys and values of int8 by head

The source of truth is transformers in float32 with eager attention. Weights are random and such that everything matters: gains are not 1,
biases not 0, epsilons of norms large beside what they are added to, and the mean entropy of the attention is at most half of a uniform
one's.
"""

import json
import math

SEQ, MAX_SEQ, SEQUENCES = 8, 12, 48
LM = dict(vocab_size=32, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, intermediate_size=24,
          max_position_embeddings=MAX_SEQ, bos_token_id=1, eos_token_id=2, pad_token_id=0, rms_norm_eps=0.02)
ONE = LM | dict(num_hidden_layers=1)
NO_EPS = {key: value for key, value in LM.items() if key != "rms_norm_eps"}
GPT = dict(vocab_size=32, n_embd=16, n_layer=2, n_head=2, n_positions=MAX_SEQ, bos_token_id=1, eos_token_id=2, pad_token_id=0,
           layer_norm_epsilon=0.02)
OPT = dict(vocab_size=32, hidden_size=16, word_embed_proj_dim=16, num_hidden_layers=2, num_attention_heads=2, ffn_dim=24,
           max_position_embeddings=MAX_SEQ, bos_token_id=1, eos_token_id=2, pad_token_id=0)
BERT = dict(vocab_size=32, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24, max_position_embeddings=MAX_SEQ,
            layer_norm_eps=0.02, num_labels=3)
DISTIL = dict(vocab_size=32, dim=16, n_layers=1, n_heads=2, hidden_dim=24, max_position_embeddings=MAX_SEQ, num_labels=3)
ROBERTA = BERT | dict(max_position_embeddings=MAX_SEQ + 2, type_vocab_size=1, pad_token_id=1)
VIT = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24, image_size=[9, 6], patch_size=3, num_channels=2,
           layer_norm_eps=0.02, num_labels=3)

# Name of the row, class of transformers, its configuration.
ROWS = [
    ("llama", "LlamaForCausalLM", LM | dict(tie_word_embeddings=True)),
    ("llama_biases", "LlamaForCausalLM", LM | dict(attention_bias=True, mlp_bias=True, rope_parameters=dict(rope_type="default", rope_theta=500.0))),
    ("llama_gelu", "LlamaForCausalLM", ONE | dict(hidden_act="gelu", head_dim=12, rms_norm_eps=0.1)),
    ("llama_sequence", "LlamaForSequenceClassification", LM | dict(num_labels=3)),
    ("llama_tokens", "LlamaForTokenClassification", ONE | dict(num_labels=3)),
    ("llama_answers", "LlamaForQuestionAnswering", ONE),
    ("llama_model", "LlamaModel", ONE),
    ("mistral_window", "MistralForCausalLM", LM | dict(sliding_window=3)),
    ("mistral_sequence", "MistralForSequenceClassification", LM | dict(sliding_window=None, num_labels=3)),
    ("qwen2", "Qwen2ForCausalLM", LM | dict(tie_word_embeddings=True)),
    ("qwen2_window", "Qwen2ForCausalLM", ONE | dict(use_sliding_window=True, sliding_window=3, max_window_layers=0)),
    ("qwen3", "Qwen3ForCausalLM", LM | dict(head_dim=12, tie_word_embeddings=True)),
    ("qwen3_tokens", "Qwen3ForTokenClassification", ONE | dict(head_dim=8, attention_bias=True, num_labels=3)),
    ("gemma", "GemmaForCausalLM", LM | dict(head_dim=12, rms_norm_eps=0.2)),
    ("gemma_tokens", "GemmaForTokenClassification", ONE | dict(head_dim=8, rms_norm_eps=0.2, num_labels=3)),
    ("phi3", "Phi3ForCausalLM", LM),
    ("phi3_window", "Phi3ForSequenceClassification", ONE | dict(sliding_window=3, num_labels=3)),
    ("granite", "GraniteForCausalLM", LM | dict(embedding_multiplier=6.0, attention_multiplier=0.25, residual_multiplier=0.4, logits_scaling=3.0,
                                               rms_norm_eps=0.5,                                               tie_word_embeddings=True)),
    ("granite_untied", "GraniteForCausalLM", ONE | dict(embedding_multiplier=2.0, attention_multiplier=0.5, residual_multiplier=1.5,
                                                       logits_scaling=0.5, mlp_bias=True)),
    ("olmo", "OlmoForCausalLM", NO_EPS),
    ("olmo_biases", "OlmoForCausalLM", NO_EPS | dict(attention_bias=True, tie_word_embeddings=True)),
    ("gpt2_sequence", "GPT2ForSequenceClassification", GPT | dict(num_labels=3)),
    ("gpt2_tokens", "GPT2ForTokenClassification", GPT | dict(n_layer=1, num_labels=3, activation_function="gelu_fast")),
    ("gpt2_answers", "GPT2ForQuestionAnswering", GPT | dict(n_layer=1)),
    ("gpt2_model", "GPT2Model", GPT | dict(n_layer=1, n_inner=24)),
    ("openai_gpt", "OpenAIGPTLMHeadModel", GPT),
    ("openai_gpt_relu", "OpenAIGPTModel", GPT | dict(n_layer=1, afn="relu")),
    ("opt", "OPTForCausalLM", OPT),
    ("opt_post", "OPTForCausalLM", OPT | dict(num_hidden_layers=1, do_layer_norm_before=False)),
    ("opt_plain", "OPTModel", OPT | dict(num_hidden_layers=1, enable_bias=False, layer_norm_elementwise_affine=False, activation_function="gelu")),
    ("opt_sequence", "OPTForSequenceClassification", OPT | dict(num_labels=3)),
    ("bert_sequence", "BertForSequenceClassification", BERT | dict(num_hidden_layers=2)),
    ("bert_tokens", "BertForTokenClassification", BERT | dict(hidden_act="relu")),
    ("bert_answers", "BertForQuestionAnswering", BERT | dict(hidden_act="gelu_new", num_labels=2)),
    ("bert_next", "BertForNextSentencePrediction", BERT),
    ("bert_model", "BertModel", BERT | dict(layer_norm_eps=0.1)),
    ("distilbert_sequence", "DistilBertForSequenceClassification", DISTIL),
    ("distilbert_answers", "DistilBertForQuestionAnswering", DISTIL | dict(num_labels=2)),
    ("roberta_sequence", "RobertaForSequenceClassification", ROBERTA),
    ("roberta_tokens", "RobertaForTokenClassification", ROBERTA | dict(hidden_act="silu")),
    ("roberta_model", "RobertaModel", ROBERTA | dict(type_vocab_size=2)),
    ("xlm_roberta", "XLMRobertaForSequenceClassification", ROBERTA),
    ("electra_sequence", "ElectraForSequenceClassification", BERT | dict(embedding_size=16)),
    ("electra_tokens", "ElectraForTokenClassification", BERT | dict(embedding_size=16, num_hidden_layers=2)),
    ("electra_discriminator", "ElectraForPreTraining", BERT | dict(embedding_size=16)),
    ("vit_rectangle", "ViTForImageClassification", VIT),
    ("vit_model", "ViTModel", VIT | dict(image_size=9, patch_size=[3, 3], qkv_bias=False)),
    ("deit_teacher", "DeiTForImageClassificationWithTeacher", VIT),
    ("sentence_mean", "BertModel", BERT),
]

# What sentence-transformers saves beside a BERT for the mean of the tokens' vectors.
MODULES = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
           {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]
POOLING = {"word_embedding_dimension": 16, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True,
           "pooling_mode_max_tokens": False, "pooling_mode_mean_sqrt_len_tokens": False, "pooling_mode_weightedmean_tokens": False,
           "pooling_mode_lasttoken": False, "include_prompt": True}


# Size of embeddings where the epsilon is a number of the class: small enough that it matters.
SMALL = {"olmo": 0.005, "olmo_biases": 0.005, "opt": 0.005, "opt_plain": 0.005, "opt_sequence": 0.005, "opt_post": 0.015,
         "distilbert_sequence": 2e-6, "distilbert_answers": 2e-6}


def randomise(row, model, sharp, generator):
    import torch
    from transformers.pytorch_utils import Conv1D

    with torch.no_grad():
        modules = dict(model.named_modules())
        for name, weight in sorted(model.named_parameters()):
            module = modules[name.rpartition(".")[0]]
            noise = torch.randn(weight.shape, generator=generator)
            if type(module).__name__.endswith("Norm"):
                value = 0.3 * noise + (1.0 if name.endswith("weight") else 0.0)
                if "q_norm" in name or "k_norm" in name:
                    value *= sharp
            elif weight.dim() == 1:
                value = 0.3 * noise * (SMALL[row] if row == "opt_post" else 1.0)
            elif isinstance(module, (torch.nn.Linear, torch.nn.Conv2d, Conv1D)):
                inputs = weight.shape[0] if isinstance(module, Conv1D) else weight[0].numel()
                keys = any(part in name for part in ("query", "key", "q_proj", "k_proj", "qkv_proj", "q_lin", "k_lin", "c_attn"))
                value = (sharp if keys else 1.0) * noise / inputs ** 0.5
            else:
                value = noise * SMALL.get(row, 1.0)
            weight.copy_(value.half().float())
    return model.eval()


def entropy(attentions):
    """The mean entropy over that of a uniform attention to the same positions; queries that see one position are left out."""
    import torch

    found = []
    for scores in attentions:
        seen = (scores > 0).sum(-1)
        here = -(scores * scores.clamp_min(1e-30).log()).sum(-1)
        found.append((here / seen.clamp_min(2).log())[seen > 1].flatten())
    return torch.cat(found).mean().item()


def run(name, model, given):
    import torch

    with torch.no_grad():
        out = model(given, output_attentions=True)
    if name == "sentence_mean":
        return out.last_hidden_state.mean(1), out.attentions
    if "start_logits" in out:
        return torch.stack([out.start_logits, out.end_logits], -1)[0], out.attentions
    found = out.logits if "logits" in out else out.last_hidden_state
    if name == "vit_model":
        found = found[:, :1]
    if name == "electra_discriminator":
        found = found[..., None]
    return found.reshape(-1, found.shape[-1]), out.attentions


def fake_quantized(model):
    """The model in numbers of int8: weights by row, inputs of its matrices by vector, queries, keys and values by head."""
    import copy

    import torch
    from transformers.pytorch_utils import Conv1D

    def rounded(x, axis=-1):
        scale = x.abs().amax(axis, keepdim=True).clamp_min(1e-30) / 127
        return (x / scale).round() * scale

    def patches(module, given):
        picture, (side, _) = given[0], module.kernel_size
        flat = rounded(torch.nn.functional.unfold(picture, side, stride=side), 1)
        return (torch.nn.functional.fold(flat, picture.shape[2:], side, stride=side),)

    config = model.config
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    parts = ("query", "key", "value", "q_proj", "k_proj", "v_proj", "qkv_proj", "q_lin", "k_lin", "v_lin", "c_attn")
    model = copy.deepcopy(model)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("position_embeddings"):
                weight.copy_(rounded(weight))
        for name, module in model.named_modules():
            if isinstance(module, (torch.nn.Linear, torch.nn.Embedding)):
                module.weight.copy_(rounded(module.weight))
            elif isinstance(module, Conv1D):
                module.weight.copy_(rounded(module.weight, 0))
            elif isinstance(module, torch.nn.Conv2d):
                module.weight.copy_(rounded(module.weight.flatten(1)).reshape(module.weight.shape))
                module.register_forward_pre_hook(patches)
            if isinstance(module, (torch.nn.Linear, Conv1D)):
                module.register_forward_pre_hook(lambda _m, given: (rounded(given[0]),))
                if name.rpartition(".")[2] in parts:
                    module.register_forward_hook(
                        lambda _m, _i, out: rounded(out.unflatten(-1, (-1, width))).flatten(-2))
    return model


def decibels(expected, found):
    return 10 * math.log10((expected ** 2).sum().item() / ((expected - found) ** 2).sum().item())


def generate(folder, seed):
    import torch
    import transformers
    from safetensors.torch import save_file

    facts = {}
    for name, Model, config in ROWS:
        Model = getattr(transformers, Model)
        config = Model.config_class(**config, attn_implementation="eager")
        sharp = 1.6
        while True:
            generator = torch.Generator().manual_seed(seed)
            model = randomise(name, Model(config), sharp, generator)
            if "image_size" in config.to_dict():
                size = config.image_size if isinstance(config.image_size, (list, tuple)) else [config.image_size] * 2
                given = torch.randn(SEQUENCES // 3, 1, config.num_channels, *size, generator=generator)
            else:
                given = torch.randint(3, config.vocab_size, (SEQUENCES, 1, SEQ), generator=generator)
            outputs = [run(name, model, one) for one in given]
            if max(entropy(attentions) for _, attentions in outputs[:1]) <= 0.5:
                break
            sharp *= 1.25
            assert sharp < 300, f"{name}: attention stays flat"
        fake = fake_quantized(model)
        lost = decibels(torch.cat([found for found, _ in outputs]), torch.cat([run(name, fake, one)[0] for one in given]))
        facts[name] = {"class": Model.__name__, "fake_quantization_db": round(lost, 2)}
        to = folder / "families" / name
        to.mkdir(parents=True, exist_ok=True)
        points = {"outputs": outputs[0][0]}
        if given.dim() == 3:
            points["tokens"] = given[:, 0].float()
        else:
            points["frames"] = torch.stack([torch.nn.functional.unfold(one, 3, stride=3)[0].T for one in given])
        save_file({point: value.contiguous() for point, value in points.items()}, to / "expected.safetensors")
        model.half().save_pretrained(to)
        (to / "generation_config.json").unlink(missing_ok=True)
        if name == "sentence_mean":
            (to / "1_Pooling").mkdir(exist_ok=True)
            (to / "modules.json").write_text(json.dumps(MODULES, indent=2) + "\n")
            (to / "1_Pooling" / "config.json").write_text(json.dumps(POOLING, indent=2) + "\n")
    (folder / "families" / "families.json").write_text(json.dumps(facts, indent=1) + "\n")
