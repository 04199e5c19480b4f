//! What the edge locations keep, and for how long. Pure: the time comes from outside.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::CACHE_CONTROL;
use http::{HeaderMap, StatusCode};

use super::policy::is_like;
use super::viewer::Viewer;

/// More than this is not kept; what was asked for longest ago goes first.
const ROOM: usize = 64 << 20;

/// An answer as it came from the origin.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stored {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Every location keeps its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) location: Viewer,
    pub(super) distribution: String,
    pub(super) path: String,
}

/// How long something may be kept, in seconds, whatever the origin says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) least: u64,
    pub(super) usual: u64,
    pub(super) most: u64,
}

impl Limits {
    /// How long this answer may be kept.
    pub(super) fn ttl(self, headers: &HeaderMap) -> Duration {
        let text = headers.get(CACHE_CONTROL).and_then(|it| it.to_str().ok()).unwrap_or_default();
        let parts: Vec<String> = text.split(',').map(|it| it.trim().to_ascii_lowercase()).collect();
        let seconds = |name: &str| parts.iter().find_map(|it| it.strip_prefix(name)?.parse().ok());
        let is_refused =
            ["no-store", "no-cache", "private"].iter().any(|it| parts.iter().any(|one| one == it));
        let wished = match seconds("s-maxage=").or_else(|| seconds("max-age=")) {
            _ if is_refused => 0,
            Some(wished) => wished,
            None => self.usual,
        };
        Duration::from_secs(wished.clamp(self.least, self.most.max(self.least)))
    }
}

pub(super) enum Lookup {
    /// Kept, and for how long already.
    Fresh(Stored, Duration),
    /// Kept too long: the origin has to say whether it is still so.
    Stale(Stored),
    Absent,
}

#[derive(Default)]
pub(super) struct Cache {
    entries: BTreeMap<Key, Entry>,
    size: usize,
}

struct Entry {
    answer: Stored,
    since: Instant,
    ttl: Duration,
    used: Instant,
}

impl Cache {
    pub(super) fn get(&mut self, key: &Key, now: Instant) -> Lookup {
        let Some(it) = self.entries.get_mut(key) else { return Lookup::Absent };
        it.used = now;
        let age = now.saturating_duration_since(it.since);
        if age < it.ttl { Lookup::Fresh(it.answer.clone(), age) } else { Lookup::Stale(it.answer.clone()) }
    }

    /// Keeps an answer, or keeps it for longer; one that may not be kept at all replaces what was there.
    pub(super) fn put(&mut self, key: Key, answer: Stored, ttl: Duration, now: Instant) {
        self.remove(&key);
        if ttl.is_zero() || answer.body.len() > ROOM {
            return;
        }
        self.size += answer.body.len();
        self.entries.insert(key, Entry { answer, since: now, ttl, used: now });
        while self.size > ROOM {
            let oldest = self.entries.iter().min_by_key(|it| it.1.used).map(|it| it.0.clone());
            let Some(oldest) = oldest else { return };
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, key: &Key) {
        if let Some(it) = self.entries.remove(key) {
            self.size -= it.answer.body.len();
        }
    }

    /// Forgets what an invalidation names, at every location.
    pub(super) fn invalidate(&mut self, distribution: &str, path: &str) {
        let pattern = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let hit = |it: &Key| it.distribution == distribution && is_like(&pattern, &it.path);
        let keys: Vec<Key> = self.entries.keys().filter(|it| hit(it)).cloned().collect();
        keys.iter().for_each(|it| self.remove(it));
    }

    /// Forgets distributions that are gone.
    pub(super) fn keep_only(&mut self, is_there: impl Fn(&str) -> bool) {
        let keys: Vec<Key> = self.entries.keys().filter(|it| !is_there(&it.distribution)).cloned().collect();
        keys.iter().for_each(|it| self.remove(it));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIMIZED: Limits = Limits { least: 1, usual: 86400, most: 31_536_000 };

    fn control(text: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(CACHE_CONTROL, http::HeaderValue::from_static(text))])
    }

    fn answer(text: &'static str) -> Stored {
        Stored {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Bytes::from_static(text.as_bytes()),
        }
    }

    fn key(path: &str) -> Key {
        Key { location: Viewer::Near, distribution: "D".into(), path: path.into() }
    }

    #[test]
    fn the_origin_says_how_long_within_the_policys_limits() {
        for (said, seconds) in [
            ("max-age=60", 60),
            ("public, max-age=60, s-maxage=5", 5),
            ("no-store", 1),
            ("max-age=0", 1),
            ("max-age=99999999999", 31_536_000),
            ("public", 86400),
        ] {
            assert_eq!(OPTIMIZED.ttl(&control(said)), Duration::from_secs(seconds), "{said}");
        }
        assert_eq!(OPTIMIZED.ttl(&HeaderMap::new()), Duration::from_secs(86400));
        let disabled = Limits { least: 0, usual: 0, most: 0 };
        assert_eq!(disabled.ttl(&control("max-age=60")), Duration::ZERO);
    }

    #[test]
    fn an_answer_ages_becomes_stale_and_is_renewed() {
        let (mut cache, began) = (Cache::default(), Instant::now());
        let at = |seconds| began + Duration::from_secs(seconds);
        assert!(matches!(cache.get(&key("/a"), began), Lookup::Absent));
        cache.put(key("/a"), answer("a"), Duration::from_secs(10), began);
        let Lookup::Fresh(it, age) = cache.get(&key("/a"), at(9)) else { panic!("it is fresh") };
        assert_eq!((it, age), (answer("a"), Duration::from_secs(9)));
        assert!(matches!(cache.get(&key("/a"), at(10)), Lookup::Stale(_)));
        cache.put(key("/a"), answer("a"), Duration::from_secs(10), at(10));
        assert!(matches!(cache.get(&key("/a"), at(11)), Lookup::Fresh(..)));
        // Another location has not seen it.
        assert!(matches!(cache.get(&Key { location: Viewer::Far, ..key("/a") }, at(11)), Lookup::Absent));
    }

    #[test]
    fn an_invalidation_hits_its_paths_of_its_distribution() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        let long = Duration::from_secs(1000);
        for path in ["/index.html", "/images/a.png", "/images/b.png"] {
            cache.put(key(path), answer("x"), long, now);
        }
        cache.put(Key { distribution: "E".into(), ..key("/images/a.png") }, answer("x"), long, now);
        cache.invalidate("D", "/images/*");
        assert!(matches!(cache.get(&key("/index.html"), now), Lookup::Fresh(..)));
        assert!(matches!(cache.get(&key("/images/b.png"), now), Lookup::Absent));
        let other = Key { distribution: "E".into(), ..key("/images/a.png") };
        assert!(matches!(cache.get(&other, now), Lookup::Fresh(..)));
        cache.keep_only(|it| it == "D");
        assert!(matches!(cache.get(&other, now), Lookup::Absent));
    }

    #[test]
    fn what_was_asked_for_longest_ago_makes_room() {
        let (mut cache, began) = (Cache::default(), Instant::now());
        let big = Stored { body: Bytes::from(vec![0; ROOM / 2]), ..answer("") };
        for (number, path) in ["/a", "/b", "/c"].iter().enumerate() {
            let at = began + Duration::from_secs(number as u64);
            cache.put(key(path), big.clone(), Duration::from_secs(1000), at);
        }
        assert!(matches!(cache.get(&key("/a"), began), Lookup::Absent));
        assert!(matches!(cache.get(&key("/b"), began), Lookup::Fresh(..)));
    }
}
