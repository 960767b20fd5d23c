//! Whatever a disk does last: nothing that was promised is lost.

use dunlin_sim::run::{Options, Report, run};

/// A run that is short, but has some of everything.
const SHORT: Options = Options { steps: 600, ..Options::new() };

/// The first seeds whose Servers are durable and have enough to do.
fn busy_seeds() -> impl Iterator<Item = Report> {
    (1..).map(|seed| run(seed, SHORT)).filter(|report| (60..200).contains(&report.operations))
}

#[test]
fn the_nth_operation_of_the_disk_fails_for_every_n() {
    let mut failures = 0;
    for whole in busy_seeds().take(2) {
        assert_eq!(whole.failure, None, "seed {}", whole.seed);
        for operation in 1..=whole.operations {
            let report = run(whole.seed, Options { fails_at: Some(operation), ..SHORT });
            assert_eq!(report.failure, None, "seed {}, operation {operation}", whole.seed);
            failures += report.tally.of("commits failed");
            assert!(report.tally.of("crashes") > 0, "seed {}, operation {operation}", whole.seed);
        }
    }
    assert!(failures > 120, "{failures} failures");
}
