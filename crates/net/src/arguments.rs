//! Options of command lines that say how a Server is reached, as mosquitto's tools have them: one definition for all tools.

use std::path::PathBuf;

use clap::Args;

use crate::{
    address::{Address, Scheme},
    tls::{client::ClientTls, files::KeyFiles},
};

/// What lies between TCP and MQTT.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "TLS, WebSocket, socket files")]
pub struct TransportArgs {
    /// Speaks TLS, and believes the CAs of the system; other options of TLS include this
    #[arg(long)]
    tls: bool,
    /// File with the certificates (PEM) of the CAs to believe
    #[arg(long, value_name = "FILE")]
    cafile: Option<PathBuf>,
    /// Folder with such files
    #[arg(long, value_name = "FOLDER")]
    capath: Option<PathBuf>,
    /// Believes the CAs of the system, also beside --cafile
    #[arg(long)]
    tls_use_os_certs: bool,
    /// File with the certificate (PEM) of this Client
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,
    /// File with its private key (PEM)
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Believes a Server whose certificate is for another name: whoever has some certificate of these CAs
    #[arg(long)]
    insecure: bool,
    /// Oldest version of TLS: tlsv1.2 or tlsv1.3 [default: tlsv1.2]
    #[arg(long, value_name = "VERSION", value_parser = parse_is_1_3_only)]
    tls_version: Option<bool>,
    /// Protocol that is named within TLS [default: mqtt, with WebSocket http/1.1]
    #[arg(long, value_name = "PROTOCOL")]
    tls_alpn: Option<String>,
    /// Speaks no TLS at port 8883 either
    #[arg(long)]
    no_tls: bool,
    /// Speaks WebSocket
    #[arg(long)]
    ws: bool,
    /// Socket file of the Server, instead of host and port
    #[arg(long, value_name = "PATH")]
    unix: Option<String>,
    #[arg(long, hide = true)]
    keyform: Option<String>,
    #[arg(long, hide = true)]
    ciphers: Option<String>,
    #[arg(long, hide = true)]
    psk: Option<String>,
    #[arg(long, hide = true)]
    psk_identity: Option<String>,
    #[arg(long, hide = true)]
    tls_engine: Option<String>,
    #[arg(long, hide = true)]
    tls_engine_kpass_sha1: Option<String>,
    #[arg(long, hide = true)]
    tls_keylog: Option<String>,
}

/// How to reach a Server.
#[derive(Clone, Debug)]
pub struct Way {
    /// Where.
    pub address: Address,
    /// Whom to believe there, and as whom to come.
    pub tls: ClientTls,
    /// What of the options does nothing, for people.
    pub warnings: Vec<&'static str>,
}

impl TransportArgs {
    /// Puts these options and where the Server is together. As with mosquitto's tools the port 8883 means TLS unless something
    /// else is said.
    ///
    /// # Errors
    /// What does not fit together, or is not there, in words for a person.
    pub fn way(&self, host: Option<&str>, port: Option<u16>, url: Option<&str>) -> Result<Way, String> {
        self.check()?;
        let mut address = self.address(host, port, url)?;
        let is_tls_port = address.scheme == Scheme::Mqtt && address.port == Scheme::Mqtts.default_port();
        if self.wants_tls() || (is_tls_port && !self.no_tls) {
            let had_default = port.is_none() && url.is_none();
            address.scheme = address.scheme.with_tls();
            if had_default {
                address.port = address.scheme.default_port();
            }
        }
        if address.scheme.has_tls() && self.no_tls {
            return Err(format!("--no-tls does not go with {}://", address.scheme.name()));
        }
        let mut warnings = Vec::new();
        if self.insecure && !address.scheme.has_tls() {
            warnings.push("--insecure does nothing without TLS; give --cafile, --tls or mqtts://");
        }
        if self.ciphers.is_some() {
            warnings.push("--ciphers is not needed and does nothing: only safe ones are there");
        }
        Ok(Way { address, tls: self.settings(), warnings })
    }

    fn address(&self, host: Option<&str>, port: Option<u16>, url: Option<&str>) -> Result<Address, String> {
        if let Some(path) = &self.unix {
            return match (host, port, url) {
                (None, None, None) if !self.ws && !self.wants_tls() => {
                    Ok(Address::with_scheme(Scheme::Unix, path.as_str(), 0))
                }
                (None, None, None) => Err("--unix is for plain MQTT; leave --ws and TLS out".into()),
                _ => Err("--unix is instead of host, port and URL; leave these out".into()),
            };
        }
        if let Some(url) = url {
            let address = Address::parse(url).map_err(|error| error.to_string())?;
            if self.ws && !address.scheme.has_websocket() {
                return Err("--ws does not go with this URL; write ws:// or wss:// in it".into());
            }
            if address.scheme == Scheme::Unix && self.wants_tls() {
                return Err("unix:// is for plain MQTT; leave TLS out".into());
            }
            return Ok(address);
        }
        let scheme = if self.ws { Scheme::Ws } else { Scheme::Mqtt };
        let port = port.unwrap_or(scheme.default_port());
        Ok(Address::with_scheme(scheme, host.unwrap_or("localhost"), port))
    }

    fn wants_tls(&self) -> bool {
        let files = [&self.cafile, &self.capath, &self.cert, &self.key];
        self.tls
            || self.tls_use_os_certs
            || self.tls_version.is_some()
            || self.tls_alpn.is_some()
            || files.iter().any(|file| file.is_some())
    }

    fn settings(&self) -> ClientTls {
        let identity = self.cert.clone().zip(self.key.clone());
        ClientTls {
            ca_files: self.cafile.iter().cloned().collect(),
            ca_folders: self.capath.iter().cloned().collect(),
            uses_system_cas: self.tls_use_os_certs,
            identity: identity.map(|(certificate, key)| KeyFiles { certificate, key }),
            is_1_3_only: self.tls_version.unwrap_or(false),
            protocol: self.tls_alpn.clone(),
            skips_name: self.insecure,
            ..ClientTls::default()
        }
    }

    fn check(&self) -> Result<(), String> {
        if self.cert.is_some() != self.key.is_some() {
            return Err("--cert and --key belong together; give both".into());
        }
        if self.no_tls && self.wants_tls() {
            return Err("--no-tls does not go with other options of TLS".into());
        }
        if self.psk.is_some() || self.psk_identity.is_some() {
            return Err(
                "--psk is not supported: there are no pre-shared keys in this TLS; use a certificate with \
                        --cert and --key (`dunlin cert client` makes one)"
                    .into(),
            );
        }
        if self.keyform.as_deref().is_some_and(|form| !form.eq_ignore_ascii_case("pem")) {
            return Err("--keyform: keys are files in PEM; give the key with --key".into());
        }
        if self.tls_engine.is_some() || self.tls_engine_kpass_sha1.is_some() {
            return Err(
                "--tls-engine is not supported: there are no engines in this TLS; give the key as a file \
                        with --key"
                    .into(),
            );
        }
        if self.tls_keylog.is_some() {
            return Err("--tls-keylog is not in this build; leave it out".into());
        }
        Ok(())
    }
}

fn parse_is_1_3_only(text: &str) -> Result<bool, String> {
    match text {
        "tlsv1.2" => Ok(false),
        "tlsv1.3" => Ok(true),
        "tlsv1.1" | "tlsv1" | "tlsv1.0" => {
            Err("TLS before 1.2 is not safe and not spoken; give tlsv1.2 or tlsv1.3".into())
        }
        _ => Err("a version is tlsv1.2 or tlsv1.3".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    #[command(disable_help_flag = true)]
    struct Cli {
        #[arg(short)]
        host: Option<String>,
        #[arg(short)]
        port: Option<u16>,
        #[arg(short = 'L')]
        url: Option<String>,
        #[command(flatten)]
        transport: TransportArgs,
    }

    fn way(line: &str) -> Result<Way, String> {
        let words = line.split(' ').filter(|word| !word.is_empty());
        let cli = Cli::try_parse_from(["x"].into_iter().chain(words)).map_err(|error| error.to_string())?;
        cli.transport.way(cli.host.as_deref(), cli.port, cli.url.as_deref())
    }

    #[test]
    fn options_say_where_the_server_is() {
        for (line, shown) in [
            ("", "localhost:1883"),
            ("-h a -p 1", "a:1"),
            ("--cafile x", "mqtts://localhost:8883"),
            ("--tls -p 1883", "mqtts://localhost:1883"),
            ("-p 8883", "mqtts://localhost:8883"),
            ("-p 8883 --no-tls", "localhost:8883"),
            ("-L mqtt://a:8883", "mqtts://a:8883"),
            ("--capath x -L mqtt://a", "mqtts://a:1883"),
            ("--ws", "ws://localhost:8083/mqtt"),
            ("--ws -p 9001", "ws://localhost:9001/mqtt"),
            ("--ws --tls-use-os-certs", "wss://localhost:8084/mqtt"),
            ("--ws -L wss://a/x", "wss://a:8084/x"),
            ("--unix /run/mqtt", "unix:///run/mqtt"),
            ("--insecure", "localhost:1883"),
            ("--tls-version tlsv1.3", "mqtts://localhost:8883"),
        ] {
            assert_eq!(way(line).unwrap().address.to_string(), shown, "{line}");
        }
    }

    #[test]
    fn options_say_whom_to_believe() {
        let found =
            way("--cafile ca --capath cas --cert c --key k --insecure --tls-version tlsv1.3 --tls-alpn x")
                .unwrap();
        let expected = ClientTls {
            ca_files: vec!["ca".into()],
            ca_folders: vec!["cas".into()],
            identity: Some(KeyFiles { certificate: "c".into(), key: "k".into() }),
            is_1_3_only: true,
            protocol: Some("x".into()),
            skips_name: true,
            ..ClientTls::default()
        };
        assert_eq!(found.tls, expected);
        assert!(found.warnings.is_empty());
        assert!(way("--insecure").unwrap().warnings[0].contains("without TLS"));
        assert!(way("--tls --ciphers X --keyform PEM").unwrap().warnings[0].contains("not needed"));
    }

    #[test]
    fn what_is_not_there_or_does_not_fit_is_told() {
        for (line, words) in [
            ("--cert c", "--cert and --key belong together"),
            ("--psk 00 --psk-identity x", "--psk is not supported"),
            ("--keyform engine --cert c --key k", "files in PEM"),
            ("--tls-engine pkcs11", "--tls-engine is not supported"),
            ("--tls-keylog f", "not in this build"),
            ("--tls-version tlsv1.1", "TLS before 1.2"),
            ("--tls-version 9", "a version is"),
            ("--no-tls --cafile x", "does not go with other options"),
            ("--no-tls -L mqtts://a", "--no-tls does not go with mqtts://"),
            ("--unix /x -h a", "instead of host"),
            ("--unix /x --tls", "plain MQTT"),
            ("--tls -L unix:///x", "plain MQTT"),
            ("--ws -L mqtt://a", "write ws://"),
            ("-L http://a", "unknown scheme"),
        ] {
            let error = way(line).map(|way| way.address).unwrap_err();
            assert!(error.contains(words), "{line}: {error}");
        }
    }
}
