//! Names inside a region: a small DNS server that knows what it was told and nothing of the world.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Context;

use crate::accept;
use crate::wire::Near;

/// What names resolve to; shared by everybody who may change it.
#[derive(Clone, Default)]
pub(crate) struct Names(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    addresses: BTreeMap<String, Vec<Ipv4Addr>>,
    /// Names that mean something else to everybody.
    near: BTreeMap<String, Vec<Near>>,
    /// As long as it is broken, nobody gets an answer.
    broken: bool,
}

/// Short, as AWS has it where a name may move from one machine to another.
const TTL: u32 = 5;

impl Names {
    /// Replaces the addresses of a name; none at all forgets it.
    pub(crate) fn set(&self, name: &str, addresses: Vec<Ipv4Addr>) {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let all = &mut self.0.lock().unwrap_or_else(PoisonError::into_inner).addresses;
        if addresses.is_empty() {
            all.remove(&name)
        } else {
            all.insert(name, addresses)
        };
    }

    /// Replaces what a name is to those who ask from somewhere.
    pub(crate) fn set_near(&self, name: &str, near: Vec<Near>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).near.insert(name.to_ascii_lowercase(), near);
    }

    fn get(&self, name: &str, vpc: &str, asker: IpAddr) -> Option<Vec<Ipv4Addr>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = name.to_ascii_lowercase();
        if let Some(all) = known.addresses.get(&name) {
            return Some(all.clone());
        }
        let is_near = |it: &&Near| it.vpc == vpc && matches!(asker, IpAddr::V4(at) if it.block.contains(&at));
        let near = known.near.get(&name)?.iter().filter(is_near).map(|it| it.address).collect::<Vec<_>>();
        Some(near).filter(|it| !it.is_empty())
    }

    /// Stops answering, or begins again.
    pub(crate) fn break_it(&self, broken: bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).broken = broken;
    }

    fn is_broken(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).broken
    }

    /// Answers at an address of the calling thread's network namespace, which is a network's, until these sockets are
    /// shut down.
    pub(crate) fn serve(&self, vpc: &str, at: Ipv4Addr) -> anyhow::Result<[OwnedFd; 2]> {
        let at = SocketAddrV4::new(at, 53);
        let udp = UdpSocket::bind(at).context("listening for DNS questions")?;
        let tcp = TcpListener::bind(at).context("listening for DNS questions")?;
        let doors = [udp.try_clone().map(OwnedFd::from), tcp.try_clone().map(OwnedFd::from)];
        let [udp_door, tcp_door] = doors.map(|it| it.context("copying a socket"));
        let (names, network) = (self.clone(), vpc.to_owned());
        thread::spawn(move || {
            let ask = || {
                let mut question = [0; 1500];
                udp.recv_from(&mut question).map(|(length, from)| (question, length, from))
            };
            accept::each(ask, |(question, length, from)| {
                if let Some(answer) = names.answer(&question[..length], &network, from.ip()) {
                    let _ = udp.send_to(&answer, from);
                }
            });
        });
        let (names, network) = (self.clone(), vpc.to_owned());
        thread::spawn(move || {
            accept::each(
                || tcp.accept(),
                |(mut line, from)| {
                    let _ = line.set_read_timeout(Some(Duration::from_secs(2)));
                    let mut length = [0; 2];
                    if line.read_exact(&mut length).is_err() {
                        return;
                    }
                    let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
                    if line.read_exact(&mut question).is_err() {
                        return;
                    }
                    if let Some(answer) = names.answer(&question, &network, from.ip()) {
                        let length = u16::try_from(answer.len()).unwrap_or_default().to_be_bytes();
                        let _ = line.write_all(&[&length[..], &answer].concat());
                    }
                },
            );
        });
        Ok([udp_door?, tcp_door?])
    }

    /// `None` for what is no question.
    fn answer(&self, packet: &[u8], vpc: &str, asker: IpAddr) -> Option<Vec<u8>> {
        if self.is_broken() {
            return None;
        }
        let head = packet.get(..12)?;
        let is_question = head[2] & 0x80 == 0 && head[4..6] == [0, 1];
        if !is_question {
            return None;
        }
        let (name, end) = read_name(packet)?;
        let kind = packet.get(end..end + 4)?;
        let addresses = self.get(&name, vpc, asker);
        let code = if addresses.is_some() { 0 } else { 3 };
        // Only IPv4 addresses are known; any other question about a known name has an empty answer.
        let listed = if kind[..2] == [0, 1] { addresses.unwrap_or_default() } else { Vec::new() };
        let mut answer = Vec::with_capacity(end + 4 + listed.len() * 16);
        answer.extend(&head[..2]);
        answer.extend([0x84 | head[2] & 0x01, 0x80 | code, 0, 1]);
        answer.extend(u16::try_from(listed.len()).ok()?.to_be_bytes());
        answer.extend([0; 4]);
        answer.extend(&packet[12..end + 4]);
        for it in listed {
            answer.extend([0xc0, 12, 0, 1, 0, 1]);
            answer.extend(TTL.to_be_bytes());
            answer.extend([0, 4]);
            answer.extend(it.octets());
        }
        Some(answer)
    }
}

/// The name in the question, and where it ends.
fn read_name(packet: &[u8]) -> Option<(String, usize)> {
    let mut at = 12;
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*packet.get(at)?);
        at += 1;
        match length {
            0 => return Some((labels.join("."), at)),
            1..=63 => labels.push(String::from_utf8_lossy(packet.get(at..at + length)?).into_owned()),
            _ => return None,
        }
        at += length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(names: &Names, name: &str, kind: u8) -> Vec<u8> {
        let mut packet = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            packet.push(u8::try_from(label.len()).unwrap());
            packet.extend(label.as_bytes());
        }
        packet.extend([0, 0, kind, 0, 1]);
        names.answer(&packet, "", ASKER).unwrap()
    }

    const ASKER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 3, 11));

    #[test]
    fn a_name_may_be_known_only_where_something_is_near() {
        let names = Names::default();
        let near = |vpc: &str, block: &str, last: u8| Near {
            vpc: vpc.to_owned(),
            block: block.parse().unwrap(),
            address: Ipv4Addr::new(10, 1, 3, last),
        };
        names.set_near("fs", vec![near("other", "10.1.3.0/24", 1), near("", "10.1.4.0/24", 2)]);
        assert_eq!(ask(&names, "fs", 1)[3] & 0xf, 3);
        names.set_near("fs", vec![near("", "10.1.3.0/24", 3), near("", "10.1.4.0/24", 4)]);
        let answer = ask(&names, "fs", 1);
        assert!(answer[7] == 1 && answer.ends_with(&[10, 1, 3, 3]));
    }

    #[test]
    fn a_name_resolves_whatever_its_case_and_moves_when_told() {
        let names = Names::default();
        names.set("DB.example.", vec![Ipv4Addr::new(10, 1, 5, 21)]);
        assert!(ask(&names, "db.Example", 1).ends_with(&[0, 0, 0, 5, 0, 4, 10, 1, 5, 21]));
        names.set("db.example", vec![Ipv4Addr::new(10, 1, 6, 22)]);
        assert!(ask(&names, "db.example", 1).ends_with(&[10, 1, 6, 22]));
    }

    #[test]
    fn an_unknown_name_does_not_exist_and_a_known_one_has_no_ipv6() {
        let names = Names::default();
        assert_eq!(ask(&names, "nowhere", 1)[3] & 0xf, 3);
        names.set("here", vec![Ipv4Addr::LOCALHOST]);
        let answer = ask(&names, "here", 28);
        assert_eq!((answer[3] & 0xf, answer[7]), (0, 0));
    }

    #[test]
    fn what_is_no_question_gets_no_answer() {
        for packet in [&b"short"[..], &[0; 12], &[0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1]] {
            assert_eq!(Names::default().answer(packet, "", ASKER), None);
        }
    }
}
