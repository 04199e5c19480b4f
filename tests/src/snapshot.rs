//! The whole account at one moment: compared exactly, or by shape, where ids and times do not count.

use std::collections::BTreeMap;

use serde_json::Value;

/// Every resource by kind, as AWS describes it.
#[derive(Clone, Debug)]
pub struct Snapshot(BTreeMap<String, Vec<Value>>);

/// Fields that name a resource for good, the most particular first: a subnet also has a `VpcId`.
const OWN_IDS: [(&str, &str); 22] = [
    ("vpc", "VpcId"),
    ("subnet", "SubnetId"),
    ("internet-gateway", "InternetGatewayId"),
    ("elastic-ip", "AllocationId"),
    ("nat-gateway", "NatGatewayId"),
    ("route-table", "RouteTableId"),
    ("endpoint", "VpcEndpointId"),
    ("security-group", "GroupId"),
    ("security-group-rule", "SecurityGroupRuleId"),
    ("key-pair", "KeyPairId"),
    ("instance", "InstanceId"),
    ("image", "ImageId"),
    ("snapshot", "SnapshotId"),
    ("volume", "VolumeId"),
    ("launch-template", "LaunchTemplateId"),
    ("load-balancer", "LoadBalancerArn"),
    ("target-group", "TargetGroupArn"),
    ("file-system", "FileSystemId"),
    ("mount-target", "MountTargetId"),
    ("distribution", "Id"),
    ("origin-access-control", "Id"),
    ("network-acl", "NetworkAclId"),
];

/// Fields that AWS fills in anew every time: times, addresses, generated names and what follows from them.
const PASSING: [&str; 54] = [
    "AssociationId",
    "AttachTime",
    "Attachment",
    "AutoScalingGroupARN",
    "AttachmentId",
    "AvailabilityZoneId",
    "AvailableIpAddressCount",
    "BlockDeviceMappings",
    "CallerReference",
    "CreateDate",
    "CreateTime",
    "CreatedBy",
    "CreatedTime",
    "CreationDate",
    "CreationTime",
    "CreationTimestamp",
    "CreationToken",
    "DNSName",
    "ETag",
    "InProgressInvalidationBatches",
    "InstanceCreateTime",
    "InstanceProfileId",
    "IpAddress",
    "KeyFingerprint",
    "KmsKeyId",
    "LastModified",
    "LastModifiedDate",
    "LastModifiedTime",
    "LastModifiedUser",
    "LatestRestorableTime",
    "LaunchTime",
    "ListenerArn",
    "MacAddress",
    "NetworkInterfaceId",
    "NetworkInterfaceIds",
    "NetworkInterfaceOwnerId",
    "NetworkInterfaces",
    "NextInvocationTime",
    "OriginalSnapshotCreateTime",
    "PrivateDnsName",
    "PrivateIp",
    "PrivateIpAddress",
    "PrivateIpAddresses",
    "PublicDnsName",
    "PublicIp",
    "PublicIpAddress",
    "RoleId",
    "RuleArn",
    "SnapshotCreateTime",
    "StartTime",
    "UsageOperationUpdateTime",
    "UserId",
    "Version",
    "creationTime",
];

impl Snapshot {
    /// From the reader's `{kind: [resource]}`.
    pub fn new(found: Value) -> Snapshot {
        let Value::Object(kinds) = found else { panic!("not a snapshot: {found}") };
        let list = |it: Value| match it {
            Value::Array(it) => it,
            _ => Vec::new(),
        };
        Snapshot(kinds.into_iter().map(|(kind, found)| (kind, list(found))).collect())
    }

    /// All resources of a kind.
    pub fn all(&self, kind: &str) -> &[Value] {
        self.0.get(kind).map_or(&[], Vec::as_slice)
    }

    /// The one resource of a kind with this name (tag `lamp:node` or `Name`, or its own name).
    #[track_caller]
    pub fn one(&self, kind: &str, name: &str) -> &Value {
        let found: Vec<_> = self.all(kind).iter().filter(|it| names(it).any(|it| it == name)).collect();
        assert_eq!(found.len(), 1, "{kind} named {name}, among {:?}", self.names(kind));
        found[0]
    }

    /// The best name of every resource of a kind.
    pub fn names(&self, kind: &str) -> Vec<String> {
        self.all(kind).iter().map(|it| names(it).next().unwrap_or_default()).collect()
    }

    /// A line for every resource that the other account does not have exactly so.
    pub fn not_in(&self, other: &Snapshot) -> Vec<String> {
        let mut out = Vec::new();
        for (kind, found) in &self.0 {
            let theirs = other.all(kind);
            let odd = found.iter().filter(|it| !theirs.contains(it));
            out.extend(odd.map(|it| format!("{kind} {}: {it}", names(it).next().unwrap_or_default())));
        }
        out
    }

    /// Every resource without what differs between two equal builds: its kind and name, and its fields.
    fn shape(&self) -> Vec<(String, Value)> {
        let mut labels = BTreeMap::new();
        for (kind, key) in OWN_IDS {
            for it in self.all(kind) {
                if let Some(id) = it[key].as_str() {
                    let name = names(it).next().unwrap_or_default();
                    labels.insert(id.to_owned(), format!("<{kind} {name}>"));
                }
            }
        }
        let mut out = Vec::new();
        for (kind, found) in &self.0 {
            // RDS makes these when it likes, and names them by the minute.
            let counted = found.iter().filter(|it| it["SnapshotType"] != "automated");
            for it in counted {
                let mut shape = plain(it, &labels);
                // One parameter counts the writings of all others, others hold addresses that are dealt anew.
                let passes = |it: &str| it.ends_with("/generation") || it.contains("/files/target/");
                if it["Name"].as_str().is_some_and(passes) {
                    shape["Value"] = Value::Null;
                }
                out.push((format!("{kind} {}", names(it).next().unwrap_or_default()), shape));
            }
        }
        out
    }

    /// How the shape differs from another's: what is only there (`-`), only here (`+`, doubles count), and the
    /// fields of what is in both.
    pub fn differs(&self, from: &Snapshot) -> Vec<String> {
        let (mut have, mut want) = (self.shape(), from.shape());
        want.retain(|it| match have.iter().position(|other| other == it) {
            Some(at) => {
                have.remove(at);
                false
            }
            None => true,
        });
        let mut out = Vec::new();
        for (name, want) in want {
            match have.iter().position(|it| it.0 == name) {
                Some(at) => fields(&name, &want, &have.remove(at).1, &mut out),
                None => out.push(format!("- {name}: {want}")),
            }
        }
        out.extend(have.into_iter().map(|(name, have)| format!("+ {name}: {have}")));
        out
    }
}

/// The differences of one resource, each with its path.
fn fields(path: &str, want: &Value, have: &Value, out: &mut Vec<String>) {
    match (want, have) {
        _ if want == have => {}
        (Value::Object(left), Value::Object(right)) => {
            let keys: std::collections::BTreeSet<_> = left.keys().chain(right.keys()).collect();
            for key in keys {
                fields(&format!("{path} {key}"), &want[key.as_str()], &have[key.as_str()], out);
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (left, right) in left.iter().zip(right) {
                fields(path, left, right, out);
            }
        }
        _ => out.push(format!("~ {path}: {want} → {have}")),
    }
}

/// Everything that a resource is called, the best first.
fn names(it: &Value) -> impl Iterator<Item = String> {
    let tag = |key: &str| {
        let lists = ["Tags", "TagList", "TagSet"].into_iter().filter_map(|list| it[list].as_array());
        let found = lists.flatten().find(|tag| tag["Key"] == key)?;
        found["Value"].as_str().map(str::to_owned)
    };
    let own = [
        "Name",
        "GroupName",
        "KeyName",
        "LaunchTemplateName",
        "LoadBalancerName",
        "TargetGroupName",
        "AutoScalingGroupName",
        "PolicyName",
        "DBInstanceIdentifier",
        "DBSubnetGroupName",
        "DBParameterGroupName",
        "RoleName",
        "InstanceProfileName",
        "logGroupName",
    ];
    let own = own.into_iter().filter_map(|key| it[key].as_str().map(str::to_owned));
    [tag("lamp:node"), tag("Name")].into_iter().flatten().chain(own).collect::<Vec<_>>().into_iter()
}

/// A resource with labels for ids, without passing fields, and with its lists in order.
fn plain(it: &Value, labels: &BTreeMap<String, String>) -> Value {
    match it {
        Value::Object(fields) => {
            // When the password was written that the database was given.
            let is_moment = |key: &str| key == "Value" && it["Key"] == "lamp:password";
            let passes = |key: &str| PASSING.contains(&key) || is_moment(key);
            let kept = fields.iter().filter(|(key, _)| !passes(key));
            Value::Object(kept.map(|(key, value)| (key.clone(), plain(value, labels))).collect())
        }
        Value::Array(items) => {
            // Where the last run saw what is a note to the next, and no part of the stack.
            let is_note = |it: &Value| it["Key"].as_str().is_some_and(|it| it.starts_with("lamp:seen:"));
            let items = items.iter().filter(|it| !is_note(it));
            let mut out: Vec<Value> = items.map(|it| plain(it, labels)).collect();
            out.sort_by_key(Value::to_string);
            // moto names a target group's balancer once more for every listener that it ever had.
            out.dedup_by(|left, right| left.is_string() && left == right);
            Value::Array(out)
        }
        Value::String(text) => Value::String(relabel(text, labels)),
        other => other.clone(),
    }
}

/// Every id in a text by its label, or by its kind alone.
fn relabel(text: &str, labels: &BTreeMap<String, String>) -> String {
    if let Some(label) = labels.get(text) {
        return label.clone();
    }
    // Which address comes first depends on who asked first.
    if text.parse::<std::net::Ipv4Addr>().is_ok() {
        return "an address".to_owned();
    }
    // The generation is made of counts, which every repair moves on.
    let is_count = |it: &str| it.rsplit_once('=').is_some_and(|(_, count)| count.parse::<u32>().is_ok());
    if text.contains('=') && text.split(' ').skip(1).all(is_count) {
        let names = text.split(' ').map(|it| it.rsplit_once('=').map_or(it, |(name, _)| name));
        return names.collect::<Vec<_>>().join(" ");
    }
    if text.ends_with(".cloudfront.net") {
        return "….cloudfront.net".to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(rest.len());
        let (word, tail) = rest.split_at(end);
        out.push_str(&relabel_word(word, labels));
        let separator = tail.chars().next().map_or(0, char::len_utf8);
        out.push_str(&tail[..separator]);
        rest = &tail[separator..];
    }
    out
}

fn relabel_word(word: &str, labels: &BTreeMap<String, String>) -> String {
    if let Some(label) = labels.get(word) {
        return label.clone();
    }
    let is_hex = |it: &str| it.bytes().all(|b| b.is_ascii_hexdigit());
    let is_random = |it: &str| it.len() >= 8 && is_hex(it);
    match word.rsplit_once('-') {
        Some((stem, tail)) if labels.contains_key(tail) => format!("{stem}-{}", labels[tail]),
        // A UUID is five of these.
        Some(_) if word.len() == 36 && word.split('-').all(is_hex) => "…".to_owned(),
        Some((kind, tail)) if is_random(tail) => format!("{kind}-…"),
        // Load balancers' ARNs end in sixteen random digits.
        _ if word.len() == 16 && is_random(word) => "…".to_owned(),
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn account(vpc: &str, subnet: &str, zone: &str) -> Snapshot {
        Snapshot::new(json!({
            "vpc": [{ "VpcId": vpc, "Tags": [{ "Key": "Name", "Value": "lab-vpc" }] }],
            "subnet": [{ "SubnetId": subnet, "VpcId": vpc, "Zone": zone, "CreateTime": subnet }],
        }))
    }

    #[test]
    fn two_builds_of_one_stack_have_one_shape() {
        let (one, other) = (
            account("vpc-0123456789", "subnet-a1234567", "a"),
            account("vpc-abcdef0123", "subnet-b1234567", "a"),
        );
        assert_eq!(one.differs(&other), [""; 0]);
        assert_eq!(one.not_in(&other).len(), 2);
    }

    #[test]
    fn another_value_is_another_shape() {
        let one = account("vpc-0123456789", "subnet-a1234567", "a");
        assert_eq!(
            account("vpc-0123456789", "subnet-a1234567", "c").differs(&one),
            [r#"~ subnet  Zone: "a" → "c""#]
        );
    }

    #[test]
    fn a_double_shows() {
        let one = account("vpc-0123456789", "subnet-a1234567", "a");
        let mut double = one.clone();
        double.0.entry("subnet".to_owned()).and_modify(|it| it.push(it[0].clone()));
        assert_eq!(double.differs(&one).len(), 1);
    }
}
