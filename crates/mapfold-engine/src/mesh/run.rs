//! Runs this member's worker over the mesh, and turns whatever happens into one result.

use crate::guard;
use crate::mesh::error::MeshError;
use crate::mesh::lost;
use crate::mesh::stream::MeshStream;
use mapfold_wire::Conn;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;
use timely::WorkerConfig;
use timely::communication::Hooks;
use timely::communication::allocator::thread::ThreadBuilder;
use timely::communication::allocator::zero_copy::initialize::initialize_networking_from_sockets;
use timely::communication::allocator::{AllocatorBuilder, ProcessBuilder};
use timely::execute::execute_from;
use timely::worker::Worker;

/// One worker per process: more would wait for each other for ever after a panic (timely 0.31).
const WORKERS: usize = 1;
/// Empty buffers that timely may keep for each purpose; without a limit it keeps all that ever were needed.
const SPARE_BUFFERS: usize = 2;
/// Between two looks at whether a member has died.
const LOOK: Duration = Duration::from_millis(50);
/// How long timely's threads may take to come down after a death before they are left alone.
const COME_DOWN: Duration = Duration::from_millis(1500);

type Builders = (Vec<AllocatorBuilder>, Box<dyn Any + Send>);

/// Runs `work` on this member's timely worker; `conns` as [`super::connect`] gives them, the others' by index and `None`
/// at `me`. All members must build the same dataflows in the same order.
///
/// # Errors
/// [`MeshError::MemberDied`]: then this process must end, with [`MeshError::exit_code`]; threads of timely may still
/// hang in it, and another mesh in it would be told of the old death. [`MeshError::Start`], [`MeshError::Worker`].
pub fn run<T: Send + 'static>(
    conns: Vec<Option<Conn>>,
    me: usize,
    work: impl Fn(&mut Worker) -> T + Send + Sync + 'static,
) -> Result<T, MeshError> {
    guard::install_panic_hook();
    let (builders, others) = builders(conns, me).map_err(|e| MeshError::Start { why: e.to_string() })?;
    let marked = move |worker: &mut Worker| {
        guard::mark_engine_thread();
        work(worker)
    };
    let guards = execute_from(builders, others, WorkerConfig::default(), marked);
    let guards = guards.map_err(|why| MeshError::Start { why })?;
    let (tell, ended) = channel();
    let joiner = thread::Builder::new().name("mesh:join".to_owned()).spawn(move || {
        lost::joining();
        // `join` gives the worker's end; dropping timely's sockets' threads after it may panic once more.
        let joined = catch_unwind(AssertUnwindSafe(|| guards.join().pop()));
        let _ = tell.send(joined.map_err(|panic| mapfold_plan::panic_text(panic.as_ref())));
    });
    joiner.map_err(|e| MeshError::Start { why: e.to_string() })?;
    outcome(&ended)
}

/// Waits for the worker's end, or, after a member's death, no longer than is decent.
fn outcome<T>(ended: &Receiver<Result<Option<Result<T, String>>, String>>) -> Result<T, MeshError> {
    let joined = loop {
        match ended.recv_timeout(LOOK) {
            Ok(joined) => break joined,
            Err(RecvTimeoutError::Timeout) if lost::first().is_none_or(|l| l.since.elapsed() < COME_DOWN) => {}
            Err(_) => break Err("it does not end".to_owned()),
        }
    };
    if let Some(first) = lost::first() {
        lost::linger(first);
        return Err(MeshError::MemberDied { member: first.member });
    }
    match joined {
        Ok(Some(Ok(value))) => Ok(value),
        Ok(Some(Err(why))) | Err(why) => Err(MeshError::Worker { why }),
        Ok(None) => Err(MeshError::Worker { why: "there was none".to_owned() }),
    }
}

fn builders(conns: Vec<Option<Conn>>, me: usize) -> std::io::Result<Builders> {
    if conns.len() < 2 {
        return Ok((vec![AllocatorBuilder::Thread(ThreadBuilder)], Box::new(())));
    }
    let mut hooks = Hooks::default();
    hooks.refill.limit = Some(SPARE_BUFFERS);
    let inside = ProcessBuilder::new_typed_vector(WORKERS, hooks.refill.clone(), hooks.spill.clone());
    let sockets = conns.into_iter().map(|conn| conn.map(MeshStream)).collect();
    let (builders, guard) = initialize_networking_from_sockets(inside, sockets, me, WORKERS, hooks)?;
    Ok((builders.into_iter().map(AllocatorBuilder::Tcp).collect(), Box::new(guard)))
}
