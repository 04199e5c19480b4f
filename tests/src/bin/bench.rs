//! What `lamp` costs: calls by service, time, CPU and memory of `up`, an empty `plan` and `down` of the whole lab.
#![allow(clippy::print_stdout, reason = "the output is the purpose")]

use std::collections::BTreeMap;
use std::time::Instant;

use scenarios::{Lab, Run, lamp};

/// What each command may cost, and what Terraform 1.11 with provider 5.100 needs for the same on the same emulator.
const TARGETS: [(&str, &str, usize, f64, usize, f64); 3] = [
    ("up", "--on aws up --yes", 220, 1.0, 447, 15.2),
    ("plan", "--on aws plan", 45, 0.3, 207, 10.9),
    ("down", "--on aws down --yes", 200, 1.0, 424, 17.5),
];
const MEGABYTES: u64 = 60;
/// Larger than this is a debug build's agent, whose upload nobody wants to measure.
const AGENT_LIMIT: u64 = 30_000_000;

fn main() {
    let agent = lamp::binary().with_file_name("lampd");
    let is_real = agent.metadata().is_ok_and(|it| it.len() < AGENT_LIMIT);
    // A section of its own keeps the tests' little stand-in away.
    let lab = Lab::new(if is_real { "[agent]\n" } else { "" });
    println!("{}{}", lamp::binary().display(), if is_real { "" } else { " (with a stand-in for the agent)" });
    println!();
    println!("          calls (at most, peer)   CPU s (at most, peer)   wall s   peak MB (at most)");
    let mut runs = Vec::new();
    let mut is_over = false;
    for (name, words, calls, cpu, peer_calls, peer_cpu) in TARGETS {
        let begun = Instant::now();
        let run = lab.lamp(words).ok();
        let wall = begun.elapsed().as_secs_f64();
        let (made, used) = (run.calls.len(), run.cpu.as_secs_f64());
        // The kernel counts the parent's pages until the new program begins; ours are few.
        let memory = run.memory / 1_000_000;
        println!(
            "{name:<8}  {made:>5} ({calls:>3}, {peer_calls:>3})        {used:>6.2} ({cpu:.1}, {peer_cpu:>4.1})       \
             {wall:>6.2}   {memory:>5} ({MEGABYTES})"
        );
        is_over |= made > calls || used > cpu || memory > MEGABYTES;
        runs.push((name, run));
    }
    println!();
    by_service(&runs);
    lab.assert_nothing_left("after down");
    is_over |= is_dearer_when_larger();
    if is_over {
        println!("\nmore than it may cost");
        std::process::exit(1);
    }
}

/// Hosts of each kind and zone in stacks of growing size: about 200, 340 and 640 resources.
const SIZES: [u32; 3] = [6, 15, 34];

/// Plans stacks of growing size; says whether a resource costs more in a large one than in a small one.
fn is_dearer_when_larger() -> bool {
    println!("\nresources   calls   CPU ms of an empty plan   µs per resource beyond the first size");
    let mut seen: Vec<(f64, f64)> = Vec::new();
    for hosts in SIZES {
        let lab = Lab::new(&format!("[hosts]\npublic_per_zone = {hosts}\nprivate_per_zone = {hosts}\n"));
        lab.up();
        // The least of a few: what the machine does beside it only adds.
        let plans: Vec<Run> = (0..5).map(|_| lab.lamp("--on aws plan --json").ok()).collect();
        let nodes = plans[0].stdout.matches("\"action\":\"keep\"").count();
        let cpu = plans.iter().map(|it| it.cpu.as_secs_f64() * 1e3).fold(f64::INFINITY, f64::min);
        let (nodes, calls) = (f64::from(u32::try_from(nodes).unwrap_or_default()), plans[0].calls.len());
        let slope = seen.first().map(|(less, time)| (cpu - time) / (nodes - less) * 1e3);
        let slope = slope.map_or(String::new(), |it| format!("{it:.0}"));
        println!("{nodes:>9}   {calls:>5}   {cpu:>23.0}   {slope:>37}");
        seen.push((nodes, cpu));
    }
    // Were it quadratic, the step from the second to the third size would cost three times as much a resource.
    let step = |from: (f64, f64), to: (f64, f64)| (to.1 - from.1) / (to.0 - from.0);
    step(seen[1], seen[2]) > 2.0 * step(seen[0], seen[1]).max(0.02)
}

fn by_service(runs: &[(&str, Run)]) {
    let mut table: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for (column, (_, run)) in runs.iter().enumerate() {
        for call in &run.calls {
            table.entry(&call.service).or_default()[column] += 1;
        }
    }
    println!("calls by service         {}", runs.iter().map(|it| format!("{:>6}", it.0)).collect::<String>());
    for (service, counts) in table {
        println!("{service:<25}{}", counts.iter().map(|it| format!("{it:>6}")).collect::<String>());
    }
    if std::env::args().any(|it| it == "--actions") {
        for (name, run) in runs {
            println!("\n{name}");
            for (action, count) in scenarios::proxy::tally(&run.calls) {
                println!("  {count:>4}  {action}");
            }
        }
    }
}
