//! The processes of a run: from the options to a carrier, and from a carrier to what the engine calls a crew.
//!
//! Here is the one place that knows which `--mode` and `--target` mean which carrier, and where the coordinator listens
//! for it. A new carrier is a case in [`aboard`].

use crate::args::{Mode, RunArgs, ShuffleArg};
use crate::on_yarn::{self, within};
use crate::{Error, Result};
use mapfold_coord::{Generation, JobId, events};
use mapfold_engine::{Crew, Door, Ended, Meeting, RunOptions, Shuffle};
use mapfold_launch::yarn::Yarn;
use mapfold_launch::{
    Carrier, Exit, LaunchError, Local, MemberSpec, Membership, Room, Slot, Ssh, SshHost, SshOptions, Staged, Target,
};
use mapfold_plan::{Kind, Plan};
use mapfold_wire::Token;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long members may take to end when they are asked to.
const GRACE: Duration = Duration::from_secs(2);
/// Variables by which stores and logs are configured begin so: members on other hosts get them as they are here.
const PASSED_ON: [&str; 8] = ["AWS_", "AZURE_", "GOOGLE_", "HADOOP_", "KRB5", "MAPFOLD_", "RUST_LOG", "GDAL_"];

/// A carrier, and what is known of where it brings members.
struct Aboard {
    carrier: Box<dyn Carrier>,
    meeting: Meeting,
    /// What each member may use, where not the options alone say it.
    room: Option<Room>,
}

/// Has the members of a run started as the options say; a run of one process needs none.
///
/// # Errors
/// When the folder of their logs cannot be made, or a target cannot be used.
pub(crate) fn crew(args: &RunArgs, plan: &Plan, job: &JobId, opts: &mut RunOptions) -> Result<()> {
    if args.mode() == Mode::Standalone {
        return Ok(());
    }
    let folder = events::jobs_folder().unwrap_or_else(std::env::temp_dir).join(job.to_string());
    let logs = folder.join("logs");
    std::fs::create_dir_all(&logs)
        .map_err(|e| Error::caused(Kind::Job, e).with_remedy(format!("{} must be writable", logs.display())))?;
    let token = if Yarn::is_within() { within::token()? } else { Token::random()? };
    let Aboard { carrier, meeting, room } = aboard(args, &logs, &token)?;
    if let Some(room) = room {
        opts.threads = args.threads.unwrap_or(room.threads as usize);
        opts.memory_limit = args.memory_limit.map_or(room.memory, |m| m.0);
    }
    if meeting.afar {
        opts.exchange = exchange_afar(args, plan)?;
    }
    let state = Mutex::default();
    opts.crew = Some(Arc::new(Carried { carrier, meeting, token, folder, state }));
    Ok(())
}

/// The carrier that the options name.
fn aboard(args: &RunArgs, logs: &Path, token: &Token) -> Result<Aboard> {
    match &args.target {
        None => Ok(Aboard { carrier: Box::new(Local::new(logs)?), meeting: Meeting::default(), room: None }),
        Some(Target::Ssh(hosts)) => by_ssh(args, hosts, logs, token),
        Some(Target::Emr(_)) => {
            // Its launcher adds a step (`on_emr`), and the step says `yarn`.
            let what = "a process that is a part of a YARN application starts no step of EMR";
            Err(Error::usage(what).with_remedy("use --target yarn"))
        }
        // The launcher submits the whole run (`on_yarn`): this is its coordinator.
        Some(Target::Yarn) => {
            let (carrier, meeting) = (Box::new(within::carrier(args)?), within::meeting()?);
            Ok(Aboard { carrier, meeting, room: Some(on_yarn::member_room(args)) })
        }
    }
}

fn by_ssh(args: &RunArgs, hosts: &[SshHost], logs: &Path, token: &Token) -> Result<Aboard> {
    let counts = args.spread(hosts)?;
    let chosen: Vec<SshHost> = hosts.iter().zip(&counts).filter(|(_, n)| **n > 0).map(|(h, _)| h.clone()).collect();
    let options = SshOptions {
        hosts: chosen,
        command: mapfold_launch::ssh_command(),
        program: Staged::this_program()?,
        token: token.clone(),
        logs: logs.to_owned(),
        environment: passed_on(),
    };
    let ssh = Ssh::open(options).map_err(told)?;
    let threads = args.threads.map(|n| n as u32);
    let memory = args.memory_limit.map(|m| m.0);
    let counts = counts.into_iter().filter(|n| *n > 0);
    let shares: Vec<(u32, Room)> =
        counts.zip(ssh.rooms()).map(|(n, room)| (n, mapfold_launch::share(room, n, threads, memory))).collect();
    // What the run plans with must fit each of them; a host with more gives its members more.
    let least = |of: fn(&Room) -> u64| shares.iter().map(|(_, room)| of(room)).min();
    let threads = least(|r| u64::from(r.threads)).unwrap_or(1) as u32;
    let room = Some(Room { threads, memory: least(|r| r.memory).unwrap_or_default() });
    ssh.plan(shares.into_iter().map(|(n, room)| (n, Some(room))).collect());
    let meeting = meeting(args, &ssh.seen())?;
    Ok(Aboard { carrier: Box::new(ssh), meeting, room })
}

/// The environment of members on other hosts. Secrets of stores are not in it: members get those with their orders.
fn passed_on() -> Vec<(String, String)> {
    let vars = std::env::vars().filter(|(name, _)| PASSED_ON.iter().any(|begin| name.starts_with(begin)));
    vars.filter(|(name, _)| is_for_others(name)).collect()
}

/// How this machine reaches others, and what it is called itself, is its own.
fn is_for_others(name: &str) -> bool {
    !matches!(name, "MAPFOLD_SSH" | "MAPFOLD_HOST") && !mapfold_store::Settings::is_secret_variable(name)
}

/// An error of a carrier, with its remedy.
pub(crate) fn told(e: LaunchError) -> Error {
    let remedy = e.remedy().map(str::to_owned);
    let kind = if matches!(e, LaunchError::Host { .. }) { Kind::Input } else { Kind::Job };
    let error = Error::caused(kind, e);
    remedy.into_iter().fold(error, Error::with_remedy)
}

/// Where the coordinator listens for members on other hosts: as the user says, else where they see this machine.
fn meeting(args: &RunArgs, seen: &[IpAddr]) -> Result<Meeting> {
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let bind = match (args.bind, seen) {
        (Some(bind), _) => bind,
        (None, [one]) => SocketAddr::new(*one, 0),
        (None, _) => any, // The carrier tells each host the address by which it sees this machine.
    };
    // Behind a jump host or an address translation they see another machine.
    if args.bind.is_none()
        && let Some(other) = seen.iter().find(|ip| TcpListener::bind((**ip, 0)).is_err())
    {
        let what = format!("the hosts see this machine as {other}, which is none of its addresses");
        let remedy = "name an address that they reach with --bind ADDR, or --bind 0.0.0.0 --advertise HOST";
        return Err(Error::usage(what).with_remedy(remedy));
    }
    Ok(Meeting { bind, told: args.advertise.clone(), afar: true })
}

/// How records are exchanged between hosts: through files only where there is a folder that all of them have.
fn exchange_afar(args: &RunArgs, plan: &Plan) -> Result<Shuffle> {
    let stages = plan.stages();
    let local_output = stages.iter().filter_map(|s| s.output()).any(|o| o.loc().local_path().is_some());
    let shared = args.scratch.is_some() || local_output;
    let keeps = plan.files().iter().any(|f| f.made.is_some());
    if keeps && (!shared || args.shuffle == ShuffleArg::Pipelined) {
        let what = "blocks that are computed once are kept in files that members on all hosts read";
        let remedy = "name a folder that they share with --scratch FOLDER, without --shuffle pipelined";
        return Err(Error::usage(what).with_remedy(remedy));
    }
    match args.shuffle {
        ShuffleArg::Pipelined => Ok(Shuffle::Pipelined),
        ShuffleArg::Auto | ShuffleArg::Durable if shared => Ok(Shuffle::Durable),
        ShuffleArg::Auto => Ok(Shuffle::Pipelined),
        ShuffleArg::Durable => {
            let what = "--shuffle durable puts records into files that members on all hosts read, and no folder is known that they share";
            Err(Error::usage(what).with_remedy("name one with --scratch FOLDER, or use --shuffle pipelined"))
        }
    }
}

/// Members started by a carrier.
struct Carried {
    carrier: Box<dyn Carrier>,
    meeting: Meeting,
    token: Token,
    /// The job's folder on this machine: logs, and the notes of members here.
    folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    slots: BTreeMap<u32, Slot>,
    /// What members that have ended had noted.
    notes: BTreeMap<u32, Vec<u8>>,
}

impl Carried {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, member: u32) -> Option<Slot> {
        self.state().slots.get(&member).copied()
    }

    fn saw(&self, exit: Exit) -> Ended {
        let mut state = self.state();
        state.slots.remove(&exit.index);
        if !exit.notes.is_empty() {
            state.notes.insert(exit.index, exit.notes);
        }
        let how = exit.host.map_or_else(|| exit.ended.to_string(), |host| format!("{} on {host}", exit.ended));
        Ended { member: exit.index, how, tail: exit.tail }
    }
}

impl Crew for Carried {
    fn start(&self, door: &Door) -> Result<()> {
        let place = Membership {
            job: door.job,
            index: door.member,
            members: 0,
            generation: Generation(0),
            meet: door.address.clone(),
            tls: door.tls,
            binary: None,
            folder: Some(self.folder.clone()),
        };
        let spec = MemberSpec { place, token: door.token.clone(), arguments: Vec::new() };
        let slot = self.carrier.start(&spec).map_err(told)?;
        self.state().slots.insert(door.member, slot);
        Ok(())
    }

    fn ended(&self) -> Vec<Ended> {
        let exits = std::iter::from_fn(|| self.carrier.next_exit(Instant::now()));
        exits.map(|exit| self.saw(exit)).collect()
    }

    fn kill(&self, member: u32) {
        if let Some(slot) = self.slot(member) {
            self.carrier.stop(slot, Duration::ZERO);
        }
    }

    fn meeting(&self) -> Meeting {
        self.meeting.clone()
    }

    fn token(&self) -> Result<Token> {
        Ok(self.token.clone())
    }

    fn flight(&self, member: u32) -> Vec<u8> {
        let left = self.state().notes.get(&member).cloned();
        left.or_else(|| Some(self.carrier.notes(self.slot(member)?))).unwrap_or_default()
    }

    fn room(&self, member: u32) -> Option<mapfold_engine::Room> {
        let room = self.carrier.room(self.slot(member)?)?;
        Some(mapfold_engine::Room { threads: room.threads as usize, memory: room.memory })
    }

    fn stop(&self) {
        self.state().slots.values().for_each(|slot| self.carrier.stop(*slot, GRACE));
        let until = Instant::now() + GRACE + Duration::from_secs(2);
        while !self.state().slots.is_empty() {
            let Some(exit) = self.carrier.next_exit(until) else { return };
            self.saw(exit);
        }
    }
}
