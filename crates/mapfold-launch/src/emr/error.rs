//! What can go wrong with a cluster of EMR, in the user's terms.

use mapfold_store::StoreError;

/// Refusals of who we are.
const NOBODY: [&str; 7] = [
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "IncompleteSignatureException",
    "ExpiredTokenException",
    "MissingAuthenticationTokenException",
];

/// Errors of EMR.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmrError {
    /// No answer, no credentials, no region.
    #[error(transparent)]
    Call(#[from] StoreError),
    /// EMR says no.
    #[error("EMR refuses {action}: {why}")]
    Refused {
        /// The call.
        action: &'static str,
        /// Its name for the refusal: `ValidationException`.
        kind: String,
        /// Its words.
        why: String,
    },
    /// A call that does a thing was sent, and no answer came.
    #[error("EMR did not answer {action}, which may have been done all the same: {why}")]
    Lost {
        /// The call.
        action: &'static str,
        /// The last failure.
        why: String,
    },
    /// An answer that is not what its documentation says.
    #[error("EMR's answer to {action} is not understood: {why}")]
    Strange {
        /// The call.
        action: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The cluster was made, but would live for ever: it was taken down again.
    #[error("cluster {id} was made, but its teardown could not be set ({why}){}", if *ended { ": it is being taken down" } else { ", and it could not be taken down" })]
    Unguarded {
        /// Which.
        id: String,
        /// Why not.
        why: String,
        /// Whether it is being taken down.
        ended: bool,
    },
    /// A kind of cluster that is not made here.
    #[error("cluster {id} has instance fleets; only clusters with instance groups can be cloned")]
    Fleets {
        /// Which.
        id: String,
    },
}

impl EmrError {
    /// What to try.
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            EmrError::Call(StoreError::Settings { loc, .. }) if loc == "aws_region" => {
                "-D aws_region=eu-central-1, AWS_REGION=eu-central-1, or `region` in ~/.aws/config".into()
            }
            EmrError::Call(StoreError::Settings { loc, .. }) if loc.starts_with("credentials") => {
                "AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; `mapfold config show --origin` lists what is set".into()
            }
            EmrError::Call(e) => e.remedy()?.to_string(),
            EmrError::Refused { action, kind, why } => refused(action, kind, why)?,
            EmrError::Lost { action: "RunJobFlow", .. } => "look at `mapfold cluster list` before you try again".into(),
            EmrError::Lost { .. } => "look at the cluster's steps before you try again".into(),
            EmrError::Unguarded { id, ended: false, .. } => format!("mapfold cluster destroy {id}, for it costs until then"),
            EmrError::Unguarded { .. } => "your credentials need the permission elasticmapreduce:PutAutoTerminationPolicy; --keep makes a cluster without".into(),
            EmrError::Fleets { .. } => "mapfold cluster create emr".into(),
            _ => return None,
        })
    }

    /// Whether asking again later makes sense.
    pub fn may_pass(&self) -> bool {
        matches!(self, EmrError::Call(StoreError::Network { .. }))
    }
}

/// What to try after a no.
fn refused(action: &str, kind: &str, why: &str) -> Option<String> {
    let says = |words: &str| why.contains(words);
    if NOBODY.contains(&kind) {
        let whose = "check whose credentials are used (`mapfold config show --origin`)";
        return Some(format!("{whose}, and get new ones if they have expired"));
    }
    if kind.contains("AccessDenied") || says("not authorized") {
        let roles = if action == "RunJobFlow" { " and iam:PassRole" } else { "" };
        return Some(format!("your credentials need the permission elasticmapreduce:{action}{roles}"));
    }
    if says("is not valid") || says("does not exist") {
        return Some("`mapfold cluster list --all` shows the clusters of this region".into());
    }
    let off = "aws emr modify-cluster-attributes --no-termination-protected --cluster-id ID";
    (says("termination-protected") || says("termination protected")).then(|| off.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_what_to_do() {
        let no = |kind: &str, why: &str| EmrError::Refused { action: "RunJobFlow", kind: kind.into(), why: why.into() };
        let remedy = |e: EmrError| e.remedy().unwrap_or_default();
        assert!(remedy(no("AccessDeniedException", "User: x is not authorized")).contains("iam:PassRole"));
        assert!(remedy(no("InvalidRequestException", "Cluster id 'j-X' is not valid.")).contains("cluster list"));
        assert!(remedy(no("ExpiredTokenException", "expired")).contains("get new ones"));
        let no_region = StoreError::Settings { loc: "aws_region".into(), why: "no region of AWS is set".into() };
        assert!(remedy(EmrError::Call(no_region)).contains("AWS_REGION="));
        assert!(remedy(EmrError::Lost { action: "RunJobFlow", why: String::new() }).contains("before you try again"));
    }
}
