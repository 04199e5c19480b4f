//! Addresses that the control plane does not give: a book, so that everything keeps what it once had.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

#[derive(Default)]
pub(super) struct Book {
    private: BTreeMap<String, Ipv4Addr>,
    public: BTreeMap<String, Ipv4Addr>,
}

/// Public addresses are of 203.0.113.0/24, from here on.
const FIRST_PUBLIC: u8 = 10;
/// Private ones are given from the end of a subnet, since instances have those at its beginning.
const LAST_PRIVATE: u8 = 250;

impl Book {
    /// An address in the subnet that begins there; `None` when it is full.
    pub(super) fn private(&mut self, what: &str, base: Ipv4Addr) -> Option<Ipv4Addr> {
        if let Some(known) = self.private.get(what) {
            return Some(*known);
        }
        let [a, b, c, _] = base.octets();
        let mut free = (10..=LAST_PRIVATE).rev().map(|it| Ipv4Addr::new(a, b, c, it));
        let found = free.find(|it| !self.private.values().any(|known| known == it))?;
        self.private.insert(what.to_owned(), found);
        Some(found)
    }

    /// A public address; `None` when there are no more.
    pub(super) fn public(&mut self, what: &str) -> Option<Ipv4Addr> {
        if let Some(known) = self.public.get(what) {
            return Some(*known);
        }
        let mut free = (FIRST_PUBLIC..=254).map(|it| Ipv4Addr::new(203, 0, 113, it));
        let found = free.find(|it| !self.public.values().any(|known| known == it))?;
        self.public.insert(what.to_owned(), found);
        Some(found)
    }

    /// Whose address it was may have it no longer.
    pub(super) fn forget(&mut self, keep: impl Fn(&str) -> bool) {
        self.private.retain(|what, _| keep(what));
        self.public.retain(|what, _| keep(what));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_keeps_its_address_until_it_is_forgotten() {
        let mut book = Book::default();
        let base = Ipv4Addr::new(10, 1, 5, 0);
        let one = book.private("db/a", base);
        assert_eq!(one, Some(Ipv4Addr::new(10, 1, 5, 250)));
        assert_eq!(book.private("db/b", base), Some(Ipv4Addr::new(10, 1, 5, 249)));
        assert_eq!(book.private("db/a", base), one);
        book.forget(|it| it != "db/a");
        assert_eq!(book.private("db/c", base), one);
        assert_eq!(book.public("x"), book.public("x"));
        assert_ne!(book.public("x"), book.public("y"));
    }
}
