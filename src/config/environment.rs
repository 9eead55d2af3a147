//! The variables of the table.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::nearest::nearest;
use super::origin::{Given, Origin};
use super::setting::{OUR_PREFIX, Setting};
use super::table::is_of_raft;
use super::{Refusal, SETTINGS};

/// The environment of the process, without the variables that are empty: where variables are listed in a file, `NAME=`
/// is how one says that there is none.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
}

impl Environment {
    pub fn of_process() -> Environment {
        std::env::vars_os().collect()
    }

    /// What the environment says of a setting.
    pub(super) fn given(&self, setting: &Setting) -> Option<Result<Given, Refusal>> {
        let variable = |name: String| self.variables.get(&OsString::from(&name)).map(|value| (name, value));
        let (name, value) = setting.variables().find_map(variable)?;
        Some(match value.to_str() {
            Some(text) => Ok(Given { text: text.to_owned(), origin: Origin::Variable(name) }),
            None => Err(Refusal::NotUtf8 { name }),
        })
    }

    /// Variables of ours that no setting has: a slip, because nobody else's begin like that.
    pub(super) fn unknown(&self) -> impl Iterator<Item = Refusal> + '_ {
        self.names(OUR_PREFIX)
            .filter(|name| !is_known(name))
            .map(|name| Refusal::UnknownVariable { nearest: nearest_variable(&name, OUR_PREFIX), name })
    }

    /// Variables of the source's names that nobody knows, each with the name that was perhaps meant.
    pub(super) fn foreign(&self) -> impl Iterator<Item = (String, Option<String>)> + '_ {
        self.names(SOURCE_PREFIX).filter(|name| !is_known(name) && !is_of_raft(name)).map(|name| {
            let nearest = nearest_variable(&name, SOURCE_PREFIX);
            (name, nearest)
        })
    }

    /// Variables of a Raft cluster.
    pub(super) fn of_raft(&self) -> impl Iterator<Item = String> + '_ {
        self.names(SOURCE_PREFIX).filter(|name| is_of_raft(name))
    }

    fn names(&self, prefix: &'static str) -> impl Iterator<Item = String> + '_ {
        let names = self.variables.keys().map(|name| name.to_string_lossy().into_owned());
        names.filter(move |name| name.starts_with(prefix))
    }
}

impl FromIterator<(OsString, OsString)> for Environment {
    fn from_iter<I: IntoIterator<Item = (OsString, OsString)>>(variables: I) -> Environment {
        Environment { variables: variables.into_iter().filter(|(_, value)| !value.is_empty()).collect() }
    }
}

fn is_known(name: &str) -> bool {
    SETTINGS.iter().flat_map(Setting::variables).any(|known| known == name)
}

fn nearest_variable(name: &str, prefix: &str) -> Option<String> {
    nearest(name, SETTINGS.iter().flat_map(Setting::variables).filter(|known| known.starts_with(prefix)))
}

/// What the names begin with that the source of the requirements uses.
const SOURCE_PREFIX: &str = "WRS_";
