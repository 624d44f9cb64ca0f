//! From settings to the client of one bucket.
//!
//! Each function takes our settings by name and says them to object_store's builder, so that nothing comes from
//! anywhere else: what `mapfold config show` prints is what is used. What is missing is said in words, before a request
//! fails for it.

use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsCredentialProvider};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::multipart::MultipartStore;
use object_store::signer::Signer;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};

use super::Bucket;
use super::refusals::Connector;
use super::role::{Role, RoleProvider};
use crate::settings::is_yes;
use crate::{Loc, Scheme, Settings, StoreError, StoreOptions};

/// Settings of credentials that go to the S3 builder under their own name.
const AWS_CREDENTIALS: [&str; 12] = [
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "aws_role_arn",
    "aws_role_session_name",
    "aws_web_identity_token_file",
    "aws_endpoint_url_sts",
    "aws_metadata_endpoint",
    "aws_imdsv1_fallback",
    "aws_container_credentials_relative_uri",
    "aws_container_credentials_full_uri",
    "aws_container_authorization_token_file",
];
/// Other settings that do.
const S3_PLAIN: [&str; 5] = [
    "aws_unsigned_payload",
    "aws_checksum_algorithm",
    "aws_s3_express",
    "aws_conditional_put",
    "aws_disable_bulk_delete",
];

const AZURE_PLAIN: [&str; 8] = [
    "azure_storage_account_key",
    "azure_storage_sas_token",
    "azure_storage_token",
    "azure_tenant_id",
    "azure_client_id",
    "azure_client_secret",
    "azure_authority_host",
    "azure_federated_token_file",
];

/// What a builder made: the store, and its multipart uploads by number.
pub(super) struct Made {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) parts: Arc<dyn MultipartStore>,
    /// Signs what the library does not ask: which uploads are open.
    pub(super) signer: Option<Arc<dyn Signer>>,
    /// A server of somebody else's: what it can do must be tried.
    pub(super) foreign: bool,
}

/// The client of the bucket that `loc` lies in.
pub(super) fn bucket(loc: &Loc, settings: &Settings, options: &StoreOptions) -> Result<Bucket, StoreError> {
    crate::http::choose_cryptography();
    let wrong = |why: String| StoreError::Settings { loc: loc.root().to_string(), why };
    let made = match loc.scheme() {
        Scheme::S3 => s3(loc, settings, options),
        Scheme::Gcs => gcs(loc, settings, options),
        _ => azure(loc, settings, options),
    };
    Ok(Bucket::new(loc.root(), made.map_err(wrong)?))
}

/// Name of the bucket or container.
pub(crate) fn bucket_name(loc: &Loc) -> &str {
    let root = loc.remote().0;
    let authority = root.split_once("://").map_or(root, |(_, rest)| rest);
    authority.split('@').next().unwrap_or(authority)
}

fn retry(options: &StoreOptions) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: options.http_backoff,
            max_backoff: std::time::Duration::from_secs(5),
            base: 2.0,
        },
        max_retries: options.http_retries as usize,
        retry_timeout: options.http_retry_total,
    }
}

fn client(options: &StoreOptions, http: bool) -> ClientOptions {
    let client = ClientOptions::new()
        .with_allow_http(http)
        .with_connect_timeout(options.http_connect_timeout)
        .with_read_timeout(options.http_read_timeout)
        // Bounded by silence, not by size: a big part on a slow line is no failure.
        .with_timeout_disabled()
        .with_user_agent(reqwest::header::HeaderValue::from_static(concat!("mapfold/", env!("CARGO_PKG_VERSION"))));
    // A machine without certificates can still speak plain HTTP.
    client.with_no_system_certificates(http)
}

fn text<E: std::fmt::Display>(error: E) -> String {
    crate::redact(&error.to_string())
}

fn s3(loc: &Loc, settings: &Settings, options: &StoreOptions) -> Result<Made, String> {
    let bucket = bucket_name(loc);
    let of = |name: &str| settings.of_bucket(name, bucket);
    without_what_we_lack(settings)?;
    let endpoint = of("aws_endpoint").map(|text| with_scheme(text, &of));
    let http = endpoint.as_deref().is_some_and(|url| url.starts_with("http://"));
    if http && of("aws_allow_http").is_some_and(|value| !is_yes(value)) {
        return Err("aws_endpoint is http:// and aws_allow_http says no".into());
    }
    let unsigned = of("aws_skip_signature").is_some_and(is_yes);
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_retry(retry(options))
        .with_http_connector(Connector::default())
        .with_client_options(client(options, http))
        .with_skip_signature(unsigned)
        .with_virtual_hosted_style_request(virtual_hosted(settings, bucket))
        .with_request_payer(of("aws_request_payer").is_some_and(|v| v == "requester" || is_yes(v)));
    for name in AWS_CREDENTIALS.into_iter().chain(S3_PLAIN) {
        builder = with(builder, name, of(name))?;
    }
    if let Some(region) = of("aws_region") {
        builder = builder.with_region(region);
    }
    if let Some(endpoint) = &endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    let builder = encrypted(builder, settings, bucket)?;
    let builder = if unsigned { builder } else { in_role(builder, Role::of(&of)?, options)? };
    let store = Arc::new(builder.build().map_err(text)?);
    let foreign = endpoint.is_some_and(|url| !url.contains(".amazonaws.com"));
    Ok(Made { store: store.clone(), parts: store.clone(), signer: Some(store), foreign })
}

/// Who we are to other services of AWS than S3: the same settings, the same sources.
pub(crate) fn aws_credentials(
    region: &str,
    settings: &Settings,
    options: &StoreOptions,
) -> Result<AwsCredentialProvider, String> {
    crate::http::choose_cryptography();
    without_what_we_lack(settings)?;
    let plain = AmazonS3Builder::new().with_bucket_name("none").with_region(region);
    let mut builder = plain.with_retry(retry(options)).with_http_connector(Connector::default());
    builder = builder.with_client_options(client(options, false));
    for name in AWS_CREDENTIALS {
        builder = with(builder, name, settings.get(name))?;
    }
    // Where buckets are says nothing about these services.
    let of = |name: &str| match name {
        "aws_endpoint" => None,
        "aws_region" => Some(region),
        _ => settings.get(name),
    };
    let builder = in_role(builder, Role::of(&of)?, options)?;
    Ok(builder.build().map_err(text)?.credentials().clone())
}

/// The same with the credentials of a role, for which those of the builder or a token are exchanged.
fn in_role(builder: AmazonS3Builder, role: Option<Role>, options: &StoreOptions) -> Result<AmazonS3Builder, String> {
    let Some(role) = role else { return Ok(builder) };
    let own = match role.is_of_web_identity() {
        true => None,
        false => Some(builder.clone().build().map_err(text)?.credentials().clone()),
    };
    Ok(builder.with_credentials(Arc::new(RoleProvider::new(role, own, options.clone()))))
}

/// Ways to credentials that AWS's own tools have and this program has not: said, not ignored.
fn without_what_we_lack(settings: &Settings) -> Result<(), String> {
    if settings.get("aws_access_key_id").is_some() && settings.get("aws_mfa_serial").is_none() {
        return Ok(());
    }
    let lacking = [
        ("aws_credential_process", "credential_process"),
        ("aws_sso", "single sign-on"),
        ("aws_mfa_serial", "a role that wants a code of a device (mfa_serial)"),
    ];
    match lacking.into_iter().find(|(name, _)| settings.get(name).is_some()) {
        Some((_, what)) => Err(format!(
            "the profile uses {what}, which mapfold does not do; \
             `eval \"$(aws configure export-credentials --format env)\"` gives keys that it takes"
        )),
        None => Ok(()),
    }
}

/// GDAL and Hadoop write an endpoint without scheme.
pub(super) fn with_scheme<'s>(endpoint: &str, of: &dyn Fn(&str) -> Option<&'s str>) -> String {
    let no_tls = of("aws_https").is_some_and(|value| !is_yes(value));
    match endpoint.contains("://") {
        true => endpoint.trim_end_matches('/').to_owned(),
        false if no_tls => format!("http://{endpoint}"),
        false => format!("https://{endpoint}"),
    }
}

/// With an endpoint of its own the bucket goes into the path, as most such servers want it.
fn virtual_hosted(settings: &Settings, bucket: &str) -> bool {
    match settings.of_bucket("aws_virtual_hosted_style_request", bucket) {
        Some(value) => is_yes(value),
        None => settings.of_bucket("aws_path_style", bucket).is_some_and(|value| !is_yes(value)),
    }
}

fn encrypted(builder: AmazonS3Builder, settings: &Settings, bucket: &str) -> Result<AmazonS3Builder, String> {
    let of = |name: &str| settings.of_bucket(name, bucket);
    let kind = match of("aws_server_side_encryption") {
        None => return Ok(builder),
        Some("SSE-S3" | "AES256") => "AES256",
        Some("SSE-KMS" | "aws:kms" | "sse:kms") => "aws:kms",
        Some("DSSE-KMS" | "aws:kms:dsse" | "sse:kms:dsse") => "aws:kms:dsse",
        Some("SSE-C" | "sse-c") => "sse-c",
        Some(other) => {
            return Err(format!("aws_server_side_encryption is AES256, aws:kms, aws:kms:dsse or sse-c, not {other:?}"));
        }
    };
    let mut builder = with(builder, "aws_server_side_encryption", Some(kind))?;
    builder = match kind {
        "sse-c" => {
            let key = of("aws_sse_customer_key_base64").or_else(|| of("aws_sse_kms_key_id"));
            with(builder, "aws_sse_customer_key_base64", key)?
        }
        _ => with(builder, "aws_sse_kms_key_id", of("aws_sse_kms_key_id"))?,
    };
    with(builder, "aws_sse_bucket_key_enabled", of("aws_sse_bucket_key_enabled"))
}

fn with(builder: AmazonS3Builder, name: &str, value: Option<&str>) -> Result<AmazonS3Builder, String> {
    let Some(value) = value else { return Ok(builder) };
    let key: AmazonS3ConfigKey = name.parse().map_err(text)?;
    Ok(builder.with_config(key, value))
}

fn gcs(loc: &Loc, settings: &Settings, options: &StoreOptions) -> Result<Made, String> {
    let base = settings.get("google_base_url").map(|url| match url.contains("://") {
        true => url.trim_end_matches('/').to_owned(),
        false => format!("http://{url}"),
    });
    let mut client = client(options, base.as_deref().is_some_and(|url| url.starts_with("http://")));
    if let Some(project) = settings.get("google_user_project") {
        let value = reqwest::header::HeaderValue::from_str(project).map_err(text)?;
        let name = reqwest::header::HeaderName::from_static("x-goog-user-project");
        client = client.with_default_headers([(name, value)].into_iter().collect());
    }
    let unsigned = settings.is_on("google_skip_signature");
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(bucket_name(loc))
        .with_retry(retry(options))
        .with_http_connector(Connector::default())
        .with_client_options(client)
        .with_skip_signature(unsigned);
    let credentials = [
        (GoogleConfigKey::ServiceAccount, "google_service_account"),
        (GoogleConfigKey::ServiceAccountKey, "google_service_account_key"),
        (GoogleConfigKey::ApplicationCredentials, "google_application_credentials"),
        (GoogleConfigKey::BearerToken, "google_bearer_token"),
    ];
    for (key, name) in credentials {
        if let Some(value) = settings.get(name).filter(|_| !unsigned) {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(base) = &base {
        builder = builder.with_config(GoogleConfigKey::BaseUrl, base);
    }
    let store = Arc::new(builder.build().map_err(text)?);
    Ok(Made { store: store.clone(), parts: store, signer: None, foreign: base.is_some() })
}

fn azure(loc: &Loc, settings: &Settings, options: &StoreOptions) -> Result<Made, String> {
    let connection = Connection::read(settings)?;
    let root = loc.remote().0;
    let named = root.split_once('@').map(|(_, host)| host);
    let of_host = named.and_then(|host| host.split('.').next());
    let account = of_host.or(settings.get("azure_storage_account_name")).or(connection.account.as_deref());
    let account = account.ok_or(
        "the account is missing: AZURE_STORAGE_ACCOUNT, or abfss://container@ACCOUNT.dfs.core.windows.net/key",
    )?;
    let endpoint = settings.get("azure_storage_endpoint").map(str::to_owned).or(connection.endpoint);
    let endpoint = endpoint.or_else(|| named.map(|host| format!("https://{}", host.replacen(".dfs.", ".blob.", 1))));
    let http = endpoint.as_deref().is_some_and(|url| url.starts_with("http://"));
    let unsigned = settings.is_on("azure_skip_signature");
    let mut builder = MicrosoftAzureBuilder::new()
        .with_account(account)
        .with_container_name(bucket_name(loc))
        .with_retry(retry(options))
        .with_http_connector(Connector::default())
        .with_client_options(client(options, http))
        .with_skip_signature(unsigned);
    if let Some(endpoint) = &endpoint {
        builder = builder.with_endpoint(endpoint.trim_end_matches('/').to_owned());
    }
    if settings.is_on("azure_use_azure_cli") {
        builder = builder.with_config(AzureConfigKey::UseAzureCli, "true");
    }
    for name in AZURE_PLAIN {
        if let Some(value) = settings.get(name) {
            let key: AzureConfigKey = name.parse().map_err(text)?;
            builder = builder.with_config(key, value.trim_start_matches('?'));
        }
    }
    let of_hadoop = named.and_then(|host| settings.get(&format!("fs.azure.account.key.{host}")));
    if let Some(key) = of_hadoop.or(connection.key.as_deref()) {
        builder = builder.with_config(AzureConfigKey::AccessKey, key);
    }
    if let Some(sas) = &connection.sas {
        builder = builder.with_config(AzureConfigKey::SasKey, sas);
    }
    let store = Arc::new(builder.build().map_err(text)?);
    Ok(Made { store: store.clone(), parts: store, signer: None, foreign: http })
}

/// What a connection string of Azure's says.
#[derive(Default)]
struct Connection {
    account: Option<String>,
    key: Option<String>,
    sas: Option<String>,
    endpoint: Option<String>,
}

impl Connection {
    fn read(settings: &Settings) -> Result<Connection, String> {
        let mut read = Connection::default();
        let Some(text) = settings.get("azure_storage_connection_string") else { return Ok(read) };
        let (mut protocol, mut suffix) = ("https".to_owned(), "core.windows.net".to_owned());
        for piece in text.split(';').filter(|piece| !piece.trim().is_empty()) {
            let (name, value) = piece.split_once('=').ok_or("the connection string of Azure is NAME=VALUE;...")?;
            let value = value.trim().to_owned();
            match name.trim().to_ascii_lowercase().as_str() {
                "accountname" => read.account = Some(value),
                "accountkey" => read.key = Some(value),
                "sharedaccesssignature" => read.sas = Some(value),
                "blobendpoint" => read.endpoint = Some(value),
                "defaultendpointsprotocol" => protocol = value,
                "endpointsuffix" => suffix = value,
                _ => {}
            }
        }
        let usual = |account: &String| format!("{protocol}://{account}.blob.{suffix}");
        read.endpoint = read.endpoint.or_else(|| read.account.as_ref().map(usual));
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::double::server_by;
    use super::*;
    use crate::Stores;
    use std::time::Duration;

    const KEYS: [(&str, &str); 2] = [("aws_access_key_id", "AKIA"), ("aws_secret_access_key", "secret")];

    fn stores(settings: &[(&str, &str)]) -> Stores {
        let all = settings.iter().fold(Settings::none(), |all, (n, v)| all.with(n, v, "test").unwrap());
        let http_backoff = Duration::from_millis(1);
        Stores::with_options(StoreOptions { settings: Some(Arc::new(all)), http_backoff, ..StoreOptions::default() })
    }

    /// What the server was asked when an object is read and written.
    fn asked(settings: &[(&str, &str)]) -> Vec<String> {
        let empty = "<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>";
        let (url, asked) = server_by(move |question| match question.contains("list-type=2") {
            true => (200, empty.into()),
            false => (403, String::new()),
        });
        let stores = stores(&[&KEYS, settings, &[("aws_endpoint", &url)]].concat());
        let loc = Loc::parse("s3://bucket/key").unwrap();
        stores.get(&loc).unwrap_err();
        let error = stores.put(&loc, "x".into()).unwrap_err();
        assert!(error.to_string().contains("403"), "{error}");
        asked.try_iter().map(|text| text.to_lowercase()).collect()
    }

    /// The client has names and values of its own: none of ours may be strange to it.
    #[test]
    fn each_setting_is_understood_by_the_client() {
        let built = |loc: &str, lines: &[(&str, &str)]| {
            let all = lines.iter().fold(Settings::none(), |all, (n, v)| all.with(n, v, "test").unwrap());
            bucket(&Loc::parse(loc).unwrap(), &all, &StoreOptions::default()).map(drop).map_err(|e| e.to_string())
        };
        let sse_c = ("aws_sse_customer_key_base64", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=");
        for kind in
            ["AES256", "SSE-S3", "aws:kms", "sse:kms", "SSE-KMS", "aws:kms:dsse", "sse:kms:dsse", "sse-c", "SSE-C"]
        {
            let lines = [("aws_server_side_encryption", kind), sse_c, ("aws_sse_bucket_key_enabled", "true")];
            assert_eq!(built("s3://box--use1-az4--x-s3/x", &lines), Ok(()), "{kind}");
        }
        assert!(built("s3://box--use1-az4--x-s3/x", &[("aws_server_side_encryption", "rot13")]).is_err());
        let of_aws = AWS_CREDENTIALS.into_iter().chain(S3_PLAIN).map(|name| ("s3://box--use1-az4--x-s3/x", name));
        let of_azure = AZURE_PLAIN.into_iter().map(|name| ("az://box/x", name));
        for (loc, name) in of_aws.chain(of_azure) {
            let value = match name {
                "aws_checksum_algorithm" => "SHA256",
                "aws_conditional_put" => "etag",
                "azure_storage_account_key" => "c2VjcmV0",
                "azure_storage_sas_token" => "sv=2020&sig=c2VjcmV0",
                _ => "true",
            };
            let with_keys = [KEYS[0], KEYS[1], ("azure_storage_account_name", "account"), (name, value)];
            assert_eq!(built(loc, &with_keys), Ok(()), "{name}");
        }
    }

    #[test]
    fn requests_say_who_pays() {
        for settings in [[("AWS_REQUEST_PAYER", "requester")], [("fs.s3a.requester.pays.enabled", "true")]] {
            let asked = asked(&settings);
            assert!(
                asked.len() >= 2 && asked.iter().all(|r| r.contains("x-amz-request-payer: requester")),
                "{asked:?}"
            );
        }
        assert!(asked(&[]).iter().all(|request| !request.contains("payer")));
    }

    #[test]
    fn objects_are_encrypted_as_the_settings_want_it() {
        let of_aws = [("AWS_SERVER_SIDE_ENCRYPTION", "aws:kms"), ("AWS_SSE_KMS_KEY_ID", "the-key")];
        let of_hadoop = [("fs.s3a.encryption.algorithm", "SSE-KMS"), ("fs.s3a.encryption.key", "the-key")];
        for settings in [of_aws, of_hadoop] {
            let asked = asked(&settings);
            let put = asked.iter().find(|request| request.starts_with("put /bucket/"));
            let put = put.unwrap_or_else(|| panic!("{asked:?}"));
            assert!(put.contains("x-amz-server-side-encryption: aws:kms\r\n"), "{put}");
            assert!(put.contains("x-amz-server-side-encryption-aws-kms-key-id: the-key"), "{put}");
        }
    }
}
