//! Retention against a model that decides for each checkpoint by comparing it with all others.

use super::*;
use proptest::prelude::*;
use proptest::test_runner::contextualize_config;

#[derive(Debug, Clone)]
enum Step {
    Save {
        number: u64,
        loss: Option<Metric>,
    },
    Pin(u64),
    Unpin(u64),
    /// The file with this number is lost.
    Vanish(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let loss = prop_oneof![
        3 => prop::sample::select(vec![0.0, -0.0, 1.0, 2.0, 2.0, f64::INFINITY, f64::NEG_INFINITY])
            .prop_map(|loss| Some(Metric::Float(loss))),
        1 => prop::sample::select(vec![0, 1, 2, 2]).prop_map(|loss| Some(Metric::Int(loss))),
        1 => Just(Some(Metric::Float(f64::NAN))),
        1 => Just(Some(Metric::Unknown(Cause::NotANumber { found: "a text" }))),
        1 => Just(Some(Metric::Unknown(Cause::Unread { reason: "it is worn out".into() }))),
        1 => Just(None),
    ];
    prop_oneof![
        6 => (0_u64..10, loss).prop_map(|(number, loss)| Step::Save { number, loss }),
        1 => (0_u64..10).prop_map(Step::Pin),
        1 => (0_u64..10).prop_map(Step::Unpin),
        1 => (0_u64..10).prop_map(Step::Vanish),
    ]
}

fn policy() -> impl Strategy<Value = Policy> {
    let goal = prop::sample::select(vec![Goal::Lowest, Goal::Highest]);
    let best = prop::option::of((0_usize..4, goal));
    (0_usize..5, best, prop::option::of(1_u64..5)).prop_map(|(keep_last, best, every)| {
        let mut policy = Policy::keep_last(keep_last);
        if let Some((count, goal)) = best {
            policy = policy.best(count, "loss", goal);
        }
        Policy { every, ..policy }
    })
}

/// Whether a checkpoint must stay, decided without sorting anything.
fn must_stay(saved: &Candidate, history: &[Candidate], policy: &Policy) -> bool {
    let newer = history.iter().filter(|other| other.save_seq > saved.save_seq).count();
    let loss = |saved: &Candidate| match saved.find("loss") {
        Some(Metric::Float(loss)) => Some(*loss),
        Some(Metric::Int(loss)) => Some(*loss as f64), // small ones only
        _ => None,
    };
    let is_unread = matches!(saved.find("loss"), Some(Metric::Unknown(Cause::Unread { .. })));
    let is_best = policy.best.as_ref().is_some_and(|best| {
        if is_unread {
            return best.count > 0;
        }
        let Some(own) = loss(saved).filter(|own| !own.is_nan()) else { return false };
        let beats = |other: &&Candidate| {
            let Some(theirs) = loss(other) else { return false };
            let is_better = if best.goal == Goal::Lowest { theirs < own } else { theirs > own };
            let is_equal = theirs.partial_cmp(&own) == Some(std::cmp::Ordering::Equal);
            is_better || (is_equal && other.save_seq > saved.save_seq)
        };
        history.iter().filter(beats).count() < best.count
    });
    newer == 0
        || policy.keep_last == 0
        || newer < policy.keep_last
        || saved.is_pinned
        || is_best
        || policy.every.is_some_and(|every| saved.number.is_multiple_of(every))
}

/// Says how many histories there are: `PROPTEST_CASES` sets more than the default run has time for.
fn config() -> ProptestConfig {
    let config = contextualize_config(ProptestConfig::with_cases(10_000));
    println!("{} cases: histories", config.cases);
    config
}

proptest! {
    #![proptest_config(config())]
    #[test]
    fn a_checkpoint_is_kept_if_and_only_if_a_rule_keeps_it(
        steps in prop::collection::vec(step(), 1..40),
        policy in policy(),
    ) {
        let (mut history, mut pinned): (Vec<Candidate>, Vec<u64>) = Default::default();
        for (save_seq, step) in (1..).zip(steps) {
            match step {
                Step::Save { number, loss } => {
                    history.retain(|saved| saved.number != number);
                    let saved = Candidate::new(number, save_seq);
                    let saved = match loss {
                        Some(loss) => saved.metric("loss", loss),
                        None => saved,
                    };
                    // The order of the listing must not matter.
                    history.insert(save_seq as usize % (history.len() + 1), saved);
                }
                Step::Pin(number) => pinned.push(number),
                Step::Unpin(number) => pinned.retain(|pinned| *pinned != number),
                Step::Vanish(number) => history.retain(|saved| saved.number != number),
            }
            for saved in &mut history {
                saved.is_pinned = pinned.contains(&saved.number);
            }
            let decisions = plan(&history, &policy);
            prop_assert_eq!(decisions.len(), history.len());
            prop_assert!(decisions.is_sorted_by_key(|decision| Reverse(decision.save_seq)));
            for decision in &decisions {
                let saved = history.iter().find(|saved| saved.number == decision.number).unwrap();
                prop_assert_eq!(decision.keep, must_stay(saved, &history, &policy), "{}", decision);
                prop_assert_eq!(decision.keep, decision.reason != Reason::Outnumbered);
            }
            prop_assert!(decisions.first().is_none_or(|newest| newest.keep));
            // Once the plan is carried out, planning again changes nothing.
            let kept = |number| decisions.iter().any(|found| found.number == number && found.keep);
            history.retain(|saved| kept(saved.number));
            prop_assert!(plan(&history, &policy).iter().all(|decision| decision.keep));
        }
    }
}

#[test]
fn each_reason_is_reported() {
    let history = [
        Candidate::new(1, 1).metric("acc", 0.9),
        Candidate::new(2, 2).pinned(true),
        Candidate::new(5, 3),
        Candidate::new(6, 4),
        Candidate::new(7, 5),
        Candidate::new(8, 6),
    ];
    let policy = Policy::keep_last(2).best(3, "acc", Goal::Highest).every(5);
    let reasons: Vec<String> =
        plan(&history, &policy).iter().map(|decision| decision.reason.to_string()).collect();
    assert_eq!(
        reasons,
        [
            "it is the newest save",
            "it is one of the newest saves",
            "enough newer saves exist, and no other rule keeps it",
            "its number is a multiple of 5",
            "it is pinned",
            "it is the best by acc (rank 1)",
        ]
    );
    let all = plan(&history[..2], &Policy::keep_last(0));
    assert!(all.iter().all(|decision| decision.keep));
}

#[test]
fn a_rule_that_finds_no_number_says_so_for_every_checkpoint() {
    let similar = vec!["val_accuracy".to_owned()];
    let text = Metric::Unknown(Cause::NotANumber { found: "a text" });
    let history = [
        Candidate::new(1, 1).metric("acc", text),
        Candidate::new(2, 2).metric("acc", f64::NAN).pinned(true),
        Candidate::new(3, 3).metric("acc", Metric::Unknown(Cause::Missing { similar })),
        Candidate::new(4, 4),
        Candidate::new(5, 5).metric("acc", 1),
    ];
    let plan_of = |policy| -> Vec<String> {
        plan(&history, &policy).iter().map(ToString::to_string).collect()
    };
    let policy = Policy::keep_last(2).best(1, "acc", Goal::Highest);
    assert_eq!(
        plan_of(policy.clone()),
        [
            "5 (save 5) is kept: it is the newest save",
            "4 (save 4) is kept: it is one of the newest saves; its metadata have no number `acc`",
            "3 (save 3) is removed: enough newer saves exist, and no other rule keeps it; \
             its metadata have no number `acc`; did you mean `val_accuracy`?",
            "2 (save 2) is kept: it is pinned; its `acc` is NaN",
            "1 (save 1) is removed: enough newer saves exist, and no other rule keeps it; \
             its `acc` is a text, which is not a number",
        ]
    );
    // A rule that keeps none has nothing to say.
    for silent in
        [Policy { best: None, ..policy }, Policy::keep_last(2).best(0, "acc", Goal::Lowest)]
    {
        assert!(!plan_of(silent).iter().any(|decision| decision.contains("acc")));
    }
}

/// Regression: metrics are compared as floats, in which neighboring large integers are equal.
#[test]
fn the_best_of_large_integers_is_exact() {
    let value = |step: i64| i64::MAX - 1_000 + step;
    let history: Vec<_> =
        (0..5).map(|n| Candidate::new(n, n + 1).metric("tokens", value(-(n as i64)))).collect();
    let decisions = plan(&history, &Policy::keep_last(1).best(1, "tokens", Goal::Highest));
    let kept: Vec<u64> = decisions.iter().filter(|d| d.keep).map(|d| d.number).collect();
    assert_eq!(kept, [4, 0]);
}
