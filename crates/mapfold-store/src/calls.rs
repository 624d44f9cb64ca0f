//! Plain HTTP calls of services that are no stores: a cluster's ResourceManager, a cloud's control API.
//!
//! One call, one answer, whatever its status: what a status means is the caller's business, and whether a call may be
//! made again too (a second POST may do a thing twice). Redirects are not followed: they would carry a signature or a
//! name to another server. What it does not do: cookies, streams, bodies of more than [`MOST_BYTES`].

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::{Client, Method};

use crate::http::{build, builder, is_loopback, why_lost};
use crate::{StoreError, Stores, redact};

/// The longest answer that is believed.
pub const MOST_BYTES: usize = 64 << 20;
/// From the first byte sent to the last one read.
const WITHIN: Duration = Duration::from_secs(60);

/// A request.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// `GET`, `POST`, `PUT`, `DELETE`.
    pub method: &'static str,
    /// Where; with its query, escaped.
    pub url: String,
    /// Names and values. A value that is secret is shown nowhere.
    pub headers: Vec<(String, String)>,
    /// What is sent.
    pub body: Bytes,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status: 200, 404 and so on.
    pub status: u16,
    /// Names (in small letters) and values.
    pub headers: Vec<(String, String)>,
    /// What was sent with it.
    pub body: Bytes,
}

impl Answer {
    /// The body, as text.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// A header by its name in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

impl Stores {
    /// Makes one HTTP call, once.
    ///
    /// # Errors
    /// [`StoreError::Network`] when there is no answer, [`StoreError::BadUrl`] for what is no URL or no method.
    pub fn call(&self, call: &Call) -> Result<Answer, StoreError> {
        self.block_on(answer(call, self.options())).map_err(|unanswered| unanswered.error)
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct Unanswered {
    pub(crate) error: StoreError,
    /// Nothing reached the server: the call was not made.
    pub(crate) unsent: bool,
}

pub(crate) async fn answer(call: &Call, options: &crate::StoreOptions) -> Result<Answer, Unanswered> {
    let unsent = |error| Unanswered { error, unsent: true };
    let bad = |why: String| unsent(StoreError::BadUrl { loc: redact(&call.url), why });
    let url = url::Url::parse(&call.url).map_err(|e| bad(e.to_string()))?;
    let client = client(&url, options);
    let client = client.map_err(|why| unsent(StoreError::Network { loc: redact(&call.url), attempts: 0, why }))?;
    answer_of(&client, call).await
}

/// The answer that this client gets.
pub(crate) async fn answer_of(client: &Client, call: &Call) -> Result<Answer, Unanswered> {
    let loc = || redact(&call.url);
    let bad = |why: String| Unanswered { error: StoreError::BadUrl { loc: loc(), why }, unsent: true };
    let method = Method::from_bytes(call.method.as_bytes()).map_err(|e| bad(e.to_string()))?;
    let lost = |e: reqwest::Error| {
        let unsent = e.is_connect() || e.is_builder();
        Unanswered { error: StoreError::Network { loc: loc(), attempts: 1, why: why_lost(e) }, unsent }
    };
    let mut request = client.request(method, call.url.as_str()).timeout(WITHIN).body(call.body.clone());
    for (name, value) in &call.headers {
        request = request.header(name, value);
    }
    let mut response = request.send().await.map_err(lost)?;
    let text = |value: &reqwest::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    let mut body = BytesMut::new();
    while let Some(piece) = response.chunk().await.map_err(lost)? {
        if body.len() + piece.len() > MOST_BYTES {
            let why = format!("its answer is longer than {MOST_BYTES} bytes");
            return Err(Unanswered { error: StoreError::Network { loc: loc(), attempts: 1, why }, unsent: false });
        }
        body.extend_from_slice(&piece);
    }
    Ok(Answer { status: response.status().as_u16(), headers, body: body.freeze() })
}

/// Calls are rare: each has a client of its own, and so a connection of its own. Who makes many keeps one.
pub(crate) fn client(url: &url::Url, options: &crate::StoreOptions) -> Result<Client, String> {
    let direct = is_loopback(url);
    build(|| {
        let plain = builder(options).redirect(reqwest::redirect::Policy::none());
        if direct { plain.no_proxy() } else { plain }
    })
}
