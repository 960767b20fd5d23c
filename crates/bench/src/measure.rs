//! Latencies and rates as they are reported, and how they went over time.

use std::fmt::Write;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::clock::{MILLISECOND, to_seconds};
use crate::shared::Totals;

/// Percentiles in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
    pub(crate) mean: f64,
    pub(crate) n: u64,
}

impl Percentiles {
    /// Those of a histogram of nanoseconds; nothing if it is empty.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Option<Self> {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        (!histogram.is_empty()).then(|| Self {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: histogram.max() as f64 / 1e3,
            mean: histogram.mean() / 1e3,
            n: histogram.len(),
        })
    }
}

/// A stretch of the run.
#[derive(Clone, Debug)]
struct Stretch {
    /// Nanoseconds from the start of the measurement.
    from: u64,
    to: u64,
    sent: u64,
    received: u64,
    latency: Histogram<u32>,
}

/// How the run went: stretches of about equal length, that grow as it goes on, so that there are never too many.
#[derive(Clone, Debug)]
pub(crate) struct Timeline {
    stretch_ns: u64,
    stretches: Vec<Stretch>,
    /// When the last stretch ended.
    end: u64,
    sent: u64,
    received: u64,
    latency: Histogram<u32>,
}

/// A stretch in figures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Point {
    /// The end of the stretch, seconds from the start of the measurement.
    pub(crate) s: f64,
    pub(crate) publish_per_s: f64,
    pub(crate) receive_per_s: f64,
    /// Microseconds; nothing if no message came.
    pub(crate) p50_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
    pub(crate) max_us: Option<f64>,
}

/// The shortest stretch, and how many there are at most.
pub(crate) const STRETCH_NS: u64 = 100 * MILLISECOND;
const STRETCHES_MAX: usize = 240;

impl Timeline {
    pub(crate) fn new() -> Self {
        Self { stretch_ns: STRETCH_NS, stretches: Vec::new(), end: 0, sent: 0, received: 0, latency: empty() }
    }

    /// Adds what was measured until `since_start` nanoseconds: the sums since the start, the latencies since the last time.
    pub(crate) fn add(&mut self, since_start: u64, totals: Totals, latency: &Histogram<u64>) {
        for value in latency.iter_recorded() {
            let count = u32::try_from(value.count_since_last_iteration()).unwrap_or(u32::MAX);
            self.latency.saturating_record_n(value.value_iterated_to(), count);
        }
        // Threads tell at whole stretches; whoever asks comes a moment later, or much later if the machine is busy.
        let to = (since_start + STRETCH_NS / 2) / STRETCH_NS * STRETCH_NS;
        if to < self.end + self.stretch_ns {
            return;
        }
        let latency = std::mem::replace(&mut self.latency, empty());
        let sent = totals.sent.saturating_sub(self.sent);
        let received = totals.received.saturating_sub(self.received);
        self.stretches.push(Stretch { from: self.end, to, sent, received, latency });
        (self.sent, self.received, self.end) = (totals.sent, totals.received, to);
        if self.stretches.len() >= STRETCHES_MAX {
            self.halve();
        }
    }

    fn halve(&mut self) {
        self.stretch_ns *= 2;
        let pairs = self.stretches.chunks(2).map(|pair| {
            let mut sum = pair[0].clone();
            for other in &pair[1..] {
                sum.to = other.to;
                sum.sent += other.sent;
                sum.received += other.received;
                sum.latency.add(&other.latency).expect("all have the same bounds");
            }
            sum
        });
        self.stretches = pairs.collect();
    }

    /// The figures of all stretches.
    pub(crate) fn points(&self) -> Vec<Point> {
        let point = |stretch: &Stretch| {
            let seconds = to_seconds(stretch.to - stretch.from);
            let latency = Some(&stretch.latency).filter(|latency| !latency.is_empty());
            let quantile = |quantile| latency.map(|latency| latency.value_at_quantile(quantile) as f64 / 1e3);
            Point {
                s: to_seconds(stretch.to),
                publish_per_s: stretch.sent as f64 / seconds,
                receive_per_s: stretch.received as f64 / seconds,
                p50_us: quantile(0.5),
                p99_us: quantile(0.99),
                max_us: latency.map(|latency| latency.max() as f64 / 1e3),
            }
        };
        self.stretches.iter().map(point).collect()
    }
}

/// Two digits are enough for a picture, and small enough to keep many.
fn empty() -> Histogram<u32> {
    Histogram::new_with_bounds(1, 120_000_000_000, 2).expect("the bounds are in order")
}

/// A histogram in the text form that HdrHistogram's own tools read, values in microseconds.
pub(crate) fn hgrm(histogram: &Histogram<u64>) -> String {
    let mut text = String::from("       Value     Percentile TotalCount 1/(1-Percentile)\n\n");
    let mut total = 0;
    for step in histogram.iter_quantiles(5) {
        total += step.count_since_last_iteration();
        let value = step.value_iterated_to() as f64 / 1e3;
        let quantile = step.quantile_iterated_to();
        let line = if quantile < 1.0 {
            writeln!(text, "{value:12.3} {quantile:.12} {total:10} {:14.2}", 1.0 / (1.0 - quantile))
        } else {
            writeln!(text, "{value:12.3} {quantile:.12} {total:10}")
        };
        line.expect("a String takes everything");
    }
    let (mean, deviation) = (histogram.mean() / 1e3, histogram.stdev() / 1e3);
    let (max, count) = (histogram.max() as f64 / 1e3, histogram.len());
    write!(
        text,
        "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]\n\
         #[Max     = {max:12.3}, Total count    = {count:12}]\n"
    )
    .expect("a String takes everything");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::histogram;

    #[test]
    fn percentiles_are_in_microseconds() {
        let mut values = histogram();
        assert_eq!(Percentiles::of(&values), None);
        (1..=1_000).for_each(|value| values.record(value * 1_000).unwrap());
        let percentiles = Percentiles::of(&values).unwrap();
        assert!((percentiles.p50 - 500.0).abs() < 1.0 && (percentiles.p999 - 999.0).abs() < 2.0);
        assert_eq!(percentiles.n, 1_000);
    }

    #[test]
    fn a_long_run_has_few_stretches_and_loses_nothing() {
        let mut timeline = Timeline::new();
        let mut latency = histogram();
        latency.record(5_000).unwrap();
        for step in 1..=1_000_u64 {
            let totals = Totals { sent: step * 10, received: step * 20, ..Totals::default() };
            timeline.add(step * STRETCH_NS, totals, &latency);
        }
        let points = timeline.points();
        assert!((100..=STRETCHES_MAX).contains(&points.len()), "{}", points.len());
        assert!(points.iter().all(|point| (point.publish_per_s - 100.0).abs() < 1.0), "{points:?}");
        assert!(points.iter().all(|point| point.p50_us.is_some_and(|us| (us - 5.0).abs() < 0.1)));
        let last = points.last().unwrap().s;
        assert!((95.0..=100.5).contains(&last), "{last}");
    }

    #[test]
    fn a_sample_that_comes_late_is_a_longer_stretch() {
        let mut timeline = Timeline::new();
        for (at, sent) in [(1, 100), (5, 500), (6, 600)] {
            let totals = Totals { sent, ..Totals::default() };
            timeline.add(at * STRETCH_NS + 10 * MILLISECOND, totals, &histogram());
        }
        let points = timeline.points();
        assert_eq!(points.iter().map(|point| point.s).collect::<Vec<_>>(), [0.1, 0.5, 0.6]);
        assert!(points.iter().all(|point| (point.publish_per_s - 1_000.0).abs() < 1e-6), "{points:?}");
    }

    #[test]
    fn the_text_of_a_histogram_has_its_header_and_its_end() {
        let mut values = histogram();
        (1..=100).for_each(|value| values.record(value * 1_000).unwrap());
        let text = hgrm(&values);
        assert!(text.starts_with("       Value     Percentile TotalCount 1/(1-Percentile)\n\n"));
        let rows: Vec<Vec<&str>> = text
            .lines()
            .skip(2)
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().collect())
            .collect();
        let last = rows.last().unwrap();
        assert_eq!(last[1..], ["1.000000000000", "100"]);
        assert!(rows.iter().any(|row| row[1].starts_with("0.5000") && row[0].starts_with("50.")), "{text}");
        assert!(text.contains("Total count    =          100]"));
    }
}
