//! Changes that may be made twice. The SDK repeats reads only (see `retry.rs`); what is repeated here does no harm.

use std::time::Duration;

use tokio::time::sleep;

use super::{Error, Result};

/// Pauses between tries: eight seconds in all, for what a moment mends.
const PAUSES: [Duration; 5] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// Makes a change again where the answer was lost or said nothing: for changes that are the same made twice.
///
/// # Errors
/// The last answer's.
pub async fn patiently<T, E, F>(mut change: impl FnMut() -> F) -> Result<T>
where
    Error: From<E>,
    F: Future<Output = std::result::Result<T, E>>,
{
    for pause in PAUSES {
        match change().await.map_err(Error::from) {
            Err(err) if err.is_ambiguous() => sleep(pause).await,
            other => return other,
        }
    }
    Ok(change().await?)
}
