//! Where the configuration comes from: the stack's parameters, polled gently.
//!
//! **The arithmetic.** The Parameter Store's default quota is 40 calls a second, shared by GetParameter, GetParameters
//! and GetParametersByPath of the whole account and region. A host makes one GetParameter for the generation per
//! interval, and two GetParameters for the rest only when that moved.
//!
//! | hosts | interval | calls a second | of the quota |
//! | --- | --- | --- | --- |
//! | 4 (the lab's maximum) | 15 s | 0.27 | 0.7 % |
//! | 300 | 15 s | 20 | 50 % |
//! | 1,000 | 15 s | 66.7 | 167 %: does not fit |
//! | 1,000 | 50 s | 20 | 50 % |
//!
//! So the stack says how often (`host/poll-seconds`: 15 up to 300 hosts, hosts / 20 above), every wait is spread by a
//! quarter to either side so that hosts that booted together drift apart, and where the quota is exceeded anyway
//! (somebody else uses it too) each refusal doubles the host's own interval up to 60 s and each success takes
//! a tenth of the difference back: at 1,000 hosts and an interval of 60 s that is 16.7 calls a second.
//! A change of generation makes every host read the rest within one interval: 2 × 1,000 calls over 50 s are 40 a
//! second beside the 20 of the polls. Half as much again as the quota for that minute: a third is refused, and the
//! SDK's retries with jitter and the doubled intervals spread it over the next one.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context;
use aws_sdk_ssm::error::{ProvideErrorMetadata, SdkError};
use serde::{Deserialize, Serialize};
use shared::{agent::AgentConfig, params::Param};
use tokio::sync::watch;

use crate::{aws::words, host::Host};

/// The last good configuration of this host, for a boot without the Parameter Store.
const CACHE: &str = "/var/lib/lamp/parameters.json";

const SLOWEST: Duration = Duration::from_secs(60);

/// What is known of the stack at this moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// The last good configuration; `None` until the first.
    pub config: Option<AgentConfig>,
    /// Why it may be out of date.
    pub trouble: Option<String>,
}

/// Follows the parameters of one stack.
pub struct Source {
    pub ssm: aws_sdk_ssm::Client,
    pub stack: String,
    pub instance: String,
    pub zone: Option<String>,
    pub host: Host,
}

#[derive(Serialize, Deserialize)]
struct Cached {
    instance: String,
    stack: String,
    values: BTreeMap<String, String>,
}

/// What one look found.
enum Look {
    Same,
    Moved(BTreeMap<Param, String>),
}

impl Source {
    /// Polls for ever; every change of what is known goes into `known`.
    pub async fn follow(self: std::sync::Arc<Self>, known: watch::Sender<Known>) {
        let mut have: Option<Option<String>> = None;
        let mut pace = Pace::default();
        loop {
            let found = self.look(&have).await;
            let throttled = matches!(&found, Err(err) if is_throttled(err));
            let result = found.and_then(|look| match look {
                Look::Same => Ok(None),
                Look::Moved(values) => {
                    have = Some(values.get(&Param::Generation).cloned());
                    let config = accept(known.borrow().config.as_ref(), &values, &self.stack)?;
                    self.remember(&values);
                    Ok(Some(config))
                }
            });
            let mut settled = have.as_ref().is_some_and(Option::is_some);
            known.send_if_modified(|it| {
                let before = it.clone();
                match result {
                    // A broken value stays reported until the generation moves again.
                    Ok(None) => {
                        if it.trouble.as_deref().is_some_and(|it| it.starts_with(UNREACHABLE)) {
                            it.trouble = None;
                        }
                    }
                    Ok(Some(config)) => *it = Known { config: Some(config), trouble: None },
                    Err(err) => {
                        it.trouble = Some(format!("{err:#}"));
                        settled = settled && it.config.is_some();
                    }
                }
                *it != before
            });
            let asked = known.borrow().config.as_ref().map_or(15, |it| it.poll_seconds);
            tokio::time::sleep(pace.next(Duration::from_secs(asked), settled, throttled)).await;
        }
    }

    /// The configuration as it is now, without what was remembered.
    ///
    /// # Errors
    /// The store is away, a parameter is wrong, or the provisioner has not written all of them yet.
    pub async fn read(&self) -> anyhow::Result<AgentConfig> {
        match self.look(&None).await? {
            Look::Moved(values) if values.contains_key(&Param::Generation) => {
                AgentConfig::from_params(&values).map_err(anyhow::Error::msg)
            }
            _ => anyhow::bail!(
                "the parameters below {} are not complete yet; run `lamp up`",
                Param::prefix(&self.stack)
            ),
        }
    }

    async fn look(&self, have: &Option<Option<String>>) -> anyhow::Result<Look> {
        let name = Param::Generation.path(&self.stack);
        let generation = match self.ssm.get_parameter().name(&name).send().await {
            Ok(it) => it.parameter.and_then(|it| it.value),
            // The provisioner writes it last: nothing else is complete yet.
            Err(err) if code(&err) == Some("ParameterNotFound") => None,
            Err(err) => return Err(unreachable(&err)).with_context(|| format!("{UNREACHABLE} for {name}")),
        };
        if have.as_ref() == Some(&generation) {
            return Ok(Look::Same);
        }
        if generation.is_none() {
            return Ok(Look::Moved(BTreeMap::new()));
        }
        let mut values = BTreeMap::from_iter(generation.map(|it| (Param::Generation, it)));
        // By name rather than by path: the reports of a thousand hosts lie below the same path.
        let names: Vec<String> = self.wanted().iter().map(|it| it.path(&self.stack)).collect();
        for names in names.chunks(10) {
            let request = self.ssm.get_parameters().set_names(Some(names.to_vec())).with_decryption(true);
            let answer = request.send().await.map_err(|err| unreachable(&err));
            let answer =
                answer.with_context(|| format!("{UNREACHABLE} for {}", Param::prefix(&self.stack)))?;
            values.extend(answer.parameters().iter().filter_map(|it| {
                let name = it.name()?.strip_prefix(&Param::prefix(&self.stack))?;
                Some((Param::parse(name)?, it.value()?.to_owned()))
            }));
        }
        Ok(Look::Moved(values))
    }

    fn wanted(&self) -> Vec<Param> {
        use Param::*;
        let mut all = vec![DbEndpoint, DbPort, DbName, DbUser, DbPassword, DbTls, FilesId, FilesTransport];
        all.extend([LocalDatabase, PollSeconds, ShareMs]);
        all.extend(self.zone.clone().map(|zone| FilesTarget { zone }));
        all
    }

    /// Writes what this host is doing; see [`crate::report`].
    ///
    /// # Errors
    /// When the store refuses it or is away.
    pub async fn publish(&self, report: &str) -> anyhow::Result<()> {
        let name = Param::host(&self.stack, &self.instance);
        let put = self.ssm.put_parameter().name(&name).value(report).overwrite(true);
        put.r#type(aws_sdk_ssm::types::ParameterType::String)
            .send()
            .await
            .map_err(|err| unreachable(&err))
            .with_context(|| format!("writing parameter {name}"))?;
        Ok(())
    }

    /// Only what this very instance stored: an image carries the file of the host that it was made from.
    pub fn cached(&self) -> Option<AgentConfig> {
        let text = self.host.read(CACHE).ok().flatten()?;
        let cached: Cached = serde_json::from_str(&text).ok()?;
        if cached.instance != self.instance || cached.stack != self.stack {
            return None;
        }
        let values =
            cached.values.iter().filter_map(|(name, value)| Some((Param::parse(name)?, value.clone())));
        AgentConfig::from_params(&values.collect()).ok()
    }

    fn remember(&self, values: &BTreeMap<Param, String>) {
        let values = values.iter().map(|(param, value)| (param.to_string(), value.clone())).collect();
        let cached = Cached { instance: self.instance.clone(), stack: self.stack.clone(), values };
        let text = serde_json::to_string(&cached).unwrap_or_default();
        if let Err(err) = self.host.write(CACHE, text.as_bytes(), 0o600, None) {
            tracing::warn!("{err:#}");
        }
    }
}

/// The configuration that comes of these values. A generation that vanished (somebody removed it, or the whole stack)
/// says nothing about the others: the last good configuration stays.
fn accept(
    have: Option<&AgentConfig>,
    values: &BTreeMap<Param, String>,
    stack: &str,
) -> anyhow::Result<AgentConfig> {
    if !values.contains_key(&Param::Generation) && have.is_some_and(|it| it.generation.is_some()) {
        anyhow::bail!(
            "the parameter {} is gone, so this host keeps the last good configuration; run `lamp up`",
            Param::Generation.path(stack)
        );
    }
    AgentConfig::from_params(values).map_err(anyhow::Error::msg)
}

/// How trouble begins that is the store's own absence.
pub const UNREACHABLE: &str = "asking the Parameter Store";

/// How long to wait until the next look.
#[derive(Default)]
struct Pace {
    stretched: Option<Duration>,
    misses: u32,
}

impl Pace {
    fn next(&mut self, asked: Duration, settled: bool, throttled: bool) -> Duration {
        let current = self.stretched.unwrap_or(asked).max(asked);
        self.stretched = if throttled {
            Some((current * 2).min(SLOWEST.max(asked)))
        } else {
            let back = asked + (current - asked) * 9 / 10;
            (back > asked + Duration::from_millis(500)).then_some(back)
        };
        // A host without a configuration is in a hurry, at first.
        self.misses = if settled { 0 } else { self.misses.saturating_add(1) };
        let base = match self.misses {
            0 => self.stretched.unwrap_or(asked),
            it => Duration::from_millis(500 << it.min(5)).min(asked).max(self.stretched.unwrap_or_default()),
        };
        base.mul_f64(rand::random_range(0.75..1.25))
    }
}

/// Whether the store refused because too many ask.
pub fn is_throttled(err: &anyhow::Error) -> bool {
    format!("{err:#}").contains("hrottl")
}

fn code<E: ProvideErrorMetadata, R>(err: &SdkError<E, R>) -> Option<&str> {
    err.as_service_error().and_then(ProvideErrorMetadata::code)
}

fn unreachable<E, R>(err: &SdkError<E, R>) -> anyhow::Error
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug + 'static,
{
    match err.as_service_error() {
        Some(it) => {
            anyhow::anyhow!("{}: {}", it.code().unwrap_or("error"), it.message().unwrap_or("no message"))
        }
        None => anyhow::anyhow!(words(err)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Duration = Duration::from_secs(15);

    #[test]
    fn every_wait_is_spread_by_a_quarter_to_either_side() {
        let waits: Vec<_> =
            (0..1000).map(|_| Pace::default().next(ASKED, true, false).as_secs_f64()).collect();
        assert!(waits.iter().all(|it| (11.25..18.75).contains(it)));
        let mean = waits.iter().sum::<f64>() / 1000.0;
        assert!((14.5..15.5).contains(&mean), "{mean}");
    }

    #[test]
    fn refusals_stretch_the_interval_to_a_minute_and_successes_bring_it_back() {
        let mut pace = Pace::default();
        for _ in 0..5 {
            pace.next(ASKED, true, true);
        }
        assert!(pace.next(ASKED, true, true) >= Duration::from_secs(45));
        for _ in 0..60 {
            pace.next(ASKED, true, false);
        }
        assert!(pace.next(ASKED, true, false) < Duration::from_secs(19));
    }

    #[test]
    fn a_generation_that_vanished_takes_no_configuration_away() {
        let values = BTreeMap::from([(Param::Generation, "7".to_owned())]);
        let first = accept(None, &BTreeMap::new(), "lab").unwrap();
        assert_eq!(first.generation, None);
        let good = accept(Some(&first), &values, "lab").unwrap();
        let err = accept(Some(&good), &BTreeMap::new(), "lab").unwrap_err().to_string();
        assert!(err.contains("/lamp/lab/generation is gone"), "{err}");
    }

    #[test]
    fn a_host_without_a_configuration_asks_again_within_two_seconds() {
        assert!(Pace::default().next(ASKED, false, false) < Duration::from_secs(2));
    }
}
