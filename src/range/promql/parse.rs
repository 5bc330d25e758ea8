//! Text to expression.

use regex::Regex;

use super::{DEPTH_MAX, QueryError};
use crate::range::world::Ms;

#[derive(Debug, Clone)]
pub(super) struct Matcher {
    pub label: String,
    pub value: String,
    /// Of `=~` and `!~`, anchored at both ends.
    pub pattern: Option<Regex>,
    pub is_negated: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Selector {
    pub name: String,
    pub matchers: Vec<Matcher>,
    pub range_ms: Option<Ms>,
}

#[derive(Debug, Clone)]
pub(super) struct Aggregate {
    pub op: String,
    pub labels: Option<Vec<String>>,
    pub is_without: bool,
    pub of: Box<Expr>,
}

#[derive(Debug, Clone)]
pub(super) enum Expr {
    Number(f64),
    Selector(Selector),
    Call(String, Vec<Expr>),
    Aggregate(Aggregate),
    Binary(String, Box<Expr>, Box<Expr>),
}

const AGGREGATES: &[&str] = &["sum", "avg", "min", "max", "count"];
/// Loosest first.
const LEVELS: &[&[&str]] = &[
    &["==", "!=", ">=", "<=", ">", "<"],
    &["+", "-"],
    &["*", "/"],
];

pub(super) fn parse(text: &str) -> Result<Expr, QueryError> {
    let mut parser = Parser {
        text,
        at: 0,
        depth: 0,
    };
    let expr = parser.expr(0)?;
    parser.blank();
    if parser.at == text.len() {
        Ok(expr)
    } else {
        Err(parser.error("unexpected text after the expression"))
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn error(&self, text: &str) -> QueryError {
        QueryError::Parse {
            column: self.at + 1,
            text: text.to_owned(),
        }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn blank(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn takes(&mut self, token: &str) -> bool {
        self.blank();
        let takes = self.rest().starts_with(token);
        if takes {
            self.at += token.len();
        }
        takes
    }

    fn needs(&mut self, token: &str) -> Result<(), QueryError> {
        if self.takes(token) {
            Ok(())
        } else {
            Err(self.error(&format!("expected {token:?}")))
        }
    }

    fn expr(&mut self, level: usize) -> Result<Expr, QueryError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.error("nested too deeply"));
        }
        let expr = match LEVELS.get(level) {
            None => self.atom(),
            Some(operators) => self.operators(level, operators),
        };
        self.depth -= 1;
        expr
    }

    fn operators(&mut self, level: usize, operators: &[&str]) -> Result<Expr, QueryError> {
        let mut left = self.expr(level + 1)?;
        while let Some(op) = operators.iter().find(|op| self.takes(op)) {
            let right = self.expr(level + 1)?;
            left = Expr::Binary((*op).to_owned(), Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn atom(&mut self) -> Result<Expr, QueryError> {
        if self.takes("(") {
            let inner = self.expr(0)?;
            self.needs(")")?;
            return Ok(inner);
        }
        self.blank();
        if self
            .rest()
            .starts_with(|c: char| c.is_ascii_digit() || c == '.' || c == '-')
        {
            return self.number();
        }
        let name = self.name();
        if name.is_empty() && !self.rest().starts_with('{') {
            return Err(self.error("unexpected end or character"));
        }
        if AGGREGATES.contains(&name.as_str()) {
            return self.aggregate(name);
        }
        if self.takes("(") {
            return self.call(name);
        }
        self.selector(name)
    }

    fn number(&mut self) -> Result<Expr, QueryError> {
        let rest = self.rest();
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let number = rest[..end].parse().map_err(|_| self.error("bad number"))?;
        self.at += end;
        Ok(Expr::Number(number))
    }

    fn name(&mut self) -> String {
        self.blank();
        let rest = self.rest();
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        self.at += end;
        rest[..end].to_owned()
    }

    fn call(&mut self, name: String) -> Result<Expr, QueryError> {
        let mut arguments = Vec::new();
        while !self.takes(")") {
            if !arguments.is_empty() {
                self.needs(",")?;
            }
            arguments.push(self.expr(0)?);
        }
        Ok(Expr::Call(name, arguments))
    }

    fn aggregate(&mut self, op: String) -> Result<Expr, QueryError> {
        let mut grouping = self.grouping()?;
        self.needs("(")?;
        let of = Box::new(self.expr(0)?);
        self.needs(")")?;
        if grouping.is_none() {
            grouping = self.grouping()?;
        }
        let (is_without, labels) = match grouping {
            Some((is_without, labels)) => (is_without, Some(labels)),
            None => (false, None),
        };
        Ok(Expr::Aggregate(Aggregate {
            op,
            labels,
            is_without,
            of,
        }))
    }

    fn grouping(&mut self) -> Result<Option<(bool, Vec<String>)>, QueryError> {
        let is_without = self.takes("without");
        if !is_without && !self.takes("by") {
            return Ok(None);
        }
        self.needs("(")?;
        let mut labels = Vec::new();
        while !self.takes(")") {
            if !labels.is_empty() {
                self.needs(",")?;
            }
            let label = self.name();
            if label.is_empty() {
                return Err(self.error("expected a label"));
            }
            labels.push(label);
        }
        Ok(Some((is_without, labels)))
    }

    fn selector(&mut self, name: String) -> Result<Expr, QueryError> {
        let mut selector = Selector {
            name,
            matchers: Vec::new(),
            range_ms: None,
        };
        if self.takes("{") {
            while !self.takes("}") {
                if !selector.matchers.is_empty() {
                    self.needs(",")?;
                    if self.takes("}") {
                        break;
                    }
                }
                let matcher = self.matcher()?;
                selector.matchers.push(matcher);
            }
        }
        let named = selector.matchers.iter().position(|m| m.label == "__name__");
        if let Some(at) = named {
            selector.name = selector.matchers.remove(at).value;
        }
        if self.takes("[") {
            selector.range_ms = Some(self.duration()?);
            self.needs("]")?;
        }
        Ok(Expr::Selector(selector))
    }

    fn matcher(&mut self) -> Result<Matcher, QueryError> {
        let label = self.name();
        if label.is_empty() {
            return Err(self.error("expected a label"));
        }
        let (is_pattern, is_negated) = if self.takes("=~") {
            (true, false)
        } else if self.takes("!~") {
            (true, true)
        } else if self.takes("!=") {
            (false, true)
        } else {
            self.needs("=")?;
            (false, false)
        };
        let value = self.string()?;
        let pattern = if is_pattern {
            Some(
                Regex::new(&format!("^(?:{value})$"))
                    .map_err(|_| self.error("bad regular expression"))?,
            )
        } else {
            None
        };
        Ok(Matcher {
            label,
            value,
            pattern,
            is_negated,
        })
    }

    fn string(&mut self) -> Result<String, QueryError> {
        self.blank();
        let quote = self.rest().chars().next().filter(|c| "\"'`".contains(*c));
        let Some(quote) = quote else {
            return Err(self.error("expected a string"));
        };
        let mut value = String::new();
        let mut is_escaped = false;
        for (offset, c) in self.rest().char_indices().skip(1) {
            if is_escaped {
                value.push(c);
                is_escaped = false;
            } else if c == '\\' && quote != '`' {
                is_escaped = true;
            } else if c == quote {
                self.at += offset + c.len_utf8();
                return Ok(value);
            } else {
                value.push(c);
            }
        }
        Err(self.error("unterminated quoted string"))
    }

    /// `30s`, `5m`, `1h30m`, in ms.
    fn duration(&mut self) -> Result<Ms, QueryError> {
        let text = self.name();
        let mut total: Ms = 0;
        let mut number = String::new();
        let mut letters = text.chars().peekable();
        while let Some(c) = letters.next() {
            if c.is_ascii_digit() {
                number.push(c);
                continue;
            }
            let is_milli = c == 'm' && letters.next_if_eq(&'s').is_some();
            let unit = match c {
                'm' if is_milli => 1,
                's' => 1_000,
                'm' => 60_000,
                'h' => 3_600_000,
                'd' => 86_400_000,
                _ => return Err(self.error("bad duration")),
            };
            let many: Ms = number.parse().map_err(|_| self.error("bad duration"))?;
            total = total.saturating_add(many.saturating_mul(unit));
            number.clear();
        }
        if total > 0 && number.is_empty() {
            Ok(total)
        } else {
            Err(self.error("bad duration"))
        }
    }
}
