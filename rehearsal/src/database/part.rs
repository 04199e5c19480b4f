//! A part of a file that grows on a machine, counted in the file's own bytes, which need not be text.

use anyhow::Context;

/// What was read.
#[derive(Debug, PartialEq)]
pub(crate) struct Part {
    pub(crate) text: String,
    /// How many bytes of the file that is.
    pub(crate) bytes: u64,
    /// How many the whole file has.
    pub(crate) size: u64,
}

impl Part {
    /// Prints size and bytes, and then the bytes of file `$1` from its byte `$2` on, at most `$3`: whole lines, unless
    /// one is longer than that.
    pub(super) const SCRIPT: &str = r#"
set -e
size=$(stat -c %s "$1")
part=$(mktemp)
trap 'rm -f "$part"' EXIT
tail -c "+$2" "$1" | head -c "$3" > "$part"
bytes=$(stat -c %s "$part")
if [ "$(tail -c 1 "$part" | od -An -tx1)" != " 0a" ]; then
  rest=$(tail -n 1 "$part" | wc -c)
  [ "$rest" = "$3" ] || bytes=$((bytes - rest))
fi
echo "$size $bytes"
head -c "$bytes" "$part"
"#;

    /// The script's second and third words.
    pub(super) fn words(from: u64, most: usize) -> [String; 2] {
        [(from + 1).to_string(), most.to_string()]
    }

    pub(super) fn parse(said: &str) -> anyhow::Result<Part> {
        let parse = || {
            let (numbers, text) = said.split_once('\n')?;
            let (size, bytes) = numbers.split_once(' ')?;
            Some(Part { text: text.to_owned(), bytes: bytes.parse().ok()?, size: size.parse().ok()? })
        };
        parse().context("the machine does not say how long its log is")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &[u8], from: u64, most: usize) -> Part {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("general.log");
        std::fs::write(&path, content).unwrap();
        let out = std::process::Command::new("sh")
            .args(["-c", Part::SCRIPT, "sh"])
            .arg(path)
            .args(Part::words(from, most))
            .output()
            .unwrap();
        assert!(out.status.success(), "{out:?}");
        Part::parse(&String::from_utf8_lossy(&out.stdout)).unwrap()
    }

    #[test]
    fn whole_lines_are_read_and_counted_in_bytes_whatever_they_hold() {
        let part = |text: &str, bytes, size| Part { text: text.into(), bytes, size };
        assert_eq!(read(b"one\ntwo\nhal", 0, 100), part("one\ntwo\n", 8, 11));
        assert_eq!(read(b"one\ntwo\nhalf\n", 8, 100), part("half\n", 5, 13));
        assert_eq!(read(b"one\ntwo\n", 0, 6), part("one\n", 4, 8));
        // A blob in Latin-1, and a line that is longer than what is taken at a time.
        assert_eq!(read(b"caf\xe9\nx\n", 0, 100), part("caf\u{fffd}\nx\n", 7, 7));
        assert_eq!(read(b"abcdefgh\n", 0, 4), part("abcd", 4, 9));
        assert_eq!(read(b"", 0, 4), part("", 0, 0));
        assert_eq!(read(b"half", 0, 100), part("", 0, 4));
    }
}
