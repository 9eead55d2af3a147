//! `ringrelay install` and `uninstall`, and the files that they bring.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::relay::ringrelay;

const UNIT: &str = "etc/systemd/system/ringrelay.service";
const SETTINGS: &str = "etc/ringrelay.env";
const PROGRAM: &str = "usr/local/bin/ringrelay";

/// A folder that is deleted at the end of its test.
struct Prefix(PathBuf);

impl Prefix {
    fn new(name: &str) -> Prefix {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("the target folder can be written to");
        Prefix(path)
    }

    fn run(&self, command: &str, flags: &[&str]) -> Output {
        ringrelay().arg(command).arg("--prefix").arg(&self.0).args(flags).output().expect("the binary starts")
    }

    /// What it says; it has to succeed.
    #[track_caller]
    fn says(&self, command: &str, flags: &[&str]) -> String {
        let output = self.run(command, flags);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// All files, and how they may be used.
    fn files(&self) -> Vec<(String, u32)> {
        let mut files = Vec::new();
        let mut folders = vec![self.0.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry")) {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let mode = entry.metadata().expect("a file").permissions().mode() & 0o7777;
                    files.push((path.strip_prefix(&self.0).expect("below").display().to_string(), mode));
                }
            }
        }
        files.sort();
        files
    }
}

impl Drop for Prefix {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn installs_everything_and_takes_it_back() {
    let prefix = Prefix::new("whole");
    let said = prefix.says("install", &[]);
    assert!(said.contains("systemctl enable --now ringrelay.service") && said.contains("systemd-sysusers"), "{said}");
    let expected = [
        (SETTINGS, 0o600),
        (UNIT, 0o644),
        ("etc/systemd/system/ringrelay.socket", 0o644),
        ("etc/sysusers.d/ringrelay.conf", 0o644),
        (PROGRAM, 0o755),
    ];
    assert_eq!(prefix.files(), expected.map(|(path, mode)| (path.to_owned(), mode)));
    let installed =
        Command::new(prefix.0.join(PROGRAM)).arg("--version").output().expect("the installed binary starts");
    assert_eq!(installed.stdout, ringrelay().arg("--version").output().expect("the binary starts").stdout);

    let again = prefix.says("install", &[]);
    assert!(!again.contains("wrote") && again.matches("as it should be").count() == 4, "{again}");
    prefix.says("uninstall", &[]);
    assert_eq!(prefix.files(), []);
    assert_eq!(prefix.says("uninstall", &[]).matches("not there").count(), 5);
}

#[test]
fn dry_run_says_it_and_does_nothing() {
    let prefix = Prefix::new("dry");
    assert_eq!(prefix.says("install", &["--dry-run"]).matches("would write").count(), 5);
    assert_eq!(prefix.files(), []);
    prefix.says("install", &[]);
    let files = prefix.files();
    assert_eq!(prefix.says("uninstall", &["--dry-run"]).matches("would remove").count(), 5);
    assert_eq!(prefix.files(), files);
}

#[test]
fn settings_that_were_changed_are_kept() {
    let prefix = Prefix::new("settings");
    prefix.says("install", &[]);
    fs::write(prefix.0.join(SETTINGS), "RINGRELAY_PORT=9\n").expect("writable");
    assert!(prefix.says("install", &[]).contains("kept, with its settings"));
    assert!(prefix.says("uninstall", &[]).contains("kept, with its settings"));
    assert_eq!(fs::read_to_string(prefix.0.join(SETTINGS)).expect("kept"), "RINGRELAY_PORT=9\n");
    assert_eq!(prefix.files().len(), 1);
}

#[test]
fn what_is_not_as_it_should_be_is_written_anew() {
    let prefix = Prefix::new("anew");
    prefix.says("install", &[]);
    fs::write(prefix.0.join(UNIT), "[Service]\n").expect("writable");
    fs::set_permissions(prefix.0.join(PROGRAM), fs::Permissions::from_mode(0o600)).expect("ours");
    let said = prefix.says("install", &[]);
    assert_eq!(said.matches("wrote").count(), 2, "{said}");
    let unit = fs::read(prefix.0.join(UNIT)).expect("readable");
    assert_eq!(unit, fs::read(repository("systemd/ringrelay.service")).expect("readable"));
}

#[test]
fn service_that_is_enabled_is_not_taken_away() {
    let prefix = Prefix::new("enabled");
    prefix.says("install", &[]);
    let wanted = prefix.0.join("etc/systemd/system/multi-user.target.wants");
    fs::create_dir(&wanted).expect("writable");
    std::os::unix::fs::symlink("/etc/systemd/system/ringrelay.service", wanted.join("ringrelay.service"))
        .expect("writable");
    let files = prefix.files();
    let refused = prefix.run("uninstall", &[]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("systemctl disable --now ringrelay.service"),
        "{refused:?}"
    );
    assert_eq!(prefix.files(), files);
}

#[test]
fn place_that_cannot_be_written_to_is_an_error() {
    // Also for root.
    let output = ringrelay().args(["install", "--prefix", "/proc/sys"]).output().expect("the binary starts");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("cannot write /proc/sys/usr/local/bin/ringrelay"),
        "{output:?}"
    );
}

// The files

#[test]
fn file_of_settings_is_what_the_binary_prints() {
    let printed = ringrelay().args(["config", "--environment-file"]).output().expect("the binary starts").stdout;
    let kept = fs::read(repository("systemd/ringrelay.env")).expect("systemd/ringrelay.env");
    assert!(kept == printed, "run: ringrelay config --environment-file > systemd/ringrelay.env");
}

#[test]
fn defaults_in_the_file_of_settings_are_allowed() {
    let text = fs::read_to_string(repository("systemd/ringrelay.env")).expect("systemd/ringrelay.env");
    let mut config = ringrelay();
    config.arg("config");
    let mut count = 0;
    for (name, value) in text.lines().filter_map(|line| line.strip_prefix('#')?.split_once('=')) {
        if name.starts_with("RINGRELAY_") {
            count += 1;
            config.env(name, value.trim_matches('"'));
        }
    }
    let output = config.output().expect("the binary starts");
    assert!(count > 40 && output.status.code() == Some(0), "{count}: {output:?}");
}

/// `systemd-analyze` is part of every systemd; elsewhere there is nothing to check the files with, and nobody to use them.
fn systemd_analyze() -> Option<Command> {
    let is_there = Command::new("systemd-analyze").arg("--version").output().is_ok();
    is_there.then(|| Command::new("systemd-analyze"))
}

#[test]
fn systemd_has_nothing_to_say_against_the_units() {
    let Some(mut analyze) = systemd_analyze() else { return };
    let folder = Prefix::new("units");
    let program = ringrelay().get_program().to_string_lossy().into_owned();
    let paths = ["ringrelay.service", "ringrelay.socket"].map(|name| {
        let unit = fs::read_to_string(repository("systemd").join(name)).expect("readable");
        let path = folder.0.join(name);
        fs::write(&path, unit.replace("/usr/local/bin/ringrelay", &program)).expect("writable");
        path
    });
    let output = analyze.args(["verify", "--man=no"]).args(paths).output().expect("it runs");
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn exposure_is_as_low_as_the_readme_says() {
    let Some(mut analyze) = systemd_analyze() else { return };
    let unit = repository("systemd/ringrelay.service");
    let output = analyze.args(["security", "--offline=true", "--threshold=15"]).arg(unit).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
