//! What takes its time to go, as AWS lets it go.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use http_body_util::Full;

use super::{Door, document, unavailable};
use crate::cloud::call::Call;
use crate::cloud::guards;
use crate::cloud::life::{self, Kind};
use crate::cloud::promotion;
use crate::cloud::sync::Sync;
use crate::cloud::xml::{Element, Node};

impl Door {
    /// What takes its time to go: answered at once, done when AWS would be done. `None`: that is not the case.
    pub(super) async fn let_go(
        self: &Arc<Door>,
        sync: &Arc<Sync>,
        call: &Call,
        parts: &Parts,
        body: &Bytes,
    ) -> Option<Response<Full<Bytes>>> {
        let (kind, id, length, word) = life::leaving(call)?;
        if !guards::exists(sync, kind, &id).await {
            return None;
        }
        let (again, over) = {
            let mut known = self.shared.lock();
            let again = known.lives.word(kind, &id) == Some(word);
            known.lives.leave(kind, &id, word);
            (again, known.lives.time.now() + length)
        };
        let answer = match kind {
            Kind::Database => self.described(call, parts, &id).await,
            Kind::NatGateway => {
                let text = |name: &str, text: &str| {
                    Node::Element(Element::new(name, vec![Node::Text(text.to_owned())]))
                };
                let nodes = vec![text("requestId", "front-door"), text("natGatewayId", &id)];
                document(Element::new("DeleteNatGatewayResponse", nodes).write(), "text/xml")
            }
            _ => {
                let mut answer = Response::new(Full::default());
                *answer.status_mut() = StatusCode::NO_CONTENT;
                answer
            }
        };
        if !again {
            let request = self.question(call, parts.clone(), body);
            let (door, sync) = (Arc::clone(self), Arc::downgrade(sync));
            tokio::spawn(async move {
                let left = || door.shared.lock().lives.time.until(over);
                while let Some(left) = left() {
                    tokio::time::sleep(left).await;
                }
                if let (Kind::Database, Some(sync)) = (kind, sync.upgrade()) {
                    promotion::orphans(&sync, &id);
                }
                // What fails is still there, and says so as soon as its life here has ended.
                let done = door.clients.way.ask(request).await.is_ok_and(|it| it.status().is_success());
                let mut known = door.shared.lock();
                if kind == Kind::NatGateway && done {
                    known.gone_gateways.insert(id.clone());
                }
                known.lives.end(kind, &id);
                known.changes += 1;
            });
        }
        Some(answer)
    }

    /// A database in the answer to its deletion.
    async fn described(&self, call: &Call, parts: &Parts, id: &str) -> Response<Full<Bytes>> {
        let form = format!("Action=DescribeDBInstances&Version=2014-10-31&DBInstanceIdentifier={id}");
        let request = self.question(call, parts.clone(), &Bytes::from(form));
        let answer = match self.clients.way.ask(request).await {
            Ok(answer) => self.reply(call, answer),
            Err(err) => return unavailable(&format!("{err:#}")).answer(call),
        };
        let text = String::from_utf8_lossy(answer.body());
        let found = Element::parse(&text).and_then(|mut it| {
            let mut found = None;
            it.each(&mut |it| {
                if it.name == "DBInstance" {
                    found = Some(it.clone());
                }
            });
            found
        });
        let result = Element::new("DeleteDBInstanceResult", found.map(Node::Element).into_iter().collect());
        let whole = Element::new("DeleteDBInstanceResponse", vec![Node::Element(result)]);
        document(whole.write(), "text/xml")
    }
}
