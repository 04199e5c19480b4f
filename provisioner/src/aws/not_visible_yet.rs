//! What AWS says of something that was made a moment ago and is not known everywhere yet: each service has its own words.

use super::Error;

impl Error {
    /// A thing that this call refers to was made a moment ago and is not known everywhere yet.
    pub fn is_not_visible_yet(&self) -> bool {
        let says = |words: &str| self.message.contains(words);
        says("Invalid IAM Instance Profile")
            || is_unknown_profile_of_template(&self.message)
            // The profile is known already, that the role is in it is not.
            || says("has no associated IAM Roles")
            || says("cannot be assumed by")
            // RDS and others make their own role at the first use of an account, and ask to come back.
            || says("service linked role")
            // A gateway is always attached before what needs it, but not always known to be.
            || says("has no internet gateway")
            || says("belong to different networks")
            || (self.code == "Gateway.NotAttached" && self.call != "ec2:DetachInternetGateway")
            // An instance that is still starting cannot be registered with a target group.
            || (self.code == "InvalidTarget" && says("running"))
            || self.is_balancers_word()
            || (self.is_missing() && !self.code.starts_with("InvalidAMIID"))
    }

    /// Elastic Load Balancing has codes of its own for groups and networks that EC2 does not know yet.
    fn is_balancers_word(&self) -> bool {
        self.call.starts_with("elasticloadbalancingv2:")
            && (self.code == "InvalidSecurityGroup"
                || (self.code == "ValidationError" && self.message.contains("is not found")))
    }
}

/// What Auto Scaling says of a template whose instance profile is not known everywhere yet: that and no more, or with the
/// profile's name, or that it has no role. The same words open every other complaint about a template, and those do not
/// pass.
fn is_unknown_profile_of_template(message: &str) -> bool {
    let Some((_, why)) = message.split_once("valid fully-formed launch template") else { return false };
    let why = why.trim_matches(['.', ' ']).to_ascii_lowercase();
    why.is_empty() || (why.contains("iaminstanceprofile") && why.contains("invalid"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(call: &str, code: &str, message: &str) -> Error {
        Error { call: call.into(), code: code.into(), message: message.into(), status: 400 }
    }

    #[test]
    fn every_service_has_its_own_words_for_what_it_does_not_know_yet() {
        let profile =
            "IAM Instance Profile \"arn:aws:iam::1:instance-profile/lab-host\" has no associated IAM Roles";
        let networks = "route table rtb-1 and network gateway igw-1 belong to different networks";
        for (call, code, message) in [
            ("ec2:RunInstances", "InvalidParameterValue", profile),
            ("ec2:CreateRoute", "InvalidParameterValue", networks),
            ("ec2:AssociateAddress", "Gateway.NotAttached", ""),
            (
                "elasticloadbalancingv2:CreateTargetGroup",
                "ValidationError",
                "The VPC ID 'vpc-1' is not found",
            ),
            ("elasticloadbalancingv2:CreateLoadBalancer", "InvalidSecurityGroup", "'sg-1' does not exist"),
            ("elasticloadbalancingv2:CreateLoadBalancer", "SubnetNotFound", ""),
        ] {
            assert!(error(call, code, message).is_not_visible_yet(), "{call}: {code}: {message}");
        }
        for (call, code, message) in [
            ("ec2:DetachInternetGateway", "Gateway.NotAttached", ""),
            ("ec2:RunInstances", "InvalidParameterValue", "Invalid value for instanceType"),
            (
                "elasticloadbalancingv2:CreateTargetGroup",
                "ValidationError",
                "Health check path must begin with /",
            ),
        ] {
            assert!(!error(call, code, message).is_not_visible_yet(), "{call}: {code}: {message}");
        }
    }

    #[test]
    fn an_account_that_makes_its_service_role_is_waited_for() {
        let why = "Unable to create the resource. Verify that you have permission to create service linked \
                   role. Otherwise wait and try again later";
        assert!(error("rds:CreateDBInstance", "InvalidParameterValue", why).is_not_visible_yet());
        assert!(
            !error("rds:CreateDBInstance", "InvalidParameterValue", "no such class").is_not_visible_yet()
        );
    }

    #[test]
    fn only_a_template_whose_profile_is_not_known_yet_is_waited_for() {
        let said = |why: &str| {
            let message = format!("You must use a valid fully-formed launch template.{why}");
            error("autoscaling:CreateAutoScalingGroup", "ValidationError", &message).is_not_visible_yet()
        };
        for why in [
            "",
            " Invalid IAM Instance Profile name",
            " Value (lab-host) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name",
        ] {
            assert!(said(why), "{why}");
        }
        for why in [
            " You are not authorized to perform this operation. Encoded authorization failure message: x",
            " The image id '[ami-0123]' does not exist",
            " The security group 'sg-0123' does not exist",
        ] {
            assert!(!said(why), "{why}");
        }
    }
}
