//! Firmware against real chips, as [probe-rs] describes them; nothing is written to a chip before all that can be checked was.
//!
//! ```text
//! chip's name ──► chip.rs: memory map ─┐
//!                                      ├─► rules.rs ──► report.rs: flash, RAM, stack, violations ──► text, JSON
//! ELF ──────────► elf.rs: sections ────┘        │
//!                                               ├──► uf2.rs: blocks for the Picos' boot loader
//! attached probes ──► probes.rs: one, or why ───┴──► flash.rs: is it that chip, unlocked? ──► `probe-rs run`
//! ```
//! `cargo xtask` starts this as a program, so that a demonstration in emulation need not compile probe-rs.
//!
//! [probe-rs]: https://probe.rs

pub mod boot;
pub mod chip;
pub mod elf;
pub mod flash;
pub mod probes;
pub mod report;
pub mod rules;
pub mod silicon;
pub mod uf2;
