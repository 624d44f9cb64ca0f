//! Members as real processes: numbers arrive where they belong, and the death of one ends all, with one line each.
//!
//! This binary starts itself: each member is the ignored "test" [`role_of_a_member`] alone in a process. It is told who
//! it is in the environment, and gets the token and everybody's addresses through its standard input.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use mapfold_engine::mesh::{CONNECT_LIMIT, EXIT_MEMBER_DIED, connect, run};
use mapfold_wire::{Bound, Cover, Facts, Identity, Purpose, Token, Who};
use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read, Write, stdin};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::rc::Rc;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::operator::{Operator, source};
use timely::dataflow::operators::probe::{Handle, Probe};
use timely::worker::Worker;

/// Where the parent waits for a member to say a line.
const SAYS: &str = "member says: ";
/// Numbers that each member sends.
const NUMBERS: u64 = 200_000;
/// Everything here takes a second or two; a hang takes for ever.
const HANG: Duration = Duration::from_secs(60);

/// What a member does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Act {
    /// Sends [`NUMBERS`] numbers to whom they belong and adds up what comes.
    Sum,
    /// Works for ever, every member with its threads.
    Work,
    /// The last member's timely worker panics.
    PanicOnWorker,
    /// A closure of the last member panics, on one of its threads, under the guard.
    PanicInClosure,
}

const ACTS: [Act; 4] = [Act::Sum, Act::Work, Act::PanicOnWorker, Act::PanicInClosure];

fn variable(name: &str) -> usize {
    std::env::var(name).unwrap().parse().unwrap()
}

#[test]
#[ignore = "a process of the tests below"]
fn role_of_a_member() {
    let (me, members, threads) = (variable("MESH_ME"), variable("MESH_MEMBERS"), variable("MESH_THREADS"));
    let (act, tls) = (ACTS[variable("MESH_ACT")], variable("MESH_TLS") == 1);
    let cover = if tls { Cover::Tls } else { Cover::Plain };
    let bound = Bound::loopback().unwrap();
    println!("{SAYS}{}", bound.address());
    let token = Token::read_from(&mut stdin()).unwrap();
    let mut line = String::new();
    stdin().read_line(&mut line).unwrap();
    let addresses: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let facts = Facts { job: 7, plan: 9, generation: 0, members: members as u32, who: Who::Member(me as u32) };
    let identity = Identity { token, facts, purpose: Purpose::Mesh, cover };
    let listener = bound.listen(identity.clone()).unwrap();
    let conns = connect(&listener, &addresses, &identity, CONNECT_LIMIT).unwrap();
    let fails = me + 1 == members;
    match run(conns, me, move |worker| perform(worker, act, threads, fails)) {
        Ok((sum, count)) => println!("{SAYS}{sum} {count}"),
        Err(error) => std::process::exit(error.exit_code()), // its line was said when it happened
    }
}

fn perform(worker: &mut Worker, act: Act, threads: usize, fails: bool) -> (u64, u64) {
    match act {
        Act::Sum => add_up(worker),
        _ => work(worker, act, threads, fails),
    }
}

/// A number belongs to the worker of its remainder.
fn add_up(worker: &mut Worker) -> (u64, u64) {
    let (me, peers) = (worker.index() as u64, worker.peers() as u64);
    let got = Rc::new(RefCell::new((0, 0)));
    let (sink, probe) = (got.clone(), Handle::new());
    worker.dataflow::<u64, _, _>(|scope| {
        source::<_, CapacityContainerBuilder<Vec<u64>>, _, _>(scope, "numbers", |capability, info| {
            let (mut capability, mut next) = (Some(capability), 0);
            let again = scope.activator_for(info.address);
            move |output| {
                if let Some(cap) = &capability {
                    let mut session = output.session(cap);
                    (next..next + 1000).for_each(|i| session.give(i * peers + me));
                }
                next += 1000;
                if next < NUMBERS { again.activate() } else { capability = None }
            }
        })
        .unary_frontier::<CapacityContainerBuilder<Vec<u64>>, _, _, _>(Exchange::new(|x| x / 3), "sum", |_, _| {
            move |(input, _), _| {
                input.for_each(|_, numbers| {
                    let mut sum = sink.borrow_mut();
                    for x in numbers.drain(..) {
                        assert_eq!(x / 3 % peers, me, "a number of somebody else");
                        *sum = (sum.0 + x, sum.1 + 1);
                    }
                });
            }
        })
        .probe_with(&probe);
    });
    while !probe.done() {
        worker.step_or_park(None);
    }
    got.take()
}

/// Threads that compute, and a worker that idles over an open dataflow, as while a stage is running.
fn work(worker: &mut Worker, act: Act, threads: usize, fails: bool) -> (u64, u64) {
    let (tell, told) = channel::<String>();
    for number in 0..threads {
        let tell = tell.clone();
        thread::spawn(move || compute(number, fails && act == Act::PanicInClosure, &tell));
    }
    let began = Instant::now();
    worker.dataflow::<u64, _, _>(|scope| {
        source::<_, CapacityContainerBuilder<Vec<u64>>, _, _>(scope, "idle", |capability, info| {
            let (capability, again) = (capability, scope.activator_for(info.address));
            move |output| {
                output.session(&capability).give(1);
                again.activate_after(Duration::from_millis(5));
            }
        })
        .unary_frontier::<CapacityContainerBuilder<Vec<u64>>, _, _, _>(Exchange::new(|x| *x), "to", |_, _| {
            |(input, _), _| input.for_each(|_, _| {})
        });
    });
    println!("{SAYS}working");
    loop {
        worker.step_or_park(Some(Duration::from_millis(10)));
        if fails && act == Act::PanicOnWorker && began.elapsed() > Duration::from_millis(50) {
            panic!("boom on the worker");
        }
        if let Ok(error) = told.try_recv() {
            eprintln!("error: {error}");
            std::process::exit(1);
        }
    }
}

fn compute(number: usize, fails: bool, tell: &Sender<String>) {
    for i in 0.. {
        let done = mapfold_engine::guarded(|| {
            thread::sleep(Duration::from_millis(1));
            assert!(!(fails && number == 0 && i == 50), "boom in a closure");
            Ok(())
        });
        if let Err(error) = done {
            let _ = tell.send(error.to_string());
            return;
        }
    }
}

/// A running group, and what its members have said.
struct Group {
    members: Vec<Child>,
    says: Vec<BufReader<ChildStdout>>,
}

/// How a member ended.
struct End {
    status: ExitStatus,
    stderr: Vec<String>,
}

fn start(act: Act, members: usize, threads: usize, tls: bool) -> Group {
    let spawn = |me: usize| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "role_of_a_member", "--ignored", "--nocapture"]).env("RUST_BACKTRACE", "1");
        let act = ACTS.iter().position(|a| *a == act).unwrap();
        let told = [("ME", me), ("MEMBERS", members), ("THREADS", threads), ("ACT", act), ("TLS", usize::from(tls))];
        command.envs(told.map(|(name, value)| (format!("MESH_{name}"), value.to_string())));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let mut members: Vec<Child> = (0..members).map(spawn).collect();
    let mut says: Vec<_> = members.iter_mut().map(|m| BufReader::new(m.stdout.take().unwrap())).collect();
    let addresses: Vec<String> = says.iter_mut().map(said).collect();
    let token = Token::random().unwrap();
    for member in &mut members {
        let pipe = member.stdin.as_mut().unwrap();
        token.write_to(pipe).unwrap();
        writeln!(pipe, "{}", addresses.join(" ")).unwrap();
    }
    Group { members, says }
}

fn said(from: &mut BufReader<ChildStdout>) -> String {
    let line = from.lines().map(Result::unwrap).find_map(|l| l.split_once(SAYS).map(|(_, said)| said.to_owned()));
    line.expect("a member says something before it ends")
}

impl Group {
    /// Waits for all members to end; kills and complains if one does not.
    fn ends(mut self) -> Vec<End> {
        let until = Instant::now() + HANG;
        let ended = |m: &mut Child| m.try_wait().unwrap().is_some();
        while !self.members.iter_mut().all(ended) && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
        let hung = self.members.iter_mut().map(|m| m.try_wait().unwrap()).filter(Option::is_none).count();
        self.members.iter_mut().for_each(|m| drop(m.kill()));
        assert_eq!(hung, 0, "members hang");
        self.members.into_iter().map(End::of).collect()
    }
}

impl End {
    fn of(mut member: Child) -> End {
        let mut text = String::new();
        member.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        End { status: member.wait().unwrap(), stderr: text.lines().map(str::to_owned).collect() }
    }

    /// It ended because `other` died, and says so in one line and no more.
    fn followed(&self, other: usize) {
        assert_eq!(self.stderr, [format!("stopped because member {other} died")]);
        assert_eq!(self.status.code(), Some(EXIT_MEMBER_DIED));
    }
}

/// All but the last followed it; gives the last one's end.
fn cause(ends: &[End]) -> &End {
    let (last, others) = ends.split_last().unwrap();
    others.iter().for_each(|end| end.followed(others.len()));
    last
}

#[test]
fn numbers_arrive_once_and_where_they_belong() {
    for (members, tls) in [(1, false), (2, false), (3, false), (3, true)] {
        let mut group = start(Act::Sum, members, 0, tls);
        let sums: Vec<String> = group.says.iter_mut().map(said).collect();
        for end in group.ends() {
            assert!(end.status.success(), "{:?}", end.stderr);
        }
        let parts = sums.iter().map(|s| s.split_once(' ').unwrap());
        let (sum, count) = parts
            .fold((0, 0), |(sum, count), (s, n)| (sum + s.parse::<u64>().unwrap(), count + n.parse::<u64>().unwrap()));
        let all = NUMBERS * members as u64;
        assert_eq!((sum, count), (all * (all - 1) / 2, all), "{members} members, TLS {tls}");
    }
}

#[test]
fn a_panic_on_a_worker_ends_all_and_is_said_first() {
    for members in 1..=4 {
        for threads in 1..=4 {
            let ends = start(Act::PanicOnWorker, members, threads, false).ends();
            let last = cause(&ends);
            assert!(last.stderr[0].contains("boom on the worker"), "{:?}", last.stderr);
            assert_eq!(last.status.signal(), Some(6));
        }
    }
}

#[test]
fn a_panic_in_a_closure_ends_all_and_is_said_first() {
    for members in 1..=4 {
        for threads in 1..=4 {
            let ends = start(Act::PanicInClosure, members, threads, threads % 2 == 0).ends();
            let last = cause(&ends);
            assert!(last.stderr[0].contains("boom in a closure"), "{:?}", last.stderr);
            assert_eq!(last.status.code(), Some(1));
        }
    }
}

#[test]
fn a_killed_member_is_named_by_all_others() {
    for (members, tls) in [(2, false), (3, false), (4, false), (4, true)] {
        let mut group = start(Act::Work, members, 1, tls);
        assert!(group.says.iter_mut().all(|from| said(from) == "working"));
        group.members.last_mut().unwrap().kill().unwrap();
        let killed = Instant::now();
        let ends = group.ends();
        println!("{members} members, TLS {tls}: all gone after {:?}", killed.elapsed());
        let last = cause(&ends);
        assert_eq!((last.status.signal(), last.stderr.len()), (Some(9), 0));
    }
}
