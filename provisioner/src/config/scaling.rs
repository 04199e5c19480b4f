//! The Auto Scaling group: its sizes, its policy and its knobs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The group of private hosts that grows and shrinks with the load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Scaling {
    /// What its hosts start from: "private-hosts" (the image of the first private host, as in the lab),
    /// "plain" (hosts.image; slower to start) or an image of yours (ami-…). When left out:
    /// "private-hosts" if there are any, otherwise "plain".
    pub image: ScalingImage,
    /// Instance type.
    pub instance_type: String,
    /// Smallest number of hosts.
    pub min: u32,
    /// Number of hosts at first; afterwards the policy decides.
    pub desired: u32,
    /// Largest number of hosts.
    pub max: u32,
    /// Average CPU utilisation, in percent, that the policy keeps.
    pub cpu_target: f64,
    /// Seconds until a new host's CPU counts.
    pub warmup: u32,
    /// "EC2" (the machine runs) or "ELB" (and the load balancer finds it healthy).
    pub health_check: HealthCheckType,
    /// Seconds during which a new host's health is not judged.
    pub health_check_grace: u32,
    /// Which host goes first, in order: "Default", "AllocationStrategy", "OldestLaunchTemplate",
    /// "OldestLaunchConfiguration", "ClosestToNextInstanceHour", "NewestInstance", "OldestInstance".
    pub termination_policies: Vec<TerminationPolicy>,
    /// Processes that stand still: "Launch", "Terminate", "AddToLoadBalancer", "AlarmNotification",
    /// "AZRebalance", "HealthCheck", "InstanceRefresh", "ReplaceUnhealthy", "ScheduledActions".
    pub suspended_processes: Vec<Process>,
    /// Seconds after which a host is replaced, at least 86400 (a day); 0: never.
    pub max_instance_lifetime: u32,
    /// Seconds between two simple scaling activities.
    pub cooldown: u32,
    /// Protect new hosts from scale-in.
    pub scale_in_protection: bool,
    /// Publish the group's metrics.
    pub group_metrics: bool,
    /// One-minute metrics of its hosts: without them the policy reacts minutes later.
    pub detailed_monitoring: bool,
}

impl Default for Scaling {
    fn default() -> Scaling {
        Scaling {
            image: ScalingImage::PrivateHosts,
            instance_type: "t3.micro".into(),
            min: 2,
            desired: 2,
            max: 4,
            cpu_target: 7.0,
            warmup: 60,
            health_check: HealthCheckType::Ec2,
            health_check_grace: 60,
            termination_policies: vec![TerminationPolicy::Default],
            suspended_processes: Vec::new(),
            max_instance_lifetime: 0,
            cooldown: 300,
            scale_in_protection: false,
            group_metrics: true,
            detailed_monitoring: true,
        }
    }
}

/// What the scaling group's hosts start from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum ScalingImage {
    /// The image made of the first private host.
    PrivateHosts,
    /// The plain image of `hosts.image`.
    Plain,
    /// An image of the operator's.
    Given(String),
}

impl From<String> for ScalingImage {
    fn from(text: String) -> ScalingImage {
        match text.as_str() {
            "private-hosts" => ScalingImage::PrivateHosts,
            "plain" => ScalingImage::Plain,
            _ => ScalingImage::Given(text),
        }
    }
}

impl From<ScalingImage> for String {
    fn from(image: ScalingImage) -> String {
        match image {
            ScalingImage::PrivateHosts => "private-hosts".into(),
            ScalingImage::Plain => "plain".into(),
            ScalingImage::Given(id) => id,
        }
    }
}

impl JsonSchema for ScalingImage {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ScalingImage".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^(private-hosts|plain|ami-[0-9a-f]{8,17})$" })
    }
}

/// Whose word on a host's health counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum HealthCheckType {
    Ec2,
    Elb,
}

/// Auto Scaling's own words for who is terminated first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TerminationPolicy {
    Default,
    AllocationStrategy,
    OldestLaunchTemplate,
    OldestLaunchConfiguration,
    ClosestToNextInstanceHour,
    NewestInstance,
    OldestInstance,
}

/// Auto Scaling's own words for what can be suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Process {
    Launch,
    Terminate,
    AddToLoadBalancer,
    AlarmNotification,
    #[serde(rename = "AZRebalance")]
    AzRebalance,
    HealthCheck,
    InstanceRefresh,
    ReplaceUnhealthy,
    ScheduledActions,
}
