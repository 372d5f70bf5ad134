//! A QEMU plugin that counts the instructions a Cortex-M executes; `cargo xtask cycles` loads it and reads its output.
//!
//! ```text
//! QEMU ─┬─ block translated ──► Record                       -plugin file=…,out=FILE[,mark=ADDRESS:PART]…
//!       ├─ block executed ────► Record                       (addresses hexadecimal)
//!       └─ exit ──────────────► FILE
//! ```
//!
//! It computes no cycles: the reader does. It is under the GPL, as QEMU's headers are, and for that reason neither linked into nor
//! linked with anything else of this project.

mod record;

use qemu_plugin_sys::{
    qemu_info_t, qemu_plugin_cb_flags, qemu_plugin_id_t, qemu_plugin_insn_data, qemu_plugin_insn_vaddr,
    qemu_plugin_mem_rw, qemu_plugin_meminfo_t, qemu_plugin_register_atexit_cb, qemu_plugin_register_vcpu_mem_cb,
    qemu_plugin_register_vcpu_tb_exec_cb, qemu_plugin_register_vcpu_tb_trans_cb, qemu_plugin_tb,
    qemu_plugin_tb_get_insn, qemu_plugin_tb_n_insns,
};
use record::{Instruction, Record};
use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Version of QEMU's plugin interface.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static qemu_plugin_version: c_int = 1;

/// The counts and the output file. QEMU calls from the one thread that runs the processor.
static STATE: Mutex<Option<(Record, PathBuf)>> = Mutex::new(None);

/// Upper bound of the number of instructions in a block.
const BLOCK: usize = 1 << 12;

fn with_record(act: impl FnOnce(&mut Record)) {
    if let Some((record, _)) = STATE.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
        act(record);
    }
}

/// Called by QEMU when it loads the plugin.
///
/// # Safety
/// `argv` must be `argc` pointers to strings that end in a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qemu_plugin_install(
    id: qemu_plugin_id_t,
    _info: *const qemu_info_t,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    let count = usize::try_from(argc).unwrap_or(0);
    // SAFETY: by this function's contract.
    let words = (0..count).map(|index| unsafe { CStr::from_ptr(*argv.add(index)) }.to_string_lossy().into_owned());
    match options(words) {
        Ok((marks, file)) => {
            *STATE.lock().unwrap_or_else(PoisonError::into_inner) = Some((Record::new(marks), file));
        }
        Err(error) => {
            eprintln!("thumbformer-cycles-plugin: {error}");
            return 1;
        }
    }
    // SAFETY: `id` is from QEMU, and the functions have the types that QEMU calls.
    unsafe {
        qemu_plugin_register_vcpu_tb_trans_cb(id, Some(translated));
        qemu_plugin_register_atexit_cb(id, Some(exit), std::ptr::null_mut());
    }
    0
}

/// Reads the options: `out=FILE` and any number of `mark=ADDRESS:PART`.
fn options(words: impl Iterator<Item = String>) -> Result<(HashMap<u32, usize>, PathBuf), String> {
    let (mut marks, mut file) = (HashMap::new(), None);
    for word in words {
        match word.split_once('=') {
            Some(("out", path)) => file = Some(PathBuf::from(path)),
            Some(("mark", mark)) => {
                let (address, part) =
                    mark.split_once(':').ok_or(format!("expected mark=ADDRESS:PART, found {word}"))?;
                let address = u32::from_str_radix(address, 16).map_err(|error| format!("{word}: {error}"))?;
                // The lowest bit of a function's address marks Thumb code.
                marks.insert(address & !1, part.parse().map_err(|error| format!("{word}: {error}"))?);
            }
            _ => return Err(format!("expected out=FILE or mark=ADDRESS:PART, found {word}")),
        }
    }
    Ok((marks, file.ok_or("no out=FILE")?))
}

/// Callback of QEMU for a block that it has translated.
///
/// # Safety
/// QEMU calls it, with a block that is valid for the time of the call.
unsafe extern "C" fn translated(_: qemu_plugin_id_t, block: *mut qemu_plugin_tb) {
    // SAFETY: QEMU lends us the block for the time of this call, and the index is below its length.
    let handles: Vec<_> =
        unsafe { (0..qemu_plugin_tb_n_insns(block)).map(|index| qemu_plugin_tb_get_insn(block, index)).collect() };
    // SAFETY: QEMU has at least two bytes of every instruction, and four of one whose first halfword says so. Its own figure of
    // the size is too large at the end of a page (7.2).
    let instructions = handles.iter().map(|&handle| unsafe {
        let bytes = qemu_plugin_insn_data(handle).cast::<u8>();
        let half = |at: usize| u32::from(u16::from_le_bytes([*bytes.add(at), *bytes.add(at + 1)]));
        let address = qemu_plugin_insn_vaddr(handle) as u32;
        match half(0) {
            first @ 0xe800.. => Instruction { address, code: first << 16 | half(2), size: 4 },
            first => Instruction { address, code: first, size: 2 },
        }
    });
    let instructions: Vec<Instruction> = instructions.collect();
    let predicated = predicated(&instructions);
    let mut number = 0;
    with_record(|record| number = record.block(instructions, &predicated));
    // SAFETY: the handles are QEMU's, valid for the time of this call; what we give along is a number, never followed as a pointer.
    unsafe {
        qemu_plugin_register_vcpu_tb_exec_cb(
            block,
            Some(executed),
            qemu_plugin_cb_flags::QEMU_PLUGIN_CB_NO_REGS,
            std::ptr::without_provenance_mut(number),
        );
        for index in predicated {
            // The inline form of this corrupts QEMU 7.2's heap.
            qemu_plugin_register_vcpu_mem_cb(
                handles[index],
                Some(accessed),
                qemu_plugin_cb_flags::QEMU_PLUGIN_CB_NO_REGS,
                qemu_plugin_mem_rw::QEMU_PLUGIN_MEM_RW,
                std::ptr::without_provenance_mut(number * BLOCK + index),
            );
        }
    }
}

/// The instructions under an IT in a block: QEMU counts them as executed when their condition fails, so their accesses are counted.
fn predicated(instructions: &[Instruction]) -> Vec<usize> {
    let (mut found, mut left) = (Vec::new(), 0);
    for (index, Instruction { code, size, .. }) in instructions.iter().enumerate() {
        if left > 0 {
            found.push(index);
            left -= 1;
        } else if *size == 2 && code & 0xff00 == 0xbf00 && code & 0xf != 0 {
            left = 4 - code.trailing_zeros();
        }
    }
    found
}

/// Callback of QEMU for a block that is executed.
///
/// # Safety
/// None: the pointer is a number and never followed.
unsafe extern "C" fn executed(_: c_uint, number: *mut c_void) {
    with_record(|record| record.execute(number.addr()));
}

/// Callback of QEMU for an access to memory by an instruction under an IT.
///
/// # Safety
/// None: the pointer is a number and never followed.
unsafe extern "C" fn accessed(_: c_uint, _: qemu_plugin_meminfo_t, _: u64, number: *mut c_void) {
    with_record(|record| record.access(number.addr() / BLOCK, number.addr() % BLOCK));
}

/// Callback of QEMU at its end: writes the record.
///
/// # Safety
/// None: the pointer is not used.
unsafe extern "C" fn exit(_: qemu_plugin_id_t, _: *mut c_void) {
    if let Some((record, file)) = STATE.lock().unwrap_or_else(PoisonError::into_inner).as_mut()
        && let Err(error) = std::fs::write(&*file, record.text())
    {
        eprintln!("thumbformer-cycles-plugin: {}: {error}", file.display());
    }
}
