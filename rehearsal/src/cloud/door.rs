//! The front door: every call to the cloud's interface comes through here, is noted, and answered as AWS would.

mod learning;
mod leaving;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use super::answers;
use super::call::Call;
use super::cbor;
use super::clients::Clients;
use super::events;
use super::fault::{FaultKind, strike};
use super::guards;
use super::refusal::Refusal;
use super::scaling;
use super::shared::Shared;
use super::ssm;
use super::states;
use super::sync::Sync;
use crate::accept;
use crate::region::Region;
use crate::wire::Place;

/// How long a balancer's interfaces outlive it.
const LINGER: Duration = Duration::from_secs(120);

pub(super) struct Door {
    region: Region,
    shared: Shared,
    clients: Arc<Clients>,
    log: Mutex<File>,
    /// What the calls are about; known a moment after the door is built.
    sync: OnceLock<Weak<Sync>>,
    commands: ssm::Ledger,
    /// Answers to calls with a token, by action and token.
    tokens: Mutex<BTreeMap<(String, String), Response<Bytes>>>,
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
            tokens: Mutex::default(),
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
            while let Some((line, _)) = accept::next(&listener).await {
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
        let answer = match fault.and_then(|it| it.answer(&call)) {
            Some((status, code, words)) => Refusal::new(code, words).with_status(status).answer(&call),
            None => self.perform(&call, parts, body).await,
        };
        self.note(&call, fault, answer.status(), began);
        if fault == Some(FaultKind::DroppedAnswer) {
            anyhow::bail!("the answer is dropped, as ordered");
        }
        Ok(if was_cbor { cbor::answered(answer).await } else { answer })
    }

    /// Refuses it as AWS would, answers it here, or lets the control plane do it.
    async fn perform(self: &Arc<Door>, call: &Call, parts: Parts, body: Bytes) -> Response<Full<Bytes>> {
        if ssm::is_ours(call) {
            return self.run_command(call).await;
        }
        if call.service == "autoscaling" {
            return match scaling::answer(&self.shared, &self.clients, call).await {
                Ok(body) => {
                    self.learn(call, &body);
                    document(body, "text/xml")
                }
                Err(refusal) => refusal.answer(call),
            };
        }
        let (known, stale) = {
            let known = self.shared.lock();
            (known.unseen.refuse(call), known.unseen.stale(call))
        };
        if let Some(refusal) = known {
            return refusal.answer(call);
        }
        if let Some(answer) = stale.or_else(|| self.repeated(call)) {
            return answer.map(Full::new);
        }
        let dry = call.service == "ec2" && call.parameter("DryRun") == Some("true");
        let mut left = Vec::new();
        if let (true, Some(sync)) = (call.changes(), self.sync()) {
            if let Some(refusal) = guards::refuse(&sync, call).await {
                return refusal.answer(call);
            }
            if dry {
                return dry_run().answer(call);
            }
            if let Some(answer) = self.let_go(&sync, call, &parts, &body).await {
                return answer;
            }
            if call.action == "DeleteLoadBalancer" {
                left = guards::left_by(&sync, call).await;
            }
        }
        if dry {
            return dry_run().answer(call);
        }
        let mut answer = match self.clients.way.ask(self.question(call, parts, &body)).await {
            Ok(answer) => answer,
            Err(err) => return unavailable(&format!("{err:#}")).answer(call),
        };
        if answer.status().is_success() {
            self.learn(call, &String::from_utf8_lossy(answer.body()));
            let mut known = self.shared.lock();
            let until = known.lives.time.now() + LINGER;
            known.lingering.extend(left.into_iter().map(|it| (until, it)));
        }
        if let (Some(sync), true) = (self.sync(), answer.status().is_success()) {
            match self.completed(&sync, call, &mut answer).await {
                Ok(()) => {}
                Err(err) => return unavailable(&format!("{err:#}")).answer(call),
            }
        }
        let answer = self.reply(call, answer);
        self.remember(call, &answer);
        answer.map(Full::new)
    }

    /// Does, and says, what the control plane left out.
    async fn completed(&self, sync: &Sync, call: &Call, answer: &mut Response<Bytes>) -> anyhow::Result<()> {
        match (call.service.as_str(), call.action.as_str()) {
            ("ec2", "DescribeNetworkInterfaces") => {
                let shown = guards::shown(sync, call, &String::from_utf8_lossy(answer.body())).await;
                if let Some(text) = shown {
                    *answer.body_mut() = Bytes::from(text);
                }
            }
            ("rds", "DescribeEvents") => {
                let told = events::told(sync, call, &String::from_utf8_lossy(answer.body()));
                if let Some(text) = told {
                    *answer.body_mut() = Bytes::from(text);
                }
            }
            ("s3", action) => {
                let name = action.strip_prefix("PUT /").map(|it| it.trim_end_matches('/'));
                if let Some(bucket) = name.filter(|it| !it.contains('/') && call.asks_about("")) {
                    self.clients.block_public_access(bucket).await?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The first answer to a call with the same token: whoever repeats it makes nothing twice.
    fn repeated(&self, call: &Call) -> Option<Response<Bytes>> {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.get(&token(call)?).cloned()
    }

    fn remember(&self, call: &Call, answer: &Response<Bytes>) {
        self.shared.lock().unseen.keep(call, answer);
        if let (Some(token), true) = (token(call), answer.status().is_success()) {
            self.tokens.lock().unwrap_or_else(PoisonError::into_inner).insert(token, answer.clone());
        }
    }

    async fn run_command(self: &Arc<Door>, call: &Call) -> Response<Full<Bytes>> {
        let Some(sync) = self.sync() else { return unavailable("the cloud is starting").answer(call) };
        let (it, asked) = (Arc::clone(self), call.clone());
        let answer = tokio::task::spawn_blocking(move || ssm::answer(&sync, &it.commands, &asked)).await;
        match answer {
            Ok(Ok(it)) => document(it.to_string(), "application/x-amz-json-1.1"),
            Ok(Err(refusal)) => refusal.answer(call),
            Err(err) => unavailable(&err.to_string()).answer(call),
        }
    }

    fn question(&self, call: &Call, mut parts: Parts, body: &Bytes) -> Request<Full<Bytes>> {
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

    fn reply(&self, call: &Call, answer: Response<Bytes>) -> Response<Bytes> {
        let (mut parts, body) = answer.into_parts();
        let services = ["ec2", "rds", "elasticloadbalancing", "elasticfilesystem", "cloudfront"];
        let body = match std::str::from_utf8(&body) {
            Ok(text) if services.contains(&call.service.as_str()) => {
                let zones = self.sync().map(|it| it.database_zones()).unwrap_or_default();
                let mut known = self.shared.lock();
                known.zones = zones;
                let text = answers::corrected(call, &known, text.to_owned());
                let text = states::told(call, &mut known, text);
                Bytes::from(known.unseen.hide(call, text))
            }
            _ => body,
        };
        if parts.headers.get(CONTENT_LENGTH).is_some() {
            parts.headers.insert(CONTENT_LENGTH, body.len().into());
        }
        parts.headers.remove(TRANSFER_ENCODING);
        parts.headers.remove(CONNECTION);
        parts.headers.remove(HOST);
        Response::from_parts(parts, body)
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

/// What tells two equal calls from one that was repeated.
fn token(call: &Call) -> Option<(String, String)> {
    let takers = ["RunInstances", "CreateNatGateway", "CreateLaunchTemplate", "CreateRouteTable"];
    let others = ["CreateVolume", "CreateNetworkInterface"];
    let takes = takers.iter().chain(&others).any(|it| *it == call.action);
    let token = call.parameter("ClientToken").filter(|it| takes && !it.is_empty())?;
    Some((call.action.clone(), token.to_owned()))
}

fn unavailable(words: &str) -> Refusal {
    Refusal::new("ServiceUnavailable", words).with_status(503)
}

/// Nothing forbids it, and nothing was done.
fn dry_run() -> Refusal {
    let words = "Request would have succeeded, but DryRun flag is set.";
    Refusal::new("DryRunOperation", words).with_status(412)
}

/// An answer that is not moto's.
fn document(body: String, kind: &'static str) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}
