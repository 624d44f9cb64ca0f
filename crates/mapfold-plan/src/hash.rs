//! The one fixed hash of bytes: the same on every machine and in every version.

/// xxh3 with 64 bits and seed 0.
///
/// ```
/// assert_eq!(mapfold_plan::hash64(b"mapfold"), mapfold_plan::hash64(b"mapfold"));
/// ```
pub fn hash64(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}
