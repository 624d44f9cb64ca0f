//! A small HTTP server on the loopback: files by byte ranges, or always an error.
//!
//! It knows GET, HEAD and `Range: bytes=a-b`, closes after each answer, and serves until the test process ends.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

/// What is served.
#[derive(Clone, Debug)]
pub enum Site {
    /// Files by path (`/a.tif`); others are 404.
    Files(HashMap<String, Vec<u8>>),
    /// Every request gets this status.
    Broken(u16),
}

/// Serves a site and gives its address, `http://127.0.0.1:PORT`.
///
/// # Panics
/// When the loopback has no port.
pub fn serve(site: Site) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port of the loopback");
    let address = listener.local_addr().expect("a bound port has an address");
    let site = Arc::new(site);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let site = Arc::clone(&site);
            std::thread::spawn(move || answer(stream, &site));
        }
    });
    format!("http://{address}")
}

/// Method, path without query, and the header `Range` of a request.
fn request(stream: &TcpStream) -> Option<(String, String, Option<String>)> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.next()?;
    let mut words = first.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?);
    let path = target.split('?').next()?.to_owned();
    let mut range = None;
    for line in lines.take_while(|l| !l.is_empty()) {
        let (name, value) = line.split_once(':')?;
        if name.eq_ignore_ascii_case("range") {
            range = Some(value.trim().to_owned());
        }
    }
    Some((method, path, range))
}

/// `bytes=a-b`, `bytes=a-`, `bytes=-n` of `len` bytes.
fn span(range: &str, len: usize) -> Option<std::ops::Range<usize>> {
    let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
    if from.is_empty() {
        return Some(len.saturating_sub(to.parse().ok()?)..len);
    }
    let from: usize = from.parse().ok()?;
    let end = if to.is_empty() { len } else { (to.parse::<usize>().ok()? + 1).min(len) };
    (from < end).then_some(from..end)
}

fn answer(mut stream: TcpStream, site: &Site) {
    let Some((method, path, range)) = request(&stream) else { return };
    let (status, extra, body): (u16, String, &[u8]) = match site {
        Site::Broken(status) => (*status, String::new(), b""),
        Site::Files(files) => match (files.get(&path), range) {
            (None, _) => (404, String::new(), b""),
            (Some(all), None) => (200, "Accept-Ranges: bytes\r\n".into(), all),
            (Some(all), Some(range)) => match span(&range, all.len()) {
                None => (416, format!("Content-Range: bytes */{}\r\n", all.len()), b""),
                Some(s) => {
                    (206, format!("Content-Range: bytes {}-{}/{}\r\n", s.start, s.end - 1, all.len()), &all[s.clone()])
                }
            },
        },
    };
    let etag = "ETag: \"one\"\r\n";
    let head =
        format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n{etag}{extra}Connection: close\r\n\r\n", body.len());
    let _ = stream.write_all(head.as_bytes());
    if method != "HEAD" {
        let _ = stream.write_all(body);
    }
}
