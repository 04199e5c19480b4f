//! What the resources are called.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::derived::shown_name;

/// Names that can be chosen. Those of subnets, routes, gateways, addresses and hosts derive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Names {
    /// The VPC.
    pub vpc: String,
    /// The internet gateway.
    pub internet_gateway: String,
    /// Key pair of the public hosts.
    pub public_key: String,
    /// Key pair of the private hosts and the scaling group.
    pub private_key: String,
    /// Security group of the public hosts.
    pub public_group: String,
    /// Security group of the private hosts and the scaling group.
    pub private_group: String,
    /// Image of the first public host.
    pub public_image: String,
    /// Image of the first private host.
    pub private_image: String,
    /// Load balancer of the public hosts. Its target groups and security group add -tg, -index-tg, -sg.
    pub public_balancer: String,
    /// Load balancer of the private hosts.
    pub private_balancer: String,
    /// Load balancer of the scaling group.
    pub scaling_balancer: String,
    /// The file system. Its security group adds -sg.
    pub files: String,
    /// The database. Its security group adds -sg.
    pub database: String,
    /// The database's subnet group.
    pub database_subnets: String,
    /// The database's parameter group.
    pub database_parameters: String,
    /// The read replica.
    pub replica: String,
    /// The launch template.
    pub launch_template: String,
    /// The Auto Scaling group.
    pub scaling_group: String,
    /// Its scaling policy.
    pub scaling_policy: String,
    /// What the group's hosts are called.
    pub scaling_host: String,
    /// Role and instance profile of the hosts. IAM is one for all regions, hence the region in it.
    pub host_role: String,
    /// CloudFront's origin access control.
    pub origin_access: String,
}

impl Names {
    /// The names of a stack: for the lab's own name exactly the lab's.
    pub fn of(stack: &str, region: &str) -> Names {
        // What the lab calls by the VPC's name carries the stack's name; the rest gets it as a prefix.
        let with = |suffix: &str| format!("{stack}-{suffix}");
        let own = |name: &str| shown_name(stack, name);
        let short = |name: &str| if stack == super::LAB { format!("lab-{name}") } else { with(name) };
        Names {
            vpc: stack.to_owned(),
            internet_gateway: short("igw"),
            public_key: own("ec2-public"),
            private_key: if stack == super::LAB { "ec2-private-seoul".into() } else { with("ec2-private") },
            public_group: own("public-ec2-sg"),
            private_group: own("private-ec2-sg"),
            public_image: own("ami-public-ec2"),
            private_image: own("ami-private-ec2"),
            public_balancer: with("alb-public"),
            private_balancer: with("alb-private"),
            scaling_balancer: with("alb-asg"),
            files: with("efs"),
            database: with("rds"),
            database_subnets: with("rds-subnet-group"),
            database_parameters: with("rds-parameters"),
            replica: with("rds-rr"),
            launch_template: with("asg-lt"),
            scaling_group: with("asg"),
            scaling_policy: short("policy-01"),
            scaling_host: own("asg-ec2"),
            host_role: with(&format!("host-{region}")),
            origin_access: with(&format!("site-{region}")),
        }
    }
}

impl Default for Names {
    fn default() -> Names {
        Names::of(super::LAB, "ap-northeast-2")
    }
}
