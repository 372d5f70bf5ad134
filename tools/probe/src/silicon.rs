//! Registers that identify a chip and show whether it is locked; read through the probe, without halting the chip.
//!
//! ```text
//! attached: refused, or the two registers' values ──► flash the chip, or refuse with the reason and the next step
//! ```
//! No chip was at hand when this was written: addresses and values are the manuals'.

use crate::chip::Chip;
use std::fmt;

/// Bits of a register with their expected value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    /// Address of the register.
    pub address: u64,
    mask: u32,
    expected: u32,
}

impl Field {
    fn holds(self, value: u32) -> bool {
        value & self.mask == self.expected
    }
}

/// Register that identifies a chip; `None` where none is known.
pub fn identity(chip: &Chip) -> Option<Field> {
    const TABLE: [(&str, Field); 6] = [
        // DBGMCU_IDCODE.DEV_ID (RM0383, RM0090; the F405, F407, F415 and F417 share theirs), DBGMCU_IDC.DEV_ID (RM0433).
        ("STM32F411", Field { address: 0xe004_2000, mask: 0xfff, expected: 0x431 }),
        ("STM32F405", Field { address: 0xe004_2000, mask: 0xfff, expected: 0x413 }),
        ("STM32H743", Field { address: 0x5c00_1000, mask: 0xfff, expected: 0x450 }),
        // FICR INFO.PART (nRF52840 Product Specification).
        ("nRF52840", Field { address: 0x1000_0100, mask: u32::MAX, expected: 0x5_2840 }),
        // SYSINFO CHIP_ID: part and manufacturer, without the revision (RP2040 datasheet, 2.20; RP2350 datasheet, 12.15).
        ("RP2040", Field { address: 0x4000_0000, mask: 0x0fff_ffff, expected: 0x2927 }),
        ("RP235", Field { address: 0x4000_0000, mask: 0x0fff_ffff, expected: 0x4927 }),
    ];
    of(chip, &TABLE)
}

/// Register that shows that a chip's flash may be read and written; `None` where none is known.
pub fn unlocked(chip: &Chip) -> Option<Field> {
    const TABLE: [(&str, Field); 2] = [
        // FLASH_OPTCR.RDP (RM0383, RM0090), FLASH_OPTSR_CUR.RDP (RM0433): 0xaa is level 0, no protection.
        ("STM32F4", Field { address: 0x4002_3c14, mask: 0xff00, expected: 0xaa00 }),
        ("STM32H74", Field { address: 0x5200_201c, mask: 0xff00, expected: 0xaa00 }),
    ];
    of(chip, &TABLE)
}

fn of(chip: &Chip, table: &[(&str, Field)]) -> Option<Field> {
    table.iter().find(|(prefix, _)| chip.name.starts_with(prefix)).map(|&(_, field)| field)
}

/// Result of attaching to a chip.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Attached {
    /// The chip is locked: it asks for a permission that would erase it.
    Locked,
    /// Attaching failed.
    Failed(String),
    /// The chip is open: values of its known registers, where they could be read.
    Open {
        /// Value of [`identity`].
        identity: Option<u32>,
        /// Value of [`unlocked`].
        protection: Option<u32>,
    },
}

/// The reason that a chip is not flashed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The chip is locked.
    Locked {
        /// Its name.
        chip: String,
    },
    /// The chip is not the expected one.
    OtherChip {
        /// The expected chip.
        chip: String,
        /// Address of the identity.
        address: u64,
        /// The value found.
        found: u32,
        /// The expected value of its bits.
        expected: u32,
    },
    /// The chip does not answer.
    NoAnswer {
        /// Its name.
        chip: String,
        /// Error of probe-rs.
        reason: String,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Locked { chip } => {
                write!(
                    f,
                    "chip {chip}: is locked against reading and writing; nothing was changed; next: {}",
                    unlock(chip)
                )
            }
            Refusal::OtherChip { chip, address, found, expected } => write!(
                f,
                "chip {chip}: the attached chip is another one: {address:#010x} reads {found:#010x}, expected {expected:#x}; nothing was \
                 changed; next: connect the right board, or choose the one that is connected"
            ),
            Refusal::NoAnswer { chip, reason } => write!(
                f,
                "chip {chip}: does not answer as one: {reason}; nothing was changed; next: check the board's power, its cable to \
                 the probe and that it is this chip"
            ),
        }
    }
}

impl std::error::Error for Refusal {}

/// Steps to unlock a locked chip. Only its owner should do that: it erases everything on the chip.
fn unlock(chip: &str) -> String {
    let erases = "which ERASES it";
    if chip.starts_with("STM32") {
        format!(
            "if its contents may go, set readout protection to level 0, {erases}: `STM32_Programmer_CLI -c port=SWD -ob RDP=0xAA` (level 2 is final)"
        )
    } else {
        format!("if its contents may go, unlock it, {erases}: `probe-rs erase --chip {chip} --allow-erase-all`")
    }
}

/// Decides if a chip may be flashed.
///
/// # Errors
/// When it is locked, is not the expected one, or does not answer.
pub fn judge(chip: &Chip, attached: &Attached) -> Result<(), Refusal> {
    let name = || chip.name.clone();
    let (value, protection) = match attached {
        Attached::Locked => return Err(Refusal::Locked { chip: name() }),
        Attached::Failed(reason) => return Err(Refusal::NoAnswer { chip: name(), reason: reason.clone() }),
        Attached::Open { identity, protection } => (identity, protection),
    };
    // Identity first: another chip has other registers where this one has its protection.
    if let (Some(field), Some(found)) = (identity(chip), *value)
        && !field.holds(found)
    {
        return Err(Refusal::OtherChip { chip: name(), address: field.address, found, expected: field.expected });
    }
    match (unlocked(chip), *protection) {
        (Some(field), Some(value)) if !field.holds(value) => Err(Refusal::Locked { chip: name() }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chip::Boot;

    fn chip(name: &str) -> Chip {
        Chip { name: name.into(), regions: Vec::new(), boot: Boot::Flash(0) }
    }

    fn judged(name: &str, identity: u32, protection: u32) -> Result<(), Refusal> {
        judge(&chip(name), &Attached::Open { identity: Some(identity), protection: Some(protection) })
    }

    #[test]
    fn only_the_chip_that_was_meant_is_flashed_and_only_unlocked() {
        // Values with revisions as the manuals list them; RDP is 0xaa, 0xcc or any other byte.
        let table = [
            ("STM32F411RETx", 0x1000_6431, 0x0fff_aaed, "flashed"),
            ("STM32F411RETx", 0x1000_6413, 0x0fff_aaed, "another"),
            ("STM32F411RETx", 0x1000_6431, 0x0fff_00ed, "locked"),
            ("STM32F411RETx", 0x1000_6431, 0x0fff_cced, "locked"),
            ("STM32F411RETx", 0x1000_6413, 0x0fff_00ed, "another"),
            ("STM32F405RGTx", 0x1007_6413, 0x0fff_aaed, "flashed"),
            ("STM32H743ZITx", 0x2003_6450, 0x1406_aa70, "flashed"),
            ("STM32H743ZITx", 0x2003_6450, 0x1406_5570, "locked"),
            ("nRF52840_xxAA", 0x0005_2840, 0, "flashed"),
            ("nRF52840_xxAA", 0x0005_2832, 0, "another"),
            ("RP2040", 0x2000_2927, 0, "flashed"),
            ("RP2040", 0x2000_4927, 0, "another"),
            ("RP235x", 0x2000_4927, 0, "flashed"),
            ("nRF51822_xxAA", 0, 0, "flashed"),
        ];
        for (name, identity, protection, expected) in table {
            let found =
                judged(name, identity, protection).map_or_else(|refusal| refusal.to_string(), |()| "flashed".into());
            assert!(found.contains(expected), "{name} {identity:#x} {protection:#x}: {found}, expected {expected}");
        }
    }

    #[test]
    fn a_locked_chip_is_named_with_the_way_to_unlock_it_and_its_price() {
        for (name, way) in [("STM32F411RETx", "RDP=0xAA"), ("nRF52840_xxAA", "probe-rs erase --chip nRF52840_xxAA")] {
            let message = judge(&chip(name), &Attached::Locked).expect_err("a refusal").to_string();
            for text in [name, "locked", "ERASES", "nothing was changed", way] {
                assert!(message.contains(text), "{message:?} lacks {text:?}");
            }
        }
    }

    #[test]
    fn a_chip_that_does_not_answer_is_not_flashed() {
        let refusal = judge(&chip("RP2040"), &Attached::Failed("no ACK".into())).expect_err("a refusal");
        assert!(refusal.to_string().contains("no ACK"));
    }
}
