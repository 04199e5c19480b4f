//! `mount -t efs` works where it would on AWS, fails where it would, and shares files and locks.

use std::net::Ipv4Addr;

use rehearsal::{Group, Network, Peer, Port, Protocol, Region, Rule, Subnet, WayOut};

const ID: &str = "fs-0123456789abcdef0";
const NAME: &str = "fs-0123456789abcdef0.efs.ap-northeast-2.amazonaws.com";
const UNIT: &str = "[Mount]\nWhat=fs-0123456789abcdef0:/\nWhere=/var/www/html/efs\nType=efs\nOptions=tls\n\
                    [Install]\nWantedBy=multi-user.target\n";

#[test]
fn files_and_locks_are_shared_by_hosts_that_may_reach_the_mount_target() {
    let region = Region::start().unwrap();
    let target = Ipv4Addr::new(10, 1, 3, 240);
    region.file_system(ID).unwrap().mount_target("target", target).unwrap();
    let one = region.instance("one").boot().unwrap();
    let two = region.instance("two").boot().unwrap();
    let mount = "mkdir -p /mnt/efs && mount -t efs -o tls fs-0123456789abcdef0:/ /mnt/efs";
    let err = one.sh(mount).unwrap_err().to_string();
    assert!(err.contains("Failed to resolve"), "{err}");
    region.name(NAME, &[target]).unwrap();
    one.sh(mount).unwrap();
    // By address, as plain NFS, read-only.
    two.sh("mkdir -p /mnt/efs && mount -t nfs4 -o nfsvers=4.1,ro 10.1.3.240:/ /mnt/efs").unwrap();
    one.sh("echo from one > /mnt/efs/note").unwrap();
    assert_eq!(two.read("/mnt/efs/note").unwrap(), "from one\n");
    assert!(two.sh("echo x > /mnt/efs/note").is_err());
    two.sh("umount /mnt/efs && mount -t efs -o mounttargetip=10.1.3.240,tls fs-0123456789abcdef0:/ /mnt/efs")
        .unwrap();
    // A lock that one holds keeps two out.
    one.sh("systemd-run -u holder flock /mnt/efs/lock sleep 600; until ! flock -n /mnt/efs/lock true; do sleep 0.1; done").unwrap();
    assert!(two.sh("flock -n /mnt/efs/lock true").is_err());
    one.sh("systemctl stop holder").unwrap();
    two.sh("flock -w 10 /mnt/efs/lock true").unwrap();
    // A unit of systemd mounts it at boot.
    two.put("/etc/systemd/system/var-www-html-efs.mount", UNIT.as_bytes(), 0o644).unwrap();
    two.sh("mkdir -p /var/www/html/efs && systemctl enable var-www-html-efs.mount").unwrap();
    two.reboot().unwrap();
    assert_eq!(two.read("/var/www/html/efs/note").unwrap(), "from one\n");
    for (source, why) in
        [("fs-00000000000000000:/", "Failed to resolve"), ("fs-0123456789abcdef0:/none", "No such file")]
    {
        let err = one.sh(&format!("mkdir -p /mnt/b; mount -t efs {source} /mnt/b")).unwrap_err().to_string();
        assert!(err.contains(why), "{err}");
    }
}

#[test]
fn a_security_group_that_keeps_2049_closed_makes_the_mount_time_out() {
    let region = Region::start().unwrap();
    let target = Ipv4Addr::new(10, 1, 3, 240);
    region.file_system(ID).unwrap().mount_target("target", target).unwrap();
    region.name(NAME, &[target]).unwrap();
    let web = region.instance("web").boot().unwrap();
    let any = |peer: Peer| Rule { protocol: Protocol::Any, peer };
    let world = || any(Peer::Addresses("0.0.0.0/0".into()));
    let port = |place: &str, address, group: &str| Port {
        place: place.into(),
        address,
        subnet: "private".into(),
        groups: vec![group.into()],
        public: None,
        is_nat_gateway: false,
    };
    let mut network = Network {
        vpcs: vec![],
        subnets: vec![Subnet::new("private", "10.1.3.0/24", WayOut::Nowhere)],
        groups: vec![
            Group { id: "hosts".into(), ingress: vec![], egress: vec![world()] },
            Group { id: "files".into(), ingress: vec![], egress: vec![] },
        ],
        ports: vec![port("web", web.address(), "hosts"), port("target", target, "files")],
    };
    region.network(&network).unwrap();
    let mount = "mkdir -p /mnt/efs && mount -t efs -o tls fs-0123456789abcdef0:/ /mnt/efs";
    let err = web.sh(mount).unwrap_err().to_string();
    assert!(err.contains("Connection timed out"), "{err}");
    network.groups[1].ingress =
        vec![Rule { protocol: Protocol::Tcp(2049, 2049), peer: Peer::Group("hosts".into()) }];
    region.network(&network).unwrap();
    web.sh(mount).unwrap();
    // A mount target whose cable is cut lets nobody mount anew.
    region.link("target", false).unwrap();
    assert!(web.sh("umount /mnt/efs && mount -t efs -o tls fs-0123456789abcdef0:/ /mnt/efs").is_err());
}

#[test]
fn a_dead_file_server_lets_those_wait_who_have_mounted_it() {
    let region = Region::start().unwrap();
    let target = Ipv4Addr::new(10, 1, 3, 240);
    let files = region.file_system(ID).unwrap();
    files.mount_target("target", target).unwrap();
    region.name(NAME, &[target]).unwrap();
    let web = region.instance("web").boot().unwrap();
    web.sh("mkdir -p /mnt/efs && mount -t efs -o tls fs-0123456789abcdef0:/ /mnt/efs && echo there > /mnt/efs/note")
        .unwrap();
    files.answers(false).unwrap();
    // It waits instead of failing: the time-out ends it, not an error.
    assert_eq!(web.exec(&["timeout", "2", "cat", "/mnt/efs/note"]).unwrap().code, 124);
    assert_eq!(web.sh("systemctl is-system-running").unwrap(), "running\n");
    files.answers(false).unwrap();
    files.answers(true).unwrap();
    assert_eq!(web.read("/mnt/efs/note").unwrap(), "there\n");
    assert_eq!(web.sh("grep -c ' /mnt/efs ' /proc/mounts").unwrap(), "1\n");
    // Whose machine dies meanwhile is no hindrance.
    files.answers(false).unwrap();
    web.kill().unwrap();
    files.answers(true).unwrap();
    web.start().unwrap();
    web.wait_until_running().unwrap();
}
