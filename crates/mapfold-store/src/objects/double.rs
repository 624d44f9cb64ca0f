//! For tests: a server that says what it is told to, and tells what it was asked.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, SystemTime};

/// Answers each request with the next of these, the last one again and again. Gives its URL and what it was asked, heads
/// and bodies.
pub(super) fn server(answers: Vec<(u16, String)>) -> (String, Receiver<String>) {
    let mut n = 0;
    server_by(move |_| {
        n += 1;
        answers[n.min(answers.len()) - 1].clone()
    })
}

/// Answers each request as it is told to.
pub(super) fn server_by(mut answer: impl FnMut(&str) -> (u16, String) + Send + 'static) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (asked, questions) = channel();
    std::thread::spawn(move || {
        for mut line in listener.incoming().flatten() {
            let question = question(&mut line);
            let (status, body) = answer(&question);
            let _ = asked.send(question);
            let length = body.len();
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
            let _ = line.write_all((head + &body).as_bytes());
        }
    });
    (url, questions)
}

fn question(line: &mut TcpStream) -> String {
    let (mut text, mut piece) = (Vec::new(), [0; 4096]);
    while !is_whole(&String::from_utf8_lossy(&text)) {
        match line.read(&mut piece) {
            Ok(n @ 1..) => text.extend_from_slice(&piece[..n]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn is_whole(text: &str) -> bool {
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    body.len() >= length.unwrap_or(0)
}

/// Credentials of a role, as STS gives them.
pub(super) fn granted(key: &str, seconds: i64) -> (u16, String) {
    let until =
        chrono::DateTime::<chrono::Utc>::from(SystemTime::now() + Duration::from_secs(seconds as u64)).to_rfc3339();
    let fields = format!(
        "<AccessKeyId>{key}</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>\
         <SessionToken>token</SessionToken><Expiration>{until}</Expiration>"
    );
    (
        200,
        format!(
            "<AssumeRoleResponse xmlns=\"https://sts/\"><R><Credentials>{fields}</Credentials></R></AssumeRoleResponse>"
        ),
    )
}
