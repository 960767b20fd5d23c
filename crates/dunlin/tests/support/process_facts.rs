//! What the kernel knows of a process: memory, processor time, open files.

use std::{fs, time::Duration};

/// Resident memory of process `pid` in KiB.
pub(crate) fn resident_kib(pid: u32) -> u64 {
    status_kib(pid, "VmRSS:")
}

/// What of it is the process's own, and no part of a file.
pub(crate) fn own_kib(pid: u32) -> u64 {
    status_kib(pid, "RssAnon:") + status_kib(pid, "RssShmem:")
}

fn status_kib(pid: u32, name: &str) -> u64 {
    let status = read(pid, "status");
    let line = status.lines().find(|line| line.starts_with(name)).expect("/proc/PID/status has it");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("it is a number of kB")
}

/// User and system time that process `pid` has used so far.
pub(crate) fn processor_time(pid: u32) -> Duration {
    let stat = read(pid, "stat");
    let fields = stat.rsplit(')').next().expect("the name stands in parentheses");
    let ticks: u64 =
        fields.split_whitespace().skip(11).take(2).map(|text| text.parse::<u64>().expect("ticks")).sum();
    Duration::from_millis(ticks * 10) // the kernel reports in hundredths of a second on every Linux we run on
}

/// The number of open files of process `pid`.
pub(crate) fn open_files(pid: u32) -> usize {
    let path = format!("/proc/{pid}/fd");
    fs::read_dir(&path).unwrap_or_else(|error| panic!("{path}: {error}")).count()
}

/// Raises the soft limit of open files of this test to `most`.
pub(crate) fn raise_open_files_max(most: u32) {
    let pid = std::process::id().to_string();
    let status = std::process::Command::new("prlimit")
        .args(["--pid", &pid, &format!("--nofile={most}:")])
        .status()
        .unwrap_or_else(|error| panic!("prlimit (package util-linux): {error}"));
    assert!(status.success(), "the limit of open files (ulimit -Hn) must be at least {most}");
}

fn read(pid: u32, file: &str) -> String {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}; the process has gone"))
}
