//! The commands that were sent, and what became of each on each host.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::limit::Limit;

/// Every command since the cloud began, newest last.
#[derive(Clone, Default)]
pub(in crate::cloud) struct Ledger(Arc<Mutex<Vec<Command>>>);

#[derive(Clone)]
pub(super) struct Command {
    pub(super) id: String,
    /// The question as it was asked.
    pub(super) asked: Value,
    pub(super) requested: Timestamp,
    pub(super) expires: Timestamp,
    /// On how many hosts it may run at once, and on how many it may fail before the others are spared.
    pub(super) at_once: Limit,
    pub(super) errors: Limit,
    pub(super) invocations: Vec<Invocation>,
    pub(super) cancelled: Arc<AtomicBool>,
}

/// A command on one host.
#[derive(Clone)]
pub(super) struct Invocation {
    pub(super) instance: String,
    pub(super) name: String,
    pub(super) status: Status,
    pub(super) code: i32,
    pub(super) began: Option<Timestamp>,
    pub(super) ended: Option<Timestamp>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Pending,
    InProgress,
    Success,
    Failed,
    DeliveryTimedOut,
    ExecutionTimedOut,
    Cancelled,
    /// Not started, since it had failed on too many others.
    Terminated,
}

impl Status {
    /// `Status` and `StatusDetails`.
    pub(super) fn words(self) -> (&'static str, &'static str) {
        match self {
            Status::Pending => ("Pending", "Pending"),
            Status::InProgress => ("InProgress", "InProgress"),
            Status::Success => ("Success", "Success"),
            Status::Failed => ("Failed", "Failed"),
            Status::DeliveryTimedOut => ("TimedOut", "DeliveryTimedOut"),
            Status::ExecutionTimedOut => ("TimedOut", "ExecutionTimedOut"),
            Status::Cancelled => ("Cancelled", "Cancelled"),
            Status::Terminated => ("Failed", "Terminated"),
        }
    }

    /// Whether it counts among the errors that a command may make.
    pub(super) fn is_error(self) -> bool {
        matches!(self, Status::Failed | Status::ExecutionTimedOut)
    }

    pub(super) fn is_final(self) -> bool {
        !matches!(self, Status::Pending | Status::InProgress)
    }
}

impl Invocation {
    pub(super) fn new(instance: &str, name: &str) -> Invocation {
        Invocation {
            instance: instance.to_owned(),
            name: name.to_owned(),
            status: Status::Pending,
            code: -1,
            began: None,
            ended: None,
            stdout: String::new(),
            stderr: String::new(),
        }
    }

    pub(super) fn took(&self) -> SignedDuration {
        match (self.began, self.ended) {
            (Some(began), Some(ended)) => ended.duration_since(began),
            _ => SignedDuration::ZERO,
        }
    }
}

impl Command {
    /// The worst of what became of it, once nothing runs any more, if that is more than it may make of errors.
    pub(super) fn status(&self) -> (&'static str, &'static str) {
        let all = || self.invocations.iter().map(|it| it.status);
        if self.invocations.is_empty() {
            return ("Success", "NoInstancesInTag");
        }
        if all().all(|it| it == Status::Pending) {
            return Status::Pending.words();
        }
        if all().any(|it| !it.is_final()) {
            return Status::InProgress.words();
        }
        let worst = [
            Status::ExecutionTimedOut,
            Status::DeliveryTimedOut,
            Status::Failed,
            Status::Terminated,
            Status::Cancelled,
        ];
        let worst = worst.into_iter().find(|it| all().any(|one| one == *it)).unwrap_or(Status::Success);
        let missed = all().filter(|it| !matches!(it, Status::Success | Status::Cancelled)).count();
        match missed > self.errors.of(self.invocations.len()) {
            false if missed > 0 => ("Failed", "Incomplete"),
            _ => worst.words(),
        }
    }

    /// Whether it has failed on more hosts than it may.
    pub(super) fn is_over(&self) -> bool {
        let errors = self.invocations.iter().filter(|it| it.status.is_error()).count();
        errors > self.errors.of(self.invocations.len())
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    pub(super) fn text(&self, field: &str) -> &str {
        self.asked[field].as_str().unwrap_or_default()
    }
}

impl Ledger {
    pub(super) fn lock(&self) -> MutexGuard<'_, Vec<Command>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn find(&self, id: &str) -> Option<Command> {
        self.lock().iter().find(|it| it.id == id).cloned()
    }

    /// Notes what becomes of a command on a host; what is final stays so.
    pub(super) fn note(&self, id: &str, instance: &str, change: impl FnOnce(&mut Invocation)) {
        let mut all = self.lock();
        let command = all.iter_mut().find(|it| it.id == id);
        let found = command.and_then(|it| it.invocations.iter_mut().find(|it| it.instance == instance));
        if let Some(it) = found.filter(|it| !it.status.is_final()) {
            change(it);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(all: &[Status]) -> Command {
        let one = |(n, status): (usize, &Status)| Invocation {
            status: *status,
            ..Invocation::new(&format!("i-{n}"), "web")
        };
        Command {
            id: "c".into(),
            asked: Value::Null,
            requested: Timestamp::UNIX_EPOCH,
            expires: Timestamp::UNIX_EPOCH,
            at_once: Limit::Number(50),
            errors: Limit::Number(0),
            invocations: all.iter().enumerate().map(one).collect(),
            cancelled: Arc::default(),
        }
    }

    #[test]
    fn a_command_is_as_far_as_its_slowest_host_and_as_well_as_its_worst() {
        use Status::*;
        let status = |all: &[Status]| command(all).status().1;
        assert_eq!(status(&[Pending, Pending]), "Pending");
        assert_eq!(status(&[Pending, Success]), "InProgress");
        assert_eq!(status(&[Success, Success]), "Success");
        assert_eq!(status(&[Success, Failed]), "Failed");
        assert_eq!(status(&[ExecutionTimedOut, Failed]), "ExecutionTimedOut");
        assert_eq!(status(&[]), "NoInstancesInTag");
        assert_eq!(status(&[Failed, Terminated]), "Failed");
    }

    #[test]
    fn a_command_may_miss_as_many_hosts_as_it_says() {
        use Status::*;
        let may = |errors, all: &[Status]| Command { errors, ..command(all) };
        let half = may(Limit::Percent(50), &[Failed, Success]);
        assert!(half.status() == ("Failed", "Incomplete") && !half.is_over());
        assert!(may(Limit::Percent(50), &[Failed, ExecutionTimedOut]).is_over());
        // Whoever could not be reached is missed, and still no error.
        let missed = may(Limit::Number(0), &[DeliveryTimedOut, Success]);
        assert!(missed.status().1 == "DeliveryTimedOut" && !missed.is_over());
    }

    #[test]
    fn what_has_ended_does_not_change_any_more() {
        let ledger = Ledger::default();
        ledger.lock().push(command(&[Status::Cancelled]));
        ledger.note("c", "i-0", |it| it.status = Status::Success);
        assert_eq!(ledger.find("c").unwrap().status().0, "Cancelled");
    }
}
