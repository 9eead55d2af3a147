//! The mechanical rules of the code base: who may import whom, where `unsafe` and clocks may stand, how long a file
//! may be. Taste is for review.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Who may import whom: a module of the crate and the modules it may name. Arrows point down only, so no module names
/// one above its own line. Product code only: what stands under `#[cfg(test)]` may also look below its own level.
const IMPORTS: &[(&str, &[&str])] = &[
    ("main", &["server", "log", "health", "config", "doctor", "tuning", "bench", "top", "install"]),
    ("health", &["config", "bench"]),
    (
        "server",
        &[
            "log", "service", "front", "shard", "ring", "epoll", "driver", "registry", "handoff", "pulse", "config",
            "metrics", "tls", "jwt", "peer",
        ],
    ),
    (
        "front",
        &[
            "budget", "http", "route", "rest", "pages", "auth", "jwt", "peer", "tls", "handoff", "registry", "channel",
            "config", "driver", "metrics", "ws", "pulse",
        ],
    ),
    ("log", &["config", "metrics"]),
    ("doctor", &["tuning", "ring", "config", "cgroup"]),
    ("rest", &["budget", "http", "route", "channel", "handoff"]),
    ("pages", &["http", "route"]),
    ("route", &["http", "channel"]),
    ("registry", &["handoff", "channel"]),
    ("shard", &["budget", "relay", "driver", "handoff", "channel", "chunk", "time", "config", "metrics", "tls", "ws"]),
    ("handoff", &["budget", "channel", "tls", "ws", "pulse"]),
    ("jwt", &["channel", "config"]),
    ("config", &["auth", "http", "channel", "cgroup"]),
    ("auth", &["http"]),
    ("peer", &["budget", "http"]),
    ("relay", &["session", "channel", "outbox", "ws", "chunk", "time", "metrics"]),
    ("session", &["channel", "outbox", "ws", "chunk", "time"]),
    ("channel", &["budget", "chunk", "time"]),
    ("outbox", &["chunk"]),
    ("tls", &["chunk"]),
    ("ring", &["driver", "chunk"]),
    ("epoll", &["driver", "chunk"]),
    ("driver", &["chunk"]),
    ("top", &["bench"]),
    ("bench", &[]),
    ("install", &[]),
    ("tuning", &[]),
    ("budget", &[]),
    ("cgroup", &[]),
    ("chunk", &[]),
    ("http", &[]),
    ("metrics", &[]),
    ("pulse", &[]),
    ("service", &[]),
    ("time", &[]),
    ("ws", &[]),
];

/// Crates that one module alone may name, so that what they are can be exchanged there.
const CRATES: &[(&str, &[&str])] = &[
    ("monoio", &["front"]),
    ("io_uring", &["ring"]),
    ("clap", &["main", "config", "bench", "top"]),
    ("ratatui", &["top"]),
    ("tungstenite", &[]),
];

/// The modules that decide and do nothing: time is an argument, bytes come in and go out as values.
const SANS_IO: &[&str] = &["relay", "session", "channel", "ws", "outbox", "chunk", "http", "time"];

/// What they must not name.
const IO: &[&str] = &[
    "Instant::now",
    "SystemTime",
    "std::net",
    "std::fs",
    "std::os",
    "std::thread",
    "std::sync::mpsc",
    "rustix::",
    "socket2::",
    "getrandom::",
];

/// Where `unsafe` may stand. Everywhere else the compiler denies it, and nobody may allow it again.
const UNSAFE: &[&str] = &[
    "src/ring/",
    "src/epoll/",
    "src/driver/kernel_tls.rs",
    "src/front/socket.rs",
    "src/server/slice.rs",
    "benches/floor.rs",
];

const LINES_MAX: usize = 600;

#[test]
fn modules_import_only_what_lies_below_them() {
    let mut violations = String::new();
    for file in product_files() {
        let module = file.module();
        let Some((_, allowed)) = IMPORTS.iter().find(|(name, _)| *name == module) else {
            let _ =
                writeln!(violations, "{}: module {module} is not in the table of tests/tidy.rs", file.path.display());
            continue;
        };
        for (line, imported) in imports(&file.product(), file.depth()) {
            let known = IMPORTS.iter().any(|(name, _)| *name == imported);
            if known && imported != module && !allowed.contains(&imported.as_str()) {
                let _ = writeln!(violations, "{}:{line}: {module} may not import {imported}", file.path.display());
            }
        }
    }
    assert!(violations.is_empty(), "\n{violations}");
}

#[test]
fn the_table_of_imports_has_no_cycle() {
    let place = |name: &str| IMPORTS.iter().position(|(module, _)| *module == name);
    for (at, (module, imports)) in IMPORTS.iter().enumerate() {
        for import in *imports {
            let below = place(import).unwrap_or_else(|| panic!("{module} imports {import}, which has no line"));
            assert!(below > at, "{module} stands below {import}, which it imports");
        }
    }
}

#[test]
fn crates_are_named_where_they_live_alone() {
    let mut violations = String::new();
    for file in product_files() {
        let product = file.product();
        for (name, homes) in CRATES {
            for line in lines_with(&product, &format!("{name}::")) {
                if !homes.contains(&file.module().as_str()) {
                    let _ = writeln!(violations, "{}:{line}: {name} is for {homes:?} alone", file.path.display());
                }
            }
        }
    }
    assert!(violations.is_empty(), "\n{violations}");
}

#[test]
fn the_core_knows_no_socket_clock_or_thread() {
    let mut violations = String::new();
    for file in product_files().filter(|file| SANS_IO.contains(&file.module().as_str())) {
        let product = file.product();
        for name in IO {
            for line in lines_with(&product, name) {
                let _ = writeln!(violations, "{}:{line}: {name} in the core", file.path.display());
            }
        }
    }
    assert!(violations.is_empty(), "\n{violations}");
}

#[test]
fn unsafe_stands_where_it_is_explained() {
    let mut violations = String::new();
    for file in rust_files() {
        let path = file.path.to_string_lossy().into_owned();
        if UNSAFE.iter().any(|home| path.starts_with(home)) {
            continue;
        }
        for line in lines_with(&file.code, "unsafe").into_iter().chain(lines_with(&file.code, "allow(unsafe_code)")) {
            let _ = writeln!(violations, "{path}:{line}: unsafe may stand in {UNSAFE:?} alone");
        }
    }
    assert!(violations.is_empty(), "\n{violations}");
}

#[test]
fn files_are_short_enough_to_read() {
    let mut violations = String::new();
    for file in rust_files() {
        let lines = file.text.lines().count();
        if lines > LINES_MAX {
            let _ = writeln!(
                violations,
                "{}:{lines}: over {LINES_MAX} lines; split at the second noun",
                file.path.display()
            );
        }
    }
    assert!(violations.is_empty(), "\n{violations}");
}

#[test]
fn nothing_is_left_to_do() {
    // Put together here, so that this file passes.
    let marks = [["TO", "DO"], ["FIX", "ME"], ["todo", "!("], ["unimplemented", "!("], ["#[ig", "nore"]]
        .map(|mark| mark.concat());
    let mut violations = String::new();
    for path in files_below(&[".ci", "benches", "deploy", "docs", "fuzz", "src", "systemd", "tests", "tuning"]) {
        let Ok(text) = fs::read_to_string(root().join(&path)) else { continue };
        for (number, line) in text.lines().enumerate() {
            for mark in marks.iter().filter(|mark| line.contains(mark.as_str())) {
                let _ = writeln!(violations, "{}:{}: {mark}", path.display(), number + 1);
            }
        }
    }
    assert!(violations.is_empty(), "\n{violations}");
}

#[test]
fn every_module_is_named_for_what_it_is() {
    const EMPTY_NAMES: &[&str] = &["utils", "util", "helpers", "helper", "common", "misc", "manager"];
    let mut violations = String::new();
    for file in rust_files() {
        for part in file.path.with_extension("").iter().filter_map(|part| part.to_str()) {
            if EMPTY_NAMES.contains(&part) {
                let _ = writeln!(violations, "{}:1: {part} says nothing", file.path.display());
            }
        }
        for name in EMPTY_NAMES {
            for line in lines_with(&file.code, &format!("mod {name}")) {
                let _ = writeln!(violations, "{}:{line}: mod {name} says nothing", file.path.display());
            }
        }
    }
    assert!(violations.is_empty(), "\n{violations}");
}

// Reading the code

/// A Rust file of the repository.
struct SourceFile {
    /// From the root of the repository.
    path: PathBuf,
    text: String,
    /// `text` with comments and literals blanked out, every byte and line at its place.
    code: String,
}

impl SourceFile {
    fn read(path: PathBuf) -> SourceFile {
        let text = fs::read_to_string(root().join(&path)).expect("a readable file");
        let code = blank_comments_and_literals(&text);
        SourceFile { path, text, code }
    }

    /// The first part of its module path: `relay` for `src/relay/rooms.rs`.
    fn module(&self) -> String {
        let first = self.path.iter().nth(1).expect("a path below src");
        Path::new(first).file_stem().expect("a name").to_string_lossy().into_owned()
    }

    /// How many `super`s lead to the crate's root.
    fn depth(&self) -> usize {
        let parts = self.path.iter().count() - 1;
        if self.path.ends_with("mod.rs") { parts - 1 } else { parts }
    }

    /// `code` without the items that are compiled for tests alone.
    fn product(&self) -> String {
        blank_test_items(&self.code).0
    }
}

/// The files of `src` that are part of the product: not `lib.rs`, which names every module, and no module that is
/// declared under `#[cfg(test)]`.
fn product_files() -> impl Iterator<Item = SourceFile> {
    let files: Vec<SourceFile> = rust_files().filter(|file| file.path.starts_with("src")).collect();
    let for_tests: BTreeSet<PathBuf> = files
        .iter()
        .flat_map(|file| {
            let folder = match file.path.file_name().and_then(|name| name.to_str()) {
                Some("mod.rs" | "lib.rs" | "main.rs") => file.path.parent().expect("a folder").to_owned(),
                _ => file.path.with_extension(""),
            };
            blank_test_items(&file.code).1.into_iter().map(move |module| folder.join(module))
        })
        .collect();
    assert!(files.len() > 20, "src was not found");
    files.into_iter().filter(move |file| {
        let is_for_tests = for_tests.iter().any(|module| file.path.with_extension("").starts_with(module));
        !is_for_tests && file.path != Path::new("src/lib.rs")
    })
}

fn rust_files() -> impl Iterator<Item = SourceFile> {
    let paths = files_below(&["benches", "fuzz", "src", "tests"]);
    paths.into_iter().filter(|path| path.extension().is_some_and(|kind| kind == "rs")).map(SourceFile::read)
}

/// All files in these folders, from the root of the repository, without what is built or installed there.
fn files_below(folders: &[&str]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut left: Vec<PathBuf> =
        folders.iter().map(PathBuf::from).filter(|folder| root().join(folder).is_dir()).collect();
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(root().join(&folder)).expect("a readable folder") {
            let entry = entry.expect("a readable folder");
            let path = folder.join(entry.file_name());
            let kind = entry.file_type().expect("a file type");
            let name = entry.file_name().to_string_lossy().into_owned();
            if kind.is_file() {
                files.push(path);
            } else if kind.is_dir()
                && !name.starts_with('.')
                && !["target", "node_modules", "corpus", "artifacts", "coverage"].contains(&name.as_str())
            {
                left.push(path);
            }
        }
    }
    files.sort();
    files
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The modules of the crate that `code` names, with the lines: behind `crate::`, behind `ringrelay::`, and behind as
/// many `super::` as lead out of its own module.
fn imports(code: &str, depth: usize) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let supers = "super::".repeat(depth);
    for prefix in ["crate::", "ringrelay::", supers.as_str()] {
        for (at, _) in code.match_indices(prefix) {
            if code[..at].ends_with(is_name) || code[..at].ends_with("super::") || code[..at].ends_with('$') {
                continue;
            }
            let rest = &code[at + prefix.len()..];
            let names = match rest.strip_prefix('{') {
                Some(group) => first_names(group),
                None => vec![name_at(rest)],
            };
            found.extend(names.into_iter().map(|name| (line_of(code, at), name.to_owned())));
        }
    }
    found
}

/// The names that begin the members of a group in braces, of which `group` is what follows the opening one.
fn first_names(group: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let (mut nesting, mut begins) = (1, true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => nesting += 1,
            '}' => nesting -= 1,
            ',' if nesting == 1 => begins = true,
            _ if begins && is_name(c) => {
                names.push(name_at(&group[at..]));
                begins = false;
            }
            _ => {}
        }
        if nesting == 0 {
            break;
        }
    }
    names
}

fn name_at(text: &str) -> &str {
    &text[..text.find(|c| !is_name(c)).unwrap_or(text.len())]
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The lines where `wanted` stands, not as part of a longer name.
fn lines_with(code: &str, wanted: &str) -> Vec<usize> {
    let whole = |at: usize| {
        let begins_inside = code[..at].ends_with(is_name);
        let ends_inside = wanted.ends_with(is_name) && code[at + wanted.len()..].starts_with(is_name);
        !begins_inside && !ends_inside
    };
    code.match_indices(wanted).filter(|(at, _)| whole(*at)).map(|(at, _)| line_of(code, at)).collect()
}

fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

/// Blanks out the items under `#[cfg(test)]`, and names the modules among them that have files of their own.
fn blank_test_items(code: &str) -> (String, Vec<String>) {
    const MARK: &str = "#[cfg(test)]";
    let mut product = code.to_owned();
    let mut modules = Vec::new();
    while let Some(start) = product.find(MARK) {
        let item = &product[start + MARK.len()..];
        let end = match item.find(['{', ';']) {
            Some(at) if item[at..].starts_with(';') => {
                if let Some((_, module)) = item[..at].split_once("mod ") {
                    modules.push(module.trim().to_owned());
                }
                at + 1
            }
            Some(at) => at + end_of_block(&item[at..]),
            None => item.len(),
        };
        blank(&mut product, start, start + MARK.len() + end);
    }
    (product, modules)
}

/// The length of the block in braces that `code` begins with.
fn end_of_block(code: &str) -> usize {
    let mut nesting = 0_usize;
    for (at, c) in code.char_indices() {
        match c {
            '{' => nesting += 1,
            '}' => nesting -= 1,
            _ => {}
        }
        if nesting == 0 {
            return at + 1;
        }
    }
    code.len()
}

fn blank_comments_and_literals(text: &str) -> String {
    let mut code = text.to_owned();
    let mut at = 0;
    while let Some(c) = code[at..].chars().next() {
        let rest = &code[at..];
        let len = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(len) = raw_string_len(rest).filter(|_| !code[..at].ends_with(is_name)) {
            len
        } else if c == '"' {
            quoted_len(rest, '"')
        } else if c == '\'' && is_char_literal(rest) {
            quoted_len(rest, '\'')
        } else {
            at += c.len_utf8();
            continue;
        };
        blank(&mut code, at, at + len);
        at += len;
    }
    code
}

/// The length of the raw string that `text` begins with.
fn raw_string_len(text: &str) -> Option<usize> {
    let raw = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = raw.len() - raw.trim_start_matches('#').len();
    let body = raw[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let opening = text.len() - body.len();
    Some(body.find(&end).map_or(text.len(), |at| opening + at + end.len()))
}

/// The length of the quoted literal that `text` begins with.
fn quoted_len(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if !escaped && c == quote {
            return at + 1;
        }
        escaped = !escaped && c == '\\';
    }
    text.len()
}

/// Whether the quote that `text` begins with is one of a character, not of a lifetime.
fn is_char_literal(text: &str) -> bool {
    let mut chars = text.chars().skip(1);
    match chars.next() {
        Some('\\') => true,
        Some(_) => chars.next() == Some('\''),
        None => false,
    }
}

/// Replaces a range by spaces, but for its line ends.
fn blank(code: &mut String, start: usize, end: usize) {
    let blanked: String = code[start..end].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect();
    code.replace_range(start..end, &blanked);
}

// The checks see what they are to see

#[test]
fn imports_are_seen_in_every_form() {
    let code = "use crate::a::X;\nuse crate::{b::{p, q::r}, c, d::*};\nlet x = crate::e::f();\nuse super::super::g::h;\nuse super::own;\n";
    let names = |depth| imports(code, depth).into_iter().collect::<BTreeSet<_>>();
    let expected = [(1, "a"), (2, "b"), (2, "c"), (2, "d"), (3, "e"), (4, "g")];
    assert_eq!(names(2), expected.into_iter().map(|(line, name)| (line, name.to_owned())).collect());
    assert_eq!(imports("use ringrelay::{config::Config, server};", 1).len(), 2);
    assert_eq!(imports("use other_crate::x; mycrate::y();", 3), []);
}

#[test]
fn comments_and_literals_are_not_code() {
    let text = "a // crate::b\n\"crate::c \\\" crate::d\" 'x' '\\'' r#\"crate::\"e\"# /* crate::f\n */ fn g<'h>(i: &'h str) crate::j";
    let code = blank_comments_and_literals(text);
    assert_eq!(code.len(), text.len());
    assert_eq!(imports(&code, 1), [(3, "j".to_owned())]);
    assert!(code.contains("fn g<'h>(i: &'h str)"));
}

#[test]
fn test_items_are_not_product() {
    let code = "use crate::a;\n#[cfg(test)]\nmod simulator;\n#[cfg(test)]\n#[rustfmt::skip]\nmod tests {\n fn f() { crate::b }\n}\nuse crate::c;\n";
    let (product, modules) = blank_test_items(code);
    assert_eq!(imports(&product, 1), [(1, "a".to_owned()), (9, "c".to_owned())]);
    assert_eq!(modules, ["simulator"]);
}

#[test]
fn names_are_found_whole() {
    let code = "unsafe {\nunsafe_code\nnot_unsafe\nunsafe fn";
    assert_eq!(lines_with(code, "unsafe"), [1, 4]);
    assert_eq!(lines_with("monoio::net\nmymonoio::x", "monoio::"), [1]);
}
