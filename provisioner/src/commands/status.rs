//! `lamp status`: every resource, the hosts' health and the addresses.

use super::{Exit, Session, health};
use crate::{
    engine,
    ui::{Status, Ui},
};

pub(super) async fn status(session: Session, ui: &mut Ui) -> anyhow::Result<Exit> {
    session.aws.trust_bearings();
    let observed = session.observe().await?;
    let plan = engine::plan(&session.stack, &observed);
    let mut status = Status::new(&session.stack, &observed, &plan);
    status.targets = health::targets(&session, &observed).await?;
    status.addresses = session.cloud.here(health::addresses(&session.config, &observed))?;
    status.well &= status.targets.iter().all(|it| it.is_healthy() || it.is_leaving());
    ui.status(&status);
    Ok(if status.well { Exit::Fine } else { Exit::Failed })
}
