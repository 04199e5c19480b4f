//! All that `lamp` shows and asks. Commands hand over what there is to say; a renderer decides how.

mod out;
mod paint;

mod areas;
mod plan;
mod report;
mod status;
mod sweep;

mod document;
mod progress;

mod json;
mod plain;
mod terminal;

mod ask;
mod fault;

pub use document::Document;
pub use fault::fault;
pub use status::{NodeStatus, Status, TargetStatus};
pub use sweep::{Leftover, Sweep};

use std::{
    io::{self, IsTerminal, Write},
    pin::pin,
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::{MissedTickBehavior, interval},
};

use crate::{
    config::ConfigErrors,
    engine::{Event, Events, Plan, Report},
    timing::Forecast,
};
use ask::Asker;
use out::Out;
use paint::Paint;

/// Shows what happens, in one manner.
pub trait Renderer: Send {
    /// A run begins.
    fn begin(&mut self, forecast: &Forecast);
    fn event(&mut self, event: &Event);
    /// Some time has passed during a run.
    fn tick(&mut self) {}
    /// The run is over.
    fn end(&mut self) {}
    /// Something that is to be read as a whole; also in the middle of a run.
    fn show(&mut self, document: &Document<'_>);
}

/// The three manners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Live progress, for a person who watches.
    Terminal,
    /// One line an event, for logs and pipes.
    Plain,
    /// One object a line, for programs.
    Json,
}

/// What `lamp` talks through.
pub struct Ui {
    look: Look,
    renderer: Box<dyn Renderer>,
    asker: Asker,
    notes: (UnboundedSender<String>, UnboundedReceiver<String>),
    /// How long the last run took.
    took: Option<Duration>,
}

/// A way to say something while a run is being watched, from anywhere.
#[derive(Clone)]
pub struct Notes(UnboundedSender<String>);

impl Notes {
    pub fn send(&self, text: impl Into<String>) {
        // Nobody left to read it is no reason to fail.
        let _ = self.0.send(text.into());
    }
}

/// How often a live display is drawn: smooth to the eye, nothing to the processor.
const TICK: Duration = Duration::from_millis(125);

impl Ui {
    /// On this process's own output: JSON if asked for, live on a terminal, otherwise plain.
    pub fn new(json: bool, no_color: bool) -> Ui {
        let dumb = std::env::var("TERM").is_ok_and(|it| it == "dumb");
        let look = match (json, io::stdout().is_terminal() && !dumb) {
            (true, _) => Look::Json,
            (_, true) => Look::Terminal,
            (_, false) => Look::Plain,
        };
        let colours = look == Look::Terminal && !no_color && wants_colours();
        Ui::on(look, colours, Box::new(io::stdout()))
    }

    /// In a given manner on a given writer.
    pub fn on(look: Look, colours: bool, to: Box<dyn Write + Send>) -> Ui {
        let (out, paint) = (Out::new(to), Paint { colours });
        let renderer: Box<dyn Renderer> = match look {
            Look::Terminal => Box::new(terminal::Terminal::new(out, paint, terminal::size)),
            Look::Plain => Box::new(plain::Plain::new(out, paint)),
            Look::Json => Box::new(json::Json::new(out)),
        };
        Ui { look, renderer, asker: Asker::stdin(), notes: unbounded_channel(), took: None }
    }

    /// Runs `work` and shows its events until it is done.
    pub async fn watch<F: Future>(
        &mut self,
        forecast: &Forecast,
        work: impl FnOnce(Events) -> F,
    ) -> F::Output {
        let (sender, mut events) = unbounded_channel();
        let began = Instant::now();
        self.renderer.begin(forecast);
        let mut work = pin!(work(Events(sender)));
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let end = loop {
            tokio::select! {
                Some(event) = events.recv() => self.renderer.event(&event),
                Some(text) = self.notes.1.recv() => self.renderer.show(&Document::Note(&text)),
                end = &mut work => break end,
                _ = ticks.tick() => self.renderer.tick(),
            }
        };
        while let Ok(event) = events.try_recv() {
            self.renderer.event(&event);
        }
        self.renderer.end();
        self.took = Some(began.elapsed());
        end
    }

    /// For those who have something to say while `watch` holds the display.
    pub fn notes(&self) -> Notes {
        Notes(self.notes.0.clone())
    }

    /// A sentence for the operator.
    pub fn note(&mut self, text: &str) {
        self.show(&Document::Note(text));
    }

    /// What would be done, and how long it takes.
    pub fn plan(&mut self, plan: &Plan, forecast: &Forecast) {
        self.show(&Document::Plan(plan, forecast));
    }

    /// How a run ended.
    pub fn report(&mut self, report: &Report) {
        self.show(&Document::Report(report, self.took));
    }

    /// How the stack is.
    pub fn status(&mut self, status: &Status) {
        self.show(&Document::Status(status));
    }

    /// Where the site can be seen: label and URL.
    pub fn addresses(&mut self, addresses: &[(String, String)]) {
        self.show(&Document::Addresses(addresses));
    }

    /// What is left after a removal.
    pub fn sweep(&mut self, sweep: &Sweep) {
        self.show(&Document::Sweep(sweep));
    }

    /// Any other result: `text` for people, `{"event": event, …object}` for programs.
    pub fn result(&mut self, event: &str, object: &impl Serialize, text: &str) {
        self.show(&Document::result(event, object, text));
    }

    /// Text that is the product itself, such as a picture or a schema: as it is, in every manner.
    pub fn raw(&mut self, text: &str) {
        self.show(&Document::Raw(text));
    }

    /// Everything that is wrong with a configuration: as an object for programs, otherwise on stderr with
    /// excerpts of the file.
    pub fn config_errors(&mut self, errors: &ConfigErrors) {
        if self.look == Look::Json {
            return self.result("config-errors", errors, "");
        }
        let colours = io::stderr().is_terminal() && wants_colours();
        let (width, _) = terminal::size();
        // Without stderr there is nobody to tell.
        let _ = io::stderr().write_all(errors.render(colours, width).as_bytes());
    }

    fn show(&mut self, document: &Document<'_>) {
        while let Ok(text) = self.notes.1.try_recv() {
            self.renderer.show(&Document::Note(&text));
        }
        self.renderer.show(document);
    }

    /// Asks for a yes; `yes` is the flag `--yes`.
    ///
    /// # Errors
    /// Nobody is there to answer.
    pub fn confirm(&mut self, question: &str, yes: bool) -> anyhow::Result<bool> {
        self.asker.confirm(question, yes)
    }

    /// Asks to type `name`, for what cannot be undone; `yes` is the flag `--yes`.
    ///
    /// # Errors
    /// Nobody is there to answer.
    pub fn confirm_by_name(&mut self, question: &str, name: &str) -> anyhow::Result<bool> {
        self.asker.name(question, name)
    }
}

/// The convention of no-color.org.
fn wants_colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty())
}
