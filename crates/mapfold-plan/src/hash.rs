//! The one fixed hash of bytes, the same on every machine and in every version; and parameters as they may be hashed
//! and shown.

/// xxh3 with 64 bits and seed 0.
///
/// ```
/// assert_eq!(mapfold_plan::hash64(b"mapfold"), mapfold_plan::hash64(b"mapfold"));
/// ```
pub fn hash64(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}

/// [`hash64`] of bytes that come in pieces.
///
/// ```
/// let mut hash = mapfold_plan::FileHash::default();
/// hash.update(b"map");
/// hash.update(b"fold");
/// assert_eq!(hash.finish(), mapfold_plan::hash64(b"mapfold"));
/// ```
#[derive(Clone, Default)]
pub struct FileHash(xxhash_rust::xxh3::Xxh3);

impl FileHash {
    /// The bytes that come next.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of all so far.
    #[must_use]
    pub fn finish(&self) -> u64 {
        self.0.digest()
    }
}

/// Parameters without secrets: every URL in them redacted.
///
/// ```
/// let params = serde_json::json!({ "red": "https://host/B04.tif?sig=abc", "eps": 0 });
/// assert_eq!(mapfold_plan::redacted(&params)["red"], "https://host/B04.tif?sig=REDACTED");
/// ```
pub fn redacted(value: &serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::String(s) => Value::String(mapfold_store::redact(s)),
        Value::Array(a) => Value::Array(a.iter().map(redacted).collect()),
        Value::Object(o) => Value::Object(o.iter().map(|(k, v)| (k.clone(), redacted(v))).collect()),
        other => other.clone(),
    }
}
