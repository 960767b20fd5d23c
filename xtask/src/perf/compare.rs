//! What was measured beside what was kept, and beside the hard bounds.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::programs::Program;
use super::rows::{Figure, Row, Unit};

/// How much worse than what was kept a figure may be.
const WORSE_MAX: f64 = 1.25;

/// The median of one figure of one program.
#[derive(Clone, Debug)]
pub(super) struct Measured<'a> {
    pub(super) row: &'a Row,
    pub(super) figure: &'a Figure,
    pub(super) program: Program,
    /// In the unit of the figure; nothing if no run was valid.
    pub(super) value: Option<f64>,
    /// In multiples of the relay, where the figure is one that has them.
    pub(super) multiple: Option<f64>,
}

/// The kept table.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Kept {
    /// On what it was measured.
    pub(super) machine: String,
    /// For each figure of Dunlin what is compared: multiples of the relay, or the figure itself.
    pub(super) figures: BTreeMap<String, f64>,
}

impl Kept {
    /// Reads the table; nothing if there is none.
    ///
    /// # Errors
    /// The file cannot be read, or is not a table.
    pub(super) fn read(file: &Path) -> Result<Option<Self>> {
        if !file.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        serde_json::from_str(&text).map(Some).with_context(|| format!("reading {}", file.display()))
    }

    /// Writes the table.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(file, text).with_context(|| format!("writing {}", file.display()))
    }

    /// Takes over what was measured of Dunlin.
    pub(super) fn take(&mut self, all: &[Measured<'_>]) {
        for measured in all.iter().filter(|measured| measured.is_dunlin()) {
            if let Some(value) = measured.compared() {
                let value = (value * 1_000.0).round() / 1_000.0;
                self.figures.insert(measured.key(), value);
            }
        }
    }
}

impl Measured<'_> {
    /// Its name in the kept table.
    pub(super) fn key(&self) -> String {
        format!("{}, {}, {}", self.row.name, self.figure.words, self.program)
    }

    /// What is compared and bounded.
    pub(super) fn compared(&self) -> Option<f64> {
        match self.figure.unit {
            Unit::Delivery => self.multiple,
            Unit::Time | Unit::Bytes | Unit::Rate => self.value,
        }
    }

    fn is_dunlin(&self) -> bool {
        matches!(self.program, Program::Dunlin(_))
    }

    /// The unit of what is compared.
    fn unit(&self) -> &'static str {
        match self.figure.unit {
            Unit::Delivery => "times the relay",
            unit => unit.words(),
        }
    }
}

/// What is beyond its hard bound, which is one of Dunlin with one shard, and what was not measured.
pub(super) fn beyond_bounds(all: &[Measured<'_>]) -> Vec<String> {
    let mut findings = Vec::new();
    for measured in all.iter().filter(|measured| measured.is_dunlin()) {
        let key = measured.key();
        let Some(value) = measured.compared() else {
            findings.push(format!("{key}: not measured"));
            continue;
        };
        let Figure { unit, bound, .. } = *measured.figure;
        let is_beyond = if unit.is_best_high() { value < bound } else { value > bound };
        if is_beyond && measured.program == Program::Dunlin(1) {
            let most = if unit.is_best_high() { "least" } else { "most" };
            findings.push(format!("{key}: {value:.2} {}, at {most} {bound}", measured.unit()));
        }
    }
    findings
}

/// What is more than 25 % worse than what was kept, where that says the same on every machine, and what was not kept.
pub(super) fn worse_than_kept(all: &[Measured<'_>], kept: &Kept) -> Vec<String> {
    let is_compared =
        |measured: &&Measured<'_>| measured.is_dunlin() && measured.figure.unit.is_of_the_program();
    let mut findings = Vec::new();
    for measured in all.iter().filter(is_compared) {
        let key = measured.key();
        let Some(value) = measured.compared() else { continue };
        match kept.figures.get(&key) {
            None => findings.push(format!("{key}: not in the kept table; measure it with --keep")),
            Some(kept) if value > kept * WORSE_MAX => {
                let percent = (value / kept - 1.0) * 100.0;
                findings.push(format!(
                    "{key}: {value:.2} {}, {percent:.0} % worse than {kept:.2}",
                    measured.unit()
                ));
            }
            Some(_) => {}
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::perf::rows::{ROW_COUNT, ROWS};

    fn row(name: &str) -> &'static Row {
        static ALL: [Row; ROW_COUNT] = ROWS;
        ALL.iter().find(|row| row.name == name).expect("the row is there")
    }

    /// A figure of Dunlin with one shard; of those with a floor in multiples.
    fn measured(name: &str, words: &str, value: f64) -> Measured<'static> {
        let row = row(name);
        let figure = row.figures.iter().find(|figure| figure.words == words).expect("the figure is there");
        let multiple = (figure.unit == Unit::Delivery).then_some(value);
        Measured { row, figure, program: Program::Dunlin(1), value: Some(value), multiple }
    }

    fn kept(all: &[Measured<'_>]) -> Kept {
        let mut kept = Kept::default();
        kept.take(all);
        kept
    }

    #[test]
    fn a_quarter_worse_is_let_pass_and_more_is_not() {
        let kept = kept(&[measured("pair-q0", "CPU", 2.0), measured("idle", "memory each", 600.0)]);
        let now = |times: f64| {
            worse_than_kept(
                &[measured("pair-q0", "CPU", 2.0 * times), measured("idle", "memory each", 600.0 * times)],
                &kept,
            )
        };
        assert_eq!(now(1.24), Vec::<String>::new());
        assert_eq!(now(0.5), Vec::<String>::new());
        assert_eq!(
            now(1.26),
            [
                "pair-q0, CPU, 1 shard: 2.52 times the relay, 26 % worse than 2.00",
                "idle, memory each, 1 shard: 756.00 bytes, 26 % worse than 600.00"
            ]
        );
    }

    #[test]
    fn times_and_rates_of_another_machine_are_not_compared() {
        let before = [measured("retained", "CPU to set", 0.1), measured("queue", "handed out", 9e6)];
        let now = [measured("retained", "CPU to set", 1.5), measured("queue", "handed out", 9e5)];
        assert_eq!(worse_than_kept(&now, &kept(&before)), Vec::<String>::new());
    }

    #[test]
    fn a_missing_row_is_told() {
        let now = [measured("pair-q0", "CPU", 2.0)];
        let findings = worse_than_kept(&now, &Kept::default());
        assert_eq!(findings, ["pair-q0, CPU, 1 shard: not in the kept table; measure it with --keep"]);
        let failed = Measured { value: None, multiple: None, ..now[0].clone() };
        assert_eq!(beyond_bounds(&[failed]), ["pair-q0, CPU, 1 shard: not measured"]);
    }

    #[test]
    fn hard_bounds_are_those_of_one_shard() {
        let good = [measured("fan-out", "CPU", 1.6), measured("queue", "handed out", 800_000.0)];
        assert_eq!(beyond_bounds(&good), Vec::<String>::new());
        let bad = [measured("fan-out", "CPU", 1.61), measured("queue", "handed out", 799_999.0)];
        assert_eq!(
            beyond_bounds(&bad),
            [
                "fan-out, CPU, 1 shard: 1.61 times the relay, at most 1.6",
                "queue, handed out, 1 shard: 799999.00 /s, at least 800000"
            ]
        );
        let two = Measured { program: Program::Dunlin(2), ..bad[0].clone() };
        assert_eq!(beyond_bounds(&[two]), Vec::<String>::new());
    }
}
