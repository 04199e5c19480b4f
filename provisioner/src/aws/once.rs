//! Answers that several kinds read, fetched once per look at the account.

use std::{
    any::Any,
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::OnceCell;

use super::Result;

type Cell = Arc<OnceCell<Arc<dyn Any + Send + Sync>>>;

/// A cache that lives as long as one look; `forget` begins the next.
#[derive(Default)]
pub(super) struct Once(Mutex<HashMap<String, Cell>>);

impl Once {
    pub(super) async fn get<T, F>(&self, key: &str, fetch: impl FnOnce() -> F) -> Result<Arc<T>>
    where
        T: Send + Sync + 'static,
        F: Future<Output = Result<T>>,
    {
        let cell = self.cells().entry(key.to_owned()).or_default().clone();
        let fetched = cell
            .get_or_try_init(|| async {
                Ok::<_, super::Error>(Arc::new(fetch().await?) as Arc<dyn Any + Send + Sync>)
            })
            .await?;
        fetched.clone().downcast().map_err(|_| super::Error::refused(format!("{key} is read as two types")))
    }

    pub(super) fn forget(&self) {
        self.cells().clear();
    }

    fn cells(&self) -> MutexGuard<'_, HashMap<String, Cell>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
