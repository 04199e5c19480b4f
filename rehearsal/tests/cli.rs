//! `lamp rehearsal …` as an operator types it.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests are tests")]

#[path = "door/aws.rs"]
#[allow(dead_code, reason = "not every test needs all of it")]
mod aws;

use std::time::{Duration, Instant};

use aws::{Aws, code};
use aws_sdk_ssm::types::Target;
use clap::Parser;
use rehearsal::State;
use rehearsal::cli::Command;

#[derive(Parser)]
struct Lamp {
    #[command(subcommand)]
    command: Command,
}

/// The exit code and what was printed, or the error.
fn lamp(state: &State, words: &str) -> Result<(i32, String), String> {
    let words = ["lamp-rehearsal"].into_iter().chain(words.split(' '));
    let command = Lamp::try_parse_from(words).map_err(|err| err.to_string())?.command;
    let mut out = Vec::new();
    let code = command.run(state, &mut out).map_err(|err| format!("{err:#}"))?;
    Ok((code, String::from_utf8(out).unwrap()))
}

/// Images are shared with the other tests; the cloud's own socket and lock are not.
fn own_state() -> (tempfile::TempDir, State) {
    let shared = State::from_env();
    let dir = tempfile::tempdir_in(shared.dir()).unwrap();
    for it in ["images", "packages"] {
        std::fs::create_dir_all(shared.dir().join(it)).unwrap();
        std::os::unix::fs::symlink(shared.dir().join(it), dir.path().join(it)).unwrap();
    }
    let state = State::at(dir.path());
    (dir, state)
}

/// Stops the cloud even if its test fails.
struct Running<'a>(&'a State);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let _ = lamp(self.0, "stop");
    }
}

#[track_caller]
fn until(state: &State, what: &str, words: &str, is_so: impl Fn(i32, &str) -> bool) {
    let began = Instant::now();
    loop {
        let said = lamp(state, words);
        if said.as_ref().is_ok_and(|it| is_so(it.0, &it.1)) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(180), "waited 3 minutes until {what}: {said:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn two_starts_at_once_find_the_same_cloud() {
    let (_dir, state) = own_state();
    let both = std::thread::scope(|scope| {
        let start = || scope.spawn(|| lamp(&state, "start --port 0").unwrap());
        [start(), start()].map(|it| it.join().unwrap())
    });
    let last = |text: &str| text.lines().last().unwrap_or_default().to_owned();
    assert_eq!((both[0].0, both[1].0), (0, 0), "{both:?}");
    assert_eq!(last(&both[0].1), last(&both[1].1));
    lamp(&state, "stop").unwrap();
}

#[test]
fn a_cloud_that_is_only_beginning_is_stopped_too() {
    let (dir, state) = own_state();
    std::thread::scope(|scope| {
        let start = scope.spawn(|| lamp(&state, "start --port 0"));
        let noted = || std::fs::read_to_string(dir.path().join("cloud.lock")).unwrap_or_default();
        let began = Instant::now();
        while noted().is_empty() {
            assert!(began.elapsed() < Duration::from_secs(60), "nobody holds the lock");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(lamp(&state, "stop").unwrap(), (0, "the cloud is gone\n".to_owned()));
        // Unless it was quick, it hears that it was ended.
        let _ = start.join().unwrap();
    });
    assert_eq!(lamp(&state, "stop").unwrap(), (0, "no rehearsal cloud runs\n".to_owned()));
    let regions = || std::fs::read_dir(dir.path().join("regions")).map_or(0, Iterator::count);
    let began = Instant::now();
    while regions() > 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "a region is left");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn the_cloud_knows_where_the_systemd_of_its_user_is() {
    let (dir, _) = own_state();
    let own = std::env::current_exe().unwrap();
    let again = std::process::Command::new(own)
        .args(["--ignored", "--exact", "a_start_in_an_environment"])
        .env("LAMP_STATE", dir.path())
        .env("XDG_RUNTIME_DIR", "/run/user/of-this-test")
        .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/run/user/of-this-test/bus")
        .output()
        .unwrap();
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stdout));
}

#[test]
#[ignore = "the test above runs it, in an environment of its own"]
fn a_start_in_an_environment() {
    let state = State::from_env();
    lamp(&state, "start --port 0").unwrap();
    let dir = state.dir().display().to_string();
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let all = all.filter_map(|it| std::fs::read(it.path().join("environ")).ok());
    let all = all.map(|it| String::from_utf8_lossy(&it).into_owned());
    let cloud = all.into_iter().find(|it| it.contains("\"Cloud\"") && it.contains(&dir)).unwrap();
    lamp(&state, "stop").unwrap();
    for key in ["XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"] {
        let line = format!("{key}={}", std::env::var(key).unwrap());
        assert!(cloud.split('\0').any(|it| it == line), "{cloud}");
    }
}

#[test]
fn the_cloud_starts_once_answers_and_stops_without_a_trace() {
    let (dir, state) = own_state();
    let err = lamp(&state, "status").unwrap_err();
    assert!(err.contains("`lamp rehearsal start` starts it"), "{err}");
    assert_eq!(lamp(&state, "stop").unwrap(), (0, "no rehearsal cloud runs\n".to_owned()));
    let (code, said) = lamp(&state, "start --port 0 --clock 120").unwrap();
    assert!(code == 0 && said.contains("AWS_ENDPOINT_URL=http://127.0.0.1:"), "{said}");
    assert!(said.contains("ap-northeast-2, 120 times AWS's pace"), "{said}");
    // Twice is harmless; and nobody is given another cloud than the one that was asked for.
    let last = |text: &str| text.lines().last().unwrap_or_default().to_owned();
    assert_eq!(last(&lamp(&state, "start --port 0").unwrap().1), last(&said));
    let err = lamp(&state, "start --region us-east-1").unwrap_err();
    assert!(err.contains("plays ap-northeast-2, not us-east-1"), "{err}");
    let (code, said) = lamp(&state, "status").unwrap();
    assert!(code == 0 && said.starts_with("interface  http://127.0.0.1:"), "{said}");
    assert!(said.contains(" CPU seconds, "), "{said}");
    assert!(lamp(&state, "status --json").unwrap().1.contains("\"instances\": {}"));
    assert_eq!(lamp(&state, "curl -sf -o /dev/null http://198.51.100.1:4566/moto-api/").unwrap().0, 0);
    assert!(lamp(&state, "exec nobody true").unwrap_err().contains("there is no host nobody"));
    assert!(lamp(&state, "open nothing").unwrap_err().contains("there is no load balancer nothing"));
    assert!(lamp(&state, "connect 198.51.100.1 9").unwrap_err().contains("connecting to 198.51.100.1:9"));
    assert!(lamp(&state, "break database none").unwrap_err().contains("there is no database none"));
    assert!(lamp(&state, "break replica none").unwrap_err().contains("there is no replica none"));
    assert!(lamp(&state, "break link").unwrap_err().contains("NAME"));
    assert!(lamp(&state, "break metadata --for soon").unwrap_err().contains("30, 30s, 2m, 1h"));
    assert!(lamp(&state, "break zone nowhere").unwrap_err().contains("there is nothing in zone nowhere"));
    assert!(lamp(&state, "mend zone nowhere").unwrap_err().contains("zone nowhere is not broken"));
    assert!(lamp(&state, "break filesystem none").unwrap_err().contains("there is no file system none"));
    let region = std::fs::read_dir(dir.path().join("regions")).unwrap().next().unwrap().unwrap().path();
    assert_eq!(lamp(&state, "stop").unwrap(), (0, "the cloud is gone\n".to_owned()));
    assert!(!region.exists());
    assert!(lamp(&state, "status").is_err());
    assert_eq!(lamp(&state, "doctor").unwrap().0, 0);
}

/// The code that a call is refused with, if it is.
async fn calls(aws: &Aws) -> Option<String> {
    let said = aws.ec2.describe_volumes().send().await;
    if said.is_ok() { None } else { Some(code(said)) }
}

#[test]
fn what_is_broken_as_typed_breaks_and_heals() {
    let (_dir, state) = own_state();
    let (_, said) = lamp(&state, "start --port 0 --clock 120").unwrap();
    let _running = Running(&state);
    let aws = Aws::new(said.rsplit_once("AWS_ENDPOINT_URL=").unwrap().1.trim());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (system, subnet) = runtime.block_on(async {
        let vpc = aws.vpc("10.1.0.0/16").await;
        let a = aws.subnet(&vpc, "10.1.1.0/24", "ap-northeast-2a").await;
        let c = aws.subnet(&vpc, "10.1.2.0/24", "ap-northeast-2c").await;
        aws.profile("managed", r#"["ssm:UpdateInstanceInformation","ssmmessages:*"]"#).await;
        aws.host(&a, "web-a", Some("managed")).await;
        aws.host(&c, "web-c", None).await;
        let tag = aws_sdk_efs::types::Tag::builder().key("Name").value("lab-efs").build().unwrap();
        let system = aws.efs.create_file_system().creation_token("lab").tags(tag).send().await.unwrap();
        let system = system.file_system_id().to_owned();
        let files = aws.group(&vpc, "files").await;
        let allow = aws.ec2.authorize_security_group_ingress().group_id(&files).ip_protocol("tcp");
        allow.from_port(2049).to_port(2049).cidr_ip("10.1.0.0/16").send().await.unwrap();
        for subnet in [&a, &c] {
            let target = aws.efs.create_mount_target().file_system_id(&system).subnet_id(subnet);
            target.security_groups(&files).send().await.unwrap();
        }
        (system, a)
    });
    for name in ["web-a", "web-c"] {
        until(&state, "it runs", &format!("exec {name} systemctl is-system-running"), |code, _| code == 0);
    }
    until(&state, "it is shown", "status", |_, it| it.contains("mount targets: 2  lab-efs"));

    // A timer mends its own break: a shorter one that is older leaves a later break alone.
    let throttled = || runtime.block_on(calls(&aws)).as_deref() == Some("RequestLimitExceeded");
    lamp(&state, "break throttling DescribeVolumes --for 1s").unwrap();
    lamp(&state, "break throttling DescribeVpcs --for 1").unwrap();
    lamp(&state, "break throttling DescribeVolumes --for 1h").unwrap();
    let vpcs = || runtime.block_on(aws.ec2.describe_vpcs().send()).is_ok();
    let began = Instant::now();
    while !vpcs() {
        assert!(began.elapsed() < Duration::from_secs(60), "nobody mended it");
    }
    assert!(throttled());
    lamp(&state, "mend throttling").unwrap();
    assert!(!throttled());
    for (what, refusal) in [
        ("internal-errors", "InternalFailure"),
        ("auth-failures", "AuthFailure"),
        ("capacity", "InsufficientInstanceCapacity"),
        ("lost-answers", "an answer without a code"),
    ] {
        lamp(&state, &format!("break {what} DescribeVolumes")).unwrap();
        assert_eq!(runtime.block_on(calls(&aws)).as_deref(), Some(refusal));
        lamp(&state, &format!("mend {what} DescribeVolumes")).unwrap();
        assert_eq!(runtime.block_on(calls(&aws)), None);
    }
    // Both for some seconds, which a slow machine may miss once.
    let knows_the_new = || {
        let list = || runtime.block_on(aws.ec2.describe_internet_gateways().send()).unwrap();
        let before = list().internet_gateways().len();
        runtime.block_on(aws.ec2.create_internet_gateway().send()).unwrap();
        list().internet_gateways().len() > before
    };
    for what in ["unseen", "stale-lists"] {
        lamp(&state, &format!("break {what}")).unwrap();
        assert!((0..9).any(|_| !knows_the_new()), "{what}");
        lamp(&state, &format!("mend {what}")).unwrap();
        assert!(knows_the_new(), "{what}");
    }
    assert!(lamp(&state, "logs").unwrap().1.contains("ec2 DescribeVolumes - 503 Throttling"));
    assert!(!lamp(&state, "console web-a").unwrap().1.is_empty());

    let reaches = |it: &str| lamp(&state, it).is_ok_and(|it| it.0 == 0);
    // Names, and the cable that leads to whoever knows them; a timer mends as well as a word.
    let resolve = |host: &str| format!("exec {host} getent hosts {system}.efs.ap-northeast-2.amazonaws.com");
    until(&state, "the name is known", &resolve("web-c"), |code, _| code == 0);
    lamp(&state, "break names").unwrap();
    assert!(!reaches(&resolve("web-c")));
    lamp(&state, "mend names").unwrap();
    until(&state, "names are known again", &resolve("web-c"), |code, _| code == 0);
    lamp(&state, "break link web-c --for 20s").unwrap();
    assert!(!reaches(&resolve("web-c")));
    until(&state, "the cable is back", &resolve("web-c"), |code, _| code == 0);

    let asks = "exec web-c curl -s -m 3 -o /dev/null http://169.254.169.254/";
    assert!(reaches(asks));
    lamp(&state, "break metadata").unwrap();
    assert!(!reaches(asks));
    lamp(&state, "mend metadata").unwrap();
    assert!(reaches(asks));
    // A host that lost its power gets it back when that is said, or when the time is over.
    lamp(&state, "break instance web-c --for 10s").unwrap();
    assert!(!reaches("exec web-c true"));
    until(&state, "it is back by itself", "exec web-c true", |code, _| code == 0);
    lamp(&state, "break instance web-c").unwrap();
    assert!(!reaches("exec web-c true"));
    lamp(&state, "mend instance web-c").unwrap();
    assert!(reaches("exec web-c true"));

    // Systems Manager: it has lost whom it knew, and what is sent arrives when it is back.
    let ping = || {
        let said = runtime.block_on(aws.ssm.describe_instance_information().send()).unwrap();
        said.instance_information_list()[0].ping_status().unwrap().as_str().to_owned()
    };
    assert_eq!(ping(), "Online");
    lamp(&state, "break ssm").unwrap();
    assert_eq!(ping(), "ConnectionLost");
    let send = aws.ssm.send_command().document_name("AWS-RunShellScript");
    let send = send.targets(Target::builder().key("tag:Name").values("web-a").build());
    let send = send.parameters("commands", vec!["touch /root/sent".to_owned()]).send();
    assert_eq!(runtime.block_on(send).unwrap().command().unwrap().target_count(), 1);
    assert!(!reaches("exec web-a test -e /root/sent"));
    lamp(&state, "mend ssm").unwrap();
    assert_eq!(ping(), "Online");
    until(&state, "it has arrived", "exec web-a test -e /root/sent", |code, _| code == 0);

    // A file system by its name: nobody can mount it.
    let mount = format!("exec web-a mount -t efs -o tls {system}:/ /mnt");
    until(&state, "it can be mounted", &mount, |code, _| code == 0);
    assert!(reaches("exec web-a umount /mnt"));
    lamp(&state, "break filesystem lab-efs").unwrap();
    assert!(!reaches(&mount));
    lamp(&state, "mend filesystem lab-efs").unwrap();
    until(&state, "it can be mounted again", &mount, |code, _| code == 0);

    // A zone: its host is dead, nothing starts there, and it comes back.
    lamp(&state, "break zone ap-northeast-2a").unwrap();
    until(&state, "it is shown", "status", |_, it| it.contains("broken     zone ap-northeast-2a"));
    assert!(!reaches("exec web-a true"));
    assert!(reaches("exec web-c true"));
    let launch = aws.ec2.run_instances().image_id("ami-0870825cefcaafcc8").min_count(1).max_count(1);
    let launch = runtime.block_on(launch.subnet_id(&subnet).send());
    assert_eq!(code(launch), "InsufficientInstanceCapacity");
    lamp(&state, "mend zone ap-northeast-2a").unwrap();
    until(&state, "it is back", "exec web-a true", |code, _| code == 0);
    assert!(!lamp(&state, "status").unwrap().1.contains("broken"));
}

#[test]
fn another_control_plane_takes_the_place_of_moto_by_its_url() {
    let (dir, state) = own_state();
    let own = std::env::current_exe().unwrap();
    let start = |url: &str| {
        let mut again = std::process::Command::new(&own);
        again.args(["--ignored", "--exact", "a_start_in_an_environment_of_its_own", "--nocapture"]);
        again.env("LAMP_STATE", dir.path()).env("LAMP_CONTROL_PLANE", url).output().unwrap()
    };
    let text = |it: &std::process::Output| {
        format!("{}{}", String::from_utf8_lossy(&it.stdout), String::from_utf8_lossy(&it.stderr))
    };
    let far = start("http://192.0.2.1:80");
    assert!(
        !far.status.success() && text(&far).contains("nothing beyond this machine is asked"),
        "{}",
        text(&far)
    );

    // One that this test has started, with something in it.
    let rehearsal::ControlPlane::Moto(venv) = rehearsal::ControlPlane::from_env() else {
        panic!("set for this test?")
    };
    let mut moto = std::process::Command::new(venv.join("bin/moto_server"));
    moto.args(["-H", "127.0.0.1", "-p", "0"])
        .env("PYTHONUNBUFFERED", "1")
        .stderr(std::process::Stdio::piped());
    let mut moto = moto.stdout(std::process::Stdio::null()).spawn().unwrap();
    let mut lines =
        std::io::BufRead::lines(std::io::BufReader::new(moto.stderr.take().unwrap())).map_while(Result::ok);
    let url = lines.find_map(|it| Some(it[it.find("http://127.0.0.1:")?..].trim().to_owned())).unwrap();
    std::thread::spawn(move || lines.for_each(drop));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let there = Aws::new(&url);
    let vpc = runtime.block_on(there.vpc("10.1.0.0/16"));

    let began = start(&url);
    let running = Running(&state);
    assert!(began.status.success(), "{}", text(&began));
    let said = text(&began);
    let endpoint = said.rsplit_once("AWS_ENDPOINT_URL=").unwrap().1.lines().next().unwrap();
    let seen = runtime.block_on(Aws::new(endpoint).ec2.describe_vpcs().vpc_ids(&vpc).send());
    assert_eq!(seen.unwrap().vpcs()[0].cidr_block(), Some("10.1.0.0/16"));
    drop(running);
    moto.kill().unwrap();
    moto.wait().unwrap();
}

#[test]
#[ignore = "the test above runs it, with another control plane"]
fn a_start_in_an_environment_of_its_own() {
    println!("{}", lamp(&State::from_env(), "start --port 0").unwrap().1);
}
