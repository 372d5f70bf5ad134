//! Keys of transformers' `config.json` that change nothing that is computed, each with the reason; any other must be read by the importer.
//!
//! Source: `PreTrainedConfig` and the classes of the models in transformers 5.23, and what versions 4 wrote.

use serde_json::{Value, json};
use thumbformer::Mask;

use crate::Error;
use crate::settings::Settings;

/// Reasons, and the keys of every model for each.
const HARMLESS: [(&str, &[&str]); 9] = [
    (
        "says where the file comes from",
        &[
            "model_type",
            "architectures",
            "_name_or_path",
            "name_or_path",
            "transformers_version",
            "_commit_hash",
            "tokenizer_class",
            "finetuning_task",
        ],
    ),
    (
        "is the type in which weights were stored: they are read as what they are",
        &["dtype", "torch_dtype", "use_bfloat16"],
    ),
    (
        "chooses which results are handed out",
        &[
            "output_hidden_states",
            "output_attentions",
            "return_dict",
            "use_return_dict",
            "tie_last_hidden_states",
            "torchscript",
            "output_past",
        ],
    ),
    (
        "chooses a way to compute the same",
        &[
            "use_cache",
            "chunk_size_feed_forward",
            "pretraining_tp",
            "attn_implementation",
            "_attn_implementation",
            "_attn_implementation_autoset",
            "_experts_implementation",
        ],
    ),
    (
        "is read in training only",
        &[
            "initializer_range",
            "initializer_factor",
            "attention_dropout",
            "gradient_checkpointing",
            "tf_legacy_loss",
            "task_specific_params",
        ],
    ),
    (
        "names outputs, which are read where there is a classifier, or the loss of their training",
        &["id2label", "label2id", "num_labels", "problem_type"],
    ),
    (
        "is a token that text without padding does not have",
        &[
            "pad_token_id",
            "unk_token_id",
            "sep_token_id",
            "cls_token_id",
            "mask_token_id",
            "decoder_start_token_id",
            "prefix",
        ],
    ),
    ("is read by begin and end of texts", &["bos_token_id", "eos_token_id"]),
    (
        "chooses among the tokens that the logits offer, which the caller does here; transformers 5 reads it in generation_config.json only",
        &[
            "assistant_confidence_threshold",
            "assistant_lookbehind",
            "bad_words_ids",
            "begin_suppress_tokens",
            "diversity_penalty",
            "do_sample",
            "early_stopping",
            "encoder_no_repeat_ngram_size",
            "encoder_repetition_penalty",
            "epsilon_cutoff",
            "eta_cutoff",
            "exponential_decay_length_penalty",
            "forced_bos_token_id",
            "forced_eos_token_id",
            "length_penalty",
            "max_length",
            "min_length",
            "no_repeat_ngram_size",
            "num_assistant_tokens",
            "num_assistant_tokens_schedule",
            "num_beam_groups",
            "num_beams",
            "num_return_sequences",
            "output_scores",
            "remove_invalid_values",
            "repetition_penalty",
            "return_dict_in_generate",
            "suppress_tokens",
            "target_lookbehind",
            "temperature",
            "top_k",
            "top_p",
            "typical_p",
        ],
    ),
];

/// Refuses values of the keys of every model that change the computation, and takes the harmless ones for read: those of every model,
/// and the model's `own`.
pub(super) fn check(settings: &Settings, own: &[&str]) -> Result<(), Error> {
    settings.only("is_encoder_decoder", &[false.into()], "false: there is one network")?;
    settings.only("tie_encoder_decoder", &[false.into()], "false: there is one network")?;
    settings.only("add_cross_attention", &[false.into()], "false: there is one sequence")?;
    settings.only("cross_attention_hidden_size", &[], "null: there is one sequence")?;
    settings.only("pruned_heads", &[json!({})], "{}: all heads are there")?;
    settings.only("quantization_config", &[], "null: the checkpoint must be in floats")?;
    for key in HARMLESS.iter().flat_map(|(_, keys)| *keys).chain(own) {
        let _ = settings.get(key);
    }
    Ok(())
}

/// The mask of a decoder: since version 5, `is_causal` = `false` lets every position see all of them.
pub(super) fn mask(settings: &Settings) -> Result<Mask, Error> {
    Ok(if settings.flag("is_causal", Some(true))? { Mask::Causal } else { Mask::Bidirectional })
}

/// Refuses the keys that nobody read.
pub(super) fn finish(settings: &Settings) -> Result<(), Error> {
    match settings.unread().find(|(_, value)| **value != Value::Null) {
        None => Ok(()),
        Some((key, value)) => {
            let next =
                "if it changes what the model computes, train the model without it; if not, take it out of config.json";
            Err(settings.error(key, value, "a key that the importer knows", next))
        }
    }
}
