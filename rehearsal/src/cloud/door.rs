//! The front door: every call to the cloud's interface comes through here, is noted, and answered as AWS would.

use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Instant;

use anyhow::Context;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use super::answers;
use super::call::Call;
use super::cbor;
use super::clients::Clients;
use super::fault::{FaultKind, strike};
use super::moto;
use super::refusal::Refusal;
use super::scaling;
use super::shared::Shared;
use super::ssm;
use super::sync::Sync;
use crate::region::Region;
use crate::wire::Place;

pub(super) struct Door {
    region: Region,
    shared: Shared,
    clients: Arc<Clients>,
    log: Mutex<File>,
    /// What the calls are about; known a moment after the door is built.
    sync: OnceLock<Weak<Sync>>,
    commands: ssm::Ledger,
}

impl Door {
    pub(super) fn new(region: &Region, shared: &Shared, clients: &Arc<Clients>) -> anyhow::Result<Arc<Door>> {
        let log = File::create(region.dir().join("calls.log")).context("creating the log of calls")?;
        Ok(Arc::new(Door {
            region: region.clone(),
            shared: shared.clone(),
            clients: Arc::clone(clients),
            log: Mutex::new(log),
            sync: OnceLock::new(),
            commands: ssm::Ledger::default(),
        }))
    }

    /// From now on it can answer for what runs.
    pub(super) fn serves(&self, sync: &Arc<Sync>) {
        let _ = self.sync.set(Arc::downgrade(sync));
    }

    fn sync(&self) -> Option<Arc<Sync>> {
        self.sync.get()?.upgrade()
    }

    /// Serves a port of this machine's loopback; says which.
    pub(super) fn open_outside(self: &Arc<Door>, port: u16) -> anyhow::Result<u16> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .with_context(|| format!("opening the cloud's interface at port {port}"))?;
        let port = listener.local_addr().context("asking for a port's number")?.port();
        self.open(listener)?;
        Ok(port)
    }

    /// Serves an address in the region's internet, for the agents.
    pub(super) fn open_inside(self: &Arc<Door>, at: SocketAddrV4) -> anyhow::Result<()> {
        self.open(self.region.listen(Place::Internet, at)?)
    }

    fn open(self: &Arc<Door>, listener: TcpListener) -> anyhow::Result<()> {
        listener.set_nonblocking(true).context("opening the front door")?;
        let listener = tokio::net::TcpListener::from_std(listener).context("opening the front door")?;
        let door = Arc::clone(self);
        tokio::spawn(async move {
            while let Ok((line, _)) = listener.accept().await {
                let door = Arc::clone(&door);
                tokio::spawn(async move {
                    let service = service_fn(move |request| Arc::clone(&door).serve(request));
                    let server = hyper::server::conn::http1::Builder::new();
                    // A dropped answer and a client that hung up look the same here.
                    let _ = server.serve_connection(TokioIo::new(line), service).await;
                });
            }
        });
        Ok(())
    }

    async fn serve(
        self: Arc<Door>,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, anyhow::Error> {
        let began = Instant::now();
        let (mut parts, body) = request.into_parts();
        let body = body.collect().await.context("reading a call")?.to_bytes();
        let in_json = cbor::understood(&mut parts, &body)?;
        let was_cbor = in_json.is_some();
        let body = in_json.unwrap_or(body);
        let call = Call::of(&parts, &body);
        let fault = strike(&mut self.shared.lock().faults, &call);
        let refused = fault.and_then(FaultKind::answer);
        let answer = match refused {
            Some((status, code, words)) => Refusal::new(code, words).with_status(status).answer(&call),
            None if ssm::is_ours(&call) => self.run_command(&call).await,
            None if call.service == "autoscaling" => {
                match scaling::answer(&self.shared, &self.clients, &call).await {
                    Ok(body) => document(body),
                    Err(refusal) => refusal.answer(&call),
                }
            }
            None => {
                let request = self.question(&call, parts, &body);
                match moto::ask(&self.region, request).await {
                    Ok(answer) => self.reply(&call, answer),
                    Err(err) => unavailable(&format!("{err:#}")).answer(&call),
                }
            }
        };
        self.note(&call, fault, answer.status(), began);
        if refused.is_none() && answer.status().is_success() {
            self.learn(&call);
        }
        if fault == Some(FaultKind::DroppedAnswer) {
            anyhow::bail!("the answer is dropped, as ordered");
        }
        Ok(if was_cbor { cbor::answered(answer).await } else { answer })
    }

    async fn run_command(self: &Arc<Door>, call: &Call) -> Response<Full<Bytes>> {
        let Some(sync) = self.sync() else { return unavailable("the cloud is starting").answer(call) };
        let (it, asked) = (Arc::clone(self), call.clone());
        let answer = tokio::task::spawn_blocking(move || ssm::answer(&sync, &it.commands, &asked)).await;
        match answer {
            Ok(Ok(it)) => {
                let mut answer = Response::new(Full::new(Bytes::from(it.to_string())));
                let kind = HeaderValue::from_static("application/x-amz-json-1.1");
                answer.headers_mut().insert(CONTENT_TYPE, kind);
                answer
            }
            Ok(Err(refusal)) => refusal.answer(call),
            Err(err) => unavailable(&err.to_string()).answer(call),
        }
    }

    fn question(&self, call: &Call, mut parts: http::request::Parts, body: &Bytes) -> Request<Full<Bytes>> {
        let body = match std::str::from_utf8(body) {
            Ok(text) if call.service == "ec2" => {
                Bytes::from(answers::asked(call, &self.shared.lock(), text.to_owned()))
            }
            _ => body.clone(),
        };
        parts.headers.remove(CONTENT_LENGTH);
        parts.headers.remove(TRANSFER_ENCODING);
        parts.headers.remove(CONNECTION);
        Request::from_parts(parts, Full::new(body))
    }

    fn reply(&self, call: &Call, answer: Response<Bytes>) -> Response<Full<Bytes>> {
        let (mut parts, body) = answer.into_parts();
        let is_text = matches!(call.service.as_str(), "ec2" | "rds" | "elasticloadbalancing");
        let body = match std::str::from_utf8(&body) {
            Ok(text) if is_text => {
                Bytes::from(answers::corrected(call, &self.shared.lock(), text.to_owned()))
            }
            _ => body,
        };
        if parts.headers.get(CONTENT_LENGTH).is_some() {
            parts.headers.insert(CONTENT_LENGTH, body.len().into());
        }
        parts.headers.remove(TRANSFER_ENCODING);
        parts.headers.remove(CONNECTION);
        parts.headers.remove(HOST);
        Response::from_parts(parts, Full::new(body))
    }

    /// What the data plane must know of a call that succeeded, and what no later answer would tell it.
    fn learn(&self, call: &Call) {
        let mut known = self.shared.lock();
        if call.changes() {
            known.changes += 1;
        }
        let database = || call.parameter("DBInstanceIdentifier").map(str::to_owned);
        match (call.service.as_str(), call.action.as_str()) {
            ("rds", "CreateDBInstance" | "ModifyDBInstance" | "CreateDBInstanceReadReplica") => {
                let Some(name) = database() else { return };
                if call.action != "ModifyDBInstance" {
                    known.pending_databases.insert(name.clone());
                }
                if let Some(password) = call.parameter("MasterUserPassword") {
                    known.passwords.insert(name, password.to_owned());
                }
            }
            ("rds", "RebootDBInstance") => {
                let failover = call.parameter("ForceFailover") == Some("true");
                known.reboots.extend(database().map(|it| (it, failover)));
            }
            ("ec2", "RebootInstances") => {
                let ids = call.parameters.iter().filter(|it| it.0.starts_with("InstanceId."));
                known.instance_reboots.extend(ids.map(|it| it.1.clone()));
            }
            ("elasticloadbalancing", "CreateLoadBalancer") => {
                known.pending_balancers.extend(call.parameter("Name").map(str::to_owned));
            }
            _ => {}
        }
    }

    /// Never a parameter: some are secret.
    fn note(&self, call: &Call, fault: Option<FaultKind>, status: StatusCode, began: Instant) {
        let fault = fault.map(|it| format!(" {it:?}")).unwrap_or_default();
        let line = format!(
            "{} {} {} {} {}{fault} {} ms\n",
            jiff::Timestamp::now(),
            call.service,
            call.action,
            call.subject(),
            status.as_u16(),
            began.elapsed().as_millis()
        );
        let _ = self.log.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes());
    }
}

/// An answer that is not moto's.
fn document(body: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    answer.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("text/xml"));
    answer
}

fn unavailable(words: &str) -> Refusal {
    Refusal::new("ServiceUnavailable", words).with_status(503)
}
