//! Which requests serve a set of ranges best.
//!
//! Neighbours closer than `gap` are read together: bridging a small hole costs less than another
//! request. A merged span ends at [`SPAN_LIMIT`] so that long runs still load side by side and a
//! small slice never keeps more than that alive.

use std::ops::Range;

use bytes::Bytes;

/// Merged spans stop growing here; a single range that is longer stays one span.
const SPAN_LIMIT: u64 = 8 << 20;

/// One request, and the input ranges (by index) that it serves.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) range: Range<u64>,
    pub(crate) serves: Vec<usize>,
}

/// Plans the spans for `ranges` (any order, overlaps allowed). Empty ranges need no request.
pub(crate) fn plan(ranges: &[Range<u64>], gap: u64) -> Vec<Span> {
    let mut order: Vec<usize> = (0..ranges.len()).filter(|&i| ranges[i].start < ranges[i].end).collect();
    order.sort_by_key(|&i| (ranges[i].start, ranges[i].end));
    let mut spans: Vec<Span> = Vec::new();
    for index in order {
        let range = &ranges[index];
        match spans.last_mut() {
            Some(span) if joins(&span.range, range, gap) => {
                span.range.end = span.range.end.max(range.end);
                span.serves.push(index);
            }
            _ => spans.push(Span { range: range.clone(), serves: vec![index] }),
        }
    }
    spans
}

fn joins(span: &Range<u64>, next: &Range<u64>, gap: u64) -> bool {
    let inside = next.end <= span.end;
    let near = next.start <= span.end.saturating_add(gap);
    inside || (near && next.end - span.start <= SPAN_LIMIT)
}

/// Cuts the answers of `spans` back into one slice per input range, in input order.
pub(crate) fn cut(ranges: &[Range<u64>], spans: &[Span], answers: &[Bytes]) -> Vec<Bytes> {
    let mut out = vec![Bytes::new(); ranges.len()];
    for (span, bytes) in spans.iter().zip(answers) {
        for &index in &span.serves {
            let range = &ranges[index];
            let from = (range.start - span.range.start) as usize;
            let to = (range.end - span.range.start) as usize;
            out[index] = bytes.slice(from..to);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn neighbours_merge_and_far_ranges_do_not() {
        let spans = plan(&[100..110, 0..10, 15..20, 5..5], 8);
        let found: Vec<_> = spans.iter().map(|s| s.range.clone()).collect();
        assert_eq!(found, [0..20, 100..110]);
        assert_eq!(spans[0].serves, [1, 2]);
    }

    proptest! {
        /// Law: merging never changes what a reader gets.
        #[test]
        fn cut_of_plan_is_the_identity(
            ranges in prop::collection::vec((0u64..900, 0u64..100), 0..20),
            gap in 0u64..64,
        ) {
            let object: Vec<u8> = (0..1000u32).map(|n| (n % 251) as u8).collect();
            let ranges: Vec<_> = ranges.iter().map(|&(start, len)| start..start + len).collect();
            let spans = plan(&ranges, gap);
            let answers: Vec<_> = spans
                .iter()
                .map(|s| Bytes::copy_from_slice(&object[s.range.start as usize..s.range.end as usize]))
                .collect();
            for (range, bytes) in ranges.iter().zip(cut(&ranges, &spans, &answers)) {
                prop_assert_eq!(&bytes[..], &object[range.start as usize..range.end as usize]);
            }
        }
    }
}
