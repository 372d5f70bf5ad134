//! Rotary positions in `config.json`: the base, by `rope_parameters` of transformers 5 or `rope_theta` and `rope_scaling` of versions 4.

use serde_json::Value;

use crate::Error;
use crate::settings::{NEXT, Settings};

/// Base of transformers where none is named.
const DEFAULT: f64 = 10_000.0;

/// The base; refuses positions that are rescaled, and heads that are rotated in part.
pub(super) fn theta(settings: &Settings) -> Result<f64, Error> {
    let expected = "rope_theta with rope_type = default: rotary positions are not rescaled";
    let retrain = "train the model without it";
    settings.only("partial_rotary_factor", &[1.0.into(), 1.into()], "1.0: all of a head is rotated")?;
    let keys = ["rope_parameters", "rope_scaling"];
    for key in keys {
        match settings.get(key) {
            Some(found) if !is_plain(found) => return Err(settings.error(key, found, expected, retrain)),
            _ => {}
        }
    }
    let [parameters, scaling] = keys.map(|key| settings.get(key));
    if let (Some(parameters), Some(scaling)) = (parameters, scaling)
        && parameters != scaling
    {
        return Err(settings.error(
            "rope_scaling",
            scaling,
            format!("absent, or rope_parameters' {parameters}"),
            retrain,
        ));
    }
    let nested = parameters.or(scaling).and_then(|found| found.get("rope_theta")).and_then(Value::as_f64);
    // Read in any case, so that a number without meaning is refused.
    let outer = settings.positive("rope_theta", Some(DEFAULT))?;
    match nested {
        None => Ok(outer),
        Some(theta) if theta.is_finite() && theta > 0.0 => Ok(theta),
        Some(theta) => Err(settings.error("rope_theta", theta, "a positive number", NEXT)),
    }
}

/// True if there is a base and no rescaling of positions.
fn is_plain(found: &Value) -> bool {
    let plain = |(key, value): (&String, &Value)| match key.as_str() {
        "rope_theta" => value.is_number(),
        "rope_type" | "type" => value == "default",
        "partial_rotary_factor" => value.is_null() || value.as_f64() == Some(1.0),
        _ => value.is_null(),
    };
    found.as_object().is_some_and(|keys| keys.iter().all(plain))
}
