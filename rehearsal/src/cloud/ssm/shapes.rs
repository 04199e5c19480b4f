//! Commands and hosts in the shapes of the interface's answers.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::ledger::{Command, Invocation, Status};
use super::managed::Managed;
use super::run::cut;

/// What lists show of a plugin's output.
const BRIEF: usize = 2_500;
const PLUGIN: &str = "aws:runShellScript";

pub(super) fn command(it: &Command) -> Value {
    let (status, details) = it.status();
    let count = |fits: fn(Status) -> bool| it.invocations.iter().filter(|it| fits(it.status)).count();
    json!({
        "CommandId": it.id,
        "DocumentName": it.text("DocumentName"),
        "DocumentVersion": "$DEFAULT",
        "Comment": it.text("Comment"),
        "ExpiresAfter": seconds(it.expires),
        "Parameters": it.asked["Parameters"],
        "InstanceIds": it.asked.get("InstanceIds").unwrap_or(&json!([])),
        "Targets": it.asked.get("Targets").unwrap_or(&json!([])),
        "RequestedDateTime": seconds(it.requested),
        "Status": status,
        "StatusDetails": details,
        "MaxConcurrency": it.at_once.to_string(),
        "MaxErrors": it.errors.to_string(),
        "TargetCount": it.invocations.len(),
        "CompletedCount": count(Status::is_final),
        "ErrorCount": count(Status::is_error),
        "DeliveryTimedOutCount": count(|it| it == Status::DeliveryTimedOut),
        "TimeoutSeconds": it.asked["TimeoutSeconds"].as_i64().unwrap_or(super::DELIVERY),
    })
}

/// As `GetCommandInvocation` tells it.
pub(super) fn whole(command: &Command, it: &Invocation) -> Value {
    let (status, details) = it.status.words();
    let time = |it: Option<Timestamp>| it.map(|it| it.to_string()).unwrap_or_default();
    json!({
        "CommandId": command.id,
        "InstanceId": it.instance,
        "Comment": command.text("Comment"),
        "DocumentName": command.text("DocumentName"),
        "DocumentVersion": "$DEFAULT",
        "PluginName": PLUGIN,
        "ResponseCode": it.code,
        "ExecutionStartDateTime": time(it.began),
        "ExecutionElapsedTime": format!("PT{:.3}S", it.took().as_secs_f64()),
        "ExecutionEndDateTime": time(it.ended),
        "Status": status,
        "StatusDetails": details,
        "StandardOutputContent": it.stdout,
        "StandardOutputUrl": "",
        "StandardErrorContent": it.stderr,
        "StandardErrorUrl": "",
    })
}

/// As `ListCommandInvocations` tells it.
pub(super) fn brief(command: &Command, it: &Invocation, details: bool) -> Value {
    let (status, words) = it.status.words();
    let mut brief = json!({
        "CommandId": command.id,
        "InstanceId": it.instance,
        "InstanceName": it.name,
        "Comment": command.text("Comment"),
        "DocumentName": command.text("DocumentName"),
        "DocumentVersion": "$DEFAULT",
        "RequestedDateTime": seconds(command.requested),
        "Status": status,
        "StatusDetails": words,
        "CommandPlugins": [],
    });
    if details {
        let output = match it.stderr.as_str() {
            "" => it.stdout.clone(),
            errors => format!("{}\n----------ERROR-------\n{errors}", it.stdout),
        };
        brief["CommandPlugins"] = json!([{
            "Name": PLUGIN, "Status": status, "StatusDetails": words, "ResponseCode": it.code,
            "ResponseStartDateTime": seconds(it.began.unwrap_or(command.requested)),
            "ResponseFinishDateTime": it.ended.map(seconds),
            "Output": cut(&output, BRIEF),
        }]);
    }
    brief
}

pub(super) fn information(it: &Managed, online: bool) -> Value {
    json!({
        "InstanceId": it.about.instance_id,
        "PingStatus": if online { "Online" } else { "ConnectionLost" },
        "LastPingDateTime": seconds(Timestamp::now()),
        "AgentVersion": "3.3.0.0",
        "IsLatestVersion": true,
        "PlatformType": "Linux",
        "PlatformName": "Debian GNU/Linux",
        "PlatformVersion": "12",
        "ResourceType": "EC2Instance",
        "IPAddress": it.machine.address().to_string(),
        "ComputerName": it.about.instance_id,
        "IamRole": it.about.role.as_ref().map(|it| it.name.clone()),
    })
}

/// Times in JSON are numbers.
fn seconds(it: Timestamp) -> f64 {
    it.as_millisecond() as f64 / 1000.0
}
