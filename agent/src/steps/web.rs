//! Apache and php-fpm run, start at boot, and run with our configuration.

use std::time::Duration;

use crate::{
    converge::Step,
    host::Host,
    os::{Os, Php},
    steps::{apache, ready},
};

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
            Ok(_) => Some("Apache runs with another configuration".to_owned()),
            Err(err) => Some(format!("Apache does not answer: {err:#}")),
        }
    }

    /// Waits a little, since a unit is started before it answers.
    async fn settles(&self, host: &Host, php: &Php) -> bool {
        for _ in 0..20 {
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

impl Step for Web {
    const NAME: &'static str = "web";
    const TIMEOUT: Duration = Duration::from_secs(120);

    async fn check(&self, host: &Host) -> anyhow::Result<Option<String>> {
        let php = self.os.php(host)?;
        let off = [self.os.apache.unit, &php.unit].into_iter().find(|it| !is_enabled(host, it));
        if let Some(unit) = off {
            return Ok(Some(format!("{unit} does not start at boot")));
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
        host.run(&["systemctl", "restart", fpm, unit], limit).await?;
        self.settles(host, &php).await;
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
