//! Frames of cepstral coefficients, as a framework makes them: the bands that have them.

use super::Array;
use thumbformer_checkpoint::FrontEndConfig;

/// Makes bands of coefficients where an array's rows are as long as those of the coefficients and not as `n_features`, those of the
/// bands; leaves other arrays as they are.
///
/// A model of coefficients reads bands, as its first matrix has taken in the DCT. Of all bands with the same coefficients, which give
/// the same outputs, these are the smallest: the rows of a DCT are orthogonal, so that its transpose, row by row over their squares,
/// undoes it.
pub(super) fn to_bands(frames: &mut Array, front_end: &FrontEndConfig, n_features: usize) {
    let (bands, numbers) = (front_end.bands(), front_end.mfcc.map_or(0, |mfcc| mfcc.n_mfcc));
    let (Some(dct), Some(&width)) = (front_end.mfcc_matrix(), frames.shape.last()) else { return };
    if width == n_features || numbers == 0 || width * bands != n_features * numbers {
        return;
    }
    let squares: Vec<f64> = dct.chunks(bands).map(|row| row.iter().map(|weight| weight * weight).sum()).collect();
    let of = |list: &[f64], band: usize| list.get(band).or(list.first()).copied().unwrap_or_default();
    let band = &|coefficients: &[f64], band: usize| {
        let column = dct.iter().skip(band).step_by(bands).zip(&squares);
        let plain: f64 = coefficients.iter().zip(column).map(|(value, (weight, square))| value * weight / square).sum();
        (plain - of(&front_end.offset, band)) * of(&front_end.scale, band)
    };
    let rows = frames.values.chunks(numbers);
    frames.values = rows.flat_map(|row| (0..bands).map(move |index| band(row, index))).collect();
    if let Some(width) = frames.shape.last_mut() {
        *width = n_features;
    }
}

#[cfg(test)]
mod tests {
    use super::{Array, FrontEndConfig, to_bands};
    use thumbformer::audio::{Lifter, Mfcc};

    #[test]
    fn the_bands_of_coefficients_have_these_coefficients() {
        for (ortho, lifter) in [(true, Lifter::None), (false, Lifter::None), (true, Lifter::Kaldi(22.0))] {
            let mfcc = Some(Mfcc { n_mfcc: 13, ortho, lifter });
            let front_end = FrontEndConfig { mfcc, offset: vec![-4.0], scale: vec![0.25], ..FrontEndConfig::kws() };
            let values: Vec<f64> = (0..2 * 3 * 26).map(|i| f64::from(i * i % 101) - 50.0).collect();
            let mut frames = Array { name: "frames".into(), shape: vec![2, 3, 26], values: values.clone() };
            to_bands(&mut frames, &front_end, 80);
            assert_eq!(frames.shape, [2, 3, 80]);
            let dct = front_end.mfcc_matrix().expect("coefficients");
            for (bands, expected) in frames.values.chunks(40).zip(values.chunks(13)) {
                for (row, expected) in dct.chunks(40).zip(expected) {
                    let found: f64 = row.iter().zip(bands).map(|(weight, band)| weight * (band / 0.25 - 4.0)).sum();
                    assert!((found - expected).abs() < 1e-9, "{found}, expected {expected}");
                }
            }
            let bands = frames.clone();
            to_bands(&mut frames, &front_end, 80);
            assert!(frames == bands, "frames of bands stay as they are");
        }
    }
}
