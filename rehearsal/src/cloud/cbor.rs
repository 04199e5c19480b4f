//! CloudWatch for clients that speak CBOR: the same calls in JSON, which is what moto understands.

use anyhow::{Context, bail};
use aws_smithy_cbor::data::Type;
use aws_smithy_cbor::{Decoder, Encoder};
use aws_smithy_types::DateTime;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Response, Uri};
use http_body_util::{BodyExt, Full};
use serde_json::{Map, Number, Value};

const PATH: &str = "/service/GraniteServiceVersion20100801/operation/";
/// Nothing in CloudWatch is nested deeper.
const DEEPEST: u8 = 16;

/// The question in JSON, if it was asked in CBOR.
pub(super) fn understood(parts: &mut Parts, body: &Bytes) -> anyhow::Result<Option<Bytes>> {
    let Some(action) = parts.uri.path().strip_prefix(PATH) else { return Ok(None) };
    let target = HeaderValue::from_str(&format!("GraniteServiceVersion20100801.{action}"));
    parts.headers.insert("x-amz-target", target.context("reading the name of a call")?);
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.0"));
    parts.headers.remove(ACCEPT);
    parts.headers.remove("smithy-protocol");
    parts.uri = Uri::from_static("/");
    let question = match body.is_empty() {
        true => Value::Object(Map::new()),
        false => read(&mut Decoder::new(body), 0).context("reading CBOR")?,
    };
    Ok(Some(Bytes::from(question.to_string())))
}

/// The answer to such a question in CBOR.
pub(super) async fn answered(answer: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    let (mut parts, body) = answer.into_parts();
    let body = body.collect().await.map(|it| it.to_bytes()).unwrap_or_default();
    let said: Value = serde_json::from_slice(&body).unwrap_or_else(|_| Value::Object(Map::new()));
    let mut encoder = Encoder::new(Vec::new());
    write(&mut encoder, "", &said);
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/cbor"));
    parts.headers.insert("smithy-protocol", HeaderValue::from_static("rpc-v2-cbor"));
    Response::from_parts(parts, Full::new(Bytes::from(encoder.into_writer())))
}

fn read(from: &mut Decoder<'_>, depth: u8) -> anyhow::Result<Value> {
    if depth > DEEPEST {
        bail!("the call is nested deeper than {DEEPEST} levels");
    }
    Ok(match from.datatype()? {
        Type::Null | Type::Undefined => {
            from.skip()?;
            Value::Null
        }
        Type::Bool => from.boolean()?.into(),
        Type::F16 | Type::F32 | Type::F64 => number(from.double()?),
        Type::U8 | Type::U16 | Type::U32 | Type::U64 | Type::I8 | Type::I16 | Type::I32 | Type::I64 => {
            from.long()?.into()
        }
        Type::String | Type::StringIndef => from.string()?.into(),
        // Seconds since 1970 are the one tag that calls have.
        Type::Tag => number(from.timestamp()?.as_secs_f64()),
        Type::Array | Type::ArrayIndef => {
            let mut left = from.list()?;
            let mut all = Vec::new();
            while goes_on(from, &mut left)? {
                all.push(read(from, depth + 1)?);
            }
            Value::Array(all)
        }
        Type::Map | Type::MapIndef => {
            let mut left = from.map()?;
            let mut all = Map::new();
            while goes_on(from, &mut left)? {
                let key = from.string()?;
                let value = read(from, depth + 1)?;
                all.insert(key, value);
            }
            Value::Object(all)
        }
        other => bail!("no call has a value of type {other:?}"),
    })
}

/// Whether another element follows: as many as were announced, or until the end is marked.
fn goes_on(from: &mut Decoder<'_>, left: &mut Option<u64>) -> anyhow::Result<bool> {
    if let Some(count) = left {
        let more = *count > 0;
        *count = count.saturating_sub(1);
        return Ok(more);
    }
    let more = from.datatype()? != Type::Break;
    if !more {
        from.set_position(from.position() + 1);
    }
    Ok(more)
}

fn number(it: f64) -> Value {
    Number::from_f64(it).map_or(Value::Null, Value::Number)
}

/// What is a time shows in the name alone.
fn write(to: &mut Encoder, name: &str, it: &Value) {
    match it {
        Value::Null => {
            to.null();
        }
        Value::Bool(it) => {
            to.boolean(*it);
        }
        Value::String(it) => {
            to.str(it);
        }
        Value::Number(it) => {
            let is_time = name.ends_with("Timestamp") || name == "Timestamps";
            match (it.as_i64(), it.as_f64()) {
                (_, Some(seconds)) if is_time => {
                    to.timestamp(&DateTime::from_secs_f64(seconds));
                }
                (Some(whole), _) => {
                    to.long(whole);
                }
                (None, part) => {
                    to.double(part.unwrap_or_default());
                }
            }
        }
        Value::Array(all) => {
            to.array(all.len());
            all.iter().for_each(|it| write(to, name, it));
        }
        Value::Object(all) => {
            to.map(all.len());
            for (key, it) in all {
                to.str(key);
                write(to, key, it);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let said = serde_json::json!({
            "Datapoints": [{ "Maximum": 5.5, "Timestamp": 1795395600.5, "Unit": "Percent" }],
            "Enabled": true, "Period": 60, "None": null,
        });
        let mut encoder = Encoder::new(Vec::new());
        write(&mut encoder, "", &said);
        assert_eq!(read(&mut Decoder::new(&encoder.into_writer()), 0).unwrap(), said);
    }

    #[test]
    fn lists_that_announce_no_length_end_where_they_say() {
        let mut encoder = Encoder::new(Vec::new());
        encoder
            .begin_map()
            .str("Values")
            .begin_array()
            .double(1.0)
            .double(2.0)
            .end()
            .str("Last")
            .long(3)
            .end();
        let read = read(&mut Decoder::new(&encoder.into_writer()), 0).unwrap();
        assert_eq!(read, serde_json::json!({ "Values": [1.0, 2.0], "Last": 3 }));
    }

    #[test]
    fn other_calls_are_left_as_they_are() {
        let request = http::Request::builder().uri("/").body(()).unwrap();
        let mut parts = request.into_parts().0;
        assert_eq!(understood(&mut parts, &Bytes::new()).unwrap(), None);
        let request = http::Request::builder().uri(format!("{PATH}DescribeAlarms")).body(()).unwrap();
        let mut parts = request.into_parts().0;
        assert_eq!(understood(&mut parts, &Bytes::new()).unwrap(), Some(Bytes::from_static(b"{}")));
        assert_eq!(parts.headers["x-amz-target"], "GraniteServiceVersion20100801.DescribeAlarms");
    }
}
