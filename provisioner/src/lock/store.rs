//! The lock's place: a parameter whose versions are the log.

use aws_sdk_ssm::types::{ParameterHistory, ParameterType};
use futures::future::BoxFuture;
use jiff::Timestamp;

use super::entry::Written;
use crate::aws::{self, Aws};

/// What the lock needs of its place; tests have one in memory.
pub(super) trait Store: Send + Sync {
    /// Writes the first entry; false if there is a log already.
    fn create<'a>(&'a self, text: &'a str) -> BoxFuture<'a, aws::Result<bool>>;
    /// Adds an entry, whatever was written since the log was read.
    fn append<'a>(&'a self, text: &'a str) -> BoxFuture<'a, aws::Result<()>>;
    /// All entries that are kept, oldest first; empty if there is no lock.
    fn log(&self) -> BoxFuture<'_, aws::Result<Vec<Written>>>;
    /// Removes the log. That it is gone already is success.
    fn clear(&self) -> BoxFuture<'_, aws::Result<()>>;
}

pub(super) struct Parameter {
    ssm: aws_sdk_ssm::Client,
    name: String,
}

impl Parameter {
    /// `/lamp/<stack>/lock`: no agent reads it, since no configuration has a value of that name.
    pub(super) fn of(aws: &Aws) -> Self {
        Parameter { ssm: aws.ssm.clone(), name: format!("{}lock", shared::params::Param::prefix(&aws.stack)) }
    }

    async fn put(&self, text: &str, overwrite: bool) -> aws::Result<()> {
        let put = self.ssm.put_parameter().name(&self.name).value(text).r#type(ParameterType::String);
        let put = put.description("who is changing this stack; `lamp unlock` explains and removes it");
        put.overwrite(overwrite).send().await?;
        Ok(())
    }
}

impl Store for Parameter {
    fn create<'a>(&'a self, text: &'a str) -> BoxFuture<'a, aws::Result<bool>> {
        Box::pin(async move {
            match self.put(text, false).await {
                Ok(()) => Ok(true),
                Err(err) if err.is_there_already() => Ok(false),
                Err(err) => Err(err),
            }
        })
    }

    fn append<'a>(&'a self, text: &'a str) -> BoxFuture<'a, aws::Result<()>> {
        Box::pin(self.put(text, true))
    }

    fn log(&self) -> BoxFuture<'_, aws::Result<Vec<Written>>> {
        Box::pin(async {
            let pages = self.ssm.get_parameter_history().name(&self.name);
            let mut pages = pages.into_paginator().send();
            let mut log = Vec::new();
            loop {
                match pages.try_next().await.map_err(aws::Error::from) {
                    Ok(Some(page)) => log.extend(page.parameters().iter().filter_map(written)),
                    Ok(None) => break,
                    Err(err) if err.is_missing() => return Ok(Vec::new()),
                    Err(err) => return Err(err),
                }
            }
            log.sort_by_key(|it| it.version);
            Ok(log)
        })
    }

    fn clear(&self) -> BoxFuture<'_, aws::Result<()>> {
        Box::pin(async {
            // Deleting twice does no harm, and a lock that stays behind keeps everybody out.
            let mut lost = 0;
            loop {
                match self.ssm.delete_parameter().name(&self.name).send().await.map_err(aws::Error::from) {
                    Ok(_) => return Ok(()),
                    Err(err) if err.is_missing() => return Ok(()),
                    Err(err) if err.is_ambiguous() && lost < 5 => lost += 1,
                    Err(err) => return Err(err),
                }
                tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            }
        })
    }
}

/// An entry; what somebody else wrote there is none.
fn written(it: &ParameterHistory) -> Option<Written> {
    let entry = serde_json::from_str(it.value()?).ok()?;
    let at = it.last_modified_date()?;
    let at = Timestamp::new(at.secs(), i32::try_from(at.subsec_nanos()).unwrap_or_default()).ok()?;
    Some(Written { version: it.version(), at, entry })
}
