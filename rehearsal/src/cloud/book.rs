//! Addresses that the control plane does not give: a book, so that everything keeps what it once had.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

#[derive(Default)]
pub(super) struct Book {
    /// With the network that it is of.
    private: BTreeMap<String, (String, Ipv4Addr)>,
    public: BTreeMap<String, Ipv4Addr>,
}

/// Public addresses are of 203.0.113.0/24, from here on.
const FIRST_PUBLIC: u8 = 10;
/// AWS keeps the first four addresses of every subnet for itself, and the last.
const KEPT: usize = 4;

impl Book {
    /// An address in a subnet, from its end, since instances have those at its beginning; `None` when it is full.
    pub(super) fn private(
        &mut self,
        what: &str,
        vpc: &str,
        subnet: Ipv4Net,
        is_taken: impl Fn(Ipv4Addr) -> bool,
    ) -> Option<Ipv4Addr> {
        if let Some((known_vpc, known)) = self.private.get(what)
            && known_vpc == vpc
            && subnet.contains(known)
        {
            return Some(*known);
        }
        let is_known = |it| self.private.values().any(|known| known.0 == vpc && known.1 == it);
        // The network's own address is not among the hosts', hence one less.
        let last = u32::from(subnet.broadcast());
        let count = subnet.hosts().count().saturating_sub(KEPT - 1);
        let mut free = (1..).take(count).map(|it| Ipv4Addr::from(last - it));
        let found = free.find(|it| !is_taken(*it) && !is_known(*it))?;
        self.private.insert(what.to_owned(), (vpc.to_owned(), found));
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
        let subnet = "10.1.5.0/24".parse().unwrap();
        let private = |book: &mut Book, what| book.private(what, "vpc-1", subnet, |it| it.octets()[3] == 254);
        let one = private(&mut book, "db/a");
        assert_eq!(one, Some(Ipv4Addr::new(10, 1, 5, 253)));
        assert_eq!(private(&mut book, "db/b"), Some(Ipv4Addr::new(10, 1, 5, 252)));
        assert_eq!(private(&mut book, "db/a"), one);
        book.forget(|it| it != "db/a");
        assert_eq!(private(&mut book, "db/c"), one);
        assert_eq!(book.public("x"), book.public("x"));
        assert_ne!(book.public("x"), book.public("y"));
    }

    #[test]
    fn the_smallest_subnet_has_eleven_addresses_and_another_network_has_the_same() {
        let mut book = Book::default();
        let subnet: Ipv4Net = "10.1.5.16/28".parse().unwrap();
        let names: Vec<String> = (0..12).map(|it| it.to_string()).collect();
        let given: Vec<_> = names.iter().map(|it| book.private(it, "vpc-1", subnet, |_| false)).collect();
        assert_eq!(given[0], Some(Ipv4Addr::new(10, 1, 5, 30)));
        assert_eq!(given[10], Some(Ipv4Addr::new(10, 1, 5, 20)));
        assert_eq!(given[11], None);
        assert_eq!(book.private("other", "vpc-2", subnet, |_| false), given[0]);
        // A wider one reaches beyond the last byte.
        let wide = "172.31.16.0/20".parse().unwrap();
        assert_eq!(book.private("wide", "vpc-1", wide, |_| false), Some(Ipv4Addr::new(172, 31, 31, 254)));
    }
}
