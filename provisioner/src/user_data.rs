//! temp
use crate::engine::Value;
pub struct Agent<'a> {
    pub stack: &'a str,
    pub region: &'a str,
    pub bucket: &'a str,
    pub sha256: Value,
    pub endpoint: Option<&'a str>,
}
pub fn script(a: &Agent<'_>) -> Value {
    Value::Join(vec![
        "#!/bin/sh\n# ".into(),
        a.stack.into(),
        a.region.into(),
        a.bucket.into(),
        a.sha256.clone(),
        a.endpoint.unwrap_or("").into(),
    ])
}
