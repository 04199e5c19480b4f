//! `lamp down`: takes everything away, and proves it.

use anyhow::bail;

use super::{
    Exit, Session,
    session::{Interrupt, give_back, take_lock},
};
use crate::{
    aws::patiently,
    config::Config,
    engine::{Observed, Seen, destroy},
    keys,
    kinds::forget_host_reports,
    sweep,
    timing::removal,
    ui::{Leftover, Sweep, Ui},
};

pub(super) async fn down(
    mut session: Session,
    yes: bool,
    final_snapshot: bool,
    ui: &mut Ui,
) -> anyhow::Result<Exit> {
    // Where nobody is asked there is nothing to show before the lock is had.
    let asked = if yes { None } else { Some(look(&session, ui).await?) };
    if let Some(it) = asked.as_ref().filter(|it| !it.nodes.is_empty()) {
        let (name, number, region) = (&session.stack.name, it.nodes.len(), &session.aws.region);
        let question = format!("This deletes all {number} resources of stack {name} in {region}.");
        if !ui.confirm_by_name(&question, name)? {
            ui.note("nothing was deleted");
            return Ok(Exit::Failed);
        }
    }
    let interrupt = Interrupt::watch(ui.notes());
    let lock = take_lock(&session, "lamp down", &interrupt, ui).await?;
    let seen = match &asked {
        Some(asked) => look_again(&session, asked).await,
        None => look(&session, ui).await,
    };
    let done = match seen {
        Ok(it) => {
            let all: Vec<Seen> = it.nodes.into_values().collect();
            remove(&mut session, &all, final_snapshot, &interrupt, ui).await
        }
        Err(err) => Err(err),
    };
    give_back(lock, done, ui).await
}

/// What there is to delete.
///
/// # Errors
/// What AWS answered, or that something is protected.
async fn look(session: &Session, ui: &mut Ui) -> anyhow::Result<Observed> {
    let observed = session.observe().await?;
    for (node, ids) in &observed.claims {
        ui.note(&format!(
            "{} resources say that they are {node}: {}; run it again for the others",
            ids.len(),
            ids.join(", ")
        ));
    }
    refuse(&observed)?;
    if observed.nodes.is_empty() {
        ui.note(&format!("there is nothing of stack {}", session.stack.name));
    }
    Ok(observed)
}

/// One that stays would keep half the stack with it.
fn refuse(observed: &Observed) -> anyhow::Result<()> {
    let protected: Vec<String> = observed.nodes.values().filter_map(|it| it.kind.protected(it)).collect();
    if !protected.is_empty() {
        bail!("nothing was deleted: {}", protected.join("; "));
    }
    Ok(())
}

/// What there is by now: another run may have ended between the question and the lock.
///
/// # Errors
/// There is more than was asked about, or something is protected now.
async fn look_again(session: &Session, asked: &Observed) -> anyhow::Result<Observed> {
    session.aws.look_afresh();
    let observed = session.observe().await?;
    let is_known = |it: &Seen| {
        asked.nodes.get(&it.node).is_some_and(|known| known.id == it.id)
            || asked.claims.iter().any(|(node, ids)| *node == it.node && ids.contains(&it.id))
    };
    let new: Vec<_> = observed.nodes.values().filter(|it| !is_known(it)).collect();
    if !new.is_empty() {
        let new: Vec<_> = new.iter().map(|it| format!("{} ({})", it.node, it.id)).collect();
        bail!(
            "nothing was deleted, since there is more by now than you were asked about: {}; run `lamp down` again",
            new.join(", ")
        );
    }
    refuse(&observed)?;
    Ok(observed)
}

async fn remove(
    session: &mut Session,
    all: &[Seen],
    final_snapshot: bool,
    interrupt: &Interrupt,
    ui: &mut Ui,
) -> anyhow::Result<Exit> {
    let c = &session.config;
    let keep = final_snapshot || c.database.final_snapshot;
    session.aws.settings.final_snapshot =
        keep.then(|| jiff::Timestamp::now().strftime("%Y-%m-%d-%H%M").to_string());
    let vpc = all.iter().find(|it| it.kind.name == "vpc").map(|it| it.id.clone());
    let stop = interrupt.stop();
    let Session { kinds, aws, .. } = &*session;
    let forecast = removal(all.iter().map(|it| it.node.as_str()));
    let report = ui.watch(&forecast, async |events| destroy(all, kinds, aws, &events, &stop).await).await;
    ui.report(&report);
    if report.is_ok() {
        patiently(|| forget_host_reports(aws)).await?;
    }
    aws.look_again();
    let left = sweep::sweep(c, aws, vpc.as_deref()).await?;
    let (kept, left): (Vec<_>, Vec<_>) = left.into_iter().partition(|it| it.was_asked_for());
    let told = |all: Vec<sweep::Leftover>| {
        let told =
            all.into_iter().map(|it| Leftover { what: it.service.into(), id: it.id, why: it.why.into() });
        told.collect()
    };
    let sweep = Sweep { left: told(left), kept: told(kept) };
    ui.sweep(&sweep);
    tell_of_backups(all, ui);
    tell_of_keys(c, ui);
    if session.cloud.is_rehearsal() {
        ui.note("the rehearsal cloud runs on; `lamp rehearsal stop` ends it");
    }
    Ok(if report.is_ok() && sweep.left.is_empty() { Exit::Fine } else { Exit::Failed })
}

/// AWS Backup keeps what it saved, in a vault that belongs to no stack.
fn tell_of_backups(all: &[Seen], ui: &mut Ui) {
    for it in all.iter().filter(|it| it.kind.name == "file-system" && it.fields["backups"] == true) {
        ui.note(&format!(
            "backups of {} stay in the vault aws/efs/automatic-backup-vault for up to 35 days and cost money until then",
            it.id
        ));
    }
}

/// The files of the keys stay: another stack may use them, and nobody else has the private half.
fn tell_of_keys(c: &Config, ui: &mut Ui) {
    let names = [&c.names.public_key, &c.names.private_key];
    let there: Vec<_> =
        names.into_iter().filter(|it| keys::files(&c.access.key_dir, it).0.exists()).collect();
    if let [_, ..] = there[..] {
        let names = there.into_iter().map(String::as_str).collect::<Vec<_>>().join(" and ");
        ui.note(&format!(
            "the keys {names} stay in {}, for the next `lamp up`; if no other stack uses them, you may delete them",
            c.access.key_dir.display()
        ));
    }
}
