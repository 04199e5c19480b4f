//! Accepts connections on the port that systemd holds, and leaves without dropping one.

use std::{
    os::fd::FromRawFd,
    path::PathBuf,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use anyhow::Context;
use axum::http::{HeaderValue, Method, header};
use http_body_util::Either;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use sd_notify::NotifyState;
use tokio::{
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
    sync::{Semaphore, watch},
    time::timeout,
};

use super::{
    app::App, feed::Follower, health::Health, link::Link, metrics::Metrics, patient::Patient, share::Share,
};

/// Longer than the balancer's idle timeout (60 s): the side that reuses a connection must be the one that closes it.
const IDLE: Duration = Duration::from_secs(75);
/// A client that takes nothing of its answer for so long is gone, or means ill.
const READS: Duration = Duration::from_secs(15);
/// On the way out, connections that are in use get this long to finish with a `Connection: close`.
const DRAIN: Duration = Duration::from_secs(2);
const LAST: Duration = Duration::from_secs(5);
/// Connections at once. An idle one takes 13 KiB, and 29 while its request's head comes in: the unit's `MemoryMax` has
/// room for as many of these.
const MOST: usize = 12_000;
/// A request's head; more is answered with 431.
const HEAD: usize = 8 * 1024;

/// Where things are; the defaults are a real host's.
#[derive(Clone, Debug)]
pub struct Places {
    /// Address to listen on when systemd passes no socket.
    pub listen: String,
    pub feed: PathBuf,
    pub beat: PathBuf,
    pub apache: String,
}

/// Serves until it is told to stop.
///
/// # Errors
/// When there is nothing to listen on.
pub async fn serve(places: Places) -> anyhow::Result<()> {
    let mut term = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut int = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let listener = listener(&places).await?;
    tracing::info!(
        "listening on {}",
        listener.local_addr().map_or_else(|err| err.to_string(), |it| it.to_string())
    );

    let (follower, known) = Follower::new(places.feed);
    tokio::spawn(follower.follow());
    let metrics = Arc::new(Metrics::default());
    let link = Arc::new(Link::new(metrics.clone()));
    tokio::spawn(link.clone().keep(known.clone()));
    let share = Share::new(link.clone(), known.clone());
    let health = Arc::new(Health::new(known.clone(), places.beat, places.apache));
    let app = App::new(share, health, metrics.clone(), link, known);

    let (draining, drain) = watch::channel(false);
    let door = Arc::new(Semaphore::new(MOST));
    let served = Served { router: app.clone().router(), app: Arc::new(app), metrics, drain };
    notify(&[NotifyState::Ready]);
    let mut watchdog = tokio::time::interval(Duration::from_secs(5));
    loop {
        tokio::select! {
            _ = watchdog.tick() => notify(&[NotifyState::Watchdog]),
            _ = term.recv() => break,
            _ = int.recv() => break,
            accepted = accept(&listener, &door) => {
                let Some((stream, place)) = accepted else { continue };
                let served = served.clone();
                tokio::spawn(async move {
                    served.connection(stream).await;
                    drop(place);
                });
            }
        }
    }
    notify(&[NotifyState::Stopping]);
    // The port stays open at systemd: who connects from now on waits for our successor.
    drop(listener);
    draining.send_replace(true);
    let all = door.acquire_many(u32::try_from(MOST).unwrap_or(u32::MAX));
    drop(timeout(DRAIN + LAST, all).await);
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    door: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = door.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        Err(err) => {
            // Out of descriptors, or a client that hung up already: neither is a reason to stop, or to spin.
            tracing::debug!("accepting: {err}");
            tokio::time::sleep(Duration::from_millis(20)).await;
            None
        }
    }
}

#[derive(Clone)]
struct Served {
    app: Arc<App>,
    router: axum::Router,
    metrics: Arc<Metrics>,
    drain: watch::Receiver<bool>,
}

impl Served {
    async fn connection(mut self, stream: TcpStream) {
        self.metrics.connections.fetch_add(1, Relaxed);
        self.metrics.open.fetch_add(1, Relaxed);
        drop(stream.set_nodelay(true));
        let drain = self.drain.clone();
        let router = TowerToHyperService::new(self.router);
        let app = self.app;
        let service = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            // What nearly everybody asks for goes past the router and its boxes for routes of every kind.
            let asked = if *request.method() == Method::GET && request.uri().path() == "/" {
                Either::Left(request.into_parts().0.headers)
            } else {
                Either::Right(hyper::service::Service::call(&router, request))
            };
            let (app, leaving) = (app.clone(), *drain.borrow());
            async move {
                let mut answer = match asked {
                    Either::Left(headers) => app.index(&headers).await.map(Either::Left),
                    Either::Right(answer) => answer.await?.map(Either::Right),
                };
                if leaving {
                    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, std::convert::Infallible>(answer)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            // Counts from the end of the answer before, so it is also how long a connection may lie idle.
            .header_read_timeout(IDLE)
            .max_header_size(HEAD)
            .max_buf_size(64 * 1024)
            .half_close(true)
            .serve_connection(TokioIo::new(Patient::new(stream, READS)), service);
        let mut connection = std::pin::pin!(connection);
        let leave = async {
            if self.drain.wait_for(|it| *it).await.is_ok() {
                tokio::time::sleep(DRAIN).await;
            }
        };
        tokio::select! {
            result = &mut connection => {
                if let Err(err) = result {
                    tracing::debug!("connection: {err}");
                }
            }
            () = leave => {
                connection.as_mut().graceful_shutdown();
                drop(timeout(LAST, connection).await);
            }
        }
        self.metrics.open.fetch_sub(1, Relaxed);
    }
}

/// The socket that systemd passed, or one of our own.
async fn listener(places: &Places) -> anyhow::Result<TcpListener> {
    let passed = sd_notify::listen_fds().context("asking systemd for the socket")?.next();
    let Some(fd) = passed else {
        let listen = &places.listen;
        return TcpListener::bind(listen).await.with_context(|| format!("listening on {listen}"));
    };
    // SAFETY: systemd opened this descriptor for us, and nothing else in this process owns it.
    let socket = unsafe { std::net::TcpListener::from_raw_fd(fd) };
    socket.set_nonblocking(true).context("preparing systemd's socket")?;
    TcpListener::from_std(socket).context("taking over systemd's socket")
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(err) = sd_notify::notify(state) {
        tracing::debug!("telling systemd: {err}");
    }
}
