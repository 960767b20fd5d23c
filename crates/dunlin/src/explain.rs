//! `dunlin explain`: asks the running Server, or the rules in files where none runs.

use std::process::ExitCode;

use dunlin_cli::commands::explain::{Asked, args::ExplainArgs, ask, fail};

/// Answers and returns the exit code of the process.
pub(crate) fn run(args: &ExplainArgs) -> ExitCode {
    let asker = args.asker();
    let code = if asker.config.is_some() {
        from_files(args)
    } else {
        match ask(args) {
            Asked::Answered(code) => code,
            Asked::NoServer(why) if asker.socket.is_some() || asker.data_dir.is_some() => fail(&why),
            Asked::NoServer(why) => without_server(args, &why),
        }
    };
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

#[cfg(not(feature = "server"))]
fn without_server(_: &ExplainArgs, why: &str) -> i32 {
    fail(why)
}

#[cfg(not(feature = "server"))]
fn from_files(_: &ExplainArgs) -> i32 {
    fail("this program was built without the Server: it cannot read its files")
}

#[cfg(feature = "server")]
use self::files::{from_files, without_server};

/// Without a Server: what the rules in the files say.
#[cfg(feature = "server")]
mod files {
    use std::{
        net::{IpAddr, Ipv4Addr},
        path::{Path, PathBuf},
    };

    use dunlin_cli::commands::explain::{
        FromFiles,
        args::{Action, ExplainArgs},
        fail, tell, warn,
    };
    use dunlin_server::{
        config::{
            environment::Environment,
            load::{Flags, load},
            model::{Config, ListenerConfig},
        },
        rights::{Asker, Explanation, Wish, explain},
    };

    /// Where a service has its configuration.
    const USUAL_CONFIG: &str = "/etc/dunlin/dunlin.toml";

    /// Nobody answers: says so and asks the usual file, if there is one.
    pub(super) fn without_server(args: &ExplainArgs, why: &str) -> i32 {
        if !Path::new(USUAL_CONFIG).exists() {
            return fail(&format!("{why}; or --config FILE asks the rules in files"));
        }
        warn(&format!("{why}; {USUAL_CONFIG} is asked instead"));
        answer(args, PathBuf::from(USUAL_CONFIG))
    }

    /// Asks the file that `--config` names.
    pub(super) fn from_files(args: &ExplainArgs) -> i32 {
        answer(args, args.asker().config.clone().unwrap_or_default())
    }

    fn answer(args: &ExplainArgs, file: PathBuf) -> i32 {
        match find(args, file) {
            Ok(found) => tell(args, &found),
            Err(error) => fail(&error.to_string()),
        }
    }

    fn find(args: &ExplainArgs, file: PathBuf) -> Result<FromFiles, Box<dyn std::error::Error>> {
        let wish = match &args.action {
            Action::Publish { topic, qos, retain, .. } => Wish::Publish { topic, qos: *qos, retain: *retain },
            Action::Subscribe { filter, qos, .. } => Wish::Subscribe { filter, qos: *qos },
            Action::Receive { topic, .. } => Wish::Receive { topic },
            Action::Missing { .. } => {
                return Err("only a running Server knows why a message is missing".into());
            }
        };
        let environment = Environment::of_process();
        let config = load(&Flags { config: Some(file), environment, ..Flags::default() })?;
        let said = args.asker();
        let asker = Asker {
            client_id: said.client.clone(),
            user_name: said.user.clone(),
            groups: said.group.clone(),
            address: said.address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        };
        let Explanation { is_allowed, rule, reason } = explain(&config.rights, &asker, wish)?;
        let doors = config.listeners.iter().map(|listener| door(listener, &config)).collect();
        Ok(FromFiles { is_allowed, rule, reason, doors })
    }

    /// A listener, and who is asked there.
    fn door(listener: &ListenerConfig, config: &Config) -> String {
        let all = || config.auths.iter().map(|auth| auth.name.clone()).collect();
        let providers: Vec<String> = listener.auth.clone().unwrap_or_else(all);
        let place = match &listener.path {
            Some(path) => path.display().to_string(),
            None => format!("{} port {}", listener.bind, listener.port),
        };
        let allows_anonymous = listener.allow_anonymous.unwrap_or(providers.is_empty());
        let asked = match (providers.is_empty(), allows_anonymous) {
            (true, true) => "nobody is asked who they are".to_owned(),
            (true, false) => "nobody is let in".to_owned(),
            (false, true) => format!("asks {}; anonymous Clients are let in", providers.join(", ")),
            (false, false) => format!("asks {}", providers.join(", ")),
        };
        format!("{} at {place}: {asked}", listener.name)
    }
}
