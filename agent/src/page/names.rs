//! Asking the name service, again and again, without ever hanging.

use std::{net::IpAddr, time::Duration};

use tokio::time::timeout;

/// Name resolution that never has two questions under way: a dead name service holds a thread for seconds.
#[derive(Default)]
pub(super) struct Names(Option<tokio::task::JoinHandle<std::io::Result<Vec<IpAddr>>>>);

/// What came of a question.
pub(super) enum Resolved {
    At(Vec<IpAddr>),
    Nowhere,
    /// The name service takes its time; the question stands.
    Later,
}

impl Names {
    /// Where a name leads now.
    pub(super) async fn resolve(&mut self, name: &str) -> Resolved {
        if let Ok(address) = name.parse() {
            return Resolved::At(vec![address]);
        }
        let name = name.to_owned();
        let task = self.0.get_or_insert_with(|| {
            tokio::spawn(async move {
                let found = tokio::net::lookup_host((name, 0)).await?;
                Ok(found.map(|it| it.ip()).collect())
            })
        });
        match timeout(Duration::from_millis(500), task).await {
            Err(_) => Resolved::Later,
            Ok(done) => {
                self.0 = None;
                match done {
                    Ok(Ok(addresses)) if !addresses.is_empty() => Resolved::At(addresses),
                    _ => Resolved::Nowhere,
                }
            }
        }
    }
}
