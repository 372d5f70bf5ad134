//! Rounding mode of the FPU.

/// Rounding mode of the FPU, bits 22 and 23 of FPSCR: 0 to nearest, 1 up, 2 down, 3 towards zero. Always 0 on machines other than Arm's
/// 32-bit cores with an FPU, and where floats are computed by software.
#[inline(always)]
pub(crate) fn rounding_mode() -> u32 {
    #[cfg(all(target_arch = "arm", thumbformer_fpu))]
    {
        let fpscr: u32;
        // SAFETY: reads a register and nothing else; not `pure`, as the next call may find another mode.
        unsafe {
            core::arch::asm!("vmrs {}, fpscr", out(reg) fpscr, options(nomem, nostack, preserves_flags));
        }
        fpscr >> 22 & 3
    }
    #[cfg(not(all(target_arch = "arm", thumbformer_fpu)))]
    0
}
