//! What a database holds, table by table: rows and a checksum over them; and how two such tallies differ.
//!
//! The checksum is a sum over a hash of each row's text, so the order of rows does not matter and every row does.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Server, WORK_MAX, quoted};
use crate::domain::Clean;
use crate::step::Hands;

/// A list of tables is read from the catalogue.
const LIST_MAX: Duration = Duration::from_mins(1);
/// Differences that a sentence names; all are in the evidence.
const NAMED_MAX: usize = 5;

/// Schema and table.
pub(in crate::step) type Name = (String, String);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::step) struct Count {
    pub(in crate::step) rows: u64,
    pub(in crate::step) checksum: String,
}

/// Every table with its rows.
pub(in crate::step) type Tally = BTreeMap<Name, Count>;

/// How a tally is not what was expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub(in crate::step) enum Difference {
    Missing { rows: u64 },
    Unexpected { rows: u64 },
    Rows { expected: u64, found: u64 },
    Content { rows: u64 },
}

#[derive(Deserialize)]
struct Listed {
    schema: String,
    name: String,
}

/// The tables that hold rows of their own: those of people, of every schema, and no partitioned heads.
const TABLES: &str = "SELECT json_build_object('schema', n.nspname, 'name', c.relname) \
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind = 'r' AND c.relpersistence <> 't' \
    AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' \
    ORDER BY n.nspname, c.relname";

/// Counts every table of a database. Each table is one look: under writers they are not of the same moment.
pub(in crate::step) async fn tally(
    hands: &Hands,
    server: &Server,
    database: &str,
) -> Result<Tally, Clean> {
    let listed: Vec<Listed> = server.rows(hands, database, TABLES, LIST_MAX).await?;
    let mut tally = Tally::new();
    for Listed { schema, name } in listed {
        let question = question(&schema, &name);
        let mut counted: Vec<Count> = server.rows(hands, database, &question, WORK_MAX).await?;
        let Some(count) = counted.pop() else {
            return Err(Clean::line(&format!(
                "{schema}.{name} of {database} was not counted: no answer"
            )));
        };
        tally.insert((schema, name), count);
    }
    Ok(tally)
}

fn question(schema: &str, name: &str) -> String {
    format!(
        "SELECT json_build_object('rows', count(*), 'checksum', \
         coalesce(sum(hashtextextended((of_row.*)::text COLLATE \"C\", 0)), 0)::text) \
         FROM ONLY {}.{} AS of_row",
        quoted(schema),
        quoted(name)
    )
}

/// Everything by which `found` is not `expected`, in the order of names.
pub(in crate::step) fn differences(expected: &Tally, found: &Tally) -> Vec<(Name, Difference)> {
    let mut all = Vec::new();
    for (name, wanted) in expected {
        let difference = match found.get(name) {
            None => Difference::Missing { rows: wanted.rows },
            Some(count) if count.rows != wanted.rows => Difference::Rows {
                expected: wanted.rows,
                found: count.rows,
            },
            Some(count) if count.checksum != wanted.checksum => {
                Difference::Content { rows: count.rows }
            }
            Some(_) => continue,
        };
        all.push((name.clone(), difference));
    }
    for (name, count) in found {
        if !expected.contains_key(name) {
            let rows = count.rows;
            all.push((name.clone(), Difference::Unexpected { rows }));
        }
    }
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    all
}

pub(in crate::step) fn rows(tally: &Tally) -> u64 {
    tally.values().map(|count| count.rows).sum()
}

/// `public.users`
pub(in crate::step) fn shown((schema, name): &Name) -> Clean {
    Clean::line(&format!("{schema}.{name}"))
}

/// The differences in a sentence that names the tables.
pub(in crate::step) fn said(differences: &[(Name, Difference)]) -> Clean {
    let one = |(name, difference): &(Name, Difference)| {
        let name = shown(name);
        match difference {
            Difference::Missing { rows } => format!("{name} is missing ({rows} rows expected)"),
            Difference::Unexpected { rows } => {
                format!("{name} is not in the manifest ({rows} rows)")
            }
            Difference::Rows { expected, found } => {
                format!("{name} has {found} rows, expected {expected}")
            }
            Difference::Content { rows } => {
                format!("{name} has its {rows} rows, but not with the same content")
            }
        }
    };
    let named: Vec<String> = differences.iter().take(NAMED_MAX).map(one).collect();
    let more = differences.len().saturating_sub(NAMED_MAX);
    let more = match more {
        0 => String::new(),
        more => format!(", and {more} tables more"),
    };
    Clean::line(&format!("{}{more}", named.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(all: &[(&str, u64, &str)]) -> Tally {
        let one = |&(name, rows, checksum): &(&str, u64, &str)| {
            let checksum = checksum.to_owned();
            (
                ("public".to_owned(), name.to_owned()),
                Count { rows, checksum },
            )
        };
        all.iter().map(one).collect()
    }

    #[track_caller]
    fn check(expected: &[(&str, u64, &str)], found: &[(&str, u64, &str)], text: &str) {
        assert_eq!(said(&differences(&of(expected), &of(found))).as_str(), text);
    }

    #[test]
    fn every_difference_names_its_table() {
        let users = [("users", 3, "7")];
        check(&users, &users, "");
        check(&users, &[], "public.users is missing (3 rows expected)");
        check(&[], &users, "public.users is not in the manifest (3 rows)");
        check(
            &users,
            &[("users", 2, "5")],
            "public.users has 2 rows, expected 3",
        );
        check(
            &users,
            &[("users", 3, "8")],
            "public.users has its 3 rows, but not with the same content",
        );
    }

    #[test]
    fn names_with_quotes_stay_names() {
        assert!(question("a\"b", "c").contains("\"a\"\"b\".\"c\""));
    }
}
