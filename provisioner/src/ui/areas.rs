//! Where in the architecture a kind belongs: the headings that long lists are read by.

/// The areas in the order in which the lab builds them.
const AREAS: &[(&str, &[&str])] = &[
    (
        "Network",
        &[
            "vpc",
            "subnet",
            "internet-gateway",
            "elastic-ip",
            "address-association",
            "nat-gateway",
            "route-table",
            "vpc-endpoint",
        ],
    ),
    ("Firewall", &["security-group", "default-group"]),
    ("Access", &["key-pair", "role", "instance-profile"]),
    ("Hosts", &["image", "instance"]),
    ("Balancers", &["target-group", "target", "load-balancer", "listener", "listener-rule"]),
    ("Scaling", &["launch-template", "scaling-group", "scaling-policy"]),
    ("Files", &["file-system", "mount-target"]),
    ("Database", &["db-subnet-group", "db-parameter-group", "db-instance", "replica", "log-group"]),
    ("Settings", &["parameter", "artefact"]),
    ("Site", &["bucket", "site-content", "bucket-policy", "origin-access-control", "distribution"]),
];

/// Sorts things by area; what no area knows comes last. Areas without anything are left out.
pub(super) fn by_area<T>(
    all: impl IntoIterator<Item = T>,
    node: impl Fn(&T) -> &str,
) -> Vec<(&'static str, Vec<T>)> {
    let mut areas: Vec<(&str, Vec<T>)> = AREAS.iter().map(|(area, _)| (*area, Vec::new())).collect();
    areas.push(("Other", Vec::new()));
    for it in all {
        let kind = node(&it).split('/').next().unwrap_or_default();
        let area = AREAS.iter().position(|(_, kinds)| kinds.contains(&kind)).unwrap_or(AREAS.len());
        areas[area].1.push(it);
    }
    areas.retain(|(_, its)| !its.is_empty());
    areas
}
