//! Members in processes of their own: the coordinator's end of their lines.
//!
//! Who starts the processes, and where, is the launcher's business ([`Crew`]). Here they are let in, given their
//! orders, heard, and replaced when they die: a lost member frees its leases, and the others do not notice. How many
//! there are may change (`size`). Members that exchange records in memory are replaced together (`group`).

mod group;
mod size;

use crate::attend::{Door, FENCED, FRAME_CAP, send_queue};
use crate::failure::with_log;
use crate::flight::in_flight;
use crate::link::{Mail, Post, Said};
use crate::orders::{Orders, Place};
use crate::porters::Errands;
use crate::shell::Shell;
use group::Group;
use mapfold_coord::{Event, JobEvent, JobId, MemberId, SplitId, StageId};
use mapfold_plan::{Error, Result};
use mapfold_wire::{Bound, Conn, Listener, Peer, Token, Who, read_frame, write_frame};
pub use size::Size;
use std::collections::{BTreeMap, BTreeSet};
use std::io::BufReader;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long members may take to leave when the job is over.
const LEAVE_WITHIN: Duration = Duration::from_secs(10);
/// How long the end of a lost member's process is waited for, to say how it ended.
const TELL_WITHIN: Duration = Duration::from_millis(300);
/// Members that may die, one after the other, without any split done in between.
const DEATHS_IN_A_ROW: u32 = 5;

/// How a member's process ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Which member.
    pub member: u32,
    /// In words: "exit code 3", "killed by signal 9".
    pub how: String,
    /// The last lines of its log.
    pub tail: String,
}

impl Ended {
    /// Whether it ended because another member, or the coordinator, did.
    fn is_consequence(&self) -> bool {
        self.how.split(" on ").next() == Some(&format!("exit code {FENCED}"))
    }

    fn last_line(&self) -> &str {
        self.tail.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or_default()
    }
}

/// Where the coordinator listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meeting {
    /// The address it listens at; port 0 is a free one.
    pub bind: SocketAddr,
    /// The host that members are told, where it is not that of `bind`.
    pub told: Option<String>,
    /// Whether members may be on other hosts: connections are under TLS then, and no disk is shared unless the user
    /// says so.
    pub afar: bool,
}

impl Default for Meeting {
    /// On this machine only.
    fn default() -> Meeting {
        Meeting { bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), told: None, afar: false }
    }
}

impl Meeting {
    /// "host:port", as members are told it.
    fn address(&self, bound: SocketAddr) -> String {
        match &self.told {
            Some(host) if host.contains(':') && !host.starts_with('[') => format!("[{host}]:{}", bound.port()),
            Some(host) => format!("{host}:{}", bound.port()),
            None => bound.to_string(),
        }
    }
}

/// What one process may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Compute threads.
    pub threads: usize,
    /// Bytes of memory.
    pub memory: u64,
}

/// Starts and stops the processes of members.
pub trait Crew: Send + Sync {
    /// Starts the process of a member, which will knock at the door.
    ///
    /// # Errors
    /// When it cannot be started.
    fn start(&self, door: &Door) -> Result<()>;

    /// Members whose processes ended since the last call.
    fn ended(&self) -> Vec<Ended>;

    /// Ends the process of a member at once.
    fn kill(&self, member: u32);

    /// The job's secret, which it hands to members.
    ///
    /// # Errors
    /// When the system gives no randomness.
    fn token(&self) -> Result<Token> {
        Ok(Token::random()?)
    }

    /// Where members find the coordinator.
    fn meeting(&self) -> Meeting {
        Meeting::default()
    }

    /// The flight slots of a member, as it left them or as they are now; nothing where they cannot be read.
    fn flight(&self, _member: u32) -> Vec<u8> {
        Vec::new()
    }

    /// What a member may use where it was started; `None`: as much as the run was told.
    fn room(&self, _member: u32) -> Option<Room> {
        None
    }

    /// Ends all that still run, and waits for them.
    fn stop(&self);
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The members of a run.
pub struct Hall {
    shell: Arc<Shell>,
    crew: Arc<dyn Crew>,
    listener: Listener,
    /// What members are told of it.
    address: String,
    afar: bool,
    orders: Arc<Orders>,
    token: Token,
    job: JobId,
    /// Members that were started and have not ended.
    present: Mutex<BTreeMap<MemberId, Presence>>,
    state: Mutex<State>,
    size: Mutex<Size>,
    /// Those who exchange records in memory, if they do.
    group: Option<Mutex<Group>>,
    /// What they were asked to carry.
    errands: Arc<Errands>,
}

#[derive(Clone, Copy, Default)]
struct Presence {
    came_in: bool,
    solo: bool,
    /// It is not wanted any more.
    retiring: bool,
    /// Its place in the group.
    place: Option<Place>,
}

#[derive(Default)]
struct State {
    next: u32,
    /// Given up, and how long ago: the end of its process says more, if it comes soon.
    gone: Vec<(MemberId, Instant)>,
    replaced: BTreeSet<u32>,
    deaths: u32,
    done: u64,
    died: u64,
}

impl Hall {
    /// Opens the door and starts as many processes as are wanted, which exchange records in memory if they are
    /// `together`.
    ///
    /// # Errors
    /// When there is no port, or a process cannot be started and cannot be done without.
    pub fn open(
        shell: Arc<Shell>,
        crew: Arc<dyn Crew>,
        job: JobId,
        orders: Orders,
        (size, together): (Size, bool),
    ) -> Result<Arc<Hall>> {
        let token = crew.token()?;
        let meeting = crew.meeting();
        let bound = Bound::at(meeting.bind)?;
        let (address, afar) = (meeting.address(bound.address()), meeting.afar);
        let door = Door { address: address.clone(), job, member: 0, token: token.clone(), tls: afar };
        let listener = bound.listen(door.identity(Who::Coordinator))?;
        let (present, state) = (Mutex::default(), Mutex::default());
        let group = together.then(|| Mutex::new(Group::new(size.most)));
        let size = Mutex::new(size);
        let orders = Arc::new(orders);
        let errands = Errands::new(shell.clone());
        let hall =
            Hall { shell, crew, listener, address, afar, orders, token, job, present, state, size, group, errands };
        let hall = Arc::new(hall);
        if together {
            hall.start_generation()?;
        } else {
            hall.fill_up()?;
        }
        Ok(hall)
    }

    /// Starts one more member; a solo one gets suspects only.
    fn add(&self, presence: Presence) -> Result<()> {
        let mut state = lock(&self.state);
        let member = state.next;
        state.next += 1;
        lock(&self.present).insert(MemberId(member), presence);
        let (address, token) = (self.address.clone(), self.token.clone());
        let started = self.crew.start(&Door { address, job: self.job, member, token, tls: self.afar });
        if started.is_err() {
            lock(&self.present).remove(&MemberId(member));
        }
        started
    }

    /// Has members carry portions of an output.
    pub fn errands(&self) -> Arc<Errands> {
        self.errands.clone()
    }

    /// Processes that died and were replaced.
    pub fn died(&self) -> u64 {
        lock(&self.state).died
    }

    /// Lets in whoever has knocked, within the time given.
    pub fn welcome(self: &Arc<Hall>, within: Duration) {
        let mut until = Instant::now() + within;
        while let Some(peer) = self.listener.next(until) {
            self.let_in(peer);
            until = Instant::now();
        }
    }

    fn let_in(self: &Arc<Hall>, peer: Peer) {
        let Who::Member(index) = peer.facts.who else { return };
        let member = MemberId(index);
        // Each process comes in once: a second one of the same name is nobody that was started here.
        let Some(presence) = self.expects(member) else {
            tracing::warn!("member {index} knocked a second time and was sent away");
            return;
        };
        let (mail, inbox) = channel();
        let (conn, orders) = (peer.conn.clone(), self.orders_for(index, presence));
        std::thread::spawn(move || {
            let mut out = conn.clone();
            let sent = write_frame(&mut out, &orders, FRAME_CAP).map_err(std::io::Error::other);
            if sent.and_then(|()| send_queue(&inbox, out)).is_err() {
                tracing::debug!("member {index} takes no mail any more");
            }
        });
        let solo = presence.solo;
        self.shell.report(&JobEvent::MemberJoined { member, solo });
        presence.place.iter().for_each(|p| self.shell.seat(member, p.seat));
        self.errands.joined(member);
        self.shell.enrol(member, solo, Arc::new(Mailbox { mail: Mutex::new(Some(mail)), conn: peer.conn.clone() }));
        let (conn, hall) = (peer.conn, self.clone());
        std::thread::spawn(move || hall.hear(member, conn));
    }

    /// Its orders: with what its host has room for, unless it is one of a group, whose members must fit each other.
    fn orders_for(&self, member: u32, presence: Presence) -> Orders {
        let mut orders = Orders { group: presence.place, ..(*self.orders).clone() };
        if let Some(room) = self.crew.room(member).filter(|_| presence.place.is_none()) {
            (orders.threads, orders.memory_limit) = (room.threads, room.memory);
        }
        orders
    }

    /// Whether a member that was started has not come in yet; and if so, as what.
    fn expects(&self, member: MemberId) -> Option<Presence> {
        let mut present = lock(&self.present);
        let presence = present.get_mut(&member).filter(|p| !p.came_in && !p.retiring)?;
        presence.came_in = true;
        Some(*presence)
    }

    /// Hears a member until its line ends. How its process ended is known a moment later.
    fn hear(&self, member: MemberId, conn: Conn) {
        let mut reader = BufReader::new(conn);
        loop {
            match read_frame::<Said>(&mut reader, FRAME_CAP) {
                Ok(Some(Said::AtMesh { address })) => self.bring_together(member, address),
                Ok(Some(Said::Carried { errand, arrived })) => self.errands.answered(errand, arrived),
                Ok(Some(said)) => self.shell.hear(member, said),
                Ok(None) => break,
                Err(e) => {
                    tracing::debug!("member {member}: {e}");
                    break;
                }
            }
        }
        self.errands.lost(member);
        lock(&self.state).gone.push((member, Instant::now()));
    }

    /// Replaces the members that have died or are given up, and has as many as are wanted.
    ///
    /// # Errors
    /// When they die again and again and no split is done in between, or fewer can be had than must be there.
    pub fn replace_the_lost(&self) -> Result<()> {
        self.shell.take_overdue().iter().for_each(|member| self.crew.kill(member.0));
        let mut ended = self.crew.ended();
        ended.sort_by_key(Ended::is_consequence);
        for ended in ended {
            self.replace(&ended)?;
        }
        let mut gone = std::mem::take(&mut lock(&self.state).gone);
        gone.extend(self.shell.take_gone().into_iter().map(|member| (member, Instant::now())));
        for (member, since) in gone {
            if self.shell.has_left(member) {
                continue; // Of its own accord: its end is all that is still to come.
            }
            if since.elapsed() < TELL_WITHIN {
                lock(&self.state).gone.push((member, since));
                continue;
            }
            self.shell.lost(member);
            let how = "its line was cut, or it was silent for too long".to_string();
            self.replace(&Ended { member: member.0, how, tail: String::new() })?;
        }
        let has_solo = lock(&self.present).values().any(|p| p.solo);
        let solo = Presence { solo: true, ..Presence::default() };
        if self.shell.has_suspects() && !has_solo && lock(&self.size).is_due() {
            match self.add(solo) {
                Ok(()) => {}
                Err(e) => {
                    self.do_without(e)?;
                    self.shell.tell(Event::NobodySolo);
                }
            }
        }
        self.resize();
        self.fill_up()
    }

    /// Its splits go to others; another process may take its place ([`Hall::fill_up`]).
    fn replace(&self, ended: &Ended) -> Result<()> {
        let presence = lock(&self.present).remove(&MemberId(ended.member));
        if self.group.is_some() && presence.is_none() {
            return Ok(()); // Of a generation that is over.
        }
        let presence = presence.unwrap_or_default();
        if let Some(place) = presence.place {
            return self.end_generation(ended, place);
        }
        if presence.retiring && (!presence.came_in || self.shell.has_left(MemberId(ended.member))) {
            return Ok(());
        }
        let suspects = self.worked_on(ended.member);
        let convicted = presence.solo && !suspects.is_empty();
        let was_over = self.shell.is_over(); // It may be by this very death.
        self.shell.crashed(MemberId(ended.member), suspects, &ended.how, ended.last_line());
        let first = lock(&self.state).replaced.insert(ended.member);
        let goes_on = !self.shell.is_over();
        if first && !was_over {
            self.tell_lost(ended, goes_on && !presence.solo && !presence.retiring);
        }
        if !first || !goes_on || convicted || presence.retiring {
            return Ok(()); // A solo member is started when a suspect waits.
        }
        tracing::info!("member {} is replaced: {}", ended.member, ended.how);
        self.count_death(ended, self.shell.splits_done())
    }

    /// What a process that has died was working on, as its flight slots say.
    fn worked_on(&self, member: u32) -> Vec<(StageId, SplitId)> {
        in_flight(&self.crew.flight(member))
    }

    fn tell_lost(&self, ended: &Ended, replaced: bool) {
        let (member, how) = (MemberId(ended.member), ended.how.clone());
        let log_tail = if ended.tail.is_empty() { String::new() } else { ended.last_line().to_string() };
        self.shell.report(&JobEvent::MemberLost { member, how, replaced, log_tail });
    }

    /// `done` splits were done when it died; by now they may count no more.
    fn count_death(&self, ended: &Ended, done: u64) -> Result<()> {
        let left = self.shell.splits_done();
        let mut state = lock(&self.state);
        state.died += 1;
        let goes_on = done > state.done;
        state.deaths = if goes_on { 1 } else { state.deaths + 1 };
        state.done = left;
        if state.deaths <= DEATHS_IN_A_ROW {
            if goes_on {
                lock(&self.size).calm_down();
            }
            return Ok(());
        }
        drop(state);
        let what = format!("members die before they finish a split, the last by {}", ended.how);
        self.do_without(with_log(Error::job(what), ended.last_line()))
    }

    /// Waits until the members have left, and ends those that have not.
    pub fn close(&self) {
        let until = Instant::now() + LEAVE_WITHIN;
        while !lock(&self.present).is_empty() && Instant::now() < until {
            for ended in self.crew.ended() {
                lock(&self.present).remove(&MemberId(ended.member));
            }
            // One that comes too late finds the job over.
            if let Some(peer) = self.listener.next(Instant::now() + Duration::from_millis(2)) {
                drop(peer);
            }
        }
        self.crew.stop();
        tracing::debug!("the door: {:?}", self.listener.counts());
    }
}

/// A remote member's mailbox: a queue that a thread of its own empties onto the connection.
struct Mailbox {
    mail: Mutex<Option<Sender<Mail>>>,
    conn: Conn,
}

impl Post for Mailbox {
    fn post(&self, mail: Mail) {
        if let Some(queue) = &*lock(&self.mail) {
            let _ = queue.send(mail); // A member whose line is cut is found lost by its reader.
        }
    }

    fn close(&self) {
        lock(&self.mail).take();
        let _ = self.conn.shutdown(std::net::Shutdown::Both);
    }
}
