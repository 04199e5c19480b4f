//! A kind without its type: what the engine needs in order to read and remove resources that may no
//! longer be in the stack.

use std::{fmt, time::Duration};

use futures::future::BoxFuture;

use super::{
    Resource, Seen,
    node::{erase, restore},
};
use crate::aws::{self, Aws, Tags};

/// The verbs and constants of one [`Resource`] type.
#[derive(Clone, Copy)]
pub struct Kind {
    pub name: &'static str,
    pub fixed: &'static [&'static str],
    pub after: &'static [&'static str],
    pub usually: Duration,
    pub patience: Duration,
    pub lingers: bool,
    pub holds_data: bool,
    list: for<'a> fn(&'a Aws) -> BoxFuture<'a, aws::Result<Vec<Seen>>>,
    delete: for<'a> fn(&'a Seen, &'a Aws) -> BoxFuture<'a, aws::Result<()>>,
    tag: for<'a> fn(&'a Seen, &'a Tags, &'a Aws) -> BoxFuture<'a, aws::Result<()>>,
    holders: for<'a> fn(&'a Seen, &'a Aws) -> BoxFuture<'a, aws::Result<Option<String>>>,
}

impl Kind {
    pub fn of<R: Resource>() -> Kind {
        Kind {
            name: R::KIND,
            fixed: R::FIXED,
            after: R::AFTER,
            usually: R::USUALLY,
            patience: R::PATIENCE,
            lingers: R::LINGERS,
            holds_data: R::HOLDS_DATA,
            list: |aws| Box::pin(async { Ok(R::list(aws).await?.into_iter().map(erase).collect()) }),
            delete: |seen, aws| Box::pin(R::delete(restore::<R>(seen), aws)),
            tag: |seen, tags, aws| Box::pin(R::tag(&seen.id, tags, aws)),
            holders: |seen, aws| Box::pin(R::holders(restore::<R>(seen), aws)),
        }
    }

    pub async fn list(&self, aws: &Aws) -> aws::Result<Vec<Seen>> {
        (self.list)(aws).await
    }

    pub async fn delete(&self, seen: &Seen, aws: &Aws) -> aws::Result<()> {
        (self.delete)(seen, aws).await
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
