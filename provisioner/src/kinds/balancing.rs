//! What the kinds of Elastic Load Balancing share. The service cannot list by tag, so what is ours is
//! found among everything in the account, once, and then known (see `aws/known.rs`).

use std::{collections::HashMap, sync::Arc};

use aws_sdk_elasticloadbalancingv2::types::{
    Action, ActionTypeEnum, Listener, LoadBalancer, Rule, TargetGroup,
};
use futures::future::try_join_all;

use crate::{
    aws::{self, Aws, Tags},
    engine::Resource,
};

/// How many ARNs one call takes.
pub(super) const AT_ONCE: usize = 20;

/// All that lies in our VPCs, and the tags that tell what of it is ours.
#[derive(Default)]
pub(super) struct Balancing {
    pub(super) balancers: Vec<LoadBalancer>,
    pub(super) groups: Vec<TargetGroup>,
    pub(super) listeners: Vec<Listener>,
    pub(super) rules: Vec<Rule>,
    tags: HashMap<String, Tags>,
}

impl Balancing {
    /// The tags of `arn` if it is ours.
    pub(super) fn ours(&self, arn: Option<&str>, aws: &Aws) -> Option<Tags> {
        self.tags.get(arn?).filter(|it| aws.is_ours(it)).cloned()
    }
}

impl Aws {
    /// The one full look: balancers and target groups, one call for each balancer's listeners, one for
    /// each listener's rules (or two in all where the bearings hold), and one for the tags of twenty things of any sort.
    pub(super) async fn balancing(&self) -> aws::Result<Arc<Balancing>> {
        self.once("balancing", || async {
            let vpcs = self.vpcs().await?;
            let vpcs: Vec<_> = vpcs.vpcs().iter().filter_map(|it| it.vpc_id()).collect();
            // Balancers and target groups keep their VPC from being deleted: without one there are none.
            if vpcs.is_empty() {
                return Ok(Balancing::default());
            }
            let balancers = self.elb.describe_load_balancers().into_paginator().items().send();
            let groups = self.elb.describe_target_groups().into_paginator().items().send();
            let (balancers, groups) = tokio::join!(
                balancers.collect::<Result<Vec<LoadBalancer>, _>>(),
                groups.collect::<Result<Vec<TargetGroup>, _>>()
            );
            let (mut balancers, mut groups) = (balancers?, groups?);
            balancers.retain(|it| it.vpc_id().is_some_and(|it| vpcs.contains(&it)));
            groups.retain(|it| it.vpc_id().is_some_and(|it| vpcs.contains(&it)));
            let (listeners, rules) = match self.known_listeners().await? {
                Some(it) => it,
                None => self.listeners_of(&balancers).await?,
            };
            let arns = balancers.iter().filter_map(|it| it.load_balancer_arn());
            let arns = arns.chain(groups.iter().filter_map(|it| it.target_group_arn()));
            let arns = arns.chain(listeners.iter().filter_map(|it| it.listener_arn()));
            let arns = arns.chain(rules.iter().filter_map(|it| it.rule_arn())).collect();
            let tags = self.balancing_tags(arns).await?;
            Ok(Balancing { balancers, groups, listeners, rules, tags })
        })
        .await
    }

    /// Listeners and rules of these balancers, one after the other.
    async fn listeners_of(&self, balancers: &[LoadBalancer]) -> aws::Result<(Vec<Listener>, Vec<Rule>)> {
        let listeners = balancers.iter().filter_map(|it| it.load_balancer_arn()).map(|arn| async move {
            let pages = self.elb.describe_listeners().load_balancer_arn(arn).into_paginator().items();
            unless_gone(pages.send().collect::<Result<Vec<Listener>, _>>().await.map_err(aws::Error::from))
        });
        let listeners: Vec<Listener> = try_join_all(listeners).await?.concat();
        let rules = listeners.iter().filter_map(|it| it.listener_arn()).map(|arn| async move {
            let pages = self.elb.describe_rules().listener_arn(arn).into_paginator().items();
            unless_gone(pages.send().collect::<Result<Vec<Rule>, _>>().await.map_err(aws::Error::from))
        });
        let mut rules: Vec<Rule> = try_join_all(rules).await?.concat();
        // The default rule is the listener's own action, and has no tags.
        rules.retain(|it| it.is_default() != Some(true));
        Ok((listeners, rules))
    }

    /// The stack's own listeners and rules by the bearings, all at once; `None` unless every one is where they say.
    async fn known_listeners(&self) -> aws::Result<Option<(Vec<Listener>, Vec<Rule>)>> {
        let (Some(listeners), Some(rules)) =
            (self.bearings("listener").await?, self.bearings("listener-rule").await?)
        else {
            return Ok(None);
        };
        let (listeners, rules): (Vec<String>, Vec<String>) =
            (listeners.into_values().collect(), rules.into_values().collect());
        if [&listeners, &rules].iter().any(|it| it.is_empty() || AT_ONCE < it.len()) {
            return Ok(None);
        }
        let (many, more) = (listeners.len(), rules.len());
        let listeners = self.elb.describe_listeners().set_listener_arns(Some(listeners)).send();
        let rules = self.elb.describe_rules().set_rule_arns(Some(rules)).send();
        let (listeners, rules) = tokio::join!(listeners, rules);
        let listeners = listeners.map(|it| it.listeners.unwrap_or_default()).map_err(aws::Error::from);
        let rules = rules.map(|it| it.rules.unwrap_or_default()).map_err(aws::Error::from);
        let (listeners, rules) = (unless_gone(listeners)?, unless_gone(rules)?);
        Ok((listeners.len() == many && rules.len() == more).then_some((listeners, rules)))
    }

    async fn balancing_tags(&self, arns: Vec<&str>) -> aws::Result<HashMap<String, Tags>> {
        let chunks = try_join_all(arns.chunks(AT_ONCE).map(|it| self.tags_of(it))).await?;
        Ok(chunks.into_iter().flatten().collect())
    }

    async fn tags_of(&self, arns: &[&str]) -> aws::Result<Vec<(String, Tags)>> {
        let ask = |arns: &[&str]| {
            let arns = arns.iter().map(|it| (*it).to_owned()).collect();
            self.elb.describe_tags().set_resource_arns(Some(arns)).send()
        };
        let mut seen = Vec::new();
        match ask(arns).await.map_err(aws::Error::from) {
            Ok(it) => seen.extend(it.tag_descriptions.unwrap_or_default()),
            // One of them went meanwhile, which fails the call for all.
            Err(err) if err.is_missing() && 1 < arns.len() => {
                for arn in arns {
                    let one = ask(&[*arn]).await.map_err(aws::Error::from);
                    let one = unless_gone(one.map(|it| it.tag_descriptions.unwrap_or_default()))?;
                    seen.extend(one);
                }
            }
            Err(err) if err.is_missing() => (),
            Err(err) => return Err(err),
        }
        let arn = |it: Option<&str>| it.unwrap_or_default().to_owned();
        Ok(seen.iter().map(|it| (arn(it.resource_arn()), Aws::from_elb(it.tags()))).collect())
    }

    /// Sets tags on anything of the service; the next look reads them.
    pub(super) async fn tag_balancing(&self, arn: &str, tags: &Tags, kind: &'static str) -> aws::Result<()> {
        self.doubt(kind);
        self.elb.add_tags().resource_arns(arn).set_tags(Some(Aws::to_elb(tags))).send().await?;
        Ok(())
    }

    /// Takes the answer of a creating call: without one, only a full look tells what is there.
    pub(super) fn sure<R: Resource, T, E: Into<aws::Error>>(&self, made: Result<T, E>) -> aws::Result<T> {
        made.map_err(|err| {
            self.doubt(R::KIND);
            err.into()
        })
    }
}

/// What is gone by the time that it is looked into holds nothing.
pub(super) fn unless_gone<T>(seen: aws::Result<Vec<T>>) -> aws::Result<Vec<T>> {
    match seen {
        Err(err) if err.is_missing() => Ok(Vec::new()),
        other => other,
    }
}

/// A thing of the service, which is identified by its ARN.
pub(super) trait Listed: Send + Sync + Sized {
    const KIND: &'static str;

    fn arn(&self) -> Option<&str>;

    /// The ones with these ARNs, [`AT_ONCE`] at most.
    fn by_arn(aws: &Aws, arns: Vec<String>) -> impl Future<Output = aws::Result<Vec<Self>>> + Send;

    /// All of ours, found among everything.
    fn ours(aws: &Aws) -> impl Future<Output = aws::Result<Vec<(Self, Tags)>>> + Send;
}

/// Things of ours with their tags: asked for by ARN where those are known, otherwise looked for.
pub(super) async fn look<T: Listed>(aws: &Aws) -> aws::Result<Vec<(T, Tags)>> {
    if let Some(known) = aws.known(T::KIND) {
        let arns: Vec<String> = known.keys().cloned().collect();
        let mut seen = Vec::new();
        for arns in arns.chunks(AT_ONCE) {
            match T::by_arn(aws, arns.to_vec()).await {
                Ok(some) => seen.extend(some),
                Err(err) if err.is_missing() => (),
                Err(err) => return Err(err),
            }
        }
        let tags = |it: &T| it.arn().and_then(|it| known.get(it)).cloned().unwrap_or_default();
        if seen.len() == known.len() {
            return Ok(seen.into_iter().map(|it| (tags(&it), it)).map(|(tags, it)| (it, tags)).collect());
        }
        aws.doubt(T::KIND);
    }
    let doubts = aws.doubts(T::KIND);
    let ours = T::ours(aws).await?;
    let known = ours.iter().filter_map(|(it, tags)| Some((it.arn()?.to_owned(), tags.clone())));
    aws.knows(T::KIND, doubts, known.collect());
    Ok(ours)
}

/// Sends everything to one target group.
pub(super) fn forward(group: String) -> Action {
    Action::builder().r#type(ActionTypeEnum::Forward).target_group_arn(group).build()
}

/// The one target group that gets everything; empty where it is done otherwise.
pub(super) fn forwards_to(actions: &[Action]) -> &str {
    let [action] = actions else { return "" };
    let groups = action.forward_config().map(|it| it.target_groups()).unwrap_or_default();
    match (action.target_group_arn(), groups) {
        (Some(arn), [] | [_]) => arn,
        (None, [one]) => one.target_group_arn().unwrap_or_default(),
        _ => "",
    }
}
