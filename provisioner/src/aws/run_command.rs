//! A command on a host through Systems Manager: no port, no key, and the answer comes back.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Aws, Error, Result};

/// What the document runs has to be shorter than this; AWS wants thirty seconds at least for the way there.
const DELIVERY: Duration = Duration::from_secs(30);
const EXECUTION: Duration = Duration::from_secs(90);
/// Beyond both: AWS itself says when it has given up.
const GRACE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(500);

/// What a command said and how it ended.
#[derive(Clone, Debug)]
pub struct Ran {
    /// AWS's word, such as `Success` or `DeliveryTimedOut`.
    pub status: String,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn is_success(&self) -> bool {
        self.status == "Success"
    }
}

/// Runs it as root and waits for its end.
///
/// # Errors
/// What AWS answered; [`Error::is_unmanaged`] if Systems Manager does not know the host.
pub async fn run_command(aws: &Aws, instance: &str, script: &str, why: &str) -> Result<Ran> {
    let send = aws.ssm.send_command().document_name("AWS-RunShellScript").instance_ids(instance);
    let send = send.timeout_seconds(i32::try_from(DELIVERY.as_secs()).unwrap_or(30)).comment(why);
    let send = send.parameters("executionTimeout", vec![EXECUTION.as_secs().to_string()]);
    let sent = send.parameters("commands", vec![script.to_owned()]).send().await?;
    let id = sent.command.and_then(|it| it.command_id).unwrap_or_default();
    let deadline = Instant::now() + DELIVERY + EXECUTION + GRACE;
    loop {
        let look = aws.ssm.get_command_invocation().command_id(&id).instance_id(instance).send().await;
        match look.map_err(Error::from) {
            Ok(it) => {
                let status =
                    it.status_details.or(it.status.map(|it| it.as_str().to_owned())).unwrap_or_default();
                let runs = ["Pending", "InProgress", "In Progress", "Delayed", "Cancelling"]
                    .contains(&status.as_str());
                if !runs {
                    let text = |it: Option<String>| it.unwrap_or_default();
                    let (stdout, stderr) = (it.standard_output_content, it.standard_error_content);
                    return Ok(Ran { status, stdout: text(stdout), stderr: text(stderr) });
                }
            }
            // Just sent, and not known everywhere yet.
            Err(err) if err.is_missing() => (),
            Err(err) => return Err(err),
        }
        if deadline < Instant::now() {
            return Err(Error::refused(format!(
                "command {id} on {instance} has not ended in time; look at it with `aws ssm get-command-invocation`"
            )));
        }
        sleep(PAUSE).await;
    }
}
