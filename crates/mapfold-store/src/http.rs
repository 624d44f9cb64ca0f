//! HTTP(S), read only: sizes and byte ranges, exact or refused.
//!
//! All requests go through one path on `reqwest` with our own retry. `object_store` has an HTTP
//! store too, but it works on a base URL plus a path and so loses the query, and signed URLs *are*
//! their query; the text of a [`Loc`] is therefore sent as it stands.
//!
//! Servers differ, so nothing is taken on trust: a `200` to a range request is refused (unless the
//! range is the whole object), `Content-Range` must name the bytes asked for, and a `HEAD` that is
//! refused (`405`, or `403` because only `GET` was signed) becomes a `GET` of one byte.
//! There is no cache and no writing.

use std::ops::Range;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, LAST_MODIFIED, RANGE, RETRY_AFTER,
};
use reqwest::{Client, ClientBuilder, Method, Response, StatusCode};

use crate::counters::Counters;
use crate::retry::{Fault, retrying};
use crate::{Loc, ObjectInfo, StoreError, StoreOptions, redact};

/// No more than this is reserved before the bytes come: a server may lie about the length.
const RESERVE: u64 = 16 << 20;
/// The longest `Retry-After` that is waited for.
const LONGEST_RETRY_AFTER: u64 = 20;

/// The HTTP clients, made at the first use.
#[derive(Default)]
pub(crate) struct Http {
    remote: OnceLock<Result<Client, String>>,
    loopback: OnceLock<Result<Client, String>>,
}

impl Http {
    /// The client for `url`; this machine itself is never reached through a proxy.
    fn client(&self, loc: &Loc, url: &url::Url, options: &StoreOptions) -> Result<Client, StoreError> {
        let made = if is_loopback(url) {
            self.loopback.get_or_init(|| build(|| builder(options).no_proxy()))
        } else {
            self.remote.get_or_init(|| build(|| builder(options)))
        };
        made.clone().map_err(|why| StoreError::Network { loc: loc.to_string(), attempts: 0, why })
    }

    /// Size and identity of the object.
    pub(crate) async fn head(
        &self,
        loc: &Loc,
        options: &StoreOptions,
        counters: &Counters,
    ) -> Result<ObjectInfo, StoreError> {
        let asker = self.asker(loc, options)?;
        let by_head = retrying(options, counters, loc, || asker.head()).await?;
        match by_head {
            Some(info) => Ok(info),
            None => retrying(options, counters, loc, || asker.head_by_get()).await,
        }
    }

    /// Exactly `range` (not empty), and the identity that came with it.
    pub(crate) async fn read(
        &self,
        loc: &Loc,
        range: &Range<u64>,
        options: &StoreOptions,
        counters: &Counters,
    ) -> Result<(Bytes, Option<String>), StoreError> {
        let asker = self.asker(loc, options)?;
        retrying(options, counters, loc, || asker.read(range)).await
    }

    /// The whole object.
    pub(crate) async fn get(
        &self,
        loc: &Loc,
        options: &StoreOptions,
        counters: &Counters,
    ) -> Result<Bytes, StoreError> {
        let asker = self.asker(loc, options)?;
        retrying(options, counters, loc, || asker.get()).await
    }

    fn asker<'a>(&self, loc: &'a Loc, options: &StoreOptions) -> Result<Asker<'a>, StoreError> {
        let url = url::Url::parse(loc.base())
            .map_err(|error| StoreError::BadUrl { loc: loc.to_string(), why: error.to_string() })?;
        let client = self.client(loc, &url, options)?;
        Ok(Asker { client, url, loc })
    }
}

/// One location and the client to ask about it; each method is one attempt.
struct Asker<'a> {
    client: Client,
    url: url::Url,
    loc: &'a Loc,
}

impl Asker<'_> {
    async fn send(&self, method: Method, range: Option<&Range<u64>>) -> Result<Response, Fault> {
        let mut request = self.client.request(method, self.url.clone()).header(ACCEPT_ENCODING, "identity");
        if let Some(range) = range {
            request = request.header(RANGE, format!("bytes={}-{}", range.start, range.end - 1));
        }
        request.send().await.map_err(lost)
    }

    /// `None`: this server tells more by `GET`.
    async fn head(&self) -> Result<Option<ObjectInfo>, Fault> {
        let response = self.send(Method::HEAD, None).await?;
        match response.status().as_u16() {
            400 | 401 | 403 | 405 | 501 => return Ok(None),
            _ => self.check(&response)?,
        }
        let headers = response.headers();
        let size = number(headers, CONTENT_LENGTH.as_str());
        Ok(size.map(|size| info(size, headers)))
    }

    async fn head_by_get(&self) -> Result<ObjectInfo, Fault> {
        let response = self.send(Method::GET, Some(&(0..1))).await?;
        let headers = response.headers();
        let size = match response.status() {
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                content_range(headers).and_then(|r| r.total)
            }
            _ => {
                self.check(&response)?;
                number(headers, CONTENT_LENGTH.as_str())
            }
        };
        match size {
            Some(size) => Ok(info(size, headers)),
            None => Err(self.unsupported("reading from a server that does not tell the size")),
        }
    }

    async fn read(&self, range: &Range<u64>) -> Result<(Bytes, Option<String>), Fault> {
        let response = self.send(Method::GET, Some(range)).await?;
        let headers = response.headers();
        let expected = match response.status() {
            StatusCode::RANGE_NOT_SATISFIABLE => {
                let total = content_range(headers).and_then(|r| r.total).unwrap_or(0);
                return Err(Fault::Final(self.truncated(range, total.saturating_sub(range.start))));
            }
            StatusCode::PARTIAL_CONTENT => self.partial(headers, range)?,
            StatusCode::OK => self.whole(headers, range)?,
            _ => {
                self.check(&response)?;
                return Err(self.unsupported(&format!("the answer HTTP {}", response.status().as_u16())));
            }
        };
        let etag = etag(headers);
        let bytes = self.body(response, expected, Some(range)).await?;
        if expected < range.end - range.start {
            return Err(Fault::Final(self.truncated(range, expected)));
        }
        Ok((bytes, etag))
    }

    /// The length that a `206` promises; it must begin where we asked.
    fn partial(&self, headers: &HeaderMap, range: &Range<u64>) -> Result<u64, Fault> {
        let Some(ContentRange { bytes: Some(sent), .. }) = content_range(headers) else {
            return Err(self.unsupported("an answer in parts without Content-Range"));
        };
        if sent.start != range.start || sent.end > range.end || sent.end <= sent.start {
            let what =
                format!("a server that sends bytes {}..{} for {}..{}", sent.start, sent.end, range.start, range.end);
            return Err(self.unsupported(&what));
        }
        Ok(sent.end - sent.start)
    }

    /// A `200` to a range request is right only where the range is the whole object.
    fn whole(&self, headers: &HeaderMap, range: &Range<u64>) -> Result<u64, Fault> {
        match number(headers, CONTENT_LENGTH.as_str()) {
            Some(size) if range.start == 0 && size == range.end => Ok(size),
            _ => Err(self.unsupported("reading a part (the server ignores the Range header)")),
        }
    }

    async fn get(&self) -> Result<Bytes, Fault> {
        let response = self.send(Method::GET, None).await?;
        self.check(&response)?;
        let size = number(response.headers(), CONTENT_LENGTH.as_str());
        match size {
            Some(size) => self.body(response, size, None).await,
            None => response.bytes().await.map_err(lost),
        }
    }

    /// Collects a body of `expected` bytes.
    async fn body(&self, mut response: Response, expected: u64, range: Option<&Range<u64>>) -> Result<Bytes, Fault> {
        let mut bytes = BytesMut::with_capacity(expected.min(RESERVE) as usize);
        while let Some(more) = response.chunk().await.map_err(lost)? {
            bytes.extend_from_slice(&more);
            if bytes.len() as u64 > expected {
                return Err(self.unsupported("a server that sends more bytes than it announced"));
            }
        }
        if (bytes.len() as u64) < expected {
            let range = range.cloned().unwrap_or(0..expected);
            return Err(Fault::Short(self.truncated(&range, bytes.len() as u64)));
        }
        Ok(bytes.freeze())
    }

    /// Sorts every status that is no success.
    fn check(&self, response: &Response) -> Result<(), Fault> {
        let status = response.status();
        let loc = self.loc.to_string();
        let why = format!("HTTP {}", status.as_u16());
        match status.as_u16() {
            200..=299 => Ok(()),
            404 | 410 => Err(Fault::Final(StoreError::NotFound { loc })),
            401 | 403 | 407 => Err(Fault::Final(StoreError::Denied { loc, why })),
            408 | 425 | 429 | 500 | 502..=504 | 507..=599 => Err(Fault::Passing {
                why,
                after: number(response.headers(), RETRY_AFTER.as_str())
                    .map(|seconds| Duration::from_secs(seconds.min(LONGEST_RETRY_AFTER))),
            }),
            _ => Err(Fault::Final(StoreError::Network { loc, attempts: 1, why })),
        }
    }

    fn truncated(&self, range: &Range<u64>, got: u64) -> StoreError {
        StoreError::truncated(self.loc, range, got)
    }

    fn unsupported(&self, what: &str) -> Fault {
        Fault::Final(StoreError::unsupported(self.loc, what))
    }
}

/// `bytes 5-9/100`, `bytes */100`, `bytes 5-9/*`.
struct ContentRange {
    bytes: Option<Range<u64>>,
    total: Option<u64>,
}

fn content_range(headers: &HeaderMap) -> Option<ContentRange> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    let (bytes, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let bytes = bytes.split_once('-').and_then(|(first, last)| {
        let last: u64 = last.trim().parse().ok()?;
        Some(first.trim().parse().ok()?..last.checked_add(1)?)
    });
    Some(ContentRange { bytes, total: total.trim().parse().ok() })
}

fn info(size: u64, headers: &HeaderMap) -> ObjectInfo {
    ObjectInfo {
        size,
        etag: etag(headers),
        modified_ms: headers.get(LAST_MODIFIED).and_then(|v| v.to_str().ok()).and_then(http_date_ms),
    }
}

/// The strong etag; a weak one promises no equal bytes and is left out.
fn etag(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(ETAG)?.to_str().ok()?;
    (!text.starts_with("W/")).then(|| text.to_owned())
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` as milliseconds since 1970.
fn http_date_ms(text: &str) -> Option<i64> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let mut words = text.split_whitespace().skip(1);
    let day: i64 = words.next()?.parse().ok()?;
    let month = MONTHS.find(words.next()?)? as i64 / 3 + 1;
    let year: i64 = words.next()?.parse().ok()?;
    let clock: Vec<i64> = words.next()?.split(':').filter_map(|n| n.parse().ok()).collect();
    let &[hours, minutes, seconds] = clock.as_slice() else {
        return None;
    };
    let days = days_since_1970(year, month, day);
    Some((((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000)
}

/// Days of the Gregorian calendar; years begin in March here, so that the leap day comes last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

/// A transport failure; the library's text is kept (without the layers that only say that something failed), its URL is
/// not.
fn lost(error: reqwest::Error) -> Fault {
    let error = error.without_url();
    let mut why = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        why = format!("{why}: {cause}");
        source = cause.source();
    }
    let why = why.rsplit("client error (Connect): ").next().unwrap_or(&why);
    let why = redact(why.split(" (os error").next().unwrap_or(why));
    Fault::Passing { why, after: None }
}

fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

fn builder(options: &StoreOptions) -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("mapfold/", env!("CARGO_PKG_VERSION")))
        // A Referer would carry the signed URL to wherever a server redirects us.
        .referer(false)
        .connect_timeout(options.http_connect_timeout)
        .read_timeout(options.http_read_timeout)
        .pool_max_idle_per_host(16)
}

/// TLS is rustls with ring, for whoever makes a client.
pub(crate) fn choose_cryptography() {
    // An error means that somebody has chosen a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn build(builder: impl Fn() -> ClientBuilder) -> Result<Client, String> {
    choose_cryptography();
    let error = match builder().build() {
        Ok(client) => return Ok(client),
        Err(error) => error,
    };
    // A machine without certificates can still speak plain HTTP; https will then say why not.
    tracing::warn!(%error, "no certificates found: https:// will not work (set SSL_CERT_FILE)");
    let none = std::iter::empty::<reqwest::Certificate>();
    builder().tls_certs_only(none).build().map_err(|error| redact(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::http_date_ms;

    #[test]
    fn dates_are_milliseconds_since_1970() {
        assert_eq!(http_date_ms("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(http_date_ms("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777_000));
        assert_eq!(http_date_ms("Thu, 29 Feb 2024 12:00:00 GMT"), Some(1_709_208_000_000));
        assert_eq!(http_date_ms("yesterday"), None);
    }
}
