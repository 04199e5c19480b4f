//! The page's socket and service, in case somebody stopped them.

use std::time::Duration;

use crate::{converge::Step, host::Host};

const UNITS: [&str; 2] = ["lampd-page.socket", "lampd-page.service"];

pub struct Page;

/// systemd keeps a link for each unit that runs.
fn runs(host: &Host, unit: &str) -> bool {
    host.exists(&format!("/run/systemd/units/invocation:{unit}"))
}

impl Step for Page {
    const NAME: &'static str = "page";
    // Whoever asks its port sees that by himself; Apache serves without it.
    const REQUIRED: bool = false;

    async fn check(&self, host: &Host) -> anyhow::Result<Option<String>> {
        let installed = |it: &&str| host.exists(&format!("/etc/systemd/system/{it}"));
        let stopped = UNITS.into_iter().filter(installed).find(|it| !runs(host, it));
        Ok(stopped.map(|it| format!("{it} does not run")))
    }

    async fn apply(&self, host: &Host) -> anyhow::Result<()> {
        let argv = [["systemctl", "start"].as_slice(), &UNITS].concat();
        host.run(&argv, Duration::from_secs(30)).await.map(drop)
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
    async fn a_page_that_was_stopped_is_started_and_one_that_runs_is_left_alone() {
        let (host, script) = scripted();
        assert!(run(&host, &Log::default(), &Page).await);
        for unit in UNITS {
            host.write(&format!("/etc/systemd/system/{unit}"), b"", 0o644, None).unwrap();
        }
        script.on(|host, _| {
            for unit in UNITS {
                host.write(&format!("/run/systemd/units/invocation:{unit}"), b"", 0o644, None).unwrap();
            }
            Output::default()
        });
        for _ in 0..2 {
            assert!(run(&host, &Log::default(), &Page).await);
        }
        assert_eq!(script.log(), ["systemctl start lampd-page.socket lampd-page.service"]);
    }
}
