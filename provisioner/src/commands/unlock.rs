//! `lamp unlock`: breaks the lock that another run holds.

use super::{Exit, Session};
use crate::{lock, ui::Ui};

pub(super) async fn unlock(session: Session, yes: bool, ui: &mut Ui) -> anyhow::Result<Exit> {
    let Some(holder) = lock::holder(&session.aws).await? else {
        ui.note("nobody holds the lock");
        return Ok(Exit::Fine);
    };
    ui.note(&format!("{holder}; {}", holder.explain()));
    if !ui.confirm("Break the lock?", yes)? {
        ui.note("the lock stays");
        return Ok(Exit::Failed);
    }
    lock::force(&session.aws).await?;
    ui.note("the lock is broken");
    Ok(Exit::Fine)
}
