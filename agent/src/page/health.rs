//! Whether this host is fit, and how every part of it is.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::sync::{Mutex, watch};

use super::answer::Trouble;
use crate::{
    converge::{Reports, State},
    feed::{self, Feed},
    machine,
};

/// The loop turns every five seconds.
const SILENCE: Duration = Duration::from_secs(30);
/// How old the news of Apache may be; balancers ask more often than it changes.
const FRESH: Duration = Duration::from_secs(1);

pub struct Health {
    feed: watch::Receiver<Arc<Feed>>,
    beat: PathBuf,
    apache: String,
    last: Mutex<Option<(Instant, Result<(), String>)>>,
}

/// Every part, for `/readyz`.
#[derive(Serialize)]
pub struct Ready {
    /// Whether all of it is in order, the database included.
    pub ready: bool,
    /// Whether the balancer should send requests here: what `/healthz` says.
    pub fit: bool,
    pub converged: Part,
    pub apache: Part,
    pub agent: Part,
    pub configuration: Part,
    pub database: Part,
    pub files: Part,
    pub generation: Option<String>,
    pub steps: Reports,
}

#[derive(Serialize)]
pub struct Part {
    pub ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
}

impl Part {
    fn of(result: Result<(), String>) -> Part {
        Part { ok: result.is_ok(), words: result.err() }
    }
}

impl Health {
    pub fn new(feed: watch::Receiver<Arc<Feed>>, beat: PathBuf, apache: String) -> Health {
        Health { feed, beat, apache, last: Mutex::default() }
    }

    /// Whether this host is fit, else why not. Says nothing about the database: a failover must not make the
    /// balancer condemn every host.
    pub async fn fit(&self) -> Result<(), String> {
        self.converged()?;
        self.agent()?;
        self.apache().await
    }

    fn converged(&self) -> Result<(), String> {
        let feed = self.feed.borrow();
        if feed.converged {
            return Ok(());
        }
        if feed.steps.is_empty() {
            return Err("the agent has not reported yet".to_owned());
        }
        let open = feed.steps.iter().filter(|(_, it)| it.required && !it.held);
        let open: Vec<String> = open
            .map(|(name, it)| {
                it.words.as_ref().map_or_else(|| name.clone(), |words| format!("{name}: {words}"))
            })
            .collect();
        Err(format!("not converged: {}", open.join("; ")))
    }

    fn agent(&self) -> Result<(), String> {
        match feed::silence(&self.beat) {
            Some(it) if it <= SILENCE => Ok(()),
            Some(it) => Err(format!("the agent's loop has not turned for {} s", it.as_secs())),
            None => Err("the agent's loop has never turned".to_owned()),
        }
    }

    /// Apache serves the readiness file; many who ask at once share one question.
    async fn apache(&self) -> Result<(), String> {
        let came = Instant::now();
        let mut last = self.last.lock().await;
        // What is wrong may be right in a moment, and a boot is measured by it: bad news are only for those who waited
        // for them.
        if let Some((at, result)) = &*last
            && (at.elapsed() < FRESH && result.is_ok() || *at >= came)
        {
            return result.clone();
        }
        let result = match machine::get(&self.apache, "/lamp-ready").await {
            Ok(200) => Ok(()),
            Ok(status) => Err(format!("Apache answers /lamp-ready with {status}")),
            Err(err) => Err(format!("Apache: {err:#}")),
        };
        *last = Some((Instant::now(), result.clone()));
        result
    }

    /// Every part; the database as a look into it found it just now.
    pub async fn ready(&self, database: Option<&Trouble>) -> Ready {
        let apache = self.apache().await;
        let feed = self.feed.borrow().clone();
        let database = database.map_or(Ok(()), |it| Err(it.words()));
        let files = match feed.steps.get("efs") {
            Some(it) if it.state != State::Ok => Err(it.words.clone().unwrap_or_default()),
            _ => Ok(()),
        };
        let converged = self.converged();
        let agent = self.agent();
        let configuration = match &feed.trouble {
            Some(trouble) => Err(trouble.clone()),
            None if !feed.configured => Err("not read yet".to_owned()),
            None => Ok(()),
        };
        let fit = converged.is_ok() && agent.is_ok() && apache.is_ok();
        Ready {
            ready: fit && configuration.is_ok() && database.is_ok() && files.is_ok(),
            fit,
            converged: Part::of(converged),
            apache: Part::of(apache),
            agent: Part::of(agent),
            configuration: Part::of(configuration),
            database: Part::of(database),
            files: Part::of(files),
            generation: feed.generation.clone(),
            steps: feed.steps.clone(),
        }
    }
}
