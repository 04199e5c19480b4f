//! How large a database's storage is, and how far it may grow by itself.

use aws_sdk_rds::{
    operation::modify_db_instance::builders::ModifyDBInstanceFluentBuilder as Modify, types::DbInstance,
};
use serde::Serialize;

/// General-purpose SSD (gp3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Storage {
    /// So many GiB.
    Fixed(i32),
    /// Grown by AWS to at most `max` GiB, from a size that only matters at creation.
    Growing {
        #[serde(skip)]
        from: i32,
        max: i32,
    },
}

impl Storage {
    /// What AWS says. A limit at the present size is how it spells "no growth".
    pub(super) fn read(it: &DbInstance) -> Storage {
        let pending = it.pending_modified_values().and_then(|it| it.allocated_storage());
        let size = pending.or(it.allocated_storage()).unwrap_or_default();
        match it.max_allocated_storage() {
            Some(max) if size < max => Storage::Growing { from: size, max },
            _ => Storage::Fixed(size),
        }
    }

    /// Size and limit of a new database.
    pub(super) fn at_first(self) -> (i32, Option<i32>) {
        match self {
            Storage::Fixed(size) => (size, None),
            Storage::Growing { from, max } => (from, Some(max)),
        }
    }

    /// Asks for this storage where there was another. One that is full does not grow by itself.
    pub(super) fn change(self, was: Storage, is_full: bool, modify: Modify) -> Modify {
        match (self, was) {
            (Storage::Growing { max, .. }, was) if is_full => {
                modify.max_allocated_storage(max).allocated_storage(was.next())
            }
            (Storage::Growing { max, .. }, _) => modify.max_allocated_storage(max),
            (Storage::Fixed(size), Storage::Fixed(_)) => modify.allocated_storage(size),
            (Storage::Fixed(size), Storage::Growing { from, .. }) if from < size => {
                modify.allocated_storage(size).max_allocated_storage(size)
            }
            (Storage::Fixed(_), Storage::Growing { from, .. }) => modify.max_allocated_storage(from),
        }
    }

    /// Whether there is room where the other is full.
    pub(super) fn is_larger_than(self, have: Storage) -> bool {
        match (self, have) {
            (Storage::Growing { max, .. }, Storage::Growing { max: is, .. }) => is < max,
            (Storage::Growing { max: wanted, .. } | Storage::Fixed(wanted), have) => {
                have.at_first().0 < wanted
            }
        }
    }

    /// The least size to which AWS lets it grow: by a tenth.
    fn next(self) -> i32 {
        let (size, _) = self.at_first();
        size.saturating_add(size.saturating_add(9) / 10)
    }

    /// Why `database` cannot come from the storage that it has to this one: storage never shrinks, and a limit leaves
    /// at least a tenth to grow (RDS guide, "Managing capacity automatically").
    pub(super) fn impossible(self, have: Storage, database: &str) -> Option<String> {
        let (size, _) = have.at_first();
        match self {
            Storage::Fixed(wanted) => (wanted < size).then(|| {
                format!(
                    "AWS cannot shrink storage, and {database} has {size} GiB: set database.storage_gib to {size} or \
                     more, or move the data into a smaller database yourself"
                )
            }),
            Storage::Growing { max, .. } => {
                let least = have.next();
                let stays = matches!(have, Storage::Growing { max: is, .. } if is == max);
                (max < least && !stays).then(|| {
                    format!(
                        "AWS cannot shrink storage and wants a tenth to grow into, and {database} has {size} GiB by now: set database.storage_max_gib \
                         to {least} or more, or to 0 with database.storage_gib = {size} for no growth"
                    )
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_that_has_reached_its_limit_is_told_with_the_ways_out() {
        let growing = |from, max| Storage::Growing { from, max };
        let why = |want: Storage, have| want.impossible(have, "db").unwrap_or_default();
        // At its limit AWS says no more that it may grow.
        assert!(why(growing(20, 100), Storage::Fixed(100)).contains("to 110 or more, or to 0"));
        assert!(why(growing(20, 105), growing(100, 200)).contains("110"));
        assert!(why(Storage::Fixed(20), growing(100, 200)).contains("cannot shrink"));
        for (want, have) in [
            // What is left of an earlier choice is nobody's change.
            (growing(20, 100), growing(95, 100)),
            (growing(20, 110), Storage::Fixed(100)),
            (Storage::Fixed(100), growing(100, 200)),
        ] {
            assert_eq!(want.impossible(have, "db"), None, "{want:?} from {have:?}");
        }
    }

    #[test]
    fn only_more_of_it_is_room() {
        let growing = |from, max| Storage::Growing { from, max };
        assert!(Storage::Fixed(30).is_larger_than(Storage::Fixed(20)));
        assert!(growing(20, 110).is_larger_than(Storage::Fixed(100)));
        assert!(growing(20, 300).is_larger_than(growing(100, 200)));
        assert!(Storage::Fixed(150).is_larger_than(growing(100, 200)));
        for (want, have) in [(Storage::Fixed(100), growing(100, 200)), (growing(20, 200), growing(100, 200))]
        {
            assert!(!want.is_larger_than(have), "{want:?} from {have:?}");
        }
        assert_eq!([20, 25, 101].map(|it| Storage::Fixed(it).next()), [22, 28, 112]);
    }
}
