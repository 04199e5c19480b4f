//! The architecture: what a configuration asks for, part by part.

mod firewall;
mod network;

use firewall::Firewall;
use network::Network;

use crate::{config::Config, engine::Stack};

/// The whole architecture; `lamp graph` draws it.
pub fn stack(c: &Config) -> Stack {
    let mut s = Stack::new(&c.stack, c.tags.clone());
    if c.parts.network {
        let net = network::network(&mut s, c);
        let _firewall = firewall::firewall(&mut s, c, &net);
    }
    s
}
