//! One object a line, each with a key `event`: for programs.

use serde::Serialize;
use serde_json::json;

use super::{Document, Renderer, out::Out};
use crate::{engine::Event, timing::Forecast};

pub(super) struct Json {
    out: Out,
}

impl Json {
    pub(super) fn new(out: Out) -> Self {
        Json { out }
    }

    #[expect(clippy::expect_used, reason = "plain data with text for keys, which always serialises")]
    fn line(&mut self, object: &impl Serialize) {
        self.out.line(&serde_json::to_string(object).expect("plain data"));
    }
}

impl Renderer for Json {
    fn begin(&mut self, forecast: &Forecast) {
        let seconds = forecast.total.as_secs();
        self.line(&json!({
            "event": "begin",
            "nodes": forecast.work(),
            "seconds": seconds,
            "chain": forecast.chain,
        }));
    }

    fn event(&mut self, event: &Event) {
        self.line(event);
    }

    fn show(&mut self, document: &Document<'_>) {
        match document {
            Document::Raw(text) => self.out.write(text),
            other => {
                if let Some(object) = other.object() {
                    self.line(&object);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::{
        engine::{Outcome, Report, Verb, What},
        ui::{Look, Ui, plain::tests::Screen},
    };

    #[tokio::test]
    async fn every_line_is_one_object_that_says_what_it_is() {
        let screen = Screen::default();
        let mut ui = Ui::on(Look::Json, false, Box::new(screen.clone()));
        let forecast = crate::timing::removal(["vpc/lab-vpc"]);
        ui.watch(&forecast, |events| async move {
            let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1500);
            let send = |what| events.0.send(Event { at, node: "vpc/lab-vpc".into(), what }).unwrap();
            send(What::Started { verb: Verb::Delete });
            send(What::Done { took: Duration::from_millis(2250) });
        })
        .await;
        ui.took = None;
        ui.report(&Report { nodes: vec![("vpc/lab-vpc".into(), Outcome::Changed)] });
        ui.note("two\nlines");
        ui.result("load", &json!({ "requests": 3 }), "3 requests");
        insta::assert_snapshot!(screen.text());
    }
}
