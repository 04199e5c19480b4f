//! What can be made to go wrong with calls, each on an action of its own.

use std::time::Duration;

use rehearsal::{Fault, FaultKind};

use crate::aws::code;
use crate::{CLOUD, aws, block_on, block_on_alone};

fn once(kind: FaultKind, action: &str) {
    CLOUD.inject(Fault { kind, action: action.into(), times: 1 });
}

#[test]
fn calls_are_refused_lost_and_misled_as_ordered() {
    block_on(async {
        let aws = aws();
        once(FaultKind::Throttling, "DescribeVolumes");
        assert_eq!(code(aws.ec2.describe_volumes().send().await), "RequestLimitExceeded");
        once(FaultKind::InternalError, "DescribeVolumes");
        assert_eq!(code(aws.ec2.describe_volumes().send().await), "InternalFailure");
        once(FaultKind::AuthFailure, "DescribeVolumes");
        assert_eq!(code(aws.ec2.describe_volumes().send().await), "AuthFailure");
        // In the protocol of JSON as well.
        once(FaultKind::Throttling, "DescribeParameters");
        assert_eq!(code(aws.ssm.describe_parameters().send().await), "Throttling");
        once(FaultKind::Capacity, "CreateFleet");
        CLOUD.heal(FaultKind::Capacity);
        // Done, but nobody hears of it.
        once(FaultKind::DroppedAnswer, "CreateKeyPair");
        assert!(aws.ec2.create_key_pair().key_name("unheard").send().await.is_err());
        assert!(aws.ec2.describe_key_pairs().key_names("unheard").send().await.is_ok());
        assert!(aws.ec2.describe_volumes().send().await.is_ok());
        let log = std::fs::read_to_string(CLOUD.region().dir().join("calls.log")).unwrap();
        assert!(log.contains("ec2 CreateKeyPair unheard 200 DroppedAnswer"), "{log}");
    });
}

#[test]
fn what_was_just_made_is_unknown_for_a_while() {
    block_on_alone(async {
        let aws = aws();
        CLOUD.hide_new(Duration::from_secs(3600));
        let gateway = aws.ec2.create_internet_gateway().send().await.unwrap().internet_gateway.unwrap();
        let gateway = gateway.internet_gateway_id.unwrap();
        let ask = || aws.ec2.describe_internet_gateways();
        let refused = ask().internet_gateway_ids(&gateway).send().await;
        let listed = ask().send().await.unwrap();
        CLOUD.hide_new(Duration::ZERO);
        assert_eq!(code(refused), "InvalidInternetGatewayID.NotFound");
        assert!(listed.internet_gateways().iter().all(|it| it.internet_gateway_id() != Some(&gateway)));
        assert!(ask().internet_gateway_ids(&gateway).send().await.is_ok());
    });
}

#[test]
fn lists_can_be_old() {
    block_on_alone(async {
        let aws = aws();
        let count = async || aws.ec2.describe_dhcp_options().send().await.unwrap().dhcp_options().len();
        let before = count().await;
        CLOUD.freeze_lists(Duration::from_secs(3600));
        assert_eq!(count().await, before);
        let value =
            aws_sdk_ec2::types::NewDhcpConfiguration::builder().key("domain-name").values("lab").build();
        aws.ec2.create_dhcp_options().dhcp_configurations(value).send().await.unwrap();
        let frozen = count().await;
        CLOUD.freeze_lists(Duration::ZERO);
        assert_eq!((frozen, count().await), (before, before + 1));
    });
}
