//! What only HDFS has: replication, block size, hosts of blocks, permissions, and servers that die.
#![allow(clippy::unwrap_used)]

use mapfold_store::{Loc, Settings, StoreError, StoreOptions, Stores};
use mapfold_tests::parts::{OwnPart, Part, own_part, part};
use std::sync::Arc;
use std::time::Duration;

fn stores(part: &Part, more: &[(&str, &str)]) -> Stores {
    let named = more.iter().fold(Settings::none(), |all, (name, value)| all.with(name, value, "test").unwrap());
    let settings = named.with_hadoop(part.var("HADOOP_CONF_DIR")).unwrap();
    Stores::with_options(StoreOptions { settings: Some(Arc::new(settings)), ..StoreOptions::default() })
}

fn folder(stores: &Stores, part: &Part) -> Loc {
    let folder = Loc::parse(&part.folder()).unwrap();
    stores.create_dir(&folder).unwrap();
    folder
}

fn bytes(len: usize) -> bytes::Bytes {
    (0..len).map(|n| (n * 7 % 251) as u8).collect()
}

fn path(loc: &Loc) -> String {
    format!("/{}", loc.as_text().splitn(4, '/').nth(3).unwrap())
}

#[test]
fn replication_and_block_size_are_those_asked_for() {
    let Some(part) = part("hdfs") else { return };
    let stores = stores(&part, &[("dfs.replication", "1"), ("dfs.blocksize", "2m")]);
    let loc = folder(&stores, &part).join("file");
    stores.put(&loc, bytes(5_000_000)).unwrap();
    assert_eq!(part.hadoop("hdfs", &["dfs", "-stat", "%r %o", &path(&loc)]).trim(), "1 2097152");
}

#[test]
fn the_hosts_of_blocks_are_known() {
    let Some(part) = part("hdfs") else { return };
    let stores = stores(&part, &[("dfs.replication", "1"), ("dfs.blocksize", "1m")]);
    let loc = folder(&stores, &part).join("a file#1");
    let object = bytes(3_500_000);
    stores.put(&loc, object.clone()).unwrap();
    let all = stores.hosts_of(&loc, 0..object.len() as u64).unwrap();
    let ranges: Vec<_> = all.iter().map(|block| block.range.clone()).collect();
    assert_eq!(ranges, [0..1 << 20, 1 << 20..2 << 20, 2 << 20..3 << 20, 3 << 20..3_500_000]);
    assert!(all.iter().all(|block| block.hosts.len() == 1 && block.hosts[0].starts_with("127.0.0.")), "{all:?}");
    assert_eq!(stores.hosts_of(&loc, (1 << 20) + 1..(1 << 20) + 2).unwrap(), all[1..2]);
    let elsewhere = Loc::parse("memory://a/b").unwrap();
    assert!(stores.hosts_of(&elsewhere, 0..10).unwrap().is_empty(), "no other store has any");
}

#[test]
fn another_user_is_denied() {
    let Some(part) = part("hdfs") else { return };
    let ours = stores(&part, &[]);
    let folder = folder(&ours, &part);
    let theirs = stores(&part, &[("hadoop_user_name", "somebody-else")]);
    for refused in [theirs.put(&folder.join("x"), "x".into()), theirs.check_writable(&folder.join("x"))] {
        assert!(matches!(refused, Err(StoreError::Denied { .. })), "{refused:?}");
    }
}

/// The name node has not missed the dead node yet: a new block may be sent to it, and the client library fails.
#[test]
fn a_file_is_written_while_a_dead_data_node_is_not_yet_missed() {
    let Some(part) = own_part("hdfs") else { return };
    let stores = stores(&part, &[("dfs.blocksize", "1m")]);
    let folder = folder(&stores, &part);
    stores.put(&folder.join("before"), bytes(10)).unwrap();
    part.kill9("dn1");
    let object = bytes(6_000_000);
    stores.put(&folder.join("after"), object.clone()).unwrap();
    assert!(stores.get(&folder.join("after")).unwrap() == object, "the same bytes");
    let names: Vec<_> = stores.list(&folder).unwrap().iter().map(Loc::file_name).collect();
    assert_eq!(names, ["after", "before"], "no attempt is left");
    assert!(stores.counters().retries > 0, "nothing failed: the test proves nothing");
}

#[test]
fn a_data_node_killed_while_a_file_is_read_changes_nothing() {
    let Some(part) = own_part("hdfs") else { return };
    let stores = stores(&part, &[("dfs.replication", "2"), ("dfs.blocksize", "4m")]);
    let loc = folder(&stores, &part).join("file");
    let object = bytes(40_000_000);
    stores.put(&loc, object.clone()).unwrap();
    let mut read = Vec::new();
    for (i, start) in (0..object.len()).step_by(2_000_000).enumerate() {
        if i == 3 {
            part.kill9("dn2");
        }
        let end = object.len().min(start + 2_000_000);
        read.extend_from_slice(&stores.block_on(stores.read(&loc, start as u64..end as u64)).unwrap());
    }
    assert!(read == object, "the same bytes");
}

#[test]
fn a_name_node_that_restarts_is_waited_for() {
    let Some(part) = own_part("hdfs") else { return };
    let stores = stores(&part, &[]);
    let folder = folder(&stores, &part);
    stores.put(&folder.join("before"), bytes(10)).unwrap();
    let part: &OwnPart = &part;
    std::thread::scope(|scope| {
        part.stop("nn");
        scope.spawn(|| {
            std::thread::sleep(Duration::from_secs(3));
            part.start("nn");
        });
        assert_eq!(stores.get(&folder.join("before")).unwrap(), bytes(10), "a read waits");
        stores.put(&folder.join("after"), bytes(3_000_000)).unwrap();
        stores.create(&folder.join("decision"), bytes(100)).unwrap();
    });
    assert!(stores.get(&folder.join("after")).unwrap() == bytes(3_000_000));
    let lost = stores.create(&folder.join("decision"), bytes(100)).unwrap_err();
    assert!(matches!(lost, StoreError::AlreadyExists { .. }), "{lost:?}");
}
