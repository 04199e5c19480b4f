//! The text that a new host runs once: `systemd/user-data.sh` with its few values filled in.

use anyhow::bail;

use crate::engine::Value;

/// Which agent a host fetches, from where, and whom it serves.
pub struct Agent<'a> {
    pub stack: &'a str,
    pub region: &'a str,
    /// The artefact bucket, which holds `<sha256>/lampd`.
    pub bucket: &'a str,
    /// The program's SHA-256 sum in hexadecimal; may be known only once it is stored.
    pub sha256: Value,
    /// An emulator's address.
    pub endpoint: Option<&'a str>,
    /// Certificates (PEM) to trust at that endpoint.
    pub ca: Option<&'a str>,
}

const TEMPLATE: &str = include_str!("../../systemd/user-data.sh");

/// How much EC2 takes, before it is encoded.
const LONGEST: usize = 16 * 1024;
/// Length of a SHA-256 sum in hexadecimal, which may not be known yet.
const SUM: usize = 64;

/// The script: a quarter of what EC2 takes, plus the certificates.
///
/// # Errors
/// The certificates are too many.
pub fn script(agent: &Agent<'_>) -> anyhow::Result<Value> {
    let text = TEMPLATE
        .replace("@STACK@", &quoted(agent.stack))
        .replace("@REGION@", &quoted(agent.region))
        .replace("@BUCKET@", &quoted(agent.bucket))
        .replace("@ENDPOINT@", &quoted(agent.endpoint.unwrap_or_default()))
        .replace("@CA@", &quoted(agent.ca.unwrap_or_default().trim_end()));
    let length = text.len() + SUM;
    if LONGEST < length {
        bail!(
            "the hosts' first script would be {length} bytes long, of which the certificates of AWS_CA_BUNDLE are {}, and EC2 takes {LONGEST}: \
             name a file there that holds the endpoint's own CA and no other",
            agent.ca.unwrap_or_default().len()
        );
    }
    Ok(match text.split_once("@SHA256@") {
        Some((before, after)) => Value::Join(vec![before.into(), agent.sha256.clone(), after.into()]),
        None => text.into(),
    })
}

/// For a place between single quotes.
fn quoted(text: &str) -> String {
    text.replace('\'', r"'\''")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(it: &Value) -> String {
        match it {
            Value::Text(text) => text.clone(),
            Value::Of(..) => "later".into(),
            Value::Join(parts) => parts.iter().map(text).collect(),
        }
    }

    #[test]
    fn every_value_is_filled_in_and_none_can_leave_its_quotes() {
        let agent = Agent {
            stack: "lab-vpc",
            region: "ap-northeast-2",
            bucket: "artefacts",
            sha256: "ab12".into(),
            endpoint: Some("http://10.0.0.1/'; reboot; '"),
            ca: None,
        };
        let script = text(&script(&agent).unwrap());
        assert!(script.contains("\nstack='lab-vpc'\n"));
        assert!(script.contains("\nsha256='ab12'\n"));
        assert!(script.contains(r"endpoint='http://10.0.0.1/'\''; reboot; '\'''"));
        for left in ["@STACK@", "@REGION@", "@BUCKET@", "@SHA256@", "@ENDPOINT@", "@CA@"] {
            assert!(!script.contains(left), "{left}");
        }
        assert!(script.len() < 8 * 1024);
    }

    #[test]
    fn more_certificates_than_a_script_can_carry_are_refused_with_the_way_out() {
        let many = "x".repeat(16 * 1024);
        let agent = Agent {
            stack: "lab-vpc",
            region: "ap-northeast-2",
            bucket: "artefacts",
            sha256: "ab12".into(),
            endpoint: Some("https://127.0.0.1:4566"),
            ca: Some(&many),
        };
        let why = script(&agent).unwrap_err().to_string();
        assert!(why.contains("16384") && why.contains("endpoint's own CA"), "{why}");
    }
}
