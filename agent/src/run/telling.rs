//! What the agent says: on the console, to the balancer, to the page, to `lampd status` and to the operator.

use std::time::Duration;

use anyhow::Context;
use sd_notify::NotifyState;
use tokio::time::{sleep, timeout};

use super::{Agent, DRIFT, STATUS, notify};
use crate::{
    converge::{self, Reports},
    feed::{self, Feed},
    host::ROOT,
    report,
    source::Known,
};

/// How long the news of the agent before us may stand: packages may take a quarter of an hour.
const OLD_NEWS: Duration = Duration::from_secs(15);
/// When what could not be told is told again.
const AGAIN: Duration = Duration::from_secs(2);

impl Agent {
    /// Says on the console why there is no configuration, and when there is one again.
    pub(super) async fn complain(&self) {
        let mut known = self.known.clone();
        let mut said: Option<String> = None;
        loop {
            let trouble = known.borrow_and_update().trouble.clone();
            match (&trouble, &said) {
                (Some(now), before) if Some(now) != before.as_ref() => tracing::warn!("{now}"),
                (None, Some(_)) => tracing::info!("the parameters are there again"),
                _ => (),
            }
            said = trouble;
            if known.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Tells the balancer whether this host is fit, once everything was looked at.
    pub(super) async fn announce(&self) {
        drop(self.ran.subscribe().wait_for(|it| it.looked).await);
        let mut steps = self.log.follow();
        loop {
            let fit = converge::fit(&steps.borrow_and_update());
            let config = self.known.borrow().config.clone();
            let fine = converge::announce(&self.pass(config.as_ref()), fit).await;
            let wait = if fine { DRIFT } else { AGAIN };
            drop(timeout(wait, steps.wait_for(|it| converge::fit(it) != fit)).await);
        }
    }

    /// Follows steps and parameters, and tells the page, `lampd status` and the operator.
    pub(super) async fn publish(&self) {
        let (mut steps, mut known, mut ran) = (self.log.follow(), self.known.clone(), self.ran.subscribe());
        // What the agent before us published is the better news until we have looked at everything once.
        if self.host.exists(feed::FILE) {
            drop(timeout(OLD_NEWS, ran.wait_for(|it| it.looked)).await);
        }
        let mut said = None;
        loop {
            let reports = steps.borrow_and_update().clone();
            let now = known.borrow_and_update().clone();
            ran.mark_unchanged();
            let trouble = self.tell(reports, &now).err().map(|err| format!("{err:#}"));
            if let Some(words) = trouble.as_ref().filter(|it| said.as_ref() != Some(*it)) {
                tracing::warn!("{words}");
            }
            // Somebody may remove what was told, and a package may get another version without any step of ours.
            let again = if trouble.is_some() { AGAIN } else { DRIFT };
            said = trouble;
            tokio::select! {
                Ok(()) = steps.changed() => (),
                Ok(()) = known.changed() => (),
                Ok(()) = ran.changed() => (),
                () = sleep(again) => (),
            }
        }
    }

    fn tell(&self, steps: Reports, known: &Known) -> anyhow::Result<()> {
        let roots = self.settings.database_roots(&self.host).unwrap_or_default();
        let config = known.config.as_ref();
        let mut feed =
            Feed::new(&self.identity, &self.os_name, config, known.trouble.as_deref(), &roots, steps);
        let ran = self.ran.borrow().clone();
        // What nobody has looked at yet is not in the reports either.
        feed.converged &= ran.looked;
        feed.generation = ran.generation;
        let order = if feed.converged { "in order" } else { "not in order yet" };
        let generation = feed.generation.as_deref().unwrap_or("none");
        notify(&[NotifyState::Status(&format!("{order}; generation {generation}"))]);
        let versions = self.memory.versions.lock().map(|it| it.clone()).unwrap_or_default();
        feed.publish(&self.host)?;
        let status =
            serde_json::to_vec_pretty(&report::status(&feed, &versions)).context("writing the status")?;
        self.host.put(STATUS, &status, 0o644, ROOT)?;
        // Last: the operator shall not hear of a generation that the page does not have.
        self.reports.send_if_modified(|it| {
            let text = report::text(&feed, &versions);
            let moved = *it != text;
            *it = text;
            moved
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use shared::agent::AgentConfig;
    use tokio::sync::watch;

    use super::*;
    use crate::{
        aws::Aws,
        converge::{Log, Memory},
        host::script::{Script, scripted},
        identity::Identity,
        os,
        settings::Settings,
    };

    fn config(generation: &str, password: &str) -> AgentConfig {
        let database = shared::agent::Database {
            endpoint: "db".into(),
            port: 3306,
            name: "labvpcrds".into(),
            user: "admin".into(),
            password: password.into(),
            tls: false,
        };
        AgentConfig {
            generation: Some(generation.into()),
            database: Some(database),
            files: None,
            local_database: false,
            poll_seconds: 15,
            share_ms: 50,
        }
    }

    /// An agent on a scripted Debian, and who tells it the parameters.
    fn agent() -> (Agent, watch::Sender<Known>, std::sync::Arc<Script>) {
        let (host, script) = scripted();
        host.write("/etc/os-release", b"ID=debian\n", 0o644, None).unwrap();
        host.write("/etc/group", b"www-data:x:33:\n", 0o644, None).unwrap();
        let (tell, known) = watch::channel(Known { config: Some(config("1", "first")), trouble: None });
        let mut settings = Settings::new("ap-northeast-2", "lab");
        host.write("/etc/lamp/ca.pem", include_bytes!("../../data/rds-roots.pem"), 0o644, None).unwrap();
        settings.ca_bundle = Some("/etc/lamp/ca.pem".into());
        let agent = Agent {
            os: os::detect(&host).unwrap(),
            os_name: String::new(),
            imds: Aws::new(&settings, &host).unwrap().imds,
            identity: Identity::default(),
            memory: Memory::default(),
            log: Log::default(),
            reports: watch::Sender::default(),
            ran: watch::Sender::default(),
            host,
            settings,
            known,
        };
        (agent, tell, script)
    }

    #[tokio::test]
    async fn a_new_password_waits_for_no_packages_where_the_web_servers_group_is_there() {
        let (agent, _tell, _script) = agent();
        let soon = Duration::from_millis(200);
        assert!(timeout(soon, agent.grouped()).await.is_ok());
        agent.host.write("/etc/group", b"", 0o644, None).unwrap();
        assert!(timeout(soon, agent.grouped()).await.is_err());
    }

    #[tokio::test]
    async fn the_news_of_the_agent_before_stand_only_for_a_while() {
        let (agent, _tell, _script) = agent();
        agent.host.write(feed::FILE, b"old", 0o640, None).unwrap();
        let told = || agent.host.read(feed::FILE).unwrap().is_some_and(|it| it != "old");
        // Nothing is ever looked at here.
        let publish = async { drop(timeout(OLD_NEWS + Duration::from_secs(2), agent.publish()).await) };
        let early = async {
            tokio::time::sleep(OLD_NEWS / 3).await;
            told()
        };
        let ((), early) = tokio::join!(publish, early);
        assert!(!early && told());
    }

    #[tokio::test]
    async fn a_generation_is_reported_when_it_was_applied_and_not_when_it_is_known() {
        let (agent, tell, _script) = agent();
        let host = agent.host.clone();
        let told = || -> (serde_json::Value, serde_json::Value) {
            let (steps, known) = (agent.log.follow().borrow().clone(), agent.known.borrow().clone());
            agent.tell(steps, &known).unwrap();
            let report: serde_json::Value = serde_json::from_str(&agent.reports.borrow()).unwrap();
            (report["generation"].clone(), report["converged"].clone())
        };
        let apply = async || {
            let config = agent.known.borrow().config.clone();
            converge::dbinfo(&agent.pass(config.as_ref())).await;
            agent.ended(|it| &mut it.dbinfo, config.as_ref());
            let half = told();
            agent.ended(|it| &mut it.site, config.as_ref());
            half
        };
        assert_eq!(apply().await, (serde_json::Value::Null, false.into()));
        assert_eq!(told(), ("1".into(), true.into()));
        tell.send_replace(Known { config: Some(config("2", "second")), trouble: None });
        assert_eq!(told(), ("1".into(), true.into()));
        // As on a full disk: the file cannot be written.
        std::fs::create_dir(host.at("/etc/lamp/php/.dbinfo.inc.lampd")).unwrap();
        assert_eq!(apply().await, ("1".into(), false.into()));
        assert_eq!(told(), ("2".into(), false.into()));
        std::fs::remove_dir(host.at("/etc/lamp/php/.dbinfo.inc.lampd")).unwrap();
        apply().await;
        assert_eq!(told(), ("2".into(), true.into()));
    }
}
