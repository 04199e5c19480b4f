//! The architecture: what a configuration asks for, part by part.

mod surroundings;

mod program;

mod network;

mod firewall;

mod storage;

mod database;

mod parameters;

mod entrance;

mod role;

mod hosts;

mod scaling;

mod site;

pub use surroundings::Surroundings;

use crate::{config::Config, engine::Stack};

/// The whole architecture; `lamp graph` draws it.
///
/// # Errors
/// The site's folder cannot be read, or the hosts' first script is too long.
pub fn stack(c: &Config, around: &Surroundings) -> anyhow::Result<Stack> {
    let mut s = Stack::new(&c.stack, c.tags.clone());
    if c.parts.network {
        let net = network::network(&mut s, c, around);
        let fw = firewall::firewall(&mut s, c, &net);
        let files = storage::storage(&mut s, c, &net, &fw);
        let data = database::database(&mut s, c, around, &net, &fw);
        if let Some(kit) = role::host_kit(&mut s, c, around, files.as_ref())? {
            parameters::parameters(&mut s, c, files.as_ref(), data.as_ref());
            let doors = entrance::entrances(&mut s, c, &net, &fw);
            hosts::public(&mut s, c, &net, &fw, &kit, &doors);
            let image = hosts::private(&mut s, c, &net, &fw, &kit, &doors);
            scaling::scaling(&mut s, c, &net, &fw, &kit, &doors, image);
        }
    }
    if c.parts.site {
        site::site(&mut s, c, around)?;
    }
    Ok(s)
}
