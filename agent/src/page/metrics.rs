//! Numbers for Prometheus.

use std::{
    fmt::Write as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use sysinfo::{Disks, System};

use super::link::Link;
use crate::{converge::State, feed::Feed};

/// Upper bounds of the latency histograms, in seconds.
const BOUNDS: [f64; 8] = [0.001, 0.005, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0];

#[derive(Default)]
pub struct Metrics {
    requests: Histogram,
    pub unavailable: AtomicU64,
    pub queries: Histogram,
    pub query_failures: AtomicU64,
    pub connects: Arc<AtomicU64>,
    pub connections: AtomicU64,
    pub open: AtomicU64,
    machine: Mutex<Option<System>>,
}

#[derive(Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS.len()],
    micros: AtomicU64,
    count: AtomicU64,
}

impl Histogram {
    pub fn add(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        if let Some(at) = BOUNDS.iter().position(|it| seconds <= *it) {
            self.buckets[at].fetch_add(1, Relaxed);
        }
        self.micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Relaxed);
        self.count.fetch_add(1, Relaxed);
    }

    fn write(&self, out: &mut String, name: &str, help: &str) {
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} histogram");
        let mut sum = 0;
        for (bound, bucket) in BOUNDS.iter().zip(&self.buckets) {
            sum += bucket.load(Relaxed);
            let _ = writeln!(out, "{name}_bucket{{le=\"{bound}\"}} {sum}");
        }
        let count = self.count.load(Relaxed);
        let total = Duration::from_micros(self.micros.load(Relaxed)).as_secs_f64();
        let _ =
            writeln!(out, "{name}_bucket{{le=\"+Inf\"}} {count}\n{name}_sum {total}\n{name}_count {count}");
    }
}

impl Metrics {
    /// Counts a request for the index.
    pub fn request(&self, took: Duration, fine: bool) {
        self.requests.add(took);
        if !fine {
            self.unavailable.fetch_add(1, Relaxed);
        }
    }

    /// Everything in Prometheus' text format.
    pub fn text(&self, feed: &Feed, link: &Link, fit: bool) -> String {
        let mut out = String::with_capacity(4096);
        let mut put = |name: &str, kind: &str, help: &str, rows: &[(String, f64)]| {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (labels, value) in rows {
                let _ = writeln!(out, "{name}{labels} {value}");
            }
        };
        let one = |value: f64| [(String::new(), value)];
        let truth = |it: bool| f64::from(u8::from(it));
        let steps = |value: &dyn Fn(&crate::converge::Report) -> f64| -> Vec<(String, f64)> {
            feed.steps.iter().map(|(name, it)| (format!("{{step=\"{name}\"}}"), value(it))).collect()
        };
        put("lamp_host_fit", "gauge", "Whether this host is fit for the balancer.", &one(truth(fit)));
        put("lamp_converged", "gauge", "Whether every required step holds.", &one(truth(feed.converged)));
        put("lamp_step_ok", "gauge", "Whether a step holds.", &steps(&|it| truth(it.state == State::Ok)));
        put(
            "lamp_step_seconds",
            "gauge",
            "How long a step's last repair took.",
            &steps(&|it| Duration::from_millis(it.millis).as_secs_f64()),
        );
        put(
            "lamp_step_applied_total",
            "counter",
            "How often a step had to mend something.",
            &steps(&|it| f64::from(it.applied)),
        );
        let state = link.state();
        let (idle, open) = state.pool.as_ref().map_or((0, 0), |it| (it.idle(), it.open()));
        put(
            "lamp_database_up",
            "gauge",
            "Whether the database answered last.",
            &one(truth(state.trouble.is_none() && state.pool.is_some())),
        );
        let count = |it: usize| u32::try_from(it).map_or(f64::MAX, f64::from);
        put(
            "lamp_pool_connections",
            "gauge",
            "Connections to the database.",
            &[
                ("{state=\"idle\"}".to_owned(), count(idle)),
                ("{state=\"busy\"}".to_owned(), count(open.saturating_sub(idle))),
            ],
        );
        #[expect(clippy::cast_precision_loss, reason = "a counter beyond 2^53 is not to be expected")]
        let total = |it: &AtomicU64| one(it.load(Relaxed) as f64);
        put(
            "lamp_pool_connects_total",
            "counter",
            "Connections to the database that were tried.",
            &total(&self.connects),
        );
        put(
            "lamp_query_failures_total",
            "counter",
            "Questions to the database without an answer.",
            &total(&self.query_failures),
        );
        put(
            "lamp_http_unavailable_total",
            "counter",
            "Requests for the index answered with 503.",
            &total(&self.unavailable),
        );
        put("lamp_http_connections_total", "counter", "Connections accepted.", &total(&self.connections));
        put("lamp_http_connections", "gauge", "Connections open.", &total(&self.open));
        for (name, kind, help, value) in self.machine() {
            put(name, kind, help, &one(value));
        }
        for (name, help, rows) in disks() {
            put(name, "gauge", help, &rows);
        }
        self.queries.write(
            &mut out,
            "lamp_query_seconds",
            "How long queries took that reached for the database.",
        );
        self.requests.write(&mut out, "lamp_http_request_seconds", "How long requests for the index took.");
        out
    }

    #[expect(clippy::cast_precision_loss, reason = "bytes beyond 2^53 are not to be expected")]
    fn machine(&self) -> Vec<(&'static str, &'static str, &'static str, f64)> {
        let Ok(mut machine) = self.machine.lock() else { return Vec::new() };
        let fresh = machine.is_none();
        if fresh {
            *machine = System::new().ok();
        }
        let Some(it) = machine.as_mut() else { return Vec::new() };
        // Use since the question before; the first one has nothing to compare with.
        it.refresh_cpu_usage();
        it.refresh_memory();
        vec![
            (
                "lamp_host_cpu_ratio",
                "gauge",
                "Use of all processors since the last question.",
                f64::from(it.global_cpu_usage()) / 100.0,
            ),
            ("lamp_host_memory_bytes", "gauge", "Memory of the host.", it.total_memory() as f64),
            (
                "lamp_host_memory_available_bytes",
                "gauge",
                "Memory that is available.",
                it.available_memory() as f64,
            ),
        ]
    }
}

/// Name, what it says, and its values by label.
type Gauge = (&'static str, &'static str, Vec<(String, f64)>);

/// Local file systems only: asking one whose server is dead would hang.
#[expect(clippy::cast_precision_loss, reason = "bytes beyond 2^53 are not to be expected")]
fn disks() -> Vec<Gauge> {
    let Ok(disks) = Disks::new_with_refreshed_list() else { return Vec::new() };
    let root = disks.iter().find(|it| it.mount_point() == std::path::Path::new("/"));
    let Some(root) = root else { return Vec::new() };
    vec![
        (
            "lamp_host_disk_bytes",
            "Size of the root file system.",
            vec![(String::new(), root.total_space() as f64)],
        ),
        (
            "lamp_host_disk_available_bytes",
            "Free space on it.",
            vec![(String::new(), root.available_space() as f64)],
        ),
    ]
}
