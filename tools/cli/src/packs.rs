//! Names for `--pack`: packings, cores, and the boards of this project.

use anyhow::{Result, bail};
use thumbformer::Packing;

/// Boards and cores with their packing, sorted by name.
const BOARDS: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/packs.rs"));

/// Cores that are on none of the boards.
const OTHERS: [(&str, Packing); 3] = [("m23", Packing::M0), ("m35p", Packing::M4), ("m85", Packing::M55)];

/// Packing of a name: of a packing (`host`, …), a core (`cortex-m4f`, `m0+`), or a board.
///
/// # Errors
/// For an unknown name; the error lists similar names.
pub fn packing(name: &str) -> Result<Packing> {
    let wanted = name.to_lowercase().replace('+', "plus");
    let wanted = wanted.strip_prefix("cortex-").unwrap_or(&wanted);
    match find(wanted) {
        Some(packing) => Ok(packing),
        None => bail!("no packing {name:?}: {}", near(wanted)),
    }
}

fn find(name: &str) -> Option<Packing> {
    let board = BOARDS.iter().find(|(board, _)| *board == name).map(|(_, pack)| *pack);
    let packing = Packing::ALL.into_iter().find(|packing| packing.name() == board.unwrap_or(name));
    packing.or_else(|| OTHERS.iter().find(|(other, _)| *other == name).map(|(_, packing)| *packing))
}

/// Similar names, or else the names of all packings.
fn near(wanted: &str) -> String {
    let packings = Packing::ALL.map(Packing::name).join(", ");
    let names =
        BOARDS.iter().map(|(name, _)| *name).chain(Packing::ALL.map(Packing::name)).chain(OTHERS.map(|(name, _)| name));
    let likeness = |name: &str| {
        let part = wanted.len() > 2 && name.contains(wanted);
        strsim::jaro_winkler(name, wanted).max(if part { 0.9 } else { 0.0 })
    };
    let mut near: Vec<(f64, &str)> =
        names.map(|name| (likeness(name), name)).filter(|(like, _)| *like > 0.75).collect();
    near.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    near.dedup_by_key(|(_, name)| *name);
    near.truncate(4);
    let near: Vec<&str> = near.into_iter().map(|(_, name)| name).collect();
    match near[..] {
        [] => format!("give {packings}, a core (as cortex-m4f), or a folder of boards/ (`cargo xtask board list`)"),
        _ => format!("similar names are {}; the packings are {packings}", near.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::{BOARDS, packing};
    use std::path::Path;
    use thumbformer::Packing;

    /// Names of the folders in boards/ that hold a board, with the packing of their manifest.
    fn folders() -> Vec<(String, String)> {
        let boards = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../boards");
        let entries = std::fs::read_dir(boards).expect("boards/").map(|entry| entry.expect("an entry").path());
        let board = |folder: std::path::PathBuf| {
            let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).ok()?;
            let table = manifest.split("[package.metadata.board]").nth(1)?;
            let pack = table.lines().find_map(|line| line.strip_prefix("pack = \""))?.trim_end_matches('"');
            Some((folder.file_name()?.to_str()?.to_string(), pack.to_string()))
        };
        entries.filter_map(board).collect()
    }

    #[test]
    fn every_board_is_accepted_with_the_packing_of_its_manifest() {
        let folders = folders();
        assert!(folders.len() >= 14, "{folders:?}");
        for (name, pack) in folders {
            assert_eq!(packing(&name).expect(&name).name(), pack, "{name}");
        }
    }

    #[test]
    fn cores_are_accepted_as_manuals_and_compilers_spell_them() {
        let table = [
            ("host", Packing::Host),
            ("cortex-m0plus", Packing::M0),
            ("Cortex-M0+", Packing::M0),
            ("m3", Packing::M0),
            ("cortex-m4f", Packing::M4),
            ("cortex-m7f", Packing::M4),
            ("M33", Packing::M4),
            ("cortex-m85", Packing::M55),
        ];
        for (name, expected) in table {
            assert_eq!(packing(name).expect(name), expected, "{name}");
        }
    }

    #[test]
    fn an_unknown_name_lists_near_ones() {
        let table = [
            ("pico", "raspberry-pi-pico"),
            ("cortex-m4g", "m4"),
            ("nucleo-f411", "stm32-nucleo-f411re"),
            ("zzz", "host"),
        ];
        for (name, expected) in table {
            let error = packing(name).expect_err(name).to_string();
            assert!(error.contains(name) && error.contains(expected), "{error}");
        }
    }

    /// The package carries the table, as it is built without the repository.
    #[test]
    fn the_committed_table_is_what_the_manifests_give() {
        let generated = include_str!(concat!(env!("OUT_DIR"), "/packs.rs"));
        let committed = include_str!("../packs.in");
        assert_eq!(
            committed, generated,
            "tools/cli/packs.in: expected the text on the right; replace its content by it"
        );
        assert!(BOARDS.is_sorted());
    }
}
