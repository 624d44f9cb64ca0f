//! Parts of an upload that the server makes itself, of bytes that it has already: no byte passes through here.
//!
//! The upload of an image is made of the pieces that many members have put beside it. S3 copies a part from a range of an
//! object (`UploadPartCopy`); object_store has no word for that, but it signs requests, so the request is made here. The
//! answer may say "200" and mean a failure: only an ETag counts.
//!
//! Absent: other stores. Google's interface for uploads in parts has no such request, and the double of Azure's that this
//! is tested with does not know its one.

use std::time::Duration;

use bytes::Bytes;
use object_store::multipart::PartId;
use object_store::signer::{HeaderName, HeaderValue, Method, SignedUrlOptions, Signer};
use reqwest::Client;

use super::build::bucket_name;
use super::fault;
use super::upload::Door;
use crate::calls::{Answer, Call, answer_of};
use crate::retry::{Fault, retrying};
use crate::work_file::ObjectRange;
use crate::{Loc, StoreError, StoreOptions, Stores, redact};

/// How long a signed request may be made.
const SIGNED_FOR: Duration = Duration::from_secs(300);

/// The headers that say what is to be copied.
fn headers(source: &ObjectRange) -> Vec<(&'static str, String)> {
    let from = format!("/{}/{}", bucket_name(&source.object), encoded(&source.object.key()));
    let mut all = vec![("x-amz-copy-source", from)];
    if source.range != (0..source.size) {
        all.push(("x-amz-copy-source-range", format!("bytes={}-{}", source.range.start, source.range.end - 1)));
    }
    all
}

/// A part with this number (from 0) of an upload.
pub(super) struct CopiedPart {
    pub door: Door,
    pub upload: String,
    pub number: usize,
    pub source: ObjectRange,
}

impl CopiedPart {
    /// A client for the server, which is not reached through a proxy when it is this machine.
    pub async fn client(&self, options: &StoreOptions) -> Result<Client, StoreError> {
        let object = &self.source.object;
        let Some(signer) = &self.door.signer else { return Err(refused(object, "nothing is signed here")) };
        let url = signer.signed_url(Method::GET, &self.door.path, SIGNED_FOR).await.map_err(|e| fault(object, &e))?;
        crate::calls::client(&url, options).map_err(|why| StoreError::Network {
            loc: object.to_string(),
            attempts: 0,
            why,
        })
    }

    /// Has the server make it; again when the answer does not come, since the same part may be made twice.
    ///
    /// # Errors
    /// [`StoreError::Unsupported`] when the server will not.
    pub async fn make(self, client: Client, stores: Stores) -> Result<PartId, StoreError> {
        let object = self.source.object.clone();
        let Some(signer) = self.door.signer.clone() else { return Err(refused(&object, "nothing is signed here")) };
        let attempt = || self.attempt(&client, signer.as_ref(), &object);
        retrying(stores.options(), stores.counting(), &object, attempt).await
    }

    async fn attempt(&self, client: &Client, signer: &dyn Signer, object: &Loc) -> Result<PartId, Fault> {
        let headers = headers(&self.source);
        let number = (self.number + 1).to_string();
        let query = [("partNumber", number.as_str()), ("uploadId", self.upload.as_str())];
        let mut options = SignedUrlOptions::new().with_query(query);
        for (name, value) in &headers {
            let value = HeaderValue::from_str(value).map_err(|e| Fault::Final(refused(object, &e.to_string())))?;
            options = options.with_signed_header(HeaderName::from_static(name), value);
        }
        let signed = signer.signed_url_opts(Method::PUT, &self.door.path, SIGNED_FOR, &options).await;
        let url = signed.map_err(|e| Fault::Final(fault(object, &e)))?.to_string();
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let call = Call { method: "PUT", url, headers, body: Bytes::new() };
        match answer_of(client, &call).await {
            Ok(answer) => judged(object, &answer),
            Err(unanswered) => Err(Fault::Passing { why: unanswered.error.to_string(), after: None }),
        }
    }
}

fn judged(object: &Loc, answer: &Answer) -> Result<PartId, Fault> {
    let text = answer.text();
    let of = |name: &str| {
        let document = roxmltree::Document::parse(&text).ok()?;
        let node = document.descendants().find(|node| node.has_tag_name(name) || node.tag_name().name() == name)?;
        node.text().map(str::to_owned)
    };
    match (answer.status, of("ETag")) {
        (200, Some(content_id)) => Ok(PartId { content_id }),
        (200 | 429 | 500 | 502..=504, _) => {
            let why = of("Code").unwrap_or_else(|| format!("HTTP {}", answer.status));
            Err(Fault::Passing { why: redact(&why), after: None })
        }
        (status, _) => Err(Fault::Final(refused(object, &of("Code").unwrap_or_else(|| format!("HTTP {status}"))))),
    }
}

fn refused(object: &Loc, why: &str) -> StoreError {
    StoreError::unsupported(object, &format!("copying it into an upload ({})", redact(why)))
}

/// The key as the header wants it: everything but letters, digits, `-._~/` in percents.
fn encoded(key: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/".contains(&b);
    key.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn judge(status: u16, body: &'static str) -> Result<PartId, Fault> {
        let answer = Answer { status, headers: Vec::new(), body: body.into() };
        judged(&Loc::parse("s3://bucket/piece").unwrap(), &answer)
    }

    #[test]
    fn only_an_etag_counts() {
        let done = "<CopyPartResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><ETag>&quot;a-1&quot;</ETag></CopyPartResult>";
        assert_eq!(judge(200, done).unwrap().content_id, "\"a-1\"");
        for passing in [(200, "<Error><Code>InternalError</Code></Error>"), (503, ""), (200, "")] {
            assert!(matches!(judge(passing.0, passing.1), Err(Fault::Passing { .. })), "{passing:?}");
        }
        assert!(matches!(judge(501, ""), Err(Fault::Final(StoreError::Unsupported { .. }))), "it never will");
        let Err(Fault::Final(error)) = judge(403, "<Error><Code>AccessDenied</Code></Error>") else { panic!() };
        assert!(error.to_string().contains("AccessDenied"), "{error}");
    }

    #[test]
    fn a_source_is_named_as_the_header_wants_it() {
        let object = Loc::parse("s3://bucket/a b/.x+ü.mapfold/0.1").unwrap();
        let whole = ObjectRange { object: object.clone(), range: 0..10, size: 10 };
        assert_eq!(headers(&whole), [("x-amz-copy-source", "/bucket/a%20b/.x%2B%C3%BC.mapfold/0.1".to_owned())]);
        let range = ObjectRange { object, range: 2..10, size: 10 };
        assert_eq!(headers(&range)[1], ("x-amz-copy-source-range", "bytes=2-9".to_owned()));
    }
}
