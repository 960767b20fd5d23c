//! The same seed gives the same run: whatever passes the broker's face, byte for byte.

use dunlin_sim::run::{Options, run};

#[test]
fn one_seed_is_one_run() {
    let options = Options { steps: 3_000, ..Options::default() };
    for seed in 1..=8 {
        let (first, second) = (run(seed, options), run(seed, options));
        assert_eq!(first.failure, None, "seed {seed}");
        assert_eq!(first.trace.hash(), second.trace.hash(), "seed {seed}");
        assert_eq!(first.tally, second.tally, "seed {seed}");
    }
}

#[test]
fn a_run_that_is_told_is_the_same_run() {
    let options = Options { steps: 3_000, ..Options::default() };
    let told = run(3, Options { is_telling: true, ..options });
    assert_eq!(run(3, options).trace.hash(), told.trace.hash());
    assert!(told.trace.last_lines(usize::MAX).count() > 1_000);
}

#[test]
fn seeds_differ() {
    let options = Options { steps: 500, ..Options::default() };
    assert_ne!(run(1, options).trace.hash(), run(2, options).trace.hash());
}

#[test]
fn a_run_with_crashes_is_one_run() {
    let options = Options { steps: 3_000, is_crashing: true, ..Options::default() };
    let runs: Vec<_> = (1..=8).map(|seed| (run(seed, options), run(seed, options))).collect();
    assert!(runs.iter().all(|(first, second)| first.trace.hash() == second.trace.hash()));
    assert!(runs.iter().any(|(first, _)| first.tally.of("crashes") > 0));
}
