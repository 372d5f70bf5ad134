//! Arguments of the verbs that read recordings.

use crate::reading::{Reading, labels};
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;

/// Options of reading recordings.
#[derive(Args)]
pub struct Recordings {
    /// Columns of a CSV file, by name or number from 1, separated by commas [default: all, which must be the model's]
    #[arg(long, value_delimiter = ',', value_name = "COLUMN,...")]
    columns: Vec<String>,
    /// Resample sound of another rate to the front end's
    #[arg(long)]
    resample: bool,
    /// Labels of recordings: a CSV file with a line for each, its file name and its label [default: file names up to `_`, then folders]
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
}

impl Recordings {
    /// Options of reading recordings.
    ///
    /// # Errors
    /// For a list of labels that cannot be read.
    pub fn reading(&self) -> Result<Reading> {
        let labels = self.labels.as_deref().map(labels).transpose()?;
        Ok(Reading { columns: self.columns.clone(), resample: self.resample, labels })
    }
}
