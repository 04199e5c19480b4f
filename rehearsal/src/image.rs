//! What is on an instance's disk: a Debian, and layers of packages upon it, each built once per machine.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::command;
use crate::inside::router::RESOLVER;
use crate::keeper::PACKAGES;
use crate::region::Region;
use crate::state::State;
use crate::wire::Place;

/// How long a slow mirror may take for Debian.
const BUILD: Duration = Duration::from_secs(1800);

/// A disk to start instances from.
#[derive(Clone, Debug)]
pub struct Image(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Plain,
    /// Packages upon another image.
    Packages {
        name: String,
        parent: Box<Image>,
        packages: Vec<String>,
        /// Runs once they are installed.
        script: String,
    },
    /// Made from an instance; topmost layer first.
    Layers(Vec<PathBuf>),
}

const PLAIN: &str = "systemd,systemd-sysv,dbus,libpam-systemd,iproute2,iputils-ping,curl,ca-certificates,procps,\
                     cloud-init,sudo,netbase,openssh-server,less";

/// As Amazon's images have it, without what costs time and brings nothing here.
const CLOUD_INIT: &str = "\
datasource_list: [ Ec2 ]
network: {config: disabled}
locale: false
ssh_genkeytypes: [ed25519]
system_info:
  default_user:
    name: ec2-user
    gecos: Lab
    groups: [adm, sudo]
    sudo: [\"ALL=(ALL) NOPASSWD:ALL\"]
    shell: /bin/bash
    lock_passwd: true
";

/// Amazon's own machines behind a database or balancer have no door for anybody, and are small.
const NOBODY_LOGS_IN: &str = "systemctl mask -q ssh.service systemd-logind.service";

/// What journald has open costs memory on every machine, so its files are small.
const JOURNAL: &str = "[Journal]\nSystemMaxUse=32M\nSystemMaxFileSize=2M\n";

/// A file whose presence keeps cloud-init from running.
pub(crate) const CLOUD_INIT_OFF: &str = "/etc/cloud/cloud-init.disabled";

/// Units that need hardware, a network of their own, or the world outside.
const MASKED: [&str; 12] = [
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "console-getty.service",
    "dev-hugepages.mount",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty@tty1.service",
    "sys-fs-fuse-connections.mount",
    "systemd-networkd-wait-online.service",
    "systemd-pstore.service",
];

impl Image {
    /// The release of Debian that every image begins with.
    pub const SUITE: &str = "bookworm";

    /// Debian 12 with systemd, as a cloud has it: nothing of a web server.
    pub fn plain() -> Image {
        Image(Kind::Plain)
    }

    /// The same with Apache, PHP-FPM with mysqli as Amazon Linux has it, and the MariaDB client.
    pub fn web() -> Image {
        Image::plain()
            .with("web", &["apache2", "php-fpm", "php-mysql", "mariadb-client"])
            .then("a2enmod -q proxy_fcgi setenvif && a2enconf -q 'php*-fpm'")
    }

    /// The same with the MariaDB server.
    pub fn database() -> Image {
        Image::web().with("database", &["mariadb-server"])
    }

    /// Debian with a MariaDB server that has not been set up.
    pub fn mariadb() -> Image {
        Image::plain().with("mariadb", &["mariadb-server"]).then(NOBODY_LOGS_IN)
    }

    /// Debian with HAProxy.
    pub fn balancer() -> Image {
        Image::plain().with("balancer", &["haproxy"]).then(NOBODY_LOGS_IN)
    }

    /// This image with more packages, built once per machine under that name.
    #[must_use]
    pub fn with(self, name: &str, packages: &[&str]) -> Image {
        let packages = packages.iter().map(|it| (*it).to_owned()).collect();
        let (name, parent, script) = (name.to_owned(), Box::new(self), String::new());
        Image(Kind::Packages { name, parent, packages, script })
    }

    /// Runs something in that layer before it is kept.
    fn then(mut self, it: &str) -> Image {
        if let Kind::Packages { script, .. } = &mut self.0 {
            it.clone_into(script);
        }
        self
    }

    pub(crate) fn of_layers(layers: Vec<PathBuf>) -> Image {
        Image(Kind::Layers(layers))
    }

    /// Builds the image if this machine does not have it yet, which takes a few minutes.
    ///
    /// # Errors
    /// If the mirror of the machine does not have the packages, or a program is missing.
    pub fn prepare(&self, state: &State) -> anyhow::Result<()> {
        self.layers(state).map(drop)
    }

    /// Whether this machine has it.
    pub(crate) fn is_built(&self, state: &State) -> bool {
        let dir = self.dir_name().and_then(|it| Some(state.images().ok()?.join(it)));
        dir.is_none_or(|it| it.exists())
    }

    /// The directories that an instance's root is made of, topmost first.
    pub(crate) fn layers(&self, state: &State) -> anyhow::Result<Vec<PathBuf>> {
        let (Some(dir), images) = (self.dir_name(), state.images()?) else {
            return match &self.0 {
                Kind::Layers(layers) => Ok(layers.clone()),
                other => bail!("{other:?} has no name"),
            };
        };
        let done = images.join(&dir);
        let below = match &self.0 {
            Kind::Packages { parent, .. } => parent.layers(state)?,
            _ => Vec::new(),
        };
        if !done.exists() {
            let _lock = state.lock(&dir)?;
            // Somebody else may have built it while we waited.
            if !done.exists() {
                let partial = images.join(format!("{dir}.partial"));
                if partial.exists() {
                    discard(state, &partial)?;
                }
                match &self.0 {
                    Kind::Packages { parent, packages, script, .. } => {
                        add(state, parent, packages, script, &partial)?;
                    }
                    _ => install(state, &partial)?,
                }
                fs::rename(&partial, &done).with_context(|| format!("finishing {}", done.display()))?;
            }
        }
        Ok(std::iter::once(done).chain(below).collect())
    }

    /// Changes with everything that goes into it, so that nobody starts from a stale image.
    fn dir_name(&self) -> Option<String> {
        let name = match &self.0 {
            Kind::Plain => "plain",
            Kind::Packages { name, .. } => name,
            Kind::Layers(_) => return None,
        };
        let recipe = format!("{self:?}{PLAIN}{MASKED:?}{:?}", files(""));
        let hash = recipe.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Some(format!("{name}-{:08x}", hash & 0xffff_ffff))
    }
}

/// Stands for amazon-efs-utils and for nfs-common.
const MOUNT_EFS: &str = include_str!("../image/mount.efs");

/// What is written into the plain image after its packages.
fn files(sources: &str) -> [(&'static str, String); 10] {
    [
        ("etc/apt/sources.list", sources.to_owned()),
        (
            "etc/apt/apt.conf.d/90lamp",
            format!("Acquire::http::Proxy \"http://{PACKAGES}\";\nAcquire::Languages \"none\";\n"),
        ),
        // Empty rather than absent: systemd would take the latter for a first boot and enable every service.
        ("etc/machine-id", String::new()),
        ("etc/resolv.conf", format!("nameserver {RESOLVER}\n")),
        ("etc/systemd/journald.conf.d/lamp.conf", JOURNAL.to_owned()),
        ("usr/sbin/mount.efs", MOUNT_EFS.to_owned()),
        ("usr/sbin/mount.nfs4", MOUNT_EFS.to_owned()),
        ("etc/hosts", "127.0.0.1 localhost\n".to_owned()),
        // Without a metadata service it would wait for one.
        (CLOUD_INIT_OFF.trim_start_matches('/'), String::new()),
        ("etc/cloud/cloud.cfg.d/90_lamp.cfg", CLOUD_INIT.to_owned()),
    ]
}

/// Debian itself, from the machine's own mirror. It is done in a region: nothing of it shows on this machine, the
/// packages come through the region's cache, and an ordinary user is root there.
fn install(state: &State, dir: &Path) -> anyhow::Result<()> {
    let region = Region::start_in(state.clone())?;
    region.wait_for_packages()?;
    let sources = region.mirrors().sources();
    let target = dir.display().to_string();
    let (include, proxy) =
        (format!("--include={PLAIN}"), format!("--aptopt=Acquire::http::Proxy \"http://{PACKAGES}\""));
    let mut argv = vec!["mmdebstrap", "--quiet", "--variant=minbase", "--mode=root", &include, &proxy];
    argv.extend(["--aptopt=Acquire::Languages \"none\"", "--dpkgopt=path-exclude=/usr/share/man/*"]);
    // What is lost in a power cut is built again.
    argv.extend([
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=force-unsafe-io",
        Image::SUITE,
        &target,
    ]);
    argv.extend(sources.iter().map(String::as_str));
    let said = command::run(&region, &Place::Internet, command::order(&argv, &[]), &[], BUILD)
        .context("running mmdebstrap (package mmdebstrap)")?;
    if !said.success() {
        bail!("mmdebstrap could not install Debian: {}", said.stderr.trim());
    }
    let write = |path: &str, text: &str| {
        let path = dir.join(path);
        let _ = fs::remove_file(&path);
        path.parent()
            .map_or(Ok(()), fs::create_dir_all)
            .with_context(|| format!("making room for {}", path.display()))?;
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    };
    for (path, text) in files(&(sources.join("\n") + "\n")) {
        write(path, &text)?;
        if text.starts_with("#!") {
            let path = dir.join(path);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
                .with_context(|| format!("allowing to run {}", path.display()))?;
        }
    }
    drop(region);
    let _ = fs::remove_file(dir.join("etc/hostname"));
    for unit in MASKED {
        let path = dir.join("etc/systemd/system").join(unit);
        let _ = fs::remove_file(&path);
        symlink("/dev/null", &path).with_context(|| format!("masking {unit}"))?;
    }
    // There is no DHCP to ask, and cloud-init would wait a minute for it.
    let dhclient = dir.join("usr/sbin/dhclient");
    if dhclient.exists() || dhclient.is_symlink() {
        fs::remove_file(&dhclient).context("removing dhclient")?;
    }
    Ok(())
}

/// Removes what an interrupted build left, whose files an ordinary user may remove only as root of a region.
fn discard(state: &State, dir: &Path) -> anyhow::Result<()> {
    let region = Region::start_in(state.clone())?;
    let said = region.exec(Place::Internet, &["rm", "-rf", &dir.display().to_string()])?;
    if !said.success() {
        bail!("removing {}: {}", dir.display(), said.stderr.trim());
    }
    Ok(())
}

/// Boots an instance, installs with the real apt, and keeps what that wrote.
fn add(state: &State, parent: &Image, packages: &[String], script: &str, layer: &Path) -> anyhow::Result<()> {
    let region = Region::start_in(state.clone())?;
    let it = region.instance("bake").image(parent.clone()).boot()?;
    let install = format!(
        "apt-get -q update && apt-get -q -y --no-install-recommends install {} && apt-get clean && apt-cache gencaches",
        packages.join(" ")
    );
    it.sh(&install).context("installing packages")?;
    it.sh(script).context("setting the packages up")?;
    it.sh("rm -rf /tmp/* /var/tmp/* /var/log/journal; find /var/log -type f -exec truncate -s 0 {} +")?;
    it.into_layer(layer.to_owned()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_other_packages_have_other_names() {
        let one = Image::plain().with("x", &["a"]).dir_name();
        assert_ne!(one, Image::plain().with("x", &["b"]).dir_name());
        assert_eq!(one, Image::plain().with("x", &["a"]).dir_name());
        assert!(one.unwrap().starts_with("x-"));
    }
}
