//! Which requests a listener sends elsewhere: the index page goes to the agent.

use std::time::Duration;

use aws_sdk_elasticloadbalancingv2::types::{
    PathPatternConditionConfig, Rule as Sdk, RuleCondition, RulePriorityPair,
};
use serde::Serialize;

use super::{
    Listener, TargetGroup,
    balancing::{Listed, forward, forwards_to, look},
};
use crate::{
    aws::{self, Aws, Tags},
    engine::{Cx, Found, Ref, Resource},
};

/// Its id is its ARN.
#[derive(Clone, Debug, Serialize)]
pub struct ListenerRule {
    pub listener: Ref<Listener>,
    /// Lower ones are asked first.
    pub priority: u32,
    /// The whole path; `*` would match anything.
    pub path: String,
    pub group: Ref<TargetGroup>,
}

/// The kind of condition that looks at the path.
const PATH: &str = "path-pattern";

impl Resource for ListenerRule {
    const KIND: &'static str = "listener-rule";
    const GOES_WITH: Option<&str> = Some("listener");
    const USABLE_AT_ONCE: bool = true;
    const FIXED: &'static [&'static str] = &["listener"];
    const USUALLY: Duration = Duration::from_secs(1);

    async fn list(aws: &Aws) -> aws::Result<Vec<Found<Self>>> {
        let ours = look::<Sdk>(aws).await?;
        let found = ours.into_iter().map(|(it, tags)| {
            let spec = ListenerRule {
                listener: Ref::id(it.rule_arn().and_then(listener_of).as_deref()),
                priority: it.priority().and_then(|it| it.parse().ok()).unwrap_or_default(),
                path: it.conditions().iter().map(in_words).collect::<Vec<_>>().join(" and "),
                group: Ref::id(Some(forwards_to(it.actions()))),
            };
            Found::new(it.rule_arn(), tags, spec)
        });
        Ok(found.collect())
    }

    async fn create(&self, cx: &Cx<'_>) -> aws::Result<String> {
        let create = cx.aws.elb.create_rule().listener_arn(cx.id(self.listener));
        let create = create
            .priority(number(self.priority))
            .conditions(self.condition())
            .actions(forward(cx.id(self.group)))
            .set_tags(Some(Aws::to_elb(cx.tags)));
        let made = cx.aws.sure::<Self, _, _>(create.send().await)?;
        let arn = made.rules().first().and_then(|it| it.rule_arn()).unwrap_or_default().to_owned();
        cx.aws.made(Self::KIND, &arn, cx.tags);
        Ok(arn)
    }

    async fn configure(&self, have: &Found<Self>, cx: &Cx<'_>) -> aws::Result<()> {
        let group = cx.id(self.group);
        if self.path != have.spec.path || group != cx.id(have.spec.group) {
            let modify = cx.aws.elb.modify_rule().rule_arn(&have.id);
            modify.conditions(self.condition()).actions(forward(group)).send().await?;
        }
        if self.priority != have.spec.priority {
            let pair = RulePriorityPair::builder().rule_arn(&have.id).priority(number(self.priority));
            cx.aws.elb.set_rule_priorities().rule_priorities(pair.build()).send().await?;
        }
        Ok(())
    }

    async fn tag(id: &str, tags: &Tags, aws: &Aws) -> aws::Result<()> {
        aws.tag_balancing(id, tags, Self::KIND).await
    }

    async fn delete(have: &Found<Self>, aws: &Aws) -> aws::Result<()> {
        aws.elb.delete_rule().rule_arn(&have.id).send().await?;
        Ok(())
    }
}

impl Listed for Sdk {
    const KIND: &'static str = ListenerRule::KIND;

    fn arn(&self) -> Option<&str> {
        self.rule_arn()
    }

    async fn by_arn(aws: &Aws, arns: Vec<String>) -> aws::Result<Vec<Sdk>> {
        let ask = aws.elb.describe_rules().set_rule_arns(Some(arns));
        Ok(ask.send().await?.rules.unwrap_or_default())
    }

    async fn ours(aws: &Aws) -> aws::Result<Vec<(Sdk, Tags)>> {
        let seen = aws.balancing().await?;
        let ours = seen.rules.iter().map(|it| (it, seen.ours(it.rule_arn(), aws)));
        Ok(ours.filter_map(|(it, tags)| Some((it.clone(), tags?))).collect())
    }
}

impl ListenerRule {
    fn condition(&self) -> RuleCondition {
        let pattern = PathPatternConditionConfig::builder().values(&self.path).build();
        RuleCondition::builder().field(PATH).path_pattern_config(pattern).build()
    }
}

/// A rule's ARN is its listener's with a part of its own: `…:listener-rule/app/name/x/y/z` belongs to
/// `…:listener/app/name/x/y`.
fn listener_of(rule: &str) -> Option<String> {
    let (listener, _) = rule.rsplit_once('/')?;
    Some(listener.replacen(":listener-rule/", ":listener/", 1))
}

/// A path as it is, anything else so that it is seen to be something else.
fn in_words(it: &RuleCondition) -> String {
    let field = it.field().unwrap_or_default();
    let paths = it.path_pattern_config().map(|it| it.values()).unwrap_or_default();
    let values = if paths.is_empty() { it.values() } else { paths };
    match field {
        PATH => values.join(" or "),
        _ => format!("{field} {}", values.join(" or ")).trim_end().to_owned(),
    }
}

fn number(it: u32) -> i32 {
    i32::try_from(it).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_names_its_listener() {
        let rule = "arn:aws:elasticloadbalancing:r:1:listener-rule/app/lab/50dc/f2f7/9683";
        let listener = "arn:aws:elasticloadbalancing:r:1:listener/app/lab/50dc/f2f7";
        assert_eq!(listener_of(rule).as_deref(), Some(listener));
    }
}
