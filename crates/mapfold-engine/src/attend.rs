//! A member process: it comes through the door, takes its orders, attempts splits and goes.
//!
//! The control connection is its lease of life: when the line breaks, or the coordinator is silent on it because it is
//! gone, the process ends at once. It may hold granted work; whoever replaces it does that again, and what it wrote
//! lies where nothing counts.

use crate::link::{Control, Mail, Post, Said, Vitals};
use crate::measure;
use crate::member::{Member, Postbox};
use crate::mesh;
use crate::near;
use crate::orders::{Orders, Place};
use crate::porters;
use crate::worker;
use mapfold_coord::JobId;
use mapfold_plan::memory::Budget;
use mapfold_plan::{Error, Kind, Plan, Result};
use mapfold_store::Portion;
use mapfold_wire::{Bound, Conn, Cover, Facts, Identity, Purpose, Token, Who, dial, read_frame, write_frame};
use std::io::{BufReader, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Largest frame either end believes: a plan's recorded answers, or the pieces of a partition.
pub const FRAME_CAP: u32 = 1 << 30;
/// How long a member tries to reach the coordinator.
const ARRIVE_WITHIN: Duration = Duration::from_secs(60);
/// How long the workers of a group may take to come down together when the job has failed.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);
/// Exit code of a process that has lost its coordinator.
pub const FENCED: i32 = 75;

/// Where the coordinator is found, and as whom.
pub struct Door {
    /// HOST:PORT.
    pub address: String,
    /// The job.
    pub job: JobId,
    /// Which member this process is.
    pub member: u32,
    /// The secret of the job.
    pub token: Token,
    /// Whether connections are under TLS.
    pub tls: bool,
}

/// What a member has on its own host. Whoever started it removes it.
#[derive(Clone, Debug, Default)]
pub struct Own {
    /// Where it notes what it works on; whoever started it reads that when it has died.
    pub flight: Option<PathBuf>,
    /// A folder for records that no other process reads.
    pub scratch: Option<PathBuf>,
}

impl Door {
    /// What one end says of itself on the control connection. Members come and go, and learn the plan behind the door.
    pub fn identity(&self, who: Who) -> Identity {
        let facts = Facts { job: self.job.number(), plan: 0, generation: 0, members: 0, who };
        Identity { token: self.token.clone(), facts, purpose: Purpose::Control, cover: self.cover() }
    }

    fn cover(&self) -> Cover {
        if self.tls { Cover::Tls } else { Cover::Plain }
    }

    /// What a member says of itself to the others of its group: they must be of one plan and one generation.
    fn mesh_identity(&self, Place { seat, generation }: Place, plan: u128) -> Identity {
        let (members, who) = (seat.of, Who::Member(seat.index));
        let facts = Facts { job: self.job.number(), plan, generation, members, who };
        Identity { token: self.token.clone(), facts, purpose: Purpose::Mesh, cover: self.cover() }
    }
}

/// A member's line to its coordinator.
pub struct Line {
    conn: Conn,
    /// Who it is in its group.
    mesh: Option<Identity>,
    own: Own,
    reader: BufReader<Conn>,
}

/// Goes through the door and takes the orders.
///
/// # Errors
/// When nobody is there, or the other end is not this job's coordinator.
pub fn enlist(door: &Door, own: Own) -> Result<(Orders, Line)> {
    let (me, until) = (door.identity(Who::Member(door.member)), Instant::now() + ARRIVE_WITHIN);
    let peer = dial(&door.address, &me, Who::Coordinator, until, &AtomicBool::new(false))?;
    let mut reader = BufReader::new(peer.conn.clone());
    let orders = read_frame(&mut reader, FRAME_CAP)?;
    let orders: Orders = orders.ok_or_else(|| Error::job("the coordinator has gone before it gave orders"))?;
    let mesh = orders.group.map(|place| door.mesh_identity(place, orders.fingerprint));
    Ok((orders, Line { conn: peer.conn, mesh, own, reader }))
}

/// Attempts splits of `plan` until the job is over.
///
/// # Errors
/// When the plan is not the one that was ordered, does not fit the memory, or a worker stops.
pub fn attend(plan: &Plan, orders: &Orders, line: Line) -> Result<()> {
    crate::install_panic_hook();
    let (control, said) = Remote::new();
    let writer = std::thread::spawn({
        let conn = line.conn.clone();
        move || send_all(&said, &conn)
    });
    let told = plan.fingerprint(&serde_json::from_str(&orders.params)?);
    if told != orders.fingerprint {
        return Err(Error::new(
            Kind::Job,
            "this member's plan is not the coordinator's: another program, or planning that is not deterministic",
        ));
    }
    let through_files = orders.group.is_none();
    let budget = Budget::new(orders.memory_limit, orders.threads as u64).keeping(plan).through_files(through_files);
    let memory = plan.stages().iter().map(|s| budget.plan(s.as_ref(), orders.chunks)).collect::<Result<Vec<_>>>()?;
    let lines: Vec<Arc<dyn Control>> = vec![control.clone()];
    let scratch = line.scratch(orders);
    let (member, boxes) = Member::new(plan, &memory, (orders.threads, scratch.clone(), orders.apart), lines);
    let seat = orders.group.map(|place| place.seat.index);
    let member = member.with_flight(line.own.flight.as_deref()).with_durable(seat.is_none()).with_mesh(seat);
    let member = Arc::new(member);
    let here = line.conn.here().map_err(|e| Error::caused(Kind::Job, e))?.ip();
    control.say(Said::Hosted { names: near::own_names(here) });
    let [postbox] = boxes.as_slice() else { return Err(Error::job("a member process has one worker")) };
    let ((meet, meeting), (ask, errands)) = (channel(), channel());
    hear_all(line.reader, Ways { postbox: postbox.clone(), meet, errands: ask }, control.clone());
    let ended = match (shares(orders), line.mesh) {
        (Err(error), _) => {
            control.say(Said::Broken { error });
            Ok(())
        }
        (Ok(()), None) => work_alone(&member, &control, orders.alive_every_ms),
        (Ok(()), Some(me)) => work_together((&me, here), &meeting, &member, &control, orders.alive_every_ms),
    };
    if ended.is_ok() && orders.stays {
        run_errands(&member, &control, &errands, orders.alive_every_ms);
    }
    member.writer.wait_idle();
    control.say(Said::Alive(vitals(&member)));
    control.close();
    let _ = writer.join();
    if orders.apart {
        let _ = std::fs::remove_dir(scratch); // It is empty: files there have no names.
    }
    ended
}

/// Whether this host has the folders of local outputs: their parts are written there, by all members.
fn shares(orders: &Orders) -> Result<()> {
    let missing = orders.witnesses.iter().find(|folder| !std::path::Path::new(folder).is_dir());
    let Some(folder) = missing else { return Ok(()) };
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let what = format!("{} does not have the folder {folder} of this job", host.trim());
    Err(Error::input(what).with_remedy("outputs must be where all hosts write: a shared folder, or an object store"))
}

impl Line {
    /// Where this member spills records.
    fn scratch(&self, orders: &Orders) -> PathBuf {
        if !orders.apart {
            return PathBuf::from(&orders.scratch);
        }
        // A folder of this process alone: it goes with it, and others of this host keep theirs.
        let base = match (orders.scratch.is_empty(), &self.own.scratch) {
            (false, _) => PathBuf::from(&orders.scratch),
            (true, Some(folder)) => folder.clone(),
            (true, None) => std::env::temp_dir().join("mapfold-scratch"),
        };
        let mut name = base.into_os_string();
        name.push(format!("-{}", std::process::id()));
        PathBuf::from(name)
    }
}

/// Attempts splits beside others, of whom this process knows nothing.
fn work_alone(member: &Arc<Member>, control: &Remote, alive_every_ms: u64) -> Result<()> {
    let alive = || control.say(Said::Alive(vitals(member)));
    worker::start(1, member)?.until_ended(Duration::from_millis(alive_every_ms), alive)
}

/// Meets the others of its group, and works as one of them until the job is over or one of them dies.
fn work_together(
    (me, here): (&Identity, IpAddr),
    meeting: &Receiver<Vec<String>>,
    member: &Arc<Member>,
    control: &Remote,
    alive_every_ms: u64,
) -> Result<()> {
    let Who::Member(seat) = me.facts.who else { return Err(Error::job("a coordinator has no seat")) };
    let bound = Bound::at(SocketAddr::new(here, 0))?; // By this address it reaches the coordinator: so do the others.
    control.say(Said::AtMesh { address: bound.address().to_string() });
    let listener = bound.listen(me.clone())?;
    let Ok(addresses) = meeting.recv() else { return Ok(()) }; // The job ended before the group was complete.
    let conns = mesh::connect(&listener, &addresses, me, mesh::CONNECT_LIMIT);
    let conns = conns.map_err(|e| Error::caused(Kind::Job, e))?;
    let ended = worker::start_in_mesh(conns, seat, member);
    let mut leaving = None;
    loop {
        match ended.recv_timeout(Duration::from_millis(alive_every_ms).min(LEAVE_WITHIN)) {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(e @ mesh::MeshError::MemberDied { .. })) => std::process::exit(e.exit_code()), // It was said.
            Ok(Err(e)) => return Err(Error::caused(Kind::Job, e)),
            Err(_) => control.say(Said::Alive(vitals(member))),
        }
        // Members that hear of the end in different stages would wait for each other.
        if control.has_failed() && leaving.get_or_insert_with(Instant::now).elapsed() > LEAVE_WITHIN {
            return Ok(());
        }
    }
}

/// Carries portions of outputs until the job is over.
fn run_errands(member: &Arc<Member>, control: &Arc<Remote>, errands: &Receiver<Errand>, alive_every_ms: u64) {
    loop {
        match errands.recv_timeout(Duration::from_millis(alive_every_ms)) {
            Ok((errand, portion)) => {
                let (stores, control) = (member.stores.clone(), control.clone());
                member.writer.submit(move |_| control.say(porters::report(&stores, errand, &portion)));
            }
            Err(RecvTimeoutError::Timeout) => control.say(Said::Alive(vitals(member))),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn vitals(member: &Member) -> Vitals {
    let used = measure::usage(Instant::now());
    let read = member.stores.counters().bytes_read;
    Vitals { user: used.user, sys: used.sys, peak: measure::peak_rss(), read, spilled: member.hub.spilled() }
}

/// The member's end of the line: words are queued and sent by a thread of their own.
struct Remote {
    queue: Mutex<Option<Sender<Said>>>,
    failed: AtomicBool,
    leaving: AtomicBool,
}

impl Remote {
    fn new() -> (Arc<Remote>, Receiver<Said>) {
        let (queue, said) = channel();
        let remote =
            Remote { queue: Mutex::new(Some(queue)), failed: AtomicBool::new(false), leaving: AtomicBool::new(false) };
        (Arc::new(remote), said)
    }

    /// No more words; those that are queued are still sent.
    fn close(&self) {
        self.leaving.store(true, SeqCst);
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Control for Remote {
    fn say(&self, said: Said) {
        if let Some(queue) = &*self.queue.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = queue.send(said); // The sending thread ends only with the process.
        }
    }

    fn has_failed(&self) -> bool {
        self.failed.load(SeqCst)
    }
}

/// Sends what is queued, many words in one write; a line that takes nothing more is a line that is cut.
fn send_all(said: &Receiver<Said>, conn: &Conn) {
    if let Err(e) = send_queue(said, conn.clone()) {
        end_fenced(&format!("the line to the coordinator is cut ({e})"));
    }
    let _ = conn.shutdown(std::net::Shutdown::Write);
}

/// Writes everything that comes out of a queue as frames until the queue is closed.
///
/// # Errors
/// Those of the connection.
pub fn send_queue<T: serde::Serialize>(queue: &Receiver<T>, mut conn: Conn) -> std::io::Result<()> {
    let mut frames = Vec::new();
    while let Ok(first) = queue.recv() {
        frames.clear();
        for value in std::iter::once(first).chain(queue.try_iter().take(256)) {
            write_frame(&mut frames, &value, FRAME_CAP).map_err(std::io::Error::other)?;
        }
        conn.write_all(&frames)?;
        conn.flush()?;
    }
    Ok(())
}

/// A portion to carry, and the number of the request.
type Errand = (u64, Portion);

/// Where mail goes: most of it to the worker, which is not there yet when the members of a group meet, and not any more
/// when portions are carried.
struct Ways {
    postbox: Arc<Postbox>,
    meet: Sender<Vec<String>>,
    errands: Sender<Errand>,
}

/// Posts the coordinator's mail on a thread of its own, and ends the process when the line breaks.
fn hear_all(mut reader: BufReader<Conn>, ways: Ways, control: Arc<Remote>) {
    let Ways { postbox, meet, errands } = ways;
    std::thread::spawn(move || {
        let (mut meet, mut errands) = (Some(meet), Some(errands));
        loop {
            match read_frame::<Mail>(&mut reader, FRAME_CAP) {
                Ok(Some(Mail::Mesh(addresses))) => drop(meet.take().map(|m| m.send(addresses))),
                Ok(Some(Mail::Over(seat))) => {
                    mesh::note(seat);
                    std::process::exit(FENCED);
                }
                Ok(Some(Mail::Carry(errand, portion))) => {
                    errands.iter().for_each(|way| drop(way.send((errand, portion.clone()))));
                }
                Ok(Some(mail)) => {
                    if mail == Mail::Stop {
                        control.failed.store(true, SeqCst);
                        (meet, errands) = (None, None);
                    }
                    postbox.post(mail);
                }
                _ if control.leaving.load(SeqCst) => return,
                _ => end_fenced("the coordinator is gone"),
            }
        }
    });
}

/// Nothing that this process could still do would count.
fn end_fenced(why: &str) -> ! {
    tracing::warn!("{why}: this member ends");
    std::process::exit(FENCED);
}
