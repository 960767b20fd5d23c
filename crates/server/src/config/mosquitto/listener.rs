//! The listeners of a `mosquitto.conf`. None becomes more open than it was: one with a limit that cannot be said is written as a
//! comment.

use std::{
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
};

use super::{access::Access, lines::Line, out::Block, outcome::Outcome};

/// A listener while its lines are read.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) block: Block,
    /// What is set for this listener alone.
    pub(super) access: Access,
    is_websocket: bool,
    is_file: bool,
    /// At all addresses.
    is_anywhere: bool,
    /// At those of this machine only.
    is_localhost: bool,
    has_key: bool,
    /// Its lines, the first one first.
    pub(super) lines: Vec<usize>,
    /// The line with its certificate.
    certificate: Option<usize>,
    /// That with the oldest version of TLS.
    tls_version: Option<usize>,
    /// Those with the CAs of Clients, and with lists of revoked certificates.
    of_clients: Vec<usize>,
    client_cas: Vec<String>,
    client_crls: Vec<String>,
    requires_certificate: bool,
    /// Which name of a certificate is the user name.
    pub(super) name_of_certificate: Option<&'static str>,
    /// Lines about limits that there are for all listeners together only.
    pub(super) for_all: Vec<(usize, &'static str, String)>,
}

impl Door {
    /// At a port of all addresses, or of this one.
    pub(super) fn new(port: &str, place: &str, has_ipv6: bool) -> (Self, Outcome) {
        let mut door = Self {
            block: Block::new("listener"),
            access: Access::default(),
            is_websocket: false,
            is_file: false,
            is_anywhere: false,
            is_localhost: false,
            has_key: false,
            lines: Vec::new(),
            certificate: None,
            tls_version: None,
            of_clients: Vec::new(),
            client_cas: Vec::new(),
            client_crls: Vec::new(),
            requires_certificate: false,
            name_of_certificate: None,
            for_all: Vec::new(),
        };
        let outcome = door.place_again(port, place, has_ipv6);
        (door, outcome)
    }

    /// At another place; it is barred if that cannot be taken over.
    pub(super) fn place_again(&mut self, port: &str, place: &str, has_ipv6: bool) -> Outcome {
        let outcome = self.place(port, place, has_ipv6);
        if outcome.is_lost() {
            self.bar(&format!("its place cannot be taken over: {}", outcome.note));
        }
        outcome
    }

    fn place(&mut self, port: &str, place: &str, has_ipv6: bool) -> Outcome {
        (self.is_file, self.is_anywhere, self.is_localhost) =
            (port == "0", place.is_empty(), place == "localhost");
        if self.is_file {
            return self.block.put_text("path", place).but("its mode is 660: `mode` says something else");
        }
        let address = match place {
            "" if has_ipv6 => "::",
            "" => "0.0.0.0",
            "localhost" => "127.0.0.1",
            address => address,
        };
        if address.parse::<IpAddr>().is_err() {
            return Outcome::not_supported("an IP address is needed here, a name is not enough");
        }
        let outcome = self.block.put_text("bind", address);
        if outcome.is_lost() {
            return outcome;
        }
        match self.block.put("port", port.to_owned()) {
            outcome if outcome.is_lost() => outcome,
            outcome => outcome.but(&format!("bind = \"{address}\"")),
        }
    }

    /// The same at the other address of this machine, if it is at those only.
    pub(super) fn twin(&self, has_ipv6: bool) -> Option<Block> {
        let mut block = (self.is_localhost && has_ipv6).then(|| self.block.clone())?;
        block.set_text("bind", "::1").ok()?;
        Some(block)
    }

    /// Has it written as a comment.
    pub(super) fn bar(&mut self, why: &str) {
        self.block.barred.push(why.to_owned());
    }

    /// What becomes of an option of this listener, which is line `number` of the report; nothing if it is none.
    pub(super) fn option(&mut self, line: &Line, number: usize) -> Option<Outcome> {
        let value = &*line.value;
        Some(match &*line.key {
            "dhparamfile" => Outcome::not_needed("keys are exchanged over elliptic curves"),
            "http_dir" => Outcome::not_supported("no files are served"),
            "protocol" => match value {
                "mqtt" | "websockets" => {
                    self.is_websocket = value == "websockets";
                    Outcome::taken("`kind` of the [[listener]]")
                }
                _ => self.refuse(line, "there is no such protocol here"),
            },
            "socket_domain" if !self.is_anywhere => Outcome::not_needed("the address says it"),
            "socket_domain" if value == "ipv4" => self.block.put_text("bind", "0.0.0.0"),
            "socket_domain" => self
                .block
                .put_text("bind", "::")
                .but("`::` takes IPv4 as well unless another listener has that port for it"),
            "websockets_origin" => self.block.put_texts("websocket_origins", value),
            "max_connections" if value.starts_with('-') => {
                Outcome::not_needed("there is no limit for a listener")
            }
            "max_qos" if value == "2" => Outcome::not_needed("all QoS are taken"),
            "max_connections" => self.later(number, "connections_max", value),
            "max_qos" => self.later(number, "maximum_qos", value),
            "max_topic_alias" => self.later(number, "topic_alias_maximum", value),
            _ => return self.tls(line, number).or_else(|| self.closing(line)),
        })
    }

    fn tls(&mut self, line: &Line, number: usize) -> Option<Outcome> {
        let value = &*line.value;
        let is_true = value == "true";
        Some(match &*line.key {
            "certfile" => {
                self.certificate = Some(number);
                self.block.put_texts("certificate_file", value)
            }
            "keyfile" => {
                self.has_key = true;
                self.block.put_texts("key_file", value)
            }
            "cafile" => {
                self.of_clients.push(number);
                self.client_cas.push(value.to_owned());
                Outcome::taken("`client_ca_file` of the [[listener]]")
            }
            "capath" => self.folder(value, number),
            "crlfile" => {
                self.of_clients.push(number);
                self.client_crls.push(value.to_owned());
                Outcome::taken("`client_crl_file` of the [[listener]]")
            }
            "require_certificate" => {
                self.requires_certificate = is_true;
                Outcome::taken("`client_certificates` of the [[listener]]")
            }
            "use_identity_as_username" | "use_subject_as_username" if !is_true => {
                Outcome::not_needed("it is not so")
            }
            "use_identity_as_username" => {
                self.name_of_certificate = Some("common_name");
                Outcome::taken("an [[auth]] of kind `certificate`")
            }
            "use_subject_as_username" => {
                self.name_of_certificate = self.name_of_certificate.or(Some("subject"));
                Outcome::taken(
                    "an [[auth]] of kind `certificate`; look whether its subjects are written as in your rules",
                )
            }
            "tls_version" => match value {
                "tlsv1.3" => {
                    self.tls_version = Some(number);
                    self.block.put_text("tls_version_min", "1.3")
                }
                "tlsv1.2" => Outcome::not_needed("it is the oldest that is spoken"),
                _ => Outcome::not_supported("TLS 1.2 is the oldest that is spoken"),
            },
            "disable_client_cert_date_checks" => match is_true {
                true => Outcome::not_supported("certificates of Clients count between their dates only"),
                false => Outcome::not_needed("the dates of certificates are looked at"),
            },
            "tls_keyform" if value == "pem" => Outcome::not_needed("keys are in PEM"),
            "tls_keyform" => self.refuse(line, "keys are in PEM files only"),
            "ciphers" | "ciphers_tls1.3" => {
                Outcome::not_supported("there are good ciphers only, and no choice of them")
            }
            _ => return None,
        })
    }

    /// Those without which it would let in more.
    fn closing(&mut self, line: &Line) -> Option<Outcome> {
        Some(match &*line.key {
            "tls_engine" | "tls_engine_kpass_sha1" => self.refuse(line, "keys are in PEM files only"),
            "mount_point"
            | "bind_interface"
            | "use_username_as_clientid"
            | "psk_hint"
            | "accept_protocol_versions"
            | "listener_allow_anonymous"
            | "listener_auto_id_prefix" => self.refuse(line, "there is nothing like it"),
            "enable_proxy_protocol" | "enable_proxy_protocol_v1" | "proxy_protocol_v2_require_tls" => {
                self.refuse(line, "`proxy_protocol` needs to be told which `trusted_proxies` are believed")
            }
            _ => return None,
        })
    }

    fn refuse(&mut self, line: &Line, why: &str) -> Outcome {
        if ["false", "0"].contains(&&*line.value) {
            return Outcome::not_needed("it is not so");
        }
        self.bar(&format!("`{}`: {why}", line.key));
        Outcome::not_supported(&format!("{why}; the listener is written as a comment"))
    }

    fn later(&mut self, number: usize, key: &'static str, value: &str) -> Outcome {
        self.for_all.push((number, key, value.to_owned()));
        Outcome::taken("")
    }

    /// The CAs in a folder, as they are there now.
    fn folder(&mut self, folder: &str, number: usize) -> Outcome {
        match certificates_in(Path::new(folder)) {
            Ok(files) if !files.is_empty() => {
                self.of_clients.push(number);
                self.client_cas.extend(files.iter().map(|file| file.display().to_string()));
                Outcome::taken("`client_ca_file` of the [[listener]]: the files that are in the folder now")
            }
            Ok(_) => Outcome::not_needed("there is no file *.pem or *.crt in it"),
            Err(error) => Outcome::not_supported(&error.to_string()),
        }
    }

    /// All its lines are read: kind and TLS. Returns lines whose outcome is another one now.
    pub(super) fn finish(&mut self) -> Vec<(usize, Outcome)> {
        let mut changed = Vec::new();
        let has_tls = self.block.has("certificate_file") && self.block.has("key_file");
        let wants_tls = self.certificate.is_some() || self.has_key || self.requires_certificate;
        if wants_tls && (!has_tls || self.is_file) {
            let why = "TLS needs `certfile` and `keyfile`, and a port";
            self.bar(why);
            changed.extend(self.certificate.map(|number| (number, Outcome::not_supported(why))));
        }
        let kind = match (self.is_file, has_tls, self.is_websocket) {
            (true, _, false) => "unix",
            (true, _, true) => {
                self.bar("WebSocket is not spoken at a socket file");
                "unix"
            }
            (false, true, true) => "wss",
            (false, true, false) => "tls",
            (false, false, true) => "ws",
            (false, false, false) => "tcp",
        };
        let put = |outcome: Result<(), String>| outcome.err();
        let mut faults: Vec<String> = put(self.block.set_text("kind", kind)).into_iter().collect();
        if self.requires_certificate && has_tls {
            faults.extend(put(self.block.set_text("client_certificates", "required")));
            if self.client_cas.is_empty() {
                faults.push("`require_certificate` without `cafile` or `capath`".to_owned());
            }
            if !self.client_cas.is_empty() {
                faults.extend(put(self.block.set_texts("client_ca_file", &self.client_cas)));
            }
            if !self.client_crls.is_empty() {
                faults.extend(put(self.block.set_texts("client_crl_file", &self.client_crls)));
            }
        } else {
            let why = "Clients are not asked for certificates (`require_certificate`)";
            changed.extend(self.of_clients.iter().map(|&number| (number, Outcome::not_needed(why))));
            if self.name_of_certificate.is_some() {
                faults.push("`use_identity_as_username` without `require_certificate`".to_owned());
            }
        }
        if !has_tls && self.block.has("tls_version_min") {
            // Mosquitto makes nothing of it either.
            self.block.remove("tls_version_min");
            changed.extend(
                self.tls_version.map(|number| (number, Outcome::not_needed("the listener has no TLS"))),
            );
        }
        faults.iter().for_each(|fault| self.bar(fault));
        changed
    }
}

fn certificates_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_certificate =
            path.extension().is_some_and(|extension| extension == "pem" || extension == "crt");
        if is_certificate && path.is_file() && files.len() < FILES_MAX {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The most files of a folder of CAs.
const FILES_MAX: usize = 1_000;
