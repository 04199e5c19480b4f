//! What an instance may know about itself, in the shape of EC2's metadata service.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// One instance as its metadata service describes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    pub instance_id: String,
    pub instance_type: String,
    pub image_id: String,
    pub account: String,
    pub region: String,
    pub zone: String,
    pub vpc: String,
    pub subnet: String,
    pub public_address: Option<Ipv4Addr>,
    pub security_groups: Vec<String>,
    pub tags: BTreeMap<String, String>,
    /// Name and text of the key that may log in.
    pub public_key: Option<(String, String)>,
    pub user_data: Option<String>,
    pub role: Option<Role>,
    /// How many hops an answer lives; 1 keeps it on the instance itself.
    pub hop_limit: u8,
}

/// Credentials of the instance's role.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Role {
    pub name: String,
    pub access_key: String,
    pub secret_key: String,
    pub token: String,
}

/// Never prints a secret.
impl std::fmt::Debug for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Role({}, {}, …)", self.name, self.access_key)
    }
}

impl Metadata {
    /// What lies at a path such as `latest/meta-data/instance-id`; directories are listed.
    pub(crate) fn at(&self, path: &str, address: Ipv4Addr, now: Timestamp) -> Option<String> {
        let mut parts = path.split('/').filter(|it| !it.is_empty());
        // Whatever version is asked for, there is only one.
        if parts.next().is_none() {
            return Some("1.0\n2009-04-04\n2016-09-02\n2018-09-24\n2021-03-23\nlatest".to_owned());
        }
        let tree = self.tree(address, now);
        let found = parts.try_fold(&tree, |it, part| it.get(part))?;
        Some(match found {
            Value::Object(children) => {
                let name = |(key, value): (&String, &Value)| {
                    if value.is_object() { format!("{key}/") } else { key.clone() }
                };
                children.iter().map(name).collect::<Vec<_>>().join("\n")
            }
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    }

    fn tree(&self, address: Ipv4Addr, now: Timestamp) -> Value {
        let mac = mac(address);
        let hostname = format!("{}.{}.compute.internal", hostname(address), self.region);
        let groups = self.security_groups.join("\n");
        let mut interface = json!({
            "device-number": "0",
            "local-hostname": hostname,
            "local-ipv4s": address.to_string(),
            "mac": mac,
            "owner-id": self.account,
            "security-groups": groups,
            "subnet-id": self.subnet,
            "vpc-id": self.vpc,
        });
        let mut meta = json!({
            "ami-id": self.image_id,
            "ami-launch-index": "0",
            "hostname": hostname,
            "instance-id": self.instance_id,
            "instance-life-cycle": "on-demand",
            "instance-type": self.instance_type,
            "local-hostname": hostname,
            "local-ipv4": address.to_string(),
            "mac": mac,
            "placement": {
                "availability-zone": self.zone,
                "region": self.region,
            },
            "security-groups": groups,
            "services": { "domain": "amazonaws.com", "partition": "aws" },
        });
        if let Some(public) = self.public_address {
            meta["public-ipv4"] = json!(public.to_string());
            interface["public-ipv4s"] = json!(public.to_string());
        }
        meta["network"] = json!({ "interfaces": { "macs": { mac: interface } } });
        if !self.tags.is_empty() {
            meta["tags"] = json!({ "instance": self.tags });
        }
        if let Some((name, key)) = &self.public_key {
            // AWS lists `0=name` and yet wants to be asked for `0/`.
            meta["public-keys"] = json!({ format!("0={name}"): "", "0": { "openssh-key": key } });
        }
        if let Some(role) = &self.role {
            let profile = format!("arn:aws:iam::{}:instance-profile/{}", self.account, role.name);
            let name = role.name.clone();
            meta["iam"] = json!({
                "info": json!({ "Code": "Success", "InstanceProfileArn": profile }).to_string(),
                "security-credentials": { name: role.credentials(now) },
            });
        }
        let identity = json!({
            "accountId": self.account,
            "architecture": "x86_64",
            "availabilityZone": self.zone,
            "imageId": self.image_id,
            "instanceId": self.instance_id,
            "instanceType": self.instance_type,
            "privateIp": address.to_string(),
            "region": self.region,
            "version": "2017-09-30",
        });
        let mut root = Map::new();
        root.insert(
            "dynamic".to_owned(),
            json!({ "instance-identity": { "document": identity.to_string() } }),
        );
        root.insert("meta-data".to_owned(), meta);
        if let Some(text) = &self.user_data {
            root.insert("user-data".to_owned(), json!(text));
        }
        Value::Object(root)
    }
}

impl Role {
    /// As the SDKs want it: good for six hours from now on.
    fn credentials(&self, now: Timestamp) -> String {
        let end = now.checked_add(SignedDuration::from_hours(6)).unwrap_or(now);
        let seconds = |it: Timestamp| it.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        json!({
            "Code": "Success",
            "LastUpdated": seconds(now),
            "Type": "AWS-HMAC",
            "AccessKeyId": self.access_key,
            "SecretAccessKey": self.secret_key,
            "Token": self.token,
            "Expiration": seconds(end),
        })
        .to_string()
    }
}

/// The hardware address that belongs to an address.
pub(crate) fn mac(address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("02:00:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}

/// As EC2 names machines.
pub(crate) fn hostname(address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("ip-{a}-{b}-{c}-{d}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(path: &str) -> Option<String> {
        let role = Role { name: "host".into(), access_key: "AKIA".into(), ..Role::default() };
        let it = Metadata {
            instance_id: "i-1".into(),
            zone: "ap-northeast-2a".into(),
            region: "ap-northeast-2".into(),
            public_key: Some(("lab".into(), "ssh-ed25519 AAAA".into())),
            user_data: Some("#!/bin/sh\n".into()),
            role: Some(role),
            ..Metadata::default()
        };
        it.at(path, Ipv4Addr::new(10, 1, 3, 11), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn every_version_knows_the_same() {
        for version in ["latest", "2021-03-23", "1.0"] {
            assert_eq!(ask(&format!("{version}/meta-data/instance-id")).as_deref(), Some("i-1"));
        }
        assert_eq!(ask("latest/user-data").as_deref(), Some("#!/bin/sh\n"));
    }

    #[test]
    fn directories_are_listed_and_what_is_not_there_is_not() {
        assert_eq!(ask("latest/meta-data/placement/").as_deref(), Some("availability-zone\nregion"));
        assert_eq!(ask("latest/meta-data/network/interfaces/macs").as_deref(), Some("02:00:0a:01:03:0b/"));
        assert_eq!(ask("latest/meta-data/public-keys/0/openssh-key").as_deref(), Some("ssh-ed25519 AAAA"));
        assert!(ask("latest/meta-data/public-keys").is_some_and(|it| it.contains("0=lab")));
        assert_eq!(ask("latest/meta-data/spot"), None);
        assert_eq!(ask("latest/meta-data/instance-id/deeper"), None);
    }

    #[test]
    fn credentials_are_good_for_six_hours() {
        let text = ask("latest/meta-data/iam/security-credentials/host").unwrap();
        assert!(text.contains(r#""Expiration":"1970-01-01T06:00:00Z""#), "{text}");
    }
}
