//! The load balancers, their listeners and health checks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::network::Cidr;

/// What the three load balancers have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Balancers {
    /// Port on which they listen (HTTP).
    pub port: u16,
    /// Addresses that may open the page.
    pub open_to: Vec<Cidr>,
    /// Health check of a host's Apache on port 80, which serves everything but the index.
    pub web_check: HealthCheck,
    /// Health check of a host's index page on port 8080.
    #[serde(default = "HealthCheck::index")]
    pub index_check: HealthCheck,
    /// Seconds that a host which leaves may finish its requests: 0 to 3600.
    pub deregistration_delay: u32,
    /// Seconds without traffic after which a connection is closed: 1 to 4000.
    pub idle_timeout: u32,
    /// Refuse to delete the balancers (`lamp down` stops there and says so).
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
    pub interval: u32,
    /// Seconds after which a check has failed: 2 to 120, below the interval.
    pub timeout: u32,
    /// Good checks in a row until a host is healthy: 2 to 10.
    pub healthy: u32,
    /// Bad checks in a row until a host is unhealthy: 2 to 10.
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
            deregistration_delay: 60,
            idle_timeout: 60,
            deletion_protection: false,
        }
    }
}
