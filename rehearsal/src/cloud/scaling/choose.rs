//! Where the next instance goes, and which one goes first: pure.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::group::Place;

/// An instance that could go.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) id: String,
    pub(super) zone: String,
    pub(super) launched: Timestamp,
    /// Of the template that the group has now.
    pub(super) is_of_current_template: bool,
    pub(super) version: i64,
    pub(super) is_protected: bool,
}

/// The subnet for the next one: in the zone that has fewest, and there the one that has fewest.
pub(super) fn place<'a>(places: &'a [Place], taken: &[&Place]) -> Option<&'a Place> {
    let in_zone = |zone: &str| taken.iter().filter(|it| it.zone == zone).count();
    let in_subnet = |subnet: &str| taken.iter().filter(|it| it.subnet == subnet).count();
    places.iter().min_by_key(|it| (in_zone(&it.zone), in_subnet(&it.subnet)))
}

/// The zones whose numbers differ by more than one, with these numbers; or in which nobody shall be any more.
pub(super) fn unbalanced(places: &[Place], taken: &[&Place]) -> Option<Vec<(String, usize)>> {
    let mut zones: BTreeMap<&str, usize> = places.iter().map(|it| (it.zone.as_str(), 0)).collect();
    let wanted = zones.len();
    for it in taken {
        *zones.entry(&it.zone).or_default() += 1;
    }
    let (least, most) = (zones.values().min()?, zones.values().max()?);
    let differs = most - least > 1 || zones.len() > wanted;
    differs.then(|| zones.into_iter().map(|(zone, count)| (zone.to_owned(), count)).collect())
}

/// Who goes first: of a zone that is not wanted, else of the fullest, and there by the first policy that decides.
pub(super) fn victim(
    policies: &[String],
    candidates: &[Candidate],
    wanted: &[Place],
    hour: Duration,
    now: Timestamp,
) -> Option<String> {
    let count = |zone: &str| candidates.iter().filter(|it| it.zone == zone).count();
    let rank = |it: &Candidate| (!wanted.iter().any(|place| place.zone == it.zone), count(&it.zone));
    let free = || candidates.iter().filter(|it| !it.is_protected);
    let fullest = free().map(rank).max()?;
    let mut left: Vec<&Candidate> = free().filter(|it| rank(it) == fullest).collect();
    for policy in policies.iter().map(String::as_str).chain(["Default"]) {
        left = narrowed(policy, left, hour, now);
    }
    left.first().map(|it| it.id.clone())
}

/// Those who go first by one policy.
fn narrowed<'a>(policy: &str, all: Vec<&'a Candidate>, hour: Duration, now: Timestamp) -> Vec<&'a Candidate> {
    match policy {
        "OldestInstance" => least(all, |it| it.launched),
        "NewestInstance" => least(all, |it| std::cmp::Reverse(it.launched)),
        "OldestLaunchTemplate" => least(all, |it| (it.is_of_current_template, it.version)),
        "ClosestToNextInstanceHour" => least(all, |it| left_of_hour(it.launched, hour, now)),
        "Default" => {
            let oldest = narrowed("OldestLaunchTemplate", all, hour, now);
            narrowed("ClosestToNextInstanceHour", oldest, hour, now)
        }
        // Allocation strategies and launch configurations tell nothing apart here.
        _ => all,
    }
}

fn least<K: Ord>(all: Vec<&Candidate>, key: impl Fn(&Candidate) -> K) -> Vec<&Candidate> {
    let Some(first) = all.iter().map(|it| key(it)).min() else { return all };
    all.into_iter().filter(|it| key(it) == first).collect()
}

/// Until it would have been paid for another hour.
fn left_of_hour(launched: Timestamp, hour: Duration, now: Timestamp) -> u128 {
    let age = Duration::try_from(now.duration_since(launched)).unwrap_or_default();
    let hour = hour.as_millis().max(1);
    hour - age.as_millis() % hour
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(zone: &str) -> Place {
        Place { subnet: format!("subnet-{zone}"), zone: zone.to_owned() }
    }

    /// Launched so many minutes after ten.
    fn one(id: &str, zone: &str, minute: i8, version: i64) -> Candidate {
        let launched = format!("2026-11-22T10:{minute:02}:00Z").parse().unwrap();
        let (id, zone) = (id.to_owned(), zone.to_owned());
        Candidate { id, zone, launched, is_of_current_template: true, version, is_protected: false }
    }

    fn first(policy: &str, candidates: &[Candidate]) -> String {
        let now = "2026-11-22T11:20:00Z".parse().unwrap();
        let wanted = [at("a"), at("c")];
        victim(&[policy.to_owned()], candidates, &wanted, Duration::from_secs(3600), now).unwrap_or_default()
    }

    #[test]
    fn the_next_one_goes_where_fewest_are() {
        let places = [at("a"), at("c")];
        assert_eq!(place(&places, &[]), Some(&places[0]));
        assert_eq!(place(&places, &[&at("a")]), Some(&places[1]));
        assert_eq!(place(&places, &[&at("a"), &at("c"), &at("c")]), Some(&places[0]));
        assert_eq!(place(&[], &[]), None);
    }

    #[test]
    fn two_more_in_one_zone_or_one_in_a_zone_that_is_gone_is_out_of_balance() {
        let places = [at("a"), at("c")];
        assert_eq!(unbalanced(&places, &[&at("a"), &at("a"), &at("c")]), None);
        assert_eq!(
            unbalanced(&places, &[&at("a"), &at("a")]),
            Some(vec![("a".to_owned(), 2), ("c".to_owned(), 0)])
        );
        assert!(unbalanced(&[at("a")], &[&at("a"), &at("c")]).is_some());
    }

    #[test]
    fn the_fullest_zone_loses_one_whatever_the_policy() {
        let all = [one("old", "a", 0, 1), one("mid", "c", 10, 1), one("new", "c", 30, 1)];
        assert_eq!(first("OldestInstance", &all), "mid");
        assert_eq!(first("NewestInstance", &all), "new");
    }

    #[test]
    fn each_policy_has_its_own_first() {
        // At 11:20 the one of 10:30 has used 50 minutes of its hour, the one of 10:10 ten.
        let all = [one("old", "a", 0, 2), one("mid", "a", 10, 1), one("new", "a", 30, 2)];
        assert_eq!(first("OldestInstance", &all), "old");
        assert_eq!(first("NewestInstance", &all), "new");
        assert_eq!(first("OldestLaunchTemplate", &all), "mid");
        assert_eq!(first("ClosestToNextInstanceHour", &all), "new");
        assert_eq!(first("Default", &all), "mid");
        assert_eq!(first("AllocationStrategy", &all), "mid");
    }

    #[test]
    fn who_is_protected_stays() {
        let mut all = [one("old", "a", 0, 1), one("new", "a", 30, 1)];
        all[0].is_protected = true;
        assert_eq!(first("OldestInstance", &all), "new");
        all[1].is_protected = true;
        assert_eq!(first("OldestInstance", &all), "");
    }

    #[test]
    fn who_is_where_nobody_shall_be_goes_before_all_others() {
        let all = [one("one", "a", 0, 1), one("two", "a", 1, 1), one("stray", "b", 30, 1)];
        assert_eq!(first("OldestInstance", &all), "stray");
    }
}
