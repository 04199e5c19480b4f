//! A proxy before the emulator: logs and counts every call, kills the caller at a chosen one, and lies on demand.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::call::Call;
pub use crate::call::tally;
use crate::fault::{Fault, error};
use crate::leaving::Leaving;
use crate::slow::{Ages, Slow};

type Answer = Response<Full<Bytes>>;

/// Every proxy of this process runs here, so that tests stay plain functions.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
});

/// A listening proxy; ends when dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

struct Shared {
    upstream: SocketAddr,
    started: Instant,
    state: Mutex<State>,
    in_flight: AtomicUsize,
}

#[derive(Default)]
struct State {
    calls: Vec<Call>,
    rules: Vec<Rule>,
    kill: Option<Kill>,
    ages: Ages,
    leaving: Leaving,
}

struct Rule {
    matches: Box<dyn FnMut(&Call) -> bool + Send>,
    left: usize,
    fault: Fault,
}

struct Kill {
    /// Mutating calls still to come; the one that makes this 0 is the last.
    left: usize,
    /// Whether that last call takes effect.
    after: bool,
    pid: watch::Receiver<Option<i32>>,
}

/// What to do with one call, decided under the lock when it arrives.
enum Verdict {
    Pass {
        last: Option<watch::Receiver<Option<i32>>>,
    },
    KillFirst(watch::Receiver<Option<i32>>),
    Fault(Fault),
    Answer(Box<Answer>),
    /// Accepted at once; takes effect later.
    Later {
        answer: Box<Answer>,
        id: String,
        after: Duration,
    },
}

impl Proxy {
    /// Starts before the emulator at `upstream`, on a free port of loopback.
    pub fn start(upstream: SocketAddr) -> Proxy {
        let shared = Arc::new(Shared {
            upstream,
            started: Instant::now(),
            state: Mutex::default(),
            in_flight: AtomicUsize::new(0),
        });
        let listener = RUNTIME.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let task = RUNTIME.spawn(serve(listener, None, shared.clone()));
        Proxy { address, shared, tasks: vec![task] }
    }

    /// Opens a second door, for callers that speak TLS: its address, and the certificate (PEM) to trust there.
    pub fn tls_door(&mut self) -> (String, String) {
        let (tls, pem) = crate::tls::acceptor();
        let listener = RUNTIME.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let url = format!("https://{}", listener.local_addr().expect("a bound socket"));
        self.tasks.push(RUNTIME.spawn(serve(listener, Some(tls), self.shared.clone())));
        (url, pem)
    }

    /// What belongs into `AWS_ENDPOINT_URL`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every call so far, in the order of arrival.
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// How many calls came so far: a mark for `calls_since`.
    pub fn mark(&self) -> usize {
        self.state().calls.len()
    }

    /// The calls that came after a mark.
    pub fn calls_since(&self, mark: usize) -> Vec<Call> {
        self.state().calls.split_off(mark)
    }

    /// The next `times` calls of this name (`ec2:CreateVpc`, or `ec2:*`, or `*`) meet the fault.
    pub fn fail(&self, name: &str, times: usize, fault: Fault) {
        let name = name.to_owned();
        self.fail_if(times, fault, move |call| match name.strip_suffix('*') {
            Some(start) => call.name().starts_with(start),
            None => call.name() == name,
        });
    }

    /// The next `times` calls for which `matches` holds meet the fault. Earlier rules go first.
    pub fn fail_if(&self, times: usize, fault: Fault, matches: impl FnMut(&Call) -> bool + Send + 'static) {
        let rule = Rule { matches: Box::new(matches), left: times, fault };
        self.state().rules.push(rule);
    }

    /// Ends all faults and slowness.
    pub fn heal(&self) {
        let mut state = self.state();
        state.rules.clear();
        state.ages = Ages::default();
    }

    /// From now on new things take time, as on AWS.
    pub fn slow(&self, slow: Slow) {
        self.state().ages = Ages::new(slow);
    }

    /// Kills the caller right after its `n`-th mutating call from now has taken effect, before it hears so.
    /// Whatever it sends at the same time is lost. Send the caller's pid into the channel once it runs.
    pub fn kill_after(&self, n: usize) -> watch::Sender<Option<i32>> {
        self.arm(n, true)
    }

    /// Kills the caller when its `n`-th mutating call arrives, which has no effect.
    pub fn kill_before(&self, n: usize) -> watch::Sender<Option<i32>> {
        self.arm(n, false)
    }

    fn arm(&self, n: usize, after: bool) -> watch::Sender<Option<i32>> {
        let (pid, receiver) = watch::channel(None);
        self.state().kill = Some(Kill { left: n, after, pid: receiver });
        pid
    }

    /// Disarms, and waits until no call is under way: a dead caller's last ones may still take effect.
    pub fn settle(&self) {
        self.state().kill = None;
        while self.shared.in_flight.load(Ordering::SeqCst) > 0 {
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    while let Ok((socket, _)) = listener.accept().await {
        let (shared, tls) = (shared.clone(), tls.clone());
        tokio::spawn(async move {
            match tls {
                None => shared.converse(socket).await,
                // Who does not trust us goes away here.
                Some(tls) => {
                    if let Ok(socket) = tls.accept(socket).await {
                        shared.converse(socket).await;
                    }
                }
            }
        });
    }
}

/// Why a connection ends without an answer.
#[derive(Debug)]
struct Gone;

impl std::fmt::Display for Gone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection was dropped on purpose")
    }
}

impl std::error::Error for Gone {}

impl From<Infallible> for Gone {
    fn from(it: Infallible) -> Gone {
        match it {}
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|it| it.into_inner())
    }

    async fn converse(self: Arc<Self>, socket: impl AsyncRead + AsyncWrite + Unpin) {
        let service = service_fn(move |request| self.clone().answer(request));
        // An error here is a caller that went away, or one that we dropped.
        let _ =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Answer, Gone> {
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        let (shared, (parts, body)) = (self.clone(), request.into_parts());
        let body = body.collect().await.map(|it| it.to_bytes());
        // On its own task: hyper forgets a request whose caller is gone, AWS does not.
        let done = tokio::spawn(async move {
            let answer = match body {
                Ok(body) => shared.clone().handle(parts, body).await,
                Err(_) => Err(Gone),
            };
            shared.in_flight.fetch_sub(1, Ordering::SeqCst);
            answer
        });
        done.await.unwrap_or(Err(Gone))
    }

    async fn handle(self: Arc<Self>, parts: http::request::Parts, body: Bytes) -> Result<Answer, Gone> {
        let path = parts.uri.path_and_query().map_or("/", |it| it.as_str()).to_owned();
        let call = Call::read(&parts.method, &path, &parts.headers, &body, self.started.elapsed());
        let (at, verdict) = self.decide(&call);
        let answer = match verdict {
            Verdict::Pass { last } => {
                let answer = self.forward(parts, body).await?;
                let answer = self.edit(&call, answer);
                match last {
                    Some(pid) => Err(kill(pid).await),
                    None => Ok(answer),
                }
            }
            Verdict::KillFirst(pid) => Err(kill(pid).await),
            Verdict::Answer(answer) => Ok(*answer),
            Verdict::Later { answer, id, after } => {
                let shared = self.clone();
                shared.in_flight.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    tokio::time::sleep(after).await;
                    // Whether it went is for the next listing to say.
                    let _ = shared.forward(parts, body).await;
                    shared.state().leaving.ends(&id);
                    shared.in_flight.fetch_sub(1, Ordering::SeqCst);
                });
                Ok(*answer)
            }
            Verdict::Fault(Fault::Dropped) => Err(Gone),
            Verdict::Fault(Fault::AnswerLost) => self.forward(parts, body).await.and(Err(Gone)),
            Verdict::Fault(Fault::Late(span)) => {
                tokio::time::sleep(span).await;
                self.forward(parts, body).await.map(|it| self.edit(&call, it))
            }
            Verdict::Fault(Fault::Held(mut held)) => {
                while held.changed().await.is_ok() {}
                self.forward(parts, body).await.map(|it| self.edit(&call, it))
            }
            Verdict::Fault(other) => Ok(other.answer(&call).expect("the others are answers")),
        };
        if let (Ok(answer), Some(entry)) = (&answer, self.state().calls.get_mut(at)) {
            entry.status = answer.status().as_u16();
        }
        answer
    }

    /// Logs the call and says what becomes of it.
    fn decide(&self, call: &Call) -> (usize, Verdict) {
        let mut state = self.state();
        state.calls.push(call.clone());
        let at = state.calls.len() - 1;
        for it in state.rules.iter_mut().filter(|it| it.left > 0) {
            if (it.matches)(call) {
                it.left -= 1;
                return (at, Verdict::Fault(it.fault.clone()));
            }
        }
        if let Some((code, message)) = state.ages.unknown(call) {
            return (at, Verdict::Answer(Box::new(error(call, 400, code, &message))));
        }
        let source = call.field("SourceDBInstanceIdentifier").unwrap_or_default();
        if call.action == "CreateDBInstanceReadReplica" && state.ages.is_database_busy(source) {
            let message = format!("DB Instance {source} is not in the available state.");
            return (at, Verdict::Answer(Box::new(error(call, 400, "InvalidDBInstanceState", &message))));
        }
        if let Some(answer) = state.leaving.refuses(call) {
            return (at, Verdict::Answer(Box::new(answer)));
        }
        let after = state.ages.deletion();
        if !after.is_zero()
            && let Some((id, answer)) = state.leaving.begins(call)
        {
            let answer = Box::new(answer);
            return (
                at,
                if id.is_empty() { Verdict::Answer(answer) } else { Verdict::Later { answer, id, after } },
            );
        }
        let Some(kill) = state.kill.as_mut().filter(|_| call.mutating) else {
            return (at, Verdict::Pass { last: None });
        };
        let verdict = match kill.left {
            // The caller is dying: nothing that it sends now arrives.
            0 => Verdict::Fault(Fault::Dropped),
            1 if kill.after => Verdict::Pass { last: Some(kill.pid.clone()) },
            1 => Verdict::KillFirst(kill.pid.clone()),
            _ => Verdict::Pass { last: None },
        };
        kill.left = kill.left.saturating_sub(1);
        (at, verdict)
    }

    /// Lets time pass over an answer.
    fn edit(&self, call: &Call, answer: Response<Bytes>) -> Answer {
        let (mut parts, body) = answer.into_parts();
        let body = match std::str::from_utf8(&body) {
            Ok(text) if parts.status.is_success() => {
                let mut state = self.state();
                state.ages.note(call, text);
                let text = state.ages.edit(call, text.to_owned());
                Bytes::from(state.leaving.edit(call, text))
            }
            _ => body,
        };
        // A HEAD's length speaks of a body that is not there.
        if !body.is_empty() {
            parts.headers.remove("content-length");
        }
        Response::from_parts(parts, Full::new(body))
    }

    /// The emulator's own answer, whole.
    async fn forward(&self, mut parts: http::request::Parts, body: Bytes) -> Result<Response<Bytes>, Gone> {
        // These speak of the caller's connection, not of the call.
        for it in ["connection", "expect", "transfer-encoding", "content-length"] {
            parts.headers.remove(it);
        }
        let socket = TcpStream::connect(self.upstream).await.map_err(|_| Gone)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.map_err(|_| Gone)?;
        let connection = tokio::spawn(connection);
        let answer =
            sender.send_request(Request::from_parts(parts, Full::new(body))).await.map_err(|_| Gone)?;
        let (mut parts, body) = answer.into_parts();
        let body = body.collect().await.map_err(|_| Gone)?.to_bytes();
        connection.abort();
        for it in ["connection", "transfer-encoding"] {
            parts.headers.remove(it);
        }
        Ok(Response::from_parts(parts, body))
    }
}

/// Waits until the caller's pid is known, and ends it without a word.
async fn kill(mut pid: watch::Receiver<Option<i32>>) -> Gone {
    if let Ok(Some(pid)) = pid.wait_for(Option::is_some).await.map(|it| *it) {
        // SAFETY: no memory is involved; the runner has not reaped this child of ours yet, so the pid is its own.
        unsafe { libc::kill(pid, libc::SIGKILL) };
    }
    Gone
}
