//! Retention against a model that decides for each checkpoint by looking at all the others.

use super::*;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Save {
        epoch: u64,
        loss: Option<f64>,
    },
    Pin(u64),
    Unpin(u64),
    /// The file of that epoch is lost, or comes from elsewhere.
    Vanish(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let loss = prop_oneof![
        3 => prop::sample::select(vec![0.0, -0.0, 1.0, 2.0, 2.0, f64::INFINITY, f64::NEG_INFINITY])
            .prop_map(Some),
        1 => Just(Some(f64::NAN)),
        1 => Just(None),
    ];
    prop_oneof![
        6 => (0_u64..10, loss).prop_map(|(epoch, loss)| Step::Save { epoch, loss }),
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

/// Whether a checkpoint must stay, said without sorting anything.
fn must_stay(saved: &Candidate, history: &[Candidate], policy: &Policy) -> bool {
    let newer = history.iter().filter(|other| other.save_seq > saved.save_seq).count();
    let loss = |saved: &Candidate| saved.metrics.first().map(|(_, loss)| *loss);
    let is_best = policy.best.as_ref().is_some_and(|best| {
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
        || policy.every.is_some_and(|every| saved.epoch.is_multiple_of(every))
}

/// Random histories; `QSTORE_RETENTION_CASES` asks for more than the default run has time for.
fn cases() -> u32 {
    let asked = std::env::var("QSTORE_RETENTION_CASES").ok();
    let cases = asked.and_then(|cases| cases.parse().ok()).unwrap_or(10_000);
    println!("{cases} cases: histories");
    cases
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]
    #[test]
    fn what_a_rule_keeps_stays_and_nothing_else(
        steps in prop::collection::vec(step(), 1..40),
        policy in policy(),
    ) {
        let (mut history, mut pinned): (Vec<Candidate>, Vec<u64>) = Default::default();
        for (save_seq, step) in (1..).zip(steps) {
            match step {
                Step::Save { epoch, loss } => {
                    history.retain(|saved| saved.epoch != epoch);
                    let saved = Candidate::new(epoch, save_seq);
                    let saved = match loss {
                        Some(loss) => saved.metric("loss", loss),
                        None => saved,
                    };
                    // The order of the listing must not matter.
                    history.insert(save_seq as usize % (history.len() + 1), saved);
                }
                Step::Pin(epoch) => pinned.push(epoch),
                Step::Unpin(epoch) => pinned.retain(|pinned| *pinned != epoch),
                Step::Vanish(epoch) => history.retain(|saved| saved.epoch != epoch),
            }
            for saved in &mut history {
                saved.is_pinned = pinned.contains(&saved.epoch);
            }
            let decisions = plan(&history, &policy);
            prop_assert_eq!(decisions.len(), history.len());
            prop_assert!(decisions.is_sorted_by_key(|decision| Reverse(decision.save_seq)));
            for decision in &decisions {
                let saved = history.iter().find(|saved| saved.epoch == decision.epoch).unwrap();
                prop_assert_eq!(decision.keep, must_stay(saved, &history, &policy), "{}", decision);
                prop_assert_eq!(decision.keep, decision.reason != Reason::Outnumbered);
            }
            prop_assert!(decisions.first().is_none_or(|newest| newest.keep));
            // Carried out; a second look changes nothing.
            let kept = |epoch| decisions.iter().any(|found| found.epoch == epoch && found.keep);
            history.retain(|saved| kept(saved.epoch));
            prop_assert!(plan(&history, &policy).iter().all(|decision| decision.keep));
        }
    }
}

#[test]
fn each_reason_is_said() {
    let history = [
        Candidate::new(1, 1).metric("acc", 0.9),
        Candidate::new(2, 2).pinned(true),
        Candidate::new(5, 3),
        Candidate::new(6, 4),
        Candidate::new(7, 5),
        Candidate::new(8, 6),
    ];
    let policy = Policy::keep_last(2).best(3, "acc", Goal::Highest).every(5);
    let said: Vec<String> =
        plan(&history, &policy).iter().map(|decision| decision.reason.to_string()).collect();
    assert_eq!(
        said,
        [
            "it is the newest save",
            "it is one of the last saves",
            "enough newer ones exist, and no other rule keeps it",
            "every 5 epochs one is kept",
            "it is pinned",
            "it is number 1 by acc",
        ]
    );
    let all = plan(&history[..2], &Policy::keep_last(0));
    assert!(all.iter().all(|decision| decision.keep));
}

#[test]
fn only_numbers_in_the_first_level_are_metrics() {
    let mut metadata = StateDict::from_iter([("loss", State::from(0.5)), ("epochs", 3_i64.into())]);
    metadata.insert("tag", "best");
    metadata.insert("deep", StateDict::from_iter([("loss", 0.1)]));
    assert_eq!(metrics_of(&metadata), [("loss".to_owned(), 0.5), ("epochs".to_owned(), 3.0)]);
}
