//! What can go wrong between a launcher and a YARN cluster, in the user's terms.

use mapfold_store::StoreError;

/// Errors of a submission.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum YarnError {
    /// Nobody said where the cluster is.
    #[error("no YARN cluster is known: neither YARN_CONF_DIR nor HADOOP_CONF_DIR is set")]
    NoConfiguration,
    /// A file of the configuration cannot be used.
    #[error("{file}: {why}")]
    BadConfiguration {
        /// Which file.
        file: String,
        /// What is wrong.
        why: String,
    },
    /// No ResourceManager answers.
    #[error("the ResourceManager cannot be reached at {tried}: {why}")]
    Unreachable {
        /// The addresses that were tried.
        tried: String,
        /// The last failure.
        why: String,
    },
    /// The cluster asks who we are in a way that is not spoken here.
    #[error("the ResourceManager at {at} asks for Kerberos (SPNEGO), which mapfold does not speak yet")]
    Kerberos {
        /// Which one.
        at: String,
    },
    /// The queue does not exist.
    #[error("the cluster has no queue {queue:?}; it has {known}")]
    NoQueue {
        /// As the user wrote it.
        queue: String,
        /// Those that there are.
        known: String,
        /// The nearest of them.
        nearest: Option<String>,
    },
    /// A container of this size is never given.
    #[error(
        "a {what} needs a container of {needed}, but this cluster's largest has {most} \
         (yarn.scheduler.maximum-allocation-*)"
    )]
    TooLarge {
        /// `member` or `coordinator`.
        what: &'static str,
        /// What would be asked.
        needed: String,
        /// The most that the scheduler gives.
        most: String,
        /// The option that makes it smaller.
        option: &'static str,
    },
    /// The ResourceManager refused.
    #[error("the ResourceManager refuses to {doing}: {why}")]
    Refused {
        /// What was asked.
        doing: &'static str,
        /// Its words.
        why: String,
    },
    /// Its answer is not what its documentation says.
    #[error("the ResourceManager's answer to {doing} is not understood: {why}")]
    Strange {
        /// What was asked.
        doing: &'static str,
        /// What is wrong.
        why: String,
    },
    /// Files cannot be put onto the cluster, or read from there.
    #[error("{doing}: {source}")]
    Files {
        /// What was tried.
        doing: &'static str,
        /// Why not.
        source: StoreError,
    },
    /// A file of this machine.
    #[error("{file}: {source}")]
    Here {
        /// Which.
        file: String,
        /// Why not.
        source: std::io::Error,
    },
    /// No token can be made, or read.
    #[error("{0}")]
    Wire(#[from] mapfold_wire::WireError),
    /// This process was not started by the application master.
    #[error(
        "this process is no coordinator of a YARN application: {0}; the variable MAPFOLD_WITHIN is for mapfold's own use"
    )]
    NotWithin(String),
}

impl YarnError {
    /// What to try.
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            YarnError::NoConfiguration => {
                "set HADOOP_CONF_DIR to the folder with the cluster's core-site.xml and yarn-site.xml".into()
            }
            YarnError::Unreachable { .. } => {
                "check yarn.resourcemanager.webapp.address in yarn-site.xml, and that the cluster runs".into()
            }
            YarnError::Kerberos { .. } => "submit from a cluster without Kerberos".into(),
            YarnError::NoQueue { nearest: Some(name), .. } => format!("--queue {name}"),
            YarnError::NoQueue { .. } => "choose one of them with --queue".into(),
            YarnError::TooLarge { option, .. } => format!("a smaller {option}"),
            YarnError::BadConfiguration { .. } => "fix that file, or point HADOOP_CONF_DIR elsewhere".into(),
            YarnError::Files { source, .. } => return source.remedy().map(str::to_string),
            _ => return None,
        })
    }

    /// Whether the user's words are wrong, rather than a place that they lead to.
    pub fn is_usage(&self) -> bool {
        matches!(self, YarnError::NoQueue { .. } | YarnError::TooLarge { .. } | YarnError::NotWithin(_))
    }
}
