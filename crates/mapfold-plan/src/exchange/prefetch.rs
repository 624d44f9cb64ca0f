//! A hint to the processor that bytes will be read soon: the one module of this crate with `unsafe`.
//!
//! Sorted records lie anywhere in memory. Without the hint a reducer waits for main memory once or twice per record.

/// Starts to bring the first and the last byte of a slice into the cache; does nothing where there is no such hint.
#[inline]
pub(crate) fn prefetch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    if let (Some(first), Some(last)) = (bytes.first(), bytes.last()) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        for byte in [first, last] {
            // SAFETY: the address is that of a byte of `bytes`, and the instruction neither writes nor faults.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(byte).cast()) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}
