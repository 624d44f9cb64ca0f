//! Roles of AWS: temporary credentials for which somebody's own are exchanged (STS, `AssumeRole`).
//!
//! They are asked for at the first request that needs them, once for all that wait, and again some minutes before they
//! end. While the old ones last, a failure to get new ones is told and tried again with the next request.
//!
//! Web identities are exchanged by object_store itself. Absent: which role, and whose keys ([`crate::settings`]).

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use object_store::CredentialProvider;
use object_store::aws::{AwsCredential, AwsCredentialProvider};
use tokio::sync::Mutex;

use crate::aws::{TOO_MANY, Unsigned, amazon, shown};
use crate::calls::{Answer, Unanswered, answer};
use crate::counters::Counters;
use crate::retry::{Fault, retrying};
use crate::{Loc, StoreError, StoreOptions};

/// What every refusal of a role says; asking again would give the same answer.
pub(super) const REFUSED: &str = "the role cannot be taken";
/// New credentials are asked for so long before the old ones end, or at half of a shorter time.
const BEFORE: Duration = Duration::from_secs(300);
/// What AWS takes, in seconds.
const DURATIONS: std::ops::RangeInclusive<u64> = 900..=43_200;
const SESSION: &str = "mapfold";

/// A role, and where it is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Role {
    arn: String,
    session: String,
    seconds: Option<u64>,
    external_id: Option<String>,
    policy: Option<String>,
    region: String,
    url: String,
}

impl Role {
    /// The role that the settings want to be taken with keys; `of` gives them, for a bucket or for all.
    ///
    /// # Errors
    /// What is wrong with a setting.
    pub(super) fn of<'s>(of: &dyn Fn(&str) -> Option<&'s str>) -> Result<Option<Role>, String> {
        let Some(arn) = of("aws_role_arn").filter(|_| of("aws_web_identity_token_file").is_none()) else {
            return Ok(None);
        };
        let own = |name: &str| of(name).map(str::to_owned);
        let session = own("aws_role_session_name").unwrap_or_else(|| SESSION.into());
        let fits = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
        if !(2..=64).contains(&session.len()) || !session.chars().all(fits) {
            return Err(format!("aws_role_session_name is 2 to 64 letters, digits and _+=,.@-, not {session:?}"));
        }
        let region = of("aws_sts_region").or_else(|| of("aws_region")).unwrap_or("us-east-1").to_owned();
        Ok(Some(Role {
            arn: arn.to_owned(),
            session,
            seconds: of("aws_role_duration_seconds").map(seconds).transpose()?,
            external_id: own("aws_role_external_id"),
            policy: own("aws_role_policy"),
            url: address(&region, of)?,
            region,
        }))
    }

    /// What is sent.
    fn form(&self) -> Vec<u8> {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", "AssumeRole").append_pair("Version", "2011-06-15");
        form.append_pair("RoleArn", &self.arn).append_pair("RoleSessionName", &self.session);
        if let Some(seconds) = self.seconds {
            form.append_pair("DurationSeconds", &seconds.to_string());
        }
        for (name, value) in [("ExternalId", &self.external_id), ("Policy", &self.policy)] {
            if let Some(value) = value {
                form.append_pair(name, value);
            }
        }
        form.finish().into_bytes()
    }
}

/// Where roles are taken: where the settings say, else at a server of its own kind, else at Amazon's.
fn address<'s>(region: &str, of: &dyn Fn(&str) -> Option<&'s str>) -> Result<String, String> {
    let foreign = || of("aws_endpoint").filter(|url| !url.contains("amazonaws.com"));
    let own = of("aws_endpoint_url_sts").or_else(foreign);
    let url = own.map_or_else(|| amazon("sts", region), |url| Ok(super::build::with_scheme(url, of)))?;
    Ok(format!("{url}/"))
}

/// `3600`, `60m` or `1h`.
fn seconds(text: &str) -> Result<u64, String> {
    let bad = || format!("aws_role_duration_seconds is 900 to 43200 seconds (or 15m to 12h), not {text:?}");
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match text[digits.len()..].trim() {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(bad()),
    };
    let all = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(unit));
    all.filter(|seconds| DURATIONS.contains(seconds)).ok_or_else(bad)
}

/// Credentials of a role.
struct Taken {
    credential: Arc<AwsCredential>,
    renew_at: Instant,
    until: Instant,
}

/// Gives a role's credentials, as long as the own ones are good for it.
pub(super) struct RoleProvider {
    role: Role,
    own: AwsCredentialProvider,
    options: StoreOptions,
    taken: Mutex<Option<Taken>>,
}

impl std::fmt::Debug for RoleProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RoleProvider").field(&self.role.arn).finish()
    }
}

impl RoleProvider {
    /// Of this role, taken with these credentials.
    pub(super) fn new(role: Role, own: AwsCredentialProvider, options: StoreOptions) -> RoleProvider {
        RoleProvider { role, own, options, taken: Mutex::new(None) }
    }

    async fn get(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut taken = self.taken.lock().await; // Others wait for this answer, and do not ask too.
        let now = Instant::now();
        if let Some(good) = taken.as_ref().filter(|taken| now < taken.renew_at) {
            return Ok(good.credential.clone());
        }
        match (self.take().await, taken.as_ref().filter(|taken| now < taken.until)) {
            (Ok(new), _) => Ok(taken.insert(new).credential.clone()),
            (Err(error), Some(old)) => {
                tracing::warn!("{}: its credentials end soon, and there are no new ones: {error}", self.role.arn);
                Ok(old.credential.clone())
            }
            (Err(error), None) => Err(error),
        }
    }

    async fn take(&self) -> object_store::Result<Taken> {
        let own = self.own.get_credential().await?;
        let failed = |error: StoreError| object_store::Error::Generic { store: "S3", source: error.to_string().into() };
        let loc = Loc::parse(&self.role.url).map_err(failed)?;
        let attempt = || self.attempt(&own);
        retrying(&self.options, &Counters::default(), &loc, attempt).await.map_err(failed)
    }

    async fn attempt(&self, own: &AwsCredential) -> Result<Taken, Fault> {
        let Role { region, url, .. } = &self.role;
        let headers = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
        let call = Unsigned { service: "sts", region, url, headers: &headers, body: self.role.form() };
        match answer(&call.signed(own).map_err(Fault::Final)?, &self.options).await {
            Ok(answer) => self.judged(&answer, own),
            Err(Unanswered { error: StoreError::Network { why, .. }, .. }) => Err(Fault::Passing { why, after: None }),
            Err(Unanswered { error, .. }) => Err(Fault::Final(error)),
        }
    }

    fn judged(&self, answer: &Answer, own: &AwsCredential) -> Result<Taken, Fault> {
        let text = answer.text();
        let document = roxmltree::Document::parse(&text).ok();
        let field = |name: &str| {
            let node = document.as_ref()?.descendants().find(|node| node.tag_name().name() == name)?;
            node.text().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        let code = field("Code").unwrap_or_default();
        let why = match field("Message") {
            Some(words) => format!("{code}: {}", shown(&words, own)),
            None => format!("HTTP {}", answer.status),
        };
        let refused = |why: &str| {
            let why = format!("{REFUSED}: {why}");
            Fault::Final(StoreError::Denied { loc: self.role.arn.clone(), why })
        };
        match answer.status {
            200 => taken(&field).ok_or_else(|| refused("the answer of the server is not understood")),
            429 | 500.. => Err(Fault::Passing { why, after: None }),
            _ if TOO_MANY.contains(&code.as_str()) => Err(Fault::Passing { why, after: None }),
            _ => Err(refused(&why)),
        }
    }
}

/// The credentials of an answer.
fn taken(field: &dyn Fn(&str) -> Option<String>) -> Option<Taken> {
    let (key_id, secret_key) = (field("AccessKeyId")?, field("SecretAccessKey")?);
    let ends: SystemTime = chrono::DateTime::parse_from_rfc3339(&field("Expiration")?).ok()?.into();
    let (left, now) = (ends.duration_since(SystemTime::now()).unwrap_or_default(), Instant::now());
    let credential = Arc::new(AwsCredential { key_id, secret_key, token: Some(field("SessionToken")?) });
    Some(Taken { credential, renew_at: now + (left.saturating_sub(BEFORE)).max(left / 2), until: now + left })
}

impl CredentialProvider for RoleProvider {
    type Credential = AwsCredential;

    fn get_credential<'provider, 'answer>(
        &'provider self,
    ) -> Pin<Box<dyn Future<Output = object_store::Result<Arc<AwsCredential>>> + Send + 'answer>>
    where
        'provider: 'answer,
        Self: 'answer,
    {
        Box::pin(self.get())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::objects::double::{granted, server};
    use crate::{Settings, Stores};
    use object_store::StaticCredentialProvider;

    fn refusal(status: u16, code: &str) -> (u16, String) {
        (status, format!("<ErrorResponse><Error><Code>{code}</Code><Message>not so</Message></Error></ErrorResponse>"))
    }

    fn provider(url: &str) -> RoleProvider {
        let names = [
            ("aws_role_arn", "arn:aws:iam::1:role/reader"),
            ("aws_role_external_id", "a b"),
            ("aws_role_duration_seconds", "30m"),
            ("aws_endpoint_url_sts", url),
            ("aws_region", "eu-central-1"),
        ];
        let settings = names.iter().fold(Settings::none(), |all, (name, value)| all.with(name, value, "test").unwrap());
        let role = Role::of(&|name| settings.get(name)).unwrap().unwrap();
        let (key_id, secret_key) = ("AKIAOWN".to_owned(), "own-secret-own-secret".to_owned());
        let own = Arc::new(StaticCredentialProvider::new(AwsCredential { key_id, secret_key, token: None }));
        RoleProvider::new(role, own, StoreOptions { http_backoff: Duration::from_millis(1), ..StoreOptions::default() })
    }

    fn ids(provider: &RoleProvider, times: usize) -> Vec<String> {
        let get = || Stores::new().block_on(provider.get_credential()).map(|c| c.key_id.clone());
        (0..times).map(|_| get().unwrap_or_else(|e| e.to_string())).collect()
    }

    #[test]
    fn a_role_is_taken_once_and_signed_for_with_the_own_keys() {
        let (url, asked) = server(vec![granted("ASIAROLE", 3600)]);
        assert_eq!(ids(&provider(&url), 3), ["ASIAROLE"; 3]);
        let asked: Vec<String> = asked.try_iter().collect();
        assert_eq!(asked.len(), 1);
        for word in [
            "Credential=AKIAOWN/",
            "/eu-central-1/sts/aws4_request",
            "Action=AssumeRole&",
            "RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Freader",
            "RoleSessionName=mapfold",
            "DurationSeconds=1800",
            "ExternalId=a+b",
        ] {
            assert!(asked[0].contains(word), "{word}: {}", asked[0]);
        }
        assert!(!asked[0].contains("own-secret"));
    }

    #[test]
    fn credentials_that_end_are_replaced_and_good_ones_outlast_a_failure() {
        let (url, _) = server(vec![granted("ONE", 0), granted("TWO", 3600)]);
        assert_eq!(ids(&provider(&url), 3), ["ONE", "TWO", "TWO"]);
        let (url, _) = server(vec![granted("ONE", 2), refusal(403, "AccessDenied")]);
        let provider = provider(&url);
        assert_eq!(ids(&provider, 1), ["ONE"]);
        provider.taken.try_lock().unwrap().as_mut().unwrap().renew_at = Instant::now();
        assert_eq!(ids(&provider, 1), ["ONE"], "it is good for two seconds");
        provider.taken.try_lock().unwrap().as_mut().unwrap().until = Instant::now();
        assert!(ids(&provider, 1)[0].contains(REFUSED));
    }

    #[test]
    fn a_busy_server_is_asked_again_and_a_refusal_is_final() {
        let busy = [refusal(503, "ServiceUnavailable"), refusal(400, "Throttling"), granted("ROLE", 3600)];
        let (url, asked) = server(busy.to_vec());
        assert_eq!((ids(&provider(&url), 1), asked.try_iter().count()), (vec!["ROLE".to_owned()], 3));
        let (url, asked) = server(vec![refusal(403, "AccessDenied")]);
        let error = &ids(&provider(&url), 1)[0];
        assert!(error.contains("AccessDenied: not so") && error.contains("role/reader"), "{error}");
        assert_eq!(asked.try_iter().count(), 1);
    }

    #[test]
    fn settings_of_a_role() {
        let of = |lines: &[(&str, &str)]| {
            let settings = lines.iter().fold(Settings::none(), |all, (n, v)| all.with(n, v, "test").unwrap());
            Role::of(&|name| settings.get(name))
        };
        let arn = ("aws_role_arn", "arn:x");
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&[arn, ("aws_web_identity_token_file", "/f")]), Ok(None), "that is object_store's");
        let url = |more: &[(&str, &str)]| of(&[&[arn], more].concat()).unwrap().unwrap().url;
        assert_eq!(url(&[("aws_region", "eu-west-1")]), "https://sts.eu-west-1.amazonaws.com/");
        assert_eq!(
            url(&[("aws_region", "a"), ("aws_sts_region", "cn-north-1")]),
            "https://sts.cn-north-1.amazonaws.com.cn/"
        );
        assert_eq!(url(&[("aws_endpoint", "http://minio:9000")]), "http://minio:9000/", "keys of there stay there");
        assert_eq!(
            url(&[("aws_endpoint", "https://s3.eu-west-1.amazonaws.com")]),
            "https://sts.us-east-1.amazonaws.com/"
        );
        assert_eq!(url(&[("aws_endpoint_url_sts", "sts.example.org")]), "https://sts.example.org/");
        assert!(of(&[arn, ("aws_region", "evil.example/#")]).is_err(), "a region reaches no other host");
        assert_eq!(seconds("12h"), Ok(43_200));
        for bad in ["", "60", "13h", "one", "15x", "-900"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
        assert!(of(&[arn, ("aws_role_session_name", "no blank")]).is_err());
    }
}
