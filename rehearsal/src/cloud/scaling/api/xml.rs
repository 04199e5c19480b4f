//! Answers in the form of the query protocol.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::cloud::xml::escaped;

const NAMESPACE: &str = "http://autoscaling.amazonaws.com/doc/2011-01-01/";

/// What an answer holds.
#[derive(Debug, Default)]
pub(super) struct Xml(String);

impl Xml {
    pub(super) fn new() -> Xml {
        Xml::default()
    }

    pub(super) fn empty_list(name: &str) -> Xml {
        Xml::new().list(name, std::iter::empty())
    }

    pub(super) fn text(mut self, name: &str, value: impl AsRef<str>) -> Xml {
        let _ = write!(self.0, "<{name}>{}</{name}>", escaped(value.as_ref()));
        self
    }

    pub(super) fn number(mut self, name: &str, value: impl std::fmt::Display) -> Xml {
        let _ = write!(self.0, "<{name}>{value}</{name}>");
        self
    }

    pub(super) fn time(self, name: &str, value: Timestamp) -> Xml {
        self.text(name, value.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())
    }

    /// Nothing if there is none.
    pub(super) fn optional(self, name: &str, value: Option<&str>) -> Xml {
        match value {
            Some(value) => self.text(name, value),
            None => self,
        }
    }

    pub(super) fn inner(mut self, name: &str, inner: Xml) -> Xml {
        let _ = write!(self.0, "<{name}>{}</{name}>", inner.0);
        self
    }

    pub(super) fn list(mut self, name: &str, members: impl IntoIterator<Item = Xml>) -> Xml {
        let members: String = members.into_iter().map(|it| format!("<member>{}</member>", it.0)).collect();
        let _ = write!(self.0, "<{name}>{members}</{name}>");
        self
    }

    pub(super) fn texts<'a>(self, name: &str, members: impl IntoIterator<Item = &'a String>) -> Xml {
        self.list(name, members.into_iter().map(|it| Xml(escaped(it))))
    }

    /// The whole answer to an action.
    pub(super) fn document(self, action: &str) -> String {
        format!(
            "<{action}Response xmlns=\"{NAMESPACE}\"><{action}Result>{}</{action}Result><ResponseMetadata>\
             <RequestId>front-door</RequestId></ResponseMetadata></{action}Response>",
            self.0
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_named_after_its_action_and_nothing_in_it_is_markup() {
        let said = Xml::new().text("A", "1 < 2 & 3").texts("L", &["x".to_owned()]).document("DescribeIt");
        assert!(said.starts_with("<DescribeItResponse xmlns="));
        assert!(said.contains(
            "<DescribeItResult><A>1 &lt; 2 &amp; 3</A><L><member>x</member></L></DescribeItResult>"
        ));
    }
}
