//! An HTTP client that shows everything and hides nothing.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|err| panic!("{err}: {self:?}"))
    }

    fn parse(bytes: &[u8]) -> Option<Answer> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Answer { status, head: head.to_lowercase(), body: body.to_owned() })
    }
}

/// Asks once, over a connection of its own.
pub async fn get(at: SocketAddr, path: &str) -> Answer {
    get_with(at, path, "").await
}

/// The same with more header lines.
pub async fn get_with(at: SocketAddr, path: &str, headers: &str) -> Answer {
    try_get(at, path, headers).await.unwrap_or_else(|| panic!("{path}: no answer"))
}

/// The same where a failure is part of what is measured.
pub async fn try_get(at: SocketAddr, path: &str, headers: &str) -> Option<Answer> {
    let work = async {
        let mut stream = TcpStream::connect(at).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.ok()?;
        Answer::parse(&bytes)
    };
    timeout(Duration::from_secs(20), work).await.ok().flatten()
}

/// Sends exactly these bytes and returns what comes until the other side closes or a second of silence.
pub async fn raw(at: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let _ = stream.write_all(bytes).await;
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(Ok(n @ 1..)) = timeout(Duration::from_secs(1), stream.read(&mut buffer)).await {
        all.extend_from_slice(&buffer[..n]);
    }
    String::from_utf8_lossy(&all).into_owned()
}
