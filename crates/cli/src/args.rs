//! Options that `pub` and `sub` share: which Server, and as whom.

use std::net::IpAddr;

use clap::{ArgAction, Args};
use dunlin_client::authentication::Authentication;
use dunlin_client::options::{Message, Observer, Options, ProtocolVersion, QoS};
use dunlin_client::scram::Scram;
use dunlin_net::arguments::{TransportArgs, Way};

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
    /// TCP port of the Server [default: 1883, with TLS 8883, with WebSocket 8083, with both 8084]
    #[arg(short, long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// User, password, host, port and topic in one URL.
    #[arg(
        short = 'L',
        long,
        value_name = "URL",
        conflicts_with_all = ["host", "port"],
        help = "User, password, host, port and topic as mqtt[s]://[user[:password]@]host[:port]/topic, with the path of \
                the HTTP request instead of a topic for ws[s]://, or unix:///path"
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
    #[arg(short = 'V', long, value_name = "VERSION", default_value = "mqttv311")]
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
    #[arg(long, value_name = "QOS", requires = "will_topic")]
    pub will_qos: Option<QoS>,
    /// The Will Message is published as a Retained Message
    #[arg(long, requires = "will_topic")]
    pub will_retain: bool,
    /// What lies between TCP and MQTT.
    #[command(flatten)]
    pub transport: TransportArgs,
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
    #[arg(long, hide = true)]
    proxy: Option<String>,
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
        let way = self.transport.way(self.host.as_deref(), self.port, self.url.as_deref());
        let Way { address, tls, warnings } = way.map_err(Failure::usage)?;
        warnings.iter().for_each(|warning| crate::output::warn(self.quiet, warning));
        let has_topic = !address.scheme.has_websocket();
        let mut options = Options::at(address);
        options.tls = tls;
        let topic = if has_topic { options.address.path.take() } else { None };
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
        self.set_authentication(&mut options)?;
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

    /// With `-D connect authentication-method SCRAM-SHA-256` the password is proved and not sent.
    fn set_authentication(&self, options: &mut Options) -> Result<(), Failure> {
        let method = self.properties.authentication_method();
        let Some(method) = method.filter(|_| options.version.has_properties()) else { return Ok(()) };
        if method != Scram::NAME {
            return Err(Failure::usage(format!(
                "the Authentication Method {method:?} is not known here, only {}; with authentication-data it is sent as it is",
                Scram::NAME
            )));
        }
        let (Some(user_name), Some(password)) = (options.user_name.take(), options.password.take()) else {
            return Err(Failure::usage(format!(
                "{} needs a user name and a password; give -u and -P",
                Scram::NAME
            )));
        };
        options.authentication = Some(Authentication::new(Scram::new(user_name, password)));
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
        let given =
            [("--proxy", self.proxy.is_some()), ("-S", self.srv), ("-o", self.options_file.is_some())];
        match given.iter().find(|(_, is_given)| *is_given) {
            None => Ok(()),
            Some((option, _)) => Err(Failure::usage(format!(
                "{option} is not in this build, which finds Servers by name and takes options from the command line \
                 only; leave it out"
            ))),
        }
    }
}

fn parse_expiry(text: &str) -> Result<u32, String> {
    match text {
        "-1" | "∞" => Ok(u32::MAX),
        _ => text.parse().map_err(|_| "give seconds, from 0 to 4294967294, or -1 for ever".into()),
    }
}
