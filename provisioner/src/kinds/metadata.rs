//! How a machine answers questions about itself, among them for its role's credentials.

use aws_sdk_ec2::types::{
    HttpTokensState, Instance, InstanceMetadataOptionsRequest, LaunchTemplateHttpTokensState,
    LaunchTemplateInstanceMetadataOptionsRequest, ResponseLaunchTemplateData,
};
use serde::Serialize;

use crate::aws::{self, Aws};

/// Options of the instance metadata service.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metadata {
    /// Only version 2, whose token a tricked web server cannot fetch for somebody else.
    pub v2_required: bool,
    /// Over how many network hops it answers.
    pub hops: i32,
}

impl Metadata {
    pub(super) fn of_instance(it: &Instance) -> Metadata {
        let options = it.metadata_options();
        Metadata {
            v2_required: options.and_then(|it| it.http_tokens()) == Some(&HttpTokensState::Required),
            hops: options.and_then(|it| it.http_put_response_hop_limit()).unwrap_or_default(),
        }
    }

    pub(super) fn of_template(it: Option<&ResponseLaunchTemplateData>) -> Metadata {
        let options = it.and_then(|it| it.metadata_options());
        Metadata {
            v2_required: options.and_then(|it| it.http_tokens())
                == Some(&LaunchTemplateHttpTokensState::Required),
            hops: options.and_then(|it| it.http_put_response_hop_limit()).unwrap_or_default(),
        }
    }

    fn tokens(&self) -> HttpTokensState {
        if self.v2_required { HttpTokensState::Required } else { HttpTokensState::Optional }
    }

    pub(super) fn for_instance(&self) -> InstanceMetadataOptionsRequest {
        let options = InstanceMetadataOptionsRequest::builder().http_tokens(self.tokens());
        options.http_put_response_hop_limit(self.hops).build()
    }

    pub(super) fn for_template(&self) -> LaunchTemplateInstanceMetadataOptionsRequest {
        let tokens = LaunchTemplateHttpTokensState::from(self.tokens().as_str());
        let options = LaunchTemplateInstanceMetadataOptionsRequest::builder().http_tokens(tokens);
        options.http_put_response_hop_limit(self.hops).build()
    }

    pub(super) async fn set(&self, instance: &str, aws: &Aws) -> aws::Result<()> {
        let set = aws.ec2.modify_instance_metadata_options().instance_id(instance);
        set.http_tokens(self.tokens()).http_put_response_hop_limit(self.hops).send().await?;
        Ok(())
    }
}
