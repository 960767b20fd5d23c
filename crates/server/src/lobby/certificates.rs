//! The certificates of the listeners in the course of time: read again when their files change, and told of before they end.

use std::{
    os::unix::fs::MetadataExt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use dunlin_broker::permissions::{revoked::Revoked, subject::CertificateFacts};
use dunlin_net::tls::{certificate::Certificate, error::FileError, server::TlsSettings};
use tokio::{task::spawn_blocking, time::sleep};

use crate::config::model::TlsConfig;

use super::door::{Door, DoorTls};

/// What rules may ask about a certificate.
pub(super) fn facts(certificate: Certificate) -> CertificateFacts {
    let boxed = |texts: Vec<String>| texts.into_iter().map(String::into_boxed_str).collect();
    CertificateFacts {
        subject: certificate.subject.into(),
        common_name: certificate.common_name.map(String::into_boxed_str),
        dns_names: boxed(certificate.dns_names),
        uri_names: boxed(certificate.uris),
        mail_names: boxed(certificate.mail_addresses),
        issuer: certificate.issuer.into(),
        serial: certificate.serial.into(),
        fingerprint: certificate.fingerprint,
    }
}

/// The certificates of Clients that are revoked at any listener: who has shown one may be nowhere.
pub(crate) fn revoked(doors: &[Arc<Door>]) -> Arc<Revoked> {
    let mut all = Revoked::default();
    for (_, tls) in with_tls(doors) {
        for list in &*tls.revoked() {
            all.add(&list.issuer, list.revoked.iter().map(|(serial, _)| serial.as_str()));
        }
    }
    Arc::new(all)
}

/// Reads the files of all listeners again, which ends no connection by itself; a listener whose files cannot be used stays as it was.
pub(crate) fn reload(doors: &[Arc<Door>]) -> Vec<(String, FileError)> {
    let mut failed = Vec::new();
    for (door, tls) in with_tls(doors) {
        match tls.reload() {
            Ok(()) => tracing::info!(listener = &*door.name, "certificates and keys are read again"),
            Err(error) => {
                tracing::error!(listener = &*door.name, "the certificates stay as they were: {error}");
                failed.push((door.name.to_string(), error));
            }
        }
    }
    failed
}

/// Warns of what will be over soon.
pub(crate) fn warn_of_ends(doors: &[Arc<Door>], warning_days: u16) {
    let now = SystemTime::now();
    let horizon = now + DAY * u32::from(warning_days);
    for (door, tls) in with_tls(doors) {
        for end in tls.ends().iter().filter(|end| warning_days > 0 && end.at < horizon) {
            let listener = &*door.name;
            match end.at.duration_since(now) {
                Ok(left) => {
                    let days = left.as_secs() / DAY.as_secs();
                    tracing::warn!(listener, days, "{} ends in {days} days: renew it", end.what);
                }
                Err(_) => tracing::warn!(listener, "{} is over: renew it", end.what),
            }
        }
    }
}

/// Looks at the files again and again and reads those anew that have changed; `on_change` is called then. Warns once a day.
pub(crate) async fn watch(
    doors: Vec<Arc<Door>>,
    config: TlsConfig,
    on_change: impl Fn() + Send + Sync + 'static,
) {
    let on_change = Arc::new(on_change);
    let interval = match config.watch_interval_s {
        0 => DAY,
        seconds => Duration::from_secs(u64::from(seconds)),
    };
    let Some(mut watched) = in_background(doors.clone(), |doors| states(&doors)).await else { return };
    let mut waited = Duration::ZERO;
    loop {
        sleep(interval).await;
        waited += interval;
        if waited >= DAY {
            waited = Duration::ZERO;
            warn_of_ends(&doors, config.expiry_warning_days);
        }
        if config.watch_interval_s == 0 {
            continue;
        }
        let work = (doors.clone(), watched, Arc::clone(&on_change));
        let looked = in_background(work, |(doors, mut watched, on_change)| {
            if look(&doors, &mut watched) {
                on_change();
            }
            watched
        });
        let Some(after) = looked.await else { return };
        watched = after;
    }
}

/// What is known of one file; a link that shows to another file makes it another one.
type FileState = Option<(u64, u64, i64, i64, i64, i64, u64)>;

/// What is known of the files of a listener.
#[derive(Clone)]
struct Watched {
    /// When they were read last.
    read: Vec<FileState>,
    /// At the last look.
    seen: Vec<FileState>,
}

/// Reads those listeners again whose files have changed and have stayed as they are since the last look: certificate and key
/// are seldom written in the same moment. Says whether any were read.
fn look(doors: &[Arc<Door>], watched: &mut [Watched]) -> bool {
    let mut has_read = false;
    for ((door, tls), watched) in with_tls(doors).zip(watched) {
        let now = state(&tls.settings());
        if now != watched.read && now == watched.seen {
            watched.read.clone_from(&now);
            has_read |= reload(std::slice::from_ref(door)).is_empty();
        }
        watched.seen = now;
    }
    has_read
}

fn states(doors: &[Arc<Door>]) -> Vec<Watched> {
    let all = with_tls(doors).map(|(_, tls)| state(&tls.settings()));
    all.map(|state| Watched { read: state.clone(), seen: state }).collect()
}

fn state(settings: &TlsSettings) -> Vec<FileState> {
    let one = |file: &std::path::PathBuf| {
        // One that is not there now may be there at the next look.
        let facts = std::fs::metadata(file).ok()?;
        let (changed, changed_ns) = (facts.ctime(), facts.ctime_nsec());
        Some((facts.dev(), facts.ino(), facts.mtime(), facts.mtime_nsec(), changed, changed_ns, facts.len()))
    };
    settings.files().map(one).collect()
}

fn with_tls(doors: &[Arc<Door>]) -> impl Iterator<Item = (&Arc<Door>, &DoorTls)> {
    doors.iter().filter_map(|door| Some((door, door.tls.as_ref()?)))
}

/// Does something that waits for the disk; `None` if the Server ends.
async fn in_background<T: Send + 'static, R: Send + 'static>(
    work: T,
    act: impl FnOnce(T) -> R + Send + 'static,
) -> Option<R> {
    // It fails if it panics, which the log has told then, or if the Server ends.
    spawn_blocking(move || act(work)).await.ok()
}

const DAY: Duration = Duration::from_secs(86_400);
