//! What is remembered of the calls that succeeded.

use super::Door;
use crate::cloud::call::Call;
use crate::cloud::life;
use crate::cloud::promotion;
use crate::cloud::xml::Element;

impl Door {
    /// What the data plane must know of a call that succeeded, and what no later answer would tell it.
    pub(super) fn learn(&self, call: &Call, answer: &str) {
        let mut known = self.shared.lock();
        known.lives.begin(call, answer);
        known.unseen.learn(call, answer);
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
                match call.parameter("DBPortNumber").and_then(|it| it.parse().ok()) {
                    Some(port) => drop(known.ports.insert(name.clone(), port)),
                    // What had this name before is gone.
                    None if call.action != "ModifyDBInstance" => drop(known.ports.remove(&name)),
                    None => {}
                }
                if let Some(password) = call.parameter("MasterUserPassword") {
                    known.passwords.insert(name, password.to_owned());
                }
            }
            ("rds", "PromoteReadReplica") => {
                let (name, sync) = (database(), self.sync());
                drop(known);
                if let (Some(name), Some(sync)) = (name, sync) {
                    promotion::begin(&sync, name);
                }
            }
            ("rds", "RebootDBInstance") => {
                let failover = call.parameter("ForceFailover") == Some("true");
                known.reboots.extend(database().map(|it| (it, failover)));
            }
            ("ec2", "StartInstances" | "RebootInstances") => {
                let ids = call.parameters.iter().filter(|it| it.0.starts_with("InstanceId."));
                let ids = ids.map(|it| it.1.clone());
                match call.action.as_str() {
                    "StartInstances" => known.instance_starts.extend(ids),
                    _ => known.instance_reboots.extend(ids),
                }
            }
            ("cloudfront", action) if life::changes_distribution(action) => {
                let controls = Element::parse(&String::from_utf8_lossy(&call.body))
                    .map(|it| it.all("OriginAccessControlId"))
                    .unwrap_or_default();
                let id = Element::parse(answer).and_then(|it| it.all("Id").into_iter().next());
                known.access_controls.extend(id.map(|id| (id, controls)));
            }
            ("elasticloadbalancing", "CreateLoadBalancer") => {
                known.pending_balancers.extend(call.parameter("Name").map(str::to_owned));
            }
            _ => {}
        }
    }
}
