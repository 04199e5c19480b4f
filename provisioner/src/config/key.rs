//! Where a value stands in `lamp.toml`.

use std::fmt;

/// The way to a value: `network.public_cidrs[1]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Name(String),
    Index(usize),
}

impl Key {
    pub(super) fn name(&self, name: &str) -> Key {
        self.with(Part::Name(name.to_owned()))
    }

    pub(super) fn index(&self, index: usize) -> Key {
        self.with(Part::Index(index))
    }

    fn with(&self, part: Part) -> Key {
        Key(self.0.iter().cloned().chain([part]).collect())
    }

    /// Whether one of the two lies inside the other (or they are the same).
    pub(super) fn touches(&self, other: &Key) -> bool {
        std::iter::zip(&self.0, &other.0).all(|(a, b)| a == b)
    }

    pub(super) fn is_root(&self) -> bool {
        self.0.is_empty()
    }
}

/// A key written with dots.
impl From<&str> for Key {
    fn from(dotted: &str) -> Key {
        Key(dotted.split('.').map(|it| Part::Name(it.to_owned())).collect())
    }
}

impl From<&Key> for Key {
    fn from(key: &Key) -> Key {
        key.clone()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.0.iter().enumerate() {
            match part {
                Part::Index(index) => write!(f, "[{index}]")?,
                Part::Name(name) => {
                    let dot = if at == 0 { "" } else { "." };
                    let is_bare = |it: char| it.is_ascii_alphanumeric() || it == '_' || it == '-';
                    match !name.is_empty() && name.chars().all(is_bare) {
                        true => write!(f, "{dot}{name}")?,
                        false => write!(f, "{dot}{name:?}")?,
                    }
                }
            }
        }
        Ok(())
    }
}
