//! What commands have to say, and its form for people and for programs.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value as Json, json};

use super::{Status, Sweep, paint::Paint, plan, report, status, sweep};
use crate::{
    engine::{Plan, Report},
    timing::Forecast,
};

/// Something that is to be read as a whole.
pub enum Document<'a> {
    Note(&'a str),
    Plan(&'a Plan, &'a Forecast),
    /// With how long the run took.
    Report(&'a Report, Option<Duration>),
    Status(&'a Status),
    Addresses(&'a [(String, String)]),
    Sweep(&'a Sweep),
    Result {
        text: &'a str,
        object: Json,
    },
    Raw(&'a str),
}

impl<'a> Document<'a> {
    pub(super) fn result(event: &str, object: &impl Serialize, text: &'a str) -> Self {
        let mut all = json!({ "event": event });
        match (&mut all, json!(object)) {
            (Json::Object(all), Json::Object(fields)) => all.extend(fields),
            (all, other) => all["value"] = other,
        }
        Document::Result { text, object: all }
    }

    /// Whole lines.
    pub(super) fn text(&self, paint: Paint) -> String {
        let text = match self {
            Document::Note(text) => (*text).to_owned(),
            Document::Plan(plan, forecast) => plan::text(plan, forecast, paint),
            Document::Report(report, took) => report::text(report, *took, paint),
            Document::Status(status) => status::text(status, paint),
            Document::Addresses(them) => status::addresses(them, paint),
            Document::Sweep(sweep) => sweep::text(sweep, paint),
            Document::Result { text, .. } | Document::Raw(text) => (*text).to_owned(),
        };
        if text.is_empty() || text.ends_with('\n') { text } else { text + "\n" }
    }

    /// The object; `None` where the text is the product itself.
    pub(super) fn object(&self) -> Option<Json> {
        Some(match self {
            Document::Note(text) => json!({ "event": "note", "text": text }),
            Document::Plan(plan, forecast) => plan::object(plan, forecast),
            Document::Report(report, took) => report::object(report, *took),
            Document::Status(status) => status::object(status),
            Document::Addresses(them) => json!({ "event": "addresses", "addresses": them }),
            Document::Sweep(sweep) => sweep::object(sweep),
            Document::Result { object, .. } => object.clone(),
            Document::Raw(_) => return None,
        })
    }
}
