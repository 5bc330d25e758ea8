//! A grade as graders of servers give it: a letter, with a sign.

use std::fmt;
use std::str::FromStr;

/// Worst first, so that the better one is the greater one.
///
/// `T` and `M` are verdicts about the certificate: whoever is not trusted, or is somebody else, is worse than any `F`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grade {
    /// Not trusted.
    T,
    /// The certificate is for another name.
    M,
    F,
    E,
    DMinus,
    D,
    DPlus,
    CMinus,
    C,
    CPlus,
    BMinus,
    B,
    BPlus,
    AMinus,
    A,
    APlus,
}

impl Grade {
    pub const ALL: [Self; 16] = [
        Self::T,
        Self::M,
        Self::F,
        Self::E,
        Self::DMinus,
        Self::D,
        Self::DPlus,
        Self::CMinus,
        Self::C,
        Self::CPlus,
        Self::BMinus,
        Self::B,
        Self::BPlus,
        Self::AMinus,
        Self::A,
        Self::APlus,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Self::T => "T",
            Self::M => "M",
            Self::F => "F",
            Self::E => "E",
            Self::DMinus => "D-",
            Self::D => "D",
            Self::DPlus => "D+",
            Self::CMinus => "C-",
            Self::C => "C",
            Self::CPlus => "C+",
            Self::BMinus => "B-",
            Self::B => "B",
            Self::BPlus => "B+",
            Self::AMinus => "A-",
            Self::A => "A",
            Self::APlus => "A+",
        }
    }
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// The text is no grade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoGrade;

impl FromStr for Grade {
    type Err = NoGrade;

    fn from_str(text: &str) -> Result<Self, NoGrade> {
        let mut all = Self::ALL.into_iter();
        all.find(|grade| grade.word() == text).ok_or(NoGrade)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn better_is_greater_and_trust_comes_first() {
        let sorted = Grade::ALL.map(Grade::word).join(" ");
        assert_eq!(sorted, "T M F E D- D D+ C- C C+ B- B B+ A- A A+");
        assert!(Grade::ALL.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn every_grade_is_read_as_it_is_written() {
        for grade in Grade::ALL {
            assert_eq!(grade.word().parse(), Ok(grade));
        }
        for text in ["", "a", "G", "A++", "A +", "E+"] {
            assert_eq!(text.parse::<Grade>(), Err(NoGrade), "{text}");
        }
    }
}
