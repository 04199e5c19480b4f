//! What an instance shall be, before there is one.

use std::net::Ipv4Addr;

use crate::image::{CLOUD_INIT_OFF, Image};
use crate::instance::Instance;
use crate::metadata::Metadata;
use crate::region::Region;
use crate::wire::{Ask, InstanceSpec};

/// What an instance shall be.
pub struct Builder {
    region: Region,
    name: String,
    image: Image,
    address: Option<Ipv4Addr>,
    cpu: Option<f64>,
    files: Vec<(String, Vec<u8>, u32)>,
    metadata: Option<Metadata>,
}

impl Builder {
    pub(crate) fn new(region: &Region, name: &str) -> Builder {
        let (region, name) = (region.clone(), name.to_owned());
        Builder {
            region,
            name,
            image: Image::plain(),
            address: None,
            cpu: None,
            files: Vec::new(),
            metadata: None,
        }
    }

    /// What is on its disk; [`Image::plain`] if nothing is said.
    #[must_use]
    pub fn image(mut self, image: Image) -> Builder {
        self.image = image;
        self
    }

    /// Its address, in 10.1.0.0/16; a free one in 10.1.3.0/24 if nothing is said.
    #[must_use]
    pub fn address(mut self, address: Ipv4Addr) -> Builder {
        self.address = Some(address);
        self
    }

    /// At most this share of one processor.
    #[must_use]
    pub fn cpu(mut self, share: f64) -> Builder {
        self.cpu = Some(share);
        self
    }

    /// A file that is there before it boots.
    #[must_use]
    pub fn file(mut self, path: &str, content: impl Into<Vec<u8>>, mode: u32) -> Builder {
        self.files.push((path.to_owned(), content.into(), mode));
        self
    }

    /// Gives it a metadata service, and lets cloud-init run what that says.
    #[must_use]
    pub fn metadata(mut self, it: Metadata) -> Builder {
        self.metadata = Some(it);
        self
    }

    /// Makes it without starting it. The image is built first if this machine does not have it yet.
    ///
    /// # Errors
    /// If the name or the address is taken, or the image cannot be built.
    pub fn create(self) -> anyhow::Result<Instance> {
        let layers = self.image.layers(self.region.state())?;
        let address = self.address.unwrap_or_else(|| self.region.free_address());
        self.region.choose(address);
        let spec = InstanceSpec { name: self.name.clone(), address, layers: layers.clone(), cpu: self.cpu };
        self.region.ask(Ask::Create(spec))?;
        let it = Instance { region: self.region, name: self.name, address, layers };
        let furnish = || {
            if let Some(metadata) = self.metadata {
                it.describe(metadata)?;
                it.erase(CLOUD_INIT_OFF)?;
            }
            self.files.iter().try_for_each(|(path, content, mode)| it.put(path, content, *mode))
        };
        if let Err(err) = furnish() {
            // Its name and address must be free for the next attempt.
            it.terminate()?;
            return Err(err);
        }
        Ok(it)
    }

    /// Makes it, starts it, and waits until all its services run.
    ///
    /// # Errors
    /// As [`Builder::create`], and if a service of it fails.
    pub fn boot(self) -> anyhow::Result<Instance> {
        let it = self.create()?;
        it.start()?;
        it.wait_until_running()?;
        Ok(it)
    }
}
