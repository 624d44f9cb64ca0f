//! From files to splits: the arithmetic of Hadoop's `FileInputFormat`.
//!
//! The splits are a constant of the plan: they follow from sizes and options, never from the number of workers, so that
//! part files keep their numbers on any cluster.

use mapfold_plan::{Error, Result};

/// A rest of up to this many split sizes is not cut again.
const SLOP: f64 = 1.1;

/// A file of an input, as far as cutting goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSize {
    /// Bytes.
    pub size: u64,
    /// Whether reading may begin anywhere; not so for gzip.
    pub splittable: bool,
}

/// How large splits are: `max(min, min(max, block))` bytes, as `mapreduce.input.fileinputformat.split.minsize` and
/// `.maxsize` have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitOptions {
    /// Block size of the file system; 128 MiB, HDFS's, where it has none.
    pub block: u64,
    /// Smallest size.
    pub min: u64,
    /// Largest size.
    pub max: u64,
}

impl Default for SplitOptions {
    fn default() -> SplitOptions {
        SplitOptions { block: 128 << 20, min: 1, max: i64::MAX as u64 }
    }
}

/// Bytes `start..start + len` of file number `file`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSplit {
    /// Index into the list of files.
    pub file: usize,
    /// First byte.
    pub start: u64,
    /// Number of bytes.
    pub len: u64,
}

impl FileSplit {
    /// The byte behind the last one.
    pub fn end(&self) -> u64 {
        self.start + self.len
    }
}

/// The splits of some files, in their order. An empty file has one empty split, as in Hadoop, so that the numbers of
/// map-only part files agree.
///
/// ```
/// use mapfold_records::text::{FileSize, SplitOptions, plan_splits};
/// let options = SplitOptions { block: 100, ..SplitOptions::default() };
/// let lens = |size| plan_splits(&[FileSize { size, splittable: true }], &options)
///     .map(|splits| splits.iter().map(|s| s.len).collect::<Vec<_>>());
/// assert_eq!(lens(210)?, [100, 110]); // 110 is within the slop of 1.1
/// assert_eq!(lens(211)?, [100, 100, 11]);
/// # Ok::<(), mapfold_plan::Error>(())
/// ```
///
/// # Errors
/// A usage error when the split size comes to 0.
pub fn plan_splits(files: &[FileSize], options: &SplitOptions) -> Result<Vec<FileSplit>> {
    let size = options.min.max(options.max.min(options.block));
    if size == 0 {
        return Err(Error::usage("splits of 0 bytes never end").with_remedy("give a split size of 1 byte or more"));
    }
    let cut = |(file, of): (usize, &FileSize)| if of.splittable { cut(file, of.size, size) } else { whole(file, of) };
    Ok(files.iter().enumerate().flat_map(cut).collect())
}

fn whole(file: usize, of: &FileSize) -> Vec<FileSplit> {
    vec![FileSplit { file, start: 0, len: of.size }]
}

fn cut(file: usize, bytes: u64, size: u64) -> Vec<FileSplit> {
    let (mut splits, mut start) = (Vec::new(), 0);
    while (bytes - start) as f64 / size as f64 > SLOP {
        splits.push(FileSplit { file, start, len: size });
        start += size;
    }
    if start < bytes || bytes == 0 {
        splits.push(FileSplit { file, start, len: bytes - start });
    }
    splits
}

/// Whether Hadoop leaves a file of this name out of an input folder: `_SUCCESS`, `_temporary`, `.crc` files.
///
/// ```
/// use mapfold_records::text::is_hidden;
/// assert!(is_hidden("_SUCCESS") && is_hidden(".part-r-00000.crc") && !is_hidden("part-r-00000"));
/// ```
pub fn is_hidden(name: &str) -> bool {
    name.starts_with(['_', '.'])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn empty_and_unsplittable_files_have_one_split() {
        let files = [FileSize { size: 0, splittable: true }, FileSize { size: 999, splittable: false }];
        let options = SplitOptions { block: 10, ..SplitOptions::default() };
        let found = plan_splits(&files, &options).unwrap();
        assert_eq!(found, [FileSplit { file: 0, start: 0, len: 0 }, FileSplit { file: 1, start: 0, len: 999 }]);
    }

    #[test]
    fn smallest_and_largest_size_as_in_hadoop() {
        let files = [FileSize { size: 1000, splittable: true }];
        let count = |min, max| plan_splits(&files, &SplitOptions { block: 100, min, max }).unwrap().len();
        assert_eq!((count(1, 50), count(250, 50), count(1, 1 << 40)), (20, 4, 10));
        assert!(plan_splits(&files, &SplitOptions { block: 0, min: 0, max: 9 }).is_err());
    }

    proptest! {
        /// Law: splits are the file, in order, without holes; all but the last have the size, the last at most 1.1 of it.
        #[test]
        fn splits_tile_the_file(bytes in 1u64..100_000, size in 1u64..5_000) {
            let options = SplitOptions { block: size, ..SplitOptions::default() };
            let splits = plan_splits(&[FileSize { size: bytes, splittable: true }], &options).unwrap();
            prop_assert_eq!(splits[0].start, 0);
            prop_assert!(splits.windows(2).all(|w| w[0].end() == w[1].start && w[0].len == size));
            let last = splits[splits.len() - 1];
            prop_assert_eq!(last.end(), bytes);
            prop_assert!(last.len as f64 / size as f64 <= SLOP);
        }
    }
}
