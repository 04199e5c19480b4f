//! Deletions that take time, which moto's do not: what leaves is still listed, and still holds others.

use std::collections::HashMap;

use bytes::Bytes;
use http::Response;
use http_body_util::Full;

use crate::call::Call;
use crate::fault::error;
use crate::slow::map_items;

/// What is being deleted, by the name in its listing, and how many are of each kind.
#[derive(Default)]
pub struct Leaving {
    ids: HashMap<String, Kind>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Database,
    NatGateway,
    MountTarget,
    LoadBalancer,
}

impl Leaving {
    /// If the call deletes something that takes time: its name, and the answer that AWS gives at once.
    pub fn begins(&mut self, call: &Call) -> Option<(String, Response<Full<Bytes>>)> {
        let (kind, id) = match call.action.as_str() {
            "DeleteDBInstance" => (Kind::Database, call.field("DBInstanceIdentifier")?),
            "DeleteNatGateway" => (Kind::NatGateway, call.field("NatGatewayId")?),
            "DeleteMountTarget" => (Kind::MountTarget, call.text.lines().next()?.rsplit('/').next()?),
            "DeleteLoadBalancer" => (Kind::LoadBalancer, call.field("LoadBalancerArn")?),
            _ => return None,
        };
        // Only names in full ARNs are encoded.
        let id = id.replace("%3A", ":").replace("%2F", "/");
        if self.ids.contains_key(&id) {
            let answer = match kind {
                Kind::Database => error(call, 400, "InvalidDBInstanceState", "it is being deleted already"),
                _ => accepted(kind, &id),
            };
            return Some((String::new(), answer));
        }
        self.ids.insert(id.clone(), kind);
        Some((id.clone(), accepted(kind, &id)))
    }

    /// It is gone now.
    pub fn ends(&mut self, id: &str) {
        self.ids.remove(id);
    }

    /// The refusal of a call for which something that is on its way out is still in the way.
    pub fn refuses(&self, call: &Call) -> Option<Response<Full<Bytes>>> {
        let any = |kinds: &[Kind]| self.ids.values().any(|it| kinds.contains(it));
        let (code, message) = match call.action.as_str() {
            "DeleteDBSubnetGroup" if any(&[Kind::Database]) => (
                "InvalidDBSubnetGroupStateFault",
                "Cannot delete the subnet group: an instance still uses it",
            ),
            "DeleteDBParameterGroup" if any(&[Kind::Database]) => {
                ("InvalidDBParameterGroupState", "One or more database instances still use it")
            }
            "DeleteFileSystem" if any(&[Kind::MountTarget]) => ("FileSystemInUse", "it has mount targets"),
            "ReleaseAddress" if any(&[Kind::NatGateway]) => {
                ("AuthFailure", "You do not have permission to access the specified resource.")
            }
            "DetachInternetGateway" if any(&[Kind::NatGateway, Kind::LoadBalancer]) => {
                ("DependencyViolation", "The network has some mapped public address(es). Please unmap those.")
            }
            "DeleteSubnet" | "DeleteSecurityGroup"
                if any(&[Kind::Database, Kind::LoadBalancer, Kind::MountTarget, Kind::NatGateway]) =>
            {
                ("DependencyViolation", "it has a dependent object")
            }
            _ => return None,
        };
        Some(error(call, 400, code, message))
    }

    /// The answer with the states of what is on its way out.
    pub fn edit(&self, call: &Call, answer: String) -> String {
        if self.ids.is_empty() {
            return answer;
        }
        let (tag, state) = match call.action.as_str() {
            "DescribeDBInstances" => ("DBInstance", "DBInstanceStatus"),
            "DescribeNatGateways" => ("item", "state"),
            "DescribeMountTargets" => return self.edit_files(&answer),
            _ => return answer,
        };
        map_items(&answer, tag, |it| {
            let leaves = self.ids.keys().any(|id| it.contains(&format!(">{id}<")));
            let text = if leaves {
                it.replace(&format!("<{state}>available<"), &format!("<{state}>deleting<"))
            } else {
                it.to_owned()
            };
            Some(text)
        })
    }

    fn edit_files(&self, answer: &str) -> String {
        let Ok(mut json) = serde_json::from_str::<serde_json::Value>(answer) else {
            return answer.to_owned();
        };
        for it in json["MountTargets"].as_array_mut().into_iter().flatten() {
            if it["MountTargetId"].as_str().is_some_and(|id| self.ids.contains_key(id)) {
                it["LifeCycleState"] = "deleting".into();
            }
        }
        json.to_string()
    }
}

fn accepted(kind: Kind, id: &str) -> Response<Full<Bytes>> {
    let xml = |body: String| {
        let mut it = Response::new(Full::new(Bytes::from(body)));
        it.headers_mut().insert("content-type", http::HeaderValue::from_static("text/xml"));
        it
    };
    match kind {
        Kind::Database => xml(format!(
            "<DeleteDBInstanceResponse><DeleteDBInstanceResult><DBInstance><DBInstanceIdentifier>{id}\
             </DBInstanceIdentifier><DBInstanceStatus>deleting</DBInstanceStatus></DBInstance>\
             </DeleteDBInstanceResult></DeleteDBInstanceResponse>"
        )),
        Kind::NatGateway => xml(format!(
            "<DeleteNatGatewayResponse><natGatewayId>{id}</natGatewayId></DeleteNatGatewayResponse>"
        )),
        Kind::LoadBalancer => {
            xml("<DeleteLoadBalancerResponse><DeleteLoadBalancerResult/></DeleteLoadBalancerResponse>"
                .to_owned())
        }
        Kind::MountTarget => {
            let mut it = Response::new(Full::default());
            *it.status_mut() = http::StatusCode::NO_CONTENT;
            it
        }
    }
}
