//! The rules of ARCHITECTURE.md and CONTRIBUTING.md that a machine can check.

use std::path::{Path, PathBuf};

/// Every source file of a folder below the repository, with its text.
fn sources(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut folders = vec![root.join(folder)];
    let mut out = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path: PathBuf = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                out.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    out.sort();
    out
}

/// The lines of code below `folder` that contain any of `words`, except in files whose name starts with one of
/// `except`. What a file tests itself with does not count.
fn offences(folder: &str, words: &[&str], except: &[&str]) -> Vec<String> {
    let mut out = Vec::new();
    for (name, text) in sources(folder) {
        if except.iter().any(|it| name.starts_with(it)) {
            continue;
        }
        for (number, line) in code(&text) {
            if words.iter().any(|word| line.contains(word)) {
                out.push(format!("{name}:{number}: {}", line.trim()));
            }
        }
    }
    out
}

/// The numbered lines of a file that are neither comments nor its own tests. What `use crate::{a, b::{c, d}};` brings
/// is said as `use crate::a` and `use crate::b::{c, d}`, so that rules need to know one form alone.
fn code(text: &str) -> Vec<(usize, String)> {
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines.windows(2).position(|it| it[0] == "#[cfg(test)]" && it[1].ends_with('{'));
    let mut out = Vec::new();
    let mut group: Option<(usize, String)> = None;
    for (number, line) in lines.iter().take(tests.unwrap_or(lines.len())).enumerate() {
        let line = line.trim();
        match (&mut group, line.split_once("use crate::{")) {
            _ if line.starts_with("//") => (),
            (None, Some((_, rest))) => group = Some((number + 1, rest.to_owned())),
            (Some((_, inside)), _) => inside.push_str(line),
            (None, None) => out.push((number + 1, line.to_owned())),
        }
        if line.ends_with("};")
            && let Some((number, inside)) = group.take()
        {
            out.extend(members(&inside).map(|it| (number, format!("use crate::{it}"))));
        }
    }
    out
}

/// The parts of a list in braces, whatever lists they hold themselves.
fn members(inside: &str) -> impl Iterator<Item = String> {
    let mut depth = 0;
    let flat: String = inside
        .trim_end_matches("};")
        .chars()
        .map(|c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            if c == ',' && depth == 0 { '\n' } else { c }
        })
        .collect();
    let all: Vec<String> = flat.lines().map(|it| it.trim().to_owned()).filter(|it| !it.is_empty()).collect();
    all.into_iter()
}

#[test]
fn the_rules_see_through_lists_of_imports_and_past_a_line_for_tests() {
    let text = "#[cfg(test)]\nmod a;\nuse crate::{aws::{self, Aws}, kinds::Vpc,\n    ui};\n// crate::x\nf();\n#[cfg(test)]\nmod tests {\nuse crate::y;";
    let seen: Vec<String> = code(text).into_iter().map(|it| it.1).collect();
    assert_eq!(
        seen,
        [
            "#[cfg(test)]",
            "mod a;",
            "use crate::aws::{self, Aws}",
            "use crate::kinds::Vpc",
            "use crate::ui",
            "f();"
        ]
    );
}

#[track_caller]
fn none(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

const ALL: [&str; 5] = ["shared", "provisioner", "agent", "rehearsal", "tests"];

#[test]
fn every_file_says_what_it_is_for_and_has_one_subject() {
    let all = || ALL.into_iter().flat_map(sources);
    let silent = all().filter(|(_, text)| !text.starts_with("//!")).map(|it| it.0);
    none("files that do not open with a `//!` sentence", &silent.collect::<Vec<_>>());
    let long = all().map(|(name, text)| (name, text.lines().count())).filter(|it| it.1 > 400);
    let long: Vec<_> = long.map(|(name, lines)| format!("{name}: {lines} lines")).collect();
    none("files that have found a second subject", &long);
}

#[test]
fn dependencies_point_one_way() {
    let p = "provisioner/src";
    none(
        "the engine knows no kind and no stack",
        &offences(
            &format!("{p}/engine"),
            &["crate::kinds", "crate::stack", "crate::commands", "crate::ui", "crate::config"],
            &[],
        ),
    );
    none(
        "kinds know no stack",
        &offences(&format!("{p}/kinds"), &["crate::stack", "crate::commands", "crate::ui"], &[]),
    );
    none(
        "the configuration knows no AWS",
        &offences(&format!("{p}/config"), &["crate::aws", "aws_sdk_", "crate::engine", "crate::kinds"], &[]),
    );
    none(
        "the stack is pure",
        &offences(&format!("{p}/stack"), &["aws_sdk_", "async fn", "crate::commands", "crate::ui"], &[]),
    );
    none(
        "the renderers make no AWS call",
        &offences(&format!("{p}/ui"), &["aws_sdk_", "crate::kinds", "crate::commands"], &[]),
    );
    none(
        "only aws, kinds, the sweep and the lock's place call AWS",
        &offences(
            p,
            &["aws_sdk_", "aws.ec2", "aws.ssm", "aws.rds", "aws.iam", "aws.s3", "aws.efs", "aws.elb"],
            &["aws", "kinds", "sweep", "lock/store.rs"]
                .map(|it| format!("{p}/{it}"))
                .each_ref()
                .map(|it| it.as_str()),
        ),
    );
    none(
        "the sweep reads for itself: a mistake in a kind must not hide there",
        &offences(&format!("{p}/sweep"), &["crate::kinds"], &[]),
    );
    none("kinds know no configuration", &offences(&format!("{p}/kinds"), &["crate::config"], &[]));
    none(
        "only the commands know the rehearsal",
        &offences(
            "provisioner/src",
            &["rehearsal::"],
            &["provisioner/src/commands", "provisioner/src/cli.rs"],
        ),
    );
    none("agent and provisioner never see each other", &offences("agent", &["provisioner::"], &[]));
    none("agent and provisioner never see each other", &offences(p, &["agent::main", "lampd::"], &[]));
    none("shared has no AWS and no runtime", &offences("shared", &["aws_", "tokio"], &[]));
}

#[test]
fn nothing_but_the_renderers_prints_in_lamp() {
    let prints = ["println!", "eprintln!", "print!(", "eprint!("];
    none(
        "printing outside ui",
        &offences(
            "provisioner/src",
            &prints,
            &["provisioner/src/ui", "provisioner/src/main.rs", "provisioner/src/engine/tests"],
        ),
    );
}

#[test]
fn no_machine_or_session_is_named() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let texts = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "rehearsal/README.md",
        "Cargo.toml",
        ".ci/run",
        "systemd/user-data.sh",
        "scripts/setup",
        "scripts/test",
        "scripts/lab",
    ];
    let texts = texts.map(|it| (it.to_owned(), std::fs::read_to_string(root.join(it)).unwrap_or_default()));
    // Hosts have a home of root, too: only what a developer keeps there counts.
    let words = [
        concat!("/wor", "k/"),
        concat!("/ro", "ot/.cache"),
        concat!("/ro", "ot/.cargo"),
        concat!("/tmp", "/h/"),
    ];
    let all = ALL.into_iter().flat_map(sources).chain(texts);
    let bad = all.filter(|(_, text)| words.iter().any(|it| text.contains(it))).map(|it| it.0);
    none("paths of somebody's machine", &bad.collect::<Vec<_>>());
}
