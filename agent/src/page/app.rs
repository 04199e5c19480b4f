//! The routes.

use std::{sync::Arc, time::Instant};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
    routing::get,
};
use bytes::Bytes;
use http_body_util::Full;
use tokio::sync::watch;

use super::{accept::wants_json, health::Health, link::Link, metrics::Metrics, share::Share, view};
use crate::feed::Feed;

#[derive(Clone)]
pub struct App {
    pub share: Arc<Share>,
    pub health: Arc<Health>,
    pub metrics: Arc<Metrics>,
    pub link: Arc<Link>,
    pub feed: watch::Receiver<Arc<Feed>>,
    policy: HeaderValue,
}

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

impl App {
    pub fn new(
        share: Arc<Share>,
        health: Arc<Health>,
        metrics: Arc<Metrics>,
        link: Arc<Link>,
        feed: watch::Receiver<Arc<Feed>>,
    ) -> App {
        // Nothing but our own style sheet: what a row holds could do nothing even if it got past the escaping.
        let policy = format!(
            "default-src 'none'; style-src '{}'; base-uri 'none'; form-action 'none'",
            view::style_hash()
        );
        let policy = HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
        App { share, health, metrics, link, feed, policy }
    }

    /// What nearly everybody asks for.
    pub async fn index(&self, headers: &HeaderMap) -> Response<Full<Bytes>> {
        page(self, wants_json(headers)).await
    }

    /// Everything.
    pub fn router(self) -> Router {
        Router::new()
            .route("/", get(index))
            .route("/index.json", get(index_json))
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(self)
    }
}

async fn index(State(app): State<App>, headers: HeaderMap) -> Response<Body> {
    app.index(&headers).await.map(Body::new)
}

async fn index_json(State(app): State<App>) -> Response<Body> {
    page(&app, true).await.map(Body::new)
}

async fn page(app: &App, json: bool) -> Response<Full<Bytes>> {
    let began = Instant::now();
    let page = app.share.page().await;
    let fine = page.is_fine();
    let (kind, body) = if json { (JSON, page.json()) } else { (HTML, page.html()) };
    let mut response = answer(fine, kind, body);
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !json {
        headers.insert(header::CONTENT_SECURITY_POLICY, app.policy.clone());
    }
    if !fine {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    app.metrics.request(began.elapsed(), fine);
    response
}

async fn healthz(State(app): State<App>) -> Response<Body> {
    match app.health.fit().await {
        Ok(()) => answer(true, TEXT, Bytes::from_static(b"ok\n")),
        Err(why) => answer(false, TEXT, format!("{why}\n").into()),
    }
    .map(Body::new)
}

async fn readyz(State(app): State<App>) -> Response<Body> {
    let page = app.share.page().await;
    let ready = app.health.ready(page.trouble()).await;
    let body = serde_json::to_vec_pretty(&ready).unwrap_or_default();
    answer(ready.ready, JSON, body.into()).map(Body::new)
}

async fn metrics(State(app): State<App>) -> Response<Body> {
    let fit = app.health.fit().await.is_ok();
    let feed = app.feed.borrow().clone();
    // Asks the machine, which takes a moment.
    let text = tokio::task::spawn_blocking(move || app.metrics.text(&feed, &app.link, fit))
        .await
        .unwrap_or_default();
    answer(true, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"), text.into())
        .map(Body::new)
}

fn answer(fine: bool, kind: HeaderValue, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = if fine { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
    response
}
