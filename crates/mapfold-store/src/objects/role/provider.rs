//! Gives a role's credentials. They are asked for at the first request that needs them, once for all that wait, and again
//! some minutes before they end. While the old ones last, a failure to get new ones is told and tried again with the next
//! request.

use super::{REFUSED, Role};
use crate::aws::{TOO_MANY, shown};
use crate::calls::{Answer, Unanswered, answer};
use crate::counters::Counters;
use crate::retry::{Fault, retrying};
use crate::{Loc, StoreError, StoreOptions};
use object_store::CredentialProvider;
use object_store::aws::{AwsCredential, AwsCredentialProvider};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::Mutex;

/// New credentials are asked for so long before the old ones end, or at half of a shorter time.
const BEFORE: Duration = Duration::from_secs(300);
/// STS has not reached whoever the token is from; it may in a moment.
const UNREACHED: &str = "IDPCommunicationError";

/// Credentials of a role.
struct Taken {
    credential: Arc<AwsCredential>,
    renew_at: Instant,
    until: Instant,
}

/// Gives a role's credentials, as long as the own ones are good for it.
pub(crate) struct RoleProvider {
    role: Role,
    /// The keys with which it is taken; none for a web identity.
    own: Option<AwsCredentialProvider>,
    options: StoreOptions,
    taken: Mutex<Option<Taken>>,
}

impl std::fmt::Debug for RoleProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RoleProvider").field(&self.role.arn).finish()
    }
}

impl RoleProvider {
    /// Of this role, taken with these credentials, or by a web identity.
    pub(crate) fn new(role: Role, own: Option<AwsCredentialProvider>, options: StoreOptions) -> RoleProvider {
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
        let failed = |error: StoreError| object_store::Error::Generic { store: "S3", source: error.to_string().into() };
        let own = match &self.own {
            Some(own) => own.get_credential().await?,
            None => Arc::new(self.token().map_err(failed)?),
        };
        let loc = Loc::parse(&self.role.url).map_err(failed)?;
        let attempt = || self.attempt(&own);
        retrying(&self.options, &Counters::default(), &loc, attempt).await.map_err(failed)
    }

    /// The token of a web identity as it is now: whoever put it there puts a new one there before it ends.
    fn token(&self) -> Result<AwsCredential, StoreError> {
        let lacking = |why: String| StoreError::Denied { loc: self.role.arn.clone(), why: format!("{REFUSED}: {why}") };
        let path = self.role.token.as_ref().ok_or_else(|| lacking("there are no keys for it".into()))?;
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|e| lacking(format!("aws_web_identity_token_file {}: {e}", path.display())))?;
        Ok(AwsCredential { key_id: String::new(), secret_key: String::new(), token: Some(text.trim().to_owned()) })
    }

    async fn attempt(&self, own: &AwsCredential) -> Result<Taken, Fault> {
        match answer(&self.role.call(own).map_err(Fault::Final)?, &self.options).await {
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
            Some(words) => shown(&format!("{code}: {words}"), own),
            None => format!("HTTP {}", answer.status),
        };
        let refused = |why: &str| {
            let why = format!("{REFUSED}: {why}");
            Fault::Final(StoreError::Denied { loc: self.role.arn.clone(), why })
        };
        match answer.status {
            200 => taken(&field).ok_or_else(|| refused("the answer of the server is not understood")),
            429 | 500.. => Err(Fault::Passing { why, after: None }),
            _ if TOO_MANY.contains(&code.as_str()) || code == UNREACHED => Err(Fault::Passing { why, after: None }),
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
        RoleProvider::new(
            role,
            Some(own),
            StoreOptions { http_backoff: Duration::from_millis(1), ..StoreOptions::default() },
        )
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
    fn a_web_identity_shows_its_token_as_it_is_at_the_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let refused = |words: &str| {
            let error = format!("<Error><Code>InvalidIdentityToken</Code><Message>{words}</Message></Error>");
            (400, format!("<ErrorResponse>{error}</ErrorResponse>"))
        };
        let words = "bad: a-token-of-many-letters";
        let unreached = refusal(400, UNREACHED);
        let (url, asked) = server(vec![granted("ONE", 0), unreached, granted("TWO", 0), refused(words)]);
        let names = [
            ("aws_role_arn", "arn:aws:iam::1:role/pod"),
            ("aws_web_identity_token_file", path.to_str().unwrap()),
            ("aws_endpoint_url_sts", &url),
        ];
        let settings = names.iter().fold(Settings::none(), |all, (name, value)| all.with(name, value, "test").unwrap());
        let options = StoreOptions { http_backoff: Duration::from_millis(1), ..StoreOptions::default() };
        let provider = RoleProvider::new(Role::of(&|name| settings.get(name)).unwrap().unwrap(), None, options);
        assert!(ids(&provider, 1)[0].contains("aws_web_identity_token_file"), "there is no file yet");
        std::fs::write(&path, "first-token\n").unwrap();
        assert_eq!(ids(&provider, 1), ["ONE"]);
        std::fs::write(&path, "a-token-of-many-letters").unwrap();
        assert_eq!(ids(&provider, 1), ["TWO"]);
        let error = &ids(&provider, 1)[0];
        assert!(error.contains("InvalidIdentityToken: bad: REDACTED"), "{error}");
        let asked: Vec<String> = asked.try_iter().collect();
        assert_eq!(asked.len(), 4);
        assert!(asked[0].contains("Action=AssumeRoleWithWebIdentity&") && asked[0].contains("=first-token"));
        assert!(asked[2].contains("WebIdentityToken=a-token-of-many-letters"));
        assert!(asked.iter().all(|text| !text.to_lowercase().contains("authorization")), "nothing is signed");
    }
}
