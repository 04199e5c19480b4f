//! moto's server, in the region and gone with it.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::command::Running;
use crate::region::Region;
use crate::wire::Place;

/// On the loopback of the region's internet: only the front door can reach it.
pub(super) const ADDRESS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 5000);
/// Short, since every image in it costs time at every question.
const IMAGES: &str = include_str!("../../data/moto-amis.json");
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the set-up command put moto's virtual environment.
pub(super) fn venv() -> PathBuf {
    let var = |it| std::env::var_os(it).filter(|it| !it.is_empty()).map(PathBuf::from);
    let cache = || var("XDG_CACHE_HOME").or_else(|| Some(var("HOME")?.join(".cache")));
    var("LAMP_MOTO").unwrap_or_else(|| cache().unwrap_or_default().join("lamplighter/moto"))
}

/// Starts it and returns when it answers.
pub(super) fn start(region: &Region, venv: &Path) -> anyhow::Result<Running> {
    let program = venv.join("bin/moto_server");
    if !program.exists() {
        bail!("{} is missing; `scripts/setup` installs moto", program.display());
    }
    let images = region.dir().join("images.json");
    std::fs::write(&images, IMAGES).context("writing the list of images")?;
    let (program, images) = (program.display().to_string(), images.display().to_string());
    let env = [
        ("MOTO_AMIS_PATH", images.as_str()),
        ("MOTO_IAM_LOAD_MANAGED_POLICIES", "true"),
        // A thread per question, and memory of its own for each: 30 MB that nobody needs.
        ("MALLOC_ARENA_MAX", "1"),
    ];
    let running = region.spawn(Place::Internet, &[&program, "-H", "127.0.0.1", "-p", "5000"], &env)?;
    let began = Instant::now();
    while region.dial(Place::Internet, ADDRESS).is_err() {
        if began.elapsed() > PATIENCE {
            let log = std::fs::read_to_string(region.dir().join("region.log")).unwrap_or_default();
            bail!("moto does not answer: {log}");
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(running)
}
