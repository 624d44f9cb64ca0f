//! A running job over HTTP: metrics, JSON and events, for eyes and machines on this one.
//!
//! Read-only: GET and HEAD, nothing that changes the job. On loopback, unless the user gives a token (SECURITY.md) or a
//! cluster's proxy is all that may ask ([`Askers`]);
//! pages of strangers in a browser get nothing, for the `Host` they send is theirs (`guard`). At most [`CONNECTIONS`]
//! at once and five seconds for a request's head: neither junk nor silence reaches the job.
//!
//! One thread of its own with one small runtime. Starting it is a bind and a spawn; it sleeps until someone asks.
//! What it does not do: TLS. Through an SSH tunnel or a proxy it is reached from elsewhere.

mod address;
mod guard;
mod pages;
mod piece;
mod stream;

pub use address::{DashboardAddress, Token};

use crate::Live;
use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

/// Most connections at once; more wait in the system's queue.
pub const CONNECTIONS: usize = 64;
/// For the head of a request, and between two requests of one connection.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// How long those who still listen may take to hear the end.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// What the pages show.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The job.
    pub live: Live,
    /// Its event log, for `/events`; `None` where it is not written.
    pub log: Option<PathBuf>,
}

/// Who may ask beyond this machine.
#[derive(Clone, Debug, Default)]
pub enum Askers {
    /// Nobody.
    #[default]
    Local,
    /// Whoever sends this token.
    With(Token),
    /// Who asks from these addresses, such as a cluster's web proxy, which has asked its users who they are. Nobody
    /// else gets a byte.
    From(Vec<IpAddr>),
}

impl Askers {
    fn token(&self) -> Option<Token> {
        match self {
            Askers::With(token) => Some(token.clone()),
            _ => None,
        }
    }

    fn lets_in(&self, from: IpAddr) -> bool {
        match self {
            Askers::From(known) => known.contains(&from.to_canonical()),
            _ => true,
        }
    }
}

/// The server of one job. Dropping it ends it.
#[derive(Debug)]
pub struct Dashboard {
    at: SocketAddr,
    over: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Dashboard {
    /// Serves from now on.
    ///
    /// # Errors
    /// When no port can be had, or the address is not loopback and nobody else may ask.
    pub fn start(address: &DashboardAddress, askers: Askers, shown: Shown) -> std::io::Result<Dashboard> {
        let listener = address.bind(!matches!(askers, Askers::Local))?;
        let at = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let (over, is_over) = watch::channel(false);
        let guard = Arc::new(guard::Guard::new(at, askers.token()));
        let router = pages::router(shown, is_over.clone(), guard);
        let run = move || match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime.block_on(serve(listener, &askers, router, is_over)),
            Err(_) => drop(listener), // Without a runtime nobody is served; the job does not need it.
        };
        let thread = std::thread::Builder::new().name("dashboard".to_owned()).spawn(run)?;
        Ok(Dashboard { at, over, thread: Some(thread) })
    }

    /// `http://127.0.0.1:8787`
    pub fn url(&self) -> String {
        format!("http://{}", self.at)
    }

    /// Ends it; those who follow the events hear the last of them.
    pub fn end(&mut self) {
        let _ = self.over.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        self.end();
    }
}

async fn serve(listener: std::net::TcpListener, askers: &Askers, router: Router, mut over: watch::Receiver<bool>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = free.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = over.changed() => break,
        };
        let Ok((stream, from)) = accepted else {
            tokio::time::sleep(Duration::from_millis(50)).await; // No descriptors left, perhaps: not a busy loop.
            continue;
        };
        if !askers.lets_in(from.ip()) {
            continue;
        }
        let (router, over) = (router.clone(), over.clone());
        tokio::spawn(async move {
            attend(stream, router, over).await;
            drop(permit);
        });
    }
    // All permits are back when nobody is connected any more.
    let all_gone = free.acquire_many(CONNECTIONS as u32);
    let _ = tokio::time::timeout(LAST_WORDS, all_gone).await;
}

/// One connection to its end.
async fn attend(stream: TcpStream, router: Router, mut over: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(router);
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN).max_buf_size(16 << 10);
    let connection = http.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return, // Its errors are the client's.
        _ = over.changed() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
