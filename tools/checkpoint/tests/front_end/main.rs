//! Front ends described in `config.json` and in transformers' `preprocessor_config.json`.

mod golden;
mod refused;
mod sounds;
