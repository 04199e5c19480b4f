//! The file system that an instance's first process finds: its root, and kernel file systems as a machine has them.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use anyhow::Context;
use nix::mount::{MntFlags, MsFlags, umount2};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use super::launch::Launch;
use super::{bind, new_mount, remount};

/// Parts of sysfs that programs look at; the rest belongs to the machine and is not shown.
const SYS: [&str; 7] = ["block", "bus", "class", "dev", "devices", "kernel", "module"];
/// Device nodes by minor number of the memory devices.
const MEMORY: [(&str, u64); 5] = [("null", 3), ("zero", 5), ("full", 7), ("random", 8), ("urandom", 9)];

/// Builds it and moves into it. Runs as the first process of the instance's namespaces.
pub(super) fn enter(it: &Launch) -> anyhow::Result<()> {
    let root = it.root.as_path();
    remount("/", MsFlags::MS_REC | MsFlags::MS_PRIVATE)?;
    bind(root, root)?;
    let plain = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    new_mount("proc", root.join("proc"), plain, "")?;
    sys(root, &it.ec2_uuid)?;
    dev(root, it)?;
    new_mount("tmpfs", root.join("run"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, "mode=755")?;
    fs::create_dir_all(root.join("run/host")).context("making /run/host")?;
    fs::write(root.join("run/host/container-manager"), "lamp\n").context("naming the container manager")?;
    // Every file system of the region is within reach; only the mount helper looks there.
    let files = root.join("run/lamp/efs");
    make_dir(&files)?;
    bind(&it.files, &files)?;
    // It also asks which of AWS's regions this is.
    if it.aws_region.exists() {
        fs::copy(&it.aws_region, root.join("run/lamp/region")).context("telling the instance its region")?;
    }
    protect_proc(root)?;
    pivot(root)
}

/// A tmpfs with those parts, control groups, and what tells an instance that EC2 runs it.
fn sys(root: &Path, ec2_uuid: &str) -> anyhow::Result<()> {
    let sys = root.join("sys");
    new_mount("tmpfs", &sys, MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC, "mode=755")?;
    let full = sys.join(".full");
    make_dir(&full)?;
    new_mount("sysfs", &full, MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC, "")?;
    for part in SYS {
        let (from, to) = (full.join(part), sys.join(part));
        if from.exists() {
            make_dir(&to)?;
            bind(&from, &to)?;
            read_only(&to)?;
        }
    }
    umount2(&full, MntFlags::MNT_DETACH).context("hiding the rest of sysfs")?;
    fs::remove_dir(&full).context("hiding the rest of sysfs")?;
    for dir in ["fs/cgroup", "fs/fuse", "hypervisor"] {
        make_dir(&sys.join(dir))?;
    }
    fs::write(sys.join("hypervisor/uuid"), format!("{ec2_uuid}\n")).context("writing the EC2 identity")?;
    fs::write(sys.join("hypervisor/type"), "xen\n").context("writing the EC2 identity")?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    new_mount("cgroup2", sys.join("fs/cgroup"), flags, "")
}

/// Nodes of our own: systemd changes the mode of what it finds here, so none may be the machine's.
fn dev(root: &Path, it: &Launch) -> anyhow::Result<()> {
    let dev = root.join("dev");
    new_mount("tmpfs", &dev, MsFlags::MS_NOSUID, "mode=755,size=4m")?;
    for (name, minor) in MEMORY {
        node(&dev, name, makedev(1, minor), it.rootless)?;
    }
    node(&dev, "tty", makedev(5, 0), it.rootless)?;
    if Path::new("/dev/fuse").exists() {
        node(&dev, "fuse", makedev(10, 229), it.rootless)?;
    }
    for dir in ["pts", "shm", "mqueue"] {
        make_dir(&dev.join(dir))?;
    }
    let options = "newinstance,ptmxmode=0666,mode=620,gid=5";
    new_mount("devpts", dev.join("pts"), MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC, options)?;
    new_mount("tmpfs", dev.join("shm"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, "mode=1777")?;
    for (name, target) in [
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        symlink(target, dev.join(name)).with_context(|| format!("making /dev/{name}"))?;
    }
    // A terminal of the region's own: what is written there becomes the console log.
    File::create(dev.join("console")).context("making /dev/console")?;
    bind(&it.console, &dev.join("console"))
}

fn node(dev: &Path, name: &str, number: nix::libc::dev_t, rootless: bool) -> anyhow::Result<()> {
    let path = dev.join(name);
    if rootless {
        // Nobody but root may make nodes. The machine's are safe from us: they belong to a user who is nobody here.
        File::create(&path).with_context(|| format!("making /dev/{name}"))?;
        return bind(&Path::new("/dev").join(name), &path);
    }
    mknod(&path, SFlag::S_IFCHR, Mode::empty(), number).with_context(|| format!("making /dev/{name}"))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666))
        .with_context(|| format!("opening /dev/{name}"))
}

/// Settings of the kernel that belong to the machine cannot be changed; those of the network are the instance's own.
fn protect_proc(root: &Path) -> anyhow::Result<()> {
    let sys = root.join("proc/sys");
    let net = sys.join("net");
    bind(&sys, &sys)?;
    bind(&net, &net)?;
    read_only(&sys)?;
    for name in ["sysrq-trigger", "irq", "bus"] {
        let path = root.join("proc").join(name);
        if path.exists() {
            bind(&path, &path)?;
            read_only(&path)?;
        }
    }
    for name in ["kmsg", "kcore"] {
        let path = root.join("proc").join(name);
        if path.exists() {
            bind(&root.join("dev/null"), &path)?;
        }
    }
    Ok(())
}

fn pivot(root: &Path) -> anyhow::Result<()> {
    let old = root.join("run/.old");
    make_dir(&old)?;
    nix::unistd::pivot_root(root, &old).context("moving to the instance's root")?;
    nix::unistd::chdir("/").context("moving to the instance's root")?;
    umount2("/run/.old", MntFlags::MNT_DETACH).context("leaving the region's root")?;
    fs::remove_dir("/run/.old").context("leaving the region's root")?;
    // As on a machine: what is mounted later is seen by services that have mounts of their own.
    remount("/", MsFlags::MS_REC | MsFlags::MS_SHARED)
}

fn make_dir(path: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(path).with_context(|| format!("making {}", path.display()))
}

fn read_only(path: &Path) -> anyhow::Result<()> {
    let locked = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    remount(path, MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | locked)
}
