//! What the operating system says about memory.

use std::{
    fs::{self, File},
    io::Read,
    path::Path,
};

use crate::process::page_bytes;

/// Bytes of this process that are resident and of no file, where the kernel says it.
pub(crate) fn used_bytes() -> Option<u64> {
    let mut bytes = [0; 128];
    let count = File::open("/proc/self/statm").ok()?.read(&mut bytes).ok()?;
    let text = std::str::from_utf8(&bytes[..count]).ok()?;
    let mut pages = text.split_whitespace().skip(1).map(|pages| pages.parse::<u64>().ok());
    let (resident, of_files) = (pages.next()??, pages.next()??);
    Some(resident.saturating_sub(of_files) * page_bytes()?)
}

/// Bytes that this process may use: what the machine has, or its control group if that has less.
pub(crate) fn available_bytes() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| kib(&text, "MemTotal:"))
        .map(|kib| kib << 10);
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    [machine, group_bytes(Path::new("/sys/fs/cgroup"), &groups)].into_iter().flatten().min()
}

/// The least bound of the control groups that this process is in.
fn group_bytes(root: &Path, groups: &str) -> Option<u64> {
    let mut least = None;
    for line in groups.lines() {
        let (folder, file) = match line.splitn(3, ':').collect::<Vec<_>>()[..] {
            ["0", "", path] => (root.join(path.trim_start_matches('/')), "memory.max"),
            [_, "memory", path] => {
                (root.join("memory").join(path.trim_start_matches('/')), "memory.limit_in_bytes")
            }
            _ => continue,
        };
        // A group is bounded by those above it, too; in a container they are not seen.
        for group in folder.ancestors().take_while(|group| group.starts_with(root)) {
            let bound =
                fs::read_to_string(group.join(file)).ok().and_then(|text| text.trim().parse::<u64>().ok());
            least = [least, bound].into_iter().flatten().min();
        }
    }
    least
}

fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_of_a_machine_that_has_more() {
        let (used, available) = (used_bytes().unwrap(), available_bytes().unwrap());
        assert!(used > 1 << 20 && used < available, "{used} of {available}");
    }

    #[test]
    fn a_control_group_is_bounded_by_those_above_it() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path();
        fs::create_dir_all(path.join("a/b")).unwrap();
        fs::write(path.join("a/memory.max"), "4096\n").unwrap();
        fs::write(path.join("a/b/memory.max"), "max\n").unwrap();
        assert_eq!(group_bytes(path, "0::/a/b\n"), Some(4_096));
        fs::write(path.join("a/b/memory.max"), "1024\n").unwrap();
        assert_eq!(group_bytes(path, "0::/a/b\n"), Some(1_024));
        assert_eq!(group_bytes(path, "0::/elsewhere\n"), None);
        fs::create_dir_all(path.join("memory/c")).unwrap();
        fs::write(path.join("memory/c/memory.limit_in_bytes"), "77\n").unwrap();
        assert_eq!(group_bytes(path, "5:cpu:/c\n4:memory:/c\n0::/\n"), Some(77));
    }
}
