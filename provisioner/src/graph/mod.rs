//! The architecture as a picture, for people and for documents; needs no account.
//!
//! [`picture`] turns a stack's nodes into what an architect draws (region, VPC, zones, subnets, who
//! talks to whom); Mermaid, DOT and SVG are three ways of writing that down.

mod facts;
mod picture;

mod arrows;
mod place;

mod dot;
mod mermaid;
mod svg;

#[cfg(test)]
mod tests;

use crate::engine::Stack;

/// For Markdown: renders in place on most forges.
pub fn mermaid(stack: &Stack) -> String {
    mermaid::write(&place::picture(stack))
}

/// For Graphviz.
pub fn dot(stack: &Stack) -> String {
    dot::write(&place::picture(stack))
}

/// A finished picture, light or dark as its reader prefers.
pub fn svg(stack: &Stack) -> String {
    svg::write(&place::picture(stack))
}
