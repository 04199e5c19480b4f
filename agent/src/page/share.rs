//! One query for many requests.
//!
//! The rule: every answer reflects a SELECT that began after its request came, or at most `share_ms` before (50 by
//! default; 0 means that every request has its own). A thousand requests in a moment so cost the database one query.

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use tokio::sync::watch;

use super::{
    answer::{Answer, Server, Trouble},
    json,
    link::Link,
    view,
};
use crate::feed::Feed;

/// Queries of this page under way at once; a slow database is not helped by more.
const FLIGHTS: usize = 4;

/// A page for many, in each of its forms from when somebody asks for that.
pub struct Snapshot {
    begun: Instant,
    content: Content,
    html: OnceLock<Bytes>,
    json: OnceLock<Bytes>,
}

/// What a page shows: the newest rows that there are, and what is wrong.
pub struct Content {
    pub feed: Arc<Feed>,
    pub good: Option<Arc<Good>>,
    pub trouble: Option<Trouble>,
    pub now: SystemTime,
}

/// The last answer of a database.
pub struct Good {
    pub answer: Answer,
    pub begun: Instant,
    pub at: SystemTime,
}

impl Snapshot {
    pub fn html(&self) -> Bytes {
        self.html.get_or_init(|| view::html(&self.content).into()).clone()
    }

    pub fn json(&self) -> Bytes {
        self.json.get_or_init(|| json::json(&self.content).into()).clone()
    }

    /// 200, or 503 while there are no rows to show.
    pub fn is_fine(&self) -> bool {
        self.content.good.is_some()
    }

    pub fn trouble(&self) -> Option<&Trouble> {
        self.content.trouble.as_ref()
    }
}

impl Content {
    /// Which database the rows are of, as long as it is the one that the stack has now.
    pub fn server(&self) -> Option<&Server> {
        let present = self.feed.database.as_ref()?;
        Some(&self.good.as_ref()?.answer.server).filter(|it| it.endpoint == present.endpoint)
    }
}

pub struct Share {
    board: Mutex<Board>,
    link: Arc<Link>,
    feed: watch::Receiver<Arc<Feed>>,
}

#[derive(Default)]
struct Board {
    latest: Option<Arc<Snapshot>>,
    good: Option<Arc<Good>>,
    flights: Vec<Flight>,
}

#[derive(Clone)]
struct Flight {
    begun: Instant,
    done: watch::Receiver<Option<Arc<Snapshot>>>,
}

enum Way {
    Ready(Arc<Snapshot>),
    /// Its answer will do.
    Ride(Flight),
    /// All are under way and too old: try again when one is back.
    Queue(Flight),
}

impl Share {
    pub fn new(link: Arc<Link>, feed: watch::Receiver<Arc<Feed>>) -> Arc<Share> {
        Arc::new(Share { board: Mutex::default(), link, feed })
    }

    /// The page for a request that came just now.
    pub async fn page(self: &Arc<Self>) -> Arc<Snapshot> {
        let came = Instant::now();
        let window = Duration::from_millis(self.feed.borrow().share_ms);
        if window.is_zero() {
            return self.fly(came).await;
        }
        let oldest = came.checked_sub(window).unwrap_or(came);
        loop {
            let way = self.find(oldest);
            match way {
                Way::Ready(page) => return page,
                Way::Ride(mut flight) => {
                    if let Ok(page) = flight.done.wait_for(Option::is_some).await
                        && let Some(page) = page.clone()
                    {
                        return page;
                    }
                }
                Way::Queue(mut flight) => drop(flight.done.wait_for(Option::is_some).await),
            }
        }
    }

    fn find(self: &Arc<Self>, oldest: Instant) -> Way {
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(page) = board.latest.as_ref().filter(|it| it.begun >= oldest) {
            return Way::Ready(page.clone());
        }
        // One that ended without a word (its task died) must not be ridden again.
        board.flights.retain(|it| it.done.has_changed().is_ok());
        if let Some(flight) = board.flights.iter().find(|it| it.begun >= oldest) {
            return Way::Ride(flight.clone());
        }
        if board.flights.len() >= FLIGHTS {
            return Way::Queue(board.flights[0].clone());
        }
        let begun = Instant::now();
        let (tell, done) = watch::channel(None);
        let flight = Flight { begun, done };
        board.flights.push(flight.clone());
        // In a task of its own: whoever asked first may hang up, the others still ride.
        let share = self.clone();
        tokio::spawn(async move {
            let page = share.fly(begun).await;
            let mut board = share.board.lock().unwrap_or_else(PoisonError::into_inner);
            board.flights.retain(|it| it.begun != begun);
            if board.latest.as_ref().is_none_or(|it| it.begun < page.begun) {
                board.latest = Some(page.clone());
            }
            drop(board);
            tell.send_replace(Some(page));
        });
        Way::Ride(flight)
    }

    /// One query, and the page that comes of it.
    async fn fly(&self, begun: Instant) -> Arc<Snapshot> {
        let at = SystemTime::now();
        let result = self.link.ask().await;
        let (good, trouble) = match result {
            Ok(answer) => {
                let good = Arc::new(Good { answer, begun, at });
                let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
                if board.good.as_ref().is_none_or(|it| it.begun < begun) {
                    board.good = Some(good.clone());
                }
                (Some(good), None)
            }
            Err(trouble) => {
                let board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
                (board.good.clone(), Some(trouble))
            }
        };
        let content = Content { feed: self.feed.borrow().clone(), good, trouble, now: SystemTime::now() };
        Arc::new(Snapshot { begun, content, html: OnceLock::new(), json: OnceLock::new() })
    }
}
