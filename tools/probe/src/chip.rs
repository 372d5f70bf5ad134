//! Memory map and boot of a chip, from probe-rs' built-in descriptions.
//!
//! ```text
//! "STM32F411RETx" ──► registry ──► regions of flash and RAM, where the vector table must lie
//! ```

use anyhow::{Result, bail};
use probe_rs::config::{MemoryRegion, Registry, RegistryError};
use std::ops::Range;

/// Kind of memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Memory that keeps its contents without power.
    Flash,
    /// Memory that does not.
    Ram,
}

/// A part of the address space.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Region {
    /// Kind of memory.
    pub kind: Kind,
    /// Addresses of the region.
    pub range: Range<u64>,
}

/// Boot of a chip, from reset to the program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Boot {
    /// The core reads the vector table at this address.
    Flash(u64),
    /// RP2040: its ROM runs the first 256 bytes of the flash at this address; the vector table follows (datasheet, 2.8.1).
    Boot2(u64),
    /// RP2350: the vector table stands at this address, an image definition in the first 4 KiB (datasheet, 5.9.5).
    ImageDefinition(u64),
    /// STM32N6, which has no flash of its own: a debugger, or a loader from external flash, puts the program into RAM.
    Loaded,
}

/// A chip.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chip {
    /// Name of the chip, as probe-rs spells it.
    pub name: String,
    /// Regions for programs and data; adjacent regions of a kind are merged.
    pub regions: Vec<Region>,
    /// Boot of the chip.
    pub boot: Boot,
}

impl Chip {
    /// Finds a chip.
    ///
    /// # Errors
    /// When probe-rs does not know the name, or only the beginning of several; lists similar names. When it is not a Cortex-M.
    pub fn find(name: &str) -> Result<Chip> {
        let registry = Registry::from_builtin_families();
        let target = match registry.get_target_by_name(name) {
            Ok(target) => target,
            Err(RegistryError::ChipNotUnique(_, names)) => {
                bail!("chip {name}: several have this name: use one of {names}")
            }
            Err(_) => bail!("chip {name}: probe-rs does not know it; near names: {}", near(&registry, name).join(", ")),
        };
        if !target.cores.iter().all(|core| core.core_type.is_cortex_m()) {
            bail!("chip {name}: is no Cortex-M; thumbformer's boards are Cortex-M only");
        }
        let mut regions: Vec<Region> = target.memory_map.iter().filter_map(region).collect();
        if is_stm32n6(&target.name) {
            regions.extend(secure_aliases(&regions));
        }
        let boot = boot(&target.name, &target.memory_map);
        Ok(Chip { name: target.name, regions: merged(regions), boot })
    }

    /// The region of a kind that an address lies in.
    pub fn region(&self, kind: Kind, address: u64) -> Option<&Region> {
        self.regions.iter().find(|region| region.kind == kind && region.range.contains(&address))
    }

    /// True if a range of addresses lies in one region of a kind.
    pub fn holds(&self, kind: Kind, range: &Range<u64>) -> bool {
        self.region(kind, range.start).is_some_and(|region| range.end <= region.range.end)
    }

    /// The regions of a kind, for messages.
    pub fn describe(&self, kind: Kind) -> String {
        let regions = self.regions.iter().filter(|region| region.kind == kind);
        let texts: Vec<String> = regions.map(|Region { range, .. }| hex(range)).collect();
        if texts.is_empty() { "none".into() } else { texts.join(" or ") }
    }

    /// Kind of memory that programs are written to.
    pub fn program_kind(&self) -> Kind {
        if self.boot == Boot::Loaded { Kind::Ram } else { Kind::Flash }
    }
}

/// A range as messages show it.
pub fn hex(range: &Range<u64>) -> String {
    format!("{:#010x}..{:#010x}", range.start, range.end)
}

fn region(region: &MemoryRegion) -> Option<Region> {
    match region {
        MemoryRegion::Nvm(nvm) if nvm.is_executable() => Some(Region { kind: Kind::Flash, range: nvm.range.clone() }),
        MemoryRegion::Ram(ram) => Some(Region { kind: Kind::Ram, range: ram.range.clone() }),
        // One-time programmable memory, and regions of neither kind.
        _ => None,
    }
}

fn is_stm32n6(name: &str) -> bool {
    name.starts_with("STM32N6")
}

/// The RAM of the STM32N6 as secure code sees it, which is how the chip starts: bit 28 is set (RM0486, 2.3). probe-rs lists
/// this view of the largest part only.
fn secure_aliases(regions: &[Region]) -> Vec<Region> {
    const SECURE: u64 = 1 << 28;
    let ram = regions.iter().filter(|region| region.kind == Kind::Ram && region.range.start & SECURE == 0);
    ram.map(|Region { kind, range }| Region { kind: *kind, range: range.start + SECURE..range.end + SECURE }).collect()
}

/// Merges adjacent regions of a kind, as a program may lie across two banks.
fn merged(mut regions: Vec<Region>) -> Vec<Region> {
    regions.sort_by_key(|region| (region.kind == Kind::Ram, region.range.start));
    let mut merged: Vec<Region> = Vec::new();
    for region in regions {
        match merged.last_mut() {
            Some(last) if last.kind == region.kind && region.range.start <= last.range.end => {
                last.range.end = last.range.end.max(region.range.end);
            }
            _ => merged.push(region),
        }
    }
    merged
}

fn boot(name: &str, regions: &[MemoryRegion]) -> Boot {
    let start = regions.iter().find_map(|region| match region {
        MemoryRegion::Nvm(nvm) if nvm.is_boot_memory() => Some(nvm.range.start),
        _ => None,
    });
    match start {
        None => Boot::Loaded,
        Some(_) if is_stm32n6(name) => Boot::Loaded,
        Some(start) if name == "RP2040" => Boot::Boot2(start),
        Some(start) if name.starts_with("RP235") => Boot::ImageDefinition(start),
        Some(start) => Boot::Flash(start),
    }
}

/// Names most similar to `name`, best first.
fn near(registry: &Registry, name: &str) -> Vec<String> {
    const SHOWN: usize = 5;
    let wanted = name.to_lowercase();
    let variants = registry.families().iter().flat_map(|family| &family.variants);
    let mut names: Vec<(f64, &String)> = variants
        .flat_map(|variant| variant.package_variants())
        .map(|known| (strsim::jaro_winkler(&known.to_lowercase(), &wanted), known))
        .collect();
    names.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    names.dedup_by(|(_, a), (_, b)| a == b);
    names.into_iter().take(SHOWN).map(|(_, known)| known.clone()).collect()
}
