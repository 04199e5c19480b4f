//! The lab drawn, and pictures that must hold whatever is drawn.

use super::*;
use crate::{
    config::Config,
    stack::{Surroundings, stack},
};

fn lab(change: impl FnOnce(&mut Config)) -> Stack {
    let mut config = Config::default();
    change(&mut config);
    stack(&config, &Surroundings::imagined(&config)).unwrap()
}

/// The whole lab, and parts of it.
fn stacks() -> Vec<(&'static str, Stack)> {
    vec![
        ("whole", lab(|_| ())),
        ("site", lab(|it| it.parts.network = false)),
        ("one balancer", lab(|it| (it.parts.public_hosts, it.parts.scaling_group) = (false, false))),
        ("no files", lab(|it| it.parts.files = false)),
        ("no database", lab(|it| (it.parts.database, it.parts.replica) = (false, false))),
    ]
}

#[test]
fn the_lab_in_mermaid() {
    insta::assert_snapshot!(mermaid(&lab(|_| ())));
}

#[test]
fn the_lab_in_dot() {
    insta::assert_snapshot!(dot(&lab(|_| ())));
}

#[test]
fn the_same_stack_gives_the_same_bytes() {
    let draw = |it: &Stack| [mermaid(it), dot(it), svg(it)];
    assert_eq!(draw(&lab(|_| ())), draw(&lab(|_| ())));
}

#[test]
fn every_host_balancer_database_and_gateway_is_in_every_picture() {
    let lab = lab(|_| ());
    let facts = facts::Facts::new(&lab);
    let kinds =
        ["instance", "load-balancer", "db-instance", "replica", "nat-gateway", "scaling-group", "subnet"];
    for node in kinds.iter().flat_map(|it| facts.of(it)) {
        let label = facts.label(node);
        for picture in [mermaid(&lab), dot(&lab), svg(&lab)] {
            assert!(picture.contains(&label), "{label} is missing");
        }
    }
}

#[test]
fn every_arrow_joins_things_that_are_drawn() {
    for (name, stack) in stacks() {
        let picture = place::picture(&stack);
        let layout = svg::layout::Layout::new(&picture);
        for it in &picture.arrows {
            for key in [&it.from, &it.to] {
                assert!(layout.rects.contains_key(key), "{name}: {key} of {it:?}");
            }
        }
    }
}

#[test]
fn no_box_lies_on_another_and_none_outside() {
    for (name, stack) in stacks() {
        let picture = place::picture(&stack);
        let layout = svg::layout::Layout::new(&picture);
        for (n, (thing, it)) in layout.things.iter().enumerate() {
            assert!(
                0 <= it.x && it.right() <= layout.width && it.bottom() <= layout.height,
                "{name}: {thing:?}"
            );
            for (other, that) in &layout.things[..n] {
                let apart = it.right() <= that.x
                    || that.right() <= it.x
                    || it.bottom() <= that.y
                    || that.bottom() <= it.y;
                assert!(apart, "{name}: {} lies on {}", thing.key, other.key);
            }
        }
    }
}

#[test]
fn no_line_runs_through_a_box() {
    for (name, stack) in stacks() {
        let picture = place::picture(&stack);
        let layout = svg::layout::Layout::new(&picture);
        for (flow, points) in svg::routes::routes(&picture, &layout) {
            for line in points.windows(2) {
                let ((ax, ay), (bx, by)) = (line[0], line[1]);
                assert!(ax == bx || ay == by, "{name}: {flow:?} runs askew: {points:?}");
                for (thing, it) in &layout.things {
                    let through = ax.min(bx) < it.right()
                        && it.x < ax.max(bx).max(ax + 1)
                        && ay.min(by) < it.bottom()
                        && it.y < ay.max(by).max(ay + 1);
                    // A line may end at an edge.
                    let inside = through && !(ax.max(bx) <= it.x || it.right() <= ax.min(bx));
                    assert!(
                        !inside,
                        "{name}: a line of {flow:?} runs through {}: {points:?} {it:?}",
                        thing.key
                    );
                }
            }
        }
    }
}

/// `LAMP_DRAW=<folder>` writes the pictures there, to be looked at.
#[test]
fn pictures_can_be_looked_at() {
    for (name, stack) in stacks() {
        let svg = svg(&stack);
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        if let Some(dir) = std::env::var_os("LAMP_DRAW") {
            std::fs::write(std::path::Path::new(&dir).join(format!("{name}.svg")), svg).unwrap();
        }
    }
}
