//! Packages that an interrupted installation left unpacked and not set up.

use std::time::Duration;

use super::torn::anew;
use crate::{
    host::{Host, last_words},
    os::Packages,
};

/// Longer than package managers wait for their lock.
const LIMIT: Duration = Duration::from_secs(400);
/// States in which nothing is left to do.
const DONE: [&str; 3] = ["installed", "config-files", "not-installed"];

/// Completes them, by the gentlest way that does; whether there were any: somebody has to start them.
/// What cannot be completed shows in the installation that follows.
///
/// # Errors
/// When a program cannot be run or does not end in time.
pub(super) async fn heal(packages: &Packages, host: &Host) -> anyhow::Result<bool> {
    let Some(heal) = &packages.heal else { return Ok(false) };
    let undone = async || {
        let all = host.try_run(packages.query, LIMIT).await?.stdout;
        let names = all.lines().filter_map(|line| {
            let mut words = line.split(' ');
            let (name, state) = (words.next()?, words.next()?);
            (!DONE.contains(&state)).then(|| name.to_owned())
        });
        anyhow::Ok(names.collect::<Vec<_>>())
    };
    let fine = async |argv: &[&str]| {
        let out = host.try_run(argv, LIMIT).await?;
        if out.code != 0 {
            tracing::warn!("packages: {}", last_words(&out));
        }
        anyhow::Ok(out.code == 0)
    };
    if undone().await?.is_empty() {
        return Ok(false);
    }
    if fine(heal.complete).await? {
        return Ok(true);
    }
    // Lists that came with the image may name what no mirror has any more.
    fine(packages.refresh).await?;
    if fine(heal.fetch).await? && fine(heal.complete).await? {
        return Ok(true);
    }
    // What still cannot be set up lacks a piece of itself, such as configuration that counts as deleted on purpose.
    let names = undone().await?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    tracing::warn!("packages: {} cannot be set up: installing them anew", names.join(", "));
    if let Err(err) = anew(&packages.damage, &names, host).await {
        tracing::warn!("packages: {err:#}");
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Output, script::scripted};

    /// What is run on a Debian whose packages can be set up after the `nth` try.
    async fn tried(nth: usize) -> (bool, Vec<String>) {
        let (host, script) = scripted();
        host.write("/etc/os-release", b"ID=debian\n", 0o644, None).unwrap();
        let mut tries = 0;
        script.on(move |_, line| {
            if line.contains("--configure") {
                tries += 1;
            }
            let stdout = match line.starts_with("dpkg-query") {
                true => "apache2 installed 2.4\nphp8.2-fpm half-configured 8.2\nold config-files 1\nx half-installed 1\n",
                false => "",
            };
            assert!(!line.contains("download") || line.ends_with("download php8.2-fpm x"), "{line}");
            let code = i32::from(line.contains("--configure") && tries <= nth);
            Output { code, stdout: stdout.to_owned(), ..Output::default() }
        });
        let healed = heal(&crate::os::detect(&host).unwrap().packages, &host).await.unwrap();
        let words = ["--configure", "update", "--fix-broken", "dpkg-query", "download", "--install"];
        let verb = |line: &String| words.iter().find(|it| line.contains(**it)).unwrap_or(&"?").to_string();
        (healed, script.log().iter().map(verb).collect())
    }

    #[tokio::test]
    async fn the_gentlest_way_that_helps_is_the_last_one() {
        let steps = [
            "dpkg-query",
            "--configure",
            "update",
            "--fix-broken",
            "--configure",
            "dpkg-query",
            "download",
            "--install",
        ];
        for (nth, how_many) in [(0, 2), (1, 5), (9, 8)] {
            let (healed, verbs) = tried(nth).await;
            assert_eq!((healed, &verbs[..]), (true, &steps.map(str::to_owned)[..how_many]));
        }
    }
}
