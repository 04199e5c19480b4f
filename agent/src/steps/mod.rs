//! The steps, in the order of the lab notes.

pub mod packages;

mod heal;

mod torn;

pub mod accounts;

pub mod efs;

pub mod dbinfo;

pub mod php;

pub mod index;

pub mod apache;

pub mod web;

pub mod local_database;

pub mod page;

pub mod ready;
