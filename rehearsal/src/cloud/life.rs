//! How long everything takes: the states between asked for and there, with AWS's durations.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::call::Call;
use super::time::Time;
use super::xml::Element;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Instance,
    /// An instance profile.
    Profile,
    Image,
    Snapshot,
    NatGateway,
    FileSystem,
    MountTarget,
    Database,
    Balancer,
    Distribution,
}

/// States one after the other; then the control plane's own.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Life {
    /// In AWS's time, as the stages' lengths.
    began: Duration,
    stages: Vec<(Duration, &'static str)>,
}

/// Everything that is not yet, or no longer, what it shall be.
#[derive(Default)]
pub(super) struct Lives {
    pub(super) time: Time,
    all: BTreeMap<(Kind, String), Life>,
}

const fn seconds(it: u64) -> Duration {
    Duration::from_secs(it)
}

/// For ever: somebody else says when it is over.
const OPEN: Duration = Duration::MAX;

/// The states after a call that succeeded, as AWS's own durations.
fn stages(call: &Call) -> Option<(Kind, Vec<(Duration, &'static str)>)> {
    use Kind::*;
    let one = |kind, length, word| Some((kind, vec![(seconds(length), word)]));
    let is = |name: &str| call.parameter(name) == Some("true");
    match (call.service.as_str(), call.action.as_str()) {
        ("ec2", "RunInstances" | "StartInstances") => one(Instance, 8, "pending"),
        ("ec2", "StopInstances") => one(Instance, 20, "stopping"),
        ("ec2", "TerminateInstances") => one(Instance, 30, "shutting-down"),
        ("iam", "CreateInstanceProfile") => one(Profile, 20, "propagating"),
        ("ec2", "CreateImage") => one(Image, 180, "pending"),
        ("ec2", "CreateSnapshot") => one(Snapshot, 60, "pending"),
        ("ec2", "CreateNatGateway") => one(NatGateway, 90, "pending"),
        ("elasticfilesystem", "POST /2015-02-01/file-systems") => one(FileSystem, 10, "creating"),
        ("elasticfilesystem", "POST /2015-02-01/mount-targets") => one(MountTarget, 90, "creating"),
        ("rds", "CreateDBInstance") => {
            let length = if is("MultiAZ") { 600 } else { 300 };
            let words = [(length, "creating"), (60, "backing-up"), (60, "modifying")];
            Some((Database, words.map(|it| (seconds(it.0), it.1)).to_vec()))
        }
        ("rds", "CreateDBInstanceReadReplica") => one(Database, 600, "creating"),
        ("rds", "ModifyDBInstance" | "PromoteReadReplica") => one(Database, 60, "modifying"),
        ("rds", "RebootDBInstance") => one(Database, if is("ForceFailover") { 60 } else { 30 }, "rebooting"),
        ("elasticloadbalancing", "CreateLoadBalancer") => one(Balancer, 120, "provisioning"),
        ("cloudfront", action) if changes_distribution(action) => one(Distribution, 240, "InProgress"),
        _ => None,
    }
}

pub(super) fn changes_distribution(action: &str) -> bool {
    let (method, path) = action.split_once(' ').unwrap_or_default();
    let mut parts = path.trim_start_matches('/').split('/').skip(1);
    let (what, id, part) = (parts.next(), parts.next(), parts.next());
    what == Some("distribution")
        && matches!((method, id, part), ("POST", None, _) | ("PUT", Some(_), Some("config")))
}

/// How long a deletion takes, and the word for it, where the control plane would be done at once.
pub(super) fn leaving(call: &Call) -> Option<(Kind, String, Duration, &'static str)> {
    use Kind::*;
    let parameter = |name: &str| call.parameter(name).map(str::to_owned);
    let path = |prefix: &str| {
        let id = call.action.strip_prefix(prefix)?;
        (!id.contains('/')).then(|| id.to_owned())
    };
    match (call.service.as_str(), call.action.as_str()) {
        ("ec2", "DeleteNatGateway") => {
            Some((NatGateway, parameter("NatGatewayId")?, seconds(60), "deleting"))
        }
        ("rds", "DeleteDBInstance") => {
            Some((Database, parameter("DBInstanceIdentifier")?, seconds(300), "deleting"))
        }
        ("elasticfilesystem", _) => {
            let target = path("DELETE /2015-02-01/mount-targets/").map(|id| (MountTarget, id, seconds(60)));
            let system = || path("DELETE /2015-02-01/file-systems/").map(|id| (FileSystem, id, seconds(10)));
            target.or_else(system).map(|(kind, id, length)| (kind, id, length, "deleting"))
        }
        _ => None,
    }
}

impl Lives {
    /// What a call that succeeded has begun.
    pub(super) fn begin(&mut self, call: &Call, answer: &str) {
        let Some((kind, stages)) = stages(call) else { return };
        let began = self.time.now();
        for id in ids(kind, call, answer) {
            self.all.insert((kind, id), Life { began, stages: stages.clone() });
        }
    }

    /// It goes, until [`Lives::end`].
    pub(super) fn leave(&mut self, kind: Kind, id: &str, word: &'static str) {
        let life = Life { began: self.time.now(), stages: vec![(OPEN, word)] };
        self.all.insert((kind, id.to_owned()), life);
    }

    pub(super) fn end(&mut self, kind: Kind, id: &str) {
        self.all.remove(&(kind, id.to_owned()));
    }

    /// The word for its state; `None`: the control plane knows.
    pub(super) fn word(&self, kind: Kind, id: &str) -> Option<&'static str> {
        let life = self.all.get(&(kind, id.to_owned()))?;
        let mut left = self.time.now().saturating_sub(life.began);
        for (length, word) in &life.stages {
            if left < *length {
                return Some(word);
            }
            left -= *length;
        }
        None
    }

    /// Its first state lasts at least until now: what it stands for is not there yet.
    pub(super) fn hold(&mut self, kind: Kind, id: &str) {
        let now = self.time.now() + self.time.within(Duration::from_millis(100));
        let Some(life) = self.all.get_mut(&(kind, id.to_owned())) else { return };
        if let Some(begun) = life.stages.first().and_then(|it| now.checked_sub(it.0)) {
            life.began = life.began.max(begun);
        }
    }
}

/// Whom a call was about, by its parameters or its answer.
fn ids(kind: Kind, call: &Call, answer: &str) -> Vec<String> {
    let xml = |tag: &str| Element::parse(answer).map(|it| it.all(tag)).unwrap_or_default();
    let json = |field: &str| {
        let it: Value = serde_json::from_str(answer).unwrap_or_default();
        it[field].as_str().map(str::to_owned).into_iter().collect()
    };
    let parameter = |name: &str| call.parameter(name).map(str::to_owned).into_iter().collect();
    match kind {
        Kind::Instance => xml("instanceId"),
        Kind::Image => xml("imageId"),
        Kind::Snapshot => xml("snapshotId"),
        Kind::NatGateway => xml("natGatewayId"),
        Kind::FileSystem => json("FileSystemId"),
        Kind::MountTarget => json("MountTargetId"),
        Kind::Database => parameter("DBInstanceIdentifier"),
        Kind::Balancer => parameter("Name"),
        Kind::Profile => parameter("InstanceProfileName"),
        // Its own is the first; origins have some, too.
        Kind::Distribution => xml("Id").into_iter().take(1).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(service: &str, action: &str, parameters: &[(&str, &str)]) -> Call {
        let parameters = parameters.iter().map(|it| (it.0.to_owned(), it.1.to_owned())).collect();
        Call { service: service.into(), action: action.into(), parameters, ..Call::default() }
    }

    #[test]
    fn states_follow_each_other() {
        let create = call("rds", "CreateDBInstance", &[("DBInstanceIdentifier", "db"), ("MultiAZ", "true")]);
        let mut lives = Lives::default();
        lives.time.set(0);
        lives.time.pass(seconds(10));
        lives.begin(&create, "");
        assert_eq!(lives.word(Kind::Database, "db"), Some("creating"));
        lives.time.pass(seconds(630));
        assert_eq!(lives.word(Kind::Database, "db"), Some("backing-up"));
        // Its machine is not ready after all.
        lives.hold(Kind::Database, "db");
        assert_eq!(lives.word(Kind::Database, "db"), Some("creating"));
        lives.time.pass(seconds(61));
        assert_eq!(lives.word(Kind::Database, "db"), Some("modifying"));
        lives.time.pass(seconds(60));
        assert_eq!(lives.word(Kind::Database, "db"), None);
    }

    #[test]
    fn what_goes_goes_until_it_is_gone() {
        let delete = call("ec2", "DeleteNatGateway", &[("NatGatewayId", "nat-1")]);
        let (kind, id, length, word) = leaving(&delete).unwrap();
        assert_eq!((kind, id.as_str(), length), (Kind::NatGateway, "nat-1", seconds(60)));
        let mut lives = Lives::default();
        lives.leave(kind, &id, word);
        assert_eq!(lives.word(kind, "nat-1"), Some("deleting"));
        lives.end(kind, "nat-1");
        assert_eq!(lives.word(kind, "nat-1"), None);
    }

    #[test]
    fn distributions_and_file_systems_are_known_by_their_paths() {
        assert!(changes_distribution("POST /2020-05-31/distribution"));
        assert!(changes_distribution("PUT /2020-05-31/distribution/E1/config"));
        assert!(!changes_distribution("POST /2020-05-31/distribution/E1/invalidation"));
        assert!(!changes_distribution("POST /2020-05-31/origin-access-control"));
        let delete = call("elasticfilesystem", "DELETE /2015-02-01/mount-targets/fsmt-1", &[]);
        assert_eq!(leaving(&delete).unwrap().1, "fsmt-1");
        let tags = call("elasticfilesystem", "DELETE /2015-02-01/file-systems/fs-1/tags", &[]);
        assert_eq!(leaving(&tags), None);
    }

    #[test]
    fn the_answer_says_which_instances_were_launched() {
        let mut lives = Lives::default();
        let answer = "<r><instancesSet><item><instanceId>i-1</instanceId></item><item><instanceId>i-2</instanceId></item></instancesSet></r>";
        lives.begin(&call("ec2", "RunInstances", &[]), answer);
        assert_eq!(lives.word(Kind::Instance, "i-2"), Some("pending"));
    }
}
