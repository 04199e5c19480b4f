//! A look that is repeated as a whole. The SDK repeats single reads (see `retry.rs`); a look that also changes something,
//! or whose single reads gave up, begins anew.

use std::time::Duration;

use tokio::time::sleep;

use super::Result;

/// Pauses between tries: eight seconds in all, for what a moment mends.
const PAUSES: [Duration; 5] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// Asks again where the answer was lost, said nothing, or was "slower".
///
/// # Errors
/// The last answer's.
pub async fn patiently<T, F>(mut read: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    for pause in PAUSES {
        match read().await {
            Err(err) if err.is_ambiguous() || err.is_throttled() => sleep(pause).await,
            other => return other,
        }
    }
    read().await
}
