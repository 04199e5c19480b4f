//! Which way each arrow takes: along lanes between the boxes.

use super::layout::{LANE, Layout, Rect};
use crate::graph::picture::{Flow, INTERNET, Picture};

type Points = Vec<(i32, i32)>;

/// The arrows that can be drawn without crossing a box, as lines of corners.
pub(in crate::graph) fn routes(picture: &Picture, layout: &Layout<'_>) -> Vec<(Flow, Points)> {
    let mut routes: Vec<(Flow, Points)> = Vec::new();
    for it in &picture.arrows {
        let (Some(from), Some(to)) = (layout.rects.get(&it.from), layout.rects.get(&it.to)) else { continue };
        // A target group lies inside its balancer.
        let groups = picture.vpc.iter().flat_map(|it| &it.balancers).flat_map(|it| &it.groups);
        if groups.into_iter().any(|group| group.key == it.to) {
            continue;
        }
        let (from_cell, to_cell) = (layout.cells.get(it.from.as_str()), layout.cells.get(it.to.as_str()));
        let points = match (from_cell, to_cell) {
            (Some(_), Some(_)) => beside(it.flow, &it.from, &it.to, layout),
            (None, Some(cell)) => balancer(&it.from, *to, layout.columns[cell.zone].0, picture, layout),
            (Some(cell), None) => down(*from, *to, layout.columns[cell.zone].1),
            (None, None) if it.from == INTERNET => Some(from_internet(*from, *to)),
            (None, None) => vertical(*from, *to, layout),
        };
        // Two groups of one balancer reach the same host by the same way.
        routes.extend(points.map(|it_points| (it.flow, it_points)).filter(|it| !routes.contains(it)));
    }
    routes
}

/// How far right of a zone's subnets a flow runs.
fn lane(flow: Flow) -> i32 {
    let lane = match flow {
        Flow::Files | Flow::Web => 0,
        Flow::Database => 1,
        Flow::Copy => 2,
    };
    10 + lane * LANE
}

/// Between things in subnets: out at the right, along the zone's lane, in at the right. To another zone
/// it goes above the target's row.
fn beside(flow: Flow, from: &str, to: &str, layout: &Layout<'_>) -> Option<Points> {
    let (start, end) = (layout.rects.get(from)?, layout.rects.get(to)?);
    let (here, there) = (layout.cells.get(from)?, layout.cells.get(to)?);
    let (out, into) = (start.centre().1 + leaves(flow), end.centre().1 - 6);
    let x = layout.columns[here.zone].1 + lane(flow);
    let mut points = vec![(start.right(), out), (x, out)];
    if here.zone != there.zone {
        // Between two rows, below the neighbour's lines into the row above.
        let row = layout.rows[there.row] - 8 - lane(flow) / 2;
        let other = layout.columns[there.zone].1 + lane(flow);
        points.extend([(x, row), (other, row), (other, into)]);
    } else {
        points.push((x, into));
    }
    points.push((end.right(), into));
    Some(points)
}

/// How far from its middle a flow leaves a thing.
fn leaves(flow: Flow) -> i32 {
    match flow {
        Flow::Files => -8,
        Flow::Web | Flow::Database => 2,
        Flow::Copy => 12,
    }
}

/// From a balancer down its own lane left of the zone's subnets.
fn balancer(from: &str, to: Rect, column: i32, picture: &Picture, layout: &Layout<'_>) -> Option<Points> {
    let vpc = picture.vpc.as_ref()?;
    let (n, balancer) =
        (0..).zip(&vpc.balancers).find(|(_, it)| it.groups.iter().any(|it| it.key == from))?;
    let top = layout.rects.get(&balancer.thing.key)?;
    let bottom = layout.rects.get(&balancer.groups.last()?.key)?.bottom() + 4;
    let y = layout.channels[1] + 8 + n * LANE;
    let x = column - 10 - n * LANE;
    let start = top.centre().0;
    Some(vec![(start, bottom), (start, y), (x, y), (x, to.centre().1), (to.x, to.centre().1)])
}

/// To what the zones share, below them.
fn down(from: Rect, to: Rect, column: i32) -> Option<Points> {
    let x = column + 10 + 3 * LANE;
    let out = from.centre().1 + 8;
    (to.x <= x && x <= to.right() && from.bottom() < to.y)
        .then(|| vec![(from.right(), out), (x, out), (x, to.y)])
}

fn from_internet(from: Rect, to: Rect) -> Points {
    if from.y == to.y {
        return vec![(from.right(), from.centre().1), (to.x, to.centre().1)];
    }
    let x = to.centre().0;
    vec![(x, from.bottom()), (x, to.y)]
}

/// From one box down to another: straight, or through the space under the doors.
fn vertical(from: Rect, to: Rect, layout: &Layout<'_>) -> Option<Points> {
    if to.y < from.bottom() {
        return None;
    }
    let (start, end) = (from.centre().0, to.centre().0);
    if from.bottom() == layout.channels[0] {
        let y = layout.channels[0] + 12;
        return Some(vec![(start, from.bottom()), (start, y), (end, y), (end, to.y)]);
    }
    // Only neighbours: between others there would be a box.
    let straight = from.x.abs_diff(to.x) < 20 && to.y - from.bottom() < 120;
    straight.then(|| vec![(end, from.bottom()), (end, to.y)])
}
