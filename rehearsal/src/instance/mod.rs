//! An instance from outside: a machine that can be started, used, broken and thrown away.

mod shell;

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::image::Image;
use crate::metadata::Metadata;
use crate::region::Region;
use crate::wire::{Answer, Ask, Phase, Signal, State};

/// How long a boot may take on a busy machine.
const BOOT: Duration = Duration::from_secs(180);

/// A machine in a region.
#[derive(Clone)]
pub struct Instance {
    pub(crate) region: Region,
    pub(crate) name: String,
    pub(crate) address: Ipv4Addr,
    pub(crate) layers: Vec<PathBuf>,
}

impl Instance {
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The region that it is in.
    pub fn region(&self) -> &Region {
        &self.region
    }

    pub(crate) fn erase(&self, path: &str) -> anyhow::Result<()> {
        self.region.ask(Ask::Erase { name: self.name.clone(), path: path.to_owned() }).map(drop)
    }

    /// Changes what the metadata service tells it.
    ///
    /// # Errors
    /// If the region is gone.
    pub fn describe(&self, it: Metadata) -> anyhow::Result<()> {
        self.region.ask(Ask::Metadata { name: self.name.clone(), it: Some(Box::new(it)) }).map(drop)
    }

    /// What it is doing.
    ///
    /// # Errors
    /// If it was terminated.
    pub fn phase(&self) -> anyhow::Result<Phase> {
        Ok(self.state()?.phase)
    }

    /// How often it was started, reboots included.
    ///
    /// # Errors
    /// If it was terminated.
    pub fn boots(&self) -> anyhow::Result<u32> {
        Ok(self.state()?.boots)
    }

    /// Processor time that it has used since it was made.
    ///
    /// # Errors
    /// If it was terminated.
    pub fn cpu_used(&self) -> anyhow::Result<Duration> {
        Ok(self.state()?.cpu)
    }

    /// Gives it at most this share of one processor, or as much as there is. Where control groups have no processor
    /// controller, which happens to those who are not root, nothing changes.
    ///
    /// # Errors
    /// If it was terminated.
    pub fn limit_cpu(&self, share: Option<f64>) -> anyhow::Result<()> {
        self.region.ask(Ask::Limit { name: self.name.clone(), share }).map(drop)
    }

    pub(crate) fn state(&self) -> anyhow::Result<State> {
        match self.region.ask(Ask::State { name: self.name.clone() })? {
            Answer::State(state) => Ok(state),
            other => bail!("the region answered {other:?} to a question about {}", self.name),
        }
    }

    /// Starts it, without waiting for its services.
    ///
    /// # Errors
    /// If its systemd cannot be started.
    pub fn start(&self) -> anyhow::Result<()> {
        self.region.ask(Ask::Start { name: self.name.clone() }).map(drop)
    }

    /// Waits until systemd says that all has started.
    ///
    /// # Errors
    /// If a service failed, with what its journal says; if the instance ended; or after three minutes.
    pub fn wait_until_running(&self) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            // Refused as long as there is no message bus, hence the loop around a command that waits by itself.
            let said = self.exec_for(BOOT, &["systemctl", "is-system-running", "--wait"]);
            match said.as_ref().map(|it| it.stdout.trim()) {
                Ok("running") => return Ok(()),
                Ok(state @ ("degraded" | "maintenance")) => {
                    bail!("{} is {state}: {}", self.name, self.failures())
                }
                _ => {}
            }
            let phase = self.phase()?;
            if phase != Phase::Running {
                bail!("{} is {phase:?} instead of running: {}", self.name, self.console()?);
            }
            if began.elapsed() > BOOT {
                bail!("{} is not up after {} s: {}", self.name, BOOT.as_secs(), self.console()?);
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn failures(&self) -> String {
        let script = "systemctl --failed --plain --no-legend; \
             for it in $(systemctl --failed --plain --no-legend | cut -d' ' -f1); do journalctl -n 20 --no-pager -u $it; done";
        self.exec(&["sh", "-c", script]).map(|it| it.stdout).unwrap_or_default()
    }

    /// What it has written to its console since it was made.
    ///
    /// # Errors
    /// If it was terminated.
    pub fn console(&self) -> anyhow::Result<String> {
        let path = self.region.dir().join(&self.name).join("console.log");
        let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Powers it off in order and waits for that.
    ///
    /// # Errors
    /// If it does not within two minutes.
    pub fn stop(&self) -> anyhow::Result<()> {
        self.signal(Signal::Stop)
    }

    /// Cuts its power: every process is gone at once, files stay.
    ///
    /// # Errors
    /// If it was terminated.
    pub fn kill(&self) -> anyhow::Result<()> {
        self.signal(Signal::Kill)
    }

    /// Reboots it and waits until all its services run again.
    ///
    /// # Errors
    /// If it does not run, or a service fails.
    pub fn reboot(&self) -> anyhow::Result<()> {
        self.signal(Signal::Reboot)?;
        self.wait_until_running()
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        self.region.ask(Ask::Signal { name: self.name.clone(), signal }).map(drop)
    }

    /// Pulls its network cable, or plugs it in.
    ///
    /// # Errors
    /// If it was terminated.
    pub fn link(&self, up: bool) -> anyhow::Result<()> {
        self.region.link(&self.name, up)
    }

    /// Ends it and deletes its files; harmless if that was done.
    ///
    /// # Errors
    /// If something of it cannot be removed; it can be tried again.
    pub fn terminate(self) -> anyhow::Result<()> {
        self.region.clear(&self.name)
    }

    /// Makes an image of its disk as it is now, without stopping it. The image lives as long as the region.
    ///
    /// # Errors
    /// If the disk cannot be copied.
    pub fn snapshot(&self, name: &str) -> anyhow::Result<Image> {
        let layer = self.region.dir().join(format!("image-{name}"));
        self.region.ask(Ask::Snapshot { name: self.name.clone(), layer: layer.clone() })?;
        Ok(Image::of_layers(std::iter::once(layer).chain(self.layers.iter().cloned()).collect()))
    }

    /// Ends it and makes an image of its disk, which lives as long as the region.
    ///
    /// # Errors
    /// If it does not power off, or was terminated.
    pub fn into_image(self) -> anyhow::Result<Image> {
        let layer = self.region.dir().join(format!("image-{}", self.name));
        self.into_layer(layer)
    }

    pub(crate) fn into_layer(self, layer: PathBuf) -> anyhow::Result<Image> {
        self.stop()?;
        self.region.ask(Ask::Remove { name: self.name, layer: Some(layer.clone()) })?;
        let layers = std::iter::once(layer).chain(self.layers).collect();
        Ok(Image::of_layers(layers))
    }
}
