//! Files and folders that the configuration names.

use std::fs;
use std::path::Path;

use crate::config::{ConfigErrors, Paths, SaidRegion, load};

/// Loads a `lamp.toml` from a folder with these files.
fn load_with(
    text: &str,
    files: &[(&str, &str)],
) -> (tempfile::TempDir, Result<crate::config::Config, ConfigErrors>) {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    let path = folder.path().join("lamp.toml");
    fs::write(&path, text).unwrap();
    let result = load(&path, SaidRegion::default(), Paths::Checked);
    (folder, result)
}

#[test]
fn paths_are_relative_to_the_file() {
    let (folder, config) = load_with("[agent]\nbinary = \"lampd\"", &[("lampd", "")]);
    let config = config.unwrap();
    assert_eq!(config.agent.binary, Some(folder.path().join("lampd")));
    assert_eq!(config.access.key_dir, folder.path().join("keys"));
}

#[test]
fn a_file_beside_the_command_has_no_folder_before_its_paths() {
    assert_eq!(Path::new("").join("keys"), Path::new("keys"));
}

#[test]
fn a_file_that_is_not_there_says_how_to_get_one() {
    let errors = load(Path::new("no/such/lamp.toml"), SaidRegion::default(), Paths::Checked).unwrap_err();
    let expected = "no/such/lamp.toml cannot be read: No such file or directory (os error 2); \
                    write one with `lamp init`, or name another with --config";
    assert_eq!(errors.to_string(), expected);
    assert!(errors.render(false, 80).contains("lamp init"));
}

#[test]
fn missing_folders_and_programs_are_told_before_anything_is_built() {
    let (_folder, errors) = load_with("[site]\nfolder = \"www\"\n[agent]\nbinary = \"lampd\"", &[]);
    let errors = errors.unwrap_err();
    let keys: Vec<_> = errors.issues.iter().map(|it| (it.line, it.key.as_str())).collect();
    assert_eq!(keys, [(Some(2), "site.folder"), (Some(4), "agent.binary")]);
}

#[test]
fn a_password_comes_from_its_file_without_the_line_end() {
    let text = "[database]\npassword_file = \"password\"";
    let (_folder, config) = load_with(text, &[("password", "administrator\n")]);
    assert_eq!(config.unwrap().database.password(), Ok(Some("administrator".to_owned())));
}

#[test]
fn a_bad_password_is_refused_and_not_shown() {
    let text = "[database]\npassword_file = \"password\"";
    for password in [
        "s3cret",
        "s3cret@home",
        "s3cret home",
        "s3cret/home",
        "s3cret-and-far-too-long-for-the-server-of-mysql",
    ] {
        let (_folder, errors) = load_with(text, &[("password", password)]);
        let errors = errors.unwrap_err();
        assert_eq!(errors.issues[0].key, "database.password_file");
        assert!(!errors.to_string().contains("s3cret"), "{errors}");
    }
}
