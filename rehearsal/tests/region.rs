//! A region is one tree: whatever ends it, nothing stays behind, and nothing of it shows outside.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rehearsal::{Place, Region, State, doctor};

fn left_of(id: &str) -> Vec<String> {
    common::left_of(id, &State::from_env())
}

fn wait_until_nothing_is_left_of(id: &str) {
    common::wait_until_nothing_is_left_of(id, &State::from_env());
}

#[test]
fn dropping_a_region_leaves_nothing_behind() {
    let region = Region::start().unwrap();
    region.instance("web1").boot().unwrap();
    let id = region.id().to_owned();
    assert!(left_of(&id).len() > 3, "this test cannot see a region: {:?}", left_of(&id));
    drop(region);
    assert_eq!(left_of(&id), [""; 0]);
}

#[test]
fn killing_the_first_process_ends_all_of_it() {
    let region = Region::start().unwrap();
    region.instance("web1").boot().unwrap();
    let keeper = region.keeper_pid();
    let children = fs::read_to_string(format!("/proc/{keeper}/task/{keeper}/children")).unwrap();
    let first: i32 = children.trim().parse().unwrap();
    kill(Pid::from_raw(first), Signal::SIGKILL).unwrap();
    wait_until_nothing_is_left_of(region.id());
    assert!(region.exec(Place::Router, &["true"]).is_err());
}

#[test]
fn killing_the_keeper_ends_all_of_it_too() {
    let region = Region::start().unwrap();
    region.instance("web1").boot().unwrap();
    kill(Pid::from_raw(region.keeper_pid().cast_signed()), Signal::SIGKILL).unwrap();
    let id = region.id().to_owned();
    drop(region);
    wait_until_nothing_is_left_of(&id);
}

#[test]
fn killing_the_program_that_made_it_ends_all_of_it() {
    let exe = std::env::current_exe().unwrap();
    let mut program = Command::new(exe)
        .args(["--exact", "a_program_with_a_region", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(program.stdout.take().unwrap()));
    let id = lines.find_map(|it| it.unwrap().strip_prefix("region ").map(str::to_owned)).unwrap();
    assert!(!left_of(&id).is_empty());
    program.kill().unwrap();
    program.wait().unwrap();
    wait_until_nothing_is_left_of(&id);
}

#[test]
#[ignore = "the test above runs it, to kill it"]
fn a_program_with_a_region() {
    let region = Region::start().unwrap();
    region.instance("web1").boot().unwrap();
    println!("\nregion {}", region.id());
    thread::sleep(Duration::from_secs(600));
}

/// Programs that are killed while a region begins: with their keeper, or without.
#[test]
fn killing_everybody_at_any_moment_of_the_start_leaves_nothing_that_the_next_start_does_not_remove() {
    let dir = tempfile::tempdir_in(State::from_env().dir()).unwrap();
    let state = State::at(dir.path());
    let mut ids = BTreeSet::new();
    for moment in 0..12 {
        let mut program = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_program_that_starts_a_region", "--ignored", "--nocapture"])
            .env("LAMP_STATE", dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // How far it gets differs from machine to machine, which is all the better.
        thread::sleep(Duration::from_millis(25 * moment));
        let keepers = keepers_of(program.id());
        program.kill().unwrap();
        if moment % 2 == 0 {
            for it in keepers {
                let _ = kill(Pid::from_raw(it), Signal::SIGKILL);
            }
        }
        program.wait().unwrap();
        let regions = fs::read_dir(dir.path().join("regions")).into_iter().flatten().flatten();
        ids.extend(regions.map(|it| it.file_name().into_string().unwrap()));
    }
    assert!(!ids.is_empty(), "no program got as far as a region");
    let next = Region::start_in(state.clone()).unwrap();
    ids.insert(next.id().to_owned());
    drop(next);
    for id in ids {
        common::wait_until_nothing_is_left_of(&id, &state);
    }
}

#[test]
#[ignore = "the test above runs it, to kill it"]
fn a_program_that_starts_a_region() {
    let _region = Region::start().unwrap();
    thread::sleep(Duration::from_secs(600));
}

/// Processes that a program's threads have started.
fn keepers_of(program: u32) -> Vec<i32> {
    let threads = fs::read_dir(format!("/proc/{program}/task")).into_iter().flatten().flatten();
    let children = threads.map(|it| fs::read_to_string(it.path().join("children")).unwrap_or_default());
    children.collect::<String>().split_whitespace().filter_map(|it| it.parse().ok()).collect()
}

#[test]
fn two_regions_with_the_same_addresses_do_not_know_of_each_other() {
    let (one, two) = (Region::start().unwrap(), Region::start().unwrap());
    let at = SocketAddrV4::new(Ipv4Addr::new(10, 1, 3, 11), 80);
    let heard =
        [&one, &two].map(|region| region.listen(region.namespace("same", *at.ip()).unwrap(), at).unwrap());
    one.link("same", false).unwrap();
    assert!(one.dial(Place::Router, at).is_err());
    let dialled = two.dial(Place::Router, at).unwrap();
    let (_, from) = heard[1].accept().unwrap();
    assert_eq!(from, dialled.local_addr().unwrap());
}

#[test]
fn this_machine_has_no_way_into_a_region() {
    // Asked of the routing table: a packet is never sent, lest it leave this machine.
    let way = || Command::new("ip").args(["route", "get", "10.1.3.11"]).output().unwrap().stdout;
    let before = (routes(), way());
    let region = Region::start().unwrap();
    region.namespace("web1", Ipv4Addr::new(10, 1, 3, 11)).unwrap();
    assert_eq!((routes(), way()), before);
    assert!(
        region
            .exec(Place::Router, &["ip", "route", "get", "10.1.3.11"])
            .unwrap()
            .stdout
            .contains("dev port1")
    );
    let namespaces = Command::new("ip").args(["netns", "list"]).output().unwrap();
    assert!(!String::from_utf8_lossy(&namespaces.stdout).contains("web1"));
}

/// Routes and links of this machine's own network namespace.
fn routes() -> Vec<String> {
    [vec!["route", "show", "table", "all"], vec!["-o", "link"]]
        .iter()
        .map(|args| String::from_utf8(Command::new("ip").args(args).output().unwrap().stdout).unwrap())
        .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .filter(|it| it.contains("10.1.") || it.contains("port1") || it.contains("ens5"))
        .collect()
}

#[test]
fn a_place_that_does_not_exist_is_named_in_the_error() {
    let region = Region::start().unwrap();
    let err = region.exec("nowhere", &["true"]).unwrap_err().to_string();
    assert!(err.contains("no place nowhere"), "{err}");
    let err = region.exec(Place::Router, &["no-such-program"]).unwrap_err().to_string();
    assert!(err.contains("no-such-program"), "{err}");
    region.namespace("twice", Ipv4Addr::new(10, 1, 3, 11)).unwrap();
    let err = region.namespace("twice", Ipv4Addr::new(10, 1, 3, 12)).unwrap_err().to_string();
    assert!(err.contains("already has a place twice"), "{err}");
}

#[test]
fn the_doctor_finds_this_machine_fit() {
    for it in doctor() {
        assert!(it.result.is_ok(), "{}: {:?}", it.what, it.result);
    }
}
