//! An error as AWS spells it, in each of its protocols.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde_json::json;

use super::call::{Call, Protocol};
use super::xml::escaped;

/// Why the cloud does not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    /// AWS's own.
    pub(super) code: String,
    pub(super) words: String,
}

impl Refusal {
    pub(super) fn new(code: &str, words: impl Into<String>) -> Refusal {
        Refusal { status: 400, code: code.to_owned(), words: words.into() }
    }

    pub(super) fn with_status(self, status: u16) -> Refusal {
        Refusal { status, ..self }
    }

    /// As this caller reads it.
    pub(super) fn answer(&self, call: &Call) -> Response<Full<Bytes>> {
        let (code, words) = (escaped(&self.code), escaped(&self.words));
        let (kind, body) = match call.protocol {
            Protocol::Json => {
                // EFS names the code in a field of its own.
                let body = json!({ "__type": self.code, "ErrorCode": self.code, "Message": self.words, "message": self.words });
                ("application/x-amz-json-1.1", body.to_string())
            }
            Protocol::Ec2 => (
                "text/xml",
                format!(
                    "<Response><Errors><Error><Code>{code}</Code><Message>{words}</Message></Error></Errors>\
                     <RequestID>front-door</RequestID></Response>"
                ),
            ),
            Protocol::S3 => (
                "application/xml",
                format!(
                    "<Error><Code>{code}</Code><Message>{words}</Message><RequestId>front-door</RequestId></Error>"
                ),
            ),
            Protocol::Query => (
                "text/xml",
                format!(
                    "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{words}</Message></Error>\
                     <RequestId>front-door</RequestId></ErrorResponse>"
                ),
            ),
        };
        let mut answer = Response::new(Full::new(Bytes::from(body)));
        *answer.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        if let (Protocol::Json, Ok(code)) = (call.protocol, HeaderValue::from_str(&self.code)) {
            answer.headers_mut().insert("x-amzn-errortype", code);
        }
        answer
    }
}
