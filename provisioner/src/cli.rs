//! What can be typed.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::config::Server;

/// What is read where no other file is named.
pub const DEFAULT_FILE: &str = "lamp.toml";

/// Builds a highly available LAMP site on AWS, shows it, and takes it away again without a trace.
#[derive(Debug, Parser)]
#[command(name = "lamp", version, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that every command takes.
#[derive(Clone, Debug, clap::Args)]
pub struct Global {
    /// The configuration [default: lamp.toml; where there is none, the lab as it is]
    #[arg(long, short, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where to build; otherwise LAMP_ON. [default: rehearsal, unless --endpoint-url, --profile or
    /// AWS_ENDPOINT_URL says that it is AWS]
    #[arg(long, global = true, value_enum)]
    pub on: Option<Target>,
    /// How many times faster than AWS a rehearsal cloud runs that has to be started, or `real` [default: 60]
    #[arg(long, global = true, value_name = "FACTOR")]
    pub clock: Option<rehearsal::cli::Clock>,
    /// The profile of the AWS configuration; otherwise AWS_PROFILE
    #[arg(long, global = true, value_name = "NAME")]
    pub profile: Option<String>,
    /// The region; otherwise that of the configuration; on AWS then AWS_REGION, AWS_DEFAULT_REGION, the profile's
    #[arg(long, global = true, value_name = "REGION")]
    pub region: Option<String>,
    /// An emulator's address; otherwise AWS_ENDPOINT_URL
    #[arg(long, global = true, value_name = "URL")]
    pub endpoint_url: Option<String>,
    /// One JSON object a line instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// No colours, on a terminal either
    #[arg(long, global = true)]
    pub no_color: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// A small cloud on this machine: real hosts, networks and databases; no account, no costs
    Rehearsal,
    /// AWS, or whatever speaks its language at the endpoint
    Aws,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a commented lamp.toml whose values are the lab's
    Init {
        /// Print the JSON schema of lamp.toml for editors instead
        #[arg(long)]
        schema: bool,
    },
    /// Show what `up` would do; exit code 0: nothing, 2: changes, 1: error
    Plan,
    /// Build what is missing and repair what differs
    Up {
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
        /// Do not wait until the hosts are healthy in their target groups
        #[arg(long)]
        no_wait: bool,
    },
    /// Show every resource, the hosts' health and the addresses; exit code 1 if not all is well
    Status,
    /// Draw the architecture
    Graph {
        #[arg(long, short, value_enum, default_value_t = Format::Mermaid)]
        format: Format,
    },
    /// Take everything away
    Down {
        /// Do not ask for the stack's name
        #[arg(long, short)]
        yes: bool,
        /// Keep a last snapshot of the database, which costs money until you delete it
        #[arg(long)]
        final_snapshot: bool,
    },
    /// Log in to a host through the bastion
    Ssh {
        /// The host's name, such as private-ec2-a1, or an instance's id; otherwise the first bastion
        host: Option<String>,
        /// What to run there
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// Work on the lab's table, by way of a host
    Db {
        #[command(subcommand)]
        what: Db,
    },
    /// The rehearsal cloud of this machine: start and stop it, look into it, break things in it
    Rehearsal {
        #[command(subcommand)]
        command: rehearsal::cli::Command,
    },
    /// Break the lock that another run holds
    Unlock {
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum Db {
    /// Make the table SAMPLE with the lab's rows, as far as they are missing
    Seed,
    /// Add one row, unless it is there
    Add { name: String, address: String },
    /// Let all hosts read another of the database's servers; lamp.toml says it from then on
    Use {
        server: Server,
        /// Do not wait until all hosts have taken it over
        #[arg(long)]
        no_wait: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Mermaid,
    Dot,
    Svg,
}
