//! What is wrong with a configuration, in a shape that points into the file.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};
use serde::Serialize;

/// One mistake: what was written where, which rule it breaks and what to write instead.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Issue {
    /// The file's name as the operator gave it.
    pub file: String,
    /// Counted from 1; absent only when the file could not be read.
    pub line: Option<usize>,
    pub column: Option<usize>,
    /// `network.public_cidrs[1]`; empty for a mistake in the file's syntax.
    pub key: String,
    /// As written in the file.
    pub value: String,
    pub rule: String,
    pub remedy: String,
    #[serde(skip)]
    /// Where it stands; where something related stands, and what that is.
    pub(super) labels: Vec<(Range<usize>, Option<String>)>,
    #[serde(skip)]
    pub(super) text: Arc<str>,
}

/// All mistakes of one file, in the order of its lines; never empty.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConfigErrors {
    pub issues: Vec<Issue>,
    #[serde(skip)]
    sources: Vec<Source>,
}

/// The file's text, for the excerpts.
#[derive(Clone, Debug)]
struct Source(Arc<NamedSource<Arc<str>>>);

impl PartialEq for Source {
    fn eq(&self, other: &Source) -> bool {
        self.0.inner() == other.0.inner()
    }
}

/// An issue together with its text, as miette wants it.
#[derive(Debug)]
struct Excerpt<'a> {
    issue: &'a Issue,
    source: &'a Source,
}

impl ConfigErrors {
    pub(super) fn new(mut issues: Vec<Issue>) -> ConfigErrors {
        issues.sort_by_key(|it| (it.line.unwrap_or(usize::MAX), it.column));
        let source = |it: &Issue| {
            Source(Arc::new(NamedSource::new(&it.file, Arc::clone(&it.text)).with_language("TOML")))
        };
        let sources = issues.iter().map(source).collect();
        ConfigErrors { issues, sources }
    }

    /// The report for a person: an excerpt of the file for each mistake.
    pub fn render(&self, colour: bool, width: usize) -> String {
        let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_width(width)
            .with_context_lines(1)
            .with_primary_span_start();
        let mut text = String::new();
        for (issue, source) in std::iter::zip(&self.issues, &self.sources) {
            // Writing into a string does not fail.
            let _ = handler.render_report(&mut text, &Excerpt { issue, source });
        }
        text
    }
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.key.as_str(), self.value.as_str()) {
            ("", "") => write!(f, "{}", self.rule),
            ("", value) => write!(f, "{value}: {}", self.rule),
            (key, "") => write!(f, "{key}: {}", self.rule),
            (key, value) => write!(f, "{key} = {value}: {}", self.rule),
        }
    }
}

/// One line per mistake, for pipes and logs: `lamp.toml:4:12: key = value: rule; remedy`.
impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, issue) in self.issues.iter().enumerate() {
            let newline = if at == 0 { "" } else { "\n" };
            match (issue.line, issue.column) {
                (Some(line), Some(column)) => write!(f, "{newline}{}:{line}:{column}: ", issue.file)?,
                _ => f.write_str(newline)?,
            }
            write!(f, "{issue}; {}", issue.remedy)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.issue.fmt(f)
    }
}

impl std::error::Error for Excerpt<'_> {}

impl Diagnostic for Excerpt<'_> {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.issue.remedy))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        if self.issue.labels.is_empty() { None } else { Some(&*self.source.0) }
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = |(range, text): &(Range<usize>, Option<String>)| match text {
            None => LabeledSpan::new_primary_with_span(None, range.clone()),
            Some(text) => LabeledSpan::new_with_span(Some(text.clone()), range.clone()),
        };
        Some(Box::new(self.issue.labels.iter().map(span)))
    }
}
