//! Run Command does on the host what it says, within its limits, and only where the host is managed.

use aws_sdk_ssm::operation::get_command_invocation::GetCommandInvocationOutput;
use aws_sdk_ssm::types::Target;

use crate::aws::{Aws, code};
use crate::{CLOUD, aws, block_on, until};

/// What Amazon's agent needs, as far as the cloud looks at it.
const MAY: &str = r#"["ssm:UpdateInstanceInformation","ssmmessages:*"]"#;

async fn send(aws: &Aws, instance: &str, script: &str) -> String {
    let send = aws.ssm.send_command().document_name("AWS-RunShellScript").instance_ids(instance);
    let sent = send.parameters("commands", vec![script.to_owned()]).send().await.unwrap();
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

#[test]
fn commands_run_on_managed_hosts_and_nowhere_else() {
    block_on(async {
        let aws = aws();
        aws.profile("managed", MAY).await;
        aws.profile("unmanaged", r#""s3:GetObject""#).await;
        let vpc = aws.vpc("10.1.0.0/16").await;
        let subnet = aws.subnet(&vpc, "10.1.1.0/24", "ap-northeast-2a").await;
        let host = aws.host(&subnet, "managed-host", Some("managed")).await;
        let other = aws.host(&subnet, "unmanaged-host", Some("unmanaged")).await;
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

        // Cancelled, with everything that it started; too slow; and never delivered.
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

        // Whom nobody manages, what nobody knows.
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
