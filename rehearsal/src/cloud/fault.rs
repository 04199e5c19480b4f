//! What can be made to go wrong at the front door.

use serde::{Deserialize, Serialize};

use super::call::{Call, Protocol};

/// Something that goes wrong with a number of calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    pub kind: FaultKind,
    /// Only calls whose action begins so; empty for all.
    pub action: String,
    /// How many calls are still to be hit.
    pub times: u32,
}

impl Fault {
    /// Until it is healed.
    pub fn lasting(kind: FaultKind, action: &str) -> Fault {
        Fault { kind, action: action.to_owned(), times: u32::MAX }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FaultKind {
    /// Refused for now: too many calls.
    Throttling,
    /// The service itself failed; nothing was done.
    InternalError,
    /// Done, but the answer never arrives.
    DroppedAnswer,
    /// There is no such thing as a t3.micro in that zone today.
    Capacity,
    /// What sounds like wrong credentials and passes by itself.
    AuthFailure,
}

/// The fault that hits this call, if any; it is used up.
pub(super) fn strike(faults: &mut Vec<Fault>, call: &Call) -> Option<FaultKind> {
    let it = faults.iter_mut().find(|it| it.times > 0 && call.action.starts_with(&it.action))?;
    it.times -= 1;
    let kind = it.kind;
    faults.retain(|it| it.times > 0);
    Some(kind)
}

impl FaultKind {
    /// Status, code and words, as AWS has them.
    pub(super) fn answer(self, call: &Call) -> Option<(u16, &'static str, &'static str)> {
        match self {
            FaultKind::Throttling if call.protocol == Protocol::Ec2 => {
                Some((503, "RequestLimitExceeded", "Request limit exceeded."))
            }
            FaultKind::Throttling => Some((400, "Throttling", "Rate exceeded")),
            FaultKind::InternalError => Some((500, "InternalFailure", "An internal error has occurred")),
            FaultKind::Capacity => {
                Some((500, "InsufficientInstanceCapacity", "We currently do not have sufficient capacity"))
            }
            FaultKind::AuthFailure => {
                let words = "AWS was not able to validate the provided access credentials";
                Some((401, "AuthFailure", words))
            }
            FaultKind::DroppedAnswer => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_hits_its_actions_so_many_times() {
        let call = |action: &str| Call { action: action.into(), ..Call::default() };
        let mut faults = vec![Fault { kind: FaultKind::Throttling, action: "Run".into(), times: 2 }];
        assert_eq!(strike(&mut faults, &call("CreateVpc")), None);
        assert_eq!(strike(&mut faults, &call("RunInstances")), Some(FaultKind::Throttling));
        assert_eq!(strike(&mut faults, &call("RunInstances")), Some(FaultKind::Throttling));
        assert_eq!(strike(&mut faults, &call("RunInstances")), None);
        assert!(faults.is_empty());
    }
}
