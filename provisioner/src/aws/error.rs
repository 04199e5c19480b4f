//! One error type for every AWS call; the only place that knows what AWS's error codes mean.

use std::{error, fmt};

pub type Result<T> = std::result::Result<T, Error>;

/// A failed AWS call. The engine decides on `is_…`, the rest is for people.
#[derive(Clone, Debug)]
pub struct Error {
    /// `ec2:CreateVpc`; empty where no call was made.
    pub call: String,
    /// AWS's code; for an answer that never came, [`UNREACHABLE`].
    pub code: String,
    pub message: String,
    pub(super) status: u16,
}

/// The code of an error without an answer: refused, dropped, timed out.
pub(super) const UNREACHABLE: &str = "Unreachable";
/// The code of [`Error::not_yet`].
const NOT_YET: &str = "NotYet";
/// The code of [`Error::refused`].
const REFUSED: &str = "Refused";

impl Error {
    /// Something outside the call itself has to happen first: the engine waits and tries again.
    pub fn not_yet(why: impl Into<String>) -> Error {
        Error { call: String::new(), code: NOT_YET.into(), message: why.into(), status: 0 }
    }

    /// A decision of ours not to make a call; never retried.
    pub fn refused(why: impl Into<String>) -> Error {
        Error { call: String::new(), code: REFUSED.into(), message: why.into(), status: 0 }
    }

    pub fn is_not_yet(&self) -> bool {
        self.code == NOT_YET
    }

    /// The thing itself does not exist.
    pub fn is_missing(&self) -> bool {
        const CODES: &[&str] = &[
            "NoSuchEntity",
            "NoSuchBucket",
            "NoSuchKey",
            "NoSuchDistribution",
            "NoSuchOriginAccessControl",
            "NoSuchBucketPolicy",
            "NoSuchPublicAccessBlockConfiguration",
            "NoSuchTagSet",
            "NotFound",
            "NoSuchWebsiteConfiguration",
            "InvalidLaunchTemplateName.NotFoundException",
            "InvalidLaunchTemplateId.NotFound",
            "ParameterNotFound",
            "ResourceNotFoundException",
            // What is left of a deregistered image.
            "InvalidAMIID.Unavailable",
            "InvocationDoesNotExist",
        ];
        CODES.contains(&self.code.as_str())
            || self.code.ends_with(".NotFound")
            || self.code.ends_with("NotFoundFault")
            || self.code.ends_with("NotFound")
            // A registration that is no more.
            || (self.code == "InvalidTarget" && self.call.ends_with(":DeregisterTargets"))
            // Auto Scaling has no code of its own for a missing group or policy.
            || (self.call.starts_with("autoscaling:")
                && self.code == "ValidationError"
                && self.message.contains("not found"))
    }

    /// Something still holds the thing; it may let go later.
    pub fn is_in_use(&self) -> bool {
        const CODES: &[&str] = &[
            "DependencyViolation",
            "ResourceInUse",
            "ResourceInUseFault",
            "InvalidIPAddress.InUse",
            "InvalidAddress.Locked",
            "FileSystemInUse",
            "DeleteConflict",
            "BucketNotEmpty",
            "InvalidDBSubnetGroupStateFault",
            "InvalidDBParameterGroupState",
            "InvalidDBInstanceState",
            "InvalidDBInstanceStateFault",
            "InvalidDBParameterGroupStateFault",
            "InvalidGroup.InUse",
            "OriginAccessControlInUse",
            "DistributionNotDisabled",
            "PreconditionFailed",
            "ScalingActivityInProgress",
            "ScalingActivityInProgressFault",
            "IncorrectState",
            "IncorrectInstanceState",
            "InvalidSnapshot.InUse",
            "DependencyTimeout",
            "ConcurrentModification",
            "OperationAborted",
            // CloudWatch Logs, for as long as an earlier call on the same group is at work.
            "OperationAbortedException",
            "VolumeInUse",
            "IncorrectFileSystemLifeCycleState",
            "IncorrectMountTargetState",
        ];
        CODES.contains(&self.code.as_str())
            // What a NAT gateway that still holds the address makes AWS say; not a permission problem.
            || (self.code == "AuthFailure" && self.call == "ec2:ReleaseAddress")
            || self.message.contains("mapped public address")
    }

    /// Too many calls: nothing happened, and a later try will do.
    pub fn is_throttled(&self) -> bool {
        const CODES: &[&str] = &[
            "RequestLimitExceeded",
            "Throttling",
            "ThrottlingException",
            "TooManyRequestsException",
            "RequestThrottled",
            "SlowDown",
            "PriorRequestNotComplete",
            "TooManyUpdates",
            "RequestThrottledException",
            "EC2ThrottledException",
            "ThrottledException",
        ];
        CODES.contains(&self.code.as_str())
    }

    /// No answer, or an answer that says nothing about the call: it may or may not have taken effect.
    pub fn is_ambiguous(&self) -> bool {
        !self.is_throttled() && (self.code == UNREACHABLE || 500 <= self.status)
    }

    /// Systems Manager does not know the host that shall run a command.
    pub fn is_unmanaged(&self) -> bool {
        self.call == "ssm:SendCommand" && self.code == "InvalidInstanceId"
    }

    /// The thing that was to be made is there already.
    pub fn is_there_already(&self) -> bool {
        const CODES: &[&str] = &[
            "EntityAlreadyExists",
            "AlreadyExists",
            "AlreadyExistsFault",
            "ParameterAlreadyExists",
            "BucketAlreadyOwnedByYou",
            "Resource.AlreadyAssociated",
            "InvalidPermission.Duplicate",
            "RouteAlreadyExists",
            "InvalidKeyPair.Duplicate",
            "FileSystemAlreadyExists",
            "MountTargetConflict",
            "OriginAccessControlAlreadyExists",
            "DistributionAlreadyExists",
            "ResourceAlreadyExistsException",
            "PriorityInUse",
            "DuplicateListener",
            "InvalidLaunchTemplateName.AlreadyExistsException",
            "DuplicateTargetGroupName",
            "DuplicateLoadBalancerName",
            "InvalidAMIName.Duplicate",
            "InvalidGroup.Duplicate",
            // The same block in the same VPC: ours, unless somebody else's.
            "InvalidSubnet.Conflict",
        ];
        CODES.contains(&self.code.as_str())
            || self.code.ends_with("AlreadyExists")
            || self.code.ends_with("AlreadyExistsFault")
    }

    /// What AWS says, but not always, if a token's object was deleted.
    pub fn stale_token() -> Error {
        let message = "what was made with this token is gone".into();
        Error { call: String::new(), code: "IdempotentInstanceTerminated".into(), message, status: 400 }
    }

    /// The idempotency token belongs to an earlier object that is gone or was asked for otherwise.
    pub fn is_stale_token(&self) -> bool {
        ["IdempotentInstanceTerminated", "IdempotentParameterMismatch"].contains(&self.code.as_str())
    }

    /// The bucket is in another region, as HEAD gets it.
    pub fn is_moved(&self) -> bool {
        self.status == 301
    }

    /// A refusal without a code, as HEAD gets it.
    pub fn is_forbidden(&self) -> bool {
        self.status == 403
    }

    fn is_denied(&self) -> bool {
        const CODES: &[&str] = &[
            "UnauthorizedOperation",
            "AccessDenied",
            "AccessDeniedException",
            "AuthFailure",
            "UnauthorizedException",
            "AuthorizationError",
        ];
        CODES.contains(&self.code.as_str())
    }

    /// The IAM action that is missing: the one that AWS names, since a call may need others than its own
    /// (`iam:PassRole`, `kms:CreateGrant`), otherwise the call's. S3 names some actions unlike the calls.
    fn permission(&self) -> String {
        if let Some(said) = action_in(&self.message) {
            return said.to_owned();
        }
        match self.call.as_str() {
            "s3:HeadObject" => "s3:GetObject".into(),
            "s3:ListObjectsV2" | "s3:HeadBucket" => "s3:ListBucket".into(),
            "s3:ListObjectVersions" => "s3:ListBucketVersions".into(),
            "s3:ListBuckets" => "s3:ListAllMyBuckets".into(),
            "cloudfront:CreateDistributionWithTags" => "cloudfront:CreateDistribution".into(),
            "s3:GetPublicAccessBlock" => "s3:GetBucketPublicAccessBlock".into(),
            "s3:PutPublicAccessBlock" => "s3:PutBucketPublicAccessBlock".into(),
            "s3:DeleteObjects" => "s3:DeleteObject".into(),
            other => other
                .replace("efs:", "elasticfilesystem:")
                .replace("cloudwatchlogs:", "logs:")
                .replace("elasticloadbalancingv2:", "elasticloadbalancing:"),
        }
    }
}

/// `iam:PassRole` of `… is not authorized to perform: iam:PassRole on resource: …`.
fn action_in(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("not authorized to perform: ")?;
    rest.split_whitespace().next().filter(|it| it.contains(':'))
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.call.is_empty() {
            return f.write_str(&self.message);
        }
        write!(f, "{}: {}", self.call, self.code)?;
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        if self.is_denied() && !self.is_in_use() {
            write!(f, "; the credentials lack the permission {}", self.permission())?;
        }
        if self.code == UNREACHABLE {
            f.write_str("; is the endpoint right and the network up?")?;
        }
        Ok(())
    }
}

impl error::Error for Error {}

/// The end of a removal, for which gone already is as good as gone.
///
/// # Errors
/// Every other error of the call.
pub fn gone<T, E: Into<Error>>(removed: std::result::Result<T, E>) -> Result<()> {
    match removed.map_err(Into::into) {
        Err(err) if !err.is_missing() => Err(err),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(call: &str, code: &str, message: &str) -> Error {
        Error { call: call.into(), code: code.into(), message: message.into(), status: 400 }
    }

    #[test]
    fn the_missing_permission_is_the_one_that_aws_names_or_the_calls_own() {
        let why = "User: arn:aws:iam::1:user/me is not authorized to perform: iam:PassRole on resource: x";
        let said = error("ec2:RunInstances", "UnauthorizedOperation", why).to_string();
        assert!(said.ends_with("lack the permission iam:PassRole"), "{said}");
        let said = error("cloudwatchlogs:CreateLogGroup", "AccessDeniedException", "").to_string();
        assert!(said.ends_with("lack the permission logs:CreateLogGroup"), "{said}");
    }

    #[test]
    fn a_thing_of_the_same_name_or_block_is_there_already() {
        for code in ["InvalidGroup.Duplicate", "InvalidSubnet.Conflict", "DBInstanceAlreadyExists"] {
            assert!(error("ec2:Create", code, "").is_there_already(), "{code}");
        }
    }

    #[test]
    fn an_address_held_by_a_nat_gateway_is_in_use_and_not_denied() {
        let err = Error {
            call: "ec2:ReleaseAddress".into(),
            code: "AuthFailure".into(),
            message: String::new(),
            status: 400,
        };
        assert!(err.is_in_use());
        assert!(!err.to_string().contains("permission"));
    }
}
