//! A `mosquitto.conf` in our terms: each line is taken over, not needed, or not supported. What comes out lets nobody in who was not let in
//! before.

mod access;
mod known;
mod lines;
mod listener;
mod options;
mod out;
pub mod outcome;
mod paths;
pub mod report;

use std::{collections::HashSet, path::Path};

use super::{error::ConfigError, load::parse, model::LISTENERS_MAX};

use self::{
    access::Access,
    lines::{Line, read_all, split},
    listener::Door,
    options::general,
    out::{Block, Out},
    outcome::{Outcome, Verdict},
    paths::Paths,
    report::Reported,
};

/// What has become of a `mosquitto.conf`.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The configuration.
    pub toml: String,
    /// What has become of each line, in mosquitto's order.
    pub report: Vec<Reported>,
}

impl Imported {
    /// How many lines have come to this.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.report.iter().filter(|line| line.verdict == verdict).count()
    }

    /// Whether the Server takes the configuration.
    ///
    /// # Errors
    /// [`ConfigError::Mistakes`] with what it would not take.
    pub fn check(&self) -> Result<(), ConfigError> {
        parse(Path::new("dunlin.toml"), &self.toml).map(|_| ())
    }
}

/// Reads `file` and the folders that it includes. `has_ipv6` says whether listeners at all addresses take IPv6 as well.
///
/// # Errors
/// [`ConfigError::Read`] if the file cannot be read.
pub fn import(file: &Path, has_ipv6: bool) -> Result<Imported, ConfigError> {
    let paths = Paths::of(file);
    let lines = read_all(file, &paths)?;
    Ok(Converter::new(has_ipv6, paths.may_look()).convert(&lines, file))
}

/// The same for its `text`, without a look at the disk: nothing is included, and relative paths are taken from the root. The name of the
/// file is for messages only.
#[must_use]
pub fn import_text(file: &Path, text: &str, has_ipv6: bool) -> Imported {
    let paths = Paths::blind();
    Converter::new(has_ipv6, paths.may_look()).convert(&split(file, text, &paths), file)
}

struct Converter {
    out: Out,
    report: Vec<Reported>,
    has_ipv6: bool,
    may_look: bool,
    is_per_listener: bool,
    /// Whether an option has come that says who may connect.
    has_access: bool,
    /// Options that may come once for each listener, or for all.
    seen: HashSet<(Option<usize>, &'static str)>,
    /// What counts for all listeners.
    global: Access,
    /// The one that is there without `listener`.
    default: Door,
    default_port: Option<(usize, String)>,
    default_address: Option<(usize, String)>,
    doors: Vec<Door>,
    /// Where mosquitto keeps what it keeps.
    location: Option<(usize, String)>,
    /// Why no listener may be open.
    barred: Vec<String>,
    /// Files of users, and the names of their providers.
    users: Vec<(String, String)>,
}

impl Converter {
    fn new(has_ipv6: bool, may_look: bool) -> Self {
        let (default, _) = Door::new("1883", "localhost", has_ipv6);
        Self {
            out: Out::default(),
            report: Vec::new(),
            has_ipv6,
            may_look,
            is_per_listener: false,
            has_access: false,
            seen: HashSet::new(),
            global: Access::default(),
            default,
            default_port: None,
            default_address: None,
            doors: Vec::new(),
            location: None,
            barred: Vec::new(),
            users: Vec::new(),
        }
    }

    fn convert(mut self, lines: &[Line], file: &Path) -> Imported {
        let setting = lines.iter().rev().find(|line| line.key == "per_listener_settings");
        self.is_per_listener = setting.is_some_and(|line| line.value == "true");
        for line in lines {
            let outcome = self.line(line);
            self.report.push(Reported::new(line, outcome));
        }
        self.finish();
        let name: String = file.display().to_string().chars().filter(|c| !c.is_control()).collect();
        let toml = self.out.text(&format!("# From {name}, by dunlin config import.\n"));
        Imported { toml, report: self.report }
    }

    fn line(&mut self, line: &Line) -> Outcome {
        if let Some(outcome) = &line.outcome {
            return outcome.clone();
        }
        let number = self.report.len();
        if let Some(wrong) = self.out_of_place(&line.key) {
            return wrong;
        }
        match &*line.key {
            "listener" => return self.listener(number, &line.value),
            "port" => {
                self.default_port = Some((number, line.value.clone()));
                return Outcome::taken("`port` of a [[listener]]");
            }
            "bind_address" => {
                self.default_address = Some((number, line.value.clone()));
                return Outcome::taken("`bind` of a [[listener]]");
            }
            "clientid_prefixes" => {
                self.barred.push("`clientid_prefixes`: there is nothing like it".to_owned());
                return Outcome::not_supported(
                    "there is nothing like it; the listeners are written as comments",
                );
            }
            "persistence_location" => self.location = Some((number, line.value.clone())),
            "capath" | "include_dir" if !self.may_look => {
                return Outcome::not_supported("folders are not looked at");
            }
            key if is_of_bridge(key) => {
                return Outcome::not_supported(
                    "bridges are not there yet; until then mosquitto can be the bridge, as a Client",
                );
            }
            _ => {}
        }
        let door = self.doors.last_mut().unwrap_or(&mut self.default);
        let access = if self.is_per_listener { &mut door.access } else { &mut self.global };
        let of_access = access.option(line, number);
        self.has_access |= of_access.is_some();
        let is_of_door = of_access.is_none() || self.is_per_listener;
        let of_door = of_access.or_else(|| door.option(line, number));
        if is_of_door && of_door.is_some() {
            door.lines.push(number);
        }
        let outcome = of_door.or_else(|| general(line, &mut self.out));
        outcome.unwrap_or_else(|| Outcome::not_supported(NOTHING_KNOWN))
    }

    /// What mosquitto takes once only, or not here.
    fn out_of_place(&mut self, key: &str) -> Option<Outcome> {
        if key == "per_listener_settings" && self.has_access {
            return Some(Outcome::wrong("it before all options that say who may connect"));
        }
        let is_of_all = !self.is_per_listener && key.ends_with("_file");
        let place = if is_of_all { None } else { Some(self.doors.len()) };
        let name = ONCE.iter().find(|name| **name == key)?;
        let is_new = self.seen.insert((place, name));
        (!is_new).then(|| Outcome::wrong("it once, here and for this listener"))
    }

    fn listener(&mut self, number: usize, place: &str) -> Outcome {
        // A listener at `localhost` becomes two, and there is the one without `listener`.
        let is_one_too_many = 2 * (self.doors.len() + 2) > LISTENERS_MAX;
        let (port, place) = place.split_once(' ').unwrap_or((place, ""));
        let (mut door, mut outcome) = Door::new(port, place, self.has_ipv6);
        door.lines.push(number);
        if is_one_too_many {
            let why = format!("more than {} listeners", LISTENERS_MAX / 2 - 2);
            door.bar(&why);
            outcome = Outcome::not_supported(&why);
        }
        self.doors.push(door);
        outcome
    }

    /// Another outcome for a line that was read.
    fn judge(&mut self, number: usize, outcome: Outcome) {
        let Outcome { verdict, note } = outcome;
        if let Some(line) = self.report.get_mut(number) {
            (line.verdict, line.note) = (verdict, note);
        }
    }

    /// All lines are read.
    fn finish(&mut self) {
        let is_local = self.doors.is_empty() && self.default_port.is_none() && self.default_address.is_none();
        self.open_default(is_local);
        let mut doors = std::mem::take(&mut self.doors);
        for door in &mut doors {
            for (number, outcome) in door.finish() {
                self.judge(number, outcome);
            }
            self.barred.iter().for_each(|why| door.bar(why));
        }
        self.rules(&mut doors);
        for door in &mut doors {
            self.access(door, is_local);
        }
        self.empty_ids(&doors);
        self.limits(&doors);
        self.data_folder();
        for door in doors.iter().filter(|door| !door.block.barred.is_empty()) {
            if let Some(&first) = door.lines.first() {
                let why = format!("the listener is written as a comment: {}", door.block.barred.join("; "));
                self.judge(first, Outcome::not_supported(&why));
            }
        }
        if doors.iter().all(|door| !door.block.barred.is_empty()) {
            // Without any listener there would be one for everybody on this machine.
            let mut shut = Block::new("listener");
            let closed =
                shut.set("auth", "[]".to_owned()).and(shut.set("allow_anonymous", "false".to_owned()));
            closed.expect("these values are good");
            self.out.push(shut);
        }
        for door in doors {
            let twin = door.twin(self.has_ipv6);
            self.out.push(door.block);
            twin.into_iter().for_each(|twin| self.out.push(twin));
        }
    }

    /// Where mosquitto keeps its data there is room for ours, unless that is its usual folder.
    fn data_folder(&mut self) {
        let Some((number, folder)) = self.location.take() else { return };
        if self.out.table("storage").value_of("memory_only") != Some("false") {
            return;
        }
        let outcome = match folder.trim_end_matches('/') {
            "/var/lib/mosquitto" => Outcome::not_needed(
                "the data folder is one of its own: `data_dir` in [server], /var/lib/dunlin for root",
            ),
            folder => self.out.table("server").put_text("data_dir", &format!("{folder}/dunlin")),
        };
        self.judge(number, outcome);
    }

    /// The listener without `listener` is there if there is no other, or its place is named.
    fn open_default(&mut self, is_local: bool) {
        if !is_local && self.default_port.is_none() && self.default_address.is_none() {
            let why =
                "it is for the listener of `port`, which is not there; those of `listener` stand below it";
            for number in std::mem::take(&mut self.default.lines) {
                self.judge(number, Outcome::not_needed(why));
            }
            return;
        }
        let (mut door, _) = Door::new("1883", "localhost", self.has_ipv6);
        std::mem::swap(&mut door, &mut self.default);
        if !is_local {
            let port = self.default_port.clone().map_or("1883".to_owned(), |(_, port)| port);
            let address = self.default_address.clone().map_or(String::new(), |(_, address)| address);
            let outcome = door.place_again(&port, &address, self.has_ipv6);
            let lines = [&self.default_port, &self.default_address];
            let numbers: Vec<usize> = lines.into_iter().flatten().map(|(number, _)| *number).collect();
            door.lines.splice(0..0, numbers.iter().copied());
            numbers.into_iter().for_each(|number| self.judge(number, outcome.clone()));
        }
        self.doors.insert(0, door);
    }

    /// Who may connect at a listener.
    fn access(&mut self, door: &mut Door, is_local: bool) {
        let access = if self.is_per_listener { door.access.clone() } else { self.global.clone() };
        let asked = match (door.name_of_certificate, &access.password_file) {
            (Some(name), _) => Some(self.provider_of_certificates(name)),
            (None, Some((number, file))) => self.provider_of_users(*number, file),
            (None, None) => None,
        };
        if asked.is_none() && access.password_file.is_some() {
            door.bar("its `password_file` cannot be taken over");
        }
        let mut allows_anonymous = access.allows_anonymous.map_or(is_local, |(_, allows)| allows);
        if allows_anonymous && access.has_plugin {
            allows_anonymous = false;
            if let Some((number, _)) = access.allows_anonymous {
                let why = "without the plugin nobody could say what they may do; it is false";
                self.judge(number, Outcome::not_supported(why));
            }
        }
        allows_anonymous &= door.name_of_certificate.is_none();
        let names: Vec<String> = asked.into_iter().collect();
        let done = door.block.set_texts("auth", &names);
        let done = done.and(door.block.set("allow_anonymous", allows_anonymous.to_string()));
        done.unwrap_or_else(|why| door.bar(&why));
    }

    fn provider_of_certificates(&mut self, name: &str) -> String {
        let provider = format!("certificate-{}", name.replace('_', "-"));
        if !self.users.iter().any(|(_, known)| *known == provider) {
            let mut block = Block::new("auth");
            let done = block
                .set_text("name", &provider)
                .and(block.set_text("kind", "certificate"))
                .and(block.set_text("user_name", name));
            done.expect("these values are good");
            self.out.push(block);
            self.users.push((String::new(), provider.clone()));
        }
        provider
    }

    fn provider_of_users(&mut self, number: usize, file: &str) -> Option<String> {
        if let Some((_, known)) = self.users.iter().find(|(known, _)| known == file) {
            return Some(known.clone());
        }
        let provider = match self.users.iter().filter(|(file, _)| !file.is_empty()).count() {
            0 => "users".to_owned(),
            count => format!("users-{}", count + 1),
        };
        let mut block = Block::new("auth");
        let done = block
            .set_text("file", file)
            .and(block.set_text("name", &provider))
            .and(block.set_text("kind", "password_file"));
        if let Err(why) = done {
            self.judge(number, Outcome::not_supported(&why));
            return None;
        }
        self.out.push(block);
        self.users.push((file.to_owned(), provider.clone()));
        Some(provider)
    }

    /// Rules: one file for all listeners.
    fn rules(&mut self, doors: &mut [Door]) {
        let of = |door: &Door| if self.is_per_listener { door.access.acl_file.clone() } else { None };
        let first = doors.iter().find_map(of).or_else(|| self.global.acl_file.clone());
        let Some((number, file)) = first else { return };
        let is_for_all = !self.is_per_listener || doors.iter().all(|door| of(door).is_some());
        let outcome = self.out.table("rights").put_text("acl_file", &file);
        if outcome.is_lost() {
            doors.iter_mut().for_each(|door| door.bar("its `acl_file` cannot be taken over"));
            return self.judge(number, outcome);
        }
        for door in doors.iter_mut() {
            let own = if self.is_per_listener { door.access.acl_file.clone() } else { None };
            if let Some((number, _)) = own.filter(|(_, own)| *own != file) {
                door.bar("its `acl_file` is another one than that of the listener before");
                let why =
                    "there is one file of rules for all listeners; this listener is written as a comment";
                self.judge(number, Outcome::not_supported(why));
            }
        }
        if !is_for_all {
            let why = "the rules count at all listeners, also at those that have had none";
            self.judge(number, Outcome::not_supported(why));
        }
    }

    /// Whether Clients may come without a Client Identifier: the strictest counts for all listeners.
    fn empty_ids(&mut self, doors: &[Door]) {
        let said: Vec<(usize, bool)> = match self.is_per_listener {
            true => doors.iter().filter_map(|door| door.access.allows_empty_id).collect(),
            false => self.global.allows_empty_id.into_iter().collect(),
        };
        let Some(strictest) = said.iter().map(|(_, allows)| *allows).min() else { return };
        let done = self.out.table("mqtt").set("allow_empty_client_id", strictest.to_string());
        done.expect("true and false are good values");
        let is_for_all = !self.is_per_listener || said.len() == doors.len();
        for (number, allows) in said {
            if allows != strictest || !(is_for_all || allows) {
                self.judge(
                    number,
                    Outcome::not_supported("it is the same for all listeners: the strictest of them"),
                );
            }
        }
    }

    /// Limits that there are for all listeners together.
    fn limits(&mut self, doors: &[Door]) {
        let is_only = doors.len() == 1;
        for (line, key, value) in doors.iter().flat_map(|door| door.for_all.clone()) {
            let table = if key == "connections_max" { "limits" } else { "mqtt" };
            let outcome = match is_only {
                true => self.out.table(table).put(key, value),
                false => Outcome::not_supported(&format!(
                    "it counts for all listeners together: `{key}` in [{table}]"
                )),
            };
            self.judge(line, outcome);
        }
    }
}

/// Whether an option belongs to `connection`.
fn is_of_bridge(key: &str) -> bool {
    key.starts_with("bridge_") || BRIDGE_OPTIONS.contains(&key)
}

/// Options that mosquitto takes once for a listener; those of files for all listeners if these have no settings of their own.
const ONCE: [&str; 13] = [
    "acl_file",
    "bind_interface",
    "cafile",
    "capath",
    "certfile",
    "crlfile",
    "http_dir",
    "keyfile",
    "mount_point",
    "password_file",
    "psk_file",
    "psk_hint",
    "tls_version",
];

/// Of an option of mosquitto that nobody has thought of here.
const NOTHING_KNOWN: &str = "nothing is known of it here";

/// Those whose names do not say it.
const BRIDGE_OPTIONS: [&str; 28] = [
    "connection",
    "address",
    "addresses",
    "cleansession",
    "clientid",
    "idle_timeout",
    "keepalive_interval",
    "local_cleansession",
    "local_clientid",
    "local_password",
    "local_username",
    "notification_topic",
    "notifications",
    "notifications_local_only",
    "password",
    "reload_type",
    "remote_clientid",
    "remote_password",
    "remote_username",
    "restart_timeout",
    "round_robin",
    "start_type",
    "threshold",
    "topic",
    "try_private",
    "username",
    "tcp_user_timeout",
    "tcp_keepalive",
];

#[cfg(test)]
mod tests;
