//! What others can see of a run while it goes on: options, the live view, the pages.
#![allow(clippy::print_stderr)] // One line with the address, on a terminal.

use crate::{Error, Result};
use clap::Args;
use mapfold_coord::{EventLog, JobEvent, JobId};
use mapfold_plan::Kind;
use mapfold_watch::{Askers, Dashboard, DashboardAddress, Live, Progress, RunReport, Shown, Token};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;

/// Options about watching a run.
#[derive(Args, Clone, Debug)]
pub struct WatchArgs {
    /// Where to show the run over HTTP: off, auto (127.0.0.1:8787 or the next free port), :PORT or HOST:PORT
    #[arg(
        long,
        value_name = "WHERE",
        default_value_t,
        env = "MAPFOLD_DASHBOARD",
        hide_env_values = true,
        help_heading = "Watching"
    )]
    pub dashboard: DashboardAddress,
    /// File with the token that requests must send, readable by you only; needed beyond 127.0.0.1
    #[arg(long, value_name = "FILE", help_heading = "Watching")]
    pub dashboard_token: Option<PathBuf>,
    /// Run in the background: print the job's id and return
    #[arg(long, help_heading = "Watching")]
    pub detach: bool,
    /// Given by --detach to the process that it leaves behind
    #[arg(long, hide = true, value_parser = clap::value_parser!(JobId), help_heading = "Watching")]
    pub job_id: Option<JobId>,
}

/// A run that is watched. Ends with it.
pub(crate) struct Watched {
    live: Live,
    dashboard: Option<Dashboard>,
}

impl Watched {
    /// From now on `events` are counted, and shown where the options say.
    ///
    /// # Errors
    /// When the user asked for an address that cannot be had.
    pub(crate) fn start(args: &WatchArgs, quiet: bool, events: &EventLog, progress: &Progress) -> Result<Watched> {
        let live = Live::default();
        events.subscribe(Arc::new(live.clone()));
        let dashboard = serve(args, &live, events)?;
        if let Some(dashboard) = &dashboard {
            let url = dashboard.url();
            if !quiet && std::io::stderr().is_terminal() {
                progress.suspend(|| eprintln!("watch: {url}"));
            }
            events.emit(&JobEvent::Serving { url });
        }
        Ok(Watched { live, dashboard })
    }

    /// Adds to the report what only the events know, and keeps it with them.
    pub(crate) fn report(&self, report: &mut RunReport, events: &EventLog) {
        self.live.complete(report);
        if let Ok(report) = serde_json::to_value(&*report) {
            events.emit(&JobEvent::Reported { report });
            events.end();
        }
    }

    /// The run is over.
    pub(crate) fn end(mut self) {
        self.dashboard.iter_mut().for_each(Dashboard::end);
    }
}

fn serve(args: &WatchArgs, live: &Live, events: &EventLog) -> Result<Option<Dashboard>> {
    if args.dashboard == DashboardAddress::Off {
        return Ok(None);
    }
    let token = args.dashboard_token.as_ref().map(|file| Token::read(file)).transpose();
    let token = token.map_err(|e| Error::caused(Kind::Usage, e))?;
    let (address, askers) = match (token, mapfold_launch::yarn::proxied()) {
        (Some(token), _) => (args.dashboard.clone(), Askers::With(token)),
        (None, Some(place)) if args.dashboard == DashboardAddress::Auto => {
            (DashboardAddress::At(format!("{}:0", place.host)), Askers::From(place.proxies))
        }
        (None, _) => (args.dashboard.clone(), Askers::Local),
    };
    let shown = Shown { live: live.clone(), log: events.path() };
    match Dashboard::start(&address, askers, shown) {
        Ok(dashboard) => Ok(Some(dashboard)),
        Err(e) if args.dashboard == DashboardAddress::Auto => {
            tracing::info!("no dashboard: {e}");
            Ok(None)
        }
        Err(e) => Err(refused(&args.dashboard, &e)),
    }
}

fn refused(at: &DashboardAddress, e: &std::io::Error) -> Error {
    let what = format!("--dashboard {at}: {}", e.to_string().split(" (os error").next().unwrap_or_default());
    match e.kind() {
        std::io::ErrorKind::PermissionDenied => {
            Error::usage(what).with_remedy("give --dashboard-token FILE, or stay on 127.0.0.1 and use an SSH tunnel")
        }
        _ => Error::input(what).with_remedy("choose another port, or auto"),
    }
}
