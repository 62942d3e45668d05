//! What the pages of the documentation show is what the command prints: every block that begins with `$ qstore` is
//! one of the golden files.

use super::kit::package;
use std::fs;

#[test]
fn every_sample_is_a_golden_file() {
    let golden: Vec<String> = fs::read_dir(package().join("tests/golden"))
        .unwrap()
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    let mut samples = 0;
    for page in ["cli.md", "coming-from.md"] {
        let text = fs::read_to_string(package().join("../../docs").join(page)).unwrap();
        for block in text.split("```").skip(1).step_by(2) {
            let Some((_, block)) = block.split_once('\n') else { continue };
            if block.starts_with("$ qstore") || block.starts_with("{\"schema\"") {
                samples += 1;
                assert!(golden.iter().any(|known| known == block), "{page} shows\n{block}");
            }
        }
    }
    assert!(samples >= 10, "only {samples} samples were found");
}
