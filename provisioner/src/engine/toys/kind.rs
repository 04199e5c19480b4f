//! The kind of the toy cloud's things; `DATA`: one that holds data, and can be changed before it is ready.

use std::time::Duration;

use serde::Serialize;

use super::cloud::{Thing, call, cloud, error, read};
use crate::{
    aws::{self, Aws, Tags},
    engine::{Cx, Found, Phase, Ref, Resource, clock},
};

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Toy<const DATA: bool> {
    pub(crate) needs: Vec<Ref<Toy<false>>>,
    /// Set by `configure` only, so that a crash can leave it undone.
    pub(crate) size: u32,
    /// Cannot change.
    pub(crate) shape: String,
}

/// A failure that a larger size ends.
pub(crate) const FULL: &str = "storage-full";

pub(crate) type Precious = Toy<true>;

impl<const DATA: bool> From<(u32, Vec<Ref<Toy<false>>>)> for Toy<DATA> {
    fn from((size, needs): (u32, Vec<Ref<Toy<false>>>)) -> Self {
        Toy { needs, size, shape: "round".into() }
    }
}

impl<const DATA: bool> Resource for Toy<DATA> {
    const KIND: &'static str = if DATA { "precious" } else { "toy" };
    const FIXED: &'static [&'static str] = &["shape"];
    const UNIQUE: bool = DATA;
    const LINGERS: bool = true;
    const HOLDS_DATA: bool = DATA;
    const CHANGES_WHILE_PENDING: bool = DATA;
    const PATIENCE: Duration = Duration::from_secs(30 * 60);

    async fn list(_: &Aws) -> aws::Result<Vec<Found<Self>>> {
        let things = read().await.into_iter().filter(|(_, it)| it.kind == Self::KIND);
        let found = things.map(|(id, it)| {
            let needs = it.needs.iter().map(|it| Ref::id(Some(it))).collect();
            let phase = it.phase();
            Found::new(Some(&id), it.tags, Toy { needs, size: it.size, shape: it.shape }).phase(phase)
        });
        Ok(found.collect())
    }

    async fn create(&self, cx: &Cx<'_>) -> aws::Result<String> {
        let name = cx.name();
        call(format!("create {name}"), |it| {
            let now = clock::now();
            let failed = (0 < it.fail_when_made).then(|| "too young".to_owned());
            it.fail_when_made = it.fail_when_made.saturating_sub(1);
            let ready_after =
                it.ready_after.get(cx.node).or(it.ready_after.get(name)).copied().unwrap_or_default();
            Ok(it.put(Thing {
                kind: Self::KIND,
                node: cx.node.to_owned(),
                size: 0,
                shape: self.shape.clone(),
                needs: cx.ids(&self.needs),
                tags: cx.tags.clone(),
                failed,
                made: now,
                ready: now + ready_after,
                stuck_at: None,
                gone: None,
            }))
        })
        .await
    }

    async fn configure(&self, have: &Found<Self>, cx: &Cx<'_>) -> aws::Result<()> {
        call(format!("configure {}", cx.name()), |it| {
            let needs = cx.ids(&self.needs);
            let thing = it.things.get_mut(&have.id).ok_or_else(|| error("Toy.NotFound"))?;
            (thing.size, thing.needs) = (self.size, needs);
            thing.failed.take_if(|it| it == FULL);
            Ok(())
        })
        .await
    }

    fn cures(&self, have: &Found<Self>) -> bool {
        have.phase == Phase::Failed(FULL.into()) && have.spec.size < self.size
    }

    async fn tag(id: &str, tags: &Tags, _: &Aws) -> aws::Result<()> {
        call(format!("tag {id}"), |it| {
            it.things.get_mut(id).ok_or_else(|| error("Toy.NotFound"))?.tags.extend(tags.clone());
            Ok(())
        })
        .await
    }

    async fn delete(have: &Found<Self>, _: &Aws) -> aws::Result<()> {
        let name = have.node.split_once('/').map_or(have.node.as_str(), |(_, name)| name).to_owned();
        call(format!("delete {name}"), |it| {
            if it.things.get(&have.id).is_none_or(Thing::is_gone) {
                return Err(error("Toy.NotFound"));
            }
            // As with a kind whose removal takes several calls, what was seen says which of them are left.
            if it.things[&have.id].size != have.spec.size {
                return Err(error("Toy.NotAsSeen"));
            }
            if it.things.values().any(|it| !it.is_gone() && it.needs.contains(&have.id)) {
                return Err(error("DependencyViolation"));
            }
            let gone = clock::now() + it.gone_after.get(&name).copied().unwrap_or_default();
            it.things.get_mut(&have.id).expect("looked up above").gone.get_or_insert(gone);
            Ok(())
        })
        .await
    }

    async fn holders(have: &Found<Self>, _: &Aws) -> aws::Result<Option<String>> {
        Ok(cloud(|it| {
            let holds = |it: &&Thing| !it.is_gone() && it.needs.contains(&have.id);
            it.things.values().find(holds).map(|it| it.node.clone())
        }))
    }
}
