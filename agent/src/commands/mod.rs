//! What a person or user data asks for once.

pub mod install;

pub mod status;

pub mod bake;

pub mod db;
