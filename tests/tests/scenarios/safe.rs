//! Safe as built, and each unsafe choice of the lab's where it was asked for.

use scenarios::lab::undisturbed;
use scenarios::{Lab, Snapshot};
use serde_json::{Value, json};

/// The one resource of a kind whose field says so.
#[track_caller]
fn with<'a>(account: &'a Snapshot, kind: &str, key: &str, value: &str) -> &'a Value {
    let found: Vec<_> = account.all(kind).iter().filter(|it| it[key] == value).collect();
    assert_eq!(found.len(), 1, "{kind} with {key} {value}");
    found[0]
}

/// What comes into a group, one source each: `tcp 80 10.0.0.0/8` or `tcp 80 public-ec2-sg`.
fn inbound(account: &Snapshot, group: &str) -> Vec<String> {
    let group = with(account, "security-group", "GroupName", group);
    let name =
        |id: &Value| with(account, "security-group", "GroupId", id.as_str().unwrap())["GroupName"].clone();
    let list = |it: &Value| it.as_array().cloned().unwrap_or_default();
    let mut all = Vec::new();
    for it in list(&group["IpPermissions"]) {
        assert_eq!(it["FromPort"], it["ToPort"], "{it}");
        let ranges = list(&it["IpRanges"]).into_iter().map(|it| it["CidrIp"].clone());
        let groups = list(&it["UserIdGroupPairs"]).into_iter().map(|it| name(&it["GroupId"]));
        let line = |source: Value| {
            format!("{} {} {}", it["IpProtocol"].as_str().unwrap(), it["FromPort"], source.as_str().unwrap())
        };
        all.extend(ranges.chain(groups).map(line));
    }
    all.sort();
    all
}

/// Whether a balancer drops malformed headers. An emulator leaves out what nobody set.
fn drops_invalid_headers(it: &Value) -> bool {
    let drops = json!({ "Key": "routing.http.drop_invalid_header_fields.enabled", "Value": "true" });
    it["Attributes"].as_array().unwrap().contains(&drops)
}

fn parameter(account: &Snapshot, name: &str) -> Option<String> {
    let groups = account.all("db-parameter-group").iter();
    let set = groups.flat_map(|it| it["Parameters"].as_array().cloned().unwrap_or_default());
    set.into_iter()
        .find(|it| it["ParameterName"] == name)
        .map(|it| it["ParameterValue"].as_str().unwrap().to_owned())
}

/// The group that the stack's VPC came with.
fn default_group(account: &Snapshot) -> &Value {
    let vpc = &account.one("vpc", "lab-vpc")["VpcId"];
    let mut groups = account.all("security-group").iter();
    groups.find(|it| it["GroupName"] == "default" && it["VpcId"] == *vpc).unwrap()
}

#[test]
fn apache_answers_everything_but_the_index_which_is_the_agents() {
    let account = &undisturbed().snapshot;
    for name in ["lab-vpc-alb-public", "lab-vpc-alb-private", "lab-vpc-alb-asg"] {
        let balancer = with(account, "load-balancer", "LoadBalancerName", name);
        let group =
            |suffix: &str| with(account, "target-group", "TargetGroupName", &format!("{name}{suffix}"));
        for (suffix, port, path) in [("-tg", 80, "/lamp-ready"), ("-index-tg", 8080, "/healthz")] {
            let it = group(suffix);
            assert_eq!((&it["Protocol"], &it["Port"]), (&json!("HTTP"), &json!(port)), "{it}");
            assert_eq!(
                (&it["HealthCheckPath"], &it["HealthCheckPort"]),
                (&json!(path), &json!("traffic-port"))
            );
            for target in it["Targets"].as_array().unwrap() {
                assert_eq!(target["Port"], port, "{it}");
            }
            assert_eq!(it["Targets"].as_array().unwrap().len(), 2, "{it}");
        }
        let arn = balancer["LoadBalancerArn"].as_str().unwrap();
        let listener = with(account, "listener", "LoadBalancerArn", arn);
        assert_eq!((&listener["Protocol"], &listener["Port"]), (&json!("HTTP"), &json!(80)));
        let forwards = |it: &Value, actions: &str| it[actions][0]["TargetGroupArn"].clone();
        assert_eq!(forwards(listener, "DefaultActions"), group("-tg")["TargetGroupArn"]);
        let rules = account.all("listener-rule").iter();
        let rules: Vec<_> = rules
            .filter(|it| it["ListenerArn"] == listener["ListenerArn"] && it["IsDefault"] == false)
            .collect();
        assert_eq!(rules.len(), 1, "{rules:?}");
        let conditions = rules[0]["Conditions"].as_array().unwrap();
        assert_eq!(conditions.len(), 1, "{conditions:?}");
        assert_eq!(conditions[0]["Field"], "path-pattern");
        assert_eq!(conditions[0]["PathPatternConfig"]["Values"], json!(["/"]), "{conditions:?}");
        assert_eq!(forwards(rules[0], "Actions"), group("-index-tg")["TargetGroupArn"]);
        assert_eq!(inbound(account, &format!("{name}-sg")), ["tcp 80 0.0.0.0/0"]);
    }
    let (public, private, scaling) =
        ("lab-vpc-alb-public-sg", "lab-vpc-alb-private-sg", "lab-vpc-alb-asg-sg");
    let both = |group: &str| [format!("tcp 80 {group}"), format!("tcp 8080 {group}")];
    assert_eq!(inbound(account, "public-ec2-sg"), both(public), "SSH is closed");
    let mut want =
        [both(private), both(scaling), ["tcp 22 public-ec2-sg".to_owned(), String::new()]].concat();
    want.retain(|it| !it.is_empty());
    want.sort();
    assert_eq!(inbound(account, "private-ec2-sg"), want);
    assert_eq!(inbound(account, "lab-vpc-efs-sg"), ["tcp 2049 private-ec2-sg", "tcp 2049 public-ec2-sg"]);
    assert_eq!(inbound(account, "lab-vpc-rds-sg"), ["tcp 3306 private-ec2-sg", "tcp 3306 public-ec2-sg"]);
}

#[test]
fn what_is_built_is_safe_unless_asked_otherwise() {
    let account = &undisturbed().snapshot;
    let config = &account.all("distribution")[0]["DistributionConfig"];
    assert_eq!(config["DefaultCacheBehavior"]["ViewerProtocolPolicy"], "redirect-to-https", "{config}");
    // CloudFront's own certificate brings its own minimum, which it does not let anybody change.
    assert_eq!(config["ViewerCertificate"]["CloudFrontDefaultCertificate"], true, "{config}");
    let access = &account.all("origin-access-control")[0];
    assert_eq!((&access["SigningBehavior"], &access["SigningProtocol"]), (&json!("always"), &json!("sigv4")));
    for it in account.all("load-balancer") {
        assert!(drops_invalid_headers(it), "{it}");
    }
    assert_eq!(parameter(account, "require_secure_transport").as_deref(), Some("1"));
    let default = default_group(account);
    assert_eq!((&default["IpPermissions"], &default["IpPermissionsEgress"]), (&json!([]), &json!([])));
    for it in account.all("database") {
        assert_eq!(
            (&it["StorageEncrypted"], &it["CopyTagsToSnapshot"]),
            (&json!(true), &json!(true)),
            "{it}"
        );
    }
    let endpoint: Value =
        serde_json::from_str(account.all("endpoint")[0]["PolicyDocument"].as_str().unwrap()).unwrap();
    let statements = endpoint["Statement"].as_array().unwrap();
    let own = statements
        .iter()
        .find(|it| it["Condition"]["StringEquals"]["aws:PrincipalAccount"] == json!(["123456789012"]))
        .unwrap();
    assert!(
        own["Resource"].as_array().unwrap().iter().all(|it| it.to_string().contains("lab-vpc-")),
        "{own}"
    );
    let others: Vec<_> = statements.iter().filter(|it| *it != own).collect();
    assert_eq!(others.len(), 1, "{endpoint}");
    assert_eq!((&others[0]["Action"], &others[0]["Effect"]), (&json!(["s3:GetObject"]), &json!("Allow")));
    assert_eq!(others[0]["Resource"], json!(["arn:aws:s3:::al2023-repos-ap-northeast-2-de612dc2/*"]));
}

#[test]
fn a_certificate_of_ones_own_is_shown_with_tls_1_2_or_newer() {
    let lab = Lab::new(
        "[parts]\nnetwork = false\npublic_hosts = false\nprivate_hosts = false\nscaling_group = false\nfiles = false\n\
         database = false\n\n[site]\naliases = [\"www.example.org\"]\n\
         certificate = \"arn:aws:acm:us-east-1:123456789012:certificate/0f1e2d3c\"\n",
    );
    lab.up();
    let account = lab.snapshot();
    let shown = &account.all("distribution")[0]["DistributionConfig"]["ViewerCertificate"];
    assert_eq!(shown["MinimumProtocolVersion"], "TLSv1.2_2021", "{shown}");
}

#[test]
fn every_unsafe_choice_is_built_where_it_is_asked_for() {
    let choices = [
        "ssh_from_anywhere",
        "web_from_anywhere",
        "metadata_v1",
        "unencrypted_volumes",
        "unencrypted_files",
        "unencrypted_database",
        "database_open_to_vpc",
        "database_without_tls",
        "public_website",
        "site_over_http",
        "keep_invalid_headers",
        "keep_default_group",
    ];
    // Who adds one adds it here as well.
    let schema: Value = serde_json::from_str(&Lab::new("").lamp("init --schema").ok().stdout).unwrap();
    let known = schema["properties"]["unsafe_choices"]["properties"].as_object().unwrap();
    assert_eq!(known.len(), choices.len(), "{:?}", known.keys());
    let all: String = choices.iter().map(|it| format!("{it} = true\n")).collect();
    let lab = Lab::new(&format!("[unsafe_choices]\n{all}"));
    lab.up();
    lab.lamp("--on aws plan").ok();
    let account = lab.snapshot();
    let public = inbound(&account, "public-ec2-sg");
    for port in [22, 80, 443] {
        assert!(public.contains(&format!("tcp {port} 0.0.0.0/0")), "{port}: {public:?}");
    }
    let private = inbound(&account, "private-ec2-sg");
    assert!(private.contains(&"tcp 80 0.0.0.0/0".to_owned()), "{private:?}");
    assert!(!private.contains(&"tcp 22 0.0.0.0/0".to_owned()), "{private:?}");
    assert_eq!(inbound(&account, "lab-vpc-rds-sg"), ["tcp 3306 10.1.0.0/16"]);
    let template = &account.all("launch-template")[0]["Versions"][0]["LaunchTemplateData"];
    assert_eq!(template["MetadataOptions"]["HttpTokens"], "optional", "{template}");
    assert_ne!(template["BlockDeviceMappings"][0]["Ebs"]["Encrypted"], true, "{template}");
    let host = account.one("instance", "instance/private-ec2-a1");
    assert_eq!(host["MetadataOptions"]["HttpTokens"], "optional", "{host}");
    let mut volumes = account.all("volume").iter();
    let volume = volumes.find(|it| it["Attachments"][0]["InstanceId"] == host["InstanceId"]).unwrap();
    assert_eq!(volume["Encrypted"], false, "{volume}");
    assert_eq!(account.all("file-system")[0]["Encrypted"], false);
    for it in account.all("database") {
        assert_eq!(it["StorageEncrypted"], false, "{it}");
    }
    assert_eq!(parameter(&account, "require_secure_transport"), None);
    assert_eq!(account.one("parameter", "/lamp/lab-vpc/db/tls")["Value"], "off");
    let site = account.all("bucket").iter().find(|it| it["Name"].to_string().contains("-site-")).unwrap();
    assert_eq!(site["Website"]["IndexDocument"]["Suffix"], "index.html", "{site}");
    assert!(site["Public"].as_object().is_none_or(|it| it.values().all(|it| it == false)), "{site}");
    assert_eq!(site["Policy"]["Statement"][0]["Sid"], "PublicReadGetObject", "{site}");
    let artefacts =
        account.all("bucket").iter().find(|it| it["Name"].to_string().contains("-artefacts-")).unwrap();
    assert!(
        artefacts["Public"].as_object().is_some_and(|it| it.values().all(|it| it == true)),
        "{artefacts}"
    );
    let config = &account.all("distribution")[0]["DistributionConfig"];
    assert_eq!(config["DefaultCacheBehavior"]["ViewerProtocolPolicy"], "allow-all", "{config}");
    for it in account.all("load-balancer") {
        assert!(!drops_invalid_headers(it), "{it}");
    }
    assert_ne!(default_group(&account)["IpPermissionsEgress"], json!([]), "as AWS made it");
    lab.down();
    lab.assert_nothing_left("after down of the unsafe stack");
}
