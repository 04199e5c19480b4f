//! The metadata service at 169.254.169.254, version 2 only: one server, which knows callers by their address.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use jiff::Timestamp;

use crate::accept;
use crate::metadata::Metadata;

/// An instance's network and address, which only together are nobody else's.
type Caller = (String, Ipv4Addr);

/// Where every instance looks.
pub(super) const ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
const LONGEST: u64 = 8 * 1024;
const LONGEST_TTL: u64 = 21600;

/// What it knows; shared with those who tell it.
#[derive(Clone, Default)]
pub(super) struct Imds(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    instances: BTreeMap<Caller, Metadata>,
    /// To whom a token was given, and until when it holds.
    tokens: BTreeMap<String, (Caller, Instant)>,
    /// As long as it is broken, nobody gets an answer.
    broken: bool,
}

struct Request {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
}

struct Response {
    code: u16,
    body: String,
    ttl: Option<u64>,
}

impl Imds {
    /// Describes the instance that has an address; `None` forgets it.
    pub(super) fn set(&self, who: Caller, it: Option<Metadata>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.tokens.retain(|_, (owner, _)| *owner != who);
        match it {
            Some(it) => drop(known.instances.insert(who, it)),
            None => drop(known.instances.remove(&who)),
        }
    }

    /// Stops answering, or begins again.
    pub(super) fn break_it(&self, broken: bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).broken = broken;
    }

    /// Answers for a network in the calling thread's network namespace, until this socket is shut down.
    pub(super) fn serve(&self, vpc: &str) -> anyhow::Result<OwnedFd> {
        let listener = TcpListener::bind((ADDRESS, 80)).context("listening for metadata questions")?;
        let door = listener.try_clone().context("copying a socket")?;
        let (known, vpc) = (self.clone(), vpc.to_owned());
        thread::spawn(move || {
            accept::each(
                || listener.accept(),
                |(line, from)| {
                    let SocketAddr::V4(from) = from else { return };
                    let (known, caller) = (known.clone(), (vpc.clone(), *from.ip()));
                    thread::spawn(move || known.converse(line, &caller));
                },
            );
        });
        Ok(door.into())
    }

    fn converse(&self, line: TcpStream, from: &Caller) -> anyhow::Result<()> {
        let hops = {
            let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if known.broken {
                return Ok(());
            }
            known.instances.get(from).map_or(1, |it| it.hop_limit.max(1))
        };
        line.set_ttl(u32::from(hops)).context("limiting the hops")?;
        line.set_read_timeout(Some(Duration::from_secs(10))).context("setting a time-out")?;
        let mut answers = line.try_clone().context("copying a socket")?;
        let mut questions = BufReader::new(line);
        while let Some(request) = read(&mut questions)? {
            let Response { code, body, ttl } = self.answer(&request, from);
            let ttl = ttl.map(|it| format!("X-aws-ec2-metadata-token-ttl-seconds: {it}\r\n"));
            let head = format!(
                "HTTP/1.1 {code} -\r\nServer: EC2ws\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n{}\r\n",
                body.len(),
                ttl.unwrap_or_default()
            );
            let body = if request.method == "HEAD" { "" } else { &body };
            answers.write_all((head + body).as_bytes()).context("answering")?;
        }
        Ok(())
    }

    fn answer(&self, it: &Request, from: &Caller) -> Response {
        let refuse = |code| Response { code, body: String::new(), ttl: None };
        let header = |name: &str| it.headers.get(name).map(String::as_str);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match (it.method.as_str(), it.path.as_str()) {
            ("PUT", "/latest/api/token") => {
                // A proxy that was tricked into asking adds this header.
                if header("x-forwarded-for").is_some() {
                    return refuse(403);
                }
                let ttl = header("x-aws-ec2-metadata-token-ttl-seconds").and_then(|it| it.parse().ok());
                let Some(ttl) = ttl.filter(|it| (1..=LONGEST_TTL).contains(it)) else { return refuse(400) };
                let Ok(token) = random() else { return refuse(500) };
                known.tokens.retain(|_, (_, end)| *end > now);
                known.tokens.insert(token.clone(), (from.clone(), now + Duration::from_secs(ttl)));
                Response { code: 200, body: token, ttl: Some(ttl) }
            }
            ("GET" | "HEAD", path) => {
                let token = header("x-aws-ec2-metadata-token").and_then(|it| known.tokens.get(it));
                let holds = token.is_some_and(|(owner, end)| owner == from && *end > now);
                if !holds {
                    return refuse(401);
                }
                let found = known.instances.get(from).and_then(|it| it.at(path, from.1, Timestamp::now()));
                found.map_or(refuse(404), |body| Response { code: 200, body, ttl: None })
            }
            _ => refuse(405),
        }
    }
}

fn read(from: &mut impl BufRead) -> anyhow::Result<Option<Request>> {
    let mut from = from.take(LONGEST);
    let mut line = String::new();
    if from.read_line(&mut line).context("reading a question")? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (Some(method), Some(path)) = (words.next(), words.next()) else { bail!("that is no question") };
    let path = path.split('?').next().unwrap_or_default().to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        if from.read_line(&mut line).context("reading a question")? == 0 {
            bail!("half a question");
        }
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    Ok(Some(Request { method, path, headers }))
}

fn random() -> anyhow::Result<String> {
    let mut bytes = [0; 28];
    File::open("/dev/urandom").and_then(|mut it| it.read_exact(&mut bytes)).context("making a token")?;
    Ok(bytes.iter().map(|it| format!("{it:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: (&str, Ipv4Addr) = ("vpc-1", Ipv4Addr::new(10, 1, 3, 11));
    const TWO: (&str, Ipv4Addr) = ("vpc-1", Ipv4Addr::new(10, 1, 3, 12));
    /// The same address in another network.
    const THREE: (&str, Ipv4Addr) = ("vpc-2", ONE.1);

    fn ask(
        imds: &Imds,
        from: (&str, Ipv4Addr),
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> (u16, String) {
        let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let text = format!("{method} {path} HTTP/1.1\r\n{lines}\r\n");
        let request = read(&mut text.as_bytes()).unwrap().unwrap();
        let it = imds.answer(&request, &(from.0.to_owned(), from.1));
        (it.code, it.body)
    }

    #[test]
    fn nothing_is_said_without_a_token_of_ones_own() {
        let imds = Imds::default();
        for ((vpc, address), id) in [(ONE, "i-1"), (TWO, "i-2"), (THREE, "i-3")] {
            imds.set(
                (vpc.to_owned(), address),
                Some(Metadata { instance_id: id.into(), ..Metadata::default() }),
            );
        }
        let ttl = "X-aws-ec2-metadata-token-ttl-seconds";
        let token = ask(&imds, ONE, "PUT", "/latest/api/token", &[(ttl, "60")]);
        assert_eq!(token.0, 200);
        let with = [("X-aws-ec2-metadata-token", token.1.as_str())];
        let id = "/latest/meta-data/instance-id";
        assert_eq!(ask(&imds, ONE, "GET", id, &with), (200, "i-1".to_owned()));
        assert_eq!(ask(&imds, ONE, "GET", id, &[]).0, 401);
        assert_eq!(ask(&imds, TWO, "GET", id, &with).0, 401);
        assert_eq!(ask(&imds, THREE, "GET", id, &with).0, 401);
        assert_eq!(ask(&imds, ONE, "GET", "/latest/user-data", &with).0, 404);
        for bad in ["", "0", "21601", "x"] {
            assert_eq!(ask(&imds, ONE, "PUT", "/latest/api/token", &[(ttl, bad)]).0, 400, "{bad}");
        }
        let forwarded = [(ttl, "60"), ("X-Forwarded-For", "1.2.3.4")];
        assert_eq!(ask(&imds, ONE, "PUT", "/latest/api/token", &forwarded).0, 403);
        assert_eq!(ask(&imds, ONE, "POST", id, &with).0, 405);
        // A new description makes old tokens void, and the forgotten know nothing.
        imds.set((ONE.0.to_owned(), ONE.1), None);
        assert_eq!(ask(&imds, ONE, "GET", id, &with).0, 401);
    }
}
