//! The clients of an operator, and what most tests begin with.

use aws_config::{BehaviorVersion, Region, retry::RetryConfig};
use aws_sdk_ec2::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::types::IamInstanceProfileSpecification;

pub(crate) struct Aws {
    pub(crate) ec2: aws_sdk_ec2::Client,
    pub(crate) cloudfront: aws_sdk_cloudfront::Client,
    pub(crate) efs: aws_sdk_efs::Client,
    pub(crate) elb: aws_sdk_elasticloadbalancingv2::Client,
    pub(crate) iam: aws_sdk_iam::Client,
    pub(crate) logs: aws_sdk_cloudwatchlogs::Client,
    pub(crate) rds: aws_sdk_rds::Client,
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
            cloudfront: aws_sdk_cloudfront::Client::new(&sdk),
            efs: aws_sdk_efs::Client::new(&sdk),
            elb: aws_sdk_elasticloadbalancingv2::Client::new(&sdk),
            iam: aws_sdk_iam::Client::new(&sdk),
            logs: aws_sdk_cloudwatchlogs::Client::new(&sdk),
            rds: aws_sdk_rds::Client::new(&sdk),
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

    pub(crate) async fn group(&self, vpc: &str, name: &str) -> String {
        let make = self.ec2.create_security_group().vpc_id(vpc).group_name(name).description(name);
        make.send().await.unwrap().group_id.unwrap()
    }

    /// A NAT gateway and its address's allocation.
    pub(crate) async fn nat_gateway(&self, subnet: &str) -> (String, String) {
        let address = self.ec2.allocate_address().send().await.unwrap().allocation_id.unwrap();
        let make = self.ec2.create_nat_gateway().subnet_id(subnet).allocation_id(&address);
        (make.send().await.unwrap().nat_gateway.unwrap().nat_gateway_id.unwrap(), address)
    }

    pub(crate) async fn nat_state(&self, id: &str) -> String {
        let said = self.ec2.describe_nat_gateways().nat_gateway_ids(id).send().await.unwrap();
        said.nat_gateways()[0].state().unwrap().as_str().to_owned()
    }

    /// A host in that subnet, with that profile and name.
    pub(crate) async fn host(&self, subnet: &str, name: &str, profile: Option<&str>) -> String {
        use aws_sdk_ec2::types::{ResourceType, Tag, TagSpecification};
        let tag = Tag::builder().key("Name").value(name).build();
        let tags = TagSpecification::builder().resource_type(ResourceType::Instance).tags(tag).build();
        let profile = profile.map(|it| IamInstanceProfileSpecification::builder().name(it).build());
        let run = self.ec2.run_instances().image_id("ami-0870825cefcaafcc8").min_count(1).max_count(1);
        let run = run.subnet_id(subnet).tag_specifications(tags).set_iam_instance_profile(profile);
        loop {
            match run.clone().send().await {
                Ok(it) => return it.instances()[0].instance_id().unwrap().to_owned(),
                // A profile that was just made.
                Err(err) if err.message().is_some_and(|it| it.contains("IAM Instance Profile")) => {
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
                Err(err) => panic!("{name} was not launched: {err:?}"),
            }
        }
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
    code.unwrap_or("an answer without a code").to_owned()
}
