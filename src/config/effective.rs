//! What `ringrelay config` prints: the settings as they are in effect.

use serde_json::{Map, Value as Json, json};

use super::origin::Origin;
use super::setting::{Setting, Value};

/// One setting in effect.
#[derive(Clone, Debug)]
pub struct Effective {
    pub setting: &'static Setting,
    /// `None` = unset; the setting's default says what that means.
    pub value: Option<Value>,
    pub origin: Origin,
}

/// One line each: name, value, origin, in columns. What is unset is in brackets; secrets are masked.
pub fn to_text(settings: &[Effective]) -> String {
    let rows: Vec<[String; 3]> = settings
        .iter()
        .map(|effective| [effective.setting.name.to_owned(), effective.text(), effective.origin.to_string()])
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (names, values) = (width(0), width(1));
    rows.iter().map(|[name, value, origin]| format!("{name:names$}  {value:values$}  {origin}\n")).collect()
}

/// One object by name, `{"port":{"value":8080,"origin":"default"},…}`. What is unset is `null`; secrets are masked.
pub fn to_json(settings: &[Effective]) -> String {
    let object: Map<String, Json> = settings
        .iter()
        .map(|effective| {
            let json = json!({"value": effective.json(), "origin": effective.origin.to_string()});
            (effective.setting.name.to_owned(), json)
        })
        .collect();
    format!("{:#}\n", Json::Object(object))
}

impl Effective {
    fn text(&self) -> String {
        match &self.value {
            None => format!("({})", self.setting.default.words()),
            Some(Value::Bool(value)) => value.to_string(),
            Some(Value::Integer(value)) => value.to_string(),
            Some(Value::Address(value)) => value.to_string(),
            Some(Value::Text(value)) if value.is_empty() => "\"\"".to_owned(),
            Some(Value::Text(value)) => on_one_line(value),
            Some(Value::Path(value)) => on_one_line(&value.to_string_lossy()),
            Some(Value::Secret(_)) => MASK.to_owned(),
        }
    }

    fn json(&self) -> Json {
        match &self.value {
            None => Json::Null,
            Some(Value::Bool(value)) => json!(value),
            Some(Value::Integer(value)) => json!(value),
            Some(Value::Address(value)) => json!(value.to_string()),
            Some(Value::Text(value)) => json!(value),
            Some(Value::Path(value)) => json!(value.to_string_lossy()),
            Some(Value::Secret(_)) => json!(MASK),
        }
    }
}

/// The text, with control characters escaped.
fn on_one_line(text: &str) -> String {
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escape).collect()
}

/// Of one length, so that it does not tell the secret's.
const MASK: &str = "********";
