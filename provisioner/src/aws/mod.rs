//! The AWS boundary: clients, tags, retries, and one error type.

mod bearings;
mod clients;
mod error;
mod fresh;
mod holders;
mod known;
mod not_visible_yet;
mod once;
mod patiently;
mod retry;
mod run_command;
mod sdk_error;
mod tags;
mod token;
mod usual_region;

pub use clients::{Aws, Connect, Settings};
pub use error::{Error, Result, gone};
pub use fresh::follow_up;
pub use patiently::patiently;
pub use run_command::{Ran, run_command};
pub use tags::{Tags, tag_value};
pub use usual_region::usual_region;
