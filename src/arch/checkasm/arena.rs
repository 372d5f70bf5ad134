//! Memory for the buffers of a call: guard words around each, and one of them at the very end.
//!
//! ```text
//! │ guard │ buffer │ guard │ guard │ buffer │ guard │ …                  free │ guard │ the buffer whose turn it is │ end of the memory
//! ```
//! On a device the memory ends where nothing follows, so that a read past the end of that buffer is a fault.

use core::cell::Cell;
use core::marker::PhantomData;
use core::ptr::NonNull;

/// Types of buffers: numbers without invalid values.
pub(super) trait Plain: Copy {
    /// The number, or its lowest bits.
    fn from_integer(integer: i32) -> Self;
}

macro_rules! plain {
    ($($number:ty),*) => {
        $(impl Plain for $number {
            fn from_integer(integer: i32) -> $number {
                integer as $number
            }
        })*
    };
}
plain!(i8, u8, i16, i32, u32, f32);

/// Bytes of a guard.
const GUARD: usize = 32;
/// The byte that guards are made of.
const BYTE: u8 = 0xa7;
/// Most buffers of a call.
const MOST: usize = 8;

/// The memory.
pub(super) struct Arena<'m> {
    base: NonNull<u8>,
    length: usize,
    /// Bytes of the end that are for one buffer.
    last: usize,
    /// Index of the buffer that goes there.
    at_end: Cell<usize>,
    used: Cell<usize>,
    count: Cell<usize>,
    /// Start and end of each buffer with its guards, then of itself.
    buffers: [Cell<[usize; 4]>; MOST],
    /// True if there was no room for a buffer.
    full: Cell<bool>,
    memory: PhantomData<&'m mut [u32]>,
}

impl<'m> Arena<'m> {
    /// The last words of the memory are for the buffer at its end.
    pub(super) fn new(memory: &'m mut [u32], last: usize) -> Arena<'m> {
        let length = 4 * memory.len();
        let base = NonNull::from(memory).cast();
        Arena {
            base,
            length,
            last: 4 * last,
            at_end: Cell::new(usize::MAX),
            used: Cell::new(0),
            count: Cell::new(0),
            buffers: [const { Cell::new([0; 4]) }; MOST],
            full: Cell::new(false),
            memory: PhantomData,
        }
    }

    /// Frees all buffers; of those to come the one with this index goes to the end.
    pub(super) fn begin(&mut self, at_end: usize) {
        self.at_end.set(at_end);
        self.used.set(0);
        self.count.set(0);
        self.full.set(false);
    }

    /// True if there was no room for a buffer.
    pub(super) fn is_full(&self) -> bool {
        self.full.get()
    }

    /// True if all guards are whole.
    pub(super) fn is_sound(&mut self) -> bool {
        self.buffers.iter().take(self.count.get()).all(|buffer| {
            let [start, end, first, last] = buffer.get();
            (start..first).chain(last..end).all(|at| {
                // SAFETY: `take` has found these places in the memory, and the borrow is exclusive: nobody has a buffer.
                unsafe { self.base.add(at).read() == BYTE }
            })
        })
    }

    /// A buffer with the same contents.
    pub(super) fn copy<T: Plain>(&self, contents: &[T]) -> &mut [T] {
        let buffer = self.take(contents.len(), 0);
        buffer.copy_from_slice(contents);
        buffer
    }

    /// The next buffer, `length` numbers; none if the memory is full. It begins `skew` bytes later than it could, which is rounded to
    /// the type's alignment; the one at the end ends there.
    #[allow(clippy::mut_from_ref)] // each call hands out other memory
    pub(super) fn take<T: Plain>(&self, length: usize, skew: usize) -> &mut [T] {
        let (bytes, index) = (length * size_of::<T>(), self.count.get());
        let room = self.length - self.last;
        let skew = skew % 4 / align_of::<T>() * align_of::<T>();
        let (start, end, first) = if index == self.at_end.get() {
            (room, self.length, self.length.saturating_sub(bytes))
        } else {
            let start = self.used.get();
            let first = start + GUARD + skew;
            (start, (first + bytes).next_multiple_of(4) + GUARD, first)
        };
        let buffer = self.buffers.get(index).filter(|_| first >= start + GUARD && (end <= room || end == self.length));
        let Some(buffer) = buffer else {
            self.full.set(true);
            return &mut [];
        };
        if end != self.length {
            self.used.set(end);
        }
        // Of the part at the end only the words before the buffer are looked at.
        let start = start.max(first - GUARD - skew);
        buffer.set([start, end, first, first + bytes]);
        self.count.set(index + 1);
        // SAFETY: start to end lies within the memory: below `room` for all but one buffer, each from where the last one ended, above
        // it for that one, of which there is one as there is one `at_end`. The memory is words, so `first`, a multiple of the
        // alignment, is aligned; every bit pattern is a value of a `Plain`. `begin` and `is_sound` borrow exclusively, so no
        // buffer outlives its turn.
        unsafe {
            self.base.add(start).write_bytes(BYTE, end - start);
            core::slice::from_raw_parts_mut(self.base.add(first).cast().as_ptr(), length)
        }
    }
}
