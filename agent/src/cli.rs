//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Makes a bare host a web server of a lamp stack, and keeps it one.
#[derive(Parser)]
#[command(name = "lampd", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Install this program as two services, write /etc/lamp/agent.toml, and start
    Install(Install),
    /// Follow the stack's parameters and converge this host (the service lampd)
    Run,
    /// Serve the index page (the service lampd-page)
    Page(Page),
    /// Bring this host in order now, without the service
    Converge {
        /// One pass; exit code 1 when the host is not in order afterwards
        #[arg(long, required = true)]
        once: bool,
    },
    /// Show every step, its state, its time and its last error
    Status {
        #[arg(long)]
        json: bool,
    },
    /// Install all that is the same on every host, then make this machine ready to become an image
    Bake {
        /// Leave machine id, host keys, logs and cloud-init's state as they are
        #[arg(long)]
        no_seal: bool,
    },
    /// Work on the lab's table; what was done is one line of JSON
    Db {
        #[command(subcommand)]
        what: Db,
    },
    /// Remove the services and everything they wrote; packages and the site stay
    Uninstall,
}

#[derive(Args)]
pub struct Install {
    #[arg(long)]
    pub region: String,
    #[arg(long)]
    pub stack: String,
    /// Where AWS is, when it is not AWS (an emulator)
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,
    /// Certificates to trust at that endpoint, beside the system's
    #[arg(long, value_name = "FILE")]
    pub ca_bundle: Option<PathBuf>,
    /// Certificates to trust at the database, instead of Amazon's (kept as /etc/lamp/database-ca.pem)
    #[arg(long, value_name = "FILE")]
    pub db_ca: Option<PathBuf>,
    /// Leave /var/www/html/index.php to its owner
    #[arg(long)]
    pub no_index_php: bool,
    /// Enable the services without starting them
    #[arg(long)]
    pub no_start: bool,
}

#[derive(Subcommand)]
pub enum Db {
    /// Make the table SAMPLE with the lab's rows, as far as they are missing
    Seed {
        /// Another server than the one that the site reads, such as the primary
        #[arg(long, value_name = "NAME")]
        server: Option<String>,
    },
    /// Add one row, unless it is there
    Add {
        name: String,
        address: String,
        /// Another server than the one that the site reads, such as the primary
        #[arg(long, value_name = "NAME")]
        server: Option<String>,
    },
}

#[derive(Args)]
pub struct Page {
    /// Where to listen when systemd passes no socket
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub listen: String,
    /// What the agent publishes
    #[arg(long, default_value = crate::feed::FILE, hide = true)]
    pub feed: PathBuf,
    #[arg(long, default_value = crate::feed::BEAT, hide = true)]
    pub beat: PathBuf,
    #[arg(long, default_value = "127.0.0.1:80", hide = true)]
    pub apache: String,
}

impl Page {
    pub fn places(self) -> crate::page::server::Places {
        let Page { listen, feed, beat, apache } = self;
        crate::page::server::Places { listen, feed, beat, apache }
    }
}
