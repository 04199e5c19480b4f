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

/// How each server, such as `group/name`, was when its checks had last come to an end.
pub(super) type Past = BTreeMap<String, Health>;

/// The servers of one backend in the output of `show stat`.
pub(super) fn read(csv: &str, backend: &str, past: &mut Past) -> BTreeMap<String, Health> {
    let seen = statistics(csv, backend);
    let remember = |(name, it): (String, Health)| {
        let it = since(past, &format!("{backend}/{name}"), it);
        (name, it)
    };
    seen.into_iter().map(remember).collect()
}

/// Only a target whose first checks are under way is initial; another is unhealthy until it is well again.
fn since(past: &mut Past, server: &str, now: Health) -> Health {
    match (now.state, past.get(server)) {
        (TargetState::Initial, Some(it)) if it.state == TargetState::Unhealthy => it.clone(),
        (TargetState::Initial, Some(_)) => failed(),
        (TargetState::Initial, None) => now,
        (TargetState::Draining, _) => {
            past.remove(server);
            now
        }
        (TargetState::Healthy | TargetState::Unhealthy, _) => {
            past.insert(server.to_owned(), now.clone());
            now
        }
    }
}

fn failed() -> Health {
    Health {
        state: TargetState::Unhealthy,
        reason: Some("Target.FailedHealthChecks"),
        description: Some("Health checks failed".to_owned()),
    }
}

fn statistics(csv: &str, backend: &str) -> BTreeMap<String, Health> {
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
        _ => failed(),
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
        let seen = read(STAT, "tg", &mut Past::new());
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

    #[test]
    fn who_was_unwell_stays_so_until_it_is_well_again() {
        let mut past = Past::new();
        let mut see = |cells: &str| {
            let csv = format!("# pxname,svname,status,check_status,check_code\ntg,web1,{cells}\n");
            let seen = read(&csv, "tg", &mut past)["web1"].clone();
            (seen.state, seen.reason.unwrap_or("-"))
        };
        let initial = (TargetState::Initial, "Elb.InitialHealthChecking");
        assert_eq!(see("DOWN 1/2,L7OK,200"), initial);
        assert_eq!(see("DOWN,L4TOUT,"), (TargetState::Unhealthy, "Target.Timeout"));
        assert_eq!(see("DOWN 1/2,L7OK,200"), (TargetState::Unhealthy, "Target.Timeout"));
        assert_eq!(see("UP,L7OK,200"), (TargetState::Healthy, "-"));
        // It was down between two looks.
        assert_eq!(see("DOWN 1/2,L7OK,200"), (TargetState::Unhealthy, "Target.FailedHealthChecks"));
        assert_eq!(see("DRAIN,L7OK,200").0, TargetState::Draining);
        assert_eq!(see("DOWN 1/2,L7OK,200"), initial);
    }
}
