//! Member processes: how a run starts them, and what this program does when it is started as one.
//!
//! A member is this very program with one hidden argument. It never sees the command line of the run: parameters,
//! options and the answers that planning got come to it over the control connection.

use crate::app::Builtin;
use crate::args::{Mode, RunArgs, Settings, Travelling};
use crate::{Error, Result, says, split};
use mapfold_coord::{Generation, JobId, events};
use mapfold_engine::{Crew, Door, Ended, Orders};
use mapfold_launch::{Carrier, Exit, Local, MEMBER_OPTION, MemberSpec, Membership, Slot};
use mapfold_plan::{Kind, Plan};
use mapfold_store::Stores;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long members may take to end when they are asked to.
const GRACE: Duration = Duration::from_secs(2);

/// The processes of a run, in the modes that have several.
///
/// # Errors
/// When the folder of their logs cannot be made.
pub(crate) fn crew(args: &RunArgs, job: &JobId) -> Result<Option<Arc<dyn Crew>>> {
    if args.mode == Mode::Standalone {
        return Ok(None);
    }
    let folder = events::jobs_folder().unwrap_or_else(std::env::temp_dir).join(job.to_string());
    let logs = folder.join("logs");
    std::fs::create_dir_all(&logs)
        .map_err(|e| Error::caused(Kind::Job, e).with_remedy(format!("{} must be writable", logs.display())))?;
    Ok(Some(Arc::new(Carried { carrier: Local::new(&logs)?, folder: logs, slots: Mutex::default() })))
}

/// Members started by a carrier.
struct Carried<C> {
    carrier: C,
    /// Their logs and flight slots.
    folder: PathBuf,
    slots: Mutex<BTreeMap<u32, Slot>>,
}

impl<C> Carried<C> {
    fn slots(&self) -> MutexGuard<'_, BTreeMap<u32, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Carrier> Crew for Carried<C> {
    fn start(&self, door: &Door) -> Result<()> {
        let place = Membership {
            job: door.job,
            index: door.member,
            members: 0,
            generation: Generation(0),
            meet: door.address.clone(),
            tls: false,
            binary: None,
        };
        let slot = self.carrier.start(&MemberSpec { place, token: door.token.clone(), arguments: Vec::new() })?;
        self.slots().insert(door.member, slot);
        Ok(())
    }

    fn ended(&self) -> Vec<Ended> {
        let exits = std::iter::from_fn(|| self.carrier.next_exit(Instant::now()));
        exits.map(|exit| self.saw(exit)).collect()
    }

    fn kill(&self, member: u32) {
        if let Some(slot) = self.slots().get(&member) {
            self.carrier.stop(*slot, Duration::ZERO);
        }
    }

    fn folder(&self) -> Option<PathBuf> {
        Some(self.folder.clone())
    }

    fn stop(&self) {
        self.slots().values().for_each(|slot| self.carrier.stop(*slot, GRACE));
        let until = Instant::now() + GRACE + Duration::from_secs(2);
        while !self.slots().is_empty() {
            let Some(exit) = self.carrier.next_exit(until) else { return };
            self.saw(exit);
        }
    }
}

impl<C> Carried<C> {
    fn saw(&self, exit: Exit) -> Ended {
        self.slots().remove(&exit.index);
        Ended { member: exit.index, how: exit.ended.to_string(), tail: exit.tail }
    }
}

/// Does a member's work when this program was started as one, and runs one split when it was started for that; `None`
/// when it was not.
pub fn attend_if_called(jobs: &[Builtin]) -> Option<ExitCode> {
    let mut args = std::env::args().skip(1);
    match args.next()?.as_str() {
        MEMBER_OPTION => {}
        split::SPLIT_OPTION => return Some(split::split_if_called(jobs, &args.next().unwrap_or_default())),
        _ => return None,
    }
    says::set_up_logging(0, mapfold_watch::colour_on_stderr());
    let place = args.next().unwrap_or_default();
    Some(match attend(&place, jobs) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => says::print_error(&e, false),
    })
}

fn attend(place: &str, jobs: &[Builtin]) -> Result<()> {
    let place: Membership = place.parse()?;
    let inherited = mapfold_launch::inherit()?;
    let door = Door { address: place.meet, job: place.job, member: place.index, token: inherited.token };
    let lifeline = inherited.lifeline;
    std::thread::spawn(move || {
        lifeline.wait();
        std::process::exit(mapfold_engine::FENCED); // Without a launcher, nothing that it does counts.
    });
    let (orders, line) = mapfold_engine::enlist(&door)?;
    crate::allocator::bound(orders.memory_limit);
    let job = jobs.iter().find(|j| j.name() == orders.name).or(jobs.first().filter(|_| jobs.len() == 1));
    let job = job.ok_or_else(|| Error::job(format!("this program has no job {:?}", orders.name)))?;
    let plan = same_plan(job, &orders)?;
    mapfold_engine::attend(&plan, &orders, line)
}

/// The plan of the run, from its parameters and the answers that it got.
fn same_plan(job: &Builtin, orders: &Orders) -> Result<Plan> {
    let Travelling { settings, stores } = serde_json::from_str(&orders.settings)?;
    let Settings { plan, read, write } = settings;
    if !stores.is_empty() {
        mapfold_store::Settings::from_travel(&stores)?.install();
    }
    let plan = Plan::replaying(Stores::new(), plan, orders.answers.clone());
    plan.set(read);
    plan.set(write);
    mapfold_engine::install_panic_hook();
    mapfold_engine::guarded(|| job.plan(&orders.params, &plan))?;
    plan.check()?;
    Ok(plan)
}
