//! `lamp plan`: what `up` would do.

use super::{Exit, Session};
use crate::{engine, timing::forecast, ui::Ui};

pub(super) async fn plan(session: Session, ui: &mut Ui) -> anyhow::Result<Exit> {
    session.aws.trust_bearings();
    let observed = session.observe().await?;
    let plan = engine::plan(&session.stack, &observed);
    ui.plan(&plan, &forecast(&session.stack, &plan));
    Ok(match (plan.refusals().next(), plan.is_empty()) {
        (Some(_), _) => Exit::Failed,
        (None, true) => Exit::Fine,
        (None, false) => Exit::Two,
    })
}
