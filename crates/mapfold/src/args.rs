//! The options that every job has beside its own.

mod parse;

use crate::{Error, Result};
use clap::{Args, ValueEnum};
use mapfold_coord::OnError;
use mapfold_engine::{MemoryLimit, RunOptions, Shuffle, default_memory_limit};
use mapfold_grid::{DType, Window};
use mapfold_launch::{SshHost, Target};
use mapfold_plan::PlanOptions;
use mapfold_plan::memory::Chunks;
use mapfold_raster::write::{BigTiff, Compress, Format, MaskChoice, Overviews, Predictor, Resampling};
use mapfold_raster::{ReadOptions, Scale, WriteOverrides};
use parse::{
    between, choice, dtypes, parse_bbox, parse_bind, parse_chunks, parse_count, parse_host, parse_number,
    parse_patience, parse_target, parse_tile, parse_window,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Where a job runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// In this process.
    #[default]
    Standalone,
    /// In several processes of this machine.
    Pseudo,
    /// In processes on the hosts that --target names.
    Cluster,
}

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do with a split that cannot be computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OnErrorArg {
    /// The job fails; nothing becomes visible.
    #[default]
    Fail,
    /// Leave the split out (nodata), up to --max-bad-splits; exit code 4.
    Skip,
    /// The same: every split left out is recorded with its cause, whichever of the two words is used.
    Quarantine,
}

/// How records get from one side of an exchange to the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ShuffleArg {
    /// In memory within one process, through files between processes.
    #[default]
    Auto,
    /// Through files: a process that dies takes nothing along but its splits.
    Durable,
    /// In memory: processes that exchange records begin again together when one dies.
    Pipelined,
}

/// How many processes: a number, or the least and the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workers {
    /// The fewest that the run can do with.
    pub least: u32,
    /// As many as it aims for.
    pub most: u32,
}

/// The options that every job has beside its own, in the groups that `--help` shows.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// Show what would be done, without reading a pixel
    #[arg(long, help_heading = "Run")]
    pub explain: bool,
    /// Replace an output that exists
    #[arg(long, help_heading = "Run")]
    pub overwrite: bool,
    /// Go on with an interrupted run of the same command
    #[arg(long, help_heading = "Run")]
    pub resume: bool,
    /// What to do with a split that cannot be computed
    #[arg(long, value_enum, value_name = "WHAT", default_value_t, help_heading = "Run")]
    pub on_error: OnErrorArg,
    /// Most splits to leave out with --on-error skip
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = parse_count::<u64>, help_heading = "Run")]
    pub max_bad_splits: u64,
    /// Print the parameters of this job as a JSON schema
    #[arg(long, help_heading = "Run")]
    pub describe: bool,
    /// Where to run [default: standalone, with --target: cluster]
    #[arg(long, value_enum, value_name = "MODE", help_heading = "Resources")]
    pub mode: Option<Mode>,
    /// Where members run: `ssh://[USER@]HOST[:PORT],…`, a file of hosts ("HOST slots=4" a line), yarn, or emr://ID
    #[arg(long, value_name = "TARGET", value_parser = parse_target, help_heading = "Resources")]
    pub target: Option<Target>,
    /// Address at which members on other hosts reach this process [default: that by which it reaches them]
    #[arg(long, value_name = "ADDR[:PORT]", value_parser = parse_bind, help_heading = "Resources")]
    pub bind: Option<SocketAddr>,
    /// Name or address of this host as members on other hosts know it, when it is not that of --bind
    #[arg(long, value_name = "HOST", value_parser = parse_host, help_heading = "Resources")]
    pub advertise: Option<String>,
    /// Processes in the modes that have several, 1 to 1024, or a range such as 2..8: as many as can be had, and `mapfold
    /// scale` changes it while the job runs [default: 2; with --target ssh: one a host, or its slots]
    #[arg(long, value_name = "N|MIN..MAX", alias = "num-executors", help_heading = "Resources")]
    pub workers: Option<Workers>,
    /// Seconds of silence after which a member process is given up and replaced
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600), help_heading = "Resources")]
    pub member_timeout: u64,
    /// Seconds after which a process that still works on a split is ended, and the split tried alone [default: never]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86400), help_heading = "Resources")]
    pub split_timeout: Option<u64>,
    /// Seconds after which a split is given to a second, idle member as well; the first to be done counts
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = parse_patience, hide = true, help_heading = "Resources")]
    pub speculate_after: f64,
    /// Compute threads of each process [default: all cores, divided by --workers]
    #[arg(long, value_name = "N", alias = "executor-cores", value_parser = parse_count::<usize>, help_heading = "Resources")]
    pub threads: Option<usize>,
    /// Memory of each process: 256MiB, 4GiB, 4GB (10⁹ bytes) [default: 70 % of this machine, divided by --workers]
    #[arg(
        long,
        value_name = "SIZE",
        alias = "executor-memory",
        env = "MAPFOLD_MEMORY_LIMIT",
        hide_env_values = true,
        help_heading = "Resources"
    )]
    pub memory_limit: Option<MemoryLimit>,
    /// How records get from one side of an exchange to the other. Never changes results
    #[arg(long, value_enum, value_name = "HOW", default_value_t, help_heading = "Resources")]
    pub shuffle: ShuffleArg,
    /// Folder for records that do not fit into memory [default: beside a local output, else TMPDIR]
    #[arg(long, value_name = "FOLDER", value_hint = clap::ValueHint::DirPath, help_heading = "Resources")]
    pub scratch: Option<std::path::PathBuf>,
    /// Windows that a split is computed in, in pixels: auto, native (a codec tile), ROWS,COLS or BANDS,ROWS,COLS.
    /// Never changes results
    #[arg(long, value_name = "SHAPE", default_value = "auto", value_parser = parse_chunks, help_heading = "Resources")]
    pub chunks: Chunks,
    /// Edge of a split, a multiple of 64 [default: 2048, or full rows for files stored by rows]
    #[arg(long, value_name = "PIXELS", value_parser = parse_tile, help_heading = "Resources")]
    pub tile: Option<usize>,
    /// Partitions of every exchange, 1 to 65536 [default: from the input's bytes]
    #[arg(long, value_name = "N", value_parser = between::<1, 65536>, help_heading = "Resources")]
    pub partitions: Option<u32>,
    /// Results and report as JSON on stdout
    #[arg(long, help_heading = "Messages")]
    pub json: bool,
    /// No progress bar, no report
    #[arg(short, long, help_heading = "Messages")]
    pub quiet: bool,
    /// More about what happens (-vv: much more); RUST_LOG goes before it
    #[arg(short, long, action = clap::ArgAction::Count, help_heading = "Messages")]
    pub verbose: u8,
    /// Colours on stderr
    #[arg(long, value_enum, value_name = "WHEN", default_value_t, help_heading = "Messages")]
    pub color: Color,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub yarn: crate::on_yarn::YarnArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub watch: crate::watching::WatchArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub stores: crate::StoreArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub read: ReadArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub write: WriteArgs,
}

/// What all raster readers understand.
#[derive(Args, Clone, Debug)]
pub struct ReadArgs {
    /// Only pixels that touch this box: WEST,SOUTH,EAST,NORTH in the raster's CRS
    #[arg(long, value_name = "BOX", allow_hyphen_values = true, value_parser = parse_bbox, help_heading = "Raster input")]
    pub bbox: Option<Box4>,
    /// Only these pixels: COL,ROW,WIDTH,HEIGHT (as gdal_translate -srcwin)
    #[arg(long, value_name = "WINDOW", value_parser = parse_window, help_heading = "Raster input")]
    pub window: Option<Window>,
    /// Apply the file's scale and offset when loading floats (auto), or take values as stored [default: auto; in
    /// stats: raw]
    #[arg(long, value_name = "HOW", value_parser = choice::<Scale>(Scale::CHOICES), help_heading = "Raster input")]
    pub scale: Option<Scale>,
}

/// West, south, east, north.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Box4(pub [f64; 4]);

/// Whether an option says something to jobs with rasters only.
pub(crate) fn is_of_rasters(a: &clap::Arg) -> bool {
    let heading = a.get_help_heading().is_some_and(|h| h.starts_with("Raster"));
    heading || matches!(a.get_id().as_str(), "chunks" | "tile")
}

/// The heading of the options that only writers of rasters have.
pub(crate) const RASTER_OUTPUT: &str = "Raster output";

/// What all raster writers understand.
#[derive(Args, Clone, Debug)]
pub struct WriteArgs {
    /// Kind of file [default: the job's choice, usually cog]
    #[arg(long, value_name = "FORMAT", value_parser = choice::<Format>(Format::CHOICES), help_heading = RASTER_OUTPUT)]
    pub format: Option<Format>,
    /// How codec tiles are compressed [default: zstd]
    #[arg(long, value_name = "CODEC", value_parser = choice::<Compress>(Compress::CHOICES), help_heading = RASTER_OUTPUT)]
    pub compress: Option<Compress>,
    /// Effort of the codec: deflate 1-12 [default: 6], zstd 1-22 [default: 1]
    #[arg(long, value_name = "N", value_parser = parse_count::<i32>, help_heading = RASTER_OUTPUT)]
    pub level: Option<i32>,
    /// TIFF predictor: 2 = horizontal, 3 = float [default: auto, by the type]
    #[arg(long, value_name = "P", value_parser = choice::<Predictor>(Predictor::CHOICES), help_heading = RASTER_OUTPUT)]
    pub predictor: Option<Predictor>,
    /// Type of the pixels; values are rounded and saturated [default: the job's]
    #[arg(long, value_name = "TYPE", value_parser = dtypes(), help_heading = RASTER_OUTPUT)]
    pub dtype: Option<DType>,
    /// Value of invalid pixels; a valid pixel equal to it is moved to the value beside it and counted
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true, value_parser = parse_number, help_heading = RASTER_OUTPUT)]
    pub nodata: Option<f64>,
    /// Overview levels: auto, none or a number [default: auto]
    #[arg(long, value_name = "N", help_heading = RASTER_OUTPUT)]
    pub overviews: Option<Overviews>,
    /// How an overview's pixel is made [default: average]
    #[arg(long, value_name = "HOW", value_parser = choice::<Resampling>(Resampling::CHOICES), help_heading = RASTER_OUTPUT)]
    pub overview_resampling: Option<Resampling>,
    /// Invalid pixels by an internal mask, or by nodata where there is one (auto) [default: auto]
    #[arg(long, value_name = "HOW", value_parser = choice::<MaskChoice>(MaskChoice::CHOICES), help_heading = RASTER_OUTPUT)]
    pub mask: Option<MaskChoice>,
    /// Edge of a codec tile, a multiple of 16 from 64 to 4096 [default: 512]
    #[arg(long, value_name = "PIXELS", value_parser = parse_count::<usize>, help_heading = RASTER_OUTPUT)]
    pub blocksize: Option<usize>,
    /// BigTIFF, needed from 4 GiB on [default: auto]
    #[arg(long, value_name = "WHEN", value_parser = choice::<BigTiff>(BigTiff::CHOICES), help_heading = RASTER_OUTPUT)]
    pub bigtiff: Option<BigTiff>,
}

/// The options that planning depends on, as they travel to member processes.
#[derive(Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) plan: PlanOptions,
    pub(crate) read: ReadOptions,
    pub(crate) write: WriteOverrides,
}

/// The same on its way to a member process, with the settings of stores, secrets included: never logged, never kept.
#[derive(Serialize, Deserialize)]
pub(crate) struct Travelling {
    pub(crate) settings: Settings,
    pub(crate) stores: String,
}

impl Settings {
    /// As the command line has them.
    pub(crate) fn of(args: &RunArgs) -> Settings {
        Settings { plan: args.plan_options(), read: args.read_options(), write: args.write_overrides() }
    }
}

impl WriteArgs {
    /// The options that were given, as they are typed.
    pub(crate) fn said(&self) -> Vec<&'static str> {
        let all = [
            ("--format", self.format.is_some()),
            ("--compress", self.compress.is_some()),
            ("--level", self.level.is_some()),
            ("--predictor", self.predictor.is_some()),
            ("--dtype", self.dtype.is_some()),
            ("--nodata", self.nodata.is_some()),
            ("--overviews", self.overviews.is_some()),
            ("--overview-resampling", self.overview_resampling.is_some()),
            ("--mask", self.mask.is_some()),
            ("--blocksize", self.blocksize.is_some()),
            ("--bigtiff", self.bigtiff.is_some()),
        ];
        all.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect()
    }
}

impl RunArgs {
    /// What planning gets.
    pub fn plan_options(&self) -> PlanOptions {
        PlanOptions { partitions: self.partitions, tile: self.tile }
    }

    /// What raster readers get.
    pub fn read_options(&self) -> ReadOptions {
        ReadOptions { scale: self.read.scale, window: self.read.window, bbox: self.read.bbox.map(|b| b.0) }
    }

    /// What raster writers get.
    pub fn write_overrides(&self) -> WriteOverrides {
        let w = &self.write;
        WriteOverrides {
            format: w.format,
            compress: w.compress,
            level: w.level,
            predictor: w.predictor,
            dtype: w.dtype,
            nodata: w.nodata,
            overviews: w.overviews,
            overview_resampling: w.overview_resampling,
            mask: w.mask,
            blocksize: w.blocksize,
            bigtiff: w.bigtiff,
        }
    }

    /// Where the job runs.
    pub fn mode(&self) -> Mode {
        self.mode.unwrap_or(if self.target.is_some() { Mode::Cluster } else { Mode::Standalone })
    }

    /// Whether another machine is to run this very command.
    pub(crate) fn is_for_others(&self) -> bool {
        matches!(self.target, Some(Target::Yarn | Target::Emr(_)))
            && self.mode() == Mode::Cluster
            && !self.explain
            && !mapfold_launch::yarn::Yarn::is_within()
    }

    /// Whether a process of this machine is to follow the job in the background. On EMR a step goes on by itself.
    pub(crate) fn is_left_here(&self) -> bool {
        let is_step = matches!(self.target, Some(Target::Emr(_))) && self.is_for_others();
        self.watch.detach && !self.explain && !is_step
    }

    /// Processes that attempt splits.
    fn processes(&self) -> Result<Workers> {
        self.check_target()?;
        match (self.mode(), self.workers) {
            (Mode::Standalone, None | Some(Workers { least: 1, most: 1 })) => Ok(Workers { least: 1, most: 1 }),
            (Mode::Standalone, Some(n)) => {
                let what = format!("--workers {n}: standalone mode is one process");
                Err(Error::usage(what).with_remedy("add --mode pseudo, or give --threads"))
            }
            (Mode::Cluster, n) => match &self.target {
                Some(Target::Ssh(hosts)) => {
                    let most = self.spread(hosts)?.iter().sum();
                    Ok(n.unwrap_or(Workers { least: most, most }))
                }
                _ => Ok(n.unwrap_or(Workers { least: 2, most: 2 })),
            },
            (Mode::Pseudo, n) => Ok(n.unwrap_or(Workers { least: 2, most: 2 })),
        }
    }

    /// Members of each host.
    pub(crate) fn spread(&self, hosts: &[SshHost]) -> Result<Vec<u32>> {
        mapfold_launch::spread(hosts, self.workers.map(|w| w.most))
            .map_err(|e| Error::usage(format!("--workers: {e}")).with_remedy("give fewer, or more slots or hosts"))
    }

    /// Options about other hosts that say nothing in this mode are refused.
    fn check_target(&self) -> Result<()> {
        let cluster = self.mode() == Mode::Cluster;
        let said = [
            ("--target", self.target.is_some()),
            ("--bind", self.bind.is_some()),
            ("--advertise", self.advertise.is_some()),
        ];
        let scheduled = matches!(self.target, Some(Target::Yarn | Target::Emr(_)));
        if let Some(name) = self.yarn.said().first().filter(|_| !scheduled) {
            let what = format!("{name} is for --target yarn and emr://ID");
            return Err(Error::usage(what).with_remedy("leave it out, or add the target"));
        }
        match said.iter().find(|(_, given)| *given) {
            Some((name, _)) if !cluster => {
                Err(Error::usage(format!("{name} is for --mode cluster"))
                    .with_remedy("leave it out, or change the mode"))
            }
            _ if cluster && self.target.is_none() => {
                let remedy = "add --target ssh://HOST,…, a file of hosts, yarn or emr://ID";
                Err(Error::usage("--mode cluster: on which hosts?").with_remedy(remedy))
            }
            _ => Ok(()),
        }
    }

    /// What a member process needs to build the same plan, as JSON, with the secrets of stores: it is for the
    /// connection to members alone.
    ///
    /// # Errors
    /// Never for options that were parsed.
    pub fn settings(&self) -> Result<String> {
        let stores = match (self.mode(), mapfold_store::Settings::of_process()) {
            (Mode::Standalone, _) => String::new(), // There is no member.
            (_, Ok(settings)) => settings.to_travel().expose().to_owned(),
            (_, Err(error)) => {
                // Who needs them has failed with this error before; who does not, runs.
                tracing::warn!(%error, "members get no settings of stores");
                String::new()
            }
        };
        Ok(serde_json::to_string(&Travelling { settings: Settings::of(self), stores })?)
    }

    /// The options that change results, as given: `--tile` -> `256`. `--resume` names the one that differs.
    fn given(&self) -> BTreeMap<String, String> {
        fn text(value: Option<impl ToString>) -> Option<String> {
            value.map(|v| v.to_string())
        }
        let (r, w) = (&self.read, &self.write);
        let numbers = |b: Box4| b.0.map(|n| n.to_string()).join(",");
        let given = [
            ("--tile", text(self.tile)),
            ("--partitions", text(self.partitions)),
            ("--bbox", r.bbox.map(numbers)),
            ("--window", r.window.map(|w| format!("{},{},{},{}", w.col, w.row, w.cols, w.rows))),
            ("--scale", r.scale.map(|s| if s == Scale::Raw { "raw" } else { "auto" }.to_string())),
            ("--format", text(w.format)),
            ("--compress", text(w.compress)),
            ("--level", text(w.level)),
            ("--predictor", text(w.predictor)),
            ("--dtype", text(w.dtype)),
            ("--nodata", text(w.nodata)),
            ("--overviews", text(w.overviews)),
            ("--overview-resampling", text(w.overview_resampling)),
            ("--mask", text(w.mask)),
            ("--blocksize", text(w.blocksize)),
            ("--bigtiff", text(w.bigtiff)),
        ];
        given.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?))).collect()
    }

    /// What the engine gets.
    ///
    /// # Errors
    /// When options contradict each other.
    pub fn run_options(&self, name: &str, params: serde_json::Value) -> Result<RunOptions> {
        if self.threads == Some(0) {
            return Err(Error::usage("--threads 0: at least one thread computes"));
        }
        if self.resume && self.overwrite {
            return Err(Error::usage("--resume goes on, --overwrite starts over: give one of them"));
        }
        let size = self.processes()?;
        let workers = size.most as usize;
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = self.threads.unwrap_or_else(|| (cores() / workers).max(1));
        let on_error = match self.on_error {
            OnErrorArg::Fail => OnError::Fail,
            OnErrorArg::Skip | OnErrorArg::Quarantine => OnError::Skip { max: self.max_bad_splits },
        };
        Ok(RunOptions {
            threads,
            workers,
            least_workers: (size.least < size.most).then_some(size.least as usize),
            memory_limit: self.memory_limit.map_or_else(|| default_memory_limit() / workers as u64, |m| m.0),
            scratch: self.scratch.clone(),
            exchange: match self.shuffle {
                ShuffleArg::Auto => Shuffle::Auto,
                ShuffleArg::Durable => Shuffle::Durable,
                ShuffleArg::Pipelined => Shuffle::Pipelined,
            },
            chunks: self.chunks,
            name: name.to_string(),
            params,
            given: self.given(),
            resume: self.resume,
            overwrite: self.overwrite,
            on_error,
            lost_after_ms: 1000 * self.member_timeout,
            speculate_after_ms: (1000.0 * self.speculate_after) as u64,
            split_timeout_ms: self.split_timeout.map(|s| 1000 * s),
            ..RunOptions::default()
        })
    }
}
