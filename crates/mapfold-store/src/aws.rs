//! Calls of Amazon's control services (EMR), signed with the credentials that S3 has.
//!
//! These services speak one way: JSON by POST, the call's name in a header, JSON back. How credentials are found
//! (settings, a profile, a role, a service of the machine) and how a request is signed is the business of object_store
//! and [`crate::objects`]. Here is what remains: region and address, which call may be made again, and what of a refusal
//! people may see.
//!
//! A call that does a thing ([`AwsCall::repeatable`] is false) is made again only when it surely was not made: no
//! connection, or a refusal for being too many. When its answer gets lost, that is said ([`AwsAnswer::Lost`]).
//! What this does not do: pages of answers, services that speak XML, what a refusal means.

use std::sync::{Mutex, PoisonError};

use object_store::aws::{AwsAuthorizer, AwsCredential, AwsCredentialProvider};
use object_store::client::{HttpRequest, HttpRequestBody};
use serde_json::Value;

use crate::calls::{Answer, Call, Unanswered, answer};
use crate::objects::{aws_credentials, no_credentials};
use crate::retry::{Fault, retrying};
use crate::{Loc, Settings, StoreError, StoreOptions, Stores, redact};

/// Kinds of refusals for being too many; nothing was done then.
pub(crate) const TOO_MANY: [&str; 6] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "RequestThrottled",
];
/// Credentials shorter than that are nobody's; hiding them would garble messages.
const SHORTEST_SECRET: usize = 16;
/// Letters of a server's words that are passed on.
const LONGEST: usize = 400;

/// A call.
#[derive(Clone, Debug)]
pub struct AwsCall {
    /// The service in signatures and host names: `elasticmapreduce`.
    pub service: &'static str,
    /// The setting that names another server than Amazon's: `aws_endpoint_url_emr`.
    pub endpoint: &'static str,
    /// The region; else that of the settings.
    pub region: Option<String>,
    /// The call's name: `ElasticMapReduce.ListClusters`.
    pub target: String,
    /// Its parameters.
    pub body: Value,
    /// Whether making it twice is as good as once.
    pub repeatable: bool,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq)]
pub enum AwsAnswer {
    /// Done; what the service said.
    Done(Value),
    /// The service says no.
    Refused {
        /// `ValidationException`, `AccessDeniedException`; empty where it gives none.
        kind: String,
        /// Its words, redacted.
        why: String,
    },
    /// The call was sent and no answer came back: it may have been done.
    Lost {
        /// The last failure.
        why: String,
    },
}

/// Credentials, found at the first call; temporary ones are renewed by their source.
#[derive(Default)]
pub(crate) struct Aws(Mutex<Option<AwsCredentialProvider>>);

impl Aws {
    fn credentials(
        &self,
        region: &str,
        settings: &Settings,
        options: &StoreOptions,
    ) -> Result<AwsCredentialProvider, StoreError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &*known {
            return Ok(known.clone());
        }
        let made = aws_credentials(region, settings, options);
        let made = made.map_err(|why| StoreError::Settings { loc: "credentials for AWS".into(), why })?;
        *known = Some(made.clone());
        Ok(made)
    }
}

impl Stores {
    /// The region that the settings name.
    ///
    /// # Errors
    /// [`StoreError::Settings`] for files of settings that cannot be understood.
    pub fn aws_region(&self) -> Result<Option<String>, StoreError> {
        Ok(self.settings()?.get("aws_region").map(str::to_owned))
    }

    /// Makes a call of a service of AWS.
    ///
    /// # Errors
    /// [`StoreError::Settings`] without a region or credentials, [`StoreError::Network`] when there is no answer and
    /// nothing was done, or whatever was done can be done again.
    pub fn call_aws(&self, call: &AwsCall) -> Result<AwsAnswer, StoreError> {
        let settings = self.settings()?;
        let place = Place::of(call, &settings)?;
        let credentials = self.aws().credentials(&place.region, &settings, self.options())?;
        let loc = Loc::parse(&place.url)?;
        let attempt = || attempt(call, &place, &credentials, self.options());
        self.block_on(retrying(self.options(), self.counting(), &loc, attempt))
    }
}

/// Where a service is.
struct Place {
    region: String,
    url: String,
}

impl Place {
    fn of(call: &AwsCall, settings: &Settings) -> Result<Place, StoreError> {
        let wrong = |why: String| StoreError::Settings { loc: "aws_region".into(), why };
        let region = call.region.as_deref().or_else(|| settings.get("aws_region"));
        let region = region.ok_or_else(|| wrong("no region of AWS is set".into()))?;
        let amazon = amazon(call.service, region).map_err(wrong)?;
        let url = match settings.get(call.endpoint) {
            Some(url) if url.contains("://") => url.trim_end_matches('/').to_owned(),
            Some(host) => format!("https://{}", host.trim_end_matches('/')),
            None => amazon,
        };
        Ok(Place { region: region.to_owned(), url: format!("{url}/") })
    }
}

/// Amazon's own address of a service. The region becomes a part of a host's name: nothing else may be reached by it.
pub(crate) fn amazon(service: &str, region: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if region.is_empty() || !region.chars().all(plain) {
        return Err(format!("{region:?} is no region of AWS; they look like eu-central-1"));
    }
    let china = if region.starts_with("cn-") { ".cn" } else { "" };
    Ok(format!("https://{service}.{region}.amazonaws.com{china}"))
}

/// Makes the call once.
async fn attempt(
    call: &AwsCall,
    place: &Place,
    credentials: &AwsCredentialProvider,
    options: &StoreOptions,
) -> Result<AwsAnswer, Fault> {
    let lacking = |e: object_store::Error| {
        let why = format!("there are none in the settings, and {}", no_credentials(&e));
        Fault::Final(StoreError::Settings { loc: "credentials for AWS".into(), why })
    };
    let credential = credentials.get_credential().await.map_err(lacking)?;
    let signed = signed(call, place, &credential).map_err(Fault::Final)?;
    match answer(&signed, options).await {
        Ok(answer) => judged(call, &answer, &credential),
        Err(Unanswered { error: StoreError::Network { why, .. }, unsent }) if unsent || call.repeatable => {
            Err(Fault::Passing { why, after: None })
        }
        Err(Unanswered { error: StoreError::Network { why, .. }, .. }) => Ok(AwsAnswer::Lost { why }),
        Err(Unanswered { error, .. }) => Err(Fault::Final(error)),
    }
}

/// The request with its signature.
fn signed(call: &AwsCall, place: &Place, credential: &AwsCredential) -> Result<Call, StoreError> {
    let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", call.target.as_str())];
    let body = call.body.to_string().into_bytes();
    let Place { region, url } = place;
    Unsigned { service: call.service, region, url, headers: &headers, body }.signed(credential)
}

/// A POST to a service, before it is signed.
pub(crate) struct Unsigned<'a> {
    pub(crate) service: &'a str,
    pub(crate) region: &'a str,
    pub(crate) url: &'a str,
    pub(crate) headers: &'a [(&'static str, &'a str)],
    pub(crate) body: Vec<u8>,
}

impl Unsigned<'_> {
    pub(crate) fn signed(self, credential: &AwsCredential) -> Result<Call, StoreError> {
        let wrong = |why: String| StoreError::BadUrl { loc: redact(self.url), why };
        let mut request = HttpRequest::new(HttpRequestBody::from(self.body.clone()));
        *request.method_mut() = reqwest::Method::POST;
        *request.uri_mut() = self.url.parse().map_err(|_| wrong("this is no URL of a server".into()))?;
        for (name, value) in self.headers {
            let value = reqwest::header::HeaderValue::from_str(value).map_err(|e| wrong(e.to_string()))?;
            request.headers_mut().insert(reqwest::header::HeaderName::from_static(name), value);
        }
        let signer = AwsAuthorizer::new(credential, self.service, self.region);
        signer.try_authorize(&mut request, None).map_err(|e| wrong(redact(&e.to_string())))?;
        let text = |value: &reqwest::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = request.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
        Ok(Call { method: "POST", url: self.url.to_owned(), headers, body: self.body.into() })
    }
}

/// What an answer means for whether to ask again.
fn judged(call: &AwsCall, answer: &Answer, credential: &AwsCredential) -> Result<AwsAnswer, Fault> {
    let said: Option<Value> = match answer.body.is_empty() {
        true => Some(Value::Null),
        false => serde_json::from_slice(&answer.body).ok(),
    };
    if let (200, Some(said)) = (answer.status, &said) {
        return Ok(AwsAnswer::Done(said.clone()));
    }
    let said = said.unwrap_or_default();
    let word = |key: &str| said[key].as_str().filter(|text| !text.is_empty());
    let kind = word("__type").unwrap_or_default().rsplit('#').next().unwrap_or_default().to_owned();
    let why = match (word("message").or_else(|| word("Message")), answer.status) {
        (Some(words), _) => shown(words, credential),
        (None, 200) => "its answer is no JSON".to_owned(),
        (None, status) => format!("HTTP {status}"),
    };
    let too_many = answer.status == 429 || TOO_MANY.contains(&kind.as_str());
    match answer.status {
        _ if too_many => Err(Fault::Passing { why, after: None }),
        500.. if call.repeatable => Err(Fault::Passing { why, after: None }),
        500.. => Ok(AwsAnswer::Lost { why }),
        _ => Ok(AwsAnswer::Refused { kind, why }),
    }
}

/// A server's words as people may see them: a refused signature is explained with the whole request, its token included.
pub(crate) fn shown(words: &str, credential: &AwsCredential) -> String {
    let mut line = redact(words.lines().next().unwrap_or_default());
    let secrets = [Some(&credential.secret_key), credential.token.as_ref(), Some(&credential.key_id)];
    for secret in secrets.into_iter().flatten().filter(|secret| secret.len() >= SHORTEST_SECRET) {
        line = line.replace(secret.as_str(), "REDACTED");
    }
    line.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn call(repeatable: bool) -> AwsCall {
        AwsCall {
            service: "elasticmapreduce",
            endpoint: "aws_endpoint_url_emr",
            region: None,
            target: "ElasticMapReduce.ListClusters".into(),
            body: json!({}),
            repeatable,
        }
    }

    fn credential() -> AwsCredential {
        let token = Some("A-SESSION-TOKEN-OF-SOMEBODY".into());
        AwsCredential { key_id: "AKIAIOSFODNN7EXAMPLE".into(), secret_key: "wJalrXUtnFEMI/K7MDENG/key".into(), token }
    }

    fn answer(status: u16, body: &Value) -> Answer {
        Answer { status, headers: Vec::new(), body: body.to_string().into_bytes().into() }
    }

    fn place(region: Option<&str>, endpoint: Option<&str>) -> Result<Place, StoreError> {
        let mut settings = Settings::none();
        for (name, value) in [("aws_region", region), ("aws_endpoint_url_emr", endpoint)] {
            settings = value.map_or(Ok(settings.clone()), |value| settings.clone().with(name, value, "here")).unwrap();
        }
        Place::of(&call(true), &settings)
    }

    #[test]
    fn a_region_is_a_host_and_nothing_else() {
        let url = |region| place(Some(region), None).unwrap().url;
        assert_eq!(url("eu-central-1"), "https://elasticmapreduce.eu-central-1.amazonaws.com/");
        assert_eq!(url("cn-north-1"), "https://elasticmapreduce.cn-north-1.amazonaws.com.cn/");
        let other = place(Some("eu-central-1"), Some("http://127.0.0.1:5000/")).unwrap();
        assert_eq!(other.url, "http://127.0.0.1:5000/");
        for bad in ["evil.example/#", "eu central", "EU"] {
            let error = place(Some(bad), None).err().unwrap().to_string();
            assert!(error.contains("no region of AWS"), "{error}");
        }
        assert!(place(None, None).err().unwrap().to_string().contains("no region of AWS is set"));
    }

    #[test]
    fn what_was_perhaps_done_is_not_done_again() {
        let judged = |repeatable, status, body: &Value| judged(&call(repeatable), &answer(status, body), &credential());
        let busy = json!({ "__type": "ThrottlingException", "message": "Rate exceeded" });
        assert!(matches!(judged(false, 400, &busy), Err(Fault::Passing { .. })));
        assert!(matches!(judged(true, 500, &json!({})), Err(Fault::Passing { .. })));
        assert!(matches!(judged(false, 500, &json!({})), Ok(AwsAnswer::Lost { .. })));
        let no = json!({ "__type": "com.amazon#ValidationException", "Message": "no" });
        let refused = AwsAnswer::Refused { kind: "ValidationException".into(), why: "no".into() };
        assert_eq!(judged(true, 400, &no).unwrap(), refused);
        assert_eq!(judged(true, 200, &json!({ "a": 1 })).unwrap(), AwsAnswer::Done(json!({ "a": 1 })));
    }

    #[test]
    fn words_of_a_refusal_hold_no_secret() {
        let said = "The request signature we calculated does not match wJalrXUtnFEMI/K7MDENG/key\n\
                    x-amz-security-token:A-SESSION-TOKEN-OF-SOMEBODY";
        assert_eq!(shown(said, &credential()), "The request signature we calculated does not match REDACTED");
        let debug = format!("{:?}", signed(&call(true), &place(Some("r"), None).unwrap(), &credential()).unwrap().url);
        assert!(!debug.contains("AKIA"));
    }

    #[test]
    fn a_signature_covers_the_call_and_the_token() {
        let signed = signed(&call(true), &place(Some("eu-central-1"), None).unwrap(), &credential()).unwrap();
        let header = |name: &str| signed.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str()).unwrap();
        let authorization = header("authorization");
        assert!(authorization.contains("/eu-central-1/elasticmapreduce/aws4_request"), "{authorization}");
        assert!(authorization.contains("x-amz-security-token") && authorization.contains("x-amz-target"));
        assert!(!signed.headers.iter().any(|(_, v)| v.contains("wJalrXUtnFEMI")));
    }
}
