//! Roles of AWS: temporary credentials for which somebody's own keys, or a token of a web identity, are exchanged (STS:
//! `AssumeRole`, `AssumeRoleWithWebIdentity`). Here is which role the settings want, and what is asked; [`RoleProvider`]
//! asks.
//!
//! Where there are keys, a token counts for nothing. Absent: which profile means which role, and whether it is keys or a
//! token that count ([`crate::settings`]).

mod provider;

use crate::aws::{Unsigned, amazon};
use crate::calls::Call;
use crate::settings::is_yes;
use crate::{StoreError, http};
use object_store::aws::AwsCredential;
use std::path::PathBuf;

pub(super) use provider::RoleProvider;

/// What every refusal of a role says; asking again would give the same answer.
pub(super) const REFUSED: &str = "the role cannot be taken";
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
    /// The file of a web identity's token: instead of keys.
    token: Option<PathBuf>,
}

impl Role {
    /// The role that the settings want to be taken; `of` gives them, for a bucket or for all.
    ///
    /// # Errors
    /// What is wrong with a setting.
    pub(super) fn of<'s>(of: &dyn Fn(&str) -> Option<&'s str>) -> Result<Option<Role>, String> {
        let token = of("aws_web_identity_token_file").filter(|_| of("aws_access_key_id").is_none());
        let arn = match (of("aws_role_arn"), token) {
            (Some(arn), _) => arn,
            (None, Some(_)) => {
                return Err("aws_web_identity_token_file needs aws_role_arn: a token of which role?".into());
            }
            (None, None) => return Ok(None),
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
            url: address(&region, token.is_some(), of)?,
            region,
            token: token.map(PathBuf::from),
        }))
    }

    /// Whether it is taken with a token, and not with keys.
    pub(super) fn is_of_web_identity(&self) -> bool {
        self.token.is_some()
    }

    /// The request: signed with keys; that of a web identity has its token in it instead, which is the credential's.
    fn call(&self, own: &AwsCredential) -> Result<Call, StoreError> {
        const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        let Role { region, url, .. } = self;
        if self.token.is_none() {
            let body = self.form("AssumeRole", &[("ExternalId", self.external_id.as_deref())]);
            return Unsigned { service: "sts", region, url, headers: &[FORM], body }.signed(own);
        }
        let body = self.form("AssumeRoleWithWebIdentity", &[("WebIdentityToken", own.token.as_deref())]);
        let headers = vec![(FORM.0.to_owned(), FORM.1.to_owned())];
        Ok(Call { method: "POST", url: url.clone(), headers, body: body.into() })
    }

    fn form(&self, action: &str, more: &[(&str, Option<&str>)]) -> Vec<u8> {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", action).append_pair("Version", "2011-06-15");
        form.append_pair("RoleArn", &self.arn).append_pair("RoleSessionName", &self.session);
        let seconds = self.seconds.map(|seconds| seconds.to_string());
        let mine = [("DurationSeconds", seconds.as_deref()), ("Policy", self.policy.as_deref())];
        for (name, value) in mine.iter().chain(more) {
            value.map(|value| form.append_pair(name, value));
        }
        form.finish().into_bytes()
    }
}

/// Where roles are taken: where the settings say, else with keys at a server of its own kind, else at Amazon's. Who sees
/// the token of a web identity can use it, so a bucket's server does not get it unasked, nor anybody without TLS but this
/// machine, unless the settings allow that.
fn address<'s>(region: &str, has_token: bool, of: &dyn Fn(&str) -> Option<&'s str>) -> Result<String, String> {
    let foreign = || of("aws_endpoint").filter(|url| !has_token && !url.contains("amazonaws.com"));
    let own = of("aws_endpoint_url_sts").or_else(foreign);
    let url = own.map_or_else(|| amazon("sts", region), |url| Ok(super::build::with_scheme(url, of)))?;
    let parsed = url::Url::parse(&url).map_err(|e| format!("{}: {e}", crate::redact(&url)))?;
    let is_safe = parsed.scheme() == "https" || http::is_loopback(&parsed) || of("aws_allow_http").is_some_and(is_yes);
    if has_token && !is_safe {
        let url = crate::redact(&url);
        return Err(format!(
            "the token of a web identity would go to {url} without TLS; aws_allow_http=true allows that"
        ));
    }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Settings;

    #[test]
    fn settings_of_a_role() {
        let of = |lines: &[(&str, &str)]| {
            let settings = lines.iter().fold(Settings::none(), |all, (n, v)| all.with(n, v, "test").unwrap());
            Role::of(&|name| settings.get(name))
        };
        let arn = ("aws_role_arn", "arn:x");
        assert_eq!(of(&[]), Ok(None));
        let (token, key) = (("aws_web_identity_token_file", "/f"), ("aws_access_key_id", "AKIA"));
        assert_eq!(of(&[arn, token, key]).unwrap().unwrap().token, None);
        assert!(of(&[token]).unwrap_err().contains("needs aws_role_arn"));
        assert_eq!(of(&[arn, token]).unwrap().unwrap().token, Some("/f".into()));
        let sts = |url| of(&[arn, token, ("aws_endpoint_url_sts", url)]).map(|role| role.unwrap().url);
        for bad in ["http://minio:9000", "HTTP://minio:9000", "http://127.0.0.1.example.org"] {
            assert!(sts(bad).unwrap_err().contains("without TLS"), "{bad}");
        }
        for good in ["http://127.0.0.1:9000", "https://minio:9000", "minio:9000"] {
            assert!(sts(good).is_ok(), "{good}");
        }
        let allowed = [arn, token, ("aws_endpoint_url_sts", "http://minio"), ("aws_allow_http", "true")];
        assert!(of(&allowed).is_ok());
        let elsewhere = of(&[arn, token, ("aws_endpoint", "https://data.example.org")]).unwrap().unwrap().url;
        assert_eq!(elsewhere, "https://sts.us-east-1.amazonaws.com/", "a bucket's server does not get the token");
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
