//! Collects what the rules find, so that all of it is told at once.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use super::issue::Issue;
use super::key::Key;

/// What was read from one file and what is wrong with it so far.
pub(super) struct Findings {
    file: String,
    text: Arc<str>,
    /// Where the values that the file gives stand.
    given: BTreeMap<Key, Range<usize>>,
    /// Values that could not be used: rules see the default in their place and must not judge it.
    unusable: Vec<Key>,
    /// Lines that are no TOML.
    broken: Vec<usize>,
    /// How many of the drafts are about single values; those behind them compare values.
    shapes: usize,
    drafts: Vec<Draft>,
}

/// An issue whose place in the file is not looked up yet.
pub(super) struct Draft {
    key: Key,
    value: String,
    rule: String,
    remedy: String,
    at: Option<Range<usize>>,
    because: Option<Key>,
    related: Vec<(Key, String)>,
}

impl Findings {
    pub(super) fn new(file: &str, text: &str) -> Findings {
        let (file, text) = (file.to_owned(), Arc::from(text));
        Findings {
            file,
            text,
            given: BTreeMap::new(),
            unusable: Vec::new(),
            broken: Vec::new(),
            shapes: 0,
            drafts: Vec::new(),
        }
    }

    pub(super) fn note(&mut self, key: &Key, at: Range<usize>) {
        self.given.insert(key.clone(), at);
    }

    /// Whether the file gives this value (rather than leaving it out).
    pub(super) fn is_given(&self, key: impl Into<Key>) -> bool {
        self.given.contains_key(&key.into())
    }

    /// From now on the value at this key counts as absent.
    pub(super) fn discard(&mut self, key: &Key) {
        self.unusable.push(key.clone());
    }

    /// From now on what is added compares values, and is dropped where one of them is absent.
    pub(super) fn shapes_are_read(&mut self) {
        self.shapes = self.drafts.len();
    }

    /// Whether the file gives this value in a form that can be judged, or leaves it out.
    pub(super) fn is_usable(&self, key: impl Into<Key>) -> bool {
        let key = key.into();
        !self.unusable.iter().any(|it| it.touches(&key))
    }

    /// A value breaks a rule. `value` is shown where the file does not give it itself.
    pub(super) fn add(
        &mut self,
        key: impl Into<Key>,
        value: impl Debug,
        rule: impl Into<String>,
        remedy: impl Into<String>,
    ) -> &mut Draft {
        let key = key.into();
        let value = match self.given.get(&key) {
            Some(at) => short(&self.text[at.clone()]),
            None => short(&format!("{value:?}")),
        };
        self.push(Draft {
            key,
            value,
            rule: rule.into(),
            remedy: remedy.into(),
            at: None,
            because: None,
            related: Vec::new(),
        })
    }

    /// Nothing may be listed twice.
    pub(super) fn no_twins<T: PartialEq + Debug>(&mut self, list: &str, items: &[T]) {
        for at in (1..items.len()).filter(|at| items[..*at].contains(&items[*at])) {
            self.add(Key::from(list).index(at), &items[at], "is listed twice", "remove one of the two");
        }
    }

    /// Something at a place of the file that is no value.
    pub(super) fn add_at(&mut self, at: Range<usize>, key: Key, rule: &str, remedy: &str) {
        // A key that does not exist has its name as text already.
        let value =
            if key.is_root() { short(self.text.get(at.clone()).unwrap_or_default()) } else { String::new() };
        let (rule, remedy) = (rule.to_owned(), remedy.to_owned());
        self.push(Draft { key, value, rule, remedy, at: Some(at), because: None, related: Vec::new() });
    }

    /// Something about the file as a whole.
    pub(super) fn add_nowhere(&mut self, rule: &str, remedy: &str) {
        let (key, value) = (Key::default(), String::new());
        let (rule, remedy) = (rule.to_owned(), remedy.to_owned());
        self.push(Draft { key, value, rule, remedy, at: None, because: None, related: Vec::new() });
    }

    /// A line that is no TOML. What the parser made of the rest of it is not judged.
    pub(super) fn add_broken(&mut self, at: Range<usize>, rule: &str, remedy: &str) {
        self.broken.push(line_and_column(&self.text, at.start).0);
        self.add_at(at, Key::default(), rule, remedy);
    }

    fn push(&mut self, draft: Draft) -> &mut Draft {
        let at = self.drafts.len();
        self.drafts.push(draft);
        &mut self.drafts[at]
    }

    /// Everything found, with lines and columns.
    pub(super) fn into_issues(mut self) -> Vec<Issue> {
        let drafts = std::mem::take(&mut self.drafts);
        let place = |(_, draft): (usize, Draft)| {
            let key = draft.because.as_ref().filter(|_| !self.given.contains_key(&draft.key));
            let main = draft.at.clone().or_else(|| self.given.get(key.unwrap_or(&draft.key)).cloned());
            let related = draft.related.iter().filter_map(|(key, label)| {
                let at = self.given.get(key)?;
                (Some(at) != main.as_ref()).then(|| (at.clone(), Some(label.clone())))
            });
            let (line, column) = main.as_ref().map(|it| line_and_column(&self.text, it.start)).unzip();
            Issue {
                file: self.file.clone(),
                line,
                column,
                key: draft.key.to_string(),
                value: draft.value.clone(),
                rule: draft.rule.clone(),
                remedy: draft.remedy.clone(),
                labels: main.clone().map(|it| (it, None)).into_iter().chain(related).collect(),
                text: Arc::clone(&self.text),
            }
        };
        let is_sound = |(at, draft): &(usize, Draft)| {
            let mut keys = draft.related.iter().map(|it| &it.0).chain(&draft.because).chain([&draft.key]);
            *at < self.shapes || keys.all(|it| self.is_usable(it))
        };
        let is_judged = |it: &Issue| it.key.is_empty() || it.line.is_none_or(|it| !self.broken.contains(&it));
        drafts.into_iter().enumerate().filter(is_sound).map(place).filter(is_judged).collect()
    }
}

impl Draft {
    /// The value is not in the file but follows from this one.
    pub(super) fn because(&mut self, key: impl Into<Key>) -> &mut Draft {
        self.because = Some(key.into());
        self
    }

    /// Another place that has to do with it.
    pub(super) fn related(&mut self, key: impl Into<Key>, label: impl Into<String>) -> &mut Draft {
        self.related.push((key.into(), label.into()));
        self
    }
}

/// A value on one line.
fn short(text: &str) -> String {
    const LONGEST: usize = 60;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |it| it + 1);
    (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
}
