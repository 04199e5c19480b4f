//! What a group did, and why.

use jiff::Timestamp;

use super::group::Place;

/// More than anybody reads; AWS forgets after six weeks.
const KEPT: usize = 500;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    InProgress,
    Draining,
    Successful,
    Failed,
}

impl Status {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Status::InProgress => "InProgress",
            Status::Draining => "WaitingForELBConnectionDraining",
            Status::Successful => "Successful",
            Status::Failed => "Failed",
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Activity {
    pub(super) id: String,
    pub(super) description: String,
    pub(super) cause: String,
    pub(super) start: Timestamp,
    pub(super) end: Option<Timestamp>,
    pub(super) status: Status,
    pub(super) message: Option<String>,
    pub(super) place: Place,
}

/// Oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct History(Vec<Activity>);

impl History {
    /// Notes that something begins; says under which id.
    pub(super) fn begin(
        &mut self,
        description: String,
        cause: String,
        place: Place,
        now: Timestamp,
    ) -> String {
        let id = new_id();
        self.0.push(Activity {
            id: id.clone(),
            description,
            cause,
            start: now,
            end: None,
            status: Status::InProgress,
            message: None,
            place,
        });
        let surplus = self.0.len().saturating_sub(KEPT);
        self.0.drain(..surplus);
        id
    }

    pub(super) fn change(&mut self, id: &str, change: impl FnOnce(&mut Activity)) {
        if let Some(it) = self.0.iter_mut().find(|it| it.id == id) {
            change(it);
        }
    }

    /// Notes how it ended.
    pub(super) fn end(&mut self, id: &str, status: Status, message: Option<String>, now: Timestamp) {
        self.change(id, |it| {
            it.status = status;
            it.message = message;
            it.end = Some(now);
        });
    }

    pub(super) fn newest_first(&self) -> impl Iterator<Item = &Activity> {
        self.0.iter().rev()
    }

    pub(super) fn find(&self, id: &str) -> Option<&Activity> {
        self.0.iter().find(|it| it.id == id)
    }
}

/// Thirty-two digits that nobody has had, grouped as AWS groups them.
pub(super) fn new_id() -> String {
    let digits = format!("{:032x}", rand::random::<u128>());
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}
