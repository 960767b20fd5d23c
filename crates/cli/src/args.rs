//! Options that `pub` and `sub` share: which Server, and as whom.

use std::net::IpAddr;

use clap::{ArgAction, Args};
use dunlin_client::options::{Message, Observer, Options, ProtocolVersion, QoS};

use crate::exit::Failure;
use crate::properties::{Command, PropertyArgs};
use crate::trace::Trace;

/// Which Server, and as whom.
#[derive(Clone, Debug, Args)]
pub struct ConnectionArgs {
    /// Prints this help.
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
    /// Host name or address of the Server [default: localhost]
    #[arg(short, long, value_name = "HOST")]
    pub host: Option<String>,
    /// TCP port of the Server [default: 1883]
    #[arg(short, long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// User, password, host, port and topic in one URL.
    #[arg(
        short = 'L',
        long,
        value_name = "URL",
        conflicts_with_all = ["host", "port"],
        help = "User, password, host, port and topic as mqtt://[user[:password]@]host[:port]/topic"
    )]
    pub url: Option<String>,
    /// Local address to connect from
    #[arg(short = 'A', long = "bind-address", value_name = "ADDRESS")]
    pub bind: Option<IpAddr>,
    /// Client Identifier
    #[arg(short, long, value_name = "ID", conflicts_with = "id_prefix")]
    pub id: Option<String>,
    /// Client Identifier made of this and the process id
    #[arg(short = 'I', long, value_name = "PREFIX")]
    pub id_prefix: Option<String>,
    /// Seconds without a packet before a ping; 0 for none
    #[arg(short, long, value_name = "SECONDS", default_value_t = 60)]
    pub keepalive: u16,
    /// Goes on with a Session the Server has kept, and has it kept; needs -i
    #[arg(short = 'c', long)]
    pub disable_clean_session: bool,
    /// Seconds the Server keeps the Session; -1 for ever (MQTT 5)
    #[arg(short = 'x', long, value_name = "SECONDS", allow_hyphen_values = true, value_parser = parse_expiry)]
    pub session_expiry_interval: Option<u32>,
    /// Version of MQTT: mqttv31, mqttv311 or mqttv5
    #[arg(short = 'V', long, value_name = "VERSION", default_value = "mqttv311", value_parser = parse_version)]
    pub protocol_version: ProtocolVersion,
    /// User name
    #[arg(short = 'u', long, value_name = "NAME")]
    pub username: Option<String>,
    /// Password
    #[arg(short = 'P', long, value_name = "PASSWORD", allow_hyphen_values = true)]
    pub pw: Option<String>,
    /// Prints each packet
    #[arg(short, long)]
    pub debug: bool,
    /// Prints no errors
    #[arg(long)]
    pub quiet: bool,
    /// Topic of the Will Message
    #[arg(long, value_name = "TOPIC")]
    pub will_topic: Option<String>,
    /// Payload of the Will Message [default: empty]
    #[arg(long, value_name = "PAYLOAD", requires = "will_topic", allow_hyphen_values = true)]
    pub will_payload: Option<String>,
    /// QoS of the Will Message [default: 0]
    #[arg(long, value_name = "QOS", requires = "will_topic", value_parser = parse_qos)]
    pub will_qos: Option<QoS>,
    /// The Will Message is published as a Retained Message
    #[arg(long, requires = "will_topic")]
    pub will_retain: bool,
    /// Properties for the packets of MQTT 5.
    #[command(flatten)]
    pub properties: PropertyArgs,
    /// What other tools have and this build has not.
    #[command(flatten)]
    pub unsupported: UnsupportedArgs,
}

/// Options that are known, so that scripts get a clear answer, but not in this build.
#[derive(Clone, Debug, Args)]
pub struct UnsupportedArgs {
    /// Accepted: small packets always leave at once.
    #[arg(long, hide = true)]
    nodelay: bool,
    /// Accepted: there is no TLS to turn off.
    #[arg(long, hide = true)]
    no_tls: bool,
    #[arg(long, hide = true)]
    cafile: Option<String>,
    #[arg(long, hide = true)]
    capath: Option<String>,
    #[arg(long, hide = true)]
    cert: Option<String>,
    #[arg(long, hide = true)]
    key: Option<String>,
    #[arg(long, hide = true)]
    keyform: Option<String>,
    #[arg(long, hide = true)]
    ciphers: Option<String>,
    #[arg(long, hide = true)]
    insecure: bool,
    #[arg(long, hide = true)]
    tls_version: Option<String>,
    #[arg(long, hide = true)]
    tls_alpn: Option<String>,
    #[arg(long, hide = true)]
    tls_engine: Option<String>,
    #[arg(long, hide = true)]
    tls_keylog: Option<String>,
    #[arg(long, hide = true)]
    tls_use_os_certs: bool,
    #[arg(long, hide = true)]
    psk: Option<String>,
    #[arg(long, hide = true)]
    psk_identity: Option<String>,
    #[arg(long, hide = true)]
    proxy: Option<String>,
    #[arg(long, hide = true)]
    unix: Option<String>,
    #[arg(long, hide = true)]
    ws: bool,
    #[arg(short = 'S', hide = true)]
    srv: bool,
    #[arg(short = 'o', long = "options", hide = true)]
    options_file: Option<String>,
}

/// The Server and the Client, and the topic that a URL named.
pub(crate) struct Target {
    pub(crate) options: Options,
    pub(crate) topic: Option<String>,
}

impl ConnectionArgs {
    /// Makes the options of the library.
    pub(crate) fn target(&self) -> Result<Target, Failure> {
        self.unsupported.check()?;
        let mut options = match &self.url {
            Some(url) => Options::parse(url).map_err(Failure::usage)?,
            None => Options::new(self.host.as_deref().unwrap_or("localhost"), self.port.unwrap_or(1883)),
        };
        let topic = options.address.path.take();
        options.version = self.protocol_version;
        options.keep_alive_s = self.keepalive;
        options.bind = self.bind;
        options.clean_start = !self.disable_clean_session;
        options.topic_aliases_max = self.properties.topic_aliases();
        if self.username.is_some() {
            options.user_name.clone_from(&self.username);
        }
        if let Some(password) = &self.pw {
            options.password = Some(password.clone().into_bytes());
        }
        if options.password.is_some() && options.user_name.is_none() && !options.version.has_properties() {
            return Err(Failure::usage("-P needs -u before MQTT 5; give a user name, or use -V mqttv5"));
        }
        self.set_client_id(&mut options)?;
        self.set_properties(&mut options)?;
        if self.debug {
            let trace = Trace::new(options.version, &options.client_id);
            options.observer = Some(Observer::new(move |observation| trace.observe(observation)));
        }
        Ok(Target { options, topic })
    }

    fn set_client_id(&self, options: &mut Options) -> Result<(), Failure> {
        if let Some(id) = &self.id {
            options.client_id.clone_from(id);
        } else if let Some(prefix) = &self.id_prefix {
            options.client_id = format!("{prefix}{}", std::process::id());
        }
        if options.client_id.is_empty() && self.disable_clean_session {
            return Err(Failure::usage(
                "-c needs a client id, by which the Server finds the Session; give one with -i",
            ));
        }
        // Before 3.1.1 a Client has to name itself.
        if options.client_id.is_empty() && options.version == ProtocolVersion::V3_1 {
            options.client_id = format!("dunlin-{}", std::process::id());
        }
        Ok(())
    }

    fn set_properties(&self, options: &mut Options) -> Result<(), Failure> {
        if !options.version.has_properties() {
            if self.properties.is_given() || self.session_expiry_interval.is_some() {
                crate::output::warn(self.quiet, "-D and -x need -V mqttv5 and are left out");
            }
            options.will = self.will(Default::default());
            return Ok(());
        }
        let forever = self.disable_clean_session.then_some(u32::MAX);
        let expiry = self.session_expiry_interval.or(forever);
        options.properties = self.properties.connect(expiry)?;
        options.will = self.will(self.properties.of(Command::Will)?);
        Ok(())
    }

    fn will(&self, properties: dunlin_client::options::Properties) -> Option<Message> {
        let topic_name = self.will_topic.clone()?;
        let payload = self.will_payload.clone().unwrap_or_default().into_bytes();
        let qos = self.will_qos.unwrap_or_default();
        Some(Message { topic_name, qos, retain: self.will_retain, payload, properties })
    }
}

impl UnsupportedArgs {
    fn check(&self) -> Result<(), Failure> {
        let given = [
            ("--cafile", self.cafile.is_some()),
            ("--capath", self.capath.is_some()),
            ("--cert", self.cert.is_some()),
            ("--key", self.key.is_some()),
            ("--keyform", self.keyform.is_some()),
            ("--ciphers", self.ciphers.is_some()),
            ("--insecure", self.insecure),
            ("--tls-version", self.tls_version.is_some()),
            ("--tls-alpn", self.tls_alpn.is_some()),
            ("--tls-engine", self.tls_engine.is_some()),
            ("--tls-keylog", self.tls_keylog.is_some()),
            ("--tls-use-os-certs", self.tls_use_os_certs),
            ("--psk", self.psk.is_some()),
            ("--psk-identity", self.psk_identity.is_some()),
            ("--proxy", self.proxy.is_some()),
            ("--unix", self.unix.is_some()),
            ("--ws", self.ws),
            ("-S", self.srv),
            ("-o", self.options_file.is_some()),
        ];
        match given.iter().find(|(_, is_given)| *is_given) {
            None => Ok(()),
            Some((option, _)) => Err(Failure::usage(format!(
                "{option} is not in this build, which speaks MQTT over plain TCP and takes options from the command \
                 line only; leave it out"
            ))),
        }
    }
}

pub(crate) fn parse_qos(text: &str) -> Result<QoS, String> {
    text.parse().ok().and_then(QoS::from_value).ok_or_else(|| "a QoS is 0, 1 or 2".into())
}

fn parse_version(text: &str) -> Result<ProtocolVersion, String> {
    match text {
        "mqttv31" | "31" | "3.1" => Ok(ProtocolVersion::V3_1),
        "mqttv311" | "311" | "3.1.1" => Ok(ProtocolVersion::V3_1_1),
        "mqttv5" | "5" | "5.0" => Ok(ProtocolVersion::V5_0),
        _ => Err("a version is mqttv31, mqttv311 or mqttv5".into()),
    }
}

fn parse_expiry(text: &str) -> Result<u32, String> {
    match text {
        "-1" | "∞" => Ok(u32::MAX),
        _ => text.parse().map_err(|_| "give seconds, from 0 to 4294967294, or -1 for ever".into()),
    }
}
