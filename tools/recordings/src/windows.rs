//! A recording as inputs of a model: whole, or cut where a clip of the model ends.
//!
//! ```text
//! stream: |──────────────── recording ────────────────|
//! clip:   |─── window ───|─── window ───|─ shorter ─|     each is a recording of its own, the last as any that is shorter
//! ```
//! A rest of sound of at most one hop belongs to the window before it. A rest that fills no frame is left out, and a sentence says so.

use crate::frames::{framed, framed_rows, streamed};
use crate::{Recording, heard};
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::fmt;
use thumbformer::{Error, Model};

/// The inputs that a recording has for a model.
#[derive(Clone, PartialEq, Debug)]
pub struct Windows {
    /// At least one, in order.
    pub windows: Vec<Window>,
    /// Sentence for the user, where the recording's end is left out.
    pub note: Option<String>,
}

/// An input of a model, cut out of a recording or all of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Window {
    /// Its begin in the recording; `None` where it is all of it.
    pub start: Option<Start>,
    /// Samples or frames of it.
    pub input: Input,
}

/// The begin of a window.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// Seconds of sound before it.
    Seconds(f64),
    /// Rows of a table before it.
    Rows(usize),
}

/// An input of a model.
#[derive(Clone, PartialEq, Debug)]
pub enum Input {
    /// Samples for its front end.
    Sound(Vec<i16>),
    /// Frames, `[seq, n_features]`.
    Frames(Vec<f32>),
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Start::Seconds(seconds) => write!(f, "+{seconds:.2} s"),
            Start::Rows(rows) => write!(f, "+{rows} rows"),
        }
    }
}

impl Window {
    /// Its name: that of its recording, with its start where there are several.
    pub fn name(&self, recording: &str) -> String {
        self.start.map_or_else(|| recording.into(), |start| format!("{recording} {start}"))
    }

    /// Its frames, `[seq, n_features]`.
    ///
    /// # Errors
    /// As [`heard`].
    pub fn frames(self, model: &Model<'_>) -> Result<Vec<f32>> {
        match self.input {
            Input::Sound(samples) => heard(model, &samples),
            Input::Frames(frames) => Ok(frames),
        }
    }
}

impl Recording {
    /// Its inputs for a model: one of a model of streams, of a model of clips one for each clip.
    ///
    /// # Errors
    /// When the model cannot read it, or there is too little for a frame.
    pub fn windows(self, model: &Model<'_>) -> Result<Windows> {
        let mut found = match self {
            Recording::Sound(sound) => of_sound(model, &sound.samples_for(model)?),
            Recording::Table(table) => of_rows(model, &table.rows(model)?),
        }?;
        if let [whole] = &mut found.windows[..] {
            whole.start = None;
        }
        Ok(found)
    }
}

fn of_rows(model: &Model<'_>, rows: &[f32]) -> Result<Windows> {
    let columns = model.n_columns().max(1);
    let (total, clip) = (rows.len() / columns, model.clip_frames().unwrap_or(usize::MAX).max(1));
    let samples = model.dims().n_features / columns;
    let (mut windows, mut read) = (Vec::new(), 0);
    for (index, rows) in rows.chunks(clip.saturating_mul(columns)).enumerate() {
        let frames = framed(rows, model);
        if !frames.is_empty() {
            let start = Some(Start::Rows(index * clip));
            windows.push(Window { start, input: Input::Frames(frames) });
            read = index * clip + framed_rows(rows.len() / columns, model);
        }
    }
    ensure!(!windows.is_empty(), "too short for a frame of {samples} samples: record for longer");
    let left = total - read;
    let note = (left > 0).then(|| format!("{left} of {total} rows fill no frame of {samples}: left out, at the end"));
    Ok(Windows { windows, note })
}

fn of_sound(model: &Model<'_>, samples: &[i16]) -> Result<Windows> {
    let front_end = model.front_end().context("the image has no audio front end")?;
    let mut windows = Windows { windows: Vec::new(), note: None };
    let (rate, hop) = (f64::from(front_end.sample_rate()), front_end.hop());
    let Some(frames) = model.clip_frames() else {
        let rows = streamed(model, samples)?.len() / front_end.bands().max(1);
        let left = (rows - framed_rows(rows, model)) * hop;
        if left > 0 {
            let seconds = left as f64 / rate;
            windows.note = Some(format!("{seconds:.2} s of sound fill no frame of the model: left out, at the end"));
        }
        windows.push(0, rate, samples);
        return Ok(windows);
    };
    let clip = front_end.clip_samples(frames).max(1);
    let (mut start, mut rest) = (0, samples);
    while rest.len() > clip.saturating_add(hop) {
        let (window, later) = rest.split_at(clip);
        windows.push(start, rate, window);
        (start, rest) = (start + clip, later);
    }
    if start > 0 && is_too_short(heard(model, rest)) {
        let (left, total) = (rest.len(), samples.len());
        windows.note = Some(format!("{left} of {total} samples fill no frame of the front end: left out, at the end"));
    } else {
        windows.push(start, rate, rest);
    }
    Ok(windows)
}

impl Windows {
    fn push(&mut self, start: usize, rate: f64, samples: &[i16]) {
        let start = Some(Start::Seconds(start as f64 / rate));
        self.windows.push(Window { start, input: Input::Sound(samples.to_vec()) });
    }
}

fn is_too_short(frames: Result<Vec<f32>>) -> bool {
    frames.is_err_and(|error| matches!(error.downcast_ref(), Some(Error::RecordingTooShort { .. })))
}
