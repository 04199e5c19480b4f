//! The Auto Scaling group: its sizes, its policy and its knobs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Config;
use super::findings::Findings;
use super::key::Key;

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
    #[schemars(range(min = 0, max = 10000))]
    pub min: u32,
    /// Number of hosts at first; afterwards the policy decides.
    #[schemars(range(min = 0, max = 10000))]
    pub desired: u32,
    /// Largest number of hosts.
    #[schemars(range(min = 0, max = 10000))]
    pub max: u32,
    /// Average CPU utilisation, in percent, that the policy keeps.
    #[schemars(range(min = 1, max = 100))]
    pub cpu_target: f64,
    /// Seconds until a new host's CPU counts.
    #[schemars(range(min = 0, max = 86400))]
    pub warmup: u32,
    /// "EC2" (the machine runs) or "ELB" (and the load balancer finds it healthy).
    pub health_check: HealthCheckType,
    /// Seconds during which a new host's health is not judged.
    #[schemars(range(min = 0, max = 86400))]
    pub health_check_grace: u32,
    /// Which host goes first, in order: "Default", "AllocationStrategy", "OldestLaunchTemplate",
    /// "OldestLaunchConfiguration", "ClosestToNextInstanceHour", "NewestInstance", "OldestInstance".
    pub termination_policies: Vec<TerminationPolicy>,
    /// Processes that stand still: "Launch", "Terminate", "AddToLoadBalancer", "AlarmNotification",
    /// "AZRebalance", "HealthCheck", "InstanceRefresh", "ReplaceUnhealthy", "ScheduledActions".
    pub suspended_processes: Vec<Process>,
    /// Seconds after which a host is replaced, at least 86400 (a day); 0: never.
    #[schemars(range(min = 0, max = 31536000))]
    pub max_instance_lifetime: u32,
    /// Seconds between two simple scaling activities.
    #[schemars(range(min = 0, max = 86400))]
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

pub(super) fn check(config: &Config, found: &mut Findings) {
    let scaling = &config.scaling;
    super::hosts::instance_type("scaling.instance_type", &scaling.instance_type, config, found);
    image(config, found);
    sizes(scaling, found);
    if (1..86_400).contains(&scaling.max_instance_lifetime) {
        let rule = "AWS replaces hosts after a day at the earliest";
        let remedy = "write at least 86400, or 0 for never";
        found.add("scaling.max_instance_lifetime", scaling.max_instance_lifetime, rule, remedy);
    }
    if scaling.termination_policies.is_empty() && found.is_usable("scaling.termination_policies") {
        let remedy = "write [\"Default\"]";
        found.add("scaling.termination_policies", [0; 0], "needs at least one policy", remedy);
    }
    found.no_twins("scaling.termination_policies", &scaling.termination_policies);
    found.no_twins("scaling.suspended_processes", &scaling.suspended_processes);
    let policies = &scaling.termination_policies;
    let last = policies.len().saturating_sub(1);
    if let Some(at) = policies.iter().position(|it| *it == TerminationPolicy::Default).filter(|at| *at < last)
    {
        let rule = "decides every case, so the policies behind it would never be asked";
        let key = Key::from("scaling.termination_policies").index(at);
        found.add(key, "Default", rule, "put it last, or remove it");
    }
}

fn image(config: &Config, found: &mut Findings) {
    let key = "scaling.image";
    match &config.scaling.image {
        ScalingImage::Plain => {}
        ScalingImage::Given(id) if super::hosts::is_image(id) => {}
        ScalingImage::Given(text) => {
            let rule = "is no image";
            let remedy = "write \"private-hosts\", \"plain\" or an id such as \"ami-0123456789abcdef0\"";
            found.add(key, text, rule, remedy);
        }
        ScalingImage::PrivateHosts if config.parts.scaling_group && !config.parts.private_hosts => {
            let rule = "there is no private host to take the image from";
            let remedy = "write \"plain\" or an image's id, or set parts.private_hosts = true";
            found.add(key, "private-hosts", rule, remedy).related("parts.private_hosts", "switched off here");
        }
        ScalingImage::PrivateHosts => {}
    }
}

fn sizes(scaling: &Scaling, found: &mut Findings) {
    let (min, desired, max) = (scaling.min, scaling.desired, scaling.max);
    if min > max {
        let remedy = format!("write at most {max}, or raise scaling.max");
        found
            .add("scaling.min", min, format!("is more than scaling.max, {max}"), remedy)
            .because("scaling.max")
            .related("scaling.max", "the largest size");
    } else if !(min..=max).contains(&desired) {
        let rule = format!("does not lie between scaling.min, {min}, and scaling.max, {max}");
        let remedy = format!("write a number from {min} to {max}, or change the limits");
        let cause = if desired < min { "scaling.min" } else { "scaling.max" };
        found.add("scaling.desired", desired, rule, remedy).because(cause).related(cause, "this limit");
    }
}

impl HealthCheckType {
    /// Auto Scaling's own word.
    pub fn as_str(self) -> &'static str {
        match self {
            HealthCheckType::Ec2 => "EC2",
            HealthCheckType::Elb => "ELB",
        }
    }
}

impl TerminationPolicy {
    /// Auto Scaling's own word.
    pub fn as_str(self) -> &'static str {
        match self {
            TerminationPolicy::Default => "Default",
            TerminationPolicy::AllocationStrategy => "AllocationStrategy",
            TerminationPolicy::OldestLaunchTemplate => "OldestLaunchTemplate",
            TerminationPolicy::OldestLaunchConfiguration => "OldestLaunchConfiguration",
            TerminationPolicy::ClosestToNextInstanceHour => "ClosestToNextInstanceHour",
            TerminationPolicy::NewestInstance => "NewestInstance",
            TerminationPolicy::OldestInstance => "OldestInstance",
        }
    }
}

impl Process {
    /// Auto Scaling's own word.
    pub fn as_str(self) -> &'static str {
        match self {
            Process::Launch => "Launch",
            Process::Terminate => "Terminate",
            Process::AddToLoadBalancer => "AddToLoadBalancer",
            Process::AlarmNotification => "AlarmNotification",
            Process::AzRebalance => "AZRebalance",
            Process::HealthCheck => "HealthCheck",
            Process::InstanceRefresh => "InstanceRefresh",
            Process::ReplaceUnhealthy => "ReplaceUnhealthy",
            Process::ScheduledActions => "ScheduledActions",
        }
    }
}
