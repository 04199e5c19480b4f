//! Apache and php-fpm run, start at boot, and run with our configuration.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    converge::Step,
    host::Host,
    os::{Os, Php},
    steps::{apache, ready},
};

/// Where Apache listens.
const APACHE: &str = "127.0.0.1:80";
/// What Apache answers about the proof of a configuration that it has not read.
const UNKNOWN: u16 = 404;

pub struct Web {
    pub os: &'static Os,
}

impl Web {
    async fn answers(&self, host: &Host, php: &Php) -> Option<String> {
        let (_, proof) = apache::site(&php.socket);
        if !host.connects(&php.socket).await {
            return Some(format!("{} does not listen on {}", php.unit, php.socket));
        }
        match host.http(&proof).await {
            Ok(200) => None,
            Ok(UNKNOWN) => Some("Apache runs with another configuration".to_owned()),
            Ok(status) => Some(format!(
                "Apache answers {proof} with {status}: a redirect or a rule for the whole site comes before the agent's"
            )),
            Err(err) => Some(format!("Apache does not answer: {err:#}")),
        }
    }

    /// Whether a restart would mend it. One that is busy or answers with something else is only interrupted by it.
    async fn wants_restart(&self, host: &Host, php: &Php) -> bool {
        !host.connects(APACHE).await
            || !host.connects(&php.socket).await
            || matches!(host.http(&apache::site(&php.socket).1).await, Ok(UNKNOWN))
    }

    /// Waits a little, since a unit is started before it answers.
    async fn settles(&self, host: &Host, php: &Php) -> bool {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(2) {
            if self.answers(host, php).await.is_none() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        false
    }
}

/// Whether systemd starts a unit at boot.
pub fn is_enabled(host: &Host, unit: &str) -> bool {
    host.exists(&format!("/etc/systemd/system/multi-user.target.wants/{unit}"))
}

/// Whether somebody keeps systemd from starting a unit at all.
fn is_masked(host: &Host, unit: &str) -> bool {
    host.link(&format!("/etc/systemd/system/{unit}")).is_some_and(|it| it == Path::new("/dev/null"))
}

impl Step for Web {
    const NAME: &'static str = "web";
    const TIMEOUT: Duration = Duration::from_secs(120);

    async fn check(&self, host: &Host) -> anyhow::Result<Option<String>> {
        let php = self.os.php(host)?;
        let off = [self.os.apache.unit, &php.unit].into_iter().find(|it| !is_enabled(host, it));
        if let Some(unit) = off {
            return Ok(Some(format!("{unit} does not start at boot")));
        }
        if let Some(unit) = [self.os.apache.unit, &php.unit].into_iter().find(|it| is_masked(host, it)) {
            return Ok(Some(format!("{unit} is masked")));
        }
        if !host.exists(ready::ALIVE) {
            return Ok(Some(format!("{} is missing", ready::ALIVE)));
        }
        Ok(self.answers(host, &php).await)
    }

    async fn apply(&self, host: &Host) -> anyhow::Result<()> {
        let php = self.os.php(host)?;
        let limit = Duration::from_secs(40);
        ready::folder(host)?;
        host.write(ready::ALIVE, b"alive\n", 0o644, None)?;
        let (unit, fpm) = (self.os.apache.unit, php.unit.as_str());
        if [unit, fpm].iter().any(|it| is_masked(host, it)) {
            host.run(&["systemctl", "unmask", fpm, unit], limit).await?;
        }
        if !is_enabled(host, unit) || !is_enabled(host, fpm) {
            host.run(&["systemctl", "enable", fpm, unit], limit).await?;
        }
        host.run(&["systemctl", "start", fpm, unit], limit).await?;
        // One that ran before needs no time to settle: it has read another configuration.
        let other = matches!(host.http(&apache::site(&php.socket).1).await, Ok(status) if status != 200);
        if !other && self.settles(host, &php).await {
            return Ok(());
        }
        // The gentle way first: nobody who is being served notices a reload.
        host.try_run(&["systemctl", "reload", fpm, unit], limit).await?;
        if self.settles(host, &php).await {
            return Ok(());
        }
        if self.wants_restart(host, &php).await {
            host.run(&["systemctl", "restart", fpm, unit], limit).await?;
            self.settles(host, &php).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        converge::{Log, run},
        host::{Output, script::scripted},
    };

    /// The verbs of systemctl for an Apache that answers so, whatever is done, and the step's words.
    async fn tried(status: u16, listening: bool) -> (Vec<String>, String) {
        let (host, script) = scripted();
        host.write("/etc/os-release", b"ID=amzn\n", 0o644, None).unwrap();
        *script.status.lock().unwrap() = status;
        *script.listening.lock().unwrap() = listening;
        for unit in ["httpd", "php-fpm"] {
            let link = format!("/etc/systemd/system/multi-user.target.wants/{unit}.service");
            host.write(&link, b"", 0o644, None).unwrap();
        }
        let log = Log::default();
        assert!(!run(&host, &log, &Web { os: crate::os::detect(&host).unwrap() }).await);
        let verbs = script.log().iter().filter_map(|it| Some(it.split(' ').nth(1)?.to_owned())).collect();
        let words = log.follow().borrow()["web"].words.clone().unwrap_or_default();
        (verbs, words)
    }

    #[tokio::test]
    async fn only_what_a_restart_can_mend_is_restarted() {
        let (elsewhere, late, other, gone) =
            tokio::join!(tried(301, true), tried(0, true), tried(404, true), tried(0, false));
        for ((verbs, words), told) in [(elsewhere, "with 301"), (late, "does not answer")] {
            assert_eq!(verbs, ["start", "reload"]);
            assert!(words.contains(told), "{words}");
        }
        for ((verbs, words), told) in [(other, "another configuration"), (gone, "does not listen")] {
            assert_eq!(verbs, ["start", "reload", "restart"]);
            assert!(words.contains(told), "{words}");
        }
    }

    #[tokio::test]
    async fn what_runs_with_another_configuration_is_reloaded_and_not_restarted() {
        let (host, script) = scripted();
        host.write("/etc/os-release", b"ID=amzn\n", 0o644, None).unwrap();
        *script.status.lock().unwrap() = 404;
        let status = script.clone();
        script.on(move |host, line| {
            if line.starts_with("systemctl enable") {
                for unit in ["httpd", "php-fpm"] {
                    let link = format!("/etc/systemd/system/multi-user.target.wants/{unit}.service");
                    host.write(&link, b"", 0o644, None).unwrap();
                }
            }
            if line.starts_with("systemctl reload") {
                *status.status.lock().unwrap() = 200;
            }
            Output::default()
        });
        let step = Web { os: crate::os::detect(&host).unwrap() };
        assert!(run(&host, &Log::default(), &step).await);
        let log = script.log();
        let verbs: Vec<_> = log.iter().filter_map(|it| it.split(' ').nth(1)).collect();
        assert_eq!(verbs, ["enable", "start", "reload"]);
        assert!(run(&host, &Log::default(), &step).await);
        assert_eq!(script.log(), Vec::<String>::new());
    }
}
