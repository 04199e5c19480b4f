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
pub fn json(content: &Content<'_>) -> Vec<u8> {
    let feed = content.feed;
    let age = |at: SystemTime| content.now.duration_since(at).unwrap_or_default().as_secs_f64();
    let step = feed.steps.get("efs");
    let page = Page {
        host: &feed.identity,
        generation: &feed.generation,
        converged: feed.converged,
        database: content.good.map(|it| &it.answer.server),
        rows: content.good.map(|it| it.answer.rows.as_slice()),
        truncated: content.good.is_some_and(|it| it.answer.truncated),
        as_of: content.good.map(|it| view::time(it.at)),
        age_seconds: content.good.map(|it| (age(it.at) * 1000.0).round() / 1000.0),
        stale: content.good.is_some() && content.trouble.is_some(),
        trouble: content.trouble.map(super::answer::Trouble::words),
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
