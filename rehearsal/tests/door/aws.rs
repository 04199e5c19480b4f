//! The clients of an operator, and what most tests begin with.

use aws_config::{BehaviorVersion, Region, retry::RetryConfig};
use aws_sdk_ec2::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::types::IamInstanceProfileSpecification;

pub(crate) struct Aws {
    pub(crate) ec2: aws_sdk_ec2::Client,
    pub(crate) iam: aws_sdk_iam::Client,
    pub(crate) ssm: aws_sdk_ssm::Client,
}

impl Aws {
    pub(crate) fn new(endpoint: &str) -> Aws {
        let sdk = aws_config::SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .region(Region::new("ap-northeast-2"))
            .endpoint_url(endpoint)
            // What is refused shall be seen.
            .retry_config(RetryConfig::disabled())
            .credentials_provider(SharedCredentialsProvider::new(Credentials::from_keys(
                "test", "test", None,
            )))
            .build();
        Aws {
            ec2: aws_sdk_ec2::Client::new(&sdk),
            iam: aws_sdk_iam::Client::new(&sdk),
            ssm: aws_sdk_ssm::Client::new(&sdk),
        }
    }

    pub(crate) async fn vpc(&self, cidr: &str) -> String {
        let made = self.ec2.create_vpc().cidr_block(cidr).send().await.unwrap();
        made.vpc.unwrap().vpc_id.unwrap()
    }

    pub(crate) async fn subnet(&self, vpc: &str, cidr: &str, zone: &str) -> String {
        let make = self.ec2.create_subnet().vpc_id(vpc).cidr_block(cidr).availability_zone(zone);
        make.send().await.unwrap().subnet.unwrap().subnet_id.unwrap()
    }

    /// A host in that subnet, with that profile and name.
    pub(crate) async fn host(&self, subnet: &str, name: &str, profile: Option<&str>) -> String {
        use aws_sdk_ec2::types::{ResourceType, Tag, TagSpecification};
        let tag = Tag::builder().key("Name").value(name).build();
        let tags = TagSpecification::builder().resource_type(ResourceType::Instance).tags(tag).build();
        let profile = profile.map(|it| IamInstanceProfileSpecification::builder().name(it).build());
        let run = self.ec2.run_instances().image_id("ami-0870825cefcaafcc8").min_count(1).max_count(1);
        let run = run.subnet_id(subnet).tag_specifications(tags).set_iam_instance_profile(profile);
        run.send().await.unwrap().instances.unwrap()[0].instance_id.clone().unwrap()
    }

    /// A profile whose role may do this.
    pub(crate) async fn profile(&self, name: &str, actions: &str) {
        let iam = &self.iam;
        let allow = format!(r#"{{"Effect":"Allow","Action":{actions},"Resource":"*"}}"#);
        let policy = format!(r#"{{"Version":"2012-10-17","Statement":[{allow}]}}"#);
        let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"ec2.amazonaws.com"}}]}"#;
        iam.create_role().role_name(name).assume_role_policy_document(trust).send().await.unwrap();
        let put = iam.put_role_policy().role_name(name).policy_name("p").policy_document(policy);
        put.send().await.unwrap();
        iam.create_instance_profile().instance_profile_name(name).send().await.unwrap();
        let add = iam.add_role_to_instance_profile().instance_profile_name(name).role_name(name);
        add.send().await.unwrap();
    }
}

/// The code that the call was refused with.
#[track_caller]
pub(crate) fn code<T, E: ProvideErrorMetadata, R>(said: Result<T, SdkError<E, R>>) -> String {
    let Err(err) = said else { panic!("it was not refused") };
    let code = err.as_service_error().and_then(|it| it.code());
    code.expect("an answer with a code").to_owned()
}
