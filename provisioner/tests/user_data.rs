//! A host's first boot, for real: the script runs in bash, against a metadata service and a bucket that
//! this test serves. Only the paths that it writes to are moved into a folder of the test.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use provisioner::{engine::Value, user_data};
use sha2::{Digest, Sha256};

const AGENT: &str = "#!/bin/sh\necho \"$0 $*\" >\"${0%/*}/ran\"\n";

/// What a request must carry to be answered by the bucket, and how often it refuses first.
#[derive(Clone)]
struct Bucket {
    content: &'static str,
    refusals: usize,
}

struct Host {
    folder: tempfile::TempDir,
    address: String,
    fetched: Arc<AtomicUsize>,
}

fn sum(text: &str) -> String {
    Sha256::digest(text).iter().map(|it| format!("{it:02x}")).collect()
}

impl Host {
    fn with(bucket: Bucket) -> Host {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let fetched = Arc::new(AtomicUsize::new(0));
        let count = fetched.clone();
        // Ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &bucket, &count);
            }
        });
        Host { folder: tempfile::tempdir().unwrap(), address, fetched }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The script as the host gets it, with its paths moved.
    fn script(&self, sha256: &str) -> String {
        let script = user_data::script(&user_data::Agent {
            stack: "lab-vpc",
            region: "ap-northeast-2",
            bucket: "artefacts",
            sha256: sha256.into(),
            endpoint: Some(&self.address),
            ca: None,
        });
        let script = script.unwrap();
        let at = |name: &str| self.path(name).to_string_lossy().into_owned();
        text(&script)
            .replace("/usr/local/bin/lampd", &at("lampd"))
            // A console takes what comes; a file would begin anew each time.
            .replace(">/dev/console", &format!(">>{}", at("console")))
            .replace("patience=900", "patience=8")
            .replace("sleep 3", "sleep 0.1")
    }

    /// Boots with these programs on the path beside the usual ones.
    fn boot(&self, sha256: &str) -> Output {
        fs::write(self.path("console"), "").unwrap();
        fs::write(self.path("user-data.sh"), self.script(sha256)).unwrap();
        Command::new("bash")
            .arg(self.path("user-data.sh"))
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()))
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &self.address)
            .output()
            .unwrap()
    }

    fn console(&self) -> String {
        fs::read_to_string(self.path("console")).unwrap()
    }

    fn ran(&self) -> String {
        fs::read_to_string(self.path("ran")).unwrap_or_default()
    }

    fn fetched(&self) -> usize {
        self.fetched.load(Ordering::Relaxed)
    }
}

fn text(it: &Value) -> String {
    match it {
        Value::Text(text) => text.clone(),
        Value::Of(..) => String::new(),
        Value::Join(parts) => parts.iter().map(text).collect(),
    }
}

fn program(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The metadata service and the bucket.
fn answer(mut stream: TcpStream, bucket: &Bucket, fetched: &AtomicUsize) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut first = String::new();
    reader.read_line(&mut first).unwrap();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap() == 0 || line == "\r\n" {
            break;
        }
        let (key, value) = line.trim_end().split_once(": ").unwrap_or((line.trim_end(), ""));
        headers.insert(key.to_lowercase(), value.to_owned());
    }
    let header = |key: &str| headers.get(key).map(String::as_str).unwrap_or_default();
    let has_token = header("x-aws-ec2-metadata-token") == "t0ken";
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (status, body) = match (method, path) {
        ("PUT", "/latest/api/token") if header("x-aws-ec2-metadata-token-ttl-seconds") == "300" => {
            (200, "t0ken".to_owned())
        }
        ("GET", "/latest/meta-data/iam/security-credentials/") if has_token => (200, "lab-host".to_owned()),
        ("GET", "/latest/meta-data/iam/security-credentials/lab-host") if has_token => (
            200,
            "{\n  \"Code\" : \"Success\",\n  \"AccessKeyId\" : \"ASIA1\",\n  \"SecretAccessKey\" : \"s3/cr+et\",\n  \"Token\" : \"ses/sion==\"\n}".to_owned(),
        ),
        ("GET", path) if path.starts_with("/artefacts/") => {
            let signed = header("authorization");
            let is_signed = signed.starts_with("AWS4-HMAC-SHA256 Credential=ASIA1/")
                && signed.contains("/ap-northeast-2/s3/aws4_request")
                && signed.contains("x-amz-security-token")
                && header("x-amz-security-token") == "ses/sion==";
            match is_signed {
                true if fetched.fetch_add(1, Ordering::Relaxed) < bucket.refusals => (403, "not yet".to_owned()),
                true => (200, bucket.content.to_owned()),
                false => (400, format!("unsigned: {signed}")),
            }
        }
        _ => (404, String::new()),
    };
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.read(&mut [0; 64]);
}

#[test]
fn the_agent_is_fetched_with_the_hosts_role_verified_and_started() {
    let host = Host::with(Bucket { content: AGENT, refusals: 0 });
    let out = host.boot(&sum(AGENT));
    assert!(out.status.success(), "{out:?}");
    assert_eq!(fs::read_to_string(host.path("lampd")).unwrap(), AGENT);
    assert_eq!(fs::metadata(host.path("lampd")).unwrap().permissions().mode() & 0o777, 0o755);
    let ran = host.ran();
    let wanted = format!("install --region ap-northeast-2 --stack lab-vpc --endpoint {}\n", host.address);
    assert!(ran.ends_with(&wanted), "{ran}");
    let console = host.console();
    assert!(console.contains("is installed"), "{console}");
    assert!(!console.contains("s3/cr+et") && !String::from_utf8_lossy(&out.stderr).contains("s3/cr+et"));
}

#[test]
fn a_program_with_another_sum_is_refused_loudly_and_never_run() {
    let host = Host::with(Bucket { content: "#!/bin/sh\necho evil\n", refusals: 0 });
    let out = host.boot(&sum(AGENT));
    assert_eq!(out.status.code(), Some(1));
    let console = host.console();
    assert!(console.contains("lamp: FAILED: s3://artefacts/"), "{console}");
    assert!(console.contains(&format!("instead of {}", sum(AGENT))), "{console}");
    assert!(String::from_utf8_lossy(&out.stderr).contains("FAILED"));
    assert_eq!(host.ran(), "");
    // Nothing is left where the next boot might take it for the agent.
    let left = fs::read_dir(host.folder.path()).unwrap().map(|it| it.unwrap().file_name());
    let left: Vec<_> = left.filter(|it| it.to_string_lossy().starts_with("lampd")).collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(host.fetched(), 1, "a wrong sum does not get right by asking again");
}

#[test]
fn a_role_that_is_not_known_yet_is_waited_for() {
    let host = Host::with(Bucket { content: AGENT, refusals: 3 });
    let out = host.boot(&sum(AGENT));
    assert!(out.status.success(), "{out:?}");
    assert_eq!(host.fetched(), 4);
    assert_eq!(host.console().matches("not yet: ").count(), 1, "{}", host.console());
}

#[test]
fn a_bucket_that_never_answers_is_given_up_on_loudly() {
    let host = Host::with(Bucket { content: AGENT, refusals: usize::MAX });
    let out = host.boot(&sum(AGENT));
    assert_eq!(out.status.code(), Some(1));
    let console = host.console();
    assert!(console.contains("FAILED: fetching s3://artefacts/") && console.contains("403"), "{console}");
}

#[test]
fn an_image_that_has_the_agent_fetches_nothing() {
    let host = Host::with(Bucket { content: AGENT, refusals: 0 });
    program(&host.path("lampd"), AGENT);
    let out = host.boot(&sum(AGENT));
    assert!(out.status.success(), "{out:?}");
    assert_eq!(host.fetched(), 0);
    assert!(host.ran().contains("install --region"));
    // Another version replaces it.
    let host = Host::with(Bucket { content: AGENT, refusals: 0 });
    program(&host.path("lampd"), "#!/bin/sh\nexit 3\n");
    assert!(host.boot(&sum(AGENT)).status.success());
    assert_eq!(host.fetched(), 1);
}

#[test]
fn the_aws_program_is_used_where_there_is_one() {
    let host = Host::with(Bucket { content: AGENT, refusals: 0 });
    let aws = format!(
        "#!/bin/bash\necho \"$*\" >'{}'\nprintf '%s' '{}' >\"${{@: -1}}\"\n",
        host.path("asked").display(),
        AGENT.trim_end_matches('\n')
    );
    program(&host.path("bin/aws"), &aws);
    let out = host.boot(&sum(AGENT.trim_end_matches('\n')));
    assert!(out.status.success(), "{out:?}");
    let asked = fs::read_to_string(host.path("asked")).unwrap();
    let key = format!("--bucket artefacts --key {}/lampd", sum(AGENT.trim_end_matches('\n')));
    assert!(asked.starts_with("s3api get-object --region ap-northeast-2 --endpoint-url http://"), "{asked}");
    assert!(asked.contains(&key), "{asked}");
    assert_eq!(host.fetched(), 0);
}

#[test]
fn a_curl_that_cannot_sign_is_replaced_by_the_aws_program() {
    let host = Host::with(Bucket { content: AGENT, refusals: 0 });
    let content = AGENT.trim_end_matches('\n');
    let aws = format!("#!/bin/bash\nprintf '%s' '{content}' >\"${{@: -1}}\"\n");
    program(&host.path("bin/curl"), "#!/bin/sh\necho 'curl 7.81.0 (x86_64-pc-linux-gnu) libcurl/7.81.0'\n");
    program(&host.path("aws"), &aws);
    // Another package manager is at work at first.
    let apt = format!(
        "#!/bin/sh\necho \"$*\" >>'{0}/apt'\n[ $(wc -l <'{0}/apt') -gt 2 ] || {{ echo 'E: no lock' >&2; exit 100; }}\n\
         [ \"$4\" = update ] || mv '{0}/aws' '{0}/bin/aws'\n",
        host.folder.path().display()
    );
    program(&host.path("bin/apt-get"), &apt);
    let out = host.boot(&sum(content));
    assert!(out.status.success(), "{out:?}");
    let asked = fs::read_to_string(host.path("apt")).unwrap();
    let verbs: Vec<_> = asked.lines().map(|it| it.split_once("Timeout=120 ").unwrap().1).collect();
    assert_eq!(verbs, ["update", "update", "update", "install awscli"]);
    assert_eq!(host.console().matches("not yet: E: no lock").count(), 1, "{}", host.console());
    assert!(host.ran().contains("install --region"), "{}", host.console());
    assert_eq!(host.fetched(), 0);
}

#[test]
fn an_agent_that_cannot_set_itself_up_fails_the_boot() {
    const BROKEN: &str = "#!/bin/sh\nexit 7\n";
    let host = Host::with(Bucket { content: BROKEN, refusals: 0 });
    let out = host.boot(&sum(BROKEN));
    assert_eq!(out.status.code(), Some(1));
    assert!(host.console().contains("ended with 7"), "{}", host.console());
}
