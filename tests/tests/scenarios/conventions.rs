//! What the operator says on the command line, in the environment and in files of the AWS tools is heard.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use scenarios::{Lab, Run};
use serde_json::json;

/// A stack that is built in a moment: a VPC and what is in it, without gateways that cost.
const NETWORK: &str = "[parts]\npublic_hosts = false\nprivate_hosts = false\nscaling_group = false\nfiles = false\n\
                       database = false\nreplica = false\nsite = false\n\n[network]\nnat = \"none\"\n";

/// The region that a run spoke to.
fn region_of(run: &Run) -> String {
    let ec2 = run.calls.iter().filter(|it| it.service == "ec2");
    let mut regions: Vec<_> = ec2.filter_map(|it| it.scope.split('/').nth(2)).collect();
    regions.dedup();
    assert_eq!(regions.len(), 1, "{regions:?}: {run}");
    regions.remove(0).to_owned()
}

#[test]
fn the_region_is_that_of_the_nearest_word() {
    let lab = Lab::new(NETWORK);
    fs::create_dir(lab.path("home/.aws")).unwrap();
    let profiles = "[default]\nregion = eu-west-2\n\n[profile work]\nregion = eu-west-1\n";
    fs::write(lab.path("home/.aws/config"), profiles).unwrap();
    let said = |environment: &[(&str, &str)], words: &str| {
        region_of(&lab.lamp_in(environment, &format!("--on aws plan {words}")).expect(2))
    };
    let (first, second) = ("AWS_REGION", "AWS_DEFAULT_REGION");
    assert_eq!(said(&[(first, ""), (second, "")], ""), "eu-west-2", "the default profile's");
    assert_eq!(said(&[(first, ""), ("AWS_PROFILE", "work")], ""), "eu-west-1");
    assert_eq!(said(&[(first, "")], "--profile work"), "eu-west-1");
    assert_eq!(said(&[(first, ""), (second, "ca-central-1")], "--profile work"), "ca-central-1");
    assert_eq!(said(&[(first, "us-east-1"), (second, "ca-central-1")], "--profile work"), "us-east-1");
    assert_eq!(said(&[(first, "us-east-1")], "--region eu-west-1"), "eu-west-1");
    lab.configure(&format!("region = \"ap-northeast-2\"\n{NETWORK}"));
    assert_eq!(said(&[(first, "us-east-1")], ""), "ap-northeast-2", "the file's");
    assert_eq!(said(&[(first, "us-east-1")], "--region eu-west-1"), "eu-west-1");
    fs::remove_dir_all(lab.path("home/.aws")).unwrap();
    lab.configure(NETWORK);
    assert_eq!(said(&[(first, "")], ""), "ap-northeast-2", "the lab's");
}

#[test]
fn a_rehearsal_hears_nothing_of_the_region_that_the_environment_means_for_aws() {
    let lab = Lab::new("");
    let there = [("AWS_REGION", "us-east-1"), ("AWS_ENDPOINT_URL", "")];
    let aws = lab.lamp_in(&there, "--on aws graph").ok();
    assert!(aws.stdout.contains("us-east-1") && !aws.stdout.contains("ap-northeast-2"), "{aws}");
    let rehearsal = lab.lamp_in(&there, "graph").ok();
    assert!(rehearsal.stdout.contains("ap-northeast-2"), "{rehearsal}");
}

#[test]
fn a_stack_is_built_and_found_again_in_the_region_of_the_environment() {
    let lab = Lab::new(NETWORK);
    let there: &[(&str, &str)] = &[("AWS_REGION", "us-east-1")];
    lab.lamp_in(there, "--on aws up --yes").ok();
    let subnets = |region: &str| {
        let own = json!([{ "Name": "tag:lamp:stack", "Values": ["lab-vpc"] }]);
        let seen = lab.account().call("ec2", "describe_subnets", json!({ "region": region, "Filters": own }));
        let zones = seen["Subnets"].as_array().unwrap().iter().map(|it| it["AvailabilityZone"].to_string());
        zones.collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(subnets("us-east-1"), r#""us-east-1a" "us-east-1c""#);
    assert_eq!(subnets("ap-northeast-2"), "");
    lab.lamp_in(there, "--on aws plan").ok();
    lab.lamp_in(there, "--on aws down --yes").ok().says(&["nothing left"]);
    assert_eq!(subnets("us-east-1"), "");
}

#[test]
fn an_endpoint_with_an_authority_of_its_own_is_trusted_by_its_bundle_alone() {
    let mut lab = Lab::new(NETWORK);
    let (url, pem) = lab.proxy.tls_door();
    fs::write(lab.path("ca.pem"), pem).unwrap();
    let bundle = lab.path("ca.pem");
    let bundle = ("AWS_CA_BUNDLE", bundle.to_str().unwrap());
    let plan = lab.lamp_in(&[("AWS_ENDPOINT_URL", &url), bundle], "plan").expect(2).says(&["vpc"]);
    assert!(!plan.calls.is_empty(), "it came through the door: {plan}");
    let stranger = lab.lamp_in(&[("AWS_ENDPOINT_URL", &url)], "plan").expect(1);
    assert!(stranger.calls.is_empty(), "{stranger}");
    stranger.says(&["certificate", "AWS_CA_BUNDLE"]);
    fs::write(lab.path("ca.pem"), "no certificate\n").unwrap();
    lab.lamp_in(&[("AWS_ENDPOINT_URL", &url), bundle], "plan").expect(1).says(&["AWS_CA_BUNDLE", "PEM"]);
}

#[test]
fn an_endpoint_and_a_profile_can_be_typed() {
    let lab = Lab::new(NETWORK);
    let nowhere = [("AWS_ENDPOINT_URL", "http://127.0.0.1:9"), ("AWS_ACCESS_KEY_ID", "")];
    // A profile brings credentials, which are asked for before any call.
    fs::create_dir(lab.path("home/.aws")).unwrap();
    let keys = "[work]\naws_access_key_id = AKIAWORK\naws_secret_access_key = secret\n";
    fs::write(lab.path("home/.aws/credentials"), keys).unwrap();
    let typed = format!("plan --endpoint-url {}", lab.proxy.url());
    let none = lab.lamp_in(&nowhere, &typed).expect(1);
    assert!(none.calls.is_empty(), "{none}");
    none.says(&["no AWS credentials", "--profile"]);
    for (environment, words) in [(None, "--profile work"), (Some(("AWS_PROFILE", "work")), "")] {
        let environment: Vec<_> = nowhere.into_iter().chain(environment).collect();
        let plan = lab.lamp_in(&environment, &format!("{typed} {words}")).expect(2);
        assert!(plan.calls.iter().all(|it| it.scope.starts_with("AKIAWORK/")), "{plan}");
        assert!(!plan.calls.is_empty(), "{plan}");
    }
    lab.lamp_in(&nowhere, &format!("{typed} --profile nobody")).expect(1).says(&["nobody"]);
}

#[test]
fn up_can_end_before_the_hosts_are_healthy() {
    let lab = Lab::new(
        "[parts]\nprivate_hosts = false\nscaling_group = false\nfiles = false\ndatabase = false\n\
                        site = false\n[hosts]\npublic_copies = false\n[balancers]\nport = 8088\n",
    );
    let short = lab.lamp("--on aws up --yes --no-wait").ok().says(&["http://", ":8088/"]);
    assert!(!short.text().contains("healthy"), "{short}");
    lab.up().says(&["all 4 targets are healthy", "http://"]);
}

#[test]
fn a_closed_way_in_is_said_with_the_way_to_open_it() {
    let lab = Lab::new("");
    let ssh = lab.lamp("--on aws ssh private-ec2-a1").expect(1);
    assert!(ssh.changes().is_empty(), "{ssh}");
    ssh.says(&["SSH is closed", "lamp.toml", "[access]", "ssh_from = [\"203.0.113.7/32\"]", "lamp up"]);
}

#[test]
fn ssh_goes_straight_to_a_public_host_and_through_a_bastion_to_a_private_one() {
    let lab = Lab::new(
        "[parts]\nscaling_group = false\nfiles = false\ndatabase = false\nsite = false\n\
         [access]\nssh_from = [\"203.0.113.7/32\"]\n",
    );
    lab.lamp("--on aws up --yes --no-wait").ok();
    let seen = lab.snapshot();
    let text = |it: &serde_json::Value| it.as_str().unwrap().to_owned();
    let host = |name: &str| seen.one("instance", &format!("instance/{name}"));
    let address = |name: &str| text(&seen.one("elastic-ip", &format!("eip-{name}"))["PublicIp"]);
    // In ssh's place, something that says with which words it was called.
    let said = |words: &str| {
        fs::create_dir_all(lab.path("bin")).unwrap();
        fs::write(lab.path("bin/ssh"), "#!/bin/sh\nprintf '%s\\n' \"$@\"\n").unwrap();
        fs::set_permissions(lab.path("bin/ssh"), fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:/usr/bin:/bin", lab.path("bin").display());
        lab.lamp_in(&[("PATH", &path)], &format!("--on aws ssh {words}")).ok().stdout
    };
    for name in ["public-ec2-a1", "public-ec2-c1"] {
        for words in [name.to_owned(), text(&host(name)["InstanceId"])] {
            let said = said(&words);
            assert!(said.ends_with(&format!("ec2-user@{}\n", address(name))), "{words}: {said}");
            assert!(said.contains("/ec2-public.pem\n") && !said.contains("ProxyCommand"), "{words}: {said}");
        }
    }
    for words in ["private-ec2-c1".to_owned(), text(&host("private-ec2-c1")["InstanceId"])] {
        let said = said(&words);
        let to = text(&host("private-ec2-c1")["PrivateIpAddress"]);
        assert!(said.ends_with(&format!("ec2-user@{to}\n")), "{words}: {said}");
        assert!(said.contains("/ec2-private-seoul.pem\n"), "{words}: {said}");
        assert!(said.contains(&format!("'ec2-user@{}'\n", address("public-ec2-a1"))), "{words}: {said}");
    }
    lab.lamp("--on aws ssh nobody").expect(1).says(&["there is no host nobody", "private-ec2-a1"]);
}

#[test]
fn the_page_that_comes_along_is_what_the_site_answers_whatever_its_root_is_called() {
    let only_site = NETWORK.replace("site = false", "network = false");
    let lab = Lab::new(&format!("{only_site}[site]\ndefault_root_object = \"home.html\"\n"));
    lab.up();
    let seen = lab.snapshot();
    let mut objects = seen.all("bucket").iter().flat_map(|it| it["Objects"].as_array().unwrap());
    assert!(objects.any(|it| it["Key"] == "home.html"), "{:?}", seen.all("bucket"));
}
