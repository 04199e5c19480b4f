//! Auto Scaling, kept here and not in moto.
//!
//! moto's groups act in the instant of the call, in one zone, by no policy, and keep no history: whatever a group shall
//! decide would have to be undone first. So the front door answers this service itself ([`api`]), a group's state is
//! here alone ([`group`]), and what it decides is done to moto's instances, targets and alarms through their own
//! interfaces ([`act`]), as Auto Scaling does it on AWS. The reconciler then boots and ends them like any others.

mod act;
mod alarm;
mod api;
mod cause;
mod choose;
mod group;
mod history;
mod keeper;
mod meter;
mod pace;
mod refresh;
mod round;
mod share;
mod tracking;
mod watch;

pub(super) use api::answer;
pub(super) use group::Scaling;
pub(super) use keeper::Keeper;
