//! How much of this machine an instance may use, by its class.

use std::thread;

/// A burstable class's virtual processor is this part of the machine, another's twice as much. So four hosts of the
/// lab take half of the machine at most, and their database, balancers and load have the other half.
const BURSTABLE: f64 = 1.0 / 16.0;

/// The share of one processor that an instance of a class has: `t3.micro` on two processors, a quarter.
pub(super) fn of(class: &str) -> f64 {
    let processors = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    share(class, u32::try_from(processors).unwrap_or(u32::MAX))
}

fn share(class: &str, processors: u32) -> f64 {
    let (family, size) = class.split_once('.').unwrap_or((class, ""));
    let part = if family.starts_with('t') { BURSTABLE } else { 2.0 * BURSTABLE };
    // No virtual processor is faster than a real one, and no machine has more than it has.
    let each = (part * f64::from(processors)).min(1.0);
    (each * f64::from(vcpus(family, size))).min(f64::from(processors))
}

/// Virtual processors by AWS's rule of sizes; a class that the rule does not know has two.
fn vcpus(family: &str, size: &str) -> u32 {
    match size {
        // The generation before t3 had one up to small.
        "nano" | "micro" | "small" if matches!(family, "t1" | "t2") => 1,
        "medium" if !family.starts_with('t') => 1,
        "nano" | "micro" | "small" | "medium" | "large" => 2,
        "xlarge" => 4,
        _ => size.strip_suffix("xlarge").and_then(|it| it.parse::<u32>().ok()).map_or(2, |it| 4 * it),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_hosts_of_the_lab_leave_half_of_the_machine() {
        assert_eq!(share("t3.micro", 2), 0.25);
        assert_eq!(4.0 * share("t3.micro", 16), 8.0);
    }

    #[test]
    fn larger_classes_have_more_up_to_the_whole_machine() {
        assert_eq!(share("t2.micro", 2), 0.125);
        assert_eq!(share("m5.large", 2), 0.5);
        assert_eq!(share("m5.xlarge", 2), 1.0);
        assert_eq!(share("c5.24xlarge", 2), 2.0);
        assert_eq!(share("m5.large", 64), 2.0);
    }
}
