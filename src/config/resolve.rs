//! From what the sources say to a configuration in which every value is in its range.

use std::io;
use std::path::Path;
use std::sync::Arc;

use clap::ArgMatches;

use super::effective::Effective;
use super::file::{self, FileSettings};
use super::origin::{Given, Origin};
use super::setting::{DefaultValue, Setting, Value};
use super::table::{self, CONFIG, NODE_PORT};
use super::values::Values;
use super::{Environment, Refusal, SETTINGS, ServeConfig, command_line};

/// What came of the sources.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What the relay runs with.
    pub config: ServeConfig,
    /// Every setting of the table with its value and where it came from, in the table's order.
    pub settings: Vec<Effective>,
    /// What an operator should know, one line each.
    pub warnings: Vec<String>,
}

/// Asks the sources: flags over variables over the file over defaults. A value that a stronger source overrides is not
/// looked at. `read` gives the text of a file.
///
/// # Errors
/// Everything that is wrong.
pub fn load(
    flags: &ArgMatches,
    environment: &Environment,
    read: &dyn Fn(&Path) -> io::Result<String>,
) -> Result<Loaded, Vec<Refusal>> {
    let mut refusals = Vec::new();
    let file = read_file(flags, environment, read, &mut refusals);
    refusals.extend(environment.unknown());

    let mut values = Values::default();
    for setting in SETTINGS {
        let given = command_line::given(flags, setting)
            .or_else(|| environment.given(setting))
            .or_else(|| file.get(setting.name).cloned().map(Ok));
        match given.transpose().and_then(|given| resolve(setting, given)) {
            Ok((value, origin)) => values.set(setting.name, value, origin),
            Err(refusal) => refusals.push(refusal),
        }
    }
    values.let_debug_set_the_log_level();
    let readme = values.read_readme(read, &mut refusals);
    // What stands in the file, but is wrong, has been refused already.
    if refusals.is_empty() {
        values.check_auth(&mut refusals);
        values.check_needed("ssl", &["ssl-cert-path", "ssl-key-path"], &mut refusals);
        // Without a proxy that is trusted nobody could connect.
        values.check_needed("proxy-protocol", &["trusted-proxies"], &mut refusals);
    }
    if !refusals.is_empty() {
        return Err(refusals);
    }

    let config = values.to_config(readme);
    let warnings = values.warnings(environment);
    let settings = SETTINGS.iter().map(|setting| values.effective(setting, &config)).collect();
    Ok(Loaded { config, settings, warnings })
}

/// The configuration when nobody sets anything.
pub(super) fn defaults() -> ServeConfig {
    let mut values = Values::default();
    for setting in SETTINGS {
        let (value, origin) = resolve(setting, None).expect("the defaults of the table are allowed");
        values.set(setting.name, value, origin);
    }
    values.to_config(None)
}

/// The file that a flag or a variable names; empty without one.
fn read_file(
    flags: &ArgMatches,
    environment: &Environment,
    read: &dyn Fn(&Path) -> io::Result<String>,
    refusals: &mut Vec<Refusal>,
) -> FileSettings {
    let setting = table::find(CONFIG);
    // What is wrong with the path itself is found with all other values.
    let given = command_line::given(flags, setting).or_else(|| environment.given(setting));
    let Some(Ok(Given { text: path, origin })) = given else { return FileSettings::new() };
    if path.is_empty() {
        return FileSettings::new();
    }
    match read(Path::new(&path)) {
        Ok(text) => {
            let (settings, wrong) = file::parse(&path, &text);
            refusals.extend(wrong);
            settings
        }
        Err(error) => {
            refusals.push(Refusal::Unreadable { name: origin.call(CONFIG), path, error });
            FileSettings::new()
        }
    }
}

fn resolve(setting: &Setting, given: Option<Given>) -> Result<(Option<Value>, Origin), Refusal> {
    match (given, setting.default) {
        (Some(Given { text, origin }), _) => {
            let value = setting.parse(&text, || origin.call(setting.name))?;
            Ok((Some(value), origin))
        }
        (None, DefaultValue::Text(text)) => {
            Ok((Some(setting.parse(text, || setting.name.to_owned())?), Origin::Default))
        }
        (None, DefaultValue::Unset(_) | DefaultValue::Computed(..)) => Ok((None, Origin::Default)),
    }
}

/// What the settings have to do with each other.
impl Values {
    fn let_debug_set_the_log_level(&mut self) {
        let (Some((Some(Value::Bool(true)), debug)), Some((_, level))) = (self.get("debug"), self.get("log-level"))
        else {
            return;
        };
        if debug.is_stronger_than(level) {
            let origin = debug.clone();
            self.set("log-level", Some(Value::Text("debug".to_owned())), origin);
        }
    }

    fn read_readme(&self, read: &dyn Fn(&Path) -> io::Result<String>, refusals: &mut Vec<Refusal>) -> Option<Arc<str>> {
        let (Some(Value::Path(path)), origin) = self.get("readme-path")? else { return None };
        match read(path) {
            Ok(text) => Some(text.into()),
            Err(error) => {
                let (name, path) = (origin.call("readme-path"), path.display().to_string());
                refusals.push(Refusal::Unreadable { name, path, error });
                None
            }
        }
    }

    /// A guard needs a token.
    fn check_auth(&self, refusals: &mut Vec<Refusal>) {
        let (Some((Some(Value::Bool(true)), origin)), Some((None, _))) = (self.get("auth"), self.get("auth-token"))
        else {
            return;
        };
        // Or keys that other tokens are checked with.
        if ["jwt-key-path", "jwt-jwks-path"].iter().any(|name| matches!(self.get(name), Some((Some(_), _)))) {
            return;
        }
        let token = table::find("auth-token");
        refusals.push(Refusal::Missing { by: origin.call("auth"), flag: token.flag(), variable: token.variable() });
    }

    /// What is switched on by `by` makes no sense without the settings `names`.
    fn check_needed(&self, by: &str, names: &[&str], refusals: &mut Vec<Refusal>) {
        let Some((Some(Value::Bool(true)), origin)) = self.get(by) else { return };
        for name in names {
            if let Some((None, _)) = self.get(name) {
                let needed = table::find(name);
                refusals.push(Refusal::Missing {
                    by: origin.call(by),
                    flag: needed.flag(),
                    variable: needed.variable(),
                });
            }
        }
    }

    fn warnings(&self, environment: &Environment) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(ignored) = self.ignored(environment) {
            warnings.push(format!("there is no Raft cluster, so this is ignored: {ignored}"));
        }
        for (name, nearest) in environment.foreign() {
            let hint = nearest.map(|nearest| format!("; did you mean {nearest}?")).unwrap_or_default();
            warnings.push(format!("{name} is no setting, and is ignored{hint}"));
        }
        let guarded = self.bool("auth");
        for name in ["auth-token", "auth-resources"] {
            let origin = self.origin(name);
            if *origin != Origin::Default && !guarded {
                warnings.push(format!("{} is set, but auth is false: the API is open to everyone", origin.call(name)));
            }
        }
        if guarded && self.secret("auth-token").is_some_and(|token| token.reveal().len() < AUTH_TOKEN_LEN_GOOD) {
            let name = self.origin("auth-token").call("auth-token");
            warnings.push(format!("{name} is shorter than {AUTH_TOKEN_LEN_GOOD} characters: it can be guessed"));
        }
        warnings
    }

    /// What was given for a Raft cluster, by name.
    fn ignored(&self, environment: &Environment) -> Option<String> {
        let origin = self.origin(NODE_PORT);
        let mut names: Vec<String> = environment.of_raft().collect();
        if *origin != Origin::Default && !names.contains(&origin.call(NODE_PORT)) {
            names.insert(0, origin.call(NODE_PORT));
        }
        (!names.is_empty()).then(|| names.join(", "))
    }

    fn effective(&self, setting: &'static Setting, config: &ServeConfig) -> Effective {
        let origin = self.origin(setting.name).clone();
        let value = match (self.value(setting.name).cloned(), setting.default) {
            (None, DefaultValue::Computed(_, compute)) => Some(compute(config)),
            (value, _) => value,
        };
        Effective { setting, value, origin }
    }
}

/// The warned-of length of the API's token: 64 bits, if its characters are random hexadecimal digits.
const AUTH_TOKEN_LEN_GOOD: usize = 16;
