//! Every name that a stack gives to AWS, against the rule of its service and against the others.

use super::Config;
use super::aws_names::{self as aws, NameRule};
use super::findings::Findings;

/// A name as AWS will see it, and the key of the configuration that it comes from.
struct Used<'a> {
    key: &'static str,
    name: String,
    /// The name in the configuration.
    stem: &'a str,
    rule: &'static NameRule,
    /// Names with the same scope must differ.
    scope: &'static str,
}

pub(super) fn check(config: &Config, found: &mut Findings) {
    if !aws::STACK.accepts(&config.stack) {
        let rule = format!("a stack's name has {}", aws::STACK.rule);
        found.add("stack", &config.stack, rule, "write a short name such as \"web-two\"");
        return;
    }
    if !super::network::is_region(&config.region) {
        return;
    }
    let all = used(config);
    refused(config, &all, found);
    for (at, it) in all.iter().enumerate().filter(|it| !it.1.scope.is_empty()) {
        let is_twin = |other: &&Used<'_>| {
            other.scope == it.scope && other.key != it.key && other.name.eq_ignore_ascii_case(&it.name)
        };
        if let Some(other) = all[..at].iter().find(is_twin) {
            // It is the name in the file that has to change, not the one that derives.
            let (it, other) = if found.is_given(it.key) { (it, other) } else { (other, it) };
            let rule = format!("gives the {} {:?}, which {} gives as well", it.scope, it.name, other.key);
            found.add(it.key, it.stem, rule, "choose another name").related(other.key, "the other one");
        }
    }
}

fn refused(config: &Config, all: &[Used<'_>], found: &mut Findings) {
    let bad: Vec<&Used<'_>> = all.iter().filter(|it| !it.rule.accepts(&it.name)).collect();
    let (given, derived): (Vec<_>, Vec<_>) =
        bad.into_iter().partition(|it| it.key != "stack" && found.is_given(it.key));
    let mut told = Vec::new();
    for it in given {
        // Several names come from one key: one message is enough.
        if told.contains(&it.key) {
            continue;
        }
        told.push(it.key);
        let rule = format!("AWS wants {}", it.rule.rule);
        let cut = it.name.chars().count().saturating_sub(it.rule.longest);
        let (rule, remedy) = match cut {
            0 if it.name.is_empty() => (rule, "write a name, or leave the key out".to_owned()),
            0 => (rule, "write other characters, or leave the key out for the name that derives".to_owned()),
            1 => (rule, "shorten it by one character".to_owned()),
            _ => (rule, format!("shorten it by {cut} characters")),
        };
        let rule = if it.name == it.stem { rule } else { format!("gives {:?}, but {rule}", it.name) };
        found.add(it.key, it.stem, rule, remedy);
    }
    // One message for the stack's name, about the name that it makes longest beyond measure.
    let excess = |it: &&Used<'_>| it.name.chars().count().saturating_sub(it.rule.longest);
    if let Some(worst) = derived.into_iter().max_by_key(excess) {
        let longest = config.stack.len().saturating_sub(excess(&worst));
        let rule = format!("gives the name {:?}, but AWS wants {}", worst.name, worst.rule.rule);
        let shorter = format!("shorten it to at most {longest} characters");
        let remedy = if worst.key == "stack" { shorter } else { format!("{shorter}, or set {}", worst.key) };
        found.add("stack", &config.stack, rule, remedy).because("region");
    }
}

fn used(config: &Config) -> Vec<Used<'_>> {
    let (names, parts) = (&config.names, &config.parts);
    let mut all = Vec::new();
    let mut add = |part: bool, key, stem, suffix: &str, rule, scope| {
        if part {
            all.push(Used { key, name: format!("{stem}{suffix}"), stem, rule, scope });
        }
    };
    // The longest of a balancer's names first: it is the one that is told about.
    let balancer = [
        ("-index-tg", &aws::TARGET_GROUP, "target group"),
        ("-tg", &aws::TARGET_GROUP, "target group"),
        ("", &aws::BALANCER, "load balancer"),
        ("-sg", &aws::SECURITY_GROUP, "security group"),
    ];
    for (suffix, rule, scope) in balancer {
        add(parts.public_hosts, "names.public_balancer", names.public_balancer.as_str(), suffix, rule, scope);
        add(parts.private_hosts, "names.private_balancer", &names.private_balancer, suffix, rule, scope);
        add(parts.scaling_group, "names.scaling_balancer", &names.scaling_balancer, suffix, rule, scope);
    }
    let group = (&aws::SECURITY_GROUP, "security group");
    let inner = parts.private_hosts || parts.scaling_group;
    add(parts.network, "names.vpc", &names.vpc, "", &aws::TAG, "");
    add(parts.network, "names.internet_gateway", &names.internet_gateway, "", &aws::TAG, "");
    add(parts.public_hosts, "names.public_key", &names.public_key, "", &aws::KEY_PAIR, "key pair");
    add(inner, "names.private_key", &names.private_key, "", &aws::KEY_PAIR, "key pair");
    add(parts.public_hosts, "names.public_image", &names.public_image, "", &aws::IMAGE, "image");
    add(parts.private_hosts, "names.private_image", &names.private_image, "", &aws::IMAGE, "image");
    add(parts.public_hosts, "names.public_group", &names.public_group, "", group.0, group.1);
    add(inner, "names.private_group", &names.private_group, "", group.0, group.1);
    add(parts.files, "names.files", &names.files, "", &aws::TAG, "");
    add(parts.files, "names.files", &names.files, "-sg", group.0, group.1);
    add(parts.database, "names.database", &names.database, "", &aws::DATABASE, "database");
    add(parts.database, "names.database", &names.database, "-sg", group.0, group.1);
    add(parts.replica, "names.replica", &names.replica, "", &aws::DATABASE, "database");
    let (subnets, parameters) = (&names.database_subnets, &names.database_parameters);
    add(parts.database, "names.database_subnets", subnets, "", &aws::DATABASE_SUBNETS, "");
    add(parts.database, "names.database_parameters", parameters, "", &aws::DATABASE_PARAMETERS, "");
    let scaling = parts.scaling_group;
    add(scaling, "names.launch_template", &names.launch_template, "", &aws::LAUNCH_TEMPLATE, "");
    add(scaling, "names.scaling_group", &names.scaling_group, "", &aws::SCALING_GROUP, "");
    add(scaling, "names.scaling_policy", &names.scaling_policy, "", &aws::SCALING_POLICY, "");
    add(scaling, "names.scaling_host", &names.scaling_host, "", &aws::TAG, "");
    add(parts.has_hosts(), "names.host_role", &names.host_role, "", &aws::ROLE, "");
    add(parts.site, "names.origin_access", &names.origin_access, "", &aws::ORIGIN_ACCESS, "");
    // Buckets derive from the stack's name; an account's number always has twelve digits.
    let site = config.site_bucket("123456789012");
    let suffix = |name: &str| name.strip_prefix(config.stack.as_str()).map(str::to_owned);
    if let Some(suffix) = suffix(&site).filter(|_| config.site.bucket.is_none()) {
        add(parts.site, "site.bucket", &config.stack, &suffix, &aws::BUCKET, "");
    }
    if let Some(suffix) = suffix(&config.artefact_bucket("123456789012")) {
        add(parts.has_hosts(), "stack", &config.stack, &suffix, &aws::BUCKET, "");
    }
    all
}
