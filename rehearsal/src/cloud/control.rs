//! The control plane behind the front door: moto in the region, or whatever else speaks AWS on this machine's loopback.

use std::net::SocketAddrV4;
use std::path::PathBuf;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;

use super::moto;
use crate::command::Running as Process;
use crate::forward::Forward;
use crate::region::Region;
use crate::wire::Place;

/// Names another one than moto.
const KEY: &str = "LAMP_CONTROL_PLANE";

/// What answers AWS's calls.
#[derive(Clone, Debug)]
pub enum ControlPlane {
    /// moto from this virtual environment: started with the cloud, and gone with it.
    Moto(PathBuf),
    /// One that runs already, by its URL. It must be empty, and of this machine.
    Url(String),
}

impl ControlPlane {
    /// As `LAMP_CONTROL_PLANE` says; without it moto, where the set-up command put it.
    pub fn from_env() -> ControlPlane {
        match std::env::var(KEY) {
            Ok(url) if !url.is_empty() => ControlPlane::Url(url),
            _ => ControlPlane::Moto(moto::venv()),
        }
    }

    /// The loopback address in a URL.
    pub(crate) fn address(url: &str) -> anyhow::Result<SocketAddrV4> {
        let rest =
            url.trim_end_matches('/').strip_prefix("http://").map(|it| it.replace("localhost", "127.0.0.1"));
        match rest.and_then(|it| it.parse::<SocketAddrV4>().ok()) {
            Some(it) if it.ip().is_loopback() => Ok(it),
            _ => bail!("{KEY} is {url}: write http://127.0.0.1:PORT; nothing beyond this machine is asked"),
        }
    }
}

/// The one that runs.
pub(super) struct Control {
    pub(super) way: Way,
    url: String,
    _kept: Option<(Process, Forward)>,
}

/// How to ask it.
#[derive(Clone)]
pub(super) enum Way {
    /// On the loopback of the region's internet, which only the front door can reach.
    Inside(Region, SocketAddrV4),
    Outside(SocketAddrV4),
}

impl Control {
    /// Starts moto and waits until it answers, or looks whether the other one does.
    pub(super) fn start(region: &Region, plane: &ControlPlane) -> anyhow::Result<Control> {
        match plane {
            ControlPlane::Moto(venv) => {
                let process = moto::start(region, venv)?;
                let forward = region.forward(Place::Internet, moto::ADDRESS)?;
                let way = Way::Inside(region.clone(), moto::ADDRESS);
                Ok(Control { way, url: forward.url(), _kept: Some((process, forward)) })
            }
            ControlPlane::Url(url) => {
                let address = ControlPlane::address(url)?;
                std::net::TcpStream::connect(address)
                    .with_context(|| format!("{KEY} is {url}, where nobody answers"))?;
                Ok(Control { way: Way::Outside(address), url: format!("http://{address}"), _kept: None })
            }
        }
    }

    /// For SDKs.
    pub(super) fn url(&self) -> String {
        self.url.clone()
    }
}

impl Way {
    /// One question. A connection each: moto closes them anyway.
    pub(super) async fn ask(&self, request: Request<Full<Bytes>>) -> anyhow::Result<Response<Bytes>> {
        let line = self.dial().await.context("reaching the control plane")?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(line))
            .await
            .context("reaching the control plane")?;
        tokio::spawn(connection);
        let answer = sender.send_request(request).await.context("asking the control plane")?;
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.context("reading the control plane's answer")?.to_bytes();
        Ok(Response::from_parts(parts, body))
    }

    async fn dial(&self) -> anyhow::Result<tokio::net::TcpStream> {
        match self {
            Way::Inside(region, address) => {
                let (region, address) = (region.clone(), *address);
                let line =
                    tokio::task::spawn_blocking(move || region.dial(Place::Internet, address)).await??;
                line.set_nonblocking(true)?;
                Ok(tokio::net::TcpStream::from_std(line)?)
            }
            Way::Outside(address) => Ok(tokio::net::TcpStream::connect(address).await?),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn only_this_machine_is_asked() {
        let address = |url: &str| ControlPlane::address(url).map_err(|err| err.to_string());
        assert_eq!(address("http://127.0.0.1:5001/"), Ok(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 5001)));
        assert_eq!(address("http://localhost:5001"), Ok(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 5001)));
        for url in ["http://10.1.0.1:80", "https://127.0.0.1:1", "http://example.com", "127.0.0.1:5000", ""] {
            assert!(address(url).unwrap_err().contains("write http://127.0.0.1:PORT"), "{url}");
        }
    }
}
