//! The package proxy: the only way out of a region, to this machine's own mirrors and nowhere else.

mod mirrors;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
pub(crate) use mirrors::Mirrors;

use crate::accept;

const PATIENCE: Duration = Duration::from_secs(60);
/// Longer lines are no HTTP that apt speaks.
const LONGEST_LINE: u64 = 16 * 1024;

/// As long as this file exists, the mirror is "down".
pub(crate) fn closed_sign(region: &Path) -> PathBuf {
    region.join("packages-closed")
}

/// Serves until the listening socket breaks.
pub(crate) fn serve(listener: TcpListener, mirrors: Mirrors, cache: PathBuf, closed: PathBuf) {
    let proxy = Arc::new(Proxy { mirrors, cache, closed });
    accept::each(
        || listener.accept(),
        |(line, _)| {
            let proxy = Arc::clone(&proxy);
            thread::spawn(move || {
                let _ = proxy.converse(line);
            });
        },
    );
}

struct Proxy {
    mirrors: Mirrors,
    cache: PathBuf,
    closed: PathBuf,
}

impl Proxy {
    /// One client; apt asks for many things in a row.
    fn converse(&self, line: TcpStream) -> anyhow::Result<()> {
        line.set_read_timeout(Some(PATIENCE)).context("setting a time-out")?;
        line.set_write_timeout(Some(PATIENCE)).context("setting a time-out")?;
        let mut answers = line.try_clone().context("copying a socket")?;
        let mut questions = BufReader::new(line);
        while let Some((first, headers)) = read_head(&mut questions)? {
            if self.closed.exists() {
                bail!("the mirror is down, as ordered");
            }
            match self.answer(&first, &headers, &mut answers)? {
                Then::Next => {}
                Then::HangUp => return Ok(()),
            }
        }
        Ok(())
    }

    fn answer(&self, first: &str, headers: &[String], to: &mut TcpStream) -> anyhow::Result<Then> {
        let mut words = first.split(' ');
        let (method, url) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let address = url.strip_prefix("http://").unwrap_or_default();
        let allowed = method == "GET" && self.mirrors.have(address) && is_plain(address);
        if !allowed {
            return refuse(to, "403 Forbidden", "this proxy leads to the package mirrors and nowhere else");
        }
        let kept = self.cache.join(address);
        // These never change under their name; all else is asked for anew, and kept for the day the mirror is away.
        let is_constant = address.contains("/pool/") || address.contains("/by-hash/");
        if is_constant && let Ok(file) = File::open(&kept) {
            return hand_out(file, to);
        }
        match self.fetch(address, headers, is_constant) {
            Ok(Fetched::Body { head, body, length }) => self.pass_on(&kept, &head, body, length, to),
            Ok(Fetched::Nothing(head)) => {
                to.write_all(head.as_bytes()).context("answering apt")?;
                Ok(Then::Next)
            }
            Err(err) => match File::open(&kept) {
                Ok(file) => hand_out(file, to),
                Err(_) => refuse(to, "502 Bad Gateway", &format!("{err:#}")),
            },
        }
    }

    /// Asks the mirror.
    fn fetch(&self, address: &str, headers: &[String], is_constant: bool) -> anyhow::Result<Fetched> {
        let (host, path) = address.split_once('/').context("an address without a path")?;
        let (dial, target) = match &self.mirrors.through {
            Some(proxy) => (proxy.as_str(), format!("http://{address}")),
            None => (host, format!("/{path}")),
        };
        let dial = if dial.contains(':') { dial.to_owned() } else { format!("{dial}:80") };
        let mut line =
            TcpStream::connect(&dial).with_context(|| format!("connecting to the mirror {dial}"))?;
        line.set_read_timeout(Some(PATIENCE)).context("setting a time-out")?;
        // What is kept must be whole, so apt's ranges are not passed on.
        let since = headers.iter().filter(|it| !is_constant && is_header(it, "if-modified-since"));
        let since: String = since.map(|it| format!("{it}\r\n")).collect();
        let question = format!(
            "GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: lamp\r\nConnection: close\r\n{since}\r\n"
        );
        line.write_all(question.as_bytes()).context("asking the mirror")?;
        let mut answer = BufReader::new(line);
        let (status, headers) = read_head(&mut answer)?.context("the mirror hung up")?;
        let code = status.split(' ').nth(1).unwrap_or_default().to_owned();
        let keep = ["last-modified", "content-type", "date"];
        let kept = headers.iter().filter(|it| keep.iter().any(|name| is_header(it, name)));
        let kept: String = kept.map(|it| format!("{it}\r\n")).collect();
        let length = headers.iter().find(|it| is_header(it, "content-length"));
        let length = length.and_then(|it| it.split_once(':')?.1.trim().parse().ok());
        match (code.as_str(), length) {
            ("200", Some(length)) => {
                let head = format!("HTTP/1.1 200 OK\r\n{kept}Content-Length: {length}\r\n\r\n");
                Ok(Fetched::Body { head, body: Box::new(answer), length })
            }
            ("304" | "404", _) => {
                Ok(Fetched::Nothing(format!("HTTP/1.1 {code} -\r\n{kept}Content-Length: 0\r\n\r\n")))
            }
            ("200", None) => bail!("the mirror does not say how long {address} is"),
            (_, _) => bail!("the mirror answered {status}"),
        }
    }

    /// Gives the body to apt and to the cache at once.
    fn pass_on(
        &self,
        kept: &Path,
        head: &str,
        mut body: Box<dyn Read>,
        length: u64,
        to: &mut TcpStream,
    ) -> anyhow::Result<Then> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let mut copy = PartialFile::create(&self.cache, COUNT.fetch_add(1, Ordering::Relaxed));
        to.write_all(head.as_bytes()).context("answering apt")?;
        let mut buffer = [0; 65536];
        let mut left = length;
        while left > 0 {
            let n = body.read(&mut buffer).context("reading from the mirror")?;
            if n == 0 {
                bail!("the mirror hung up {left} bytes before the end");
            }
            let n = n.min(usize::try_from(left).unwrap_or(n));
            left -= n as u64;
            to.write_all(&buffer[..n]).context("answering apt")?;
            copy = copy.and_then(|mut it| it.file.write_all(&buffer[..n]).ok().map(|()| it));
        }
        if let Some(copy) = copy {
            copy.keep_as(kept);
        }
        Ok(Then::Next)
    }
}

enum Then {
    Next,
    HangUp,
}

enum Fetched {
    Body { head: String, body: Box<dyn Read>, length: u64 },
    Nothing(String),
}

/// A file on its way into the cache; removed unless it gets there. A cache that cannot be written is no cache.
struct PartialFile {
    file: File,
    path: PathBuf,
}

impl PartialFile {
    fn create(cache: &Path, number: u64) -> Option<PartialFile> {
        let path = cache.join(format!(".partial-{}-{number}", std::process::id()));
        let file = File::create(&path).ok()?;
        Some(PartialFile { file, path })
    }

    fn keep_as(&self, kept: &Path) {
        if let Some(dir) = kept.parent() {
            let _ = fs::create_dir_all(dir);
        }
        let _ = fs::rename(&self.path, kept);
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn hand_out(mut file: File, to: &mut TcpStream) -> anyhow::Result<Then> {
    let length = file.metadata().context("measuring a kept file")?.len();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    to.write_all(head.as_bytes()).context("answering apt")?;
    std::io::copy(&mut file, to).context("answering apt")?;
    Ok(Then::Next)
}

fn refuse(to: &mut TcpStream, status: &str, why: &str) -> anyhow::Result<Then> {
    let answer =
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{why}", why.len());
    to.write_all(answer.as_bytes()).context("answering apt")?;
    Ok(Then::HangUp)
}

/// The first line and the headers; `None` when the other side is done.
fn read_head(from: &mut impl BufRead) -> anyhow::Result<Option<(String, Vec<String>)>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        let n = from.by_ref().take(LONGEST_LINE).read_line(&mut line).context("reading a request")?;
        let line = line.trim_end();
        match (n, line.is_empty(), lines.is_empty()) {
            (0, _, true) => return Ok(None),
            (0, _, false) => bail!("half a request"),
            (_, true, true) => {}
            (_, true, false) => {
                let first = lines.remove(0);
                return Ok(Some((first, lines)));
            }
            _ if lines.len() > 100 => bail!("too many headers"),
            _ => lines.push(line.to_owned()),
        }
    }
}

fn is_header(line: &str, name: &str) -> bool {
    line.split_once(':').is_some_and(|it| it.0.eq_ignore_ascii_case(name))
}

/// Whether a name on the mirror is safe as a file name here.
fn is_plain(address: &str) -> bool {
    !address.contains(['?', '#', '\0', '\\'])
        && Path::new(address).components().all(|it| matches!(it, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_on_the_mirror_leads_nowhere_else() {
        assert!(is_plain("mirror.example/debian/pool/a.deb"));
        assert!(!is_plain("mirror.example/debian/../../etc/passwd"));
    }

    /// Talks to a proxy whose mirror is this test.
    fn exchange(mirror: Option<&'static str>, cache: &Path, question: &str) -> String {
        let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = upstream.local_addr().unwrap();
        if let Some(text) = mirror {
            thread::spawn(move || {
                let (mut line, _) = upstream.accept().unwrap();
                let (asked, _) = read_head(&mut BufReader::new(&line)).unwrap().unwrap();
                assert!(asked.starts_with("GET /debian/"), "{asked}");
                write!(line, "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()).unwrap();
            });
        } else {
            drop(upstream);
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = listener.local_addr().unwrap();
        let mirrors = Mirrors { debian: format!("{at}/debian"), security: "none".into(), through: None };
        // The address of the mirror differs each time; the cache must not.
        let cache = cache.to_owned();
        let link = cache.join(at.to_string());
        let _ = fs::create_dir_all(cache.join("mirror"));
        let _ = std::os::unix::fs::symlink(cache.join("mirror"), link);
        thread::spawn(move || serve(listener, mirrors, cache, PathBuf::from("/nonexistent")));
        let mut line = TcpStream::connect(proxy).unwrap();
        write!(line, "{}\r\nConnection: close\r\n\r\n", question.replace("MIRROR", &at.to_string())).unwrap();
        line.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        line.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn a_package_comes_from_the_mirror_once_and_then_from_the_cache() {
        let cache = tempfile::tempdir().unwrap();
        let ask = "GET http://MIRROR/debian/pool/a.deb HTTP/1.1";
        assert!(exchange(Some("a package"), cache.path(), ask).ends_with("a package"));
        assert!(exchange(None, cache.path(), ask).ends_with("a package"));
    }

    #[test]
    fn an_index_is_asked_for_anew_and_kept_for_bad_days() {
        let cache = tempfile::tempdir().unwrap();
        let ask = "GET http://MIRROR/debian/dists/x/InRelease HTTP/1.1";
        assert!(exchange(Some("old"), cache.path(), ask).ends_with("old"));
        assert!(exchange(Some("new"), cache.path(), ask).ends_with("new"));
        assert!(exchange(None, cache.path(), ask).ends_with("new"));
    }

    #[test]
    fn nothing_else_is_reachable() {
        let cache = tempfile::tempdir().unwrap();
        for ask in [
            "GET http://example.com/ HTTP/1.1",
            "CONNECT MIRROR HTTP/1.1",
            "POST http://MIRROR/debian/x HTTP/1.1",
            "GET http://MIRROR/debian/../secret HTTP/1.1",
            "GET /etc/passwd HTTP/1.1",
        ] {
            assert!(exchange(None, cache.path(), ask).starts_with("HTTP/1.1 403"), "{ask}");
        }
        let missing = "GET http://MIRROR/debian/pool/none.deb HTTP/1.1";
        assert!(exchange(None, cache.path(), missing).starts_with("HTTP/1.1 502"));
    }
}
