//! Numbers from text, exactly.
//!
//! Most numbers in tables are short. Up to 19 digits are gathered in a `u64`; if they are below 2^53 and the decimal
//! exponent at most 22, the result is one division of two exact floats, hence correctly rounded (Clinger, "How to read
//! floating point numbers accurately", PLDI 1990). The rest goes to `fast-float2` (Lemire's algorithm), which is correct
//! for all input.

const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// An integer: an optional sign and digits, nothing else. `None` for other text and beyond 64 bits.
#[inline]
pub(super) fn int(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() || digits.len() > 18 {
        return long_int(text);
    }
    let mut value = 0i64;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    Some(if negative { -value } else { value })
}

#[cold]
fn long_int(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A float: decimal with optional exponent, `inf`, `infinity` or `nan` in any case. `None` for other text.
#[inline]
pub(super) fn float(text: &[u8]) -> Option<f64> {
    short_float(text).or_else(|| fast_float2::parse(text).ok())
}

/// Digits with at most one point, few enough for one division.
#[inline(always)]
fn short_float(text: &[u8]) -> Option<f64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    if digits.is_empty() || digits.len() > 17 {
        return None;
    }
    let (mut mantissa, mut point) = (0u64, digits.len());
    for (i, byte) in digits.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            mantissa = mantissa * 10 + u64::from(digit);
        } else if *byte == b'.' && point == digits.len() {
            point = i;
        } else {
            return None;
        }
    }
    let decimals = digits.len().saturating_sub(point + 1);
    if mantissa > 1 << 53 || digits == b"." {
        return None;
    }
    let value = mantissa as f64 / POWERS[decimals];
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_number() {
        for text in ["", "-", "+", ".", "-.", "1.2.3", "1e", "0x10", "1,5", " 1", "1 ", "--1", "1_000", "é"] {
            assert_eq!((int(text.as_bytes()), float(text.as_bytes())), (None, None), "{text:?}");
        }
        assert_eq!((int(b"9223372036854775807"), int(b"9223372036854775808")), (Some(i64::MAX), None));
        assert_eq!((int(b"-9223372036854775808"), int(b"1.0")), (Some(i64::MIN), None));
    }

    proptest! {
        /// Law: the same bits as the standard library's parser, which is correctly rounded.
        #[test]
        fn floats_as_the_standard_library(text in prop_oneof!["-?[0-9]{1,20}(\\.[0-9]{0,20})?(e-?[0-9]{1,3})?", "-?[0-9]{0,4}\\.[0-9]{1,6}", any::<f64>().prop_map(|v| v.to_string())]) {
            let expected: f64 = text.parse().unwrap();
            let found = float(text.as_bytes()).unwrap();
            prop_assert!(found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan()), "{} {} {}", text, found, expected);
        }

        #[test]
        fn ints_as_the_standard_library(text in "[-+]?[0-9]{0,21}") {
            prop_assert_eq!(int(text.as_bytes()), text.parse::<i64>().ok());
        }
    }
}
