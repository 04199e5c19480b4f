//! Run Command does on the host what it says, within its limits, and only where the host is managed.

use aws_sdk_ssm::operation::get_command_invocation::GetCommandInvocationOutput;
use aws_sdk_ssm::operation::send_command::builders::SendCommandFluentBuilder;
use aws_sdk_ssm::types::{Command, PingStatus, Target};

use crate::aws::{Aws, code};
use crate::{CLOUD, aws, block_on, until};

/// What Amazon's agent needs, as far as the cloud looks at it.
const MAY: &str = r#"["ssm:UpdateInstanceInformation","ssmmessages:*"]"#;

fn order(aws: &Aws, script: &str) -> SendCommandFluentBuilder {
    let send = aws.ssm.send_command().document_name("AWS-RunShellScript");
    send.parameters("commands", vec![script.to_owned()])
}

async fn send(aws: &Aws, instance: &str, script: &str) -> String {
    let sent = order(aws, script).instance_ids(instance).send().await.unwrap();
    sent.command.unwrap().command_id.unwrap()
}

async fn look(aws: &Aws, command: &str, instance: &str) -> GetCommandInvocationOutput {
    aws.ssm.get_command_invocation().command_id(command).instance_id(instance).send().await.unwrap()
}

async fn end(aws: &Aws, command: &str, instance: &str) -> GetCommandInvocationOutput {
    until("the command has ended", async || {
        let it = look(aws, command, instance).await;
        (!["Pending", "InProgress"].contains(&it.status().unwrap().as_str())).then_some(it)
    })
    .await
}

async fn whole(aws: &Aws, command: &str) -> Command {
    aws.ssm.list_commands().command_id(command).send().await.unwrap().commands()[0].clone()
}

/// What became of it on each host, in the order of the words.
async fn details(aws: &Aws, command: &str) -> Vec<String> {
    let said = aws.ssm.list_command_invocations().command_id(command).send().await.unwrap();
    let all = said.command_invocations().iter();
    let mut all: Vec<String> = all.map(|it| it.status_details().unwrap().to_owned()).collect();
    all.sort();
    all
}

async fn comes_to(aws: &Aws, command: &str, want: [&str; 2]) {
    let what = format!("{want:?} is what became of it");
    until(&what, async || (details(aws, command).await == want).then_some(())).await;
}

async fn ping(aws: &Aws, instance: &str) -> Option<PingStatus> {
    let said = aws.ssm.describe_instance_information().send().await.unwrap();
    let all = said.instance_information_list();
    all.iter().find(|it| it.instance_id() == Some(instance)).and_then(|it| it.ping_status().cloned())
}

#[test]
fn commands_run_on_managed_hosts_and_nowhere_else() {
    block_on(async {
        let aws = aws();
        aws.profile("managed", MAY).await;
        aws.profile("unmanaged", r#""s3:GetObject""#).await;
        let vpc = aws.vpc("10.1.0.0/16").await;
        let subnet = aws.subnet(&vpc, "10.1.1.0/24", "ap-northeast-2a").await;
        let host = aws.host(&subnet, "managed-host", Some("managed")).await;
        let second = aws.host(&subnet, "second-host", Some("managed")).await;
        let other = aws.host(&subnet, "unmanaged-host", Some("unmanaged")).await;
        let is_online = async |it: &str| (ping(&aws, it).await == Some(PingStatus::Online)).then_some(());
        until("the second host is online", async || is_online(&second).await).await;
        until("the host is online", async || {
            let said = aws.ssm.describe_instance_information().send().await.unwrap();
            let all = said.instance_information_list();
            all.iter().any(|it| it.instance_id() == Some(&host)).then(|| {
                assert!(all.iter().all(|it| it.instance_id() != Some(&other)), "{all:?}");
            })
        })
        .await;

        // As root, from a file, with output and errors apart.
        let id = send(&aws, &host, "id -u\nhostname >&2\necho hello > /root/note").await;
        let it = end(&aws, &id, &host).await;
        assert_eq!((it.status_details(), it.response_code()), (Some("Success"), 0));
        assert_eq!(it.standard_output_content(), Some("0\n"));
        assert!(!it.standard_error_content().unwrap().trim().is_empty());
        assert_eq!(CLOUD.instance(&host).unwrap().read("/root/note").unwrap(), "hello\n");

        // Failure, and more output than is kept.
        let id = send(&aws, &host, "yes | head -c 100000; exit 3").await;
        let it = end(&aws, &id, &host).await;
        assert_eq!((it.status_details(), it.response_code()), (Some("Failed"), 3));
        assert_eq!(it.standard_output_content().unwrap().len(), 24_000);
        assert!(it.standard_error_content().unwrap().ends_with("exit status 3"));

        // By tag; lists know it.
        let target =
            Target::builder().key("tag:Name").values("managed-host").values("unmanaged-host").build();
        let sent = aws.ssm.send_command().document_name("AWS-RunShellScript").targets(target);
        let sent = sent.parameters("commands", vec!["true".into()]).send().await.unwrap().command.unwrap();
        assert_eq!(sent.target_count(), 1);
        let tagged = sent.command_id.unwrap();
        end(&aws, &tagged, &host).await;
        let listed = aws.ssm.list_commands().send().await.unwrap();
        assert_eq!(listed.commands()[0].command_id(), Some(tagged.as_str()));
        let listed =
            aws.ssm.list_command_invocations().command_id(&tagged).details(true).send().await.unwrap();
        assert_eq!(listed.command_invocations()[0].command_plugins().len(), 1);

        // On so many hosts at once as it may; the others wait.
        let both = |script: &str| order(&aws, script).instance_ids(&host).instance_ids(&second);
        let sent = async |it: SendCommandFluentBuilder| it.send().await.unwrap().command.unwrap();
        let wait = "until test -e /root/go; do sleep 0.1; done";
        let it = sent(both(wait)).await;
        assert_eq!((it.max_concurrency(), it.max_errors()), (Some("50"), Some("0")));
        let at_once = it.command_id.unwrap();
        comes_to(&aws, &at_once, ["InProgress", "InProgress"]).await;
        let it = sent(both(wait).max_concurrency("50%").max_errors("10%")).await;
        assert_eq!((it.max_concurrency(), it.max_errors()), (Some("50%"), Some("10%")));
        let in_turn = it.command_id.unwrap();
        comes_to(&aws, &in_turn, ["InProgress", "Pending"]).await;
        let hosts = [&host, &second].map(|it| CLOUD.instance(it).unwrap());
        hosts.iter().for_each(|it| it.put("/root/go", b"", 0o600).unwrap());
        comes_to(&aws, &at_once, ["Success", "Success"]).await;
        comes_to(&aws, &in_turn, ["Success", "Success"]).await;
        let times = async |it: &str| {
            let it = look(&aws, &in_turn, it).await;
            let time = |it: Option<&str>| it.unwrap().parse::<jiff::Timestamp>().unwrap();
            (time(it.execution_start_date_time()), time(it.execution_end_date_time()))
        };
        let mut turns = [times(&host).await, times(&second).await];
        turns.sort();
        assert!(turns[0].1 <= turns[1].0, "{turns:?}");

        // After one error too many the rest is spared; what it may miss does not fail it.
        let spared = sent(both("exit 1").max_concurrency("1")).await.command_id.unwrap();
        comes_to(&aws, &spared, ["Failed", "Terminated"]).await;
        let it = whole(&aws, &spared).await;
        assert_eq!((it.status().unwrap().as_str(), it.status_details()), ("Failed", Some("Failed")));
        assert_eq!((it.completed_count(), it.error_count()), (2, 1));
        let fails_here = format!("test $AWS_SSM_INSTANCE_ID != {host}");
        let missed = sent(both(&fails_here).max_concurrency("1").max_errors("50%")).await.command_id.unwrap();
        comes_to(&aws, &missed, ["Failed", "Success"]).await;
        assert_eq!(whole(&aws, &missed).await.status_details(), Some("Incomplete"));
        for it in [both("true").max_concurrency("0"), both("true").max_errors("101%")] {
            assert_eq!(code(it.send().await), "ValidationException");
        }

        // Whoever has no cable gets it later, or never.
        CLOUD.instance(&second).unwrap().link(false).unwrap();
        assert_eq!(ping(&aws, &second).await, Some(PingStatus::ConnectionLost));
        let late = send(&aws, &second, "true").await;
        let never = sent(order(&aws, "true").instance_ids(&second).timeout_seconds(30)).await;
        let never = never.command_id.unwrap();
        assert_eq!(end(&aws, &never, &second).await.status_details(), Some("DeliveryTimedOut"));
        assert_eq!(whole(&aws, &never).await.delivery_timed_out_count(), 1);
        assert_eq!(look(&aws, &late, &second).await.status_details(), Some("Pending"));
        CLOUD.instance(&second).unwrap().link(true).unwrap();
        assert_eq!(end(&aws, &late, &second).await.status_details(), Some("Success"));

        // Cancelled, with everything that it started; and too slow.
        let id = send(&aws, &host, "sleep 4321 & sleep 4321").await;
        until("it runs", async || {
            (look(&aws, &id, &host).await.status().unwrap().as_str() == "InProgress").then_some(())
        })
        .await;
        aws.ssm.cancel_command().command_id(&id).send().await.unwrap();
        assert_eq!(end(&aws, &id, &host).await.status_details(), Some("Cancelled"));
        let sleepers = CLOUD.instance(&host).unwrap().exec(&["pgrep", "-f", "sleep 4321"]).unwrap();
        assert_eq!(sleepers.stdout, "");
        let send_slow = aws.ssm.send_command().document_name("AWS-RunShellScript").instance_ids(&host);
        let send_slow = send_slow.parameters("commands", vec!["sleep 1000".into()]);
        let sent = send_slow.parameters("executionTimeout", vec!["1".into()]).send().await.unwrap();
        let id = sent.command.unwrap().command_id.unwrap();
        assert_eq!(end(&aws, &id, &host).await.status_details(), Some("ExecutionTimedOut"));

        // Whom nobody manages or who is off, what nobody knows.
        aws.ec2.stop_instances().instance_ids(&second).send().await.unwrap();
        until("it is off", async || ping(&aws, &second).await.is_none().then_some(())).await;
        assert_eq!(code(order(&aws, "true").instance_ids(&second).send().await), "InvalidInstanceId");
        let refused = aws.ssm.send_command().document_name("AWS-RunShellScript").instance_ids(&other);
        assert_eq!(
            code(refused.parameters("commands", vec!["true".into()]).send().await),
            "InvalidInstanceId"
        );
        let refused = aws.ssm.send_command().document_name("AWS-RunShellScript").instance_ids("i-0123456789");
        assert_eq!(
            code(refused.parameters("commands", vec!["true".into()]).send().await),
            "InvalidInstanceId"
        );
        let refused = aws.ssm.send_command().document_name("No-Such").instance_ids(&host);
        assert_eq!(code(refused.send().await), "InvalidDocument");
        let refused = aws.ssm.get_command_invocation().command_id(&tagged).instance_id(&other);
        assert_eq!(code(refused.send().await), "InvocationDoesNotExist");
        let refused = aws.ssm.cancel_command().command_id("01234567-0123-0123-0123-0123456789ab");
        assert_eq!(code(refused.send().await), "InvalidCommandId");
    });
}
