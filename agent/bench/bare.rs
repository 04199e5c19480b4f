//! The bare handler that `scripts/bench-page` compares the page with: axum, and the same bytes from memory.

use axum::{Router, http::header, routing::get};
use bytes::Bytes;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(file)) = (arguments.next(), arguments.next()) else {
        anyhow::bail!("usage: bare-handler ADDRESS FILE");
    };
    let bytes = Bytes::from(std::fs::read(file)?);
    let handler = move || {
        let bytes = bytes.clone();
        async move { ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], bytes) }
    };
    let listener = tokio::net::TcpListener::bind(listen).await?;
    axum::serve(listener, Router::new().route("/", get(handler))).await?;
    Ok(())
}
