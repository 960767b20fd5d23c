//! The table for people, in Markdown.

use std::fmt::Write;

use super::compare::Measured;
use super::programs::Program;
use super::rows::{Figure, Row, Unit};

/// The table of `all`, whose programs are `programs`.
pub(super) fn markdown(rows: &[&Row], all: &[Measured<'_>], programs: &[Program]) -> String {
    let mut text = String::from("| load | figure |");
    let others: Vec<Program> =
        programs.iter().copied().filter(|program| *program != Program::Relay).collect();
    let all_programs = [&[Program::Relay], &others[..]].concat();
    all_programs.iter().for_each(|program| push(&mut text, &format!(" {program} |")));
    others.iter().for_each(|program| push(&mut text, &format!(" {program} to relay |")));
    text.push_str(" bound (1 shard) |\n|---|---|");
    let columns = all_programs.len() + others.len() + 1;
    text.push_str(&"---|".repeat(columns));
    text.push('\n');
    for row in rows {
        for figure in row.figures {
            let of = |program: &Program| {
                all.iter().find(|one| {
                    one.row.name == row.name && one.figure.words == figure.words && one.program == *program
                })
            };
            push(&mut text, &format!("| {} | {}, {} |", row.words, figure.words, figure.unit.words()));
            for program in &all_programs {
                push(&mut text, &format!(" {} |", number(of(program).and_then(|one| one.value))));
            }
            for program in &others {
                push(&mut text, &format!(" {} |", number(of(program).and_then(|one| one.multiple))));
            }
            push(&mut text, &format!(" {} |\n", bound(figure)));
        }
    }
    text
}

fn bound(figure: &Figure) -> String {
    let bound = number(Some(figure.bound));
    match figure.unit {
        Unit::Delivery => format!("at most {bound} times the relay"),
        unit if unit.is_best_high() => format!("at least {bound}"),
        _ => format!("at most {bound}"),
    }
}

/// About three figures; a dash if there is none.
pub(super) fn number(value: Option<f64>) -> String {
    match value {
        None => "-".into(),
        Some(value) if value.abs() >= 100.0 => format!("{value:.0}"),
        Some(value) if value.abs() >= 10.0 => format!("{value:.1}"),
        Some(value) if value.abs() >= 1.0 => format!("{value:.2}"),
        Some(value) => format!("{value:.3}"),
    }
}

fn push(text: &mut String, more: &str) {
    text.write_str(more).expect("a String takes everything");
}
