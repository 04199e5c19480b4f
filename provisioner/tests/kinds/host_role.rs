//! What the hosts may do, as IAM itself sees it.

use std::collections::BTreeMap;

use provisioner::{
    engine::Stack,
    kinds::{Role, policy},
};

use super::{Moto, build, repairs, take_away};

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_built_repaired_and_removed() {
    let moto = Moto::start();
    let aws = moto.connect("t").await;
    let mut s = Stack::new("t", BTreeMap::new());
    let role = Role::of_hosts("t-host", ("t", "ap-northeast-2", "123456789012"), "artefacts", None);
    s.add_named("host", "t-host", role);
    build(&s, &aws).await;

    // Somebody grants more, lets others wear it, and takes it off the hosts.
    let all = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
    let put = aws.iam.put_role_policy().role_name("t-host").policy_name("lamp");
    put.policy_document(all).send().await.unwrap();
    repairs(&s, &aws, &["role/host"]).await;
    let remove = aws.iam.remove_role_from_instance_profile().instance_profile_name("t-host");
    remove.role_name("t-host").send().await.unwrap();
    repairs(&s, &aws, &["role/host"]).await;
    // Or attaches another policy, or writes one into it.
    let attach = || {
        let attach = aws.iam.attach_role_policy().role_name("t-host");
        attach.policy_arn("arn:aws:iam::aws:policy/ReadOnlyAccess").send()
    };
    attach().await.unwrap();
    let put = aws.iam.put_role_policy().role_name("t-host").policy_name("mine");
    put.policy_document(all).send().await.unwrap();
    repairs(&s, &aws, &["role/host"]).await;
    attach().await.unwrap();
    take_away(&s, &aws).await;
    assert!(aws.iam.get_role().role_name("t-host").send().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_of_another_owner_is_neither_taken_nor_removed() {
    let moto = Moto::start();
    let aws = moto.connect("t").await;
    let trust = policy::render(
        &[policy::Statement::allow("", &["sts:AssumeRole"]).to("Service: ec2.amazonaws.com")],
        |_| String::new(),
    );
    let create = aws.iam.create_role().role_name("t-host").assume_role_policy_document(trust);
    create.send().await.unwrap();
    let mut s = Stack::new("t", BTreeMap::new());
    s.add("host", Role::of_hosts("t-host", ("t", "ap-northeast-2", "123456789012"), "artefacts", None));
    let report = super::up(&s, &aws).await;
    assert!(format!("{report:?}").contains("not this stack's"), "{report:?}");
    take_away(&s, &aws).await;
    assert!(aws.iam.get_role().role_name("t-host").send().await.is_ok());
}
