//! "Did you mean": the nearest of the names that would have been right.

/// The name that is so near to what was written that it may have been meant.
pub(crate) fn nearest<'a>(
    written: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let written: Vec<char> = normal(written).collect();
    let limit = (written.len() / 3).max(1);
    let near = names.into_iter().filter_map(|name| {
        let other: Vec<char> = normal(name).collect();
        // Cheap, and most names of a large spec are ruled out by it.
        if other.len().abs_diff(written.len()) > limit {
            return None;
        }
        let distance = distance(&written, &other);
        (distance <= limit).then_some((distance, name))
    });
    near.min().map(|(_, name)| name)
}

/// As a hint.
pub(crate) fn did_you_mean<'a>(
    written: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    nearest(written, names).map(|name| format!("did you mean \"{name}\"?"))
}

/// `stop_timeout` and `StopTimeout` are meant to be `stop-timeout`.
fn normal(name: &str) -> impl Iterator<Item = char> + '_ {
    name.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).take(128)
}

/// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut best = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_and_other_spellings_are_understood() {
        let names = ["stop-timeout", "start-timeout", "stop-signal", "user"];
        for (written, meant) in [
            ("stop_timeout", Some("stop-timeout")),
            ("StopTimeout", Some("stop-timeout")),
            ("sotp-timeout", Some("stop-timeout")),
            ("stat-timeout", Some("start-timeout")),
            ("usr", Some("user")),
            ("", None),
            ("colour", None),
        ] {
            assert_eq!(nearest(written, names), meant, "{written}");
        }
    }
}
