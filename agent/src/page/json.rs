//! The page as JSON, for programs.

use std::time::SystemTime;

use serde::Serialize;

use super::{
    answer::{Sample, Server},
    share::Content,
    view,
};
use crate::{converge::State, identity::Identity};

#[derive(Serialize)]
struct Page<'a> {
    host: &'a Identity,
    generation: &'a Option<String>,
    converged: bool,
    /// Of another one than the stack has now only the rows are shown.
    database: Option<&'a Server>,
    rows: Option<&'a [Sample]>,
    truncated: bool,
    /// When the SELECT of these rows began.
    as_of: Option<String>,
    age_seconds: Option<f64>,
    /// Whether the rows are older than the request.
    stale: bool,
    trouble: Option<String>,
    files: Option<Files<'a>>,
}

#[derive(Serialize)]
struct Files<'a> {
    id: &'a str,
    transport: &'a str,
    mounted: bool,
    words: Option<&'a str>,
}

/// The text of `/index.json`.
pub fn json(content: &Content) -> Vec<u8> {
    let (feed, good) = (&content.feed, content.good.as_deref());
    let age = |at: SystemTime| content.now.duration_since(at).unwrap_or_default().as_secs_f64();
    let step = feed.steps.get("efs");
    let page = Page {
        host: &feed.identity,
        generation: &feed.generation,
        converged: feed.converged,
        database: content.server(),
        rows: good.map(|it| it.answer.rows.as_slice()),
        truncated: good.is_some_and(|it| it.answer.truncated),
        as_of: good.map(|it| view::time(it.at)),
        age_seconds: good.map(|it| (age(it.at) * 1000.0).round() / 1000.0),
        stale: good.is_some() && content.trouble.is_some(),
        trouble: content.trouble.as_ref().map(super::answer::Trouble::words),
        files: feed.files.as_ref().map(|it| Files {
            id: &it.id,
            transport: &it.transport,
            mounted: step.is_some_and(|it| it.state == State::Ok),
            words: step.and_then(|it| it.words.as_deref()),
        }),
    };
    let mut text = serde_json::to_vec_pretty(&page).unwrap_or_else(|_| b"{}".to_vec());
    text.push(b'\n');
    text
}
