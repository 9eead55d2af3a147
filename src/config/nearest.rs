//! The known name that a misspelt one was probably meant to be.

/// The known name nearest to `given`, if it is near enough to be a slip: one edit for every five characters, and one more.
pub(super) fn nearest<S: AsRef<str>>(given: &str, known: impl IntoIterator<Item = S>) -> Option<String> {
    let edits_max = 1 + given.chars().count() / 5;
    let near = known.into_iter().map(|name| (edits(given, name.as_ref()), name));
    let (_, name) = near.filter(|(edits, _)| *edits <= edits_max).min_by_key(|(edits, _)| *edits)?;
    Some(name.as_ref().to_owned())
}

/// How many characters have to be inserted, deleted, replaced or swapped with their neighbour to make `from` into `to`.
fn edits(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    // rows[i][j]: the edits from the first i characters to the first j.
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_counted() {
        for (from, to, expected) in
            [("port", "port", 0), ("prot", "port", 1), ("prt", "port", 1), ("", "abc", 3), ("maxlag", "max-lag", 1)]
        {
            assert_eq!(edits(from, to), expected, "{from} {to}");
        }
    }

    #[test]
    fn nearest_name_is_found_and_a_far_one_is_not() {
        let known = ["port", "public-port", "max-lag"];
        assert_eq!(nearest("prot", known).as_deref(), Some("port"));
        assert_eq!(nearest("maxlag", known).as_deref(), Some("max-lag"));
        assert_eq!(nearest("colour", known), None);
    }
}
