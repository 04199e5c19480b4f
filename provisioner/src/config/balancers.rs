//! The load balancers, their listeners and health checks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Config;
use super::findings::Findings;
use super::key::Key;
use super::network::Cidr;

/// What the three load balancers have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Balancers {
    /// Port on which they listen (HTTP).
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// Addresses that may open the page.
    pub open_to: Vec<Cidr>,
    /// Health check of a host's Apache on port 80, which serves everything but the index.
    pub web_check: HealthCheck,
    /// Health check of a host's index page on port 8080.
    #[serde(default = "HealthCheck::index")]
    pub index_check: HealthCheck,
    /// Seconds that a host which leaves may finish its requests: 0 to 3600.
    #[schemars(range(min = 0, max = 3600))]
    pub deregistration_delay: u32,
    /// Seconds without traffic after which a connection is closed: 1 to 4000.
    #[schemars(range(min = 1, max = 4000))]
    pub idle_timeout: u32,
    /// Refuse to delete the balancers (`lamp down` then deletes nothing at all, and says so).
    pub deletion_protection: bool,
}

/// When a host counts as fit. The checks test the host, never the database: a failover must not make
/// the balancers condemn every host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HealthCheck {
    /// Path that is asked for.
    pub path: String,
    /// Answers that count as healthy: a code, a list or a range, such as "200", "200,302" or "200-299".
    pub codes: String,
    /// Seconds between two checks of one host: 5 to 300.
    #[schemars(range(min = 5, max = 300))]
    pub interval: u32,
    /// Seconds after which a check has failed: 2 to 120, below the interval.
    #[schemars(range(min = 2, max = 120))]
    pub timeout: u32,
    /// Good checks in a row until a host is healthy: 2 to 10.
    #[schemars(range(min = 2, max = 10))]
    pub healthy: u32,
    /// Bad checks in a row until a host is unhealthy: 2 to 10.
    #[schemars(range(min = 2, max = 10))]
    pub unhealthy: u32,
}

impl HealthCheck {
    fn at(path: &str) -> HealthCheck {
        HealthCheck {
            path: path.into(),
            codes: "200".into(),
            interval: 10,
            timeout: 5,
            healthy: 2,
            unhealthy: 3,
        }
    }

    fn index() -> HealthCheck {
        HealthCheck::at("/healthz")
    }
}

impl Default for HealthCheck {
    fn default() -> HealthCheck {
        HealthCheck::at("/lamp-ready")
    }
}

impl Default for Balancers {
    fn default() -> Balancers {
        Balancers {
            port: 80,
            open_to: vec![Cidr::ANYWHERE],
            web_check: HealthCheck::default(),
            index_check: HealthCheck::index(),
            deregistration_delay: 300,
            idle_timeout: 60,
            deletion_protection: false,
        }
    }
}

pub(super) fn check(config: &Config, found: &mut Findings) {
    let balancers = &config.balancers;
    health_check("balancers.web_check", &balancers.web_check, found);
    health_check("balancers.index_check", &balancers.index_check, found);
    found.no_twins("balancers.open_to", &balancers.open_to);
    if balancers.open_to.is_empty() && found.is_usable("balancers.open_to") {
        let remedy = "write [\"0.0.0.0/0\"] for everybody, or the addresses of those who may";
        found.add("balancers.open_to", &balancers.open_to, "nobody could open the page", remedy);
    }
}

fn health_check(section: &str, check: &HealthCheck, found: &mut Findings) {
    let key = Key::from(section);
    let path = key.name("path");
    let is_path = check.path.starts_with('/') && check.path.chars().all(|c| c.is_ascii_graphic());
    if !is_path || check.path.len() > 1024 {
        let rule =
            "is not a path: it begins with a slash and has at most 1024 characters, none of them a space";
        found.add(&path, &check.path, rule, "write a path such as \"/healthz\"");
    }
    if !is_codes(&check.codes) {
        let rule = "a balancer takes codes from 200 to 499: one, a list or a range";
        found.add(
            key.name("codes"),
            &check.codes,
            rule,
            "write \"200\", \"200,302\" or \"200-299\", for example",
        );
    }
    let (timeout, interval) = (key.name("timeout"), key.name("interval"));
    if check.timeout >= check.interval && found.is_usable(&timeout) && found.is_usable(&interval) {
        let rule = format!("a check must fail before the next one begins, every {} seconds", check.interval);
        let remedy = match check.interval {
            5.. => format!("write at most {}, or a longer interval", check.interval - 1),
            _ => "write an interval of 5 or more".into(),
        };
        found
            .add(&timeout, check.timeout, rule, remedy)
            .because(&interval)
            .related(&interval, "the interval");
    }
}

/// `200`, `200,302`, `200-299`
fn is_codes(text: &str) -> bool {
    let code = |it: &str| it.parse::<u16>().ok().filter(|code| it.len() == 3 && (200..=499).contains(code));
    match text.split_once('-') {
        Some((from, to)) => code(from).zip(code(to)).is_some_and(|(from, to)| from < to),
        None => text.split(',').all(|it| code(it).is_some()),
    }
}
