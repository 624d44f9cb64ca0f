//! The laws of all stores against real servers: MinIO, Azurite, a double of Google Cloud Storage, HDFS.
//!
//! The servers are parts of `cluster/`; where one cannot be had, its test says SKIPPED and fails with `CI=true`.
#![allow(clippy::unwrap_used)]

use mapfold_store::{Carried, Porter, Portion, Section, WorkFile, conformance};
use mapfold_store::{Loc, Replace, Settings, StoreError, StoreOptions, Stores};
use mapfold_tests::parts::{Part, part};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

/// The settings that the environment of a client would give.
fn settings(part: &Part) -> Settings {
    let known = Settings::known().map(|(name, _)| name).collect::<Vec<_>>();
    let mut all = Settings::none();
    for (name, value) in part.vars() {
        if name == "HADOOP_CONF_DIR" {
            all = all.with_hadoop(value).unwrap();
        } else if let Ok(more) = all.clone().with(name, value, "test") {
            all = more;
        }
    }
    assert!(!known.is_empty());
    all
}

fn stores_with(settings: Settings) -> Stores {
    Stores::with_options(StoreOptions { settings: Some(Arc::new(settings)), ..StoreOptions::default() })
}

fn stores(part: &Part) -> Stores {
    stores_with(settings(part))
}

/// An empty folder of a part.
fn folder(stores: &Stores, part: &Part) -> Loc {
    let folder = Loc::parse(&part.folder()).unwrap();
    stores.create_dir(&folder).unwrap();
    folder
}

fn conforms(name: &str) {
    let Some(part) = part(name) else { return };
    let stores = stores(&part);
    conformance::all(&stores, &folder(&stores, &part));
}

#[test]
fn s3_conforms() {
    conforms("s3");
}

#[test]
fn azure_conforms() {
    conforms("azure");
}

#[test]
fn gcs_conforms() {
    conforms("gcs");
}

#[test]
fn hdfs_conforms() {
    conforms("hdfs");
}

/// A wrong key is refused by name, at once, and is not in the message.
#[test]
fn a_wrong_key_is_denied_and_not_told() {
    const CANARY: &str = "Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5LWNhbmFyeQ==";
    for (name, setting) in [("s3", "aws_secret_access_key"), ("azure", "azure_storage_account_key")] {
        let Some(part) = part(name) else { continue };
        let stores = stores_with(settings(&part).with(setting, CANARY, "test").unwrap());
        let loc = Loc::parse(&part.folder()).unwrap().join("x");
        let errors = [
            stores.get(&loc).unwrap_err(),
            stores.put(&loc, "x".into()).unwrap_err(),
            stores.create(&loc, "x".into()).unwrap_err(),
            stores.list(&loc).unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error, StoreError::Denied { .. }), "{name}: {error:?}");
            assert!(!format!("{error:?} {error}").contains("anary") && !error.to_string().contains(CANARY), "{error}");
            assert!(error.remedy().unwrap().contains("mapfold config show"), "{error}");
        }
    }
}

/// The server gives credentials for a role by itself. One that may only read cannot write, though the keys that take it
/// can: so it is the role's credentials that are used.
#[test]
fn a_role_is_taken_and_can_do_what_it_may() {
    const POLICY: &str = r#"{"Version": "2012-10-17", "Statement":
        [{"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::*"]}]}"#;
    let Some(part) = part("s3") else { return };
    let direct = stores(&part);
    let loc = folder(&direct, &part).join("x");
    let role = |more: &[(&str, &str)]| {
        let plain = settings(&part).with("aws_role_arn", "arn:aws:iam::123456789012:role/reader", "test").unwrap();
        stores_with(more.iter().fold(plain, |all, (name, value)| all.with(name, value, "test").unwrap()))
    };
    role(&[]).put(&loc, "1".into()).unwrap();
    let reader = role(&[("aws_role_policy", POLICY), ("aws_role_duration_seconds", "15m")]);
    assert_eq!(reader.get(&loc).unwrap(), "1");
    let error = reader.put(&loc, "2".into()).unwrap_err();
    assert!(matches!(error, StoreError::Denied { .. }), "{error:?}");
    let error = role(&[("aws_secret_access_key", "not-the-secret-of-it")]).get(&loc).unwrap_err();
    assert!(matches!(error, StoreError::Denied { .. }), "{error:?}");
    assert!(error.to_string().contains("the role cannot be taken") && error.remedy().is_some(), "{error}");
    assert_eq!(direct.get(&loc).unwrap(), "1");
}

/// The settings of other tools are enough, each alone: to write an object here and read it there.
#[test]
fn settings_of_other_tools_are_understood() {
    let made = |lines: &[(&str, &str)]| {
        stores_with(lines.iter().fold(Settings::none(), |all, (n, v)| all.with(n, v, "test").unwrap()))
    };
    if let Some(part) = part("s3") {
        let (id, secret, url) = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", part.var("AWS_ENDPOINT_URL"));
        let (host, keys) = (url.trim_start_matches("http://"), [(id, part.var(id)), (secret, part.var(secret))]);
        let gdal = [("AWS_S3_ENDPOINT", host), ("AWS_HTTPS", "NO"), ("AWS_VIRTUAL_HOSTING", "FALSE")];
        let hadoop = [
            ("fs.s3a.access.key", part.var(id)),
            ("fs.s3a.secret.key", part.var(secret)),
            ("fs.s3a.endpoint", host),
            ("fs.s3a.connection.ssl.enabled", "false"),
            ("fs.s3a.path.style.access", "true"),
        ];
        let of_bucket: Vec<(String, &str)> = hadoop
            .iter()
            .map(|(name, value)| (name.replacen("fs.s3a.", "fs.s3a.bucket.mapfold.", 1), *value))
            .collect();
        let of_bucket: Vec<(&str, &str)> = of_bucket.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let folder = folder(&stores(&part), &part);
        for lines in [[&keys[..], &gdal].concat(), hadoop.to_vec(), of_bucket] {
            let loc = folder.join(lines[0].0);
            made(&lines).put(&loc, "1".into()).unwrap();
            assert_eq!(stores(&part).get(&loc).unwrap(), "1");
        }
    }
    let Some(part) = part("azure") else { return };
    let account = part.var("AZURE_STORAGE_ACCOUNT_NAME");
    let (key, url) = (part.var("AZURE_STORAGE_ACCOUNT_KEY"), part.var("AZURE_STORAGE_ENDPOINT"));
    let folder = folder(&stores(&part), &part);
    let text = format!("DefaultEndpointsProtocol=http;AccountName={account};AccountKey={key};BlobEndpoint={url};");
    let connected = made(&[("AZURE_STORAGE_CONNECTION_STRING", &text)]);
    connected.put(&folder.join("x"), "1".into()).unwrap();
    assert_eq!(stores(&part).get(&folder.join("x")).unwrap(), "1");
    let host = format!("{account}.dfs.core.windows.net");
    let of_hadoop = made(&[(&format!("fs.azure.account.key.{host}"), key), ("AZURE_STORAGE_ENDPOINT", url)]);
    let spelt = folder.to_string().replacen("az://mapfold/", &format!("abfss://mapfold@{host}/"), 1);
    assert_eq!(of_hadoop.get(&Loc::parse(&spelt).unwrap().join("x")).unwrap(), "1");
}

#[test]
fn a_missing_bucket_is_named() {
    for (name, other) in
        [("s3", "s3://no-such-bucket/x"), ("azure", "az://no-such-container/x"), ("gcs", "gs://no-such-bucket/x")]
    {
        let Some(part) = part(name) else { continue };
        let (stores, loc) = (stores(&part), Loc::parse(other).unwrap());
        let errors = [
            stores.get(&loc).unwrap_err(),
            stores.put(&loc, "x".into()).unwrap_err(),
            stores.block_on(stores.head(&loc)).unwrap_err(),
            stores.block_on(stores.read(&loc, 0..5)).unwrap_err(),
            stores.list(&loc.parent().unwrap()).unwrap_err(),
            stores.check_writable(&loc).unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error, StoreError::NoBucket { .. }), "{error:?}");
            assert_eq!(error.loc(), loc.parent().unwrap().to_string());
        }
    }
}

#[test]
fn a_missing_name_node_is_told_soon() {
    let began = std::time::Instant::now();
    let loc = Loc::parse("hdfs://127.0.0.1:1/x").unwrap();
    let error = stores_with(Settings::none()).get(&loc).unwrap_err();
    assert!(matches!(error, StoreError::Network { .. }), "{error:?}");
    assert!(error.to_string().contains("refused"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(30), "a misspelt host does not cost minutes");
}

/// Answers to requests with a condition get lost on the way back; the create is sure all the same.
#[test]
fn a_create_whose_answer_is_lost_is_settled() {
    let Some(part) = part("s3") else { return };
    let direct = stores(&part);
    let folder = folder(&direct, &part);
    let server = part.var("AWS_ENDPOINT_URL").trim_start_matches("http://").to_owned();
    let (proxy, lost) = losing_proxy(server);
    let stores = stores_with(settings(&part).with("aws_endpoint", &format!("http://{proxy}"), "test").unwrap());
    let mine = folder.join("mine");
    stores.create(&mine, "mine".into()).unwrap();
    assert!(lost.load(SeqCst) > 0, "nothing was lost: the test proves nothing");
    assert_eq!(direct.get(&mine).unwrap(), "mine");
    let theirs = folder.join("theirs");
    direct.create(&theirs, "mine".into()).unwrap();
    let before = lost.load(SeqCst);
    let error = stores.create(&theirs, "mine".into()).unwrap_err();
    assert!(lost.load(SeqCst) > before, "nothing was lost: the test proves nothing");
    assert!(matches!(error, StoreError::AlreadyExists { .. }), "equal bytes do not make it ours: {error:?}");
}

/// Passes bytes on to `server`, and drops the answer to every second put with a condition, from the first on.
fn losing_proxy(server: String) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (lost, puts) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = lost.clone();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let upstream = TcpStream::connect(&server).unwrap();
            let (lost, puts) = (counted.clone(), puts.clone());
            std::thread::spawn(move || pass(client, upstream, &lost, &puts));
        }
    });
    (address, lost)
}

fn pass(mut client: TcpStream, mut upstream: TcpStream, lost: &AtomicUsize, puts: &AtomicUsize) {
    let (mut back, mut down) = (upstream.try_clone().unwrap(), client.try_clone().unwrap());
    let dropping = Arc::new(AtomicUsize::new(0));
    let watched = dropping.clone();
    let (mut buffer, mut bytes) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    let answers = std::thread::spawn(move || {
        while let Ok(n @ 1..) = back.read(&mut bytes) {
            if watched.load(SeqCst) == 1 {
                let _ = down.shutdown(std::net::Shutdown::Both);
                return true;
            }
            if down.write_all(&bytes[..n]).is_err() {
                break;
            }
        }
        let _ = down.shutdown(std::net::Shutdown::Both);
        false
    });
    while let Ok(n @ 1..) = client.read(&mut buffer) {
        let text = String::from_utf8_lossy(&buffer[..n]).to_lowercase();
        // The trial of the server itself is let through.
        let conditional = text.starts_with("put ") && text.contains("if-none-match") && !text.contains("mapfold-trial");
        if conditional && puts.fetch_add(1, SeqCst).is_multiple_of(2) {
            dropping.store(1, SeqCst);
        }
        if upstream.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    let _ = upstream.shutdown(std::net::Shutdown::Both);
    if answers.join().unwrap_or_default() {
        lost.fetch_add(1, SeqCst);
    }
}

/// Where it is, and what.
type Piece = (u64, Vec<u8>);

/// Two megabytes and a bit, nine and six, as three pieces of a working file.
fn pieces(stores: &Stores, at: &Loc) -> (Arc<dyn WorkFile>, Vec<Piece>) {
    let file = stores.create_file(at).unwrap();
    let mut all = Vec::new();
    for (n, len) in [(1_u64, 2_100_000_usize), (2, 9 << 20), (3, 6 << 20)] {
        let bytes: Vec<u8> = (0..len as u64).map(|i| (i.wrapping_mul(n * 2_654_435_761) >> 13) as u8).collect();
        file.write_at(n << 32, &bytes).unwrap();
        all.push((n << 32, bytes));
    }
    (file, all)
}

/// Carries portions as another process would: it has nothing in common with this one.
struct Another {
    stores: Stores,
    carried: Arc<AtomicUsize>,
}

impl Porter for Another {
    fn at_once(&self) -> usize {
        2
    }

    fn carry(&self, portion: Portion) -> Carried {
        let (stores, carried) = (self.stores.clone(), self.carried.clone());
        Box::pin(async move {
            let portion = serde_json::from_str(&serde_json::to_string(&portion).unwrap()).unwrap();
            let bytes = stores.gather(&portion).await?;
            carried.fetch_add(bytes.len(), SeqCst);
            stores.send_portion(&portion, bytes).await
        })
    }
}

/// Makes an object of a short front, the pieces, and an end, all of which another process carries; gives which of the
/// pieces the server copied by itself instead, and how many bytes were carried.
fn made_of_pieces(stores: &Stores, other: Stores, folder: &Loc) -> (Vec<bool>, usize) {
    let (source, all) = pieces(stores, &folder.join("stream-0"));
    let (made, to) = (folder.join("parts").join("whole"), folder.join("image ü+.tif"));
    let file = stores.start_file(&made, &to).unwrap();
    assert_eq!(file.least_portion(), Some(5 << 20));
    let porter = Another { stores: other, carried: Arc::default() };
    let (mut copied, mut want, mut next) = (Vec::new(), b"front".to_vec(), vec![Section::Bytes(b"front".to_vec())]);
    for (offset, bytes) in &all {
        let at = want.len() as u64 - next.iter().map(Section::bytes).sum::<u64>();
        let len = bytes.len() as u64;
        let done = next.is_empty() && file.copy_there(source.as_ref(), *offset, at, len).unwrap();
        if !done {
            next.extend(source.sections(*offset, len).unwrap());
        }
        if next.iter().map(Section::bytes).sum::<u64>() >= 5 << 20 {
            file.add_portion(at, std::mem::take(&mut next), &porter).unwrap();
        }
        copied.push(done);
        want.extend_from_slice(bytes);
    }
    next.push(Section::Bytes(b"end".to_vec()));
    file.add_portion(want.len() as u64, next, &porter).unwrap();
    want.extend_from_slice(b"end");
    file.sync().unwrap();
    assert!(!stores.exists(&to).unwrap(), "it is seen before it is published");
    stores.publish(&made, &to, Replace::Never, &|| Ok(false)).unwrap();
    assert!(stores.get(&to).unwrap() == want, "other bytes");
    (copied, porter.carried.load(SeqCst))
}

/// All that it consists of.
const ALL: usize = 5 + 2_100_000 + (15 << 20) + 3;

#[test]
fn other_processes_carry_the_parts_of_an_object() {
    for name in ["s3", "gcs", "azure"] {
        let Some(part) = part(name) else { continue };
        let (stores, other) = (stores(&part), stores(&part));
        let folder = folder(&stores, &part);
        let before = stores.counters();
        let (copied, carried) = made_of_pieces(&stores, other, &folder);
        // The last piece begins a part and is large enough to be one: S3 copies it by itself.
        let by_itself = if name == "s3" { 6 << 20 } else { 0 };
        assert_eq!((copied, carried), (vec![false, false, by_itself > 0], ALL - by_itself), "{name}");
        let written = (stores.counters().bytes_written - before.bytes_written) as usize;
        let pieces_and_notes = ALL + 10_000;
        assert!(written < pieces_and_notes, "{name}: {written} bytes were sent from here");
    }
}

#[test]
fn a_server_that_does_not_copy_gets_the_bytes() {
    let Some(part) = part("s3") else { return };
    let direct = stores(&part);
    let folder = folder(&direct, &part);
    let server = part.var("AWS_ENDPOINT_URL").trim_start_matches("http://").to_owned();
    let proxy = format!("http://{}", proxy_without_copies(server));
    let stores = stores_with(settings(&part).with("aws_endpoint", &proxy, "test").unwrap());
    assert_eq!(made_of_pieces(&stores, direct, &folder), (vec![false; 3], ALL));
}

/// Passes bytes on to `server`, but refuses to copy.
fn proxy_without_copies(server: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut upstream = TcpStream::connect(&server).unwrap();
            std::thread::spawn(move || {
                let (mut back, mut down) = (upstream.try_clone().unwrap(), client.try_clone().unwrap());
                let answers = std::thread::spawn(move || std::io::copy(&mut back, &mut down));
                let mut buffer = vec![0; 64 << 10];
                while let Ok(n @ 1..) = client.read(&mut buffer) {
                    let refused = String::from_utf8_lossy(&buffer[..n]).contains("x-amz-copy-source:");
                    let no = b"HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                    if refused && client.write_all(no).is_ok() || upstream.write_all(&buffer[..n]).is_err() {
                        break;
                    }
                }
                for end in [&client, &upstream] {
                    let _ = end.shutdown(std::net::Shutdown::Both);
                }
                let _ = answers.join();
            });
        }
    });
    address
}

/// A server that gives every request the answer of `answer`, and ends the connection with it.
fn server_of(answer: impl Fn(&[u8]) -> &'static str + Send + 'static) -> Stores {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut request = vec![0; 64 << 10];
            let n = client.read(&mut request).unwrap_or(0);
            let _ = client.write_all(answer(&request[..n]).as_bytes());
        }
    });
    let mut settings = Settings::none();
    for (name, value) in [
        ("aws_endpoint", endpoint.as_str()),
        ("aws_access_key_id", "a"),
        ("aws_secret_access_key", "b"),
        ("aws_region", "x"),
    ] {
        settings = settings.with(name, value, "test").unwrap();
    }
    stores_with(settings)
}

/// A server that takes every put, as some that call themselves compatible with S3 do.
#[test]
fn a_server_without_conditions_is_refused() {
    let stores = server_of(|request| match request.starts_with(b"DELETE") {
        true => "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
        false => "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    });
    let loc = Loc::parse("s3://bucket/folder/x").unwrap();
    for refused in [stores.create(&loc, "x".into()).unwrap_err(), stores.check_writable(&loc).unwrap_err()] {
        assert!(matches!(refused, StoreError::Unsupported { .. }), "{refused:?}");
        assert!(refused.to_string().contains("If-None-Match"), "{refused}");
    }
}

#[test]
fn a_refusal_counts_though_its_document_breaks_off() {
    let cut =
        server_of(|_| "HTTP/1.1 404 Not Found\r\nContent-Length: 200\r\nConnection: close\r\n\r\n<Error><Code>No");
    let loc = Loc::parse("s3://bucket/folder/x").unwrap();
    let error = cut.get(&loc).unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }), "{error:?}");
}

#[test]
fn public_data_is_read_unsigned_and_refused_where_it_is_not_public() {
    let Some(part) = part("s3") else { return };
    let stores = stores_with(settings(&part).with("aws_skip_signature", "YES", "test").unwrap());
    let error = stores.get(&Loc::parse(part.uri()).unwrap().join("x")).unwrap_err();
    assert!(matches!(error, StoreError::Denied { .. }), "{error:?}");
}

#[test]
fn copies_go_between_all_stores() {
    let parts: Vec<Part> = ["s3", "azure", "gcs", "hdfs"].iter().filter_map(|name| part(name)).collect();
    let all = parts.iter().fold(Settings::none(), |all, part| {
        let vars = part.vars();
        let known = vars.iter().filter(|(name, _)| *name != "HADOOP_CONF_DIR");
        let all = known.fold(all, |all, (name, value)| all.clone().with(name, value, "test").unwrap_or(all));
        match vars.iter().find(|(name, _)| *name == "HADOOP_CONF_DIR") {
            Some((_, folder)) => all.with_hadoop(folder).unwrap(),
            None => all,
        }
    });
    let stores = stores_with(all);
    let disk = tempfile::tempdir().unwrap();
    let object: Vec<u8> = (0..40_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut from = Loc::local(disk.path().join("object"));
    std::fs::write(from.local_path().unwrap(), &object).unwrap();
    let mut places: Vec<Loc> = parts.iter().map(|part| folder(&stores, part).join("copy")).collect();
    places.push(Loc::local(disk.path().join("back")));
    for to in places {
        let moved = std::sync::atomic::AtomicI64::new(0);
        let count = |bytes: i64| moved.fetch_add(bytes, SeqCst) >= 0;
        stores.copy(&from, &to, mapfold_store::Replace::Never, &count).unwrap();
        assert_eq!(moved.load(SeqCst), object.len() as i64, "{to}: what is told is what is copied");
        let again = stores.copy(&from, &to, mapfold_store::Replace::Never, &count).unwrap_err();
        assert!(matches!(again, StoreError::AlreadyExists { .. }), "{again:?}");
        let stopped =
            stores.copy(&from, &to.sibling("stopped"), mapfold_store::Replace::Never, &|_| false).unwrap_err();
        assert!(matches!(stopped, StoreError::Io { .. }), "{stopped:?}");
        assert!(!stores.exists(&to.sibling("stopped")).unwrap());
        from = to;
    }
    assert!(std::fs::read(disk.path().join("back")).unwrap() == object, "the same bytes after the whole tour");
    assert_eq!(std::fs::read_dir(disk.path()).unwrap().count(), 2, "nothing is left of what was stopped");
}
