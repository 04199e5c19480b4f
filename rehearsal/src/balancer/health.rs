//! A target's health in the words of ELB, read from HAProxy's statistics.

use std::collections::BTreeMap;

/// From best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TargetState {
    Healthy,
    Initial,
    Draining,
    Unhealthy,
}

/// A target's state, and ELB's reason for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    pub state: TargetState,
    pub reason: Option<&'static str>,
    pub description: Option<String>,
}

/// The servers of one backend in the output of `show stat`.
pub(super) fn read(csv: &str, backend: &str) -> BTreeMap<String, Health> {
    let mut lines = csv.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().trim_start_matches("# ").split(',').collect();
    let rows = lines.filter_map(|line| {
        let row: BTreeMap<&str, &str> = header.iter().copied().zip(line.split(',')).collect();
        let name = *row.get("svname")?;
        let ours = row.get("pxname") == Some(&backend) && name != "BACKEND" && name != "FRONTEND";
        ours.then(|| (name.to_owned(), judge(&row)))
    });
    rows.collect()
}

fn judge(row: &BTreeMap<&str, &str>) -> Health {
    let cell = |name: &str| row.get(name).copied().unwrap_or_default();
    let health = |state, reason, description| Health { state, reason, description };
    let status = cell("status");
    if status.starts_with("DRAIN") || status.starts_with("MAINT") {
        let words = "Target deregistration is in progress".to_owned();
        return health(TargetState::Draining, Some("Target.DeregistrationInProgress"), Some(words));
    }
    if status.starts_with("UP") {
        return health(TargetState::Healthy, None, None);
    }
    // A star marks a check that is under way.
    match cell("check_status").trim_start_matches("* ") {
        "" | "INI" => {
            let words = "Target registration is in progress".to_owned();
            health(TargetState::Initial, Some("Elb.RegistrationInProgress"), Some(words))
        }
        // Well so far, but not yet as often as it takes.
        "L7OK" | "L7OKC" | "L4OK" => {
            let words = "Initial health checks in progress".to_owned();
            health(TargetState::Initial, Some("Elb.InitialHealthChecking"), Some(words))
        }
        "L7STS" => {
            let words = format!("Health checks failed with these codes: [{}]", cell("check_code"));
            health(TargetState::Unhealthy, Some("Target.ResponseCodeMismatch"), Some(words))
        }
        "L4TOUT" | "L6TOUT" | "L7TOUT" => {
            let words = "Request timed out".to_owned();
            health(TargetState::Unhealthy, Some("Target.Timeout"), Some(words))
        }
        _ => {
            let words = "Health checks failed".to_owned();
            health(TargetState::Unhealthy, Some("Target.FailedHealthChecks"), Some(words))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "\
# pxname,svname,status,check_status,check_code
tg,FRONTEND,OPEN,,
tg,web1,UP,L7OK,200
tg,web2,DOWN,INI,
tg,web3,DOWN,L7STS,503
tg,web4,DOWN,L4TOUT,
tg,web5,DOWN,L4CON,
tg,web6,DRAIN,L7OK,200
tg,web7,DOWN 1/2,* L7OK,200
tg,BACKEND,UP,,
other,web1,DOWN,L4CON,
";

    #[test]
    fn every_state_has_elbs_reason() {
        let seen = read(STAT, "tg");
        let short: Vec<_> = seen.values().map(|it| (it.state, it.reason.unwrap_or("-"))).collect();
        assert_eq!(
            short,
            [
                (TargetState::Healthy, "-"),
                (TargetState::Initial, "Elb.RegistrationInProgress"),
                (TargetState::Unhealthy, "Target.ResponseCodeMismatch"),
                (TargetState::Unhealthy, "Target.Timeout"),
                (TargetState::Unhealthy, "Target.FailedHealthChecks"),
                (TargetState::Draining, "Target.DeregistrationInProgress"),
                (TargetState::Initial, "Elb.InitialHealthChecking"),
            ]
        );
        assert!(seen["web3"].description.as_ref().is_some_and(|it| it.contains("[503]")));
    }
}
