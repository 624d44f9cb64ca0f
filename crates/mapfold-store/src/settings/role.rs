//! Roles of AWS as users' files name them: which keys take which role.
//!
//! A profile with `role_arn` says whose keys take it: those of another profile (`source_profile`), or those that the
//! environment or the machine has (`credential_source`). Here such a profile becomes plain settings: these keys, and the
//! role. As for AWS's tools, keys or a web identity of a stronger layer go before the whole of it, and the variable
//! `AWS_ROLE_ARN` means something beside a web identity only. Hadoop's role counts when its provider of roles is chosen.
//!
//! Absent: taking the role ([`crate::objects`]).

use super::files::Pairs;
use super::{Settings, TOGETHER};
use crate::StoreError;

/// What belongs to a role and to nothing else.
const OF_ROLE: [&str; 5] =
    ["aws_role_arn", "aws_role_session_name", "aws_role_duration_seconds", "aws_role_external_id", "aws_mfa_serial"];
/// The file of a web identity's token.
const TOKEN: &str = "aws_web_identity_token_file";
/// Where keys may come from that no profile has.
const SOURCES: [&str; 3] = ["Environment", "Ec2InstanceMetadata", "EcsContainer"];
/// What a profile may have instead of keys; said by whoever wants them.
const OTHER_WAYS: [&str; 2] = ["aws_credential_process", "aws_sso"];

/// The lines of a profile of this name.
type Profile<'a> = &'a dyn Fn(&str) -> Result<Option<Pairs>, StoreError>;

/// Whether these say who we are: by keys or by a token.
pub(super) fn says_who(settings: &Settings) -> bool {
    [TOGETHER[0], TOKEN].iter().any(|name| settings.0.contains_key(*name))
}

/// Drops from a weaker layer who it says that we are, with its role, when the stronger ones say it.
pub(super) fn of_one_layer(stronger: &Settings, layer: &mut Settings) {
    keys_or_token(layer);
    if says_who(stronger) {
        let has_own_role = says_who(layer);
        let is_role = |name: &str| has_own_role && OF_ROLE.contains(&name);
        layer.0.retain(|name, _| !(TOGETHER.contains(&name.as_str()) || name == TOKEN || is_role(name)));
    }
}

pub(super) fn are_keys_and_token(layer: &Settings) -> bool {
    [TOGETHER[0], TOKEN].iter().all(|name| layer.0.contains_key(*name))
}

/// Of keys and a token that one layer has, the keys count, and its role is the token's: as AWS's tools take variables.
fn keys_or_token(layer: &mut Settings) {
    if are_keys_and_token(layer) {
        layer.0.retain(|name, _| name != TOKEN && !OF_ROLE.contains(&name.as_str()));
    }
}

/// A profile's lines with its role settled; `is_said` when a stronger layer says who we are.
pub(super) fn settled(
    (profile, mut pairs): (&str, Pairs),
    of_other: Profile<'_>,
    is_said: bool,
) -> Result<Pairs, StoreError> {
    let bad = |why: String| StoreError::Settings { loc: format!("profile {profile}"), why };
    let (source, place) = (take(&mut pairs, "aws_source_profile"), take(&mut pairs, "aws_credential_source"));
    if !has(&pairs, "aws_role_arn") {
        return Ok(pairs);
    }
    if has(&pairs, TOKEN) {
        pairs.retain(|(name, _)| !TOGETHER.contains(&name.as_str())); // A profile's role goes before its own keys.
        return Ok(pairs);
    }
    match (source, place) {
        (None, Some(place)) if SOURCES.contains(&place.as_str()) => {
            pairs.retain(|(name, _)| !TOGETHER.contains(&name.as_str()));
            Ok(pairs)
        }
        (None, Some(place)) => Err(bad(format!("credential_source is one of {}, not {place:?}", SOURCES.join(", ")))),
        _ if is_said => {
            pairs.retain(|(name, _)| !OF_ROLE.contains(&name.as_str()));
            Ok(pairs)
        }
        (Some(_), Some(_)) => Err(bad("source_profile and credential_source: one of them says whose keys".into())),
        (None, None) => Err(bad("role_arn needs a source_profile or a credential_source: whose keys take it?".into())),
        (Some(source), None) => {
            let keys = if source == profile { Some(pairs.clone()) } else { of_other(&source)? };
            let keys = keys.ok_or_else(|| bad(format!("there is no profile {source}, its source_profile")))?;
            with_keys_of(pairs, (&source, keys), source == profile).map_err(bad)
        }
    }
}

/// The profile's lines, with the keys of its source.
fn with_keys_of(mut pairs: Pairs, (source, keys): (&str, Pairs), is_own: bool) -> Result<Pairs, String> {
    if !is_own && has(&keys, "aws_role_arn") {
        return Err(format!(
            "its source_profile {source} takes a role too, which mapfold does not do one after the other; \
             `eval \"$(aws configure export-credentials --format env)\"` gives keys that it takes"
        ));
    }
    if !has(&keys, TOGETHER[0]) && !OTHER_WAYS.iter().any(|way| has(&keys, way)) {
        return Err(format!("its source_profile {source} has no keys"));
    }
    let of_keys = |name: &str| TOGETHER.contains(&name) || OTHER_WAYS.contains(&name);
    pairs.retain(|(name, _)| !of_keys(name));
    pairs.extend(keys.into_iter().filter(|(name, _)| of_keys(name)));
    Ok(pairs)
}

fn has(pairs: &Pairs, name: &str) -> bool {
    pairs.iter().any(|(known, _)| known == name)
}

fn take(pairs: &mut Pairs, name: &str) -> Option<String> {
    let at = pairs.iter().position(|(known, _)| known == name)?;
    Some(pairs.remove(at).1)
}

/// Drops the role of Hadoop's files unless their list of providers has the one for roles.
pub(super) fn of_hadoop(pairs: &mut Pairs) {
    let chosen = |(name, value): &(String, String)| {
        name == "fs.s3a.aws.credentials.provider" && value.contains("AssumedRoleCredentialProvider")
    };
    if !pairs.iter().any(chosen) {
        pairs.retain(|(name, _)| !name.starts_with("fs.s3a.assumed.role."));
    }
}

/// Drops a role of the environment that is not for a web identity.
pub(super) fn of_variables(layer: &mut Settings) {
    let is_of_others = layer.0.get("aws_role_arn").is_some_and(|role| &*role.origin == "environment AWS_ROLE_ARN");
    if is_of_others && !layer.0.contains_key(TOKEN) {
        layer.0.remove("aws_role_arn");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn pairs(text: &str) -> Pairs {
        let pair = |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap();
        text.split_whitespace().map(pair).collect()
    }

    fn settled_as(text: &str, has_keys: bool) -> Result<Pairs, String> {
        let of_other = |name: &str| {
            Ok(match name {
                "base" => Some(pairs("aws_access_key_id=B aws_secret_access_key=S aws_region=far")),
                "chain" => Some(pairs("aws_role_arn=R2 aws_source_profile=base")),
                "empty" => Some(pairs("aws_region=far")),
                "sso" => Some(pairs("aws_sso=x")),
                _ => None,
            })
        };
        settled(("me", pairs(text)), &of_other, has_keys).map_err(|e| e.to_string())
    }

    #[test]
    fn a_role_gets_the_keys_of_its_source() {
        let role = "aws_role_arn=R aws_region=here aws_role_external_id=7";
        let with_keys =
            pairs("aws_role_arn=R aws_region=here aws_role_external_id=7 aws_access_key_id=B aws_secret_access_key=S");
        assert_eq!(settled_as(&format!("{role} aws_source_profile=base"), false).unwrap(), with_keys);
        let own = format!("{role} aws_access_key_id=OWN");
        assert_eq!(settled_as(&format!("{own} aws_source_profile=base"), false).unwrap(), with_keys);
        assert_eq!(settled_as(&format!("{own} aws_source_profile=me"), false).unwrap(), pairs(&own));
        assert_eq!(
            settled_as(&format!("{own} aws_credential_source=Ec2InstanceMetadata"), false).unwrap(),
            pairs(role)
        );
        let single = settled_as(&format!("{role} aws_source_profile=sso"), false).unwrap();
        assert!(has(&single, "aws_sso"), "said later: {single:?}");
    }

    #[test]
    fn stronger_keys_go_before_a_profile_and_its_role() {
        let role = "aws_role_arn=R aws_region=here aws_role_session_name=s";
        assert_eq!(settled_as(&format!("{role} aws_source_profile=base"), true).unwrap(), pairs("aws_region=here"));
        assert_eq!(settled_as(&format!("{role} aws_credential_source=Environment"), true).unwrap(), pairs(role));
        let web = format!("{role} aws_web_identity_token_file=/f");
        assert_eq!(settled_as(&web, true).unwrap(), pairs(&web));
        assert_eq!(settled_as(&format!("{web} aws_access_key_id=OWN"), false).unwrap(), pairs(&web));
        assert_eq!(settled_as("aws_region=here aws_source_profile=base", false).unwrap(), pairs("aws_region=here"));
    }

    #[test]
    fn who_we_are_is_what_the_strongest_layer_says_that_says_it() {
        let layer = |text: &str| {
            let all = pairs(text).into_iter();
            all.fold(Settings::none(), |layer, (name, value)| layer.with(&name, &value, "test").unwrap())
        };
        let keys = "aws_access_key_id=K aws_secret_access_key=S";
        let (web, role) = ("aws_role_arn=W aws_web_identity_token_file=/f", "aws_role_arn=R aws_role_session_name=s");
        for (stronger, weaker, left) in [
            (keys, format!("{web} aws_region=a"), "aws_region=a"),
            (web, format!("{keys} {role} aws_region=a"), "aws_region=a"),
            ("aws_region=a", format!("{keys} {web}"), keys),
            ("aws_region=a", format!("{keys} {role}"), &format!("{keys} {role}")),
            (keys, role.to_owned(), role), // The role of one layer with the keys of another.
            (role, web.to_owned(), web),
        ] {
            let mut found = layer(&weaker);
            of_one_layer(&layer(stronger), &mut found);
            assert!(found == layer(left), "{stronger} before {weaker}: {found:?}");
        }
        let both: Vec<String> = format!("{keys} {web}").split(' ').map(str::to_owned).collect();
        assert!(Settings::none().with_defines(&both).unwrap_err().to_string().contains("one of them"));
    }

    #[test]
    fn what_cannot_be_is_said() {
        for (more, word) in [
            ("", "whose keys"),
            ("aws_source_profile=nobody", "no profile nobody"),
            ("aws_source_profile=empty", "no keys"),
            ("aws_source_profile=chain", "takes a role too"),
            ("aws_source_profile=base aws_credential_source=Environment", "one of them"),
            ("aws_credential_source=Moon", "Ec2InstanceMetadata"),
        ] {
            let error = settled_as(&format!("aws_role_arn=R {more}"), false).unwrap_err();
            assert!(error.contains(word) && error.contains("profile me"), "{more}: {error}");
        }
    }

    #[test]
    fn hadoops_role_wants_its_provider() {
        let role = "fs.s3a.assumed.role.arn=R fs.s3a.access.key=K";
        let mut without = pairs(role);
        of_hadoop(&mut without);
        assert_eq!(without, pairs("fs.s3a.access.key=K"));
        let chosen = "fs.s3a.aws.credentials.provider=org.apache.hadoop.fs.s3a.auth.AssumedRoleCredentialProvider";
        let mut with = pairs(&format!("{role} {chosen}"));
        of_hadoop(&mut with);
        assert_eq!(with, pairs(&format!("{role} {chosen}")));
    }
}
