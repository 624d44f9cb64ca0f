//! The verbs that are not jobs, one function each.

use crate::{examples, info, new, parsed, preview, scene, shell};
use clap::{Arg, ArgAction, ArgMatches, Args, Command};
use mapfold::engine::RunOptions;
use mapfold::plan::{Kind, Plan, PlanOptions, Sum};
use mapfold::raster::write::{Compress, WriteOptions};
use mapfold::raster::{Cog, RasterVerbs};
use mapfold::store::{Loc, StoreError, Stores};
use mapfold::{Builtin, Error, Result, print_bytes};
use std::process::ExitCode;

/// The jobs linked into this program.
pub fn builtins() -> Vec<Builtin> {
    vec![
        Builtin::new("ndvi", mapfold_job_ndvi::ndvi).examples(&examples::indented(examples::NDVI)),
        Builtin::new("stats", mapfold_job_stats::stats).examples(&examples::indented(examples::STATS)).reports_only(),
        Builtin::new("normalize", mapfold_job_normalize::normalize).examples(&examples::indented(examples::NORMALIZE)),
        records("wordcount", mapfold_job_wordcount::wordcount, examples::WORDCOUNT),
        records("sort", mapfold_job_sort::sort, examples::SORT),
        records("aggregate", mapfold_job_aggregate::aggregate, examples::AGGREGATE),
        records("streaming", mapfold_job_streaming::streaming, examples::STREAMING),
    ]
}

/// A job without rasters.
fn records<P: clap::Parser + serde::Serialize + serde::de::DeserializeOwned>(
    name: &str,
    job: impl Fn(P, &Plan) -> Result<()> + Send + Sync + 'static,
    examples: &str,
) -> Builtin {
    Builtin::new(name, job).examples(&examples::indented(examples)).records()
}

/// `--json`
pub fn json_flag() -> Arg {
    Arg::new("json").long("json").action(ArgAction::SetTrue).help("As JSON on stdout")
}

/// `mapfold gen scene …`
pub fn gen_command() -> Command {
    let overwrite = Arg::new("overwrite").long("overwrite").action(ArgAction::SetTrue).help("Replace files that exist");
    let scene = scene::SceneArgs::augment_args(Command::new("scene")).arg(overwrite);
    Command::new("gen")
        .about("Make test data")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommand_value_name("WHAT")
        .subcommand_help_heading("What")
        .subcommand(scene.after_help(examples::text(examples::SCENE)))
}

/// `mapfold completion SHELL`
pub fn completion_command() -> Command {
    let shell = Arg::new("shell").required(true).value_name("SHELL").help("Which shell");
    let shell = shell.value_parser(clap::value_parser!(clap_complete::Shell));
    let about = "Print the completion script of a shell";
    Command::new("completion").about(about).arg(shell).after_help(examples::text(examples::COMPLETION))
}

/// `mapfold man DIR`
pub fn man_command() -> Command {
    let dir = Arg::new("dir").required(true).value_name("FOLDER").help("Made when it is not there");
    let dir = dir.value_hint(clap::ValueHint::DirPath).value_parser(clap::value_parser!(std::path::PathBuf));
    let about = "Write the manual pages into a folder";
    Command::new("man").about(about).arg(dir).after_help(examples::text(examples::MAN))
}

/// `mapfold bench …`, for the benchmarks of this project.
pub fn bench_command() -> Command {
    let count = Arg::new("count").default_value("100000").value_parser(clap::value_parser!(u64));
    let splits = Command::new("splits").about("Time empty splits").arg(count);
    Command::new("bench").hide(true).subcommand_required(true).subcommand(splits)
}

/// Does a verb.
pub fn other(verb: &str, m: &ArgMatches, cmd: Command, jobs: &[Builtin]) -> Result<ExitCode> {
    match verb {
        "list" => list(jobs, m.get_flag("json")),
        "config" => crate::config::run(m),
        "cluster" => crate::cluster::run(m),
        "info" => say(&parsed::<info::InfoArgs>(m)?.run()?),
        "preview" => draw(&parsed(m)?),
        "gen" => m.subcommand().map_or(Ok(ExitCode::SUCCESS), |(_, m)| generate(m)),
        "new" => create(&parsed(m)?),
        "bundle" => parsed::<crate::bundle::BundleArgs>(m)?.run(),
        "manifest" => parsed::<crate::manifest::ManifestArgs>(m)?.run(),
        "fsck" => parsed::<crate::fsck::FsckArgs>(m)?.run(),
        "dev" => crate::dev::run(m, &cmd),
        "completion" => complete(m, cmd),
        "man" => manual(m, cmd),
        "bench" => m.subcommand().map_or(Ok(ExitCode::SUCCESS), |(_, m)| bench_splits(m)),
        other => Err(Error::usage(format!("no verb {other:?}"))),
    }
}

/// Text on stdout.
pub fn say(text: &str) -> Result<ExitCode> {
    print_bytes(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// A remark on stderr.
#[allow(clippy::print_stderr)] // Not a result, and no error.
pub fn note(text: &str) {
    eprintln!("note: {text}");
}

fn list(jobs: &[Builtin], json: bool) -> Result<ExitCode> {
    if json {
        let all: Vec<_> = jobs.iter().map(|j| serde_json::json!({ "name": j.name(), "about": j.about() })).collect();
        return say(&format!("{:#}\n", serde_json::Value::Array(all)));
    }
    jobs.iter().try_for_each(|j| say(&format!("{:<10}{}\n", j.name(), j.about())).map(drop))?;
    Ok(ExitCode::SUCCESS)
}

fn draw(args: &preview::PreviewArgs) -> Result<ExitCode> {
    args.stores.install()?;
    let stores = Stores::new();
    let bytes = args.run(&stores).map_err(|e| match e {
        preview::PreviewError::Raster(r) => mapfold::raster::as_error(*r),
        preview::PreviewError::Store(s) => output_error(s, &args.output),
        other => Error::caused(Kind::Usage, other),
    })?;
    say(&format!("{} ({})\n", args.output, mapfold::watch::human::bytes(bytes)))
}

/// A store's error about a file to be written: a folder that is missing is to be made, not to be spelt better.
fn output_error(e: StoreError, output: &Loc) -> Error {
    let folder = output.parent().unwrap_or_else(|| output.clone());
    match e {
        StoreError::NotFound { loc } if loc == folder.to_string() => {
            Error::input(format!("{folder}: there is no such folder"))
                .with_remedy(format!("{}, or choose another output", folder.mkdir()))
        }
        other => Error::from(other),
    }
}

fn create(args: &new::NewArgs) -> Result<ExitCode> {
    let folder = args.run().map_err(|e| Error::caused(Kind::Usage, e))?;
    if args.mapfold.is_none() {
        note("mapfold is not published yet: until then name a checkout of its source, --mapfold CHECKOUT");
    }
    say(&format!("{}: try `cargo test` and `cargo run --release -- --help` there\n", folder.display()))
}

fn complete(m: &ArgMatches, mut cmd: Command) -> Result<ExitCode> {
    let Some(chosen) = m.get_one::<clap_complete::Shell>("shell") else { return Ok(ExitCode::SUCCESS) };
    let mut script = Vec::new();
    shell::completion(&mut cmd, *chosen, &mut script)?;
    print_bytes(&script)?;
    Ok(ExitCode::SUCCESS)
}

fn manual(m: &ArgMatches, cmd: Command) -> Result<ExitCode> {
    let Some(dir) = m.get_one::<std::path::PathBuf>("dir") else { return Ok(ExitCode::SUCCESS) };
    let cannot = |e: std::io::Error| {
        let what = format!("cannot write manual pages into {}: {}", dir.display(), os_words(&e));
        Error::input(what).with_remedy("name a folder that can be made and written")
    };
    let made = shell::man_pages(cmd, dir).map_err(cannot)?;
    say(&format!("{} pages in {}\n", made.len(), dir.display()))
}

/// `File exists (os error 17)` without the number.
pub fn os_words(e: &std::io::Error) -> String {
    let text = e.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

fn generate(m: &ArgMatches) -> Result<ExitCode> {
    let args: scene::SceneArgs = parsed(m)?;
    let files = args.files().map_err(|e| Error::caused(Kind::Usage, e))?;
    let stores = Stores::new();
    for file in files {
        file.loc.parent().map_or(Ok(()), |dir| make_folder(&stores, &dir))?;
        band_file(&file, m.get_flag("overwrite"))?;
        say(&format!("{}\n", file.loc))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes a folder and those above it.
fn make_folder(stores: &Stores, dir: &Loc) -> Result<()> {
    let in_the_way = |loc: &dyn std::fmt::Display| {
        Error::input(format!("{loc}: a file is where a folder is needed")).with_remedy("choose another folder")
    };
    match stores.create_dirs(dir) {
        Err(StoreError::AlreadyExists { loc }) => Err(in_the_way(&loc)),
        Err(StoreError::Io { loc, source }) if source.kind() == std::io::ErrorKind::NotADirectory => {
            Err(in_the_way(&loc))
        }
        other => Ok(other?),
    }
}

/// One band as a COG: DEFLATE with predictor 2, as Sentinel-2 products come.
fn band_file(file: &scene::SceneFile, overwrite: bool) -> Result<()> {
    let plan = Plan::new(Stores::new(), PlanOptions::default());
    let cog = Cog { options: WriteOptions { compress: Compress::Deflate, ..WriteOptions::default() } };
    let (spec, band) = (file.spec, file.band);
    let flow = plan.generate::<u16>(spec.geobox(), band.name(), Some(0), move |w| scene::window(&spec, band, w));
    match band.dtype() {
        mapfold::grid::DType::U8 => {
            flow.map(|b| b.values(|v| v as u8)).write(&file.loc, cog)?;
        }
        _ => flow.write(&file.loc, cog)?,
    }
    let opts = RunOptions {
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        overwrite,
        name: "gen".into(),
        ..RunOptions::default()
    };
    mapfold::engine::run(&plan, &opts).map(drop).map_err(Error::without_stage)
}

/// Overhead per split: so many splits that do nothing, through leases, grants and the exchange.
fn bench_splits(m: &ArgMatches) -> Result<ExitCode> {
    let count = *m.get_one::<u64>("count").unwrap_or(&100_000);
    let plan = Plan::new(Stores::new(), PlanOptions::default());
    plan.range(count).flat_map(|n| (n == u64::MAX).then_some((0u8, n))).combine::<Sum<u64>>().report("none")?;
    let done = mapfold::engine::run(&plan, &RunOptions::default())?;
    let micros = done.usage.wall * 1e6 / count as f64;
    say(&format!(
        "{count} empty splits in {:.3} s: {micros:.2} µs each (CPU {:.2} s)\n",
        done.usage.wall,
        done.usage.user + done.usage.sys
    ))
}
