//! Compares the list of settings in the handbook with the settings there are.

use super::{
    changes::AT_ONCE,
    settings::{
        TABLES,
        setting::{Draft, Setting, Table},
    },
};

const HANDBOOK: &str = "../../docs/guide/configuration.md";

/// The rows of one table of the handbook, as they must be.
fn rows(table: &Table) -> Vec<String> {
    let draft = Draft::default();
    let row = |setting: &Setting| {
        let unit = if setting.unit.is_empty() { "" } else { setting.unit };
        format!(
            "| `{}` | {unit} | `{}` | {} | {} |",
            setting.key,
            (setting.show)(&draft),
            setting.kind.bounds(),
            setting.about
        )
    };
    table.settings.iter().map(row).collect()
}

/// The rows of the handbook below the heading that names `table`.
fn documented(handbook: &str, table: &str) -> Vec<String> {
    let heading = |line: &str| line.starts_with("## ") && line.contains(&format!("[{table}]"));
    let section = handbook.lines().skip_while(|line| !heading(line)).skip(1);
    let rows = section.take_while(|line| !line.starts_with("## ")).filter(|line| line.starts_with("| `"));
    rows.map(str::to_owned).collect()
}

fn handbook() -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(HANDBOOK);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_handbook_lists_what_a_reload_changes() {
    let row = |(name, keys): &(&str, &[&str])| {
        let table = TABLES.iter().find(|table| table.name == *name).unwrap();
        let keys: Vec<_> = keys.iter().map(|key| format!("`{key}`")).collect();
        format!("| `{}` | {} |", table.heading(), keys.join(", "))
    };
    let handbook = handbook();
    for row in AT_ONCE.iter().map(row) {
        assert!(handbook.contains(&row), "this row is missing in {HANDBOOK}:\n{row}");
    }
}

#[test]
fn the_handbook_lists_every_setting_with_unit_default_and_bounds() {
    let handbook = handbook();
    for table in TABLES {
        let rows = rows(&table);
        let table = table.name;
        assert_eq!(
            documented(&handbook, table),
            rows,
            "the rows below [{table}] in {HANDBOOK} must be:\n{}",
            rows.join("\n")
        );
    }
}
