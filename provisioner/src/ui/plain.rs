//! One line an event with the seconds since the start, for logs and pipes.

use std::{
    collections::HashMap,
    time::{Instant, SystemTime},
};

use super::{
    Document, Renderer,
    out::Out,
    paint::{Paint, about, count, tame, words},
};
use crate::{
    engine::{Event, Verb, What},
    timing::Forecast,
};

pub(super) struct Plain {
    out: Out,
    paint: Paint,
    began: (Instant, SystemTime),
    /// Why each node waits, as last told: the same reason again is no news.
    waiting: HashMap<String, String>,
}

impl Plain {
    pub(super) fn new(out: Out, paint: Paint) -> Self {
        Plain { out, paint, began: (Instant::now(), SystemTime::now()), waiting: HashMap::new() }
    }
}

impl Renderer for Plain {
    fn begin(&mut self, forecast: &Forecast) {
        self.began = (Instant::now(), SystemTime::now());
        self.waiting.clear();
        if forecast.work() == 0 {
            return;
        }
        let usually = match forecast.total {
            it if it.is_zero() => String::new(),
            it => format!(", about {} on AWS", about(it)),
        };
        self.out.line(&format!("{} to do{usually}", count(forecast.work(), "resource")));
    }

    fn event(&mut self, event: &Event) {
        let says = match &event.what {
            What::Started { verb } => doing(*verb).to_owned(),
            What::Waiting { why } => {
                let why = tame(why);
                if self.waiting.insert(event.node.clone(), why.clone()).as_ref() == Some(&why) {
                    return;
                }
                format!("waiting: {why}")
            }
            What::Done { took } => format!("done in {}", words(*took)),
            What::Failed { why } => format!("FAILED: {}", tame(why)),
            What::Skipped { because } => format!("skipped, since {because}{}", failed(because)),
        };
        let since = event.at.duration_since(self.began.1).unwrap_or_default().as_secs_f64();
        self.out.line(&format!("{since:7.1}s  {}: {says}", event.node));
    }

    fn show(&mut self, document: &Document<'_>) {
        self.out.write(&document.text(self.paint));
    }
}

/// What a verb looks like while it goes on.
pub(super) fn doing(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "creating",
        Verb::Configure => "changing",
        Verb::Delete => "deleting",
    }
}

/// A reason that is a node stands for that node's failure; others are sentences already.
fn failed(because: &str) -> &'static str {
    if because.contains('/') { " failed" } else { "" }
}

#[cfg(test)]
pub(super) mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
        time::Duration,
    };

    use super::*;
    use crate::ui::{Look, Ui};

    /// A writer whose text can be read back.
    #[derive(Clone, Default)]
    pub(in crate::ui) struct Screen(Arc<Mutex<Vec<u8>>>);

    impl Screen {
        pub(in crate::ui) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Screen {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_same_reason_is_told_once() {
        let screen = Screen::default();
        let mut plain = Plain::new(Out::new(Box::new(screen.clone())), Paint { colours: false });
        plain.begin(&crate::timing::removal(["nat-gateway/a", "subnet/a"]));
        let start = plain.began.1;
        let mut tell = |ms, node: &str, what| {
            plain.event(&Event { at: start + Duration::from_millis(ms), node: node.into(), what });
        };
        let waiting = |why: &str| What::Waiting { why: why.into() };
        tell(0, "nat-gateway/a", What::Started { verb: Verb::Create });
        tell(1000, "nat-gateway/a", waiting("pending"));
        tell(2000, "nat-gateway/a", waiting("pending"));
        tell(3000, "nat-gateway/a", waiting("the change to show"));
        tell(92_400, "nat-gateway/a", What::Done { took: Duration::from_secs(92) });
        tell(92_500, "subnet/a", What::Failed { why: "ec2:CreateSubnet:\nno".into() });
        tell(92_500, "route-table/a", What::Skipped { because: "subnet/a".into() });
        insta::assert_snapshot!(screen.text());
    }

    /// A reader that went away.
    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_reader_that_went_away_does_not_stop_the_work() {
        let mut ui = Ui::on(Look::Plain, false, Box::new(Gone));
        let end = ui.watch(&Forecast::default(), |_| async { 42 }).await;
        ui.note("unheard");
        assert_eq!(end, 42);
    }
}
