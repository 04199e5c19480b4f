//! The edge's front: connections, TLS with the region's own authority, and what distance costs.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

use super::Edge;
use super::cache::Stored;
use super::site::{self, Visit};
use super::storage::refusal;
use super::view::Site;
use super::viewer::Viewer;
use crate::authority::Authority;

/// What is known of a connection before anything is asked on it.
#[derive(Clone)]
struct Line {
    viewer: Viewer,
    is_encrypted: bool,
    /// The name that is meant whatever is asked for.
    host: Option<String>,
    /// Journeys there and back that setting it up takes, and nobody has waited for yet.
    owed: Arc<AtomicU32>,
}

impl Edge {
    /// Serves connections without encryption.
    pub(super) fn open(self: &Arc<Edge>, listener: TcpListener) -> anyhow::Result<()> {
        self.accept(listener, None, |stream| async { Some((stream, false)) })
    }

    /// Serves connections on which a certificate of the region's authority is shown.
    pub(super) fn open_tls(self: &Arc<Edge>, listener: TcpListener, keys: Arc<Keys>) -> anyhow::Result<()> {
        let config = ServerConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .context("preparing TLS")?
            .with_no_client_auth()
            .with_cert_resolver(keys);
        let acceptor = TlsAcceptor::from(Arc::new(config));
        self.accept(listener, None, move |stream| {
            let accepted = acceptor.accept(stream);
            async { Some((accepted.await.ok()?, true)) }
        })
    }

    /// Serves one name on this machine's loopback, as if over an encrypted connection: what a browser would see that
    /// trusted the region's authority.
    pub(super) fn open_outside(self: &Arc<Edge>, host: &str) -> anyhow::Result<u16> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listening on the loopback")?;
        let port = listener.local_addr().context("asking for a port's number")?.port();
        self.accept(listener, Some(host.to_owned()), |stream| async { Some((stream, true)) })?;
        Ok(port)
    }

    fn accept<S, F>(
        self: &Arc<Edge>,
        listener: TcpListener,
        host: Option<String>,
        begin: impl Fn(tokio::net::TcpStream) -> F + Send + 'static,
    ) -> anyhow::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Future<Output = Option<(S, bool)>> + Send + 'static,
    {
        listener.set_nonblocking(true).context("opening the edge")?;
        let listener = tokio::net::TcpListener::from_std(listener).context("opening the edge")?;
        let edge = Arc::clone(self);
        tokio::spawn(async move {
            while let Some((stream, peer)) = crate::accept::next(&listener).await {
                let (edge, host, begun) = (Arc::clone(&edge), host.clone(), begin(stream));
                tokio::spawn(async move {
                    let Some((stream, is_encrypted)) = begun.await else { return };
                    edge.converse(stream, peer.ip(), is_encrypted, host).await;
                });
            }
        });
        Ok(())
    }

    async fn converse<S>(self: Arc<Edge>, stream: S, peer: IpAddr, is_encrypted: bool, host: Option<String>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let owed = Arc::new(AtomicU32::new(if is_encrypted { 2 } else { 1 }));
        let line = Line { viewer: Viewer::at(peer), is_encrypted, host, owed };
        let service = service_fn(move |request| {
            let (edge, line) = (Arc::clone(&self), line.clone());
            async move { Ok::<_, Infallible>(edge.answer(&line, request).await) }
        });
        let server = hyper::server::conn::http1::Builder::new();
        // A viewer that hangs up is no error of ours.
        let _ = server.serve_connection(TokioIo::new(stream), service).await;
    }

    async fn answer(&self, line: &Line, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let said = request.headers().get("host").and_then(|it| it.to_str().ok()).unwrap_or_default();
        let host = line.host.as_deref().unwrap_or(said);
        let host = host.split(':').next().unwrap_or_default().to_ascii_lowercase();
        let visit = Visit {
            viewer: line.viewer,
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            headers: request.headers().clone(),
            is_encrypted: line.is_encrypted,
            host,
        };
        let site = self.view().sites.get(&visit.host).cloned();
        let journey = match &site {
            Some(Site::Distribution(_)) | None => Viewer::TO_EDGE,
            Some(Site::Bucket(_) | Site::Website(_)) => visit.viewer.to_bucket(),
        };
        tokio::time::sleep(journey * (1 + line.owed.swap(0, Ordering::Relaxed))).await;
        let answer = match &site {
            Some(Site::Distribution(it)) => site::distributed(it, &visit, &self.cache, &self.storage).await,
            Some(Site::Bucket(name)) => site::bucket(name, &visit, &self.storage).await,
            Some(Site::Website(name)) => site::website(name, &visit.path, &self.storage)
                .await
                .unwrap_or_else(|err| refusal(503, "ServiceUnavailable", &format!("{err:#}"))),
            None => refusal(404, "NoSuchBucket", "Neither a distribution nor a bucket has this name"),
        };
        respond(answer, &visit.method)
    }
}

fn respond(answer: Stored, method: &Method) -> Response<Full<Bytes>> {
    let length = answer.body.len();
    let body = if *method == Method::HEAD { Bytes::new() } else { answer.body };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    if *method == Method::HEAD {
        response.headers_mut().insert("content-length", length.into());
    }
    response
}

/// Certificates for the names of AWS, made when somebody asks for one.
pub(super) struct Keys {
    authority: Arc<Authority>,
    known: Mutex<BTreeMap<String, Arc<CertifiedKey>>>,
}

impl Keys {
    pub(super) fn new(authority: Arc<Authority>) -> Arc<Keys> {
        Arc::new(Keys { authority, known: Mutex::default() })
    }

    fn sign(&self, name: &str) -> anyhow::Result<Arc<CertifiedKey>> {
        let signed = self.authority.sign(&[name])?;
        let certificate = CertificateDer::from_pem_slice(signed.certificate.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(signed.key.as_bytes())?;
        let key = ring::sign::any_supported_type(&key)?;
        Ok(Arc::new(CertifiedKey::new(vec![certificate], key)))
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

impl ResolvesServerCert for Keys {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name()?.to_ascii_lowercase();
        // A website endpoint has no certificate, on AWS either.
        if name.contains(".s3-website") {
            return None;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = known.get(&name) {
            return Some(Arc::clone(key));
        }
        let key = self.sign(&name).ok()?;
        known.insert(name, Arc::clone(&key));
        Some(key)
    }
}
