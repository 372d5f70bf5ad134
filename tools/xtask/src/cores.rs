//! The cores that are measured, and the emulated machine of each.

use crate::firmware::{Board, Build};
use crate::shell::root;
use clap::ValueEnum;

/// A core.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Core {
    /// Cortex-M0+: its code, on an emulated M3
    #[value(name = "m0plus")]
    M0Plus,
    /// Cortex-M3
    M3,
    /// Cortex-M4F
    M4,
    /// Cortex-M7
    M7,
    /// Cortex-M33
    M33,
    /// Cortex-M55 with Helium
    M55,
}

impl Core {
    /// The name that `--core` takes.
    pub fn name(self) -> String {
        self.to_possible_value().map_or(String::new(), |value| value.get_name().to_string())
    }

    /// The folder of a board with this core.
    pub fn folder(self) -> &'static str {
        match self {
            Core::M0Plus => "qemu-mps2-an385-m0plus",
            Core::M3 => "qemu-mps2-an385",
            Core::M4 => "qemu-mps2-an386",
            Core::M7 => "qemu-mps2-an500",
            Core::M33 => "qemu-mps2-an505",
            Core::M55 => "qemu-mps3-an547",
        }
    }

    /// The benchmark firmware as it is built for this core.
    pub fn board(self) -> Board {
        let (machine, memory, target, cpu, pack, backend) = match self {
            Core::M0Plus => ("mps2-an385", "mps2", "thumbv6m-none-eabi", "cortex-m0plus", "m0", "scalar"),
            Core::M3 => ("mps2-an385", "mps2", "thumbv7m-none-eabi", "cortex-m3", "m0", "scalar"),
            Core::M4 => ("mps2-an386", "mps2", "thumbv7em-none-eabihf", "cortex-m4", "m4", "dsp"),
            Core::M7 => ("mps2-an500", "mps2", "thumbv7em-none-eabihf", "cortex-m7", "m4", "dsp"),
            Core::M33 => ("mps2-an505", "an505", "thumbv8m.main-none-eabihf", "cortex-m33", "m4", "dsp"),
            Core::M55 => ("mps3-an547", "an547", "thumbv8m.main-none-eabihf", "cortex-m55", "m55", "helium"),
        };
        let flags = [format!("-Ctarget-cpu={cpu}"), "-Clink-arg=-Tlink.x".into(), "-Clink-arg=--nmagic".into()];
        Board {
            machine: Some(machine.into()),
            target: target.into(),
            backend: backend.into(),
            pack: pack.into(),
            build: Build {
                features: Vec::new(),
                rustflags: flags.into(),
                variables: vec![("THUMBFORMER_MACHINE", memory.into()), ("THUMBFORMER_PACK", pack.into())],
            },
            name: "bench".into(),
            folder: root().join("boards/bench"),
        }
    }
}
