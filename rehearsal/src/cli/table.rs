//! What runs, as a table for people.

use std::fmt::Write as _;

use super::{Found, Usage};
use crate::cloud::Status;

pub(super) fn text(found: &Found, status: &Status, usage: &Usage) -> String {
    let mut text =
        format!("interface  {}, {}, {}\nused       {usage}\n", found.endpoint, found.region, found.clock());
    for (id, (phase, address)) in &status.instances {
        let name = status.names.get(id).map(String::as_str).unwrap_or_default();
        let _ = writeln!(text, "instance   {id}  {phase:<8} {address:<12} {name}");
    }
    for (name, (primary, standby)) in &status.databases {
        let standby = standby.map_or("no standby".to_owned(), |it| format!("standby {it}"));
        let _ = writeln!(text, "database   {name}  primary {primary}, {standby}");
    }
    for name in &status.replicas {
        let _ = writeln!(text, "replica    {name}");
    }
    for name in &status.balancers {
        let _ = writeln!(text, "balancer   {name}");
    }
    for (group, targets) in &status.targets {
        let all: Vec<String> = targets.iter().map(|(id, state)| format!("{id} {state}")).collect();
        let _ = writeln!(text, "targets    {group}: {}", all.join(", "));
    }
    for (id, (name, targets)) in &status.file_systems {
        let _ = writeln!(text, "files      {id}  mount targets: {targets}  {name}");
    }
    for it in &status.broken_zones {
        let _ = writeln!(text, "broken     zone {it}");
    }
    for it in &status.busy {
        let _ = writeln!(text, "busy       {it}");
    }
    for (what, why) in &status.problems {
        let _ = writeln!(text, "problem    {what}: {why}");
    }
    text
}
