//! Which rows one database has and another lacks: exact, and in constant memory.
//!
//! Each side gives a digest of every row in order; both are read side by side, as two sorted lists are merged. The
//! server sorts on its own disk.

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, BufReader};

use super::{SAME_TEXT, Server, quoted};
use crate::domain::Clean;
use crate::step::Hands;

/// Between the server and the merge.
const PIPE_BYTES: usize = 64 * 1024;

/// Rows of a table that only one side has. A changed row is one on each side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(in crate::step) struct Apart {
    pub(in crate::step) only_left: u64,
    pub(in crate::step) only_right: u64,
}

/// Compares one table of two databases of the same server.
pub(in crate::step) async fn apart(
    hands: &Hands,
    server: &Server,
    (left, right): (&str, &str),
    (schema, table): (&str, &str),
) -> Result<Apart, Clean> {
    let statements = [SAME_TEXT.to_owned(), digests(schema, table)];
    let (near_left, far_left) = tokio::io::duplex(PIPE_BYTES);
    let (near_right, far_right) = tokio::io::duplex(PIPE_BYTES);
    let merging = async {
        let merged = merge(BufReader::new(far_left), BufReader::new(far_right)).await;
        merged
            .map_err(|error| Clean::line(&format!("{schema}.{table} cannot be compared: {error}")))
    };
    let ((), (), apart) = tokio::try_join!(
        server.pour(hands, left, &statements, near_left),
        server.pour(hands, right, &statements, near_right),
        merging
    )?;
    Ok(apart)
}

fn digests(schema: &str, table: &str) -> String {
    format!(
        "COPY (SELECT md5((of_row.*)::text) AS digest FROM ONLY {}.{} AS of_row ORDER BY md5((of_row.*)::text) COLLATE \"C\") TO STDOUT",
        quoted(schema),
        quoted(table)
    )
}

async fn merge<L, R>(mut left: L, mut right: R) -> std::io::Result<Apart>
where
    L: AsyncBufRead + Unpin,
    R: AsyncBufRead + Unpin,
{
    let mut apart = Apart::default();
    let (mut one, mut other) = (String::new(), String::new());
    next(&mut left, &mut one).await?;
    next(&mut right, &mut other).await?;
    loop {
        // Nothing sorts after the end.
        match (one.is_empty(), other.is_empty()) {
            (true, true) => return Ok(apart),
            (false, false) if one == other => {
                next(&mut left, &mut one).await?;
                next(&mut right, &mut other).await?;
            }
            (false, is_end) if is_end || one < other => {
                apart.only_left += 1;
                next(&mut left, &mut one).await?;
            }
            _ => {
                apart.only_right += 1;
                next(&mut right, &mut other).await?;
            }
        }
    }
}

/// The next line with its end; empty where there is none.
async fn next<R: AsyncBufRead + Unpin>(from: &mut R, line: &mut String) -> std::io::Result<()> {
    line.clear();
    from.read_line(line).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn rows_of_one_side_are_counted_exactly() {
        async fn check(left: &str, right: &str, only_left: u64, only_right: u64) {
            let apart = merge(left.as_bytes(), right.as_bytes()).await.unwrap();
            let expected = Apart {
                only_left,
                only_right,
            };
            assert_eq!(apart, expected, "{left:?} {right:?}");
        }
        check("", "", 0, 0).await;
        check("a\nb\n", "a\nb\n", 0, 0).await;
        check("a\nb\nc\n", "b\n", 2, 0).await;
        check("", "a\nb\n", 0, 2).await;
        // The same row twice is two rows.
        check("a\na\n", "a\n", 1, 0).await;
        check("a\nc\n", "b\nd\n", 2, 2).await;
    }
}
