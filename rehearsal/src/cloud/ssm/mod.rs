//! Run Command, answered by the front door itself: moto only pretends.

mod ledger;
mod limit;
mod managed;
mod run;
mod shapes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::call::Call;
use super::refusal::Refusal;
use super::sync::Sync;
pub(super) use ledger::Ledger;
use ledger::{Command, Invocation};
use managed::Managed;
use run::Delivery;

/// The only document that does anything here.
const SHELL: &str = "AWS-RunShellScript";
/// Seconds until a command counts as undeliverable, and until it has run too long, unless said otherwise.
const DELIVERY: i64 = 3600;
const EXECUTION: u64 = 3600;

type Answer = Result<Value, Refusal>;

/// Whether a call is for us.
pub(super) fn is_ours(call: &Call) -> bool {
    let ours = [
        "SendCommand",
        "CancelCommand",
        "GetCommandInvocation",
        "ListCommands",
        "ListCommandInvocations",
        "DescribeInstanceInformation",
    ];
    call.service == "ssm" && ours.contains(&call.action.as_str())
}

/// Answers it; may look at every host, and so blocks.
pub(super) fn answer(sync: &Arc<Sync>, ledger: &Ledger, call: &Call) -> Answer {
    let it = &call.json;
    match call.action.as_str() {
        "SendCommand" => send(sync, ledger, it),
        "CancelCommand" => cancel(ledger, it),
        "GetCommandInvocation" => {
            let (command, invocation) = find(ledger, it)?;
            Ok(shapes::whole(&command, &invocation))
        }
        "ListCommands" => {
            let all = selected(ledger, it)?;
            Ok(json!({ "Commands": all.iter().map(shapes::command).collect::<Vec<_>>() }))
        }
        "ListCommandInvocations" => {
            let instance = it["InstanceId"].as_str();
            let details = it["Details"].as_bool() == Some(true);
            let all = selected(ledger, it)?;
            let all = all.iter().flat_map(|command| command.invocations.iter().map(move |it| (command, it)));
            let all = all.filter(|it| instance.is_none_or(|instance| it.1.instance == instance));
            let all: Vec<Value> = all.map(|(command, it)| shapes::brief(command, it, details)).collect();
            Ok(json!({ "CommandInvocations": all }))
        }
        _ => Ok(json!({ "InstanceInformationList": information(sync, it) })),
    }
}

fn send(sync: &Arc<Sync>, ledger: &Ledger, it: &Value) -> Answer {
    let document = it["DocumentName"].as_str().unwrap_or_default();
    if document.rsplit('/').next() != Some(SHELL) {
        let words = format!("document {document} does not exist here: the rehearsal cloud runs {SHELL}");
        return Err(Refusal::new("InvalidDocument", words));
    }
    let parameters = &it["Parameters"];
    let lines: Vec<&str> = strings(&parameters["commands"]).collect();
    if lines.is_empty() {
        return Err(Refusal::new("InvalidParameters", "the parameter commands is missing or empty"));
    }
    let known = managed::all(sync);
    let targets = targets(it, &known)?;
    let seconds = it["TimeoutSeconds"].as_i64().unwrap_or(DELIVERY);
    if !(30..=2_592_000).contains(&seconds) {
        let words =
            format!("Value '{seconds}' at 'timeoutSeconds' failed to satisfy constraint: 30 to 2592000");
        return Err(Refusal::new("ValidationException", words));
    }
    let execution = strings(&parameters["executionTimeout"]).next().and_then(|it| it.parse().ok());
    let (at_once, errors) = (limit::at_once(it)?, limit::errors(it)?);
    let now = Timestamp::now();
    let command = Command {
        id: new_id(),
        asked: it.clone(),
        requested: now,
        expires: now + SignedDuration::from_secs(seconds),
        at_once,
        errors,
        invocations: targets.iter().map(|(id, it)| Invocation::new(id, name_of(it))).collect(),
        cancelled: Arc::default(),
    };
    let answer = json!({ "Command": shapes::command(&command) });
    ledger.lock().push(command.clone());
    let delivery = Delivery {
        command,
        script: lines.join("\n") + "\n",
        directory: strings(&parameters["workingDirectory"])
            .next()
            .filter(|it| !it.is_empty())
            .map(Into::into),
        delivery: Duration::from_secs(seconds.unsigned_abs()),
        execution: Duration::from_secs(execution.unwrap_or(EXECUTION)),
    };
    run::dispatch(Arc::clone(sync), ledger.clone(), targets.into_values().collect(), delivery);
    Ok(answer)
}

/// Those that were named, who all have to be managed, or those of the tags, as far as they are.
fn targets(it: &Value, known: &BTreeMap<String, Managed>) -> Result<BTreeMap<String, Managed>, Refusal> {
    let mut named: Vec<&str> = strings(&it["InstanceIds"]).collect();
    let mut chosen: Option<BTreeMap<String, Managed>> = None;
    for target in it["Targets"].as_array().into_iter().flatten() {
        let key = target["Key"].as_str().unwrap_or_default();
        if key.eq_ignore_ascii_case("instanceids") {
            named.extend(strings(&target["Values"]));
            continue;
        }
        let fits = |it: &Managed| match key.strip_prefix("tag:") {
            Some(tag) => {
                strings(&target["Values"]).any(|want| it.about.tags.get(tag).is_some_and(|it| it == want))
            }
            None => key == "tag-key" && strings(&target["Values"]).any(|it_| it.about.tags.contains_key(it_)),
        };
        // Several targets have to fit together.
        let from = chosen.take().unwrap_or_else(|| known.clone());
        chosen = Some(from.into_iter().filter(|it| fits(&it.1)).collect());
    }
    if named.is_empty() && chosen.is_none() {
        return Err(Refusal::new("InvalidInstanceId", "no instance ids and no targets were given"));
    }
    let mut all = chosen.unwrap_or_default();
    for id in named {
        let Some(it) = known.get(id) else {
            let words = format!("Instances [[{id}]] not in a valid state for account {}", account(known));
            return Err(Refusal::new("InvalidInstanceId", words));
        };
        all.insert(id.to_owned(), it.clone());
    }
    Ok(all)
}

fn account(known: &BTreeMap<String, Managed>) -> &str {
    known.values().next().map_or("123456789012", |it| it.about.account.as_str())
}

fn cancel(ledger: &Ledger, it: &Value) -> Answer {
    let id = it["CommandId"].as_str().unwrap_or_default();
    let command = ledger.find(id).ok_or_else(|| no_command(id))?;
    command.cancelled.store(true, Ordering::Relaxed);
    Ok(json!({}))
}

fn find(ledger: &Ledger, it: &Value) -> Result<(Command, Invocation), Refusal> {
    let (id, instance) = (it["CommandId"].as_str().unwrap_or_default(), it["InstanceId"].as_str());
    let missing = || Refusal::new("InvocationDoesNotExist", "");
    let command = ledger.find(id).ok_or_else(missing)?;
    let found = command.invocations.iter().find(|it| Some(it.instance.as_str()) == instance).cloned();
    Ok((command, found.ok_or_else(missing)?))
}

/// Newest first.
fn selected(ledger: &Ledger, it: &Value) -> Result<Vec<Command>, Refusal> {
    let (id, instance) = (it["CommandId"].as_str(), it["InstanceId"].as_str());
    let mut all: Vec<Command> = ledger.lock().iter().rev().cloned().collect();
    all.retain(|it| id.is_none_or(|id| it.id == id));
    all.retain(|it| instance.is_none_or(|one| it.invocations.iter().any(|it| it.instance == one)));
    match id.filter(|_| all.is_empty()) {
        Some(id) => Err(no_command(id)),
        None => Ok(all),
    }
}

fn no_command(id: &str) -> Refusal {
    Refusal::new("InvalidCommandId", format!("there is no command {id}"))
}

fn information(sync: &Sync, it: &Value) -> Vec<Value> {
    let filters = it["Filters"].as_array().into_iter().chain(it["InstanceInformationFilterList"].as_array());
    let wanted: Vec<&str> = filters
        .flatten()
        .filter(|it| it["Key"] == "InstanceIds" || it["key"] == "InstanceIds")
        .flat_map(|it| strings(&it["Values"]).chain(strings(&it["valueSet"])))
        .collect();
    let all = managed::all(sync).into_values();
    let all = all.filter(|it| wanted.is_empty() || wanted.contains(&it.about.instance_id.as_str()));
    all.map(|it| shapes::information(&it, it.is_online(sync))).collect()
}

fn name_of(it: &Managed) -> &str {
    it.about.tags.get("Name").map(String::as_str).unwrap_or_default()
}

fn strings(it: &Value) -> impl Iterator<Item = &str> {
    it.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// The kernel's, in the form of AWS's.
fn new_id() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/uuid");
    text.map(|it| it.trim().to_owned()).unwrap_or_else(|_| Timestamp::now().as_nanosecond().to_string())
}
