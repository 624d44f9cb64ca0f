//! Who gets an answer. Every request passes here before any page sees it.
//!
//! A page of a stranger in the user's browser can send requests to loopback, and make its own name point there (DNS
//! rebinding); then the browser sends that name as `Host`. So only names of this machine are answered, and nothing is
//! ever allowed across origins.

use super::address::{Token, is_loopback};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What is demanded of a request.
#[derive(Debug)]
pub struct Guard {
    local: bool,
    machine: String,
    token: Option<Token>,
}

/// Headers of every answer.
const HEADERS: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, "default-src 'self'; base-uri 'none'; frame-ancestors 'self'"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
];

impl Guard {
    pub fn new(at: SocketAddr, token: Option<Token>) -> Guard {
        let machine = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
        Guard { local: is_loopback(at.ip()), machine, token }
    }

    /// Why a request is not answered; `None` when it is.
    fn refusal(&self, method: &Method, headers: &HeaderMap) -> Option<(StatusCode, &'static str)> {
        let host = headers.get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or_default();
        if headers.get_all(header::HOST).iter().count() != 1 || !self.knows(host) {
            return Some((StatusCode::FORBIDDEN, "the Host of this request is no name of this machine"));
        }
        if method != Method::GET && method != Method::HEAD {
            return Some((StatusCode::METHOD_NOT_ALLOWED, "read-only: GET and HEAD"));
        }
        let given = headers.get(header::AUTHORIZATION).and_then(|h| h.to_str().ok()?.strip_prefix("Bearer "));
        let known = self.token.as_ref().is_none_or(|t| given.is_some_and(|given| t.is(given)));
        (!known).then_some((StatusCode::UNAUTHORIZED, "send the token: Authorization: Bearer TOKEN"))
    }

    /// Is it a name under which this machine may be asked? With or without a port.
    fn knows(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => name,
            _ => host,
        };
        let name = name.to_lowercase();
        let ip = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        match ip {
            Ok(ip) => is_loopback(ip) || !self.local, // A rebound name is never a number.
            Err(_) => name == "localhost" || !self.local && name == self.machine,
        }
    }
}

/// Answers or refuses; in both cases with the headers that keep browsers strict.
pub async fn check(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let mut response = match guard.refusal(request.method(), request.headers()) {
        Some((status, why)) => refused(status, why),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    HEADERS.iter().for_each(|(name, value)| drop(headers.insert(name, HeaderValue::from_static(value))));
    response
}

fn refused(status: StatusCode, why: &str) -> Response {
    let mut response = (status, Body::from(format!("{why}\n"))).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn guard(at: &str) -> Guard {
        Guard { machine: "node7".to_owned(), ..Guard::new(at.parse().unwrap(), None) }
    }

    #[test]
    fn only_names_of_this_machine_are_answered() {
        let local = guard("127.0.0.1:8787");
        for good in ["localhost", "LOCALHOST:8787", "127.0.0.1:1", "[::1]:8787", "[::1]"] {
            assert!(local.knows(good), "{good}");
        }
        for bad in ["", "evil.example", "evil.example:8787", "localhost.evil.example", "10.0.0.1", "node7", "::", "a:b"]
        {
            assert!(!local.knows(bad), "{bad}");
        }
        let open = guard("0.0.0.0:8787");
        assert!(open.knows("10.0.0.1:8787") && open.knows("node7:8787"));
        assert!(!open.knows("evil.example"));
    }
}
