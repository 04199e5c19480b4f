//! Ways in which AWS, or the network before it, lets a caller down, in the wire format of each service.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use tokio::sync::watch;

use crate::call::Call;

/// What happens to a call instead of an ordinary answer.
#[derive(Clone, Debug)]
pub enum Fault {
    /// AWS's own words for "slower": each service has another code.
    Throttled,
    /// The caller may not do this.
    Denied,
    /// Any other error of the service.
    Error { status: u16, code: &'static str, message: String },
    /// A failure that comes from the machinery: a status and a page that no SDK can parse.
    Broken(u16),
    /// The connection goes before the call arrives.
    Dropped,
    /// The call takes effect, but the connection goes before the answer.
    AnswerLost,
    /// The call takes effect after this long.
    Late(Duration),
    /// The call takes effect when the other end is dropped; see [`crate::Lab::hold`].
    Held(watch::Receiver<()>),
}

impl Fault {
    /// A refusal with status 400.
    pub fn error(code: &'static str, message: &str) -> Fault {
        Fault::Error { status: 400, code, message: message.to_owned() }
    }

    /// `DependencyViolation`, as EC2 says it of something that is still held.
    pub fn in_use(what: &str) -> Fault {
        Fault::error("DependencyViolation", &format!("resource {what} has a dependent object"))
    }

    /// What an instance profile that is a second old answers to those who name it.
    pub fn profile_not_yet_visible() -> Fault {
        Fault::error(
            "InvalidParameterValue",
            "Value (lab) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name",
        )
    }

    /// What ReleaseAddress says while a NAT gateway still holds the address: not a matter of permissions.
    pub fn address_still_held() -> Fault {
        Fault::error("AuthFailure", "You do not have permission to access the specified resource.")
    }

    /// The answer in the service's own format; `None` where it is not an answer that replaces moto's.
    pub fn answer(&self, call: &Call) -> Option<Response<Full<Bytes>>> {
        match self {
            Fault::Throttled => Some(throttled(call)),
            Fault::Denied => Some(denied(call)),
            Fault::Error { status, code, message } => Some(error(call, *status, code, message)),
            Fault::Broken(status) => Some(response(*status, "text/html", "<html>it broke</html>".to_owned())),
            Fault::Dropped | Fault::AnswerLost | Fault::Late(_) | Fault::Held(_) => None,
        }
    }
}

fn throttled(call: &Call) -> Response<Full<Bytes>> {
    let (status, code) = match call.service.as_str() {
        "ec2" => (503, "RequestLimitExceeded"),
        "s3" => (503, "SlowDown"),
        "ssm" | "logs" => (400, "ThrottlingException"),
        "elasticfilesystem" => (429, "ThrottlingException"),
        _ => (400, "Throttling"),
    };
    error(call, status, code, "Rate exceeded")
}

fn denied(call: &Call) -> Response<Full<Bytes>> {
    let (status, code) = match call.service.as_str() {
        "ec2" => (403, "UnauthorizedOperation"),
        "ssm" | "logs" | "elasticfilesystem" => (400, "AccessDeniedException"),
        _ => (403, "AccessDenied"),
    };
    let name = call.name();
    let message = format!(
        "User: arn:aws:iam::123456789012:user/operator is not authorized to perform: {name} because no \
         identity-based policy allows the {name} action"
    );
    error(call, status, code, &message)
}

/// An error as the service's protocol writes it.
pub fn error(call: &Call, status: u16, code: &str, message: &str) -> Response<Full<Bytes>> {
    let inner = format!("<Code>{code}</Code><Message>{message}</Message>");
    match call.service.as_str() {
        "ec2" => {
            let body = format!(
                "<Response><Errors><Error>{inner}</Error></Errors><RequestID>r</RequestID></Response>"
            );
            response(status, "text/xml", body)
        }
        "s3" => {
            response(status, "application/xml", format!("<Error>{inner}<RequestId>r</RequestId></Error>"))
        }
        "ssm" | "logs" => {
            let body = serde_json::json!({ "__type": code, "message": message }).to_string();
            response(status, "application/x-amz-json-1.1", body)
        }
        "elasticfilesystem" => {
            let body = serde_json::json!({ "ErrorCode": code, "Message": message }).to_string();
            let mut it = response(status, "application/json", body);
            it.headers_mut().insert("x-amzn-errortype", code.parse().expect("a code is a header value"));
            it
        }
        _ => {
            let body = format!(
                "<ErrorResponse><Error><Type>Sender</Type>{inner}</Error><RequestId>r</RequestId></ErrorResponse>"
            );
            response(status, "text/xml", body)
        }
    }
}

fn response(status: u16, content: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut it = Response::new(Full::new(Bytes::from(body)));
    *it.status_mut() = StatusCode::from_u16(status).expect("a status");
    it.headers_mut().insert("content-type", http::HeaderValue::from_static(content));
    it
}
