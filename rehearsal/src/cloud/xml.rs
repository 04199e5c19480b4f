//! Just enough XML to change an answer of the control plane: elements and text, nothing else is in there.

/// An element with everything in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) name: String,
    /// As they were written.
    attributes: String,
    pub(super) nodes: Vec<Node>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Element(Element),
    /// As it was written, entities included.
    Text(String),
}

impl Element {
    pub(super) fn new(name: &str, nodes: Vec<Node>) -> Element {
        Element { name: name.to_owned(), attributes: String::new(), nodes }
    }

    /// The outermost element of a document; `None` if it is none that this understands.
    pub(super) fn parse(text: &str) -> Option<Element> {
        let mut rest = text.trim_start();
        while rest.starts_with("<?") {
            rest = rest.split_once("?>")?.1.trim_start();
        }
        let (it, _) = element(rest)?;
        Some(it)
    }

    pub(super) fn children(&self) -> impl Iterator<Item = &Element> {
        self.nodes.iter().filter_map(|it| match it {
            Node::Element(it) => Some(it),
            Node::Text(_) => None,
        })
    }

    pub(super) fn child(&self, name: &str) -> Option<&Element> {
        self.children().find(|it| it.name == name)
    }

    pub(super) fn child_mut(&mut self, name: &str) -> Option<&mut Element> {
        self.nodes.iter_mut().find_map(|it| match it {
            Node::Element(it) if it.name == name => Some(it),
            _ => None,
        })
    }

    /// The text of a child.
    pub(super) fn text(&self, child: &str) -> Option<&str> {
        self.child(child)?.nodes.iter().find_map(|it| match it {
            Node::Text(it) => Some(it.trim()),
            Node::Element(_) => None,
        })
    }

    pub(super) fn set(&mut self, text: &str) {
        self.nodes = vec![Node::Text(text.to_owned())];
    }

    /// Does something to this element and to all that are in it.
    pub(super) fn each(&mut self, change: &mut impl FnMut(&mut Element)) {
        change(self);
        for it in &mut self.nodes {
            if let Node::Element(it) = it {
                it.each(change);
            }
        }
    }

    /// The texts of all elements of that name, however deep.
    pub(super) fn all(&self, name: &str) -> Vec<String> {
        let mut all: Vec<String> = self.text(name).map(str::to_owned).into_iter().collect();
        // A list may hold more than one of it.
        all.extend(self.children().filter(|it| it.name == name).skip(1).filter_map(Element::own_text));
        all.extend(self.children().flat_map(|it| it.all(name)));
        all
    }

    fn own_text(&self) -> Option<String> {
        self.nodes.iter().find_map(|it| match it {
            Node::Text(it) => Some(it.trim().to_owned()),
            Node::Element(_) => None,
        })
    }

    pub(super) fn write(&self) -> String {
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        self.write_to(&mut out);
        out
    }

    fn write_to(&self, out: &mut String) {
        out.extend(["<", &self.name, &self.attributes, ">"]);
        for it in &self.nodes {
            match it {
                Node::Text(it) => out.push_str(it),
                Node::Element(it) => it.write_to(out),
            }
        }
        out.extend(["</", &self.name, ">"]);
    }
}

/// As text of XML.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// An element that begins here, and what follows it.
fn element(text: &str) -> Option<(Element, &str)> {
    let (head, mut rest) = text.strip_prefix('<')?.split_once('>')?;
    let (head, is_empty) = head.strip_suffix('/').map_or((head, false), |it| (it, true));
    let end = head.find(char::is_whitespace).unwrap_or(head.len());
    let (name, attributes) = head.split_at(end);
    let mut it =
        Element { name: name.to_owned(), attributes: attributes.trim_end().to_owned(), nodes: Vec::new() };
    if is_empty {
        return Some((it, rest));
    }
    loop {
        let at = rest.find('<')?;
        if !rest[..at].is_empty() {
            it.nodes.push(Node::Text(rest[..at].to_owned()));
        }
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("</") {
            let (closed, after) = after.split_once('>')?;
            return (closed.trim() == name).then_some((it, after));
        }
        if let Some(after) = rest.strip_prefix("<!--") {
            rest = after.split_once("-->")?.1;
            continue;
        }
        let (child, after) = element(rest)?;
        it.nodes.push(Node::Element(child));
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "<?xml version=\"1.0\"?>\n<a x=\"1\"><!-- no --><b>one &amp; two</b><c><b>three</b><d/></c></a>";

    #[test]
    fn what_is_read_is_written_again() {
        let it = Element::parse(TEXT).unwrap();
        let again = it.write();
        assert!(again.ends_with("<a x=\"1\"><b>one &amp; two</b><c><b>three</b><d></d></c></a>"), "{again}");
        assert_eq!(Element::parse(&again), Some(it));
    }

    #[test]
    fn elements_are_found_and_changed() {
        let mut it = Element::parse(TEXT).unwrap();
        assert_eq!(it.all("b"), ["one &amp; two", "three"]);
        it.each(&mut |it| {
            if it.name == "c"
                && let Some(b) = it.child_mut("b")
            {
                b.set("four");
            }
        });
        assert_eq!(it.child("c").and_then(|it| it.text("b")), Some("four"));
    }

    #[test]
    fn what_is_no_xml_is_left_alone() {
        for it in ["", "text", "<a><b></a>", "<a>"] {
            assert_eq!(Element::parse(it), None, "{it}");
        }
    }
}
