//! Reads the file's values against the schema: unknown keys, wrong types, numbers out of range, words
//! that are no choice. What is wrong is reported and left out, so that everything else can be judged.

use std::ops::Range;

use ipnet::Ipv4Net;
use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::findings::Findings;
use super::key::Key;

/// The usable values of the file.
pub(super) fn read(table: &DeTable<'_>, schema: &Json, found: &mut Findings) -> toml::Table {
    Reader { root: schema, found }.table(table, schema, &Key::default())
}

struct Reader<'a> {
    root: &'a Json,
    found: &'a mut Findings,
}

impl Reader<'_> {
    fn table(&mut self, table: &DeTable<'_>, schema: &Json, key: &Key) -> toml::Table {
        let mut usable = toml::Table::new();
        for (name, value) in table {
            let inner = key.name(name.get_ref());
            self.found.note(&inner, value.span());
            let properties = schema.get("properties").and_then(|it| it.get(name.get_ref().as_ref()));
            let others = schema.get("additionalProperties").filter(|it| it.is_object());
            match properties.or(others) {
                None => self.unknown(name.get_ref(), name.span(), schema, key),
                Some(schema) => match self.value(value, schema, &inner) {
                    Some(value) => drop(usable.insert(name.get_ref().to_string(), value)),
                    None => self.found.discard(&inner),
                },
            }
        }
        usable
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, schema: &Json, key: &Key) -> Option<toml::Value> {
        match (kind(schema), value.get_ref()) {
            ("object", DeValue::Table(it)) => Some(self.table(it, schema, key).into()),
            ("array", DeValue::Array(items)) => self.array(items.iter(), schema, key),
            ("boolean", DeValue::Boolean(it)) => Some((*it).into()),
            ("string", DeValue::String(it)) => self.string(it, schema, key),
            ("integer", DeValue::Integer(it)) => {
                let number = i64::from_str_radix(it.as_str(), it.radix()).ok();
                self.integer(number, it.as_str(), schema, key)
            }
            ("number", DeValue::Integer(it)) => self.number(it.as_str(), schema, key),
            ("number", DeValue::Float(it)) => self.number(it.as_str(), schema, key),
            (wanted, _) => {
                let remedy = match schema.get("default") {
                    _ if wanted == "object" => format!("write its keys below a line [{key}]"),
                    None => format!("write {}", words(wanted)),
                    Some(default) => format!("write {}, such as {default}", words(wanted)),
                };
                self.found.add(key, "", format!("is not {}", words(wanted)), remedy);
                None
            }
        }
    }

    fn array<'v, 'i: 'v>(
        &mut self,
        items: impl Iterator<Item = &'v Spanned<DeValue<'i>>>,
        schema: &Json,
        key: &Key,
    ) -> Option<toml::Value> {
        let mut usable = Vec::new();
        let mut all = true;
        for (index, item) in items.enumerate() {
            let inner = key.index(index);
            self.found.note(&inner, item.span());
            match self.value(item, &schema["items"], &inner) {
                Some(value) => usable.push(value),
                None => all = false,
            }
        }
        all.then(|| usable.into())
    }

    fn string(&mut self, text: &str, schema: &Json, key: &Key) -> Option<toml::Value> {
        if schema.get("format").and_then(Json::as_str) == Some("ipv4-cidr") {
            return self.cidr(text, key);
        }
        let Some(choices) = schema.get("enum").and_then(Json::as_array) else { return Some(text.into()) };
        let choices: Vec<&str> = choices.iter().filter_map(Json::as_str).collect();
        if choices.contains(&text) {
            return Some(text.into());
        }
        let all = choices.iter().map(|it| format!("{it:?}")).collect::<Vec<_>>().join(", ");
        let remedy = match nearest(text, choices.into_iter()) {
            Some(near) => format!("write {near:?}; the choices are {all}"),
            None => format!("the choices are {all}"),
        };
        self.found.add(key, text, "is not one of the choices", remedy);
        None
    }

    fn cidr(&mut self, text: &str, key: &Key) -> Option<toml::Value> {
        match text.parse::<Ipv4Net>() {
            Ok(net) if net == net.trunc() => {}
            Ok(net) => {
                let (block, single) = (net.trunc(), net.addr());
                let rule = format!("has bits set behind its prefix /{}", net.prefix_len());
                let remedy =
                    format!("write \"{block}\" for the block or \"{single}/32\" for the one address");
                self.found.add(key, text, rule, remedy);
                return Some(block.to_string().into());
            }
            Err(_) => {
                let remedy = "write an address, a slash and the prefix's length, such as \"10.1.0.0/16\"";
                self.found.add(key, text, "is not a block of IPv4 addresses", remedy);
                return None;
            }
        }
        Some(text.into())
    }

    fn integer(&mut self, number: Option<i64>, text: &str, schema: &Json, key: &Key) -> Option<toml::Value> {
        let bound = |name: &str| schema.get(name).and_then(Json::as_i64);
        let most = match schema.get("format").and_then(Json::as_str) {
            Some("uint16") => i64::from(u16::MAX),
            Some("uint32") => i64::from(u32::MAX),
            _ => i64::MAX,
        };
        let (least, most) = (bound("minimum").unwrap_or(0), bound("maximum").unwrap_or(most));
        if let Some(number) = number.filter(|it| (least..=most).contains(it)) {
            return Some(number.into());
        }
        self.out_of_range(text, &least.to_string(), &most.to_string(), schema, key);
        None
    }

    fn number(&mut self, text: &str, schema: &Json, key: &Key) -> Option<toml::Value> {
        let bound = |name: &str| schema.get(name).and_then(Json::as_f64);
        let (least, most) = (bound("minimum").unwrap_or(f64::MIN), bound("maximum").unwrap_or(f64::MAX));
        if let Some(number) = text.parse::<f64>().ok().filter(|it| (least..=most).contains(it)) {
            return Some(number.into());
        }
        self.out_of_range(text, &least.to_string(), &most.to_string(), schema, key);
        None
    }

    fn out_of_range(&mut self, text: &str, least: &str, most: &str, schema: &Json, key: &Key) {
        let remedy = match schema.get("default") {
            Some(default) => format!("write a number from {least} to {most}, such as {default}"),
            None => format!("write a number from {least} to {most}"),
        };
        self.found.add(key, text, format!("is not between {least} and {most}"), remedy);
    }

    fn unknown(&mut self, name: &str, at: Range<usize>, schema: &Json, table: &Key) {
        let known = names(schema);
        let rule = match table.is_root() {
            true => "there is no such key at the top of the file".to_owned(),
            false => format!("there is no such key in [{table}]"),
        };
        let remedy = match (nearest(name, known.iter().copied()), self.home_of(name)) {
            (_, Some(section)) if !known.contains(&name) => format!("it belongs into [{section}]"),
            (Some(near), _) => format!("did you mean {near:?}?"),
            (None, _) => format!("remove it; the keys here are {}", known.join(", ")),
        };
        self.found.add_at(at, table.name(name), &rule, &remedy);
    }

    /// The section that has a key of this name.
    fn home_of(&self, name: &str) -> Option<&str> {
        let sections = self.root.get("properties")?.as_object()?;
        sections.iter().find(|(_, it)| names(it).contains(&name)).map(|it| it.0.as_str())
    }
}

/// The schema's type; of a value that can be left out, the other one.
fn kind(schema: &Json) -> &str {
    match schema.get("type") {
        Some(Json::Array(types)) => types.iter().filter_map(Json::as_str).find(|it| *it != "null"),
        Some(it) => it.as_str(),
        None => None,
    }
    .unwrap_or("object")
}

fn names(schema: &Json) -> Vec<&str> {
    schema.get("properties").and_then(Json::as_object).into_iter().flatten().map(|it| it.0.as_str()).collect()
}

fn words(kind: &str) -> &'static str {
    match kind {
        "object" => "a table",
        "array" => "a list in square brackets",
        "boolean" => "true or false",
        "integer" => "a whole number without quotes",
        "number" => "a number without quotes",
        _ => "a text in quotes",
    }
}

/// What was probably meant.
fn nearest<'a>(word: &str, among: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |it: &str| strsim::jaro_winkler(&word.to_lowercase(), &it.to_lowercase());
    among
        .map(|it| (likeness(it), it))
        .filter(|it| it.0 > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|it| it.1)
}
