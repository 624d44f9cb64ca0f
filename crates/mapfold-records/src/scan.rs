//! Finding bytes 64 at a time: one bit per byte, set where it is the wanted one.
//!
//! Lines, fields and words are short, so a search that is started anew for each of them spends its time starting. A bit
//! mask over 64 bytes is made in a few instructions and gives all of its hits by counting trailing zeros: the method of
//! simdjson (Langdale and Lemire, "Parsing gigabytes of JSON per second", 2019, arXiv:1902.08318).
//! On x86-64 the comparison is SSE2, which every such processor has; elsewhere eight bytes at a time in a `u64`.

/// Bytes per mask.
pub(crate) const BLOCK: usize = 64;

/// Bit `i` is set where `block[i]` is `wanted`.
#[inline(always)]
pub(crate) fn equal(block: &[u8; BLOCK], wanted: u8) -> u64 {
    #[cfg(target_arch = "x86_64")]
    return sse2::equal(block, wanted);
    #[cfg(not(target_arch = "x86_64"))]
    return portable::equal(block, wanted);
}

/// Bit `i` is set where `block[i]` is not above `limit`.
#[inline(always)]
pub(crate) fn at_most(block: &[u8; BLOCK], limit: u8) -> u64 {
    #[cfg(target_arch = "x86_64")]
    return sse2::at_most(block, limit);
    #[cfg(not(target_arch = "x86_64"))]
    return portable::at_most(block, limit);
}

#[cfg(target_arch = "x86_64")]
mod sse2 {
    use super::BLOCK;
    use std::arch::x86_64::*;

    #[inline(always)]
    pub(super) fn equal(block: &[u8; BLOCK], wanted: u8) -> u64 {
        // SAFETY: every x86-64 processor has SSE2.
        unsafe {
            let wanted = _mm_set1_epi8(wanted as i8);
            over(block, |lanes| _mm_cmpeq_epi8(lanes, wanted))
        }
    }

    #[inline(always)]
    pub(super) fn at_most(block: &[u8; BLOCK], limit: u8) -> u64 {
        // SAFETY: every x86-64 processor has SSE2.
        unsafe {
            let limit = _mm_set1_epi8(limit as i8);
            over(block, |lanes| _mm_cmpeq_epi8(_mm_min_epu8(lanes, limit), lanes))
        }
    }

    #[inline(always)]
    fn over(block: &[u8; BLOCK], compare: impl Fn(__m128i) -> __m128i) -> u64 {
        let mut mask = 0;
        for (i, lanes) in block.as_chunks::<16>().0.iter().enumerate() {
            // SAFETY: every x86-64 processor has SSE2; the load is unaligned and within 16 bytes that are borrowed.
            let bits = unsafe { _mm_movemask_epi8(compare(_mm_loadu_si128(lanes.as_ptr().cast()))) };
            mask |= u64::from(bits as u32) << (i * 16);
        }
        mask
    }
}

#[cfg(any(test, not(target_arch = "x86_64")))]
#[inline(always)]
fn word(block: &[u8; BLOCK], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&block[at..at + 8]);
    u64::from_le_bytes(word)
}

/// Bit `i` is set where `block[i]` is `wanted`.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(crate) fn equal(block: &[u8; BLOCK], wanted: u8) -> u64 {
    portable::equal(block, wanted)
}

/// Bit `i` is set where `block[i]` is not above `limit`.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(crate) fn at_most(block: &[u8; BLOCK], limit: u8) -> u64 {
    portable::at_most(block, limit)
}

/// The same, eight bytes at a time.
#[cfg(any(test, not(target_arch = "x86_64")))]
mod portable {
    use super::{BLOCK, word};

    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;

    /// The high bits of eight bytes, side by side.
    fn gather(high: u64) -> u64 {
        ((high & HIGH) >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
    }

    fn over(block: &[u8; BLOCK], of: impl Fn(u64) -> u64) -> u64 {
        (0..8).fold(0, |mask, i| mask | gather(of(word(block, i * 8))) << (i * 8))
    }

    pub(super) fn equal(block: &[u8; BLOCK], wanted: u8) -> u64 {
        over(block, |word| {
            let differs = word ^ LOW.wrapping_mul(u64::from(wanted));
            !(((differs & !HIGH) + !HIGH) | differs) // the high bit is set where a byte is 0, without carries between bytes
        })
    }

    pub(super) fn at_most(block: &[u8; BLOCK], limit: u8) -> u64 {
        over(block, |word| {
            word.to_le_bytes().iter().rev().fold(0, |acc, b| acc << 8 | if *b <= limit { 0x80 } else { 0 })
        })
    }
}

/// Bit `i` is the parity of the bits `0..=i`: between an opening and a closing quote all bits are set.
#[inline(always)]
pub(crate) fn prefix_xor(mut mask: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        mask ^= mask << shift;
    }
    mask
}

/// Calls `visit` with each block of 64 bytes and where it begins; the last one is filled up with `fill`.
#[inline(always)]
pub(crate) fn blocks(data: &[u8], fill: u8, mut visit: impl FnMut(usize, &[u8; BLOCK])) {
    let (whole, rest) = data.as_chunks::<BLOCK>();
    for (i, block) in whole.iter().enumerate() {
        visit(i * BLOCK, block);
    }
    if !rest.is_empty() {
        let mut last = [fill; BLOCK];
        last[..rest.len()].copy_from_slice(rest);
        visit(whole.len() * BLOCK, &last);
    }
}

/// Calls `visit` with the place of each set bit, from low to high.
#[inline(always)]
pub(crate) fn bits(mut mask: u64, mut visit: impl FnMut(usize)) {
    while mask != 0 {
        visit(mask.trailing_zeros() as usize);
        mask &= mask - 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Law: a mask says of each byte what comparing that byte says, on every processor.
        #[test]
        fn masks_are_comparisons(block in prop::array::uniform32(0u8..20), high in prop::array::uniform32(any::<u8>()), wanted in 0u8..20) {
            let mut all = [0; BLOCK];
            all[..32].copy_from_slice(&block);
            all[32..].copy_from_slice(&high);
            let naive = |f: &dyn Fn(u8) -> bool| (0..64).fold(0, |m, i| m | u64::from(f(all[i])) << i);
            prop_assert_eq!(equal(&all, wanted), naive(&|b| b == wanted));
            prop_assert_eq!(portable::equal(&all, wanted), naive(&|b| b == wanted));
            prop_assert_eq!(at_most(&all, wanted), naive(&|b| b <= wanted));
            prop_assert_eq!(portable::at_most(&all, wanted), naive(&|b| b <= wanted));
        }

        #[test]
        fn prefix_is_parity(mask: u64) {
            let naive = (0..64).fold(0, |m, i| m | u64::from((mask << (63 - i)).count_ones() & 1) << i);
            prop_assert_eq!(prefix_xor(mask), naive);
        }
    }
}
