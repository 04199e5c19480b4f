//! Toys for tests: a cloud in memory whose calls and things take simulated time and can be made to
//! fail, one kind of thing with dependencies, and the way a run goes through all of the engine.

mod cloud;
mod kind;
mod posing;

pub(crate) use cloud::cloud;
pub(crate) use kind::{FULL, Precious, Toy};
pub(crate) use posing::{hasty, posing};

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use futures::future::{Either, select};
use tokio::sync::mpsc::unbounded_channel;

use super::{
    Event, Events, Kind, Plan, Ref, Report, Resource, Seen, Stack, Stop, apply, clock, destroy, observe, plan,
};
use crate::aws::{Aws, Tags};

/// Runs a test in simulated time on an empty cloud.
pub(crate) fn play<T>(test: impl Future<Output = T>) -> T {
    cloud(|it| *it = Default::default());
    clock::simulated::run(test)
}

/// How much simulated time `work` takes.
pub(crate) async fn timed<F: Future>(work: F) -> (Duration, F::Output) {
    let began = clock::now();
    let end = work.await;
    (clock::now() - began, end)
}

pub(crate) fn empty() -> Stack {
    Stack::new("toys", Tags::new())
}

impl Stack {
    /// Adds a toy that needs others.
    pub(crate) fn toy<R>(&mut self, name: &str, size: u32, needs: &[Ref<Toy<false>>]) -> Ref<R>
    where
        R: Resource + From<(u32, Vec<Ref<Toy<false>>>)>,
    {
        self.add(name, R::from((size, needs.to_vec())))
    }
}

pub(crate) fn kinds() -> Vec<Kind> {
    vec![Kind::of::<Toy<false>>(), Kind::of::<Precious>()]
}

/// What `lamp plan` does.
pub(crate) async fn planned(stack: &Stack) -> Plan {
    let aws = Aws::unreachable(&stack.name);
    plan(stack, &observe(&kinds(), stack, &aws).await.unwrap())
}

/// What `lamp up` does.
pub(crate) async fn up(stack: &Stack) -> Report {
    up_until(stack, &Stop::default()).await.0
}

/// The same with a stop, and with the events that were sent.
pub(crate) async fn up_until(stack: &Stack, stop: &Stop) -> (Report, Vec<Event>) {
    let aws = Aws::unreachable(&stack.name);
    let observed = observe(&kinds(), stack, &aws).await.unwrap();
    let plan = plan(stack, &observed);
    let (sender, mut events) = unbounded_channel();
    let (report, _) = apply(stack, &kinds(), &plan, observed, &aws, &Events(sender), stop).await;
    let mut sent = Vec::new();
    while let Ok(event) = events.try_recv() {
        sent.push(event);
    }
    (report, sent)
}

/// What `lamp down` does.
pub(crate) async fn down() -> Report {
    let aws = Aws::unreachable("toys");
    let observed = observe(&kinds(), &empty(), &aws).await.unwrap();
    let seen: Vec<Seen> = observed.nodes.into_values().collect();
    destroy(&seen, &kinds(), &aws, &Events(unbounded_channel().0), &Stop::default()).await
}

/// Lets `work` run until its `nth` changing call has had its effect; `None`: killed there.
pub(crate) async fn killed_at<F: Future>(nth: usize, work: F) -> Option<F::Output> {
    cloud(|it| it.kill_at(Some(nth)));
    let killed = poll_fn(|_| if cloud(|it| it.is_killed()) { Poll::Ready(()) } else { Poll::Pending });
    let end = match select(pin!(work), pin!(killed)).await {
        Either::Left((end, _)) => Some(end),
        Either::Right(_) => None,
    };
    cloud(|it| it.kill_at(None));
    end
}
