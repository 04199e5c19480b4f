//! From the SDK's errors, one type for each call, to ours.

use std::{any, error};

use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::{display::DisplayErrorContext, metadata::ProvideErrorMetadata};

use super::{Error, error::UNREACHABLE};

impl<E> From<SdkError<E, HttpResponse>> for Error
where
    E: ProvideErrorMetadata + error::Error + Send + Sync + 'static,
{
    fn from(err: SdkError<E, HttpResponse>) -> Self {
        let status = err.raw_response().map_or(0, |it| it.status().as_u16());
        let call = call_of(any::type_name::<E>());
        match &err {
            SdkError::ServiceError(it) => {
                let meta = it.err().meta();
                // What HEAD gets has no body, and so no code.
                let code = meta.code().unwrap_or(match status {
                    404 => "NotFound",
                    403 => "AccessDenied",
                    _ => "Unknown",
                });
                let message = meta.message().unwrap_or_default();
                Error { call, code: code.into(), message: message.into(), status }
            }
            SdkError::ConstructionFailure(_) => Error {
                call,
                code: "InvalidRequest".into(),
                message: DisplayErrorContext(&err).to_string(),
                status,
            },
            _ => {
                let message = root_cause(&err);
                match is_distrust(&err) {
                    true => Error { call, code: UNTRUSTED.into(), message: message + WHOM_TO_TRUST, status },
                    false => Error { call, code: UNREACHABLE.into(), message, status },
                }
            }
        }
    }
}

/// Required fields that were left out of a request: a mistake of ours, told as an error rather than a panic.
impl From<aws_smithy_types::error::operation::BuildError> for Error {
    fn from(err: aws_smithy_types::error::operation::BuildError) -> Self {
        Error::refused(format!("incomplete request: {err}"))
    }
}

/// The code of an endpoint whose certificate nobody vouches for: nothing was sent to it.
const UNTRUSTED: &str = "Untrusted";
const WHOM_TO_TRUST: &str = "; if the endpoint has an authority of its own, name the file with its certificate (PEM) in AWS_CA_BUNDLE";

/// Whether a connection was not made because of the certificate that the endpoint showed.
pub(super) fn is_distrust(err: &dyn error::Error) -> bool {
    root_cause(err).contains("certificate")
}

fn root_cause(err: &dyn error::Error) -> String {
    let mut last = err;
    while let Some(next) = last.source() {
        last = next;
    }
    last.to_string()
}

/// `ec2:CreateVpc` from `aws_sdk_ec2::operation::create_vpc::CreateVpcError`.
fn call_of(type_name: &str) -> String {
    let service = type_name.trim_start_matches("aws_sdk_").split("::").next().unwrap_or_default();
    let operation = type_name.rsplit("::").next().unwrap_or_default().trim_end_matches("Error");
    format!("{service}:{operation}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_named_after_its_error_type() {
        assert_eq!(call_of("aws_sdk_ec2::operation::create_vpc::CreateVpcError"), "ec2:CreateVpc");
    }
}
