//! Changes one key of `lamp.toml` and leaves all else in it as its author wrote it.

use toml_edit::{DocumentMut, Item, Table, TomlError, value};

/// The text with `[section] key = "value"`.
///
/// # Errors
/// The text is no TOML.
pub fn with_key(text: &str, section: &str, key: &str, word: &str) -> Result<String, TomlError> {
    let mut document: DocumentMut = text.parse()?;
    let section = document.entry(section).or_insert(Item::Table(Table::new()));
    match section.get_mut(key).and_then(Item::as_value_mut) {
        // What stands around the old value, such as a comment, stays around the new one.
        Some(old) => {
            let around = old.decor().clone();
            *old = word.into();
            *old.decor_mut() = around;
        }
        None => section[key] = value(word),
    }
    Ok(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(text: &str) -> String {
        with_key(text, "database", "hosts_use", "replica").unwrap()
    }

    #[test]
    fn a_key_is_added_or_changed_and_nothing_else_is() {
        assert_eq!(replica(""), "[database]\nhosts_use = \"replica\"\n");
        assert_eq!(
            replica("# mine\nstack = \"x\"\n\n[database]\n# big\nclass = \"db.t3.small\"\n\n[site]\n"),
            "# mine\nstack = \"x\"\n\n[database]\n# big\nclass = \"db.t3.small\"\nhosts_use = \"replica\"\n\n[site]\n"
        );
        assert_eq!(
            replica("[database]\nhosts_use = \"primary\" # for now\nport = 3307\n"),
            "[database]\nhosts_use = \"replica\" # for now\nport = 3307\n"
        );
        assert_eq!(
            replica("database.port = 3307\n"),
            "database.port = 3307\ndatabase.hosts_use = \"replica\"\n"
        );
    }

    #[test]
    fn what_lamp_init_writes_is_still_the_lab_but_for_the_key() {
        let text = replica(&crate::config::template());
        let config = crate::config::parse("lamp.toml", &text, Default::default()).unwrap();
        let mut want = crate::config::Config::default();
        want.database.hosts_use = crate::config::Server::Replica;
        assert_eq!(config, want);
    }
}
