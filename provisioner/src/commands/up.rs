//! `lamp up`: builds what is missing and repairs what differs.

use anyhow::{Context, bail};

use super::{
    Exit, Session, health,
    session::{Interrupt, give_back, take_lock},
};
use crate::{
    aws::patiently,
    engine::{self, Action, Kind, Observed, Plan, Resource, apply, observe},
    kinds::{self, Distribution, ElasticIp, Vpc},
    timing::forecast,
    ui::Ui,
};

pub(super) async fn up(session: Session, yes: bool, no_wait: bool, ui: &mut Ui) -> anyhow::Result<Exit> {
    let observed = session.observe().await?;
    let plan = engine::plan(&session.stack, &observed);
    ui.plan(&plan, &forecast(&session.stack, &plan));
    refuse(&plan)?;
    if !plan.is_empty() && !ui.confirm("Carry out this plan?", yes)? {
        ui.note("nothing was changed");
        return Ok(Exit::Failed);
    }
    let interrupt = Interrupt::watch(ui.notes());
    let (exit, observed) = match plan.is_empty() {
        true => (Exit::Fine, observed),
        false => build(&session, plan, &interrupt, ui).await?,
    };
    if exit == Exit::Fine && !no_wait {
        match interrupt.or(health::wait(&session, &observed, ui)).await.transpose()? {
            Some(true) => (),
            Some(false) => return Ok(Exit::Failed),
            None => bail!("interrupted: all is built, but its health is not known; see `lamp status`"),
        }
    }
    ui.addresses(&session.cloud.here(health::addresses(&session.config, &observed))?);
    if let Some(cost) = session.cloud.cost() {
        ui.note(&cost);
    }
    Ok(exit)
}

/// Carries out the plan that the operator has seen, and nothing else.
pub(super) async fn build(
    session: &Session,
    seen: Plan,
    interrupt: &Interrupt,
    ui: &mut Ui,
) -> anyhow::Result<(Exit, Observed)> {
    let lock = take_lock(session, "lamp up", interrupt, ui).await?;
    let done = async {
        let observed = look_again(session, &seen).await?;
        let plan = engine::plan(&session.stack, &observed);
        if !plan.is_within(&seen) {
            ui.plan(&plan, &forecast(&session.stack, &plan));
            bail!("the account changed since the plan was made; this is the new plan: run `lamp up` again");
        }
        patiently(|| session.aws.remove_bearings()).await.context("removing what the last run noted")?;
        let forecast = forecast(&session.stack, &plan);
        let stop = interrupt.stop();
        let Session { stack, kinds: all, aws, .. } = session;
        let (report, observed) = ui
            .watch(&forecast, async |events| apply(stack, all, &plan, observed, aws, &events, &stop).await)
            .await;
        ui.report(&report);
        if !report.is_ok() {
            return Ok((Exit::Failed, observed));
        }
        // Without them a plan takes a few calls more, and that is all.
        if let Err(err) = patiently(|| kinds::write_bearings(stack, &observed, aws)).await {
            ui.note(&format!("all is built, but where it is could not be noted: {err}"));
        }
        Ok((Exit::Fine, observed))
    };
    let done = done.await;
    give_back(lock, done, ui).await
}

/// Another run may have changed the account between the look and the lock. Where there was nothing at all, it is
/// enough to look for the VPC and the addresses: the rest stands on the VPC, or AWS refuses a second one by its name.
/// A stack without a VPC is a site, of which AWS would make a second distribution.
async fn look_again(session: &Session, seen: &Plan) -> anyhow::Result<Observed> {
    let Session { stack, kinds, aws, .. } = session;
    if seen.steps.iter().all(|it| it.action == Action::Create) {
        aws.look_again();
        let has_vpc = stack.nodes.iter().any(|it| it.resource.kind().name == Vpc::KIND);
        let twice: &[&str] = if has_vpc { &[Vpc::KIND, ElasticIp::KIND] } else { &[Distribution::KIND] };
        let first: Vec<Kind> = kinds.iter().filter(|it| twice.contains(&it.name)).copied().collect();
        let observed = observe(&first, stack, aws).await.context("looking at the account again")?;
        if observed.nodes.is_empty() {
            return Ok(observed);
        }
    }
    aws.look_afresh();
    observe(kinds, stack, aws).await.context("looking at the account again")
}

/// What only a person can decide stops the run before anything is changed.
fn refuse(plan: &Plan) -> anyhow::Result<()> {
    let refused: Vec<_> = plan.refusals().map(|it| it.node.as_str()).collect();
    if !refused.is_empty() {
        bail!("nothing was changed, since this has to be decided first: {}", refused.join(", "));
    }
    Ok(())
}
