//! How the scaling group's size follows the load: it keeps the average CPU utilisation at a target.

use std::time::Duration;

use aws_sdk_autoscaling::types::{
    MetricType, PredefinedMetricSpecification, ScalingPolicy as Sdk, TargetTrackingConfiguration,
};
use serde::Serialize;

use super::{
    ScalingGroup, listed,
    scaling_group::{count, number},
};
use crate::{
    aws::{self, Aws},
    engine::{Cx, Found, Ref, Resource},
};

/// Policies have no tags: the node is named after the policy, and belongs to the stack with its group.
/// AWS makes, changes and removes the two alarms itself.
#[derive(Clone, Debug, Serialize)]
pub struct ScalingPolicy {
    pub group: Ref<ScalingGroup>,
    /// Average CPU utilisation in percent.
    pub cpu_target: f64,
    /// Seconds until a new host's CPU counts.
    pub warmup: u32,
    /// Always wanted; somebody may have switched it off.
    pub enabled: bool,
}

impl Resource for ScalingPolicy {
    const KIND: &'static str = "scaling-policy";
    const USABLE_AT_ONCE: bool = true;
    const FIXED: &'static [&'static str] = &["group"];
    const USUALLY: Duration = Duration::from_secs(2);

    async fn list(aws: &Aws) -> aws::Result<Vec<Found<Self>>> {
        let policies = aws.scaling_policies().await?;
        let found = policies.iter().map(|it| {
            let name = it.policy_name().unwrap_or_default();
            let spec = ScalingPolicy {
                group: Ref::id(it.auto_scaling_group_name()),
                cpu_target: cpu_target(it).unwrap_or_default(),
                warmup: count(it.estimated_instance_warmup()),
                enabled: it.enabled() != Some(false),
            };
            Found::untagged(name, name, spec)
        });
        Ok(found.collect())
    }

    async fn create(&self, cx: &Cx<'_>) -> aws::Result<String> {
        let cpu = PredefinedMetricSpecification::builder();
        let cpu = cpu.predefined_metric_type(MetricType::AsgAverageCpuUtilization).build();
        let target = TargetTrackingConfiguration::builder().predefined_metric_specification(cpu);
        let target = target.target_value(self.cpu_target).disable_scale_in(false).build();
        let put = cx.aws.scaling.put_scaling_policy().auto_scaling_group_name(cx.id(self.group));
        put.policy_name(cx.name())
            .policy_type("TargetTrackingScaling")
            .target_tracking_configuration(target)
            .estimated_instance_warmup(number(self.warmup))
            .enabled(self.enabled)
            .send()
            .await?;
        Ok(cx.name().to_owned())
    }

    /// Putting replaces all of it.
    async fn configure(&self, _have: &Found<Self>, cx: &Cx<'_>) -> aws::Result<()> {
        self.create(cx).await.map(drop)
    }

    async fn delete(have: &Found<Self>, aws: &Aws) -> aws::Result<()> {
        let delete = aws.scaling.delete_policy().policy_name(&have.id);
        delete.auto_scaling_group_name(listed(have.spec.group)).send().await?;
        Ok(())
    }
}

/// Of a policy of another sort: none, so that it differs.
fn cpu_target(it: &Sdk) -> Option<f64> {
    let target = it.target_tracking_configuration()?;
    let metric = target.predefined_metric_specification()?.predefined_metric_type();
    let of_cpu = metric == Some(&MetricType::AsgAverageCpuUtilization);
    (of_cpu && target.disable_scale_in() != Some(true)).then(|| target.target_value()).flatten()
}
