//! Time, which moto lacks: what was just made is not visible yet, or not ready yet.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::call::Call;

/// How long new things stay out of sight, and how long each kind takes to become ready.
#[derive(Clone, Copy, Default)]
pub struct Slow {
    /// EC2 ids younger than this are unknown to reads and to calls that name them.
    pub invisible: Duration,
    pub nat_gateway: Duration,
    pub load_balancer: Duration,
    pub database: Duration,
    pub files: Duration,
    pub image: Duration,
    /// How long databases, NAT gateways, mount targets and load balancers take to go.
    pub deletion: Duration,
    /// Databases have no room left until they are given more.
    pub full: bool,
}

/// What was made when, and how long that matters.
#[derive(Default)]
pub struct Ages {
    slow: Slow,
    born: HashMap<String, Instant>,
}

/// The element that holds a resource's own id in a listing of EC2, and the error for an unknown one.
const LISTINGS: [(&str, &str, &str, &str); 15] = [
    ("DescribeVpcs", "vpcId", "vpc-", "InvalidVpcID.NotFound"),
    ("DescribeSubnets", "subnetId", "subnet-", "InvalidSubnetID.NotFound"),
    ("DescribeInternetGateways", "internetGatewayId", "igw-", "InvalidInternetGatewayID.NotFound"),
    ("DescribeRouteTables", "routeTableId", "rtb-", "InvalidRouteTableID.NotFound"),
    ("DescribeSecurityGroups", "groupId", "sg-", "InvalidGroup.NotFound"),
    ("DescribeAddresses", "allocationId", "eipalloc-", "InvalidAllocationID.NotFound"),
    ("DescribeNatGateways", "natGatewayId", "nat-", "NatGatewayNotFound"),
    ("DescribeInstances", "instanceId", "i-", "InvalidInstanceID.NotFound"),
    ("DescribeImages", "imageId", "ami-", "InvalidAMIID.NotFound"),
    ("DescribeNetworkInterfaces", "networkInterfaceId", "eni-", "InvalidNetworkInterfaceID.NotFound"),
    ("DescribeLaunchTemplates", "launchTemplateId", "lt-", "InvalidLaunchTemplateId.NotFound"),
    ("DescribeVpcEndpoints", "vpcEndpointId", "vpce-", "InvalidVpcEndpointId.NotFound"),
    ("DescribeSnapshots", "snapshotId", "snap-", "InvalidSnapshot.NotFound"),
    ("", "", "rtbassoc-", "InvalidAssociationID.NotFound"),
    ("", "", "eipassoc-", "InvalidAssociationID.NotFound"),
];

impl Ages {
    /// From now on, with these spans.
    pub fn new(slow: Slow) -> Ages {
        Ages { slow, born: HashMap::new() }
    }

    /// How long deletions take.
    pub fn deletion(&self) -> Duration {
        self.slow.deletion
    }

    /// Remembers what an answer says was made.
    pub fn note(&mut self, call: &Call, answer: &str) {
        if call.action == "ModifyDBInstance" && call.field("AllocatedStorage").is_some() {
            self.slow.full = false;
        }
        let makes =
            ["Create", "Allocate", "RunInstances", "Import"].iter().any(|it| call.action.starts_with(it));
        if !makes {
            return;
        }
        let now = Instant::now();
        match call.service.as_str() {
            "rds" => {
                let name = call.field("DBInstanceIdentifier").unwrap_or_default().to_owned();
                self.born.insert(name, now);
            }
            // The body names old things too: only ids that the request did not name are new.
            "ec2" | "elasticloadbalancing" | "elasticfilesystem" => {
                for id in ids(answer).filter(|it| !call.text.contains(it)) {
                    self.born.entry(id.to_owned()).or_insert(now);
                }
            }
            _ => {}
        }
    }

    /// The error for a call that names something too new to be known, if it does.
    pub fn unknown(&self, call: &Call) -> Option<(&'static str, String)> {
        if call.service != "ec2" || self.slow.invisible.is_zero() {
            return None;
        }
        let young = |id: &&str| self.is_younger(id, self.slow.invisible);
        let body = call.text.split_once('\n').map_or("", |it| it.1);
        // A filter that matches nothing is no error.
        let named =
            body.split('&').filter_map(|it| it.split_once('=')).filter(|it| !it.0.starts_with("Filter"));
        let id = named.map(|it| it.1).find(young)?;
        let code = LISTINGS.iter().find(|it| id.starts_with(it.2)).map_or("InvalidID", |it| it.3);
        Some((code, format!("The ID '{id}' does not exist")))
    }

    /// The answer without what is too new to be listed, and with the states of what is not ready.
    pub fn edit(&self, call: &Call, answer: String) -> String {
        let hidden = match LISTINGS.iter().find(|it| it.0 == call.action) {
            Some((_, key, ..)) if call.service == "ec2" && !self.slow.invisible.is_zero() => {
                without_items(&answer, |item| {
                    element(item, key).is_some_and(|id| self.is_younger(id, self.slow.invisible))
                })
            }
            _ => answer,
        };
        let (item, key, span, ready, pending) = match call.action.as_str() {
            "DescribeDBInstances" if self.slow.full => {
                return hidden.replace("<DBInstanceStatus>available<", "<DBInstanceStatus>storage-full<");
            }
            "DescribeNatGateways" => {
                ("item", "natGatewayId", self.slow.nat_gateway, "<state>available<", "<state>pending<")
            }
            "DescribeImages" => {
                ("item", "imageId", self.slow.image, "<imageState>available<", "<imageState>pending<")
            }
            "DescribeLoadBalancers" => {
                ("member", "LoadBalancerArn", self.slow.load_balancer, "<Code>active<", "<Code>provisioning<")
            }
            "DescribeDBInstances" => (
                "DBInstance",
                "DBInstanceIdentifier",
                self.slow.database,
                "<DBInstanceStatus>available<",
                "<DBInstanceStatus>creating<",
            ),
            "DescribeFileSystems" | "DescribeMountTargets" => return self.edit_files(&hidden),
            _ => return hidden,
        };
        if span.is_zero() {
            return hidden;
        }
        map_items(&hidden, item, |it| {
            let young = element(it, key).is_some_and(|id| self.is_younger(id, span));
            Some(if young { it.replace(ready, pending) } else { it.to_owned() })
        })
    }

    fn edit_files(&self, answer: &str) -> String {
        let Ok(mut json) = serde_json::from_str::<serde_json::Value>(answer) else {
            return answer.to_owned();
        };
        for (list, key) in [("FileSystems", "FileSystemId"), ("MountTargets", "MountTargetId")] {
            for it in json[list].as_array_mut().into_iter().flatten() {
                if it[key].as_str().is_some_and(|id| self.is_younger(id, self.slow.files)) {
                    it["LifeCycleState"] = "creating".into();
                }
            }
        }
        json.to_string()
    }

    /// Whether a database is still being made, so that nothing can replicate from it.
    pub fn is_database_busy(&self, name: &str) -> bool {
        self.is_younger(name, self.slow.database)
    }

    fn is_younger(&self, id: &str, than: Duration) -> bool {
        self.born.get(id).is_some_and(|it| it.elapsed() < than)
    }
}

/// Everything between markup or quotes that looks like an AWS id or ARN.
fn ids(text: &str) -> impl Iterator<Item = &str> {
    text.split(['<', '>', '"']).filter(|it| {
        it.starts_with("arn:")
            || it.split_once('-').is_some_and(|(kind, rest)| {
                kind.len() < 9 && rest.len() >= 8 && rest.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
            })
    })
}

/// The text of the first `<key>` in `xml`.
fn element<'a>(xml: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{key}>"))?;
    rest.split('<').next()
}

fn without_items(xml: &str, drop: impl Fn(&str) -> bool) -> String {
    map_items(xml, "item", |it| if drop(it) { None } else { Some(it.to_owned()) })
}

/// Rewrites every outermost `<tag>…</tag>` of a listing.
pub(crate) fn map_items(xml: &str, tag: &str, edit: impl Fn(&str) -> Option<String>) -> String {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    let mut out = String::with_capacity(xml.len());
    let mut rest = xml;
    while let Some(start) = rest.find(&open) {
        out.push_str(&rest[..start]);
        let mut depth = 0_usize;
        let mut at = start;
        loop {
            let next_open = rest[at..].find(&open).map(|it| at + it);
            let Some(next_close) = rest[at..].find(&close).map(|it| at + it) else {
                out.push_str(&rest[start..]);
                return out;
            };
            match next_open {
                Some(it) if it < next_close => {
                    depth += 1;
                    at = it + open.len();
                }
                _ => {
                    depth -= 1;
                    at = next_close + close.len();
                    if depth == 0 {
                        break;
                    }
                }
            }
        }
        out.extend(edit(&rest[start..at]));
        rest = &rest[at..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_outermost_items_are_rewritten() {
        let xml = "<a><item><id>1</id><b><item>x</item></b></item> <item><id>2</id></item></a>";
        let kept = without_items(xml, |it| element(it, "id") == Some("1"));
        assert_eq!(kept, "<a> <item><id>2</id></item></a>");
    }

    #[test]
    fn ids_are_told_from_words() {
        let xml = "<vpcId>vpc-94d76f408ac94b968</vpcId><state>available</state><zone>ap-northeast-2a</zone>";
        assert_eq!(ids(xml).collect::<Vec<_>>(), ["vpc-94d76f408ac94b968"]);
    }
}
