//! Member processes: what this program does when it is started as one, or as the launcher's end on another host.
//!
//! A member is this very program with one hidden argument. It never sees the command line of the run: parameters,
//! options and the answers that planning got come to it over the control connection.

use crate::app::Builtin;
use crate::args::{Settings, Travelling};
use crate::on_yarn::{self, within};
use crate::{Error, Result, says, split};
use mapfold_engine::{Door, Orders, Own};
use mapfold_launch::yarn::{self, Yarn};
use mapfold_launch::{HOST_OPTION, MEMBER_OPTION, Membership, Room};
use mapfold_plan::Plan;
use mapfold_store::Stores;
use std::process::ExitCode;

/// Does a member's work when this program was started as one, and runs one split when it was started for that; `None`
/// when it was not.
pub fn attend_if_called(jobs: &[Builtin]) -> Option<ExitCode> {
    if let Err(e) = Yarn::enter().map_err(on_yarn::told).and_then(|()| within::take_settings()) {
        return Some(says::print_error(&e, false));
    }
    let mut args = std::env::args_os().skip(1);
    let first = args.next()?;
    if first == split::SPLIT_OPTION {
        return Some(split::split_if_called(jobs, &args.next().unwrap_or_default().to_string_lossy()));
    }
    if first != MEMBER_OPTION && first != HOST_OPTION {
        return None;
    }
    says::set_up_logging(0, mapfold_watch::colour_on_stderr());
    let done = if first == HOST_OPTION {
        host()
    } else {
        let place = args.next().unwrap_or_default();
        attend(&place.to_string_lossy(), jobs)
    };
    Some(match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => says::print_error(&e, false),
    })
}

/// Starts members here for a launcher elsewhere.
fn host() -> Result<()> {
    let threads = std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX));
    Ok(mapfold_launch::serve_host(Room { threads, memory: mapfold_engine::default_memory_limit() })?)
}

fn attend(place: &str, jobs: &[Builtin]) -> Result<()> {
    let mut place: Membership = place.parse()?;
    let token = if yarn::is_member() {
        place.folder = std::env::current_dir().ok(); // Its container's; it goes with the container.
        within::token()?
    } else {
        let inherited = mapfold_launch::inherit()?;
        let lifeline = inherited.lifeline;
        std::thread::spawn(move || {
            lifeline.wait();
            std::process::exit(mapfold_engine::FENCED); // Without a launcher, nothing that it does counts.
        });
        inherited.token
    };
    let own = Own { flight: place.notes(), scratch: place.scratch() };
    let (address, tls) = (place.meet, place.tls);
    let door = Door { address, job: place.job, member: place.index, token, tls };
    let (orders, line) = mapfold_engine::enlist(&door, own)?;
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
