//! What `lamp init` writes.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::accepted;
use crate::config::{Config, init, schema, template};

fn setting(line: &str) -> Option<&str> {
    line.strip_prefix('#').filter(|it| it.starts_with(|c: char| c.is_alphabetic()))
}

/// The template with all its settings switched on.
fn uncommented() -> String {
    template().lines().map(|line| format!("{}\n", setting(line).unwrap_or(line))).collect()
}

#[test]
fn the_template_as_written_is_the_lab() {
    assert_eq!(accepted(&template()), Config::default());
}

#[test]
fn the_template_with_every_line_switched_on_is_the_lab() {
    assert_eq!(accepted(&uncommented()), Config::default());
}

#[test]
fn the_template_has_every_key() {
    let given = keys("", &toml::from_str::<Json>(&uncommented()).unwrap());
    let whole = keys("", &serde_json::to_value(Config::default()).unwrap());
    assert_eq!(given, whole);
    for unset in ["password_file", "bucket", "folder", "certificate", "log_bucket", "binary"] {
        assert!(template().contains(&format!("# Not set by default. {unset} = ")), "{unset}");
    }
}

fn keys(path: &str, value: &Json) -> BTreeSet<String> {
    match value {
        Json::Object(table) => {
            table.iter().flat_map(|(key, it)| keys(&format!("{path}.{key}"), it)).collect()
        }
        _ => [path.to_owned()].into(),
    }
}

#[test]
fn every_key_is_explained() {
    let lines: Vec<String> = template().lines().map(str::to_owned).collect();
    for (at, line) in lines.iter().enumerate().skip(1) {
        let is_key = line.starts_with('[')
            || line.strip_prefix('#').is_some_and(|it| !it.starts_with(' ') && !it.is_empty());
        assert!(!is_key || lines[at - 1].starts_with("# "), "{line}");
        assert!(line.len() <= 110, "{line}");
    }
}

#[test]
fn the_schema_is_json_with_a_meaning_and_a_default_for_every_key() {
    let schema: Json = serde_json::from_str(&schema()).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(
        schema["properties"]["balancers"]["properties"]["index_check"]["properties"]["path"]["default"],
        "/healthz"
    );
    every(&schema, "", &mut |path, property| {
        assert!(property["description"].as_str().is_some_and(|it| !it.is_empty()), "{path} is not explained");
        let is_optional = property["type"].is_array();
        assert!(property["type"] == "object" || is_optional || !property["default"].is_null(), "{path}");
        for (keyword, value) in property.as_object().unwrap() {
            let is_sound = match keyword.as_str() {
                "type" => value.is_string() || value.is_array(),
                "description" | "format" | "pattern" => value.is_string(),
                "properties" | "items" => value.is_object(),
                "additionalProperties" => value.is_boolean() || value.is_object(),
                "enum" | "examples" => value.is_array(),
                "minimum" | "maximum" => value.is_number(),
                "default" => true,
                _ => false,
            };
            assert!(is_sound, "{path}: {keyword} = {value}");
        }
    });
}

/// Calls `check` with each property and its path.
fn every(schema: &Json, path: &str, check: &mut impl FnMut(&str, &Json)) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        check(&path, property);
        every(property, &path, check);
    }
}

#[test]
fn the_schema_refuses_what_is_not_in_it() {
    let schema = init::schema_value();
    assert_eq!(schema["additionalProperties"], false);
    every(&schema, "", &mut |path, property| {
        let open = [".tags"].contains(&path);
        assert!(property["type"] != "object" || open || property["additionalProperties"] == false, "{path}");
    });
}
