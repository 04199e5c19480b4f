//! How the stack is: nodes with their drift, targets with their health, addresses.

use serde::Serialize;
use serde_json::{Value as Json, json};
use shared::tags::NAME;

use super::{
    areas::by_area,
    paint::{Paint, count, fit, tame},
    plan::change,
};
use crate::engine::{Action, Change, Observed, Phase, Plan, Stack};

/// All that `lamp status` tells.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Status {
    pub nodes: Vec<NodeStatus>,
    pub targets: Vec<TargetStatus>,
    /// What to call it, and where it is: `("public hosts", "http://…")`.
    pub addresses: Vec<(String, String)>,
    /// Whether every node is as wanted and every target healthy.
    pub well: bool,
}

#[derive(Clone, Debug, Serialize)]
pub struct NodeStatus {
    pub node: String,
    /// What the AWS console calls it.
    pub name: String,
    /// AWS's id; empty where there is none yet.
    pub id: String,
    /// `ready`, `missing`, `unwanted`, `failed: …`, `refused: …` where only a person can decide, or AWS's own word.
    pub phase: String,
    pub drift: Vec<Change>,
}

#[derive(Clone, Debug, Serialize)]
pub struct TargetStatus {
    pub group: String,
    pub target: String,
    /// `healthy`, `unhealthy`, `initial` …
    pub state: String,
    pub reason: String,
}

impl TargetStatus {
    pub fn is_healthy(&self) -> bool {
        self.state == "healthy"
    }

    /// A host that leaves is let go for five minutes, which is no illness: a policy that shrinks its group
    /// would otherwise make every stack look ill.
    pub fn is_leaving(&self) -> bool {
        self.state == "draining"
    }
}

const REFUSED: &str = "refused: ";

impl NodeStatus {
    fn is_refused(&self) -> bool {
        self.phase.starts_with(REFUSED)
    }
}

impl Status {
    /// The status of what was observed; targets and addresses are for the caller to fill in.
    pub fn new(stack: &Stack, observed: &Observed, plan: &Plan) -> Self {
        let nodes: Vec<NodeStatus> = plan
            .steps
            .iter()
            .map(|step| {
                let seen = observed.nodes.get(&step.node);
                let tags = stack.nodes.iter().find(|it| it.name == step.node).map(|it| &it.tags);
                let own = step.node.split_once('/').map_or(step.node.as_str(), |(_, name)| name);
                let name = tags.and_then(|it| it.get(NAME)).map_or(own, String::as_str);
                let phase = match (seen.map(|it| &it.phase), &step.action) {
                    (None, _) => "missing".to_owned(),
                    (_, Action::Delete) => "unwanted".to_owned(),
                    (_, Action::Refuse { why, .. }) => format!("{REFUSED}{why}"),
                    (Some(Phase::Ready), _) => "ready".to_owned(),
                    (Some(Phase::Pending(state)), _) => state.clone(),
                    (Some(Phase::Failed(why)), _) => format!("failed: {why}"),
                };
                let drift = match &step.action {
                    Action::Configure { changes } | Action::Refuse { changes, .. } => changes.clone(),
                    _ => Vec::new(),
                };
                let id = seen.map(|it| it.id.clone()).unwrap_or_default();
                NodeStatus { node: step.node.clone(), name: name.to_owned(), id, phase, drift }
            })
            .collect();
        Status { nodes, well: plan.is_empty(), ..Status::default() }
    }
}

pub(super) fn text(status: &Status, paint: Paint) -> String {
    let mut text = String::new();
    let widest = |of: fn(&NodeStatus) -> &str, most| {
        status.nodes.iter().map(|it| of(it).chars().count()).max().unwrap_or_default().min(most)
    };
    let (nodes, ids) = (widest(|it| &it.node, 44), widest(|it| &it.id, 30));
    for (area, its) in by_area(&status.nodes, |it| it.node.as_str()) {
        text += &format!("{}\n", paint.bold(area));
        for it in its {
            let (sign, phase) = match it.phase.as_str() {
                "ready" if it.drift.is_empty() => (paint.green("✓"), "ready".to_owned()),
                "ready" => (paint.yellow("~"), paint.yellow("differs")),
                phase @ ("missing" | "unwanted") => (paint.red("✗"), paint.red(phase)),
                phase if phase.starts_with("failed") || it.is_refused() => {
                    (paint.red("✗"), paint.red(&tame(phase)))
                }
                phase => (paint.cyan("…"), paint.cyan(&tame(phase))),
            };
            let line = format!("  {sign} {}  {}  {phase}", fit(&it.node, nodes), fit(&it.id, ids));
            text += &format!("{}\n", line.trim_end());
            it.drift.iter().for_each(|it| change(it, paint, &mut text));
        }
        text.push('\n');
    }
    if !status.targets.is_empty() {
        text += &format!("{}\n", paint.bold("Targets"));
        let widest = status.targets.iter().map(|it| it.group.chars().count()).max().unwrap_or_default();
        for it in &status.targets {
            let state = match it.state.as_str() {
                state if it.is_healthy() => paint.green(state),
                state if it.is_leaving() => paint.cyan(state),
                state => paint.red(state),
            };
            let why = if it.reason.is_empty() { String::new() } else { format!("  {}", tame(&it.reason)) };
            text += &format!("  {}  {}  {state}{why}\n", fit(&it.group, widest), it.target);
        }
        text.push('\n');
    }
    text += &addresses(&status.addresses, paint);
    text + &verdict(status, paint)
}

/// Where the site can be seen.
pub(super) fn addresses(addresses: &[(String, String)], paint: Paint) -> String {
    if addresses.is_empty() {
        return String::new();
    }
    let widest = addresses.iter().map(|(label, _)| label.chars().count()).max().unwrap_or_default();
    let lines: String = addresses
        .iter()
        .map(|(label, url)| format!("  {}  {}\n", fit(label, widest), paint.cyan(url)))
        .collect();
    format!("{}\n{lines}\n", paint.bold("Addresses"))
}

fn verdict(status: &Status, paint: Paint) -> String {
    if status.well {
        return format!(
            "{}\n",
            paint.green(&format!("All is well: {}.", count(status.nodes.len(), "resource")))
        );
    }
    let wrong = status.nodes.iter().filter(|it| it.phase != "ready" || !it.drift.is_empty()).count();
    let staying: Vec<_> = status.targets.iter().filter(|it| !it.is_leaving()).collect();
    let sick = staying.iter().filter(|it| !it.is_healthy()).count();
    let mut says = Vec::new();
    if 0 < wrong {
        says.push(format!("{} of {} not as wanted", wrong, count(status.nodes.len(), "resource")));
    }
    let refused: Vec<_> =
        status.nodes.iter().filter(|it| it.is_refused()).map(|it| it.node.as_str()).collect();
    if !refused.is_empty() {
        says.push(format!("to be decided by you: {}", refused.join(", ")));
    }
    if 0 < sick {
        says.push(format!("{} of {} not healthy", sick, count(staying.len(), "target")));
    }
    format!("{}\n", paint.red(&format!("Not all is well: {}.", says.join("; "))))
}

pub(super) fn object(status: &Status) -> Json {
    let mut object = json!({ "event": "status" });
    if let (Json::Object(object), Json::Object(fields)) = (&mut object, json!(status)) {
        object.extend(fields);
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_shows_phase_drift_health_and_addresses() {
        let node = |node: &str, id: &str, phase: &str, drift| NodeStatus {
            node: node.into(),
            name: String::new(),
            id: id.into(),
            phase: phase.into(),
            drift,
        };
        let drift = Change { field: "desired".into(), have: json!(3), want: json!(2) };
        let target = |target: &str, state: &str, reason: &str| TargetStatus {
            group: "lab-vpc-alb-asg-tg".into(),
            target: target.into(),
            state: state.into(),
            reason: reason.into(),
        };
        let status = Status {
            nodes: vec![
                node("vpc/lab-vpc", "vpc-0a1b2c3d4e5f", "ready", vec![]),
                node("scaling-group/lab-vpc-asg", "lab-vpc-asg", "ready", vec![drift]),
                node("nat-gateway/nat-gw-a1", "", "missing", vec![]),
                node("db-instance/lab-vpc-rds", "lab-vpc-rds", "backing-up", vec![]),
                node("file-system/efs", "fs-0a1b2c", "refused: AWS cannot change encrypted in place", vec![]),
            ],
            targets: vec![
                target("i-0123456789", "healthy", ""),
                target("i-9876543210", "unhealthy", "Target.ResponseCodeMismatch"),
                target("i-1234567890", "draining", "Target deregistration is in progress"),
            ],
            addresses: vec![("public hosts".into(), "http://lab-vpc-alb-public.example/".into())],
            well: false,
        };
        insta::assert_snapshot!(text(&status, Paint { colours: false }));
    }
}
