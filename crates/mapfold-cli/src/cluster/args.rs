//! The words of `mapfold cluster`.

use clap::{Args, ValueEnum};
use mapfold::StoreArgs;
use mapfold::launch::emr::IdleTimeout;
use std::path::PathBuf;

/// Whose clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Amazon EMR on EC2.
    Emr,
}

/// Which region, and who asks.
#[derive(Args, Clone, Debug)]
pub struct Region {
    /// AWS region [default: that of your AWS settings]
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    #[command(flatten)]
    pub stores: StoreArgs,
}

/// When a cluster goes.
#[derive(Args, Clone, Debug)]
pub struct Teardown {
    /// Take it down when it has been idle (this is the default)
    #[arg(long, conflicts_with = "keep")]
    pub auto_terminate: bool,
    /// Idle for so long: 1h, 90m, from 1m to 7d
    #[arg(long, value_name = "TIME", default_value_t, conflicts_with = "keep")]
    pub idle_timeout: IdleTimeout,
    /// Let it stand, and cost, until `mapfold cluster destroy`
    #[arg(long)]
    pub keep: bool,
}

impl Teardown {
    pub fn idle(&self) -> Option<IdleTimeout> {
        (!self.keep).then_some(self.idle_timeout)
    }
}

/// How a cluster is made, whatever it is to be.
#[derive(Args, Clone, Debug)]
pub struct Making {
    #[command(flatten)]
    pub teardown: Teardown,
    /// Show what would be asked for, and make nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Return at once, not when it is ready
    #[arg(long)]
    pub no_wait: bool,
    #[command(flatten)]
    pub region: Region,
    /// As JSON on stdout
    #[arg(long)]
    pub json: bool,
}

/// Make a cluster
#[derive(Args, Clone, Debug)]
pub struct CreateArgs {
    /// Whose
    #[arg(value_enum)]
    pub kind: Kind,
    /// Nodes beside the primary one
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub instances: u32,
    /// Nodes on the spot market beside them: members may run there, the coordinator does not
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub spot: u32,
    /// Kind of the nodes [default: m6i.xlarge]
    #[arg(long, value_name = "TYPE")]
    pub instance_type: Option<String>,
    /// Kind of the primary node [default: m6i.xlarge]
    #[arg(long, value_name = "TYPE")]
    pub primary_type: Option<String>,
    /// Its name
    #[arg(long, value_name = "NAME", default_value = "mapfold")]
    pub name: String,
    /// Amazon's release of it [default: emr-7.5.0]
    #[arg(long, value_name = "LABEL")]
    pub release: Option<String>,
    /// Name of the EC2 key pair that `mapfold cluster ssh` uses
    #[arg(long, value_name = "NAME")]
    pub key: Option<String>,
    /// Subnet of the nodes
    #[arg(long, value_name = "SUBNET")]
    pub subnet: Option<String>,
    /// Where EMR puts logs: s3://bucket/folder/
    #[arg(long, value_name = "URI")]
    pub logs: Option<String>,
    /// Role of the service [default: EMR_DefaultRole]
    #[arg(long, value_name = "ROLE")]
    pub service_role: Option<String>,
    /// Role of the nodes, which reads and writes your data [default: EMR_EC2_DefaultRole]
    #[arg(long, value_name = "ROLE")]
    pub node_role: Option<String>,
    #[command(flatten)]
    pub making: Making,
}

/// Make a cluster like another one
#[derive(Args, Clone, Debug)]
pub struct CloneArgs {
    /// Its id: j-…
    pub id: String,
    #[command(flatten)]
    pub making: Making,
}

/// List the clusters that stand
#[derive(Args, Clone, Debug)]
pub struct ListArgs {
    /// Those that are gone too (EMR remembers two months)
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub region: Region,
    /// As JSON on stdout
    #[arg(long)]
    pub json: bool,
}

/// Open a shell on the primary node, or run a command there
#[derive(Args, Clone, Debug)]
pub struct SshArgs {
    /// Its id: j-…
    pub id: String,
    /// File with the private half of the cluster's key
    #[arg(long, short, value_name = "FILE")]
    pub identity: Option<PathBuf>,
    /// Show the command, and run nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub region: Region,
    /// A command, instead of a shell
    #[arg(last = true)]
    pub command: Vec<String>,
}

/// Take clusters down
#[derive(Args, Clone, Debug)]
pub struct DestroyArgs {
    /// Their ids: j-…
    #[arg(required = true)]
    pub ids: Vec<String>,
    /// Return at once, not when they are gone
    #[arg(long)]
    pub no_wait: bool,
    #[command(flatten)]
    pub region: Region,
}
