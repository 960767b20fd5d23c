//! A configuration as it stands: every setting with its value and where that comes from.

use std::fmt::Write as _;

use serde_json::{Map, Value as Json, json};
use toml::de::DeValue;

use super::{
    load::Loaded,
    origin::Origin,
    settings::{
        TABLES,
        setting::{Draft, Setting, Table},
    },
    value::Kind,
};

/// One table of a configuration.
struct ShownTable {
    table: &'static Table,
    /// Whether it is there although nobody has named it.
    is_implied: bool,
    rows: Vec<Row>,
}

/// One setting of it.
struct Row {
    setting: &'static Setting,
    value: Shown,
    origin: Origin,
}

/// A value, as far as it is shown.
enum Shown {
    /// As it stands in a file.
    Toml(String),
    /// What is done without it, in words.
    Words(String),
    Hidden,
}

/// The whole configuration in TOML: read again, it is the same, but for secrets, which are not shown.
#[must_use]
pub fn as_toml(loaded: &Loaded) -> String {
    let mut text = String::new();
    match &loaded.files[..] {
        [] => text += "# No file was read.\n",
        files => {
            text += "# Read were:\n";
            files.iter().for_each(|file| text += &format!("#   {}\n", file.display()));
        }
    }
    for table in tables(loaded) {
        // Written out, what is done of itself would be more than that: it would be wanted.
        let mark = if table.is_implied { "# " } else { "" };
        text += &format!("\n{mark}{}\n", table.table.heading());
        let lines: Vec<(String, String)> = table.rows.iter().map(line).collect();
        let width = lines.iter().map(|(line, _)| line.chars().count()).filter(|&width| width <= WIDTH_MAX);
        let width = width.max().unwrap_or(0);
        for (line, origin) in lines {
            writeln!(text, "{mark}{line:width$}  # {origin}").expect("a text takes everything");
        }
    }
    text
}

/// The whole configuration in JSON: `{"files": [...], "settings": [{"table", "number", "key", "value", "hidden", "from", ...}]}`.
#[must_use]
pub fn as_json(loaded: &Loaded) -> String {
    let mut settings = Vec::new();
    let mut numbers = Map::new();
    for ShownTable { table, rows, .. } in tables(loaded) {
        let number = numbers.entry(table.name).or_insert(json!(0));
        let this = number.as_u64().unwrap_or_default();
        *number = json!(this + 1);
        for Row { setting, value, origin } in rows {
            let mut object = json!({
                "table": table.name, "key": setting.key, "unit": setting.unit, "value": json_of(&value),
                "about": setting.about,
                "hidden": matches!(value, Shown::Hidden),
            });
            if table.list.is_some() {
                object["number"] = this.into();
            }
            if let Shown::Words(words) = value {
                object["meaning"] = words.into();
            }
            match origin {
                Origin::Default => object["from"] = "default".into(),
                Origin::Variable(name) => {
                    (object["from"], object["variable"]) = ("variable".into(), name.into());
                }
                Origin::Flag(flag) => (object["from"], object["flag"]) = ("flag".into(), flag.into()),
                Origin::File { file, line } => {
                    (object["from"], object["file"]) = ("file".into(), file.display().to_string().into());
                    object["line"] = line.into();
                }
            }
            settings.push(object);
        }
    }
    let files: Vec<_> = loaded.files.iter().map(|file| file.display().to_string()).collect();
    json!({ "files": files, "settings": settings }).to_string()
}

fn tables(loaded: &Loaded) -> Vec<ShownTable> {
    let mut draft = Draft::of(&loaded.config);
    let mut all = Vec::new();
    for table in &TABLES {
        match &table.list {
            None => all.push(shown(table, 0, &draft, loaded)),
            Some(list) => {
                for number in 0.. {
                    (list.begin)(&mut draft);
                    if !(list.pick)(&mut draft, &loaded.config, number) {
                        break;
                    }
                    all.push(shown(table, number, &draft, loaded));
                }
            }
        }
    }
    all
}

fn shown(table: &'static Table, number: usize, draft: &Draft, loaded: &Loaded) -> ShownTable {
    let concerns = |setting: &&Setting| match draft.auth.kind.filter(|_| table.name == "auth") {
        Some(kind) => ["name", "kind"].contains(&setting.key) || kind.keys().contains(&setting.key),
        None => true,
    };
    let row = |setting: &'static Setting| {
        let text = (setting.show)(draft);
        let value = match setting.kind {
            Kind::Secret(_) if is_given(setting, draft) => Shown::Hidden,
            _ if DeValue::parse(&text).is_ok() => Shown::Toml(text),
            _ => Shown::Words(text),
        };
        Row { setting, value, origin: loaded.origins.of(table.name, number, setting.key) }
    };
    let is_implied = table.list.is_some() && !loaded.origins.has(table.name);
    ShownTable { table, is_implied, rows: table.settings.iter().filter(concerns).map(row).collect() }
}

fn is_given(setting: &Setting, draft: &Draft) -> bool {
    (setting.show)(draft) != (setting.show)(&Draft::default())
}

/// A line, and what its comment says.
fn line(Row { setting, value, origin }: &Row) -> (String, String) {
    let key = setting.key;
    let line = match value {
        Shown::Toml(text) => format!("{key} = {text}"),
        Shown::Words(words) => format!("# {key}: {words}"),
        Shown::Hidden => format!("# {key}: hidden"),
    };
    (line, origin.to_string())
}

fn json_of(value: &Shown) -> Json {
    match value {
        Shown::Toml(text) => DeValue::parse(text).map_or(Json::Null, |value| json_of_toml(value.get_ref())),
        Shown::Words(_) | Shown::Hidden => Json::Null,
    }
}

fn json_of_toml(value: &DeValue<'_>) -> Json {
    match value {
        DeValue::String(text) => json!(text),
        DeValue::Boolean(value) => json!(value),
        DeValue::Integer(digits) => {
            u64::from_str_radix(digits.as_str(), digits.radix()).map_or(Json::Null, Json::from)
        }
        DeValue::Array(values) => values.iter().map(|value| json_of_toml(value.get_ref())).collect(),
        // No setting has such values.
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => Json::Null,
    }
}

/// Comments stand below each other behind lines that are not longer.
const WIDTH_MAX: usize = 60;

#[cfg(test)]
mod tests {
    use std::{ffi::OsString, fs, path::Path};

    use super::*;
    use crate::config::{
        environment::Environment,
        load::{Flags, load_with_origins, parse},
    };

    const FILE: &str = "[server]\nshards = 3\ndata_dir = \"/a \\\"b\\\" \\\\ c\"\n\
        [[auth]]\nkind = \"jwt\"\nsecret = \"a secret of the tests\"\nissuers = [\"i\"]\n\
        [[auth]]\nkind = \"http\"\nurl = \"http://x\"\nauthorization = \"Bearer hush\"\n\
        [[listener]]\nkind = \"unix\"\npath = \"/s\"\nauth = [\"http\"]\n\
        [[listener]]\nbind = \"::1\"\ntrusted_proxies = [\"10.0.0.0/8\"]\nproxy_protocol = true\n\
        [[queue]]\ntopic_filter = \"a/#\"\noverflow = \"reject\"\n";

    fn loaded(text: &str) -> (tempfile::TempDir, Loaded) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("dunlin.toml");
        fs::write(&file, text).unwrap();
        let variable = ("DUNLIN__LOG__LEVEL".to_owned(), OsString::from("warn"));
        let environment = Environment::new([variable]);
        let flags = Flags { config: Some(file), port: Some(9), environment, ..Flags::default() };
        (folder, load_with_origins(&flags).unwrap())
    }

    #[test]
    fn what_is_shown_is_the_configuration() {
        let (_folder, loaded) = loaded(FILE);
        let text = as_toml(&loaded);
        assert!(!text.contains("a secret") && !text.contains("hush"), "{text}");
        // The secrets have to be put back.
        let with_secrets = text
            .replace("# secret: hidden", "secret = \"a secret of the tests\" #")
            .replace("# authorization: hidden", "authorization = \"Bearer hush\" #");
        let again =
            parse(Path::new("shown"), &with_secrets).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(format!("{again:?}"), format!("{:?}", loaded.config));
    }

    #[test]
    fn defaults_stay_defaults() {
        let loaded = load_with_origins(&Flags::default()).unwrap();
        let text = as_toml(&loaded);
        let again = parse(Path::new("shown"), &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(format!("{again:?}"), format!("{:?}", loaded.config));
        assert!(text.starts_with("# No file was read.\n\n[server]\nshards = "), "{text}");
        assert!(text.contains("\n# [[listener]]\n") && text.contains("# data_dir: the user's"), "{text}");
    }

    #[test]
    fn every_value_says_where_it_comes_from() {
        let (folder, loaded) = loaded(FILE);
        let folder = folder.path().to_str().unwrap();
        let text = as_toml(&loaded).replace(folder, "");
        for line in [
            "shards = 3 # /dunlin.toml:2",
            "sys_interval_s = 10 # default",
            "# secret: hidden # /dunlin.toml:6",
            "level = \"warn\" # DUNLIN__LOG__LEVEL",
            "port = 9 # --port",
            "# port: by kind # default",
            "topic_filter = \"a/#\" # /dunlin.toml:21",
        ] {
            let is_there = |shown: &str| shown.split_whitespace().eq(line.split_whitespace());
            assert!(text.lines().any(is_there), "{line}\nis not in\n{text}");
        }
        let json: Json = serde_json::from_str(&as_json(&loaded).replace(folder, "")).unwrap();
        let rows = json["settings"].as_array().unwrap();
        let find = |table: &str, number: u64, key: &str| {
            let is_it = |row: &&Json| {
                row["table"] == table && row["key"] == key && row["number"].as_u64().unwrap_or(0) == number
            };
            rows.iter().find(is_it).unwrap().clone()
        };
        let shards = find("server", 0, "shards");
        assert_eq!(
            (&shards["value"], &shards["from"], &shards["line"]),
            (&json!(3), &json!("file"), &json!(2))
        );
        let secret = find("auth", 0, "secret");
        assert_eq!((&secret["value"], &secret["hidden"]), (&Json::Null, &json!(true)));
        assert_eq!(find("listener", 1, "port")["flag"], "--port");
        assert_eq!(find("listener", 1, "trusted_proxies")["value"], json!(["10.0.0.0/8"]));
        assert_eq!(find("log", 0, "level")["variable"], "DUNLIN__LOG__LEVEL");
        assert_eq!(find("server", 0, "data_dir")["value"], "/a \"b\" \\ c");
    }
}
