//! Reinterpreting slices of numbers: the one module of this crate with `unsafe`.

/// A slice of `T` as a slice of `U`.
///
/// # Panics
/// When the types are not the same.
pub(crate) fn slice_mut<T: 'static, U: 'static>(values: &mut [T]) -> &mut [U] {
    assert!(std::any::TypeId::of::<T>() == std::any::TypeId::of::<U>(), "only the same type under another name");
    // SAFETY: T and U are the same type (checked above), so pointer, length, alignment and validity are unchanged,
    // and the lifetime is that of the borrow.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast::<U>(), values.len()) }
}

/// A slice of pixels as the unsigned integers with the same bits (`f32` as `u32`, `i16` as `u16`, ...).
///
/// # Panics
/// When the two have not the same size.
pub(crate) fn bits<T: mapfold_grid::Pixel, U: Bits>(values: &[T]) -> &[U] {
    assert!(size_of::<T>() == size_of::<U>() && align_of::<T>() >= align_of::<U>(), "bits of the same size");
    // SAFETY: `Pixel` is implemented for eight primitive numbers only, none of which has padding, and every bit
    // pattern is valid for U, an unsigned integer (`Bits` is sealed by being private to this crate) of the same size
    // and no larger alignment (checked above). Pointer, length and lifetime are those of the borrow.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast::<U>(), values.len()) }
}

/// Unsigned integers: plain bits.
pub(crate) trait Bits: Copy {}
impl Bits for u8 {}
impl Bits for u16 {}
impl Bits for u32 {}
impl Bits for u64 {}

/// The bytes of numbers, to be written in native byte order.
pub(crate) fn bytes_mut<T: Number>(values: &mut [T]) -> &mut [u8] {
    let len = size_of_val(values);
    // SAFETY: `Number` is sealed to eight primitive numbers without padding for which every bit pattern is valid, so
    // bytes may be read and written freely; u8 has no alignment, and length and lifetime are those of the borrow.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast::<u8>(), len) }
}

/// The eight types of pixels.
pub(crate) trait Number: Copy {}
impl Number for u8 {}
impl Number for i8 {}
impl Number for u16 {}
impl Number for i16 {}
impl Number for u32 {}
impl Number for i32 {}
impl Number for f32 {}
impl Number for f64 {}
