//! Heads of transformers' classes: the layers behind the vectors of a decoder's or an encoder's tokens.
//!
//! | class | tensors | outputs |
//! | --- | --- | --- |
//! | `…ForCausalLM`, `…LMHeadModel` | `lm_head`, or the embedding | a token's logits, for each token |
//! | `…ForSequenceClassification` | decoders: `score`; encoders: `classifier` | classes, of the last or the first token |
//! | `…ForTokenClassification` | `score` or `classifier` | classes, for each token |
//! | `…ForQuestionAnswering` | `qa_outputs` | begin and end of an answer, for each token |
//! | `…Model` | none | the vector of each token |

use thumbformer::{Outputs, Pooling, Tensor};

use crate::names::{Bias, Row, Source};
use crate::settings::Settings;
use crate::weights::Reader;
use crate::{Config, Error, Tensors};

/// Outputs of a head for question answering.
const ANSWER: [&str; 2] = ["start", "end"];

/// The class that `architectures` names.
pub(super) fn class(settings: &Settings) -> Result<Option<&str>, Error> {
    Ok(settings.texts("architectures")?.first().copied())
}

/// A decoder's head, by its tensors and its class; `None` where there is none, or where it is the embedding.
///
/// `language`: ends of the names of classes with a language model's head; `tied`: that head is the embedding.
pub(super) fn decoder(
    settings: &Settings,
    reader: &Reader<'_>,
    config: &mut Config,
    language: &[&str],
    tied: bool,
) -> Result<Option<Row>, Error> {
    let class = class(settings)?;
    let is = |end: &str| class.is_some_and(|class| class.ends_with(end));
    if let Some(row) = answers(reader, config)? {
        return Ok(Some(row));
    }
    let (of_tokens, of_sequence) = (is("ForTokenClassification"), is("ForSequenceClassification"));
    let names = ["score", "classifier"];
    let found = names.into_iter().find(|name| reader.has(&format!("{name}.weight")));
    if let Some(name) = found.or((of_tokens || of_sequence).then_some(names[0])) {
        classifier(settings, reader, config, &format!("{name}.weight"))?;
        config.options.pooling = match (of_tokens, of_sequence) {
            (true, _) => Pooling::None,
            (_, true) => Pooling::Last,
            _ => {
                let expected = "a class that ends with ForSequenceClassification or ForTokenClassification";
                let next = format!("name the class that the model was saved as: `{name}.weight` may be of either");
                return Err(settings.error("architectures", class.unwrap_or("absent"), expected, &next));
            }
        };
        return Ok(Some(Row::new(Tensor::Head, name, Bias::AsInFile)));
    }
    let is_language = class.is_none() || language.iter().any(|end| is(end));
    if is("Model") && !is_language {
        // Saved without a head: the outputs are the vectors that a head would read.
        (config.options.head, config.n_outputs) = (false, config.d_model);
        return Ok(None);
    }
    if !is_language {
        let known = "Model, ForSequenceClassification, ForTokenClassification or ForQuestionAnswering";
        let expected = format!("a class that ends with {}, {known}", language.join(", "));
        let next = "export the model as one of them";
        return Err(settings.error("architectures", class.unwrap_or_default(), expected, next));
    }
    Ok((!tied).then(|| Row::new(Tensor::Head, "lm_head", Bias::AsInFile)))
}

/// The two outputs of question answering, for each token.
pub(super) fn answers(reader: &Reader<'_>, config: &mut Config) -> Result<Option<Row>, Error> {
    const WEIGHT: &str = "qa_outputs.weight";
    if !reader.has(WEIGHT) {
        return Ok(None);
    }
    if reader.rows(WEIGHT, config.d_model)? != ANSWER.len() {
        return Err(reader.wrong_shape(WEIGHT, &[ANSWER.len(), config.d_model]));
    }
    config.options.head = true;
    (config.options.outputs, config.n_outputs) = (Outputs::Numbers, ANSWER.len());
    config.labels = ANSWER.map(String::from).to_vec();
    Ok(Some(Row::new(Tensor::Head, "qa_outputs", Bias::AsInFile)))
}

/// Sets the outputs of a classifier: its number of rows, their names, their meaning.
pub(super) fn classifier(
    settings: &Settings,
    reader: &Reader<'_>,
    config: &mut Config,
    weight: &str,
) -> Result<(), Error> {
    config.options.head = true;
    config.n_outputs = reader.rows(weight, config.d_model)?;
    config.labels = settings.id2label(config.n_outputs)?;
    config.options.outputs = settings.problem_type(config.n_outputs)?;
    Ok(())
}

/// Checks a copy of a tied head, which some exporters write: it must equal the embedding.
pub(super) fn check_tied(
    settings: &Settings,
    reader: &mut Reader<'_>,
    config: &Config,
    tensors: &Tensors,
) -> Result<(), Error> {
    const NAME: &str = "lm_head.weight";
    let embedding = &tensors[(Tensor::Embedding, 0)];
    let is_tied = config.options.head && !tensors.has(Tensor::Head);
    if is_tied && reader.has(NAME) && reader.take(NAME, &embedding.shape)?.data != embedding.data {
        let found = "true, but `lm_head.weight` differs from the embedding";
        let next = "set it as the model was trained";
        return Err(settings.error("tie_word_embeddings", found, "false, or equal tensors", next));
    }
    Ok(())
}
