//! What the control groups of a process allow it, of either version (cgroups(7)).

use std::fs;
use std::path::Path;

/// Bytes of memory that a process may use: what the tightest of its group and those above it allows; `None` = as much as there
/// is. `process` is a folder of `proc`, which stands below `root` beside `sys`.
pub fn memory_limit(root: &Path, process: &str) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc").join(process).join("cgroup")).ok()?;
    let number =
        |folder: &str, name: &str| fs::read_to_string(root.join(folder).join(name)).ok()?.trim().parse::<u64>().ok();
    let limits = folders(&groups, "memory").into_iter().filter_map(|folder| {
        // The one of version 2 may also be the word max.
        number(&folder, "memory.max").or_else(|| number(&folder, "memory.limit_in_bytes"))
    });
    limits.min()
}

/// The folders of a process's group and of those above it that hold what `controller` is told, from the root. `groups` is the
/// text of the process's `cgroup`. In a container its own group may stand at the top, under whatever path the host knows it by.
pub fn folders(groups: &str, controller: &str) -> Vec<String> {
    let mut folders = Vec::new();
    for line in groups.lines() {
        // Number, controllers, path; version 2 has the number 0 and no controllers.
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let mount = match controllers {
            "" => "sys/fs/cgroup".to_owned(),
            names if names.split(',').any(|name| name == controller) => format!("sys/fs/cgroup/{names}"),
            _ => continue,
        };
        let mut path = path.trim_end_matches('/');
        loop {
            folders.push(format!("{mount}{path}"));
            let Some((above, _)) = path.rsplit_once('/') else { break };
            path = above;
        }
    }
    folders
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// A folder with what `proc` and `sys` would say.
    struct Play(PathBuf);

    impl Play {
        fn new(groups: &str) -> Play {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let name = format!("ringrelay-cgroup-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
            Play(std::env::temp_dir().join(name)).with("proc/self/cgroup", groups)
        }

        fn with(self, path: &str, text: &str) -> Play {
            let path = self.0.join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a writable temporary folder");
            fs::write(path, text).expect("a writable temporary folder");
            self
        }

        fn limit(&self) -> Option<u64> {
            memory_limit(&self.0, "self")
        }
    }

    impl Drop for Play {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn tightest_of_the_group_and_those_above_counts() {
        let service = |own: &str, above: &str| {
            Play::new("0::/system.slice/ringrelay.service\n")
                .with("sys/fs/cgroup/system.slice/ringrelay.service/memory.max", own)
                .with("sys/fs/cgroup/system.slice/memory.max", above)
                .limit()
        };
        assert_eq!(service("1073741824\n", "max\n"), Some(1 << 30));
        assert_eq!(service("max\n", "2147483648\n"), Some(2 << 30));
        assert_eq!(service("1073741824\n", "536870912\n"), Some(512 << 20));
        assert_eq!(service("max\n", "max\n"), None);
    }

    #[test]
    fn container_finds_its_limit_where_its_own_group_is_mounted() {
        let inside = Play::new("0::/\n").with("sys/fs/cgroup/memory.max", "268435456\n");
        assert_eq!(inside.limit(), Some(256 << 20));
        let by_the_hosts_path = Play::new("9:memory:/docker/4f1d\n0::/docker/4f1d\n")
            .with("sys/fs/cgroup/memory/memory.limit_in_bytes", "268435456\n");
        assert_eq!(by_the_hosts_path.limit(), Some(256 << 20));
    }

    #[test]
    fn first_version_has_a_tree_for_each_controller() {
        let play = Play::new("5:cpu,cpuacct:/box\n4:memory:/box\n0::/\n")
            .with("sys/fs/cgroup/cpu,cpuacct/box/memory.limit_in_bytes", "1\n")
            .with("sys/fs/cgroup/memory/box/memory.limit_in_bytes", "67108864\n")
            // What it says where there is no limit.
            .with("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(play.limit(), Some(64 << 20));
        assert_eq!(
            folders("5:cpu,cpuacct:/box\n", "cpu"),
            ["sys/fs/cgroup/cpu,cpuacct/box", "sys/fs/cgroup/cpu,cpuacct"]
        );
    }

    #[test]
    fn what_cannot_be_read_is_no_limit() {
        assert_eq!(memory_limit(Path::new("/nonexistent"), "self"), None);
        for groups in ["", "0:", ":::", "0::/none\n", "x:memory:relative"] {
            assert_eq!(Play::new(groups).limit(), None, "{groups:?}");
        }
        assert_eq!(Play::new("0::/\n").with("sys/fs/cgroup/memory.max", "-1\n").limit(), None);
    }
}
