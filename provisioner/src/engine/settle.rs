//! One node's way to where it should be: act, look again, and only what is seen to be as wanted counts as done.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Cx, Kind, Node, Outcome, Phase, Seen, Verb, What,
    apply::{Run, lock},
    clock::now,
    destroy,
    patience::Patience,
    plan::{changes, failure, refusal},
};
use crate::aws;

/// How long errors that pass by themselves are waited out: AWS needs up to five minutes until a new
/// resource is known everywhere.
const PASSING: Duration = Duration::from_secs(300);
/// How often what lost an answer is done again.
const LOST_ANSWERS: usize = 5;
/// How often a node is configured before its differences count as an error.
const ATTEMPTS: usize = 3;
/// How long listings may miss what was just made: for what AWS would make a second one of, and for all else.
const MISSED: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(3));
/// How long a change may take until listings show it.
const SHOWS: Duration = Duration::from_secs(15);

/// How often a node was configured and how often without an answer, what AWS last said to it instead of yes, and how
/// long that may go on.
struct Tries {
    made: usize,
    lost: usize,
    unclear: Option<aws::Error>,
    passing: Patience,
    waiting: Patience,
}

impl Tries {
    fn new(kind: Kind) -> Tries {
        let passing = Patience::new(PASSING.min(kind.patience));
        Tries { made: 0, lost: 0, unclear: None, passing, waiting: Patience::new(kind.patience) }
    }
}

impl Run<'_> {
    /// Brings one node to its desired state and sees that it got there.
    pub(super) async fn settle(&self, node: &Node) -> aws::Result<Outcome> {
        let cx = Cx {
            aws: self.aws,
            node: &node.name,
            tags: &node.tags,
            stack: self.stack,
            observed: &self.observed,
        };
        let mut seen = lock(&self.observed).nodes.get(&node.name).cloned();
        let mut outcome = Outcome::Unchanged;
        let mut tries = None;
        let mut remade = false;
        if seen.as_ref().is_some_and(|it| it.unseen) {
            seen = self.ready(node, None, now(), Duration::ZERO).await?;
        }
        loop {
            let Some(have) = seen.take() else {
                self.started(node, Verb::Create, &mut outcome);
                let (since, id) = self.create(node, &cx).await?;
                let kind = node.resource.kind();
                if let (true, Some(id)) = (kind.usable_at_once, id) {
                    let made = Seen::made(kind, &node.name, id);
                    lock(&self.observed).nodes.insert(node.name.clone(), made);
                    return Ok(outcome);
                }
                seen = self.ready(node, None, since, Duration::ZERO).await?;
                continue;
            };
            let differences = self.changes(node, &have);
            match &have.phase {
                Phase::Pending(_) if differences.is_empty() || !have.is_changeable() => {
                    self.started(node, Verb::Configure, &mut outcome);
                    seen = self.ready(node, Some(&have.phase), now(), Duration::ZERO).await?;
                    continue;
                }
                Phase::Failed(_) if node.resource.cures(&have) => (),
                Phase::Failed(why) if have.kind.holds_data => {
                    return Err(aws::Error::refused(failure(&have, why)));
                }
                Phase::Failed(why) if remade => {
                    return Err(aws::Error::refused(format!("{} failed: {why}", have.id)));
                }
                // Once: what it was made from may have been too young.
                Phase::Failed(why) => {
                    remade = true;
                    self.started(node, Verb::Create, &mut outcome);
                    self.waiting(node, format!("{} failed: {why}; making another one", have.id));
                    destroy::remove(&have, self.aws, self.events, &self.reader).await?;
                    continue;
                }
                Phase::Pending(_) | Phase::Ready => (),
            }
            if differences.is_empty() {
                lock(&self.observed).nodes.insert(node.name.clone(), have);
                return Ok(outcome);
            }
            if let Some(why) = refusal(node, &have, &differences) {
                return Err(aws::Error::refused(why));
            }
            let tries = tries.get_or_insert_with(|| Tries::new(have.kind));
            if tries.made == ATTEMPTS || tries.lost == LOST_ANSWERS {
                let left: Vec<_> = differences.iter().map(ToString::to_string).collect();
                let said = tries.unclear.take().map_or("AWS accepted the change".into(), |it| it.to_string());
                return Err(aws::Error::refused(format!("{said}, but still shows {}", left.join("; "))));
            }
            self.started(node, Verb::Configure, &mut outcome);
            let shows = self.configure(node, &have, &cx, tries).await?;
            seen = self.ready(node, None, now(), shows).await?;
        }
    }

    fn changes(&self, node: &Node, seen: &Seen) -> Vec<super::Change> {
        changes(node, seen, self.stack, &lock(&self.observed))
    }

    fn started(&self, node: &Node, verb: Verb, outcome: &mut Outcome) {
        if *outcome == Outcome::Unchanged {
            self.events.send(&node.name, What::Started { verb });
        }
        *outcome = Outcome::Changed;
    }

    fn waiting(&self, node: &Node, why: impl Into<String>) {
        self.events.send(&node.name, What::Waiting { why: why.into() });
    }

    /// Creates the node's object exactly once; says since when a listing has to show it, and its id unless
    /// the answer was lost.
    async fn create(&self, node: &Node, cx: &Cx<'_>) -> aws::Result<(Instant, Option<String>)> {
        let kind = node.resource.kind();
        let mut passing = Patience::new(PASSING);
        let mut waiting = Patience::new(kind.patience);
        let mut lost = 0;
        loop {
            let began = now();
            let err = match node.resource.create(cx).await {
                Ok(id) => return Ok((now(), Some(id))),
                Err(err) => err,
            };
            let passes = err.is_throttled() || err.is_not_visible_yet() || err.is_in_use();
            if err.is_not_yet() && !waiting.is_over() {
                self.waiting(node, &err.message);
                waiting.wait().await;
            } else if (passes && !passing.is_over())
                || err.is_there_already()
                || (err.is_ambiguous() && lost < LOST_ANSWERS)
            {
                // The object may be there: its answer was lost, or a later call of the same `create` failed.
                lost += usize::from(!passes);
                self.waiting(node, format!("{err}; looking whether it is there"));
                let moment = if err.is_ambiguous() && !kind.unique { MISSED.0 } else { MISSED.1 };
                if self.shows(node, moment).await? {
                    return Ok((began, None));
                }
                if err.is_there_already() {
                    let why = format!(
                        "{err}; it does not belong to this stack, so rename one of the two or remove it"
                    );
                    return Err(aws::Error::refused(why));
                }
                passing.back_off().await;
            } else {
                return Err(err);
            }
        }
    }

    /// Whether the node's object shows up within the moment that AWS may need for it.
    async fn shows(&self, node: &Node, moment: Duration) -> aws::Result<bool> {
        let mut patience = Patience::new(moment);
        loop {
            if self.reader.node(node.resource.kind(), &node.name, now()).await?.is_some() {
                return Ok(true);
            }
            if patience.is_over() {
                return Ok(false);
            }
            patience.wait().await;
        }
    }

    /// Changes the node's object, and says how long that may take to show: not at all where it was refused, since the
    /// next listing tells how much of it is left to do.
    async fn configure(
        &self,
        node: &Node,
        have: &Seen,
        cx: &Cx<'_>,
        tries: &mut Tries,
    ) -> aws::Result<Duration> {
        let kind = have.kind;
        let changes = self.changes(node, have);
        let is_tag = |it: &super::Change| it.field.starts_with("tag ");
        let done = async {
            if changes.iter().any(is_tag) {
                kind.tag(have, &node.tags, self.aws).await?;
            }
            if !changes.iter().all(is_tag) {
                node.resource.configure(have, cx).await?;
            }
            Ok::<_, aws::Error>(())
        };
        let passes = |it: &aws::Error| it.is_throttled() || it.is_not_visible_yet() || it.is_in_use();
        match done.await {
            Ok(()) => {
                *tries = Tries { made: tries.made + 1, ..Tries::new(kind) };
                Ok(SHOWS)
            }
            // Idempotent, so what may be done already is soon done again.
            Err(err) if err.is_ambiguous() => {
                (tries.lost, tries.unclear) = (tries.lost + 1, Some(err));
                Ok(MISSED.1)
            }
            Err(err) if err.is_there_already() => {
                (tries.made, tries.unclear) = (tries.made + 1, Some(err));
                Ok(SHOWS)
            }
            Err(err) if err.is_not_yet() && !tries.waiting.is_over() => {
                self.waiting(node, &err.message);
                tries.waiting.wait().await;
                Ok(Duration::ZERO)
            }
            Err(err) if passes(&err) && !tries.passing.is_over() => {
                self.waiting(node, err.to_string());
                tries.passing.back_off().await;
                Ok(Duration::ZERO)
            }
            Err(err) => Err(err),
        }
    }

    /// Waits until a listing that began after `since` shows the node ready, or what has to be changed first, and,
    /// for as long as `shows`, as wanted.
    /// `None`: it was being deleted, by an earlier run or by somebody else, and now it is gone.
    async fn ready(
        &self,
        node: &Node,
        was: Option<&Phase>,
        since: Instant,
        shows: Duration,
    ) -> aws::Result<Option<Seen>> {
        let kind = node.resource.kind();
        let mut patience = Patience::new(kind.patience);
        let mut shows = Patience::new(shows.min(kind.patience));
        let mut since = since;
        let mut is_going = was.is_some_and(Phase::is_going);
        loop {
            // A moment's pause lets siblings that were created together be read together.
            patience.wait().await;
            let seen = self.reader.node(kind, &node.name, since).await?;
            // Listings may miss what was just made; only what was seen going has gone.
            if seen.is_none() && is_going {
                return Ok(None);
            }
            is_going = seen.as_ref().is_some_and(|it| it.phase.is_going());
            let why = match seen {
                Some(it) if it.is_changeable() => match (self.changes(node, &it).is_empty(), &it.phase) {
                    (true, Phase::Pending(state)) => state.clone(),
                    (false, _) if !shows.is_over() => "the change to show".to_owned(),
                    _ => return Ok(Some(it)),
                },
                Some(it) => match it.phase {
                    Phase::Failed(_) if shows.is_over() => return Ok(Some(it)),
                    Phase::Failed(state) | Phase::Pending(state) => state,
                    Phase::Ready => String::new(),
                },
                None => "it to show up".to_owned(),
            };
            if patience.is_over() {
                return Err(aws::Error::refused(format!(
                    "still waiting for {why} after {:?}",
                    kind.patience
                )));
            }
            shows.pause = patience.pause;
            self.waiting(node, why);
            // The next look may be shared with siblings whose pauses are a little shorter.
            since = now() + patience.pause / 2;
        }
    }
}
