//! Calls on something that was made a moment ago, and that AWS does not know everywhere yet.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Error, Result};

/// Seconds, as a rule.
const BUDGET: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(2);

/// Makes a call that follows a creation, again and again while AWS says that there is no such thing: an
/// error here would look as if the creation had failed, and what has no unique name would be made twice.
///
/// # Errors
/// The call's own.
pub async fn follow_up<T, E, Fut>(call: impl Fn() -> Fut) -> Result<T>
where
    Fut: Future<Output = std::result::Result<T, E>>,
    Error: From<E>,
{
    let deadline = Instant::now() + BUDGET;
    let mut pause = Duration::from_millis(250);
    loop {
        match call().await.map_err(Error::from) {
            Err(err) if err.is_missing() && Instant::now() < deadline => sleep(pause).await,
            other => return other,
        }
        pause = (pause * 2).min(LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn what_is_not_known_yet_is_asked_for_again_and_other_errors_are_told_at_once() {
        let calls = Cell::new(0);
        let answer = |code: &'static str| {
            calls.set(calls.get() + 1);
            let is_known = 1 < calls.get();
            async move {
                let mut err = Error::refused("says the test");
                err.code = code.into();
                if is_known { Ok(7) } else { Err(err) }
            }
        };
        assert_eq!(follow_up(|| answer("InvalidVpcID.NotFound")).await.unwrap(), 7);
        assert_eq!(calls.replace(0), 2);
        assert!(follow_up(|| answer("UnauthorizedOperation")).await.is_err());
        assert_eq!(calls.get(), 1);
    }
}
