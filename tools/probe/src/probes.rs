//! Choice of the debug probe.
//!
//! ```text
//! attached probes, `--probe` ──► one probe, or the reason that there is none, with the next step
//! ```

use probe_rs::probe::DebugProbeSelector;
use probe_rs::probe::list::{Accessibility, Lister};
use serde::Serialize;
use std::fmt;

/// An attached debug probe.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Probe {
    /// Name, as the probe reports it.
    pub name: String,
    /// Selector for `--probe`: `vendor:product:serial`.
    pub selector: String,
    /// True if this user may open it.
    pub accessible: bool,
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let denied = if self.accessible { "" } else { " (no permission to open it)" };
        write!(f, "--probe {}  {}{denied}", self.selector, self.name)
    }
}

/// The probes that are attached now.
pub fn attached() -> Vec<Probe> {
    let found = Lister::new().list_all_with_access().into_iter();
    found
        .map(|item| Probe {
            name: item.info.identifier.clone(),
            selector: DebugProbeSelector::from(&item.info).to_string(),
            accessible: item.accessibility == Accessibility::Accessible,
        })
        .collect()
}

/// The reason that no probe can be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NoProbe {
    /// No probe is attached.
    None {
        /// True if the chip is a Pico's, which takes UF2 as well.
        uf2: bool,
    },
    /// Several probes are attached, and none is named.
    Several(Vec<Probe>),
    /// The named probe is not attached.
    Other {
        /// The given name.
        wanted: String,
        /// The attached probes.
        attached: Vec<Probe>,
    },
    /// The system does not let this user open the probe.
    Denied(Probe),
}

const UDEV: &str = "on Linux, a udev rule lets you open it: https://probe.rs/docs/getting-started/probe-setup";

impl fmt::Display for NoProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |probes: &[Probe]| probes.iter().map(|probe| format!("\n  {probe}")).collect::<String>();
        match self {
            NoProbe::None { uf2 } => {
                write!(
                    f,
                    "no probe is attached; next: connect the board by its debugger's USB socket, with a cable that carries "
                )?;
                write!(f, "data; {UDEV}; see what is found with `thumbformer-probe probes`")?;
                let pico =
                    "; a Pico needs no probe: hold BOOTSEL while connecting it and copy the file of `cargo xtask uf2`";
                f.write_str(if *uf2 { pico } else { "" })
            }
            NoProbe::Several(probes) => {
                write!(f, "{} probes are attached; next: choose one:{}", probes.len(), list(probes))
            }
            NoProbe::Other { wanted, attached } if attached.is_empty() => {
                write!(f, "--probe {wanted}: no probe is attached; next: check its cable; {UDEV}")
            }
            NoProbe::Other { wanted, attached } => {
                write!(f, "--probe {wanted}: is not attached; next: choose one that is:{}", list(attached))
            }
            NoProbe::Denied(probe) => {
                write!(f, "probe {} ({}): no permission; next: {UDEV}", probe.selector, probe.name)
            }
        }
    }
}

impl std::error::Error for NoProbe {}

/// Chooses the probe: the only one, or the one whose selector or serial number is `wanted`.
///
/// # Errors
/// When none or more than one matches, or it cannot be opened.
pub fn choose<'p>(probes: &'p [Probe], wanted: Option<&str>, uf2: bool) -> Result<&'p Probe, NoProbe> {
    let matching: Vec<&Probe> = probes.iter().filter(|probe| wanted.is_none_or(|wanted| is(probe, wanted))).collect();
    match (matching.as_slice(), wanted) {
        ([probe], _) if probe.accessible => Ok(probe),
        ([probe], _) => Err(NoProbe::Denied((*probe).clone())),
        ([], None) => Err(NoProbe::None { uf2 }),
        ([], Some(wanted)) => Err(NoProbe::Other { wanted: wanted.into(), attached: probes.to_vec() }),
        (several, _) => Err(NoProbe::Several(several.iter().map(|&probe| probe.clone()).collect())),
    }
}

/// True if `wanted` names a probe: by `vendor:product:serial`, by `vendor:product`, or by its serial number alone.
fn is(probe: &Probe, wanted: &str) -> bool {
    let (selector, wanted) = (probe.selector.to_lowercase(), wanted.to_lowercase());
    let rest = selector.strip_prefix(&wanted);
    rest.is_some_and(|rest| rest.is_empty() || (wanted.contains(':') && rest.starts_with(':')))
        || selector.splitn(3, ':').nth(2).is_some_and(|serial| serial == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(selector: &str) -> Probe {
        Probe { name: "STLINK-V3".into(), selector: selector.into(), accessible: true }
    }

    #[test]
    fn a_probe_is_chosen_when_it_is_the_only_one_that_is_meant() {
        let two = [probe("0483:374e:0021"), probe("2e8a:000c:E661")];
        let table = [
            (&two[..1], None, Some("0483:374e:0021")),
            (&two[..], None, None),
            (&two[..0], None, None),
            (&two[..], Some("2e8a:000c"), Some("2e8a:000c:E661")),
            (&two[..], Some("2E8A:000C:e661"), Some("2e8a:000c:E661")),
            (&two[..], Some("0021"), Some("0483:374e:0021")),
            (&two[..], Some("0483:374"), None),
            (&two[..], Some("0483"), None),
            (&two[..1], Some("2e8a:000c"), None),
        ];
        for (probes, wanted, expected) in table {
            let chosen = choose(probes, wanted, false).ok().map(|probe| probe.selector.as_str());
            assert_eq!(chosen, expected, "{wanted:?} of {}", probes.len());
        }
    }

    #[test]
    fn two_of_one_kind_must_be_told_apart_by_their_serial_numbers() {
        let two = [probe("0483:374e:A"), probe("0483:374e:B")];
        assert!(matches!(choose(&two, Some("0483:374e"), false), Err(NoProbe::Several(probes)) if probes.len() == 2));
        assert_eq!(choose(&two, Some("B"), false).map(|probe| probe.selector.as_str()), Ok("0483:374e:B"));
    }

    #[test]
    fn every_refusal_names_the_next_step() {
        let two = [probe("0483:374e:A"), probe("2e8a:000c:B")];
        let denied = [Probe { accessible: false, ..probe("0483:374e:A") }];
        type Row<'a> = (&'a [Probe], Option<&'a str>, bool, &'a [&'a str]);
        let table: [Row<'_>; 6] = [
            (&[], None, false, &["no probe", "cable", "udev", "`thumbformer-probe probes`"]),
            (&[], None, true, &["no probe", "BOOTSEL", "uf2"]),
            (&two, None, false, &["2 probes", "--probe 0483:374e:A", "--probe 2e8a:000c:B"]),
            (&two, Some("1366:0101"), false, &["--probe 1366:0101: is not attached", "--probe 0483:374e:A"]),
            (&[], Some("1366:0101"), false, &["--probe 1366:0101: no probe", "cable"]),
            (&denied, None, false, &["0483:374e:A", "no permission", "udev"]),
        ];
        for (probes, wanted, uf2, expected) in table {
            let message = choose(probes, wanted, uf2).expect_err("a refusal").to_string();
            for text in expected {
                assert!(message.contains(text), "{message:?} lacks {text:?}");
            }
        }
        assert!(!choose(&[], None, false).expect_err("a refusal").to_string().contains("BOOTSEL"));
    }
}
