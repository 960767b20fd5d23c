//! Looks whether a Server could start with a configuration: all files that it names are read, and nothing is opened or changed.

use std::{error::Error, fs, io, path::Path};

use crate::{
    authentication,
    config::model::{Config, ListenerConfig, ListenerKind},
    lobby::door::Door,
    privileges, rights, socket_file,
    start_error::{StartError, refuse_public},
    storage::data_dir,
};

/// What keeps a Server with this configuration from starting, as far as that can be told without starting it: ports that are in
/// use, for instance, cannot.
#[must_use]
pub fn faults(config: &Config) -> Vec<String> {
    let mut faults = Vec::new();
    let mut note = |fault: &dyn Error| faults.push(fault.to_string());
    let of_providers = authentication::faults(config);
    of_providers.iter().for_each(|fault| note(fault));
    if of_providers.is_empty() {
        match authentication::chains(config) {
            Ok(chains) => refuse_public(config, &chains).err().iter().for_each(|fault| note(fault)),
            Err(fault) => note(&fault),
        }
    }
    rights::read(&config.rights, None).err().iter().for_each(|fault| note(fault));
    privileges::check(config).err().iter().for_each(|fault| note(fault));
    for (number, listener) in (0..).zip(&config.listeners) {
        if let Err(source) = Door::new(number, listener, config.broker.maximum_packet_size) {
            note(&StartError::Certificates { name: listener.name.clone(), source });
        }
    }
    faults.extend(config.listeners.iter().filter_map(fault_of_socket_file));
    faults.extend(fault_of_folder(config));
    faults
}

fn fault_of_socket_file(listener: &ListenerConfig) -> Option<String> {
    let path = listener.path.as_deref().filter(|_| listener.kind == ListenerKind::Unix)?;
    let fault = match socket_file::owners(listener) {
        Err(error) => error,
        Ok(_) => folder_of(path).err()?,
    };
    Some(format!("listener `{}`: cannot listen on {}: {fault}", listener.name, path.display()))
}

/// The folder in which a file is to be.
fn folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if fs::metadata(folder)?.is_dir() { Ok(()) } else { Err(io::ErrorKind::NotADirectory.into()) }
}

fn fault_of_folder(config: &Config) -> Option<String> {
    if config.storage.is_memory_only {
        return None;
    }
    let folder = data_dir(config);
    let fault = match fs::metadata(&folder) {
        Ok(facts) if facts.is_dir() => return None,
        Ok(_) => io::ErrorKind::NotADirectory.into(),
        // It will be made.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => error,
    };
    Some(format!("the data folder {}: {fault}; --data-dir DIR chooses another folder", folder.display()))
}
