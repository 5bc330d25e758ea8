//! Whether requests are spread evenly: a chi-square test against the even share.

/// What the test says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evenness {
    pub chi_square: f64,
    /// How likely so uneven a share or worse is where every replica is as likely as the others.
    pub p: f64,
}

/// Below, the share is not by chance. One sound stack in a thousand looks like that.
pub const P_MIN: f64 = 0.001;

/// Fewer of each say nothing: the rule of the thumb for this test.
const EXPECTED_MIN: f64 = 5.0;

/// `None` where there is nothing to compare, or too little.
pub fn evenness(counts: &[u64]) -> Option<Evenness> {
    if counts.len() < 2 {
        return None;
    }
    let expected = real(counts.iter().sum()) / real(counts.len() as u64);
    if expected < EXPECTED_MIN {
        return None;
    }
    let off = counts.iter().map(|count| real(*count) - expected);
    let chi_square = off.map(|off| off * off / expected).sum();
    let freedom = real(counts.len() as u64 - 1);
    Some(Evenness {
        chi_square,
        p: upper_gamma(freedom / 2.0, chi_square / 2.0),
    })
}

#[expect(clippy::cast_precision_loss, reason = "requests are far below 2^52")]
fn real(count: u64) -> f64 {
    count as f64
}

const STEPS_MAX: u32 = 10_000;
const NEAR: f64 = 1e-14;

/// The regularised upper incomplete gamma function, by its series or by its continued fraction, each where it is quick.
fn upper_gamma(shape: f64, at: f64) -> f64 {
    if at <= 0.0 {
        return 1.0;
    }
    let scale = (shape * at.ln() - at - ln_gamma(shape)).exp();
    if at < shape + 1.0 {
        1.0 - scale * series(shape, at)
    } else {
        scale * fraction(shape, at)
    }
    .clamp(0.0, 1.0)
}

fn series(shape: f64, at: f64) -> f64 {
    let (mut term, mut sum, mut n) = (1.0 / shape, 1.0 / shape, shape);
    for _ in 0..STEPS_MAX {
        n += 1.0;
        term *= at / n;
        sum += term;
        if term.abs() < sum.abs() * NEAR {
            break;
        }
    }
    sum
}

/// Lentz's way.
fn fraction(shape: f64, at: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let not_zero = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut below = at + 1.0 - shape;
    let (mut upper, mut lower) = (1.0 / TINY, 1.0 / below);
    let mut product = lower;
    for step in 1..STEPS_MAX {
        let step = f64::from(step);
        let above = -step * (step - shape);
        below += 2.0;
        lower = 1.0 / not_zero(above * lower + below);
        upper = not_zero(below + above / upper);
        let change = lower * upper;
        product *= change;
        if (change - 1.0).abs() < NEAR {
            break;
        }
    }
    product
}

/// Stirling's series, raised to where it is exact.
fn ln_gamma(x: f64) -> f64 {
    const FAR: f64 = 10.0;
    let (mut x, mut off) = (x, 0.0);
    while x < FAR {
        off -= x.ln();
        x += 1.0;
    }
    let square = x * x;
    let tail = (1.0 / 12.0 - (1.0 / 360.0 - 1.0 / (1260.0 * square)) / square) / x;
    off + (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + tail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(counts: &[u64], p: f64) {
        let evenness = evenness(counts).unwrap();
        assert!((evenness.p - p).abs() < 1e-4, "{counts:?}: {evenness:?}");
    }

    /// The figures are those of the tables of the distribution.
    #[test]
    fn shares_are_as_likely_as_the_tables_say() {
        check(&[100, 100, 100], 1.0);
        // 3.841 at one degree of freedom is 5 %.
        check(&[1098, 902], 0.000_012);
        check(&[115, 85], 0.033_895);
        // 5.991 at two is 5 %.
        check(&[120, 90, 90], 0.049_787);
        check(&[10, 20, 30, 40, 50], 0.000_009);
    }

    #[test]
    fn too_few_or_one_alone_say_nothing() {
        assert_eq!(evenness(&[100]), None);
        assert_eq!(evenness(&[]), None);
        assert_eq!(evenness(&[4, 5]), None);
    }

    #[test]
    fn an_even_share_passes_and_one_that_is_not_does_not() {
        assert!(evenness(&[1000, 1010, 990]).unwrap().p > P_MIN);
        assert!(evenness(&[1500, 1500, 0]).unwrap().p < P_MIN);
    }
}
