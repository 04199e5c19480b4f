//! A real cloud-init, fed by the metadata service, runs user data once and lets the key's owner in.

use std::collections::BTreeMap;

use rehearsal::{Metadata, Region, Role, Service};

#[test]
fn user_data_runs_once_with_the_instances_own_identity() {
    let region = Region::start().unwrap();
    let described = Metadata {
        instance_id: "i-0123456789abcdef0".into(),
        instance_type: "t3.micro".into(),
        image_id: "ami-plain".into(),
        account: "123456789012".into(),
        region: "ap-northeast-2".into(),
        zone: "ap-northeast-2a".into(),
        tags: BTreeMap::from([("Name".into(), "private-ec2-a1".into())]),
        public_key: Some(("lab".into(), "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPrivateOfTheLab lab".into())),
        user_data: Some("#!/bin/sh\necho $(hostname) >> /root/ran\nmkdir -p /srv/site\n".into()),
        role: Some(Role {
            name: "lamp-host".into(),
            access_key: "AKIAEXAMPLE".into(),
            secret_key: "a secret".into(),
            token: "a token".into(),
        }),
        hop_limit: 1,
        ..Metadata::default()
    };
    let web = region.instance("web1").metadata(described.clone()).boot().unwrap();
    assert!(web.sh("cloud-init status --long").unwrap().contains("DataSourceEc2"));
    assert_eq!(web.read("/root/ran").unwrap(), "ip-10-1-3-11\n");
    assert!(web.read("/home/ec2-user/.ssh/authorized_keys").unwrap().contains("IPrivateOfTheLab"));
    // By hand, as a program would.
    let imds = "t=$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token)
                get() { curl -sf -H \"X-aws-ec2-metadata-token: $t\" http://169.254.169.254/latest/$1; }\n";
    let asked = web
        .sh(&format!("{imds} get meta-data/placement/availability-zone; get meta-data/tags/instance/Name"))
        .unwrap();
    assert_eq!(asked, "ap-northeast-2aprivate-ec2-a1");
    let said = web.sh(&format!("{imds} get meta-data/iam/security-credentials/lamp-host")).unwrap();
    assert!(said.contains("AKIAEXAMPLE") && said.contains("Expiration"), "{said}");
    assert!(web.sh("curl -sf http://169.254.169.254/latest/meta-data/instance-id").is_err());
    // Another instance is somebody else.
    let other = region.instance("web2").boot().unwrap();
    assert!(other.sh(&format!("{imds} get meta-data/instance-id")).is_err());
    // The second boot knows the instance again, and a broken service hurts nobody who runs.
    web.reboot().unwrap();
    assert_eq!(web.read("/root/ran").unwrap().lines().count(), 1);
    region.break_service(Service::Metadata, true).unwrap();
    assert!(web.sh(&format!("{imds} get meta-data/instance-id")).is_err());
    region.break_service(Service::Metadata, false).unwrap();
    assert!(web.sh(&format!("{imds} get meta-data/instance-id")).is_ok());
}
