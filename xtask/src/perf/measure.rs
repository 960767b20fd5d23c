//! One run of a load against a program, and the median of several.

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::programs::{Places, Program};
use super::rows::{Row, Source, Unit};

/// The longest that one run may take, with setting up and clearing away.
const RUN_MAX: Duration = Duration::from_secs(240);

/// Starts `program`, loads it with `row` and gives the figures of the row in order.
///
/// # Errors
/// The program does not start; the run is not valid, or does not end.
pub(super) fn run(places: &Places, row: &Row, program: Program) -> Result<Vec<f64>> {
    let running = places.start(program, row.transport)?;
    let output = places.folder.join("bench.json");
    let errors = places.folder.join("bench.log");
    let times: &[&str] =
        if row.figures[0].unit == Unit::Delivery { &["-d", "1.5", "--warm-up", "0.5"] } else { &[] };
    let mut bench = Command::new(&places.dunlin)
        .arg("bench")
        .args(row.arguments.split_whitespace())
        .args(times)
        .args(places.way(row.transport))
        .args(["-h", "127.0.0.1", "-p", &running.port.to_string(), "--pid", &running.pid().to_string()])
        .args(["--stall", "20", "--json"])
        .stdin(Stdio::null())
        .stdout(File::create(&output).with_context(|| format!("writing {}", output.display()))?)
        .stderr(File::create(&errors).with_context(|| format!("writing {}", errors.display()))?)
        .spawn()
        .context("starting dunlin bench")?;
    let until = Instant::now() + RUN_MAX;
    let status = loop {
        if let Some(status) = bench.try_wait()? {
            break status;
        }
        if Instant::now() > until {
            bench.kill().context("ending dunlin bench")?;
            bench.wait()?;
            bail!("it took more than {} s", RUN_MAX.as_secs());
        }
        thread::sleep(Duration::from_millis(20));
    };
    let text = fs::read_to_string(&output)?;
    let Ok(figures) = serde_json::from_str::<Value>(&text) else {
        bail!("dunlin bench: {status}: {}", fs::read_to_string(&errors)?.trim());
    };
    if figures["valid"] != true {
        bail!("not valid: {}", figures["problems"]);
    }
    row.figures.iter().map(|figure| read(&figures, figure.source)).collect()
}

fn read(figures: &Value, source: Source) -> Result<f64> {
    let number =
        |key: &str| figures[key].as_f64().with_context(|| format!("no `{key}` in what dunlin bench says"));
    match source {
        Source::Key(key) => number(key),
        Source::GrowthFor(count) => {
            Ok((number("broker_rss_measured")? - number("broker_rss_start")?) / count)
        }
    }
}

/// The middle one; of an even number the mean of the two in the middle. Nothing of none.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        count if count % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    fn figures_are_read_by_key_or_as_growth() {
        let figures: Value =
            serde_json::from_str(r#"{"a": 1.5, "broker_rss_start": 100, "broker_rss_measured": 400}"#)
                .unwrap();
        assert_eq!(read(&figures, Source::Key("a")).unwrap(), 1.5);
        assert_eq!(read(&figures, Source::GrowthFor(3.0)).unwrap(), 100.0);
        assert!(read(&figures, Source::Key("b")).unwrap_err().to_string().contains("`b`"));
    }
}
