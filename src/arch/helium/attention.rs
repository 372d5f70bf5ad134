//! Scores of a query and weighted sums of values, int8 by int16.
//!
//! ```text
//! query in q4 to q7 · four keys ──► four sums ──► times mantissas ──► scores
//! weights [tokens] · four rows of values ──► four sums ──► times a ratio ──► out
//! ```

use super::{Backend, Multiplier, Scalar, extension, reset, signed_bytes};
use core::arch::naked_asm;

/// Eight numbers of four keys at a distance from each other.
///
/// ```text
/// r0 keys   r4 r6 r8 r10 sums
/// ```
macro_rules! step {
    ($op:literal, $query:literal, $k0:literal, $k1:literal, $k2:literal, $k3:literal) => {
        concat!(
            "vldrb.s16 q0, [r0, #",
            $k0,
            "]\n vldrb.s16 q1, [r0, #",
            $k1,
            "]\n",
            $op,
            ".s16 r4, q0, ",
            $query,
            "\n vldrb.s16 q0, [r0, #",
            $k2,
            "]\n",
            $op,
            ".s16 r6, q1, ",
            $query,
            "\n vldrb.s16 q1, [r0, #",
            $k3,
            "]\n",
            $op,
            ".s16 r8, q0, ",
            $query,
            "\n",
            $op,
            ".s16 r10, q1, ",
            $query,
            "\n",
        )
    };
}

/// Scores of four keys at a time; returns the largest.
///
/// ```text
/// r0 keys   r1 mantissas   r2 scores   r3 chunks of keys   q2 largest
/// ```
macro_rules! scores {
    ($name:ident, $bytes:literal, $($load:literal),+; $($step:expr),+) => {
        /// # Safety
        /// `keys` is valid for reads of `4 * chunks` keys of the loop's width, `mantissas` for reads and `scores` for writes of `4 * chunks`
        /// numbers, `query` for reads of the width; numbers of 16 bits are aligned to 2 bytes.
        #[unsafe(naked)]
        unsafe extern "C" fn $name(
            keys: *const i8,
            mantissas: *const i16,
            scores: *mut i16,
            chunks: usize,
            query: *const i16,
        ) -> i32 {
            naked_asm!(
                extension!(),
                "push {{r4-r10, lr}}",
                "ldr r4, [sp, #32]",
                "vpush {{d8-d15}}",
                $($load,)+
                "mov r12, #0x8000",
                "movt r12, #0xffff",
                "vdup.32 q2, r12",
                "wls lr, r3, 3f",
                "2:",
                $($step,)+
                concat!("adds r0, #", $bytes),
                "vmov q0[2], q0[0], r4, r8",
                "vldrh.s32 q1, [r1], #8",
                "vmov q0[3], q0[1], r6, r10",
                "vshl.i32 q1, q1, #16",
                "vmulh.s32 q0, q0, q1",
                "vmax.s32 q2, q2, q0",
                "vstrh.32 q0, [r2], #8",
                "le lr, 2b",
                "3:",
                "vmaxv.s32 r12, q2",
                "mov r0, r12",
                "vpop {{d8-d15}}",
                "pop {{r4-r10, pc}}",
                reset!(),
            )
        }
    };
}
scores!(scores_8, "32", "vldrh.u16 q4, [r4]"; step!("vmlav", "q4", "0", "8", "16", "24"));
scores!(
    scores_16, "64", "vldrh.u16 q4, [r4]", "vldrh.u16 q5, [r4, #16]";
    step!("vmlav", "q4", "0", "16", "32", "48"),
    step!("vmlava", "q5", "8", "24", "40", "56")
);
scores!(
    scores_24, "96", "vldrh.u16 q4, [r4]", "vldrh.u16 q5, [r4, #16]", "vldrh.u16 q6, [r4, #32]";
    step!("vmlav", "q4", "0", "24", "48", "72"),
    step!("vmlava", "q5", "8", "32", "56", "80"),
    step!("vmlava", "q6", "16", "40", "64", "88")
);
scores!(
    scores_32, "128", "vldrh.u16 q4, [r4]", "vldrh.u16 q5, [r4, #16]", "vldrh.u16 q6, [r4, #32]", "vldrh.u16 q7, [r4, #48]";
    step!("vmlav", "q4", "0", "32", "64", "96"),
    step!("vmlava", "q5", "8", "40", "72", "104"),
    step!("vmlava", "q6", "16", "48", "80", "112"),
    step!("vmlava", "q7", "24", "56", "88", "120")
);

/// [`Backend::scaled_dots`].
#[inline]
pub(crate) fn scaled_dots(keys: &[u32], width: usize, mantissas: &[i16], query: &[i16], scores: &mut [i16]) -> i16 {
    let (done, max) = scores_by_chunks(keys, width, mantissas, query, scores);
    if done >= mantissas.len().min(scores.len()) {
        max
    } else {
        max.max(rest(keys, width, mantissas, query, scores, done))
    }
}

/// Arguments of [`single_scores`], in the order of its registers.
#[repr(C)]
struct Keys {
    keys: *const i8,
    mantissas: *const i16,
    scores: *mut i16,
    count: usize,
    query: *const i16,
    width: usize,
}

/// Scores of keys one by one, of any width; returns the largest.
///
/// ```text
/// r0 key   r1 mantissas   r2 scores   r3 keys left   r4 query   r5 width   r6 sum   r7 place in the key   r9 in the query
/// r10 mantissa, score   r12 largest
/// ```
///
/// # Safety
/// All pointers are valid for `count` keys of `width` numbers, so many mantissas and scores, and a query of `width` numbers;
/// `count` is not 0, and `scores` overlaps nothing else.
#[unsafe(naked)]
unsafe extern "C" fn single_scores(keys: &Keys) -> i32 {
    naked_asm!(
        extension!(),
        "push {{r4-r10, lr}}",
        "ldm r0, {{r0, r1, r2, r3, r4, r5}}",
        "mov r12, #0x8000",
        "movt r12, #0xffff",
        "2:",
        "mov r7, r0",
        "mov r9, r4",
        "movs r6, #0",
        "wlstp.16 lr, r5, 4f",
        "3:",
        "vldrh.u16 q0, [r9], #16",
        "vldrb.s16 q1, [r7], #8",
        "vmlava.s16 r6, q1, q0",
        "letp lr, 3b",
        "4:",
        "ldrh r10, [r1], #2",
        "add r0, r0, r5",
        "lsl r10, r10, #16",
        "smull r9, r10, r6, r10",
        "strh r10, [r2], #2",
        "sxth r10, r10",
        "cmp r10, r12",
        "csel r12, r10, r12, gt",
        "subs r3, r3, #1",
        "bne 2b",
        "mov r0, r12",
        "pop {{r4-r10, pc}}",
        reset!(),
    )
}

/// Scores of the keys from `done` on.
#[inline(never)]
fn rest(keys: &[u32], width: usize, mantissas: &[i16], query: &[i16], scores: &mut [i16], done: usize) -> i16 {
    let keys = keys.get(done * width / 4..).unwrap_or(&[]);
    let mantissas = mantissas.get(done..).unwrap_or(&[]);
    let scores = scores.get_mut(done..).unwrap_or(&mut []);
    let count = (4 * keys.len() / width.max(1)).min(mantissas.len()).min(scores.len());
    if query.len() != width || count == 0 {
        return Scalar::scaled_dots(keys, width, mantissas, query, scores);
    }
    let keys = Keys {
        keys: keys.as_ptr().cast(),
        mantissas: mantissas.as_ptr(),
        scores: scores.as_mut_ptr(),
        count,
        query: query.as_ptr(),
        width,
    };
    // SAFETY: there is one key at least, so many keys of this width, mantissas and scores, and the query has this width.
    unsafe { call!(single_scores(&keys)) as i16 }
}

/// Scores of all chunks of keys; how many keys that were, and the largest. None where heads have other widths.
///
/// # Shapes
/// As of [`Backend::scaled_dots`].
#[inline]
fn scores_by_chunks(keys: &[u32], width: usize, mantissas: &[i16], query: &[i16], scores: &mut [i16]) -> (usize, i16) {
    let keys = signed_bytes(keys);
    let loops = match width {
        8 => scores_8,
        16 => scores_16,
        24 => scores_24,
        32 => scores_32,
        _ => return (0, i16::MIN),
    };
    // The compiler loses the widths above, and keeps the panic of a plain division.
    let chunks = keys.len().checked_div(width).unwrap_or(0).min(mantissas.len()).min(scores.len()) / 4;
    if query.len() != width {
        return (0, i16::MIN);
    }
    // SAFETY: of keys, mantissas and scores there are four times as many, keys and the query have this width.
    let max = unsafe { call!(loops(keys.as_ptr(), mantissas.as_ptr(), scores.as_mut_ptr(), chunks, query.as_ptr())) };
    (4 * chunks, max as i16)
}

/// Arguments of [`sums`].
#[repr(C)]
struct Job {
    values: *const i8,
    stride: usize,
    weights: *const i16,
    tokens: usize,
    sums: *mut i32,
    chunks: usize,
    by: By,
}

/// Factor of the sums: `(sum << left) * multiplier / 2^32`, shifted and rounded.
#[repr(C)]
struct By {
    left: i32,
    multiplier: i32,
    /// Negative: to the right.
    right: i32,
}

/// Sums of four rows at a time.
///
/// ```text
/// r1 r3 r5 r7 values   r9 weights   r0 r2 r4 r6 sums   r8 stride   r10 results   r11 chunks   r12 tokens
/// q4 multiplier   sp: weights, distance to the next block, left, right
/// ```
macro_rules! sums {
    ($name:ident, $($rescale:literal),*) => {
        /// # Safety
        /// The target of `job` is valid and aligned to its type: `4 * chunks` rows of `stride` bytes, `tokens` weights, at most
        /// `stride`, and `4 * chunks` sums to be written; `chunks` is not 0.
        #[unsafe(naked)]
        unsafe extern "C" fn $name(job: &Job) {
            naked_asm!(
                extension!(),
                "push {{r4-r11, lr}}",
                "vpush {{d8, d9}}",
                "add r12, r0, #24",
                "ldm r0, {{r1, r8, r9, r10}}",
                "ldrd r2, r11, [r0, #16]",
                "ldm r12, {{r4, r5, r6}}",
                "vdup.32 q4, r5",
                "push {{r4, r6}}",
                "mov r12, r10",
                "mov r10, r2",
                // From behind the tokens, rounded up, of a block's last row to the next block.
                "add r5, r12, #7",
                "bic r5, r5, #7",
                "sub r5, r8, r5",
                "sub sp, #8",
                "strd r9, r5, [sp]",
                "2:",
                "add r3, r1, r8",
                "add r5, r3, r8",
                "add r7, r5, r8",
                "movs r0, #0",
                "movs r2, #0",
                "movs r4, #0",
                "movs r6, #0",
                "wlstp.16 lr, r12, 4f",
                "3:",
                "vldrh.u16 q0, [r9], #16",
                "vldrb.s16 q1, [r1], #8",
                "vldrb.s16 q2, [r3], #8",
                "vmlava.s16 r0, q1, q0",
                "vldrb.s16 q1, [r5], #8",
                "vmlava.s16 r2, q2, q0",
                "vldrb.s16 q2, [r7], #8",
                "vmlava.s16 r4, q1, q0",
                "vmlava.s16 r6, q2, q0",
                "letp lr, 3b",
                "4:",
                "vmov q0[2], q0[0], r0, r4",
                "vmov q0[3], q0[1], r2, r6",
                "ldrd r9, r1, [sp]",
                $($rescale,)*
                "vstrw.32 q0, [r10], #16",
                "add r1, r7",
                "subs r11, r11, #1",
                "bne 2b",
                "add sp, #16",
                "vpop {{d8, d9}}",
                "pop {{r4-r11, pc}}",
                reset!(),
            )
        }
    };
}
sums!(whole_sums,);
sums!(rescaled_sums, "ldrd r4, r6, [sp, #8]", "vshl.s32 q0, r4", "vmulh.s32 q0, q0, q4", "vrshl.s32 q0, r6");

/// [`Backend::weighted_sums`].
#[inline]
pub(crate) fn weighted_sums(values: &[u32], stride: usize, weights: &mut [i16], out: &mut [i32]) {
    let done = sums_by(whole_sums, values, stride, weights, By { left: 0, multiplier: 0, right: 0 }, out);
    if let Some(out) = out.get_mut(done..)
        && !out.is_empty()
    {
        Scalar::weighted_sums(values.get(done * stride / 4..).unwrap_or(&[]), stride, weights, out);
    }
}

/// [`Backend::scaled_sums`].
#[inline]
pub(crate) fn scaled_sums(values: &[u32], stride: usize, weights: &mut [i16], ratio: Multiplier, out: &mut [i32]) {
    let by = By {
        left: ratio.left_shift.cast_signed(),
        multiplier: i32::from(ratio.multiplier) << 16,
        right: -ratio.right_shift.cast_signed(),
    };
    let done = sums_by(rescaled_sums, values, stride, weights, by, out);
    if let Some(out) = out.get_mut(done..)
        && !out.is_empty()
    {
        Scalar::scaled_sums(values.get(done * stride / 4..).unwrap_or(&[]), stride, weights, ratio, out);
    }
}

/// Sums of chunks of rows by one of the two loops; how many that were.
#[inline(always)]
fn sums_by(
    sums: unsafe extern "C" fn(&Job),
    values: &[u32],
    stride: usize,
    weights: &[i16],
    by: By,
    out: &mut [i32],
) -> usize {
    let values = signed_bytes(values);
    let chunks = out.len() / 4;
    if weights.len() > stride || chunks == 0 || values.len() < stride.saturating_mul(4 * chunks) {
        return 0;
    }
    let job = Job {
        values: values.as_ptr(),
        stride,
        weights: weights.as_ptr(),
        tokens: weights.len(),
        sums: out.as_mut_ptr(),
        chunks,
        by,
    };
    // SAFETY: there are four times as many rows of this stride and as many results; no row has more tokens than its stride.
    unsafe { call!(sums(&job)) };
    4 * chunks
}
