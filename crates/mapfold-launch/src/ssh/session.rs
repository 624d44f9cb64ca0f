//! One session of `ssh`: from its start to its end, whatever ends it.
//!
//! `ssh` is a child in a process group of its own, so that a Ctrl-C at the terminal reaches the launcher alone. The
//! thread that starts it lives as long as it does, for the kernel ends it with that thread (`with_parent`).

use super::fault::fault;
use super::stage::{Lines, StageError, Staged, stage};
use crate::carrier::Room;
use crate::error::LaunchError;
use crate::target::SshHost;
use crate::told::{FRAME_CAP, GREETING, Order, Report};
use crate::with_parent::die_with_parent;
use mapfold_wire::{Token, read_frame, write_frame};
use std::io::Read;
use std::net::IpAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Until the shell there must have answered, and the program become itself once it is there.
const ANSWER: Duration = Duration::from_secs(60);
/// For the program on its way: a slow line.
const BRING: Duration = Duration::from_secs(3600);
/// For `ssh` to end when its streams have.
const LEAVE: Duration = Duration::from_secs(5);
/// What is kept of the standard error of `ssh`.
const KEPT: usize = 16 * 1024;

/// What all sessions of a job have in common.
pub(super) struct Setup {
    pub(super) command: Vec<String>,
    pub(super) program: Staged,
    pub(super) token: Token,
    pub(super) environment: Vec<(String, String)>,
}

/// A session whose other end is the launcher's end on its host.
pub(super) struct Session {
    pub(super) room: Room,
    /// The address by which the host sees this machine, so that by which it reaches it.
    pub(super) seen: Option<IpAddr>,
    line: Arc<Line>,
    thread: Option<JoinHandle<()>>,
}

/// The child, shared between who sends to it and who waits for it.
struct Line {
    child: Mutex<Option<Child>>,
    to: Mutex<Option<ChildStdin>>,
    open: AtomicBool,
    /// The launcher is leaving: the end is no news.
    leaving: AtomicBool,
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a host says of itself.
type Ready = (Room, Option<IpAddr>);

/// How far the opening is.
enum Step {
    Answered,
    Ready(Room, Option<IpAddr>),
    Failed(LaunchError),
}

impl Session {
    /// Reaches a host, brings the program and starts it. `hear` gets what its end there reports, `ended` is called once
    /// when the session is over after that.
    pub(super) fn open(
        host: &SshHost,
        setup: &Setup,
        hear: impl Fn(Report) + Send + 'static,
        ended: impl FnOnce(String) + Send + 'static,
    ) -> Result<Session, LaunchError> {
        let name = host.to_string();
        let command = command(host, setup);
        let line = Arc::new(Line {
            child: Mutex::default(),
            to: Mutex::default(),
            open: AtomicBool::new(true),
            leaving: AtomicBool::new(false),
        });
        let (tell, steps) = channel();
        let (greeting, own) = (Greeting::of(setup), line.clone());
        let thread = std::thread::Builder::new().name(format!("ssh:{name}"));
        let thread = thread
            .spawn(move || own.live(&name, command, &greeting, &tell, (hear, ended)))
            .map_err(|source| LaunchError::NoThread { source })?;
        match await_ready(&steps) {
            Ok((room, seen)) => Ok(Session { room, seen, line, thread: Some(thread) }),
            Err(failed) => {
                line.kill();
                let _ = thread.join();
                Err(failed.unwrap_or_else(|| silent(host)))
            }
        }
    }

    /// Sends an order. What cannot be sent needs no answer: the session has ended, and that is told.
    pub(super) fn order(&self, order: &Order) {
        if let Some(to) = lock(&self.line.to).as_mut() {
            let _ = write_frame(to, order, FRAME_CAP);
        }
    }

    /// Whether it has not ended.
    pub(super) fn is_open(&self) -> bool {
        self.line.open.load(SeqCst)
    }

    /// Lets go of the lifeline: all members there end.
    pub(super) fn hang_up(&self) {
        self.line.leaving.store(true, SeqCst);
        lock(&self.line.to).take();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.hang_up();
        let Some(thread) = self.thread.take() else { return };
        if thread.thread().id() == std::thread::current().id() {
            return; // It tells of its own end.
        }
        let until = Instant::now() + LEAVE;
        while !thread.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.line.kill();
        let _ = thread.join();
    }
}

fn silent(host: &SshHost) -> LaunchError {
    let what = format!("it did not answer within {} s", ANSWER.as_secs());
    let remedy = format!("`ssh {host} true` must end at once, without a question");
    LaunchError::Host { host: host.to_string(), what, remedy }
}

/// What the host said of itself, or why there is nothing; `None` for silence.
fn await_ready(steps: &Receiver<Step>) -> Result<Ready, Option<LaunchError>> {
    let mut limit = ANSWER;
    loop {
        match steps.recv_timeout(limit) {
            Ok(Step::Answered) => limit = BRING,
            Ok(Step::Ready(room, seen)) => return Ok((room, seen)),
            Ok(Step::Failed(e)) => return Err(Some(e)),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Err(None),
        }
    }
}

fn command(host: &SshHost, setup: &Setup) -> Command {
    let mut words = setup.command.iter();
    let mut command = Command::new(words.next().map_or("ssh", String::as_str));
    command.args(words).args(["-T", "-x", "-a"]);
    // No questions; a master that is there is used, but none is left behind; a host that is gone is noticed.
    let options = [
        "BatchMode=yes",
        "ConnectTimeout=15",
        "ControlMaster=no",
        "ClearAllForwardings=yes",
        "ServerAliveInterval=5",
        "ServerAliveCountMax=4",
        "LogLevel=ERROR",
    ];
    for option in options {
        command.args(["-o", option]);
    }
    if let Some(port) = host.port {
        command.args(["-p", &port.to_string()]);
    }
    if let Some(user) = &host.user {
        command.args(["-l", user]);
    }
    command.arg("--").arg(&host.host).arg(setup.program.script());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    die_with_parent(&mut command);
    command
}

/// What the other end is told first.
struct Greeting {
    program: Staged,
    token: Token,
    begin: Order,
}

impl Greeting {
    fn of(setup: &Setup) -> Greeting {
        let folder = std::env::current_dir().unwrap_or_default().to_string_lossy().into_owned();
        let begin = Order::Begin { folder, environment: setup.environment.clone() };
        Greeting { program: setup.program.clone(), token: setup.token.clone(), begin }
    }

    /// Brings the program, hands it the token, and waits until it is ready.
    fn say(&self, to: &mut ChildStdin, from: &mut ChildStdout, tell: &Sender<Step>) -> Result<Ready, StageError> {
        let mut lines = Lines(from);
        let brought = stage(&self.program, to, &mut lines, || drop(tell.send(Step::Answered)))?;
        if brought {
            tracing::info!("the program was brought ({} bytes)", self.program.size);
        }
        self.token.write_to(to).map_err(|_| StageError::Ended)?;
        while lines.next().ok_or(StageError::Ended)? != GREETING {}
        write_frame(to, &self.begin, FRAME_CAP).map_err(|_| StageError::Ended)?;
        match read_frame(&mut lines.0, FRAME_CAP) {
            Ok(Some(Report::Ready { threads, memory, seen })) => Ok((Room { threads, memory }, seen)),
            _ => Err(StageError::Ended),
        }
    }
}

impl Line {
    /// The whole life of a session, on one thread.
    fn live(
        &self,
        name: &str,
        mut command: Command,
        greeting: &Greeting,
        tell: &Sender<Step>,
        (hear, ended): (impl Fn(Report), impl FnOnce(String)),
    ) {
        let program = command.get_program().to_owned();
        let spawned = command.spawn();
        let Ok(mut child) = spawned.inspect_err(|e| {
            let remedy = "install OpenSSH's client, or name yours with MAPFOLD_SSH".to_owned();
            let what = format!("{} cannot be started: {e}", program.display());
            let _ = tell.send(Step::Failed(LaunchError::Host { host: name.to_owned(), what, remedy }));
        }) else {
            return self.open.store(false, SeqCst);
        };
        let (to, from, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(mut to), Some(mut from), Some(err)) = (to, from, err) else { return };
        let said = std::thread::spawn(move || collect(err));
        *lock(&self.child) = Some(child);
        let ready = greeting.say(&mut to, &mut from, tell);
        if ready.is_ok() {
            *lock(&self.to) = Some(to);
        }
        match ready {
            Ok((room, seen)) => {
                let _ = tell.send(Step::Ready(room, seen)); // Nobody waits any more: then it is killed.
                while let Ok(Some(report)) = read_frame::<Report>(&mut from, FRAME_CAP) {
                    hear(report);
                }
                self.open.store(false, SeqCst);
                lock(&self.to).take();
                let status = self.wait();
                let said = said.join().unwrap_or_default();
                if !self.leaving.load(SeqCst) {
                    ended(how_it_ended(status, &said));
                }
            }
            Err(e) => {
                let status = self.wait();
                let said = said.join().unwrap_or_default();
                self.open.store(false, SeqCst);
                let _ = tell.send(Step::Failed(fault(name, &e, status, &said)));
            }
        }
    }

    /// Waits for the child's end, and forces it after a while.
    fn wait(&self) -> Option<ExitStatus> {
        let until = Instant::now() + LEAVE;
        loop {
            let ended = lock(&self.child).as_mut()?.try_wait().ok()?; // The lock is free again behind this line.
            if ended.is_some() {
                lock(&self.child).take();
                return ended;
            }
            if Instant::now() > until {
                self.kill();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn kill(&self) {
        if let Some(child) = lock(&self.child).as_mut() {
            let _ = child.kill(); // It has ended already.
        }
    }
}

fn how_it_ended(status: Option<ExitStatus>, said: &str) -> String {
    let last = said.lines().map(str::trim).rfind(|line| !line.is_empty());
    match (last, status.and_then(|s| s.code())) {
        (Some(line), _) => format!("its session ended: {line}"),
        (None, Some(code)) => format!("its session ended with exit code {code}"),
        (None, None) => "its session was killed".to_owned(),
    }
}

/// All that comes, of which the end is kept.
fn collect(mut from: ChildStderr) -> String {
    let (mut kept, mut piece) = (Vec::new(), [0; 4096]);
    while let Ok(n @ 1..) = from.read(&mut piece) {
        kept.extend_from_slice(&piece[..n]);
        let over = kept.len().saturating_sub(KEPT);
        kept.drain(..over);
    }
    String::from_utf8_lossy(&kept).into_owned()
}
