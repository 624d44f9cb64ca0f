//! The names of settings: one of ours for each, and what other tools call it.
//!
//! Users' environments and scripts already hold these settings under the names of AWS's tools, GDAL, Hadoop's `s3a`
//! and Azure's tools. Each known name leads to one key here; the order of the names of a key is their precedence
//! within one layer. Names with dots that begin as Hadoop's do (`dfs.`, `fs.`, ...) are settings of Hadoop and pass.

use crate::closest;

/// A setting that is known by name.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    /// Environment variables and other tools' names, the strongest first.
    pub(crate) also: &'static [&'static str],
    pub(crate) secret: bool,
    pub(crate) about: &'static str,
}

const fn key(name: &'static str, also: &'static [&'static str], about: &'static str) -> Key {
    Key { name, also, secret: false, about }
}

const fn secret(name: &'static str, also: &'static [&'static str], about: &'static str) -> Key {
    Key { name, also, secret: true, about }
}

/// All known settings.
pub(crate) const KEYS: &[Key] = &[
    secret("aws_access_key_id", &["AWS_ACCESS_KEY_ID", "fs.s3a.access.key"], "S3: id of the access key"),
    secret("aws_secret_access_key", &["AWS_SECRET_ACCESS_KEY", "fs.s3a.secret.key"], "S3: the secret key"),
    secret(
        "aws_session_token",
        &["AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "fs.s3a.session.token"],
        "S3: token of temporary credentials",
    ),
    key("aws_profile", &["AWS_PROFILE", "AWS_DEFAULT_PROFILE"], "S3: profile in ~/.aws"),
    key("aws_region", &["AWS_REGION", "AWS_DEFAULT_REGION", "fs.s3a.endpoint.region"], "S3: region of the buckets"),
    key(
        "aws_endpoint",
        &["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AWS_S3_ENDPOINT", "fs.s3a.endpoint"],
        "S3: URL of another server than Amazon's",
    ),
    key("aws_endpoint_url_emr", &["AWS_ENDPOINT_URL_EMR"], "EMR: URL of another server than Amazon's"),
    key(
        "aws_https",
        &["AWS_HTTPS", "fs.s3a.connection.ssl.enabled"],
        "S3: NO speaks http to an endpoint without scheme",
    ),
    key("aws_allow_http", &["AWS_ALLOW_HTTP"], "S3: whether an http:// endpoint is allowed (yes when it is given)"),
    key(
        "aws_virtual_hosted_style_request",
        &["AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "AWS_VIRTUAL_HOSTING"],
        "S3: the bucket is a part of the host name",
    ),
    key("aws_path_style", &["fs.s3a.path.style.access"], "S3: the bucket is a part of the path"),
    key("aws_skip_signature", &["AWS_NO_SIGN_REQUEST", "AWS_SKIP_SIGNATURE"], "S3: YES reads public data unsigned"),
    key("aws_request_payer", &["AWS_REQUEST_PAYER", "fs.s3a.requester.pays.enabled"], "S3: `requester` pays"),
    key(
        "aws_server_side_encryption",
        &["AWS_SERVER_SIDE_ENCRYPTION", "fs.s3a.encryption.algorithm"],
        "S3: AES256, aws:kms, aws:kms:dsse or sse-c",
    ),
    key("aws_sse_kms_key_id", &["AWS_SSE_KMS_KEY_ID", "fs.s3a.encryption.key"], "S3: key of SSE-KMS"),
    key("aws_sse_bucket_key_enabled", &["AWS_SSE_BUCKET_KEY_ENABLED"], "S3: use the bucket's key"),
    secret("aws_sse_customer_key_base64", &["AWS_SSE_CUSTOMER_KEY_BASE64"], "S3: key of SSE-C"),
    key("aws_role_arn", &["AWS_ROLE_ARN", "fs.s3a.assumed.role.arn"], "S3: role to take, with keys or a web identity"),
    key(
        "aws_role_session_name",
        &["AWS_ROLE_SESSION_NAME", "fs.s3a.assumed.role.session.name"],
        "S3: name of that session",
    ),
    key(
        "aws_role_duration_seconds",
        &["AWS_ROLE_DURATION_SECONDS", "fs.s3a.assumed.role.session.duration"],
        "S3: how long it lasts: 3600, 30m, 12h",
    ),
    key("aws_role_external_id", &["fs.s3a.assumed.role.external.id"], "S3: what the role's owner agreed on with you"),
    key("aws_role_policy", &["fs.s3a.assumed.role.policy"], "S3: JSON that leaves the session less than the role has"),
    key("aws_web_identity_token_file", &["AWS_WEB_IDENTITY_TOKEN_FILE"], "S3: file of the web identity"),
    key(
        "aws_endpoint_url_sts",
        &["AWS_ENDPOINT_URL_STS", "fs.s3a.assumed.role.sts.endpoint"],
        "S3: where roles are taken",
    ),
    key("aws_sts_region", &["fs.s3a.assumed.role.sts.endpoint.region"], "S3: its region, if not that of the buckets"),
    key(
        "aws_metadata_endpoint",
        &["AWS_METADATA_ENDPOINT", "AWS_EC2_METADATA_SERVICE_ENDPOINT"],
        "S3: metadata service",
    ),
    key("aws_imdsv1_fallback", &["AWS_IMDSV1_FALLBACK"], "S3: allow version 1 of the metadata service"),
    key("aws_container_credentials_relative_uri", &["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"], "S3: on ECS"),
    key("aws_container_credentials_full_uri", &["AWS_CONTAINER_CREDENTIALS_FULL_URI"], "S3: on EKS"),
    key("aws_container_authorization_token_file", &["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"], "S3: on EKS"),
    key("aws_unsigned_payload", &["AWS_UNSIGNED_PAYLOAD"], "S3: do not sign the content"),
    key("aws_checksum_algorithm", &["AWS_CHECKSUM_ALGORITHM"], "S3: SHA256 or CRC64NVME sent along"),
    key("aws_s3_express", &["AWS_S3_EXPRESS"], "S3: an Express One Zone bucket"),
    key("aws_conditional_put", &["AWS_CONDITIONAL_PUT"], "S3: `disabled` for servers without If-None-Match: read only"),
    key("aws_disable_bulk_delete", &["AWS_DISABLE_BULK_DELETE"], "S3: servers without DeleteObjects"),
    key(
        "google_application_credentials",
        &["GOOGLE_APPLICATION_CREDENTIALS"],
        "GCS: file of the application's credentials",
    ),
    key("google_service_account", &["GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH"], "GCS: a key file"),
    secret("google_service_account_key", &["GOOGLE_SERVICE_ACCOUNT_KEY"], "GCS: the content of a key file"),
    secret("google_bearer_token", &["GOOGLE_BEARER_TOKEN", "GOOGLE_OAUTH_ACCESS_TOKEN"], "GCS: a token"),
    key("google_base_url", &["GOOGLE_BASE_URL", "STORAGE_EMULATOR_HOST"], "GCS: URL of another server"),
    key("google_skip_signature", &["GS_NO_SIGN_REQUEST", "GOOGLE_SKIP_SIGNATURE"], "GCS: YES reads public data"),
    key("google_user_project", &["GS_USER_PROJECT", "GOOGLE_USER_PROJECT"], "GCS: project that pays"),
    key(
        "azure_storage_account_name",
        &["AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME"],
        "Azure: account of az:// locations",
    ),
    secret(
        "azure_storage_account_key",
        &["AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_ACCESS_KEY"],
        "Azure: its key",
    ),
    secret(
        "azure_storage_sas_token",
        &["AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_SAS_KEY"],
        "Azure: a shared access signature",
    ),
    secret("azure_storage_connection_string", &["AZURE_STORAGE_CONNECTION_STRING"], "Azure: account, key and endpoint"),
    secret("azure_storage_token", &["AZURE_STORAGE_ACCESS_TOKEN", "AZURE_STORAGE_TOKEN"], "Azure: a bearer token"),
    key("azure_storage_endpoint", &["AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"], "Azure: URL of another server"),
    key("azure_tenant_id", &["AZURE_TENANT_ID", "AZURE_STORAGE_TENANT_ID"], "Azure: tenant of the client"),
    key("azure_client_id", &["AZURE_CLIENT_ID", "AZURE_STORAGE_CLIENT_ID"], "Azure: id of the client"),
    secret("azure_client_secret", &["AZURE_CLIENT_SECRET", "AZURE_STORAGE_CLIENT_SECRET"], "Azure: its secret"),
    key("azure_authority_host", &["AZURE_AUTHORITY_HOST"], "Azure: where tokens are given"),
    key("azure_federated_token_file", &["AZURE_FEDERATED_TOKEN_FILE"], "Azure: file of a workload identity"),
    key("azure_use_azure_cli", &["AZURE_USE_AZURE_CLI"], "Azure: YES asks the `az` command for a token"),
    key("azure_skip_signature", &["AZURE_NO_SIGN_REQUEST", "AZURE_SKIP_SIGNATURE"], "Azure: YES reads public data"),
    key("hadoop_user_name", &["HADOOP_USER_NAME"], "HDFS: who we say we are where nobody checks"),
];

/// Beginnings of Hadoop's own names.
const HADOOP: [&str; 8] = ["dfs.", "fs.", "hadoop.", "ipc.", "io.", "yarn.", "net.", "mapreduce."];
/// Names with dots that hold passwords.
const SECRET_PIECES: [&str; 7] =
    ["secret", "passw", "account.key", "access.key", "session.token", "sas.token", "private"];

/// Our name for a name that a user gave, wherever it comes from.
///
/// # Errors
/// A sentence with the nearest known name.
pub(crate) fn canonical(name: &str) -> Result<String, String> {
    if let Some(rest) = name.strip_prefix("fs.s3a.bucket.") {
        return Ok(of_bucket(rest).unwrap_or_else(|| name.to_owned()));
    }
    if let Some(known) = known(name) {
        return Ok(known.name.to_owned());
    }
    if HADOOP.iter().any(|begin| name.starts_with(begin)) {
        return Ok(name.to_owned());
    }
    let names = KEYS.iter().flat_map(|key| std::iter::once(key.name).chain(key.also.iter().copied()));
    let near = closest(name, names).map_or(String::new(), |near| format!("; did you mean {near}?"));
    Err(format!("there is no setting {name}{near} (names with dots of Hadoop pass: dfs.replication, fs.defaultFS)"))
}

/// The known setting of this name or of an alias, in any case.
pub(crate) fn known(name: &str) -> Option<&'static Key> {
    KEYS.iter()
        .find(|key| key.name.eq_ignore_ascii_case(name) || key.also.iter().any(|also| also.eq_ignore_ascii_case(name)))
}

/// `BUCKET.access.key` (of `fs.s3a.bucket.`) as a setting of ours for that bucket alone.
fn of_bucket(rest: &str) -> Option<String> {
    let found = KEYS.iter().find_map(|key| {
        let of_hadoop = key.also.iter().find_map(|also| also.strip_prefix("fs.s3a."))?;
        let bucket = rest.strip_suffix(of_hadoop)?.strip_suffix('.')?;
        Some((bucket, key.name))
    });
    found.map(|(bucket, name)| for_bucket(name, bucket))
}

/// The name of a setting that holds for one bucket.
pub(crate) fn for_bucket(name: &str, bucket: &str) -> String {
    format!("{name}@{bucket}")
}

/// Whether the value must not be shown.
pub(crate) fn is_secret(name: &str) -> bool {
    let plain = name.split('@').next().unwrap_or(name);
    match known(plain) {
        Some(key) => key.secret,
        None => {
            let lower = name.to_ascii_lowercase();
            SECRET_PIECES.iter().any(|piece| lower.contains(piece))
        }
    }
}
