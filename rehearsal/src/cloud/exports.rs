//! The databases' logs on their way to CloudWatch, as far as their settings export them.

use std::collections::BTreeMap;

use anyhow::Context;
use aws_sdk_cloudwatchlogs::types::InputLogEvent;

use super::life::Kind;
use super::sync::Sync;

/// How far each log has been read.
#[derive(Default)]
pub(super) struct Exports(BTreeMap<(String, String), u64>);

/// At most so much of a log at a time: what CloudWatch takes in one call.
const CHUNK: usize = 500_000;
/// What is further behind is left out: the control plane keeps all that it is told in memory.
const BEHIND: u64 = 8_000_000;

/// Where MariaDB writes what RDS calls so.
fn path(log: &str) -> Option<&'static str> {
    Some(match log {
        "general" => "/var/lib/mysql/general.log",
        "slowquery" => "/var/lib/mysql/slow.log",
        _ => return None,
    })
}

impl Exports {
    /// Sends on what has been written since the last time.
    pub(super) fn round(&mut self, sync: &Sync) -> anyhow::Result<()> {
        let databases = sync.running().databases.clone();
        if databases.is_empty() {
            return Ok(());
        }
        let seen = sync.runtime.block_on(sync.clients.rds.describe_db_instances().send());
        let seen = seen.context("asking which logs are exported")?;
        for it in seen.db_instances() {
            let name = it.db_instance_identifier().unwrap_or_default();
            let Some(database) = databases.get(name) else { continue };
            if sync.shared.lock().lives.word(Kind::Database, name) == Some("deleting") {
                continue;
            }
            for log in it.enabled_cloudwatch_logs_exports() {
                let Some(path) = path(log) else { continue };
                let key = (name.to_owned(), log.clone());
                let from = self.0.get(&key).copied().unwrap_or(0);
                let Ok(part) = database.log(path, from, CHUNK) else { continue };
                if !part.text.is_empty() {
                    sync.runtime.block_on(send(sync, name, log, &part.text))?;
                }
                self.0.insert(key, next(from, part.bytes, part.size));
            }
        }
        Ok(())
    }
}

/// Where to go on in a file of `size` bytes of which `bytes` were sent on from `from`.
fn next(from: u64, bytes: u64, size: u64) -> u64 {
    match from + bytes {
        // A new primary begins a new file.
        _ if size < from => 0,
        at if at + BEHIND < size => size - BEHIND,
        at => at,
    }
}

async fn send(sync: &Sync, database: &str, log: &str, text: &str) -> anyhow::Result<()> {
    let aws = &sync.clients.logs;
    let group = format!("/aws/rds/instance/{database}/{log}");
    // Both are there already as a rule.
    let _ = aws.create_log_group().log_group_name(&group).send().await;
    let _ = aws.create_log_stream().log_group_name(&group).log_stream_name(database).send().await;
    let now = jiff::Timestamp::now().as_millisecond();
    let mut put = aws.put_log_events().log_group_name(&group).log_stream_name(database);
    for line in text.lines().filter(|it| !it.trim().is_empty()) {
        put = put.log_events(InputLogEvent::builder().timestamp(now).message(line).build()?);
    }
    put.send().await.map(drop).with_context(|| format!("writing to log group {group}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on_where_it_was_in_the_new_file_or_near_the_end() {
        assert_eq!(next(10, 5, 20), 15);
        assert_eq!(next(10, 0, 4), 0);
        assert_eq!(next(10, 5, 9_000_000), 1_000_000);
    }
}
