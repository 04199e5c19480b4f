//! What an architect draws.

/// The whole picture. Its parts refer to each other by key.
#[derive(Debug, Default)]
pub(super) struct Picture {
    pub(super) title: String,
    pub(super) region: String,
    /// At the edge of the network, in no region.
    pub(super) edge: Vec<Thing>,
    pub(super) vpc: Option<Vpc>,
    /// In the region, outside the VPC.
    pub(super) services: Vec<Area>,
    pub(super) arrows: Vec<Arrow>,
}

/// The key of everybody out there.
pub(super) const INTERNET: &str = "internet";

#[derive(Debug)]
pub(super) struct Vpc {
    pub(super) key: String,
    pub(super) label: String,
    pub(super) cidr: String,
    /// Ways in and out.
    pub(super) doors: Vec<Thing>,
    pub(super) balancers: Vec<Balancer>,
    pub(super) zones: Vec<Zone>,
    /// What the zones share.
    pub(super) shared: Vec<Thing>,
}

#[derive(Debug)]
pub(super) struct Balancer {
    pub(super) thing: Thing,
    pub(super) groups: Vec<Thing>,
}

#[derive(Debug)]
pub(super) struct Zone {
    pub(super) name: String,
    pub(super) subnets: Vec<Subnet>,
}

#[derive(Debug)]
pub(super) struct Subnet {
    pub(super) key: String,
    pub(super) label: String,
    pub(super) cidr: String,
    /// Where its traffic to the world goes: a label, or nothing.
    pub(super) route: String,
    pub(super) public: bool,
    pub(super) things: Vec<Thing>,
}

#[derive(Debug)]
pub(super) struct Area {
    pub(super) title: String,
    pub(super) things: Vec<Thing>,
}

#[derive(Clone, Debug)]
pub(super) struct Thing {
    pub(super) key: String,
    pub(super) sort: Sort,
    pub(super) label: String,
    pub(super) detail: String,
}

/// What a thing is, for its colour and shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Door,
    Balancer,
    Group,
    Host,
    /// Hosts that come and go.
    Elastic,
    Files,
    Database,
    Edge,
    Other,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Arrow {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) flow: Flow,
}

/// What flows along an arrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Flow {
    Web,
    Files,
    Database,
    /// One thing is made or kept up to date from the other.
    Copy,
}

impl Flow {
    pub(super) const ALL: [Flow; 4] = [Flow::Web, Flow::Files, Flow::Database, Flow::Copy];

    pub(super) fn words(self) -> &'static str {
        match self {
            Flow::Web => "web",
            Flow::Files => "files",
            Flow::Database => "database",
            Flow::Copy => "copy",
        }
    }
}

impl Picture {
    pub(super) fn arrow(&mut self, from: impl Into<String>, to: impl Into<String>, flow: Flow) {
        let arrow = Arrow { from: from.into(), to: to.into(), flow };
        if !self.arrows.contains(&arrow) {
            self.arrows.push(arrow);
        }
    }
}
