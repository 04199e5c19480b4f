//! A kind without its type: what the engine needs in order to read and remove resources that may no
//! longer be in the stack.

use std::{fmt, time::Duration};

use futures::future::BoxFuture;
use shared::tags::STACK;

use super::{
    Resource, Seen,
    node::{erase, restore},
    patience::Patience,
};
use crate::aws::{self, Aws, Tags};

/// The verbs and constants of one [`Resource`] type.
#[derive(Clone, Copy)]
pub struct Kind {
    pub name: &'static str,
    pub fixed: &'static [&'static str],
    pub moves: &'static [&'static str],
    pub after: &'static [&'static str],
    pub usually: Duration,
    pub patience: Duration,
    pub usable_at_once: bool,
    pub goes_with: Option<&'static str>,
    pub unique: bool,
    pub lingers: bool,
    pub holds_data: bool,
    pub changes_while_pending: bool,
    pub ec2_tagged: bool,
    list: for<'a> fn(&'a Aws) -> BoxFuture<'a, aws::Result<Vec<Seen>>>,
    delete: for<'a> fn(&'a Seen, &'a Aws) -> BoxFuture<'a, aws::Result<()>>,
    protected: fn(&Seen) -> Option<String>,
    way_out: fn(&Seen) -> Option<String>,
    tag: for<'a> fn(&'a Seen, &'a Tags, &'a Aws) -> BoxFuture<'a, aws::Result<()>>,
    holders: for<'a> fn(&'a Seen, &'a Aws) -> BoxFuture<'a, aws::Result<Option<String>>>,
}

impl Kind {
    pub fn of<R: Resource>() -> Kind {
        Kind {
            name: R::KIND,
            fixed: R::FIXED,
            moves: R::MOVES,
            after: R::AFTER,
            usually: R::USUALLY,
            patience: R::PATIENCE,
            usable_at_once: R::USABLE_AT_ONCE,
            goes_with: R::GOES_WITH,
            unique: R::UNIQUE,
            lingers: R::LINGERS,
            holds_data: R::HOLDS_DATA,
            changes_while_pending: R::CHANGES_WHILE_PENDING,
            ec2_tagged: R::EC2_TAGGED,
            list: |aws| Box::pin(async { Ok(R::list(aws).await?.into_iter().map(erase).collect()) }),
            delete: |seen, aws| Box::pin(R::delete(restore::<R>(seen), aws)),
            protected: |seen| R::protected(restore::<R>(seen)),
            way_out: |seen| R::way_out(restore::<R>(seen)),
            tag: |seen, tags, aws| Box::pin(R::tag(&seen.id, tags, aws)),
            holders: |seen, aws| Box::pin(R::holders(restore::<R>(seen), aws)),
        }
    }

    /// What belongs to the stack. What says that it is another stack's is left out, whatever the endpoint
    /// makes of a filter: it would be removed as no longer wanted.
    pub async fn list(&self, aws: &Aws) -> aws::Result<Vec<Seen>> {
        let mut seen = (self.list)(aws).await?;
        let owner = |it: &Seen| it.tags.as_ref().and_then(|it| it.get(STACK)).cloned();
        seen.retain(|it| owner(it).is_none_or(|it| it == aws.stack));
        Ok(seen)
    }

    /// The same, repeated within `budget` where what is listed is gone, or not known yet, when it is looked into. Whatever
    /// else passes, the SDK has waited out.
    pub(super) async fn read(&self, aws: &Aws, budget: Duration) -> aws::Result<Vec<Seen>> {
        let mut patience = Patience::new(budget);
        loop {
            match self.list(aws).await {
                Err(err) if err.is_missing() && !patience.is_over() => patience.back_off().await,
                other => return other,
            }
        }
    }

    pub async fn delete(&self, seen: &Seen, aws: &Aws) -> aws::Result<()> {
        (self.delete)(seen, aws).await
    }

    pub fn protected(&self, seen: &Seen) -> Option<String> {
        (self.protected)(seen)
    }

    pub fn way_out(&self, seen: &Seen) -> Option<String> {
        (self.way_out)(seen)
    }

    pub async fn tag(&self, seen: &Seen, tags: &Tags, aws: &Aws) -> aws::Result<()> {
        (self.tag)(seen, tags, aws).await
    }

    pub async fn holders(&self, seen: &Seen, aws: &Aws) -> aws::Result<Option<String>> {
        (self.holders)(seen, aws).await
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
