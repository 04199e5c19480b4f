//! The picture in Mermaid's language.

use super::picture::{Area, Flow, INTERNET, Picture, Sort, Thing};

pub(super) fn write(picture: &Picture) -> String {
    let mut w = Writer { text: "flowchart TB\n".into(), depth: 1 };
    w.line(&format!("{INTERNET}([\"Internet\"])"));
    for it in &picture.edge {
        w.thing(it);
    }
    w.group("region", &format!("{} {}", picture.title, picture.region), |w| {
        if let Some(vpc) = &picture.vpc {
            w.group(&id(&vpc.key), &format!("VPC {} {}", vpc.label, vpc.cidr), |w| {
                vpc.doors.iter().for_each(|it| w.thing(it));
                for it in &vpc.balancers {
                    w.thing(&it.thing);
                    it.groups.iter().for_each(|it| w.thing(it));
                }
                for zone in &vpc.zones {
                    w.group(&id(&format!("zone-{}", zone.name)), &zone.name, |w| {
                        for it in &zone.subnets {
                            w.group(&id(&it.key), &format!("{} {}", it.label, it.cidr), |w| {
                                it.things.iter().for_each(|it| w.thing(it));
                                // A group without anything in it would be drawn as a node.
                                if it.things.is_empty() {
                                    w.line(&format!("{}_empty[\" \"]:::none", id(&it.key)));
                                }
                            });
                        }
                    });
                }
                vpc.shared.iter().for_each(|it| w.thing(it));
            });
        }
        for (n, Area { title, things }) in picture.services.iter().enumerate() {
            w.group(&format!("services{n}"), title, |w| things.iter().for_each(|it| w.thing(it)));
        }
    });
    for it in &picture.arrows {
        let line = match it.flow {
            Flow::Web => "-->".to_owned(),
            Flow::Copy => "-.->".to_owned(),
            other => format!("-->|{}|", other.words()),
        };
        w.line(&format!("{} {line} {}", id(&it.from), id(&it.to)));
    }
    w.line("classDef none fill:none,stroke:none");
    w.text
}

struct Writer {
    text: String,
    depth: usize,
}

impl Writer {
    fn line(&mut self, line: &str) {
        self.text += &format!("{}{line}\n", "    ".repeat(self.depth));
    }

    fn group(&mut self, id: &str, title: &str, inside: impl FnOnce(&mut Self)) {
        self.line(&format!("subgraph {id} [\"{}\"]", quoted(title.trim())));
        self.depth += 1;
        inside(self);
        self.depth -= 1;
        self.line("end");
    }

    fn thing(&mut self, it: &Thing) {
        let (open, close) = match it.sort {
            Sort::Door => ("([", "])"),
            Sort::Balancer | Sort::Edge => ("{{", "}}"),
            Sort::Database | Sort::Files => ("[(", ")]"),
            Sort::Elastic => ("[[", "]]"),
            Sort::Group | Sort::Host | Sort::Other => ("[", "]"),
        };
        let detail =
            if it.detail.is_empty() { String::new() } else { format!("<br/>{}", quoted(&it.detail)) };
        self.line(&format!("{}{open}\"{}{detail}\"{close}", id(&it.key), quoted(&it.label)));
    }
}

/// Letters and digits only; `n` in front, since `end` and the like are words of the language.
fn id(key: &str) -> String {
    if key == INTERNET {
        return key.to_owned();
    }
    format!("n_{}", key.replace(|it: char| !it.is_ascii_alphanumeric(), "_"))
}

fn quoted(text: &str) -> String {
    text.replace('"', "#quot;").replace('<', "&lt;")
}
