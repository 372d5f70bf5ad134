//! The sounds of `tests/golden/audio_files.py`: recordings, and what the script makes of integers.

/// Samples of a generated sound.
const SAMPLES: usize = 6000;
/// Folders of recordings.
const RECORDINGS: [&str; 3] =
    ["models/digits/fixtures", "tests/golden/keywords/recordings", "tests/golden/audio/recordings"];

/// Samples of the sound with this name.
pub fn sound(name: &str) -> Vec<i16> {
    let (kind, level) = name.strip_suffix(" dB").and_then(|name| name.split_once(' ')).unwrap_or((name, "0"));
    // A bit is 6 dB.
    let quieter = |noise: &mut dyn Iterator<Item = i32>| {
        let bits = -level.parse::<i32>().expect("decibels") / 6;
        noise.take(SAMPLES).map(|sample| (sample >> bits) as i16).collect()
    };
    match kind {
        "white" => quieter(&mut white()),
        "pink" => quieter(&mut pink()),
        "fading noise" => white().take(SAMPLES).enumerate().map(|(i, noise)| (noise >> (i / 500)) as i16).collect(),
        "glide" => glide().take(SAMPLES).collect(),
        "clicks" => (0..SAMPLES).map(|i| if i % 997 == 100 { 20_000 } else { 0 }).collect(),
        recording => read(recording),
    }
}

/// White noise of full scale: the 16 highest bits of xorshift32 with the seed 1.
fn white() -> impl Iterator<Item = i32> {
    let mut state = 1_u32;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 16) as i32 - 32_768
    })
}

/// Pink noise by Voss and McCartney: white noise, and twelve rows of it of which row `k` changes every `2^(k + 1)` samples.
fn pink() -> impl Iterator<Item = i32> {
    let (mut noise, mut rows) = (white(), [0; 12]);
    (1_u32..).map(move |number| {
        let mut next = || noise.next().unwrap_or_default();
        if let Some(row) = rows.get_mut(number.trailing_zeros() as usize) {
            *row = next();
        }
        (rows.iter().sum::<i32>() + next()) >> 4
    })
}

/// A tone that rises.
fn glide() -> impl Iterator<Item = i16> {
    let (mut phase, mut speed) = (0_u32, 20_000_000_u32);
    std::iter::repeat_with(move || {
        phase = phase.wrapping_add(speed);
        speed += 100_000;
        ((phase.cast_signed() >> 15).abs() - 32_768).min(32_767) as i16
    })
}

fn read(recording: &str) -> Vec<i16> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let bytes =
        RECORDINGS.iter().find_map(|folder| std::fs::read(root.join(folder).join(format!("{recording}.wav"))).ok());
    let bytes = bytes.unwrap_or_else(|| panic!("{recording}.wav is in none of {RECORDINGS:?}"));
    let start = bytes.windows(4).position(|tag| tag == b"data").expect("a chunk of samples") + 8;
    bytes[start..].as_chunks::<2>().0.iter().map(|&pair| i16::from_le_bytes(pair)).collect()
}
