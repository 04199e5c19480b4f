//! The picture in Graphviz's language.

use super::picture::{Area, Flow, INTERNET, Picture, Sort, Thing};

pub(super) fn write(picture: &Picture) -> String {
    let mut w = Writer { text: "digraph lamp {\n".into(), depth: 1 };
    w.line("rankdir=TB; compound=true; newrank=true;");
    w.line("graph [fontname=\"Helvetica\", style=rounded, color=gray60];");
    w.line("node [fontname=\"Helvetica\", fontsize=11, shape=box, style=rounded];");
    w.line("edge [color=gray40, fontname=\"Helvetica\", fontsize=9];");
    w.line(&format!("{} [label=\"Internet\", shape=ellipse];", quoted(INTERNET)));
    for it in &picture.edge {
        w.thing(it);
    }
    w.group("region", &format!("{} {}", picture.title, picture.region), |w| {
        if let Some(vpc) = &picture.vpc {
            w.group(&vpc.key, &format!("VPC {} {}", vpc.label, vpc.cidr), |w| {
                vpc.doors.iter().for_each(|it| w.thing(it));
                for it in &vpc.balancers {
                    w.thing(&it.thing);
                    it.groups.iter().for_each(|it| w.thing(it));
                }
                for zone in &vpc.zones {
                    w.group(&format!("zone {}", zone.name), &zone.name, |w| {
                        for it in &zone.subnets {
                            w.group(&it.key, &format!("{} {}", it.label, it.cidr), |w| {
                                it.things.iter().for_each(|it| w.thing(it));
                                // A cluster without a node is not drawn.
                                if it.things.is_empty() {
                                    let key = quoted(&format!("{} empty", it.key));
                                    w.line(&format!("{key} [style=invis, label=\"\"];"));
                                }
                            });
                        }
                    });
                }
                vpc.shared.iter().for_each(|it| w.thing(it));
            });
        }
        for (n, Area { title, things }) in picture.services.iter().enumerate() {
            w.group(&format!("services {n}"), title, |w| things.iter().for_each(|it| w.thing(it)));
        }
    });
    for it in &picture.arrows {
        let style = match it.flow {
            Flow::Web => "",
            Flow::Files => " [color=seagreen, label=\"files\"]",
            Flow::Database => " [color=royalblue, label=\"database\"]",
            Flow::Copy => " [style=dashed]",
        };
        w.line(&format!("{} -> {}{style};", quoted(&it.from), quoted(&it.to)));
    }
    w.text + "}\n"
}

struct Writer {
    text: String,
    depth: usize,
}

impl Writer {
    fn line(&mut self, line: &str) {
        self.text += &format!("{}{line}\n", "  ".repeat(self.depth));
    }

    fn group(&mut self, key: &str, title: &str, inside: impl FnOnce(&mut Self)) {
        self.line(&format!("subgraph {} {{", quoted(&format!("cluster {key}"))));
        self.depth += 1;
        self.line(&format!("label={};", quoted(title.trim())));
        inside(self);
        self.depth -= 1;
        self.line("}");
    }

    fn thing(&mut self, it: &Thing) {
        let shape = match it.sort {
            Sort::Database | Sort::Files => ", shape=cylinder, style=solid",
            Sort::Elastic => ", peripheries=2",
            Sort::Edge | Sort::Balancer => ", shape=hexagon, style=solid",
            Sort::Door | Sort::Group | Sort::Host | Sort::Other => "",
        };
        let detail = if it.detail.is_empty() { String::new() } else { format!("\n{}", it.detail) };
        let label = quoted(&format!("{}{detail}", it.label));
        self.line(&format!("{} [label={label}{shape}];", quoted(&it.key)));
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
