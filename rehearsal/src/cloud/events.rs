//! What RDS tells of a failover, which the control plane knows nothing of.

use jiff::Timestamp;

use super::answers::leaf;
use super::call::Call;
use super::sync::Sync;
use super::xml::{Element, Node};

const KIND: &str = "db-instance";
const CATEGORY: &str = "failover";

/// How a failover's beginning and end are noted, and what RDS calls them.
const WORDS: [(&str, &str); 2] = [
    ("failover begins", "Multi-AZ instance failover started"),
    ("failover completed", "Multi-AZ instance failover completed"),
];

/// The answer with every failover in it that was asked about; `None`: there is none.
pub(super) fn told(sync: &Sync, call: &Call, answer: &str) -> Option<String> {
    let is_asked = |field: &str, it: &str| call.parameter(field).is_none_or(|asked| asked == it);
    let categories = call.parameters.iter().filter(|it| it.0.starts_with("EventCategories."));
    let categories: Vec<&str> = categories.map(|it| it.1.as_str()).collect();
    if !is_asked("SourceType", KIND) || !categories.is_empty() && !categories.contains(&CATEGORY) {
        return None;
    }
    let databases = sync.running().databases.clone();
    let databases = databases.iter().filter(|it| is_asked("SourceIdentifier", it.0));
    let told: Vec<Node> = databases
        .flat_map(|(name, it)| it.events().into_iter().map(move |it| (name, it)))
        .filter_map(|(name, it)| {
            let words = WORDS.iter().find(|word| it.what.starts_with(word.0))?.1;
            Some(event(name, words, it.at))
        })
        .collect();
    let mut whole = Element::parse(answer).filter(|_| !told.is_empty())?;
    let result = whole.child_mut("DescribeEventsResult")?;
    if result.child("Events").is_none() {
        result.nodes.push(Node::Element(Element::new("Events", Vec::new())));
    }
    result.child_mut("Events")?.nodes.extend(told);
    Some(whole.write())
}

fn event(database: &str, words: &str, at: Timestamp) -> Node {
    let categories = Element::new("EventCategories", vec![leaf("EventCategory", CATEGORY)]);
    let nodes = vec![
        leaf("SourceIdentifier", database),
        leaf("SourceType", KIND),
        leaf("Message", words),
        Node::Element(categories),
        leaf("Date", &format!("{at:.3}")),
    ];
    Node::Element(Element::new("Event", nodes))
}
