//! A wrong configuration is told with file, line, rule and remedy, all of it at once, before any call.

use std::fs;

use scenarios::Lab;

#[test]
fn every_mistake_is_told_at_once_and_nothing_is_called() {
    let lab = Lab::new(
        "stack = \"lab-vpc\"\nzones = [\"ap-northeast-2a\", \"us-east-1a\"]\nnonsense = 1\n\n[network]\n\
         public_cidrs = [\"10.1.1.0/24\", \"10.1.1.128/25\"]\nprivate_cidrs = [\"10.2.3.0/24\", \"10.1.4.0/29\"]\n\n\
         [scaling]\nmin = 5\ndesired = 2\nmax = 4\n",
    );
    for command in ["plan", "up --yes", "status", "down --yes"] {
        let run = lab.lamp(&format!("--on aws {command}")).expect(2);
        assert!(run.calls.is_empty(), "{command} called {:?}", run.calls);
    }
    let run = lab.lamp("--on aws plan").expect(2);
    let text = run.text();
    // File and line of each, and what is wrong there.
    for (line, word) in [
        (2, "us-east-1a"),
        (3, "nonsense"),
        (6, "10.1.1.128/25"),
        (7, "10.2.3.0/24"),
        (7, "10.1.4.0/29"),
        (10, "min"),
    ] {
        assert!(text.contains(word), "nothing says {word}: {run}");
        assert!(text.contains(&format!("lamp.toml:{line}:")), "nothing points to line {line}: {run}");
    }
}

#[test]
fn init_writes_the_lab_and_a_schema_and_overwrites_nothing() {
    let lab = Lab::new("");
    let empty: serde_json::Value =
        serde_json::from_str(&lab.lamp("--on aws plan --json").expect(2).stdout).unwrap();
    lab.lamp("init").expect(1).says(&["lamp.toml is there already"]);
    fs::remove_file(lab.path("lamp.toml")).unwrap();
    lab.lamp("init").ok();
    let written = fs::read_to_string(lab.path("lamp.toml")).unwrap();
    assert!(written.contains('#') && written.contains("10.1.0.0/16"), "{written}");
    // A fresh file is the lab as well; only the agent's place differs in these tests.
    fs::copy(scenarios::lamp::binary(), lab.path("lampd")).unwrap();
    fs::write(lab.path("lamp.toml"), written.replace("[agent]", "[agent]\nbinary = \"lampd\"")).unwrap();
    let full: serde_json::Value =
        serde_json::from_str(&lab.lamp("--on aws plan --json").expect(2).stdout).unwrap();
    let nodes = |it: &serde_json::Value| {
        let mut nodes: Vec<_> =
            it["steps"].as_array().unwrap().iter().map(|it| it["node"].to_string()).collect();
        nodes.retain(|it| !it.contains("artefact") && !it.contains("artifact"));
        nodes
    };
    assert_eq!(nodes(&full), nodes(&empty));
    lab.lamp("init --schema").ok();
}

#[test]
fn graph_needs_no_account() {
    let lab = Lab::new("");
    for (format, start) in [("mermaid", "flowchart"), ("dot", "digraph"), ("svg", "<svg")] {
        let run = lab.lamp(&format!("graph --format {format}")).ok();
        assert!(run.stdout.contains(start) && run.stdout.contains("lab-vpc-rds"), "{run}");
        assert!(run.calls.is_empty());
    }
}

#[test]
fn an_agent_that_no_host_could_start_is_refused() {
    let lab = Lab::new("");
    let built = fs::read(scenarios::lamp::binary().with_file_name("lampd")).unwrap();
    // As built on a newer system, and for another processor (AArch64 is 183 in ELF's `e_machine`).
    let newest = (0..=34).rev().map(|it| format!("GLIBC_2.{it}\0")).find(|it| find(&built, it).is_some());
    let newest = newest.unwrap();
    let (mut newer, mut other) = (built.clone(), built.clone());
    let at = find(&built, &newest).unwrap();
    newer[at..][..newest.len()].copy_from_slice(&newest.replace("2.", "9.").into_bytes());
    other[18..20].copy_from_slice(&183_u16.to_le_bytes());
    for (program, words) in [
        (newer, &["needs glibc 9.", "Amazon Linux 2023 has 2.34", "scripts/build-lampd"][..]),
        (other, &["built for arm64", "hosts.image is for x86_64"]),
    ] {
        fs::write(lab.path("lampd"), program).unwrap();
        lab.configure("[agent]\nbinary = \"lampd\"\n");
        for command in ["plan", "up --yes"] {
            let run = lab.lamp(&format!("--on aws {command}")).expect(1).says(words);
            assert!(run.changes().is_empty(), "{run}");
        }
    }
    fs::write(lab.path("lampd"), built).unwrap();
    lab.lamp("--on aws plan").expect(2);
}

fn find(bytes: &[u8], text: &str) -> Option<usize> {
    bytes.windows(text.len()).position(|it| it == text.as_bytes())
}
