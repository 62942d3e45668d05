//! Shows which checkpoints a retention policy would keep, and why.

use qstore_checkpoint::retention::{Candidate, Goal, Policy, plan};

fn main() {
    let history = [
        Candidate::new(10, 1).metric("val_loss", 0.31),
        Candidate::new(20, 2).metric("val_loss", 0.24),
        Candidate::new(30, 3).metric("val_loss", 0.27).pinned(true),
        Candidate::new(40, 4).metric("val_loss", 0.33),
        Candidate::new(50, 5).metric("val_loss", f64::NAN),
    ];
    let policy = Policy::keep_last(1).best(1, "val_loss", Goal::Lowest);
    for decision in plan(&history, &policy) {
        println!("{decision}");
    }
}
