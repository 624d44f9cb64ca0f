//! Members in processes of their own: the coordinator's end of their lines.
//!
//! Who starts the processes, and where, is the launcher's business ([`Crew`]). Here they are let in, given their
//! orders, heard, and replaced when they die: a lost member frees its leases, and the others do not notice.

use crate::attend::{Door, FRAME_CAP, flight_path, send_queue};
use crate::flight::in_flight;
use crate::link::{Mail, Post, Said};
use crate::orders::Orders;
use crate::shell::Shell;
use mapfold_coord::{JobEvent, JobId, MemberId};
use mapfold_plan::{Error, Result};
use mapfold_wire::{Bound, Conn, Listener, Peer, Token, Who, read_frame, write_frame};
use std::collections::{BTreeMap, BTreeSet};
use std::io::BufReader;
use std::path::PathBuf;
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
    fn last_line(&self) -> &str {
        self.tail.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or_default()
    }
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

    /// A folder that this process and its members share, for notes that outlive them.
    fn folder(&self) -> Option<PathBuf> {
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
    orders: Arc<Orders>,
    token: Token,
    job: JobId,
    /// Members that were started and have not ended.
    present: Mutex<BTreeMap<MemberId, Presence>>,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Default)]
struct Presence {
    came_in: bool,
    solo: bool,
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
    /// Opens the door and starts `members` processes.
    ///
    /// # Errors
    /// When there is no port, or a process cannot be started.
    pub fn open(shell: Arc<Shell>, crew: Arc<dyn Crew>, job: JobId, orders: Orders, members: u32) -> Result<Arc<Hall>> {
        let token = Token::random()?;
        let bound = Bound::loopback()?;
        let door = Door { address: bound.address().to_string(), job, member: 0, token: token.clone() };
        let listener = bound.listen(door.identity(Who::Coordinator))?;
        let (present, state) = (Mutex::default(), Mutex::default());
        let hall = Arc::new(Hall { shell, crew, listener, orders: Arc::new(orders), token, job, present, state });
        for _ in 0..members {
            hall.add(false)?;
        }
        Ok(hall)
    }

    /// Starts one more member; a `solo` one gets suspects only.
    ///
    /// # Errors
    /// When its process cannot be started.
    pub fn add(&self, solo: bool) -> Result<()> {
        let mut state = lock(&self.state);
        let member = state.next;
        state.next += 1;
        lock(&self.present).insert(MemberId(member), Presence { came_in: false, solo });
        let address = self.listener.address().to_string();
        self.crew.start(&Door { address, job: self.job, member, token: self.token.clone() })
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
        let Some(solo) = self.expects(member) else {
            tracing::warn!("member {index} knocked a second time and was sent away");
            return;
        };
        let (mail, inbox) = channel();
        let (conn, orders) = (peer.conn.clone(), self.orders.clone());
        std::thread::spawn(move || {
            let mut out = conn.clone();
            let sent = write_frame(&mut out, &*orders, FRAME_CAP).map_err(std::io::Error::other);
            if sent.and_then(|()| send_queue(&inbox, out)).is_err() {
                tracing::debug!("member {index} takes no mail any more");
            }
        });
        self.shell.report(&JobEvent::MemberJoined { member, solo });
        self.shell.enrol(member, solo, Arc::new(Mailbox { mail: Mutex::new(Some(mail)), conn: peer.conn.clone() }));
        let (conn, hall) = (peer.conn, self.clone());
        std::thread::spawn(move || hall.hear(member, conn));
    }

    /// Whether a member that was started has not come in yet; and if so, whether it is a solo one.
    fn expects(&self, member: MemberId) -> Option<bool> {
        let mut present = lock(&self.present);
        let presence = present.get_mut(&member).filter(|p| !p.came_in)?;
        presence.came_in = true;
        Some(presence.solo)
    }

    /// Hears a member until its line ends. How its process ended is known a moment later.
    fn hear(&self, member: MemberId, conn: Conn) {
        let mut reader = BufReader::new(conn);
        loop {
            match read_frame::<Said>(&mut reader, FRAME_CAP) {
                Ok(Some(said)) => self.shell.hear(member, said),
                Ok(None) => break,
                Err(e) => {
                    tracing::debug!("member {member}: {e}");
                    break;
                }
            }
        }
        lock(&self.state).gone.push((member, Instant::now()));
    }

    /// Replaces the members that have died or are given up.
    ///
    /// # Errors
    /// When they die again and again and no split is done in between.
    pub fn replace_the_lost(&self) -> Result<()> {
        self.shell.take_overdue().iter().for_each(|member| self.crew.kill(member.0));
        for ended in self.crew.ended() {
            self.replace(&ended)?;
        }
        let mut gone = std::mem::take(&mut lock(&self.state).gone);
        gone.extend(self.shell.take_gone().into_iter().map(|member| (member, Instant::now())));
        for (member, since) in gone {
            if since.elapsed() < TELL_WITHIN {
                lock(&self.state).gone.push((member, since));
                continue;
            }
            self.shell.lost(member);
            let how = "its line was cut, or it was silent for too long".to_string();
            self.replace(&Ended { member: member.0, how, tail: String::new() })?;
        }
        let has_solo = lock(&self.present).values().any(|p| p.solo);
        if self.shell.has_suspects() && !has_solo { self.add(true) } else { Ok(()) }
    }

    /// Its splits go to others; another process takes its place, unless that was done already.
    fn replace(&self, ended: &Ended) -> Result<()> {
        let presence = lock(&self.present).remove(&MemberId(ended.member)).unwrap_or_default();
        let flights = self.orders.flights.as_ref().map(|f| in_flight(&flight_path(f, ended.member)));
        let suspects = flights.unwrap_or_default();
        let convicted = presence.solo && !suspects.is_empty();
        let was_over = self.shell.is_over(); // It may be by this very death.
        self.shell.crashed(MemberId(ended.member), suspects, &ended.how, ended.last_line());
        let first = lock(&self.state).replaced.insert(ended.member);
        let goes_on = !self.shell.is_over();
        if first && !was_over {
            self.tell_lost(ended, goes_on && !presence.solo);
        }
        if !first || !goes_on || convicted {
            return Ok(()); // A solo member is started when a suspect waits.
        }
        tracing::info!("member {} is replaced: {}", ended.member, ended.how);
        self.count_death(ended)?;
        if presence.solo { Ok(()) } else { self.add(false) }
    }

    fn tell_lost(&self, ended: &Ended, replaced: bool) {
        let (member, how) = (MemberId(ended.member), ended.how.clone());
        let log_tail = if ended.tail.is_empty() { String::new() } else { ended.last_line().to_string() };
        self.shell.report(&JobEvent::MemberLost { member, how, replaced, log_tail });
    }

    fn count_death(&self, ended: &Ended) -> Result<()> {
        let done = self.shell.splits_done();
        let mut state = lock(&self.state);
        state.died += 1;
        state.deaths = if done > state.done { 1 } else { state.deaths + 1 };
        state.done = done;
        if state.deaths <= DEATHS_IN_A_ROW {
            return Ok(());
        }
        let what = format!("members die before they finish a split, the last by {}", ended.how);
        let error = Error::job(what);
        Err(match ended.last_line() {
            "" => error,
            last => error.with_remedy(format!("its log ends with: {last}")),
        })
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
