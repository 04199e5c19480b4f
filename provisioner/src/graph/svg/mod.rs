//! The picture as SVG, laid out by rules of our own: whoever reads it needs no other program, and the
//! same stack always gives the same bytes.
//!
//! Zones are columns, subnets rows, so that what has the same task stands side by side. Lines run in
//! lanes between them and never through a box.

pub(super) mod layout;
mod pen;
pub(super) mod routes;

use super::picture::{Flow, Picture, Sort};
use layout::{Frame, Layout};
use pen::Pen;

pub(super) fn write(picture: &Picture) -> String {
    let layout = Layout::new(picture);
    let mut pen = Pen::new(layout.width, layout.height);
    for it in &layout.frames {
        frame(it, &mut pen);
    }
    for (flow, points) in routes::routes(picture, &layout) {
        pen.path(flow.words(), &points);
    }
    for it in &layout.frames {
        titles(it, &mut pen);
    }
    for (thing, rect) in &layout.things {
        pen.rect(*rect, &format!("thing {}", class(thing.sort)), 6);
        pen.rect(layout::Rect { w: 4, ..*rect }, &format!("mark {}", class(thing.sort)), 2);
        let middle = rect.y + rect.h / 2;
        let room = rect.w - 22;
        if thing.detail.is_empty() {
            pen.text(rect.x + 14, middle + 4, "name", &thing.label, room);
        } else if rect.h < 34 {
            pen.text(rect.x + 14, middle + 4, "small", &format!("{}  {}", thing.label, thing.detail), room);
        } else {
            pen.text(rect.x + 14, middle - 3, "name", &thing.label, room);
            pen.text(rect.x + 14, middle + 12, "small", &thing.detail, room);
        }
    }
    let used = Flow::ALL.into_iter().filter(|flow| picture.arrows.iter().any(|it| it.flow == *flow));
    for (n, flow) in used.enumerate() {
        let (x, y) =
            (layout::MARGIN + 130 * i32::try_from(n).unwrap_or_default(), layout.height - layout::MARGIN);
        pen.path(flow.words(), &[(x, y - 4), (x + 34, y - 4)]);
        pen.text(x + 42, y, "small", legend(flow), 90);
    }
    pen.end(&picture.title)
}

fn frame(it: &Frame, pen: &mut Pen) {
    pen.rect(it.rect, it.class, if it.class.starts_with("subnet") { 6 } else { 10 });
}

fn titles(it: &Frame, pen: &mut Pen) {
    let y = it.rect.y + 19;
    let used = pen.text(it.rect.x + it.indent, y, "title", &it.title, it.rect.w - 24);
    let room = it.rect.w - 36 - used;
    pen.text(it.rect.x + it.indent + 8 + used, y, "small", &it.detail, room);
    pen.text_right(
        it.rect.x + it.rect.w - 12,
        y,
        "small",
        &it.right,
        room - 6 * i32::try_from(it.detail.chars().count()).unwrap_or_default(),
    );
}

fn legend(flow: Flow) -> &'static str {
    match flow {
        Flow::Web => "HTTP",
        Flow::Files => "NFS",
        Flow::Database => "MySQL",
        Flow::Copy => "copies",
    }
}

fn class(sort: Sort) -> &'static str {
    match sort {
        Sort::Door => "door",
        Sort::Balancer | Sort::Group => "balancer",
        Sort::Host => "host",
        Sort::Elastic => "elastic",
        Sort::Files => "filestore",
        Sort::Database => "db",
        Sort::Edge => "edge",
        Sort::Other => "other",
    }
}
