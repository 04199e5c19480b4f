//! Writes SVG.

use super::layout::Rect;

pub(super) struct Pen {
    text: String,
    size: (i32, i32),
}

/// Colours for light and for dark; the reader's preference decides.
const STYLE: &str = "\
:root{--bg:#fff;--ink:#1c2733;--soft:#5b6b7c;--line:#aab4c0;--card:#fff;--vpc:#7c5cd6;--zone:#3f83c9;--public:#4d9e5f;--public-bg:#edf7ef;\
--private:#4a7fc1;--private-bg:#edf3fb;--web:#d9730d;--files:#15803d;--database:#2563eb;--copy:#8b6cc4}
@media(prefers-color-scheme:dark){:root{--bg:#12181f;--ink:#e6edf3;--soft:#9aa8b6;--line:#4a5866;--card:#1d2731;--vpc:#a48cf0;--zone:#6aa9e9;\
--public:#6cc07f;--public-bg:#16281b;--private:#79aae6;--private-bg:#16233a;--web:#f59e4c;--files:#4ade80;--database:#7aa7ff;--copy:#b79cf0}}
text{font-family:system-ui,-apple-system,\"Segoe UI\",Helvetica,Arial,sans-serif;fill:var(--ink)}
.title{font-size:13px;font-weight:600}.name{font-size:12px;font-weight:600}.small{font-size:11px;fill:var(--soft)}
.bg{fill:var(--bg)}.none{fill:none}
.region{fill:none;stroke:var(--line);stroke-width:1.5}.vpc{fill:none;stroke:var(--vpc);stroke-width:1.5}
.zone{fill:none;stroke:var(--zone);stroke-dasharray:5 4}.area{fill:none;stroke:var(--line);stroke-dasharray:2 3}
.balancers{fill:var(--card);stroke:var(--web)}
.public{fill:var(--public-bg);stroke:var(--public)}.private{fill:var(--private-bg);stroke:var(--private)}
.thing{fill:var(--card);stroke:var(--line)}.thing.elastic{stroke:var(--web);stroke-dasharray:4 3}
.mark{fill:var(--line);stroke:none}.mark.door{fill:var(--vpc)}.mark.balancer,.mark.elastic{fill:var(--web)}.mark.host{fill:var(--web)}\
.mark.filestore{fill:var(--files)}.mark.db{fill:var(--database)}.mark.edge{fill:var(--zone)}
path{fill:none;stroke-width:1.6}path.web{stroke:var(--web)}path.files{stroke:var(--files)}path.database{stroke:var(--database)}\
path.copy{stroke:var(--copy);stroke-dasharray:5 3}
marker path{stroke:none}.tip-web{fill:var(--web)}.tip-files{fill:var(--files)}.tip-database{fill:var(--database)}.tip-copy{fill:var(--copy)}";

impl Pen {
    pub(super) fn new(width: i32, height: i32) -> Self {
        let mut pen = Pen { text: String::new(), size: (width, height) };
        pen.rect(Rect { x: 0, y: 0, w: width, h: height }, "bg", 0);
        pen
    }

    pub(super) fn rect(&mut self, it: Rect, class: &str, round: i32) {
        let Rect { x, y, w, h } = it;
        self.text += &format!(
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" rx=\"{round}\"/>\n"
        );
    }

    /// Text that is cut where there is no more room; answers how wide it is, about.
    pub(super) fn text(&mut self, x: i32, y: i32, class: &str, text: &str, room: i32) -> i32 {
        self.put(x, y, class, text, room, "start")
    }

    pub(super) fn text_right(&mut self, x: i32, y: i32, class: &str, text: &str, room: i32) {
        self.put(x, y, class, text, room, "end");
    }

    fn put(&mut self, x: i32, y: i32, class: &str, text: &str, room: i32, anchor: &str) -> i32 {
        // Of wide fonts; better too short than through the edge.
        let per_letter = match class {
            "small" => 64,
            "name" => 75,
            _ => 82,
        };
        let letters = usize::try_from(room * 10 / per_letter).unwrap_or_default();
        let shown = match text.chars().count() {
            n if n <= letters => text.to_owned(),
            _ if letters < 3 => String::new(),
            _ => text.chars().take(letters - 1).chain(['…']).collect(),
        };
        if shown.is_empty() {
            return 0;
        }
        let width = i32::try_from(shown.chars().count()).unwrap_or_default() * per_letter / 10;
        let shown = escaped(&shown);
        self.text +=
            &format!("<text class=\"{class}\" x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{shown}</text>\n");
        width
    }

    /// A line of corners with an arrow at its end.
    pub(super) fn path(&mut self, class: &str, points: &[(i32, i32)]) {
        let mut path = String::new();
        for (n, &(x, y)) in points.iter().enumerate() {
            let corner = n.checked_sub(1).and_then(|it| points.get(it)).zip(points.get(n + 1));
            match corner {
                None if n == 0 => path += &format!("M{x} {y}"),
                None => path += &format!("L{x} {y}"),
                Some((before, after)) => {
                    let (bx, by) = towards((x, y), *before);
                    let (ax, ay) = towards((x, y), *after);
                    path += &format!("L{bx} {by}Q{x} {y} {ax} {ay}");
                }
            }
        }
        self.text += &format!("<path class=\"{class}\" d=\"{path}\" marker-end=\"url(#{class})\"/>\n");
    }

    pub(super) fn end(self, title: &str) -> String {
        let (w, h) = self.size;
        let tips: String = ["web", "files", "database", "copy"].iter().map(|it| {
            format!(
                "<marker id=\"{it}\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" markerUnits=\"userSpaceOnUse\" orient=\"auto\"><path class=\"tip-{it}\" d=\"M0 0L8 4L0 8z\"/></marker>"
            )
        }).collect();
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" role=\"img\">\n<title>{}</title>\n<style>{STYLE}</style>\n<defs>{tips}</defs>\n{}</svg>\n",
            escaped(title),
            self.text
        )
    }
}

/// A few steps from a corner towards its neighbour, where the rounding begins.
fn towards(corner: (i32, i32), neighbour: (i32, i32)) -> (i32, i32) {
    const ROUND: i32 = 6;
    let step = |from: i32, to: i32| {
        from + (to - from).clamp(-ROUND.min((to - from).abs() / 2), ROUND.min((to - from).abs() / 2))
    };
    (step(corner.0, neighbour.0), step(corner.1, neighbour.1))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
