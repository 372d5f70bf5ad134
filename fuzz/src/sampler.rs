//! The sampler: any logits and settings give a token of the vocabulary, or the settings are refused.

use arbitrary::{Result, Unstructured};
use thumbformer::text::{Sampler, Sampling, argmax};

/// Samples a few times.
pub fn sampled(data: &[u8]) {
    let _ = sample(&mut Unstructured::new(data));
}

fn sample(u: &mut Unstructured<'_>) -> Result<()> {
    let (temperature, top_p) = (f32::from_bits(u.arbitrary()?), f32::from_bits(u.arbitrary()?));
    let (top_k, seed): (u16, u64) = u.arbitrary()?;
    let sampling = Sampling { temperature, top_k: top_k.into(), top_p };
    let mut logits = Vec::new();
    while !u.is_empty() && logits.len() < 512 {
        logits.push(f32::from_bits(u.arbitrary()?));
    }
    assert!(usize::from(argmax(&logits)) < logits.len().max(1));
    let sound = temperature.is_finite() && temperature >= 0.0 && top_p > 0.0 && top_p <= 1.0;
    let sampler = Sampler::new(sampling, seed);
    assert_eq!(sampler.is_ok(), sound, "{sampling:?}");
    let Ok(mut sampler) = sampler else { return Ok(()) };
    for _ in 0..3 {
        assert!(usize::from(sampler.sample(&mut logits)) < logits.len().max(1));
    }
    Ok(())
}
