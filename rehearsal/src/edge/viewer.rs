//! Where viewers are, and what distance costs them.
//!
//! A viewer is near to the region of the site's bucket, or on the other side of the world. Both have an edge location
//! of CloudFront around the corner; what it does not keep it fetches from the bucket. Nothing divides these times: they
//! are as long as they are on AWS.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use clap::ValueEnum;

/// From where somebody looks at the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Viewer {
    /// From the bucket's own part of the world
    Near,
    /// From the other side of it
    Far,
}

impl Viewer {
    /// Who connects from anywhere else is near.
    pub(super) const FAR: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 20);

    pub(super) fn at(peer: IpAddr) -> Viewer {
        if peer == IpAddr::V4(Viewer::FAR) { Viewer::Far } else { Viewer::Near }
    }

    /// The address from which this viewer's connections come.
    pub(crate) fn address(self) -> Ipv4Addr {
        match self {
            Viewer::Near => crate::OPERATOR,
            Viewer::Far => Viewer::FAR,
        }
    }

    /// There and back, to the edge location around the corner.
    pub(super) const TO_EDGE: Duration = Duration::from_millis(5);

    /// There and back, from this part of the world to the bucket.
    pub(super) fn to_bucket(self) -> Duration {
        match self {
            Viewer::Near => Duration::from_millis(10),
            Viewer::Far => Duration::from_millis(180),
        }
    }

    /// As CloudFront would name the location.
    pub(super) fn location(self) -> &'static str {
        match self {
            Viewer::Near => "NEAR1-P1",
            Viewer::Far => "FAR1-P1",
        }
    }
}
