//! What `lamp init` writes: the commented `lamp.toml` and its JSON schema, both made from the types.

use std::fmt::Write;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value as Json};

use super::Config;

const HEAD: &str = "\
# lamp.toml: what `lamp` builds. Every value below is the default, which is the lab's; an empty file
# means the same. Lines that begin with # and a letter are settings: remove the # and change the value.
# An editor that knows the schema which `lamp init --schema` writes completes and checks as you type.
";

const WIDTH: usize = 100;

/// The commented `lamp.toml`: every key with its default and its meaning.
pub fn template() -> String {
    let mut text = HEAD.to_owned();
    section(&mut text, "", &schema_value());
    text
}

/// The JSON schema of `lamp.toml`, for editors.
pub fn schema() -> String {
    format!("{:#}\n", schema_value())
}

/// The schema with the defaults of the configuration as a whole.
pub(super) fn schema_value() -> Json {
    let settings = SchemaSettings::draft2020_12().with(|it| it.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Config>().to_value();
    schema["title"] = "lamp.toml".into();
    // A type's own default knows nothing of where it is used: both health checks would get one path.
    fill(&mut schema, &serde_json::to_value(Config::default()).unwrap_or_default());
    schema
}

fn fill(schema: &mut Json, defaults: &Json) {
    let Some(properties) = schema.get_mut("properties").and_then(Json::as_object_mut) else { return };
    for (name, property) in properties {
        let default = defaults.get(name).unwrap_or(&Json::Null);
        fill(property, default);
        let Some(property) = property.as_object_mut() else { continue };
        match default {
            Json::Null | Json::Object(_) => drop(property.remove("default")),
            default => drop(property.insert("default".into(), default.clone())),
        }
    }
}

/// The keys of one table, then its inner tables.
fn section(text: &mut String, name: &str, schema: &Json) {
    let none = Map::new();
    let properties = schema.get("properties").and_then(Json::as_object).unwrap_or(&none);
    let (tables, keys): (Vec<_>, Vec<_>) =
        properties.iter().partition(|it| it.1.get("type").is_some_and(|it| it == "object"));
    for (key, schema) in keys {
        comment(text, schema);
        // Writing into a string does not fail.
        let _ = match (schema.get("default"), schema.get("examples").and_then(|it| it.get(0))) {
            (Some(default), _) => writeln!(text, "#{key} = {}", toml_value(default)),
            (None, Some(example)) => writeln!(text, "# Not set by default. {key} = {}", toml_value(example)),
            (None, None) => writeln!(text, "# Not set by default. {key} = \"…\""),
        };
    }
    for (key, schema) in tables {
        let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
        comment(text, schema);
        let _ = writeln!(text, "[{name}]");
        section(text, &name, schema);
    }
}

fn comment(text: &mut String, schema: &Json) {
    text.push('\n');
    let mut line = String::from("#");
    let words = schema.get("description").and_then(Json::as_str).unwrap_or_default().split_whitespace();
    for word in words {
        if line.len() + 1 + word.len() > WIDTH {
            let _ = writeln!(text, "{line}");
            line.truncate(1);
        }
        line.push(' ');
        line.push_str(word);
    }
    if line.len() > 1 {
        let _ = writeln!(text, "{line}");
    }
}

/// JSON's texts, numbers and lists are TOML's, but for the space behind a comma.
fn toml_value(value: &Json) -> String {
    match value {
        Json::Array(items) => format!("[{}]", items.iter().map(toml_value).collect::<Vec<_>>().join(", ")),
        it => it.to_string(),
    }
}
