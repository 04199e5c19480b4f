//! Where each box lies.

use std::collections::HashMap;

use crate::graph::picture::{INTERNET, Picture, Sort, Subnet, Thing, Vpc, Zone};

pub(in crate::graph) const MARGIN: i32 = 20;
const PAD: i32 = 16;
const GAP: i32 = 12;
/// Height of a frame's title.
const TITLE: i32 = 30;
const THING: i32 = 40;
const GROUP: i32 = 24;
/// At least; stretched to what lies above.
const SUBNET_WIDTH: i32 = 310;
const BALANCER_WIDTH: i32 = 285;
const DOOR_WIDTH: i32 = 170;
const SERVICES_WIDTH: i32 = 270;
/// Room for a frame's title, left of lines from above.
const TITLE_WIDTH: i32 = 200;
/// Distance between two lines that run side by side.
pub(in crate::graph) const LANE: i32 = 9;
/// Lines right of a zone's subnets: files, database, copies, and the way down to what zones share.
pub(in crate::graph) const RIGHT_LANES: i32 = 4;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::graph) struct Rect {
    pub(in crate::graph) x: i32,
    pub(in crate::graph) y: i32,
    pub(in crate::graph) w: i32,
    pub(in crate::graph) h: i32,
}

impl Rect {
    pub(in crate::graph) fn right(&self) -> i32 {
        self.x + self.w
    }

    pub(in crate::graph) fn bottom(&self) -> i32 {
        self.y + self.h
    }

    pub(in crate::graph) fn centre(&self) -> (i32, i32) {
        (self.x + self.w / 2, self.y + self.h / 2)
    }
}

/// A box around others.
pub(in crate::graph) struct Frame {
    pub(in crate::graph) rect: Rect,
    pub(in crate::graph) class: &'static str,
    pub(in crate::graph) title: String,
    pub(in crate::graph) detail: String,
    /// How far the title begins from the left edge, past lines that come from above.
    pub(in crate::graph) indent: i32,
    /// At the right end of the title.
    pub(in crate::graph) right: String,
}

/// Where a thing of a zone lies: which zone, which row.
#[derive(Clone, Copy)]
pub(in crate::graph) struct Cell {
    pub(in crate::graph) zone: usize,
    pub(in crate::graph) row: usize,
}

#[derive(Default)]
pub(in crate::graph) struct Layout<'a> {
    pub(in crate::graph) width: i32,
    pub(in crate::graph) height: i32,
    pub(in crate::graph) frames: Vec<Frame>,
    pub(in crate::graph) things: Vec<(Thing, Rect)>,
    pub(in crate::graph) rects: HashMap<String, Rect>,
    pub(in crate::graph) cells: HashMap<&'a str, Cell>,
    /// Left and right edge of each zone's subnets.
    pub(in crate::graph) columns: Vec<(i32, i32)>,
    /// Upper edge of each row of subnets.
    pub(in crate::graph) rows: Vec<i32>,
    /// Upper edges of the free space between doors and balancers, and between those and the zones.
    pub(in crate::graph) channels: [i32; 2],
}

impl<'a> Layout<'a> {
    pub(in crate::graph) fn new(picture: &'a Picture) -> Self {
        let mut it = Layout::default();
        let top = MARGIN + 34;
        let has_edge = !picture.edge.is_empty();
        let has_arrows = !picture.arrows.is_empty();
        let region_y = if has_arrows || has_edge { top + THING + 34 } else { top };
        let (inner_x, inner_y) = (MARGIN + PAD, region_y + TITLE + 4);
        let mut right = inner_x;
        let mut bottom = inner_y;
        if let Some(vpc) = &picture.vpc {
            let rect = it.vpc(vpc, inner_x, inner_y);
            (right, bottom) = (rect.right() + 2 * GAP, rect.bottom());
        }
        // Without a network the world still needs its place beside the edge.
        let services_x = match &picture.vpc {
            Some(_) => right,
            None => right + DOOR_WIDTH + 4 * GAP,
        };
        if !picture.services.is_empty() || has_edge {
            let end = it.services(picture, services_x, inner_y);
            (right, bottom) = (services_x + SERVICES_WIDTH + 2 * GAP, bottom.max(end));
        }
        for (n, thing) in picture.edge.iter().enumerate() {
            let x = services_x + (SERVICES_WIDTH + GAP) * i32::try_from(n).unwrap_or_default();
            it.thing(thing, Rect { x, y: top, w: SERVICES_WIDTH, h: THING });
            right = right.max(x + SERVICES_WIDTH + 2 * GAP);
        }
        if has_arrows {
            let door = picture.vpc.as_ref().and_then(|it| it.doors.first());
            let door = door.and_then(|thing| it.rects.get(&thing.key)).copied();
            let rect = Rect { x: door.map_or(inner_x, |it| it.x), y: top, w: DOOR_WIDTH, h: THING };
            let internet = Thing {
                key: INTERNET.into(),
                sort: Sort::Edge,
                label: "Internet".into(),
                detail: String::new(),
            };
            it.thing(&internet, rect);
        }
        let region =
            Rect { x: MARGIN, y: region_y, w: right - GAP + PAD - MARGIN - GAP, h: bottom + PAD - region_y };
        let around = Frame {
            title: if picture.region.is_empty() { "AWS" } else { "Region" }.into(),
            detail: picture.region.clone(),
            ..frame(region, "region")
        };
        it.frames.insert(0, around);
        let title = Rect { x: MARGIN - 12, y: MARGIN - 12, w: region.w + 24, h: TITLE };
        it.frames.insert(0, Frame { title: picture.title.clone(), ..frame(title, "none") });
        it.width = region.right() + MARGIN;
        it.height = region.bottom() + 28 + MARGIN;
        it
    }

    fn thing(&mut self, thing: &Thing, rect: Rect) {
        self.rects.insert(thing.key.clone(), rect);
        self.things.push((thing.clone(), rect));
    }

    fn vpc(&mut self, vpc: &'a Vpc, x: i32, y: i32) -> Rect {
        let index = self.frames.len();
        let left = 14 + LANE * count(&vpc.balancers);
        let lanes = left + 14 + LANE * RIGHT_LANES;
        let balancers = count(&vpc.balancers) * (BALANCER_WIDTH + GAP) - GAP;
        let doors = TITLE_WIDTH + count(&vpc.doors) * (DOOR_WIDTH + GAP) - GAP;
        let above = balancers.max(doors) + GAP;
        let column = (SUBNET_WIDTH + lanes).max(above / count(&vpc.zones).max(1) - GAP);
        let inner = (count(&vpc.zones) * (column + GAP) - GAP).max(above - GAP);

        let mut at = y + TITLE;
        for (n, it) in (0..).zip(&vpc.doors) {
            self.thing(
                it,
                Rect { x: x + PAD + TITLE_WIDTH + n * (DOOR_WIDTH + GAP), y: at, w: DOOR_WIDTH, h: THING },
            );
        }
        if !vpc.doors.is_empty() {
            at += THING;
        }
        self.channels[0] = at;
        at += 26;
        let deepest = vpc.balancers.iter().map(|it| count(&it.groups)).max().unwrap_or_default();
        let start = x + PAD + (inner - balancers).max(0) / 2;
        for (n, it) in (0..).zip(&vpc.balancers) {
            let x = start + n * (BALANCER_WIDTH + GAP);
            let h = THING + count(&it.groups) * (GROUP + 4) + 4;
            self.frames.push(frame(Rect { x, y: at, w: BALANCER_WIDTH, h }, "balancers"));
            self.thing(&it.thing, Rect { x, y: at, w: BALANCER_WIDTH, h: THING });
            for (n, group) in (0..).zip(&it.groups) {
                let y = at + THING + 4 + n * (GROUP + 4);
                self.thing(group, Rect { x: x + 10, y, w: BALANCER_WIDTH - 20, h: GROUP });
            }
        }
        if !vpc.balancers.is_empty() {
            at += THING + deepest * (GROUP + 4) + 4;
        }
        self.channels[1] = at;
        at += 18 + LANE * count(&vpc.balancers);

        let end = self.zones(&vpc.zones, (x + PAD, at), left, column);
        at = end + 18;
        for (n, it) in (0..).zip(&vpc.shared) {
            let w = (inner - GAP * (count(&vpc.shared) - 1)) / count(&vpc.shared);
            self.thing(it, Rect { x: x + PAD + n * (w + GAP), y: at, w, h: THING });
        }
        if !vpc.shared.is_empty() {
            at += THING + PAD;
        }
        let rect = Rect { x, y, w: inner + 2 * PAD, h: at - y };
        let (title, detail) = (format!("VPC {}", vpc.label), vpc.cidr.clone());
        self.frames.insert(index, Frame { title, detail, ..frame(rect, "vpc") });
        rect
    }

    /// Zones side by side, their subnets in common rows.
    fn zones(&mut self, zones: &'a [Zone], (x, y): (i32, i32), left: i32, column: i32) -> i32 {
        let rows = zones.iter().map(|it| it.subnets.len()).max().unwrap_or_default();
        let mut at = y + TITLE;
        let mut heights = Vec::new();
        for row in 0..rows {
            let things = zones.iter().filter_map(|it| it.subnets.get(row)).map(|it| count(&it.things)).max();
            // Lines to databases of another zone run between the rows.
            let crossed = zones.iter().filter_map(|it| it.subnets.get(row)).flat_map(|it| &it.things);
            let crossed = crossed.into_iter().any(|it| it.sort == Sort::Database);
            at += match row {
                0 => 0,
                _ if crossed => 12 + 3 * LANE,
                _ => 14,
            };
            self.rows.push(at);
            let height = TITLE + things.unwrap_or_default().max(1) * (THING + 6) + 4;
            heights.push(height);
            at += height;
        }
        let bottom = at + 12;
        for (index, zone) in zones.iter().enumerate() {
            let x = x + i32::try_from(index).unwrap_or_default() * (column + GAP);
            let rect = Rect { x, y, w: column, h: bottom - y };
            self.frames.push(Frame { title: zone.name.clone(), indent: left, ..frame(rect, "zone") });
            let subnet_x = x + left;
            let width = column - left - 14 - LANE * RIGHT_LANES;
            self.columns.push((subnet_x, subnet_x + width));
            for (row, it) in zone.subnets.iter().enumerate() {
                let rect = Rect { x: subnet_x, y: self.rows[row], w: width, h: heights[row] };
                self.subnet(it, rect, Cell { zone: index, row });
            }
        }
        bottom
    }

    fn subnet(&mut self, it: &'a Subnet, rect: Rect, cell: Cell) {
        let class = if it.public { "subnet public" } else { "subnet private" };
        let right = if it.route.is_empty() { String::new() } else { format!("⇢ {}", it.route) };
        let (title, detail) = (it.label.clone(), it.cidr.clone());
        self.frames.push(Frame { title, detail, right, ..frame(rect, class) });
        for (n, thing) in (0..).zip(&it.things) {
            let y = rect.y + TITLE + n * (THING + 6);
            self.thing(thing, Rect { x: rect.x + 10, y, w: rect.w - 20, h: THING });
            self.cells.insert(&thing.key, cell);
        }
    }

    fn services(&mut self, picture: &Picture, x: i32, y: i32) -> i32 {
        let mut at = y;
        for it in &picture.services {
            let h = TITLE + count(&it.things) * (THING + 14) - 2;
            let rect = Rect { x, y: at, w: SERVICES_WIDTH, h };
            self.frames.push(Frame { title: it.title.clone(), ..frame(rect, "area") });
            for (n, thing) in (0..).zip(&it.things) {
                let y = at + TITLE + n * (THING + 14);
                self.thing(thing, Rect { x: x + 10, y, w: SERVICES_WIDTH - 20, h: THING });
            }
            at += h + GAP;
        }
        at - GAP
    }
}

fn frame(rect: Rect, class: &'static str) -> Frame {
    Frame { rect, class, title: String::new(), detail: String::new(), indent: 12, right: String::new() }
}

fn count<T>(all: &[T]) -> i32 {
    i32::try_from(all.len()).unwrap_or(i32::MAX)
}
