//! HTTP against a small server of our own that misbehaves on request.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use mapfold_store::{Loc, Replace, StoreError, StoreOptions, Stores};

const SECRET: &str = "sv=1&sig=aB%2Fc%2Btopsecret%3D&se=2030";
const SIZE: usize = 200_000;

fn object() -> Vec<u8> {
    (0..SIZE).map(|n| (n * 13 % 251) as u8).collect()
}

/// One request as it arrived.
#[derive(Clone, Debug)]
struct Seen {
    method: String,
    target: String,
    range: Option<(usize, usize)>,
}

/// What the server does with the n-th request (from 0).
#[derive(Clone, Copy)]
enum Answer {
    Good,
    Etag(&'static str),
    Status(u16),
    /// Promises everything, sends half and closes.
    ResetMidBody,
    /// Claims the whole range, sends (and announces) half of it.
    ShortBody,
    IgnoreRange,
    /// Answers 206 with the bytes of another place.
    WrongPlace,
}

struct Server {
    address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    fn start(script: impl Fn(usize, &Seen) -> Answer + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (log, script) = (seen.clone(), Arc::new(script));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (log, script) = (log.clone(), script.clone());
                thread::spawn(move || serve(&stream.unwrap(), &log, &*script));
            }
        });
        Server { address, seen }
    }

    fn loc(&self) -> Loc {
        Loc::parse(&format!("http://me:hunter2@{}/s2/scene.tif?{SECRET}#B04", self.address)).unwrap()
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

/// One request per connection: simple, and `Connection: close` says so.
fn serve(mut stream: &TcpStream, log: &Mutex<Vec<Seen>>, script: &dyn Fn(usize, &Seen) -> Answer) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let words: Vec<_> = first.split(' ').map(str::to_owned).collect();
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).map(|line| line.to_lowercase()).collect();
    let range = headers.iter().find_map(|line| {
        line.strip_prefix("range: bytes=")?
            .split_once('-')
            .map(|(a, b)| (a.parse().unwrap(), b.parse::<usize>().unwrap() + 1))
    });
    let seen = Seen { method: words[0].clone(), target: words[1].clone(), range };
    let number = {
        let mut log = log.lock().unwrap();
        log.push(seen.clone());
        log.len() - 1
    };
    let answer = respond(&seen, script(number, &seen));
    let _ = stream.write_all(&answer);
}

fn respond(seen: &Seen, answer: Answer) -> Vec<u8> {
    let object = object();
    let head = |status: u16, extra: &str, len: usize| {
        format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {len}\r\n{extra}\r\n").into_bytes()
    };
    if let Answer::Status(status) = answer {
        return head(status, "Retry-After: 0\r\n", 0);
    }
    let etag = if let Answer::Etag(etag) = answer { etag } else { "\"v1\"" };
    let Some((from, to)) = seen.range.filter(|_| !matches!(answer, Answer::IgnoreRange)) else {
        let mut out = head(200, &format!("ETag: {etag}\r\nLast-Modified: Thu, 01 Jan 1970 00:00:01 GMT\r\n"), SIZE);
        if seen.method != "HEAD" {
            out.extend(object);
        }
        return out;
    };
    if from >= SIZE {
        return head(416, &format!("Content-Range: bytes */{SIZE}\r\n"), 0);
    }
    let to = to.min(SIZE);
    let (body, half) = (&object[from..to], &object[from..from + (to - from) / 2]);
    let place = if matches!(answer, Answer::WrongPlace) { from + 1 } else { from };
    let extra = format!("ETag: {etag}\r\nContent-Range: bytes {place}-{}/{SIZE}\r\n", place + to - from - 1);
    match answer {
        Answer::ShortBody => [head(206, &extra, half.len()), half.to_vec()].concat(),
        Answer::ResetMidBody => [head(206, &extra, body.len()), half.to_vec()].concat(),
        _ => [head(206, &extra, body.len()), body.to_vec()].concat(),
    }
}

fn stores(http_retries: u32) -> Stores {
    Stores::with_options(StoreOptions {
        http_retries,
        http_backoff: Duration::from_millis(1),
        http_read_timeout: Duration::from_secs(2),
        ..StoreOptions::default()
    })
}

fn read(stores: &Stores, loc: &Loc, range: std::ops::Range<u64>) -> Result<Vec<u8>, StoreError> {
    stores.block_on(stores.read(loc, range)).map(|bytes| bytes.to_vec())
}

/// No text about this error shows the signature or the password.
fn assert_redacted(error: &StoreError) {
    use std::error::Error;
    let mut text = format!("{error} {error:?} {}", error.loc());
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text} {cause} {cause:?}");
        source = cause.source();
    }
    assert!(!text.contains("topsecret") && !text.contains("hunter2"), "{text}");
    assert!(text.contains("s2/scene.tif?sv=1&sig=REDACTED"), "the place is still named: {text}");
}

#[test]
fn ranges_are_exact_and_the_signed_query_is_kept() {
    let server = Server::start(|_, _| Answer::Good);
    let (stores, loc) = (stores(0), server.loc());
    let info = stores.block_on(stores.head(&loc)).unwrap();
    assert_eq!((info.size, info.etag.as_deref(), info.modified_ms), (SIZE as u64, Some("\"v1\""), Some(1000)));
    let ranges = [150_000..150_010, 10..20, 30..40];
    let found = stores.block_on(stores.read_ranges(&loc, &ranges)).unwrap();
    for (range, bytes) in ranges.iter().zip(&found) {
        assert_eq!(bytes, &object()[range.start as usize..range.end as usize]);
    }
    assert_eq!(stores.get(&loc).unwrap(), object());
    let seen = server.seen();
    assert!(seen.iter().all(|s| s.target == format!("/s2/scene.tif?{SECRET}")), "{seen:?}");
    assert_eq!(seen.len(), 4, "one HEAD, two merged ranges, one GET: {seen:?}");
}

#[test]
fn passing_faults_are_retried() {
    for fault in
        [Answer::Status(503), Answer::Status(429), Answer::Status(500), Answer::ResetMidBody, Answer::ShortBody]
    {
        let server = Server::start(move |n, _| if n < 2 { fault } else { Answer::Good });
        let stores = stores(3);
        assert_eq!(read(&stores, &server.loc(), 5..1005).unwrap(), &object()[5..1005]);
        let counted = stores.counters();
        assert_eq!((counted.requests, counted.retries, counted.bytes_read), (3, 2, 1000));
    }
}

#[test]
fn patience_ends_with_a_clear_error() {
    for (fault, says) in [(Answer::Status(503), "HTTP 503"), (Answer::ResetMidBody, "body")] {
        let server = Server::start(move |_, _| fault);
        let error = read(&stores(2), &server.loc(), 0..1000).unwrap_err();
        assert_redacted(&error);
        assert!(error.to_string().contains(says), "{error}");
        assert!(matches!(error, StoreError::Network { attempts: 3, .. }), "{error:?}");
        assert_eq!(server.seen().len(), 3);
    }
    let server = Server::start(|_, _| Answer::ShortBody);
    let error = read(&stores(1), &server.loc(), 0..1000).unwrap_err();
    assert!(matches!(error, StoreError::Truncated { wanted: 1000, got: 500, .. }), "{error:?}");
    assert_redacted(&error);
}

#[test]
fn a_refusal_is_final() {
    for status in [404, 410, 401, 403, 418] {
        let server = Server::start(move |_, _| Answer::Status(status));
        let stores = stores(3);
        let error = read(&stores, &server.loc(), 0..10).unwrap_err();
        assert_redacted(&error);
        assert_eq!(server.seen().len(), 1, "asked once for {status}");
        match status {
            404 | 410 => assert!(matches!(error, StoreError::NotFound { .. }), "{error:?}"),
            401 | 403 => assert!(matches!(error, StoreError::Denied { .. }), "{error:?}"),
            _ => assert!(matches!(error, StoreError::Network { .. }), "{error:?}"),
        }
        let head = stores.block_on(stores.head(&server.loc())).unwrap_err();
        assert_redacted(&head);
    }
    let server = Server::start(|_, _| Answer::Status(404));
    assert!(!stores(0).exists(&server.loc()).unwrap());
}

#[test]
fn a_server_that_ignores_ranges_never_gives_wrong_bytes() {
    let server = Server::start(|_, _| Answer::IgnoreRange);
    let stores = stores(3);
    let error = read(&stores, &server.loc(), 10..20).unwrap_err();
    assert_redacted(&error);
    assert!(error.to_string().contains("ignores the Range header"), "{error}");
    assert!(read(&stores, &server.loc(), 0..20).is_err());
    assert_eq!(read(&stores, &server.loc(), 0..SIZE as u64).unwrap(), object(), "the whole is the whole");
    let server = Server::start(|_, _| Answer::WrongPlace);
    let error = read(&stores, &server.loc(), 10..20).unwrap_err();
    assert!(matches!(error, StoreError::Unsupported { .. }), "{error:?}");
}

#[test]
fn reading_past_the_end_is_truncated() {
    let server = Server::start(|_, _| Answer::Good);
    let end = SIZE as u64;
    for (range, there) in [(end - 5..end + 5, 5), (end..end + 1, 0), (end + 10..end + 20, 0)] {
        let error = read(&stores(3), &server.loc(), range).unwrap_err();
        assert_redacted(&error);
        assert!(matches!(error, StoreError::Truncated { got, .. } if got == there), "{error:?}");
    }
}

#[test]
fn head_refused_becomes_a_get_of_one_byte() {
    for status in [405, 403] {
        let server =
            Server::start(move |_, seen| if seen.method == "HEAD" { Answer::Status(status) } else { Answer::Good });
        let stores = stores(0);
        assert_eq!(stores.block_on(stores.head(&server.loc())).unwrap().size, SIZE as u64);
        assert_eq!(server.seen()[1].range, Some((0, 1)));
    }
}

#[test]
fn an_object_that_changes_is_noticed() {
    let server = Server::start(|n, _| if n < 2 { Answer::Good } else { Answer::Etag("\"v2\"") });
    let (stores, loc) = (stores(0), server.loc());
    stores.block_on(stores.head(&loc)).unwrap();
    read(&stores, &loc, 0..10).unwrap();
    let error = read(&stores, &loc, 0..10).unwrap_err();
    assert_redacted(&error);
    assert!(matches!(error, StoreError::Changed { .. }), "{error:?}");
}

#[test]
fn nobody_listening_is_a_network_error() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let loc = Loc::parse(&format!("http://me:hunter2@{free}/s2/scene.tif?{SECRET}")).unwrap();
    let error = read(&stores(1), &loc, 0..10).unwrap_err();
    assert_redacted(&error);
    assert!(matches!(error, StoreError::Network { attempts: 2, .. }), "{error:?}");
    assert!(error.to_string().to_lowercase().contains("connect"), "{error}");
}

#[test]
fn https_has_its_cryptography() {
    let server = Server::start(|_, _| Answer::Good);
    let text = server.loc().as_text().replacen("http:", "https:", 1);
    let error = read(&stores(0), &Loc::parse(&text).unwrap(), 0..10).unwrap_err();
    assert_redacted(&error);
    // The client spoke TLS to a server that does not: an error of the handshake, no panic.
    assert!(matches!(error, StoreError::Network { attempts: 1, .. }), "{error:?}");
}

#[test]
fn writing_is_refused_by_name() {
    let (stores, loc) = (stores(0), Loc::parse(&format!("http://me:hunter2@host/s2/scene.tif?{SECRET}")).unwrap());
    let errors = [
        stores.put(&loc, "x".into()).unwrap_err(),
        stores.create(&loc, "x".into()).unwrap_err(),
        stores.delete(&loc).unwrap_err(),
        stores.list(&loc).unwrap_err(),
        stores.create_file(&loc).err().unwrap(),
        stores.check_writable(&loc).unwrap_err(),
        stores.rename(&loc, &loc, Replace::Allowed).unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, StoreError::Unsupported { .. }), "{error:?}");
        assert_redacted(&error);
    }
}

#[test]
fn any_executor_may_poll() {
    let server = Server::start(|n, _| if n == 0 { Answer::Status(503) } else { Answer::Good });
    let (stores, loc) = (stores(2), server.loc());
    let mut reading = Box::pin(stores.read(&loc, 0..10));
    let waker = std::task::Waker::noop();
    let mut context = std::task::Context::from_waker(waker);
    let bytes = loop {
        match reading.as_mut().poll(&mut context) {
            std::task::Poll::Ready(done) => break done.unwrap(),
            std::task::Poll::Pending => thread::sleep(Duration::from_millis(1)),
        }
    };
    assert_eq!(bytes, object()[..10]);
}
