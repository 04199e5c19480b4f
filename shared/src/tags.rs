//! The tags that make a resource ours and say which node of the stack it is.

/// Tag key whose value is the stack's name. Every listing filters on it; what lacks it is never touched.
pub const STACK: &str = "lamp:stack";

/// Tag key whose value is the node's name in the stack, such as `subnet/public-subnet-a1`.
pub const NODE: &str = "lamp:node";

/// Tag key of the name that the AWS console shows: the lab's own name for the resource.
pub const NAME: &str = "Name";

/// Tag key of a scaling group: the number of hosts that was last asked for.
pub const DESIRED: &str = "lamp:desired";

/// Begins the keys of the tags in which the VPC keeps where its stack's nodes are; a node's name follows.
pub const SEEN: &str = "lamp:seen:";
