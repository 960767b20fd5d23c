//! What the system knows of a process: processor time, memory, context switches. Nothing where there is no `/proc`.

use std::fs;
use std::net::SocketAddr;
use std::time::Instant;

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::args::PidChoice;
use crate::failure::Failure;

/// A process at one instant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot {
    at: Instant,
    /// Seconds in user and kernel mode, in steps of a hundredth.
    user: f64,
    system: f64,
    /// Seconds on a processor of all threads that live, exact.
    exact: f64,
    voluntary_switches: u64,
    involuntary_switches: u64,
    /// Bytes.
    pub(crate) resident: u64,
    pub(crate) resident_peak: u64,
    pub(crate) threads: u64,
}

/// What a process used between two snapshots.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    pub(crate) wall_s: f64,
    pub(crate) user_s: f64,
    pub(crate) system_s: f64,
    pub(crate) voluntary_switches: u64,
    pub(crate) involuntary_switches: u64,
}

impl Used {
    /// Seconds on a processor.
    pub(crate) fn processor_s(&self) -> f64 {
        self.user_s + self.system_s
    }
}

impl Snapshot {
    /// Looks at process `pid`; nothing if there is none.
    pub(crate) fn take(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let (_, fields) = stat.rsplit_once(')')?;
        let mut ticks = fields.split_whitespace().skip(11).map(|field| field.parse().unwrap_or(0.0));
        let per_second = rustix::param::clock_ticks_per_second() as f64;
        let mut snapshot = Self {
            at: Instant::now(),
            user: ticks.next()? / per_second,
            system: ticks.next()? / per_second,
            exact: 0.0,
            voluntary_switches: 0,
            involuntary_switches: 0,
            resident: field(&status, "VmRSS:") * 1_024,
            resident_peak: field(&status, "VmHWM:") * 1_024,
            threads: field(&status, "Threads:"),
        };
        for thread in threads(pid) {
            let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/task/{thread}/{file}"));
            if let Ok(text) = read("schedstat") {
                let ns: f64 = text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0.0);
                snapshot.exact += ns / 1e9;
            }
            if let Ok(status) = read("status") {
                snapshot.voluntary_switches += field(&status, "voluntary_ctxt_switches:");
                snapshot.involuntary_switches += field(&status, "nonvoluntary_ctxt_switches:");
            }
        }
        Some(snapshot)
    }

    /// What the process used since `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Used {
        let (user, system) = (self.user - earlier.user, self.system - earlier.system);
        let (exact, coarse) = (self.exact - earlier.exact, user + system);
        // Threads that have ended take their exact time with them; the coarse one has it still.
        let sum = if exact > 0.0 && exact > coarse - 0.025 { exact } else { coarse };
        let user_share = if coarse > 0.0 { user / coarse } else { 0.5 };
        Used {
            wall_s: (self.at - earlier.at).as_secs_f64(),
            user_s: sum * user_share,
            system_s: sum * (1.0 - user_share),
            voluntary_switches: self.voluntary_switches.saturating_sub(earlier.voluntary_switches),
            involuntary_switches: self.involuntary_switches.saturating_sub(earlier.involuntary_switches),
        }
    }
}

/// The process that is the Server's, if it is to be measured and can be found.
///
/// # Errors
/// There is no process of the id that was given.
pub(crate) fn server_process(choice: PidChoice, server: SocketAddr) -> Result<Option<u32>, Failure> {
    match choice {
        PidChoice::None => Ok(None),
        PidChoice::Auto if server.ip().is_loopback() => Ok(listener(server.port())),
        PidChoice::Auto => Ok(None),
        PidChoice::Pid(pid) if Snapshot::take(pid).is_some() => Ok(Some(pid)),
        PidChoice::Pid(pid) => Err(Failure::new(format!(
            "there is no process {pid} on this machine, or no /proc to ask; give the Server's process id with --pid, or \
             --pid none"
        ))),
    }
}

/// Keeps all threads of process `pid` (0 for this one) on the processors of `list`, such as `0,2-3`.
///
/// # Errors
/// A list that is none, or what the operating system says.
pub(crate) fn pin(pid: u32, list: &str) -> Result<(), Failure> {
    let wrong = || Failure::new(format!("{list:?} is not a list of processors; write 0 or 0,2-3"));
    let mut processors = CpuSet::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse().ok().filter(|number| *number < CpuSet::MAX_CPU);
        let (first, last): (usize, usize) = number(first).zip(number(last)).ok_or_else(wrong)?;
        (first..=last).for_each(|number| processors.set(number));
    }
    let pid = if pid == 0 { std::process::id() } else { pid };
    for thread in threads(pid) {
        let thread = i32::try_from(thread).ok().and_then(Pid::from_raw);
        sched_setaffinity(thread, &processors).map_err(|error| {
            Failure::new(format!("cannot keep process {pid} on the processors {list}: {error}"))
        })?;
    }
    Ok(())
}

/// Bytes of the kernel's tables, in which sockets are kept, of the whole machine.
pub(crate) fn kernel_tables() -> Option<u64> {
    Some(field(&fs::read_to_string("/proc/meminfo").ok()?, "Slab:") * 1_024)
}

fn field(text: &str, name: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    value.and_then(|value| value.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn threads(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks.filter_map(|task| task.file_name().to_str()?.parse().ok()).collect()
}

/// The process that listens on `port`, as far as this user may look.
fn listener(port: u16) -> Option<u32> {
    let port = format!(":{port:04X}");
    let mut sockets = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        for line in fs::read_to_string(table).unwrap_or_default().lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if let [_, local, _, "0A", ..] = fields[..]
                && local.ends_with(&port)
                && let Some(inode) = fields.get(9)
            {
                sockets.push(format!("socket:[{inode}]"));
            }
        }
    }
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let pids = processes.filter_map(|process| process.file_name().to_str()?.parse::<u32>().ok());
    let owns = |pid: &u32| {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let mut targets = files.filter_map(|file| fs::read_link(file.path()).ok());
        targets.any(|target| sockets.iter().any(|socket| target.as_os_str() == socket.as_str()))
    };
    pids.filter(|pid| *pid != std::process::id()).find(owns)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn this_process_uses_processor_time_and_memory() {
        let pid = std::process::id();
        let before = Snapshot::take(pid).unwrap();
        let mut sum = 0_u64;
        while Snapshot::take(pid).unwrap().since(&before).processor_s() < 0.03 {
            sum = (0..1_000_000_u64).fold(sum, |sum, number| sum.rotate_left(3) ^ number);
        }
        let used = Snapshot::take(pid).unwrap().since(&before);
        assert!(used.wall_s > 0.0 && used.user_s > 0.0, "{used:?} {sum}");
        assert!(before.resident > 1 << 20 && before.resident_peak >= before.resident && before.threads > 0);
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error_only_if_it_was_named() {
        let server: SocketAddr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(server_process(PidChoice::None, server), Ok(None));
        assert_eq!(server_process(PidChoice::Auto, SocketAddr::from(([192, 0, 2, 1], 1883))), Ok(None));
        assert!(server_process(PidChoice::Pid(u32::MAX), server).unwrap_err().message.contains("--pid"));
        let pid = std::process::id();
        assert_eq!(server_process(PidChoice::Pid(pid), server), Ok(Some(pid)));
    }

    #[test]
    fn lists_of_processors_are_checked() {
        for wrong in ["", "x", "1-", "0,,1", "99999999"] {
            assert!(pin(0, wrong).unwrap_err().message.contains("list of processors"), "{wrong}");
        }
    }
}
