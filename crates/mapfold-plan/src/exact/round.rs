//! One rounding from an exact number to `f64`: to nearest, ties to even, subnormals included.

use num_bigint::{BigInt, BigUint, Sign};

/// `numerator / denominator · 2^exponent`, correctly rounded. The denominator is not 0.
pub(super) fn ratio_to_f64(numerator: &BigInt, denominator: &BigUint, exponent: i32) -> f64 {
    // 56 bits or more: the 53 of the result, one to round by, and room.
    let (quotient, sticky, shift) = divide(numerator.magnitude(), denominator, 56, 1);
    let magnitude = round(low_u64(&quotient), sticky, i64::from(exponent) - shift);
    if numerator.sign() == Sign::Minus { -magnitude } else { magnitude }
}

/// `√(numerator / denominator · 2^exponent)`, correctly rounded. The denominator is not 0.
pub(super) fn sqrt_ratio_to_f64(numerator: &BigUint, denominator: &BigUint, exponent: i32) -> f64 {
    let odd = exponent.rem_euclid(2);
    let (quotient, sticky, shift) = divide(&(numerator << odd as u32), denominator, 112, 2);
    let root = quotient.sqrt();
    let sticky = sticky || &root * &root != quotient;
    round(low_u64(&root), sticky, (i64::from(exponent - odd) - shift) / 2)
}

/// `floor(a · 2^shift / b)` with `bits` or up to 2 more bits, whether something was cut off, and the shift, a
/// multiple of `step`.
fn divide(a: &BigUint, b: &BigUint, bits: i64, step: i64) -> (BigUint, bool, i64) {
    let wanted = bits + b.bits() as i64 - a.bits() as i64;
    let shift = (wanted + step - 1).div_euclid(step) * step;
    let up = |v: &BigUint, by: i64| v << by.max(0) as u64;
    let (a, b) = (up(a, shift), up(b, -shift));
    let quotient = &a / &b;
    let sticky = &quotient * &b != a;
    (quotient, sticky, shift)
}

fn low_u64(v: &BigUint) -> u64 {
    v.iter_u64_digits().next().unwrap_or(0)
}

/// Rounds `(digits + something below 1 if sticky) · 2^exponent`; digits are 0 or have 55 to 64 bits.
fn round(digits: u64, sticky: bool, exponent: i64) -> f64 {
    if digits == 0 {
        return 0.0;
    }
    let top = exponent + 63 - i64::from(digits.leading_zeros());
    if top > 1023 {
        return f64::INFINITY;
    }
    let lowest = (top - 52).max(-1074); // exponent of the last bit of the result
    let drop = lowest - exponent;
    if drop > 64 {
        return 0.0;
    }
    let (wide, half) = (u128::from(digits), 1u128 << (drop - 1));
    let (kept, rest) = ((wide >> drop) as u64, wide & (2 * half - 1));
    let up = rest > half || (rest == half && (sticky || kept & 1 == 1));
    // A carry out of the mantissa moves into the exponent field, up to infinity, as IEEE wants it.
    let field = ((lowest + 1075) as u64) << 52;
    f64::from_bits(field + (kept + u64::from(up)) - (1 << 52))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(n: i64, d: u64, e: i32) -> f64 {
        ratio_to_f64(&BigInt::from(n), &BigUint::from(d), e)
    }

    #[test]
    fn quotients_round_as_the_processor_does() {
        for (n, d) in [(1, 3), (-2, 3), (10, 1), (1, 10), (i64::from(i32::MAX), 7), ((1 << 53) - 1, (1 << 50) + 1)] {
            assert_eq!(ratio(n, d, 0), n as f64 / d as f64, "{n}/{d}");
        }
        assert_eq!(ratio((1 << 53) + 1, 1, 0), 9007199254740992.0, "a tie goes to even");
        assert_eq!(ratio((1 << 53) + 3, 1, 0), 9007199254740996.0, "a tie goes to even");
    }

    #[test]
    fn the_ends_of_the_range() {
        assert_eq!(ratio(1, 1, -1074), f64::from_bits(1));
        assert_eq!(ratio(1, 1, -1075), 0.0, "half of the smallest is a tie to even");
        assert_eq!(ratio(3, 1, -1076), f64::from_bits(1));
        assert_eq!(ratio(-5, 1, -2000), 0.0);
        assert_eq!(ratio(3, 1, -1075), f64::from_bits(2), "1.5 units is a tie to even");
        assert_eq!(ratio((1 << 53) - 1, 1, 971), f64::MAX);
        assert_eq!(ratio((1 << 54) - 1, 1, 970), f64::INFINITY);
        assert_eq!(ratio(1, 1, 1024), f64::INFINITY);
        assert_eq!(ratio(1, 1, -1022), f64::MIN_POSITIVE);
    }

    #[test]
    fn roots_round_as_the_processor_does() {
        let values = [2.0, 3.0, 0.1, 1e-300, 4.0, 5e300, 12345.678, 7.0, 1.5f64.powi(-40)];
        for x in values {
            let bits = x.to_bits();
            let mantissa = BigUint::from(bits & ((1 << 52) - 1) | 1 << 52);
            let exponent = (bits >> 52) as i32 - 1075;
            assert_eq!(sqrt_ratio_to_f64(&mantissa, &BigUint::from(1u32), exponent), x.sqrt(), "√{x}");
        }
        assert_eq!(sqrt_ratio_to_f64(&BigUint::from(1u32), &BigUint::from(9u32), 0), 1.0 / 3.0);
    }
}
