//! Everything that can run at once does.

use std::time::Duration;

use crate::engine::{
    Ref, Stack, critical_path,
    toys::{Toy, cloud, empty, play, timed, up},
};

/// The lab's shape with AWS's times: a network that takes minutes, a database that takes a quarter of
/// an hour, its replica that takes another, and much that has nothing to do with either.
fn lab() -> (Stack, Vec<Duration>) {
    let mut s = empty();
    let mut times = Vec::new();
    let mut add = |name: &str, seconds: u64, needs: &[Ref<Toy<false>>]| -> Ref<Toy<false>> {
        let time = Duration::from_secs(seconds);
        cloud(|it| it.ready_after.insert(name.to_owned(), time));
        times.push(time);
        s.toy(name, 0, needs)
    };
    let vpc = add("vpc", 2, &[]);
    let igw = add("igw", 2, &[vpc]);
    let subnets: Vec<_> = (0..6).map(|it| add(&format!("subnet-{it}"), 1, &[vpc])).collect();
    let groups: Vec<_> = (0..5).map(|it| add(&format!("group-{it}"), 1, &[vpc])).collect();
    for it in 0..2 {
        let address = add(&format!("address-{it}"), 1, &[]);
        let nat = add(&format!("nat-{it}"), 90, &[subnets[it], address]);
        add(&format!("public-route-{it}"), 1, &[subnets[it], igw]);
        add(&format!("private-route-{it}"), 1, &[subnets[it + 2], nat]);
    }
    let files = add("files", 5, &[]);
    let targets: Vec<_> =
        (2..4).map(|it| add(&format!("mount-target-{it}"), 90, &[files, subnets[it], groups[3]])).collect();
    let db_subnets = add("db-subnets", 2, &[subnets[4], subnets[5]]);
    let database = add("database", 15 * 60, &[db_subnets, groups[4]]);
    let replica = add("replica", 12 * 60, &[database]);
    add("db-endpoint", 1, &[database]);
    add("files-id", 1, &[targets[0]]);
    add("replica-endpoint", 1, &[replica]);
    let balancer = add("balancer", 150, &[subnets[0], subnets[1], groups[0]]);
    let listener = add("listener", 1, &[balancer]);
    let profile = add("profile", 20, &[]);
    let host = add("host", 8, &[subnets[2], groups[1], profile]);
    let image = add("image", 240, &[host]);
    let template = add("template", 2, &[image]);
    add("scaling-group", 60, &[template, listener]);
    add("distribution", 240, &[]);
    (s, times)
}

#[test]
fn an_up_takes_hardly_longer_than_its_longest_chain() {
    play(async {
        let (s, times) = lab();
        let (least, path) = critical_path(&s.needs(), &times);
        let names: Vec<_> = path.iter().map(|it| s.nodes[*it].name.as_str()).collect();
        assert_eq!(names[2..], ["toy/db-subnets", "toy/database", "toy/replica", "toy/replica-endpoint"]);
        let (took, report) = timed(up(&s)).await;
        assert!(report.is_ok(), "{report:?}");
        let ratio = took.as_secs_f64() / least.as_secs_f64();
        println!("took {took:?}, the longest chain {least:?}: {ratio:.3}");
        assert!(ratio <= 1.05, "{took:?} is {ratio:.3} times {least:?}");
    });
}

#[test]
fn nothing_waits_for_the_database_but_what_uses_it() {
    play(async {
        let (s, _) = lab();
        cloud(|it| it.fault("create database", "InvalidParameterValue", false, 1));
        let (took, report) = timed(up(&s)).await;
        let skipped =
            report.nodes.iter().filter(|(_, it)| matches!(it, crate::engine::Outcome::Skipped { .. }));
        let skipped: Vec<_> = skipped.map(|(node, _)| node.as_str()).collect();
        assert_eq!(skipped, ["toy/replica", "toy/db-endpoint", "toy/replica-endpoint"]);
        assert!(took < Duration::from_secs(400), "{took:?}");
    });
}

#[test]
fn a_second_look_at_many_nodes_takes_no_longer_than_at_one() {
    play(async {
        let (s, _) = lab();
        up(&s).await;
        let (took, _) = timed(up(&s)).await;
        assert!(took < Duration::from_secs(1), "{took:?}");
    });
}
