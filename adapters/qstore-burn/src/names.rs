//! From burn's names of metrics to names of columns.

/// `Top-K Accuracy` → `top_k_accuracy`. The names of the columns that identify a row are no metrics.
pub(crate) fn column(metric: &str) -> String {
    let mut name = String::with_capacity(metric.len());
    for letter in metric.chars() {
        if letter.is_alphanumeric() {
            name.extend(letter.to_lowercase());
        } else if !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
    }
    let name = name.trim_end_matches('_');
    match name {
        "" | "epoch" | "step" | "timestamp" => format!("metric_{name}"),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_columns_that_any_reader_takes() {
        for (metric, expected) in [
            ("Loss", "loss"),
            ("Top-K Accuracy @ TopK(2)", "top_k_accuracy_topk_2"),
            ("  CPU Memory ", "cpu_memory"),
            ("Epoch", "metric_epoch"),
            ("%", "metric_"),
        ] {
            assert_eq!(column(metric), expected);
        }
    }
}
