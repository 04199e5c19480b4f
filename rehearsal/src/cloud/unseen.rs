//! Eventual consistency on demand: what was made a moment ago is not known everywhere, and lists lag behind.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Response;

use super::call::Call;
use super::refusal::Refusal;
use super::xml::{Element, Node};

/// What a creation makes, how its id is called, and what is said of one that nobody knows.
const MADE: [(&str, &str, &str); 10] = [
    ("CreateVpc", "vpcId", "InvalidVpcID.NotFound"),
    ("CreateSubnet", "subnetId", "InvalidSubnetID.NotFound"),
    ("CreateSecurityGroup", "groupId", "InvalidGroup.NotFound"),
    ("CreateInternetGateway", "internetGatewayId", "InvalidInternetGatewayID.NotFound"),
    ("CreateRouteTable", "routeTableId", "InvalidRouteTableID.NotFound"),
    ("CreateNatGateway", "natGatewayId", "NatGatewayNotFound"),
    ("CreateLaunchTemplate", "launchTemplateId", "InvalidLaunchTemplateId.NotFound"),
    ("CreateImage", "imageId", "InvalidAMIID.NotFound"),
    ("AllocateAddress", "allocationId", "InvalidAllocationID.NotFound"),
    ("RunInstances", "instanceId", "InvalidInstanceID.NotFound"),
];

/// What is not known yet, and what was known a moment ago.
#[derive(Default)]
pub(super) struct Unseen {
    /// For so long nobody knows what was made; zero: it is known at once.
    pub(super) young: Duration,
    /// For so long lists stay as they were.
    pub(super) stale: Duration,
    born: BTreeMap<String, (Instant, usize)>,
    lists: BTreeMap<String, (Instant, Response<Bytes>)>,
}

impl Unseen {
    /// Notes what a creation made.
    pub(super) fn learn(&mut self, call: &Call, answer: &str) {
        if self.young.is_zero() || call.service != "ec2" {
            return;
        }
        let Some(row) = MADE.iter().position(|it| it.0 == call.action) else { return };
        let ids = Element::parse(answer).map(|it| it.all(MADE[row].1)).unwrap_or_default();
        self.born.extend(ids.into_iter().map(|it| (it, (Instant::now(), row))));
    }

    fn is_young(&self, id: &str) -> Option<usize> {
        self.born.get(id).filter(|it| it.0.elapsed() < self.young).map(|it| it.1)
    }

    /// Refuses a call that names what nobody knows yet.
    pub(super) fn refuse(&self, call: &Call) -> Option<Refusal> {
        let (id, row) = call.parameters.values().find_map(|id| Some((id, self.is_young(id)?)))?;
        Some(Refusal::new(MADE[row].2, format!("The ID '{id}' does not exist")))
    }

    /// Takes it out of lists.
    pub(super) fn hide(&self, call: &Call, answer: String) -> String {
        let young = |it: &Element| {
            let id = |row: &(&str, &str, &str)| it.text(row.1).and_then(|it| self.is_young(it));
            // A subnet names its VPC as well: only a list of the very kind counts.
            MADE.iter().enumerate().any(|(n, row)| id(row) == Some(n) && it.name == "item")
        };
        if self.born.is_empty() || !call.action.starts_with("Describe") {
            return answer;
        }
        let Some(mut it) = Element::parse(&answer) else { return answer };
        it.each(&mut |it| it.nodes.retain(|it| !matches!(it, Node::Element(it) if young(it))));
        it.write()
    }

    /// The answer that the same question got a moment ago.
    pub(super) fn stale(&self, call: &Call) -> Option<Response<Bytes>> {
        let (at, answer) = self.lists.get(&question(call))?;
        (at.elapsed() < self.stale).then(|| answer.clone())
    }

    pub(super) fn keep(&mut self, call: &Call, answer: &Response<Bytes>) {
        let is_list = call.action.starts_with("Describe") || call.action.starts_with("List");
        if !self.stale.is_zero() && is_list && answer.status().is_success() {
            self.lists.insert(question(call), (Instant::now(), answer.clone()));
        }
    }
}

fn question(call: &Call) -> String {
    format!("{} {} {:?} {}", call.service, call.action, call.parameters, call.json)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(action: &str, parameters: &[(&str, &str)]) -> Call {
        let parameters = parameters.iter().map(|it| (it.0.to_owned(), it.1.to_owned())).collect();
        Call { service: "ec2".into(), action: action.into(), parameters, ..Call::default() }
    }

    #[test]
    fn what_was_just_made_is_found_neither_by_its_id_nor_in_lists() {
        let mut it = Unseen { young: Duration::from_secs(60), ..Unseen::default() };
        it.learn(&call("CreateVpc", &[]), "<r><vpc><vpcId>vpc-2</vpcId></vpc></r>");
        let refused = it.refuse(&call("CreateSubnet", &[("VpcId", "vpc-2")])).unwrap();
        assert_eq!(refused.code, "InvalidVpcID.NotFound");
        assert_eq!(it.refuse(&call("CreateSubnet", &[("VpcId", "vpc-1")])), None);
        let list = "<r><item><vpcId>vpc-1</vpcId></item><item><vpcId>vpc-2</vpcId></item></r>";
        let said = it.hide(&call("DescribeVpcs", &[]), list.to_owned());
        assert!(said.contains("vpc-1") && !said.contains("vpc-2"), "{said}");
        it.young = Duration::ZERO;
        assert_eq!(it.refuse(&call("CreateSubnet", &[("VpcId", "vpc-2")])), None);
    }

    #[test]
    fn a_list_stays_as_it_was_and_changes_do_not() {
        let mut it = Unseen { stale: Duration::from_secs(60), ..Unseen::default() };
        let answer = Response::new(Bytes::from_static(b"then"));
        it.keep(&call("DescribeVpcs", &[]), &answer);
        it.keep(&call("CreateVpc", &[]), &answer);
        assert_eq!(it.stale(&call("DescribeVpcs", &[])).unwrap().body(), "then");
        assert!(it.stale(&call("DescribeVpcs", &[("VpcId.1", "vpc-1")])).is_none());
        assert!(it.stale(&call("CreateVpc", &[])).is_none());
        it.stale = Duration::ZERO;
        assert!(it.stale(&call("DescribeVpcs", &[])).is_none());
    }
}
