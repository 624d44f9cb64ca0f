//! The in-memory store: a first-class store for tests and small jobs, with the same promises.
//!
//! Keys are `name/path` texts in one ordered map, under one lock; contents have a lock each. Folders
//! exist where something lies in them or where somebody made them. It models no permissions and
//! never runs out of space by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::SystemTime;

use bytes::Bytes;

use crate::counters::Counters;
use crate::local::millis;
use crate::{Entry, Loc, ObjectInfo, Replace, StoreError, WorkFile};

/// Numbers every content ever written, so that an etag is never used twice.
static VERSIONS: AtomicU64 = AtomicU64::new(1);

struct Content {
    bytes: Vec<u8>,
    version: u64,
    modified: SystemTime,
}

impl Content {
    fn new(bytes: Vec<u8>) -> Content {
        let mut content = Content { bytes, version: 0, modified: SystemTime::UNIX_EPOCH };
        content.touch();
        content
    }

    fn touch(&mut self) {
        self.version = VERSIONS.fetch_add(1, Ordering::Relaxed);
        self.modified = SystemTime::now();
    }

    fn info(&self) -> ObjectInfo {
        ObjectInfo {
            size: self.bytes.len() as u64,
            etag: Some(format!("m{}", self.version)),
            modified_ms: millis(self.modified),
        }
    }

    fn slice(&self, loc: &Loc, range: &Range<u64>) -> Result<Bytes, StoreError> {
        let size = self.bytes.len() as u64;
        if range.end > size {
            return Err(StoreError::truncated(loc, range, size.saturating_sub(range.start)));
        }
        Ok(Bytes::copy_from_slice(&self.bytes[range.start as usize..range.end as usize]))
    }
}

type Object = Arc<RwLock<Content>>;

#[derive(Default)]
struct Tree {
    objects: BTreeMap<String, Object>,
    folders: BTreeSet<String>,
}

impl Tree {
    fn object(&self, loc: &Loc) -> Result<&Object, StoreError> {
        let key = loc.memory_key();
        match self.objects.get(key) {
            Some(object) => Ok(object),
            None if self.is_folder(key) => Err(is_directory(loc)),
            None => Err(not_found(loc)),
        }
    }

    fn is_folder(&self, key: &str) -> bool {
        let below = format!("{key}/");
        let first = self.objects.range(below.clone()..).next();
        first.is_some_and(|(found, _)| found.starts_with(&below))
            || self.folders.contains(key)
            || self.folders.iter().any(|folder| folder.starts_with(&below))
    }

    fn refuse_folder(&self, loc: &Loc) -> Result<(), StoreError> {
        if self.is_folder(loc.memory_key()) {
            return Err(is_directory(loc));
        }
        Ok(())
    }
}

/// One `memory:` name space.
#[derive(Default)]
pub(crate) struct Memory(Mutex<Tree>);

impl Memory {
    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn head(&self, loc: &Loc) -> Result<ObjectInfo, StoreError> {
        let object = self.tree().object(loc)?.clone();
        Ok(read(&object).info())
    }

    pub(crate) fn read(&self, loc: &Loc, range: &Range<u64>) -> Result<(Bytes, ObjectInfo), StoreError> {
        let object = self.tree().object(loc)?.clone();
        let content = read(&object);
        Ok((content.slice(loc, range)?, content.info()))
    }

    pub(crate) fn get(&self, loc: &Loc) -> Result<Bytes, StoreError> {
        let object = self.tree().object(loc)?.clone();
        let content = read(&object);
        Ok(Bytes::copy_from_slice(&content.bytes))
    }

    pub(crate) fn put(&self, loc: &Loc, bytes: &Bytes) -> Result<(), StoreError> {
        let mut tree = self.tree();
        tree.refuse_folder(loc)?;
        tree.objects.insert(loc.memory_key().to_owned(), object(bytes.to_vec()));
        Ok(())
    }

    pub(crate) fn create(&self, loc: &Loc, bytes: &Bytes) -> Result<(), StoreError> {
        let mut tree = self.tree();
        let key = loc.memory_key();
        if tree.objects.contains_key(key) || tree.is_folder(key) {
            return Err(already_exists(loc));
        }
        tree.objects.insert(key.to_owned(), object(bytes.to_vec()));
        Ok(())
    }

    pub(crate) fn exists(&self, loc: &Loc) -> bool {
        let tree = self.tree();
        tree.objects.contains_key(loc.memory_key()) || tree.is_folder(loc.memory_key())
    }

    pub(crate) fn is_folder(&self, loc: &Loc) -> bool {
        self.tree().is_folder(loc.memory_key())
    }

    pub(crate) fn delete(&self, loc: &Loc) -> Result<(), StoreError> {
        let mut tree = self.tree();
        tree.refuse_folder(loc)?;
        tree.objects.remove(loc.memory_key());
        Ok(())
    }

    pub(crate) fn list(&self, dir: &Loc) -> Result<Vec<Loc>, StoreError> {
        let tree = self.tree();
        let key = dir.memory_key();
        if tree.objects.contains_key(key) {
            return Err(not_a_folder(dir));
        }
        if !tree.is_folder(key) {
            return Err(not_found(dir));
        }
        let below = format!("{key}/");
        let all = tree.objects.keys().chain(&tree.folders);
        let names: BTreeSet<&str> = all
            .filter_map(|found| found.strip_prefix(&below))
            .map(|rest| rest.split('/').next().unwrap_or(rest))
            .collect();
        Ok(names.into_iter().map(|name| dir.join(name)).collect())
    }

    pub(crate) fn entries(&self, dir: &Loc) -> Result<Vec<Entry>, StoreError> {
        let entry = |loc: Loc| match self.head(&loc) {
            Ok(info) => Entry::file(loc, info),
            Err(_) => Entry::folder(loc),
        };
        Ok(self.list(dir)?.into_iter().map(entry).collect())
    }

    pub(crate) fn create_dir(&self, dir: &Loc) -> Result<(), StoreError> {
        let mut tree = self.tree();
        if tree.objects.contains_key(dir.memory_key()) {
            return Err(already_exists(dir));
        }
        tree.folders.insert(dir.memory_key().to_owned());
        Ok(())
    }

    pub(crate) fn remove_dir(&self, dir: &Loc) -> Result<(), StoreError> {
        let mut tree = self.tree();
        if tree.objects.contains_key(dir.memory_key()) {
            return Err(not_a_folder(dir));
        }
        let below = format!("{}/", dir.memory_key());
        tree.objects.retain(|key, _| !key.starts_with(&below));
        tree.folders.retain(|key| key != dir.memory_key() && !key.starts_with(&below));
        Ok(())
    }

    pub(crate) fn rename(&self, from: &Loc, to: &Loc, replace: Replace) -> Result<(), StoreError> {
        let mut tree = self.tree();
        let (old, new) = (from.memory_key(), to.memory_key());
        let folder = !tree.objects.contains_key(old) && tree.is_folder(old);
        let taken = tree.is_folder(new) || tree.objects.contains_key(new);
        if taken && (folder || tree.is_folder(new) || replace == Replace::Never) {
            return Err(already_exists(to));
        }
        if folder {
            rename_folder(&mut tree, old, new);
            return Ok(());
        }
        let object = tree.objects.remove(old).ok_or_else(|| not_found(from))?;
        tree.objects.insert(new.to_owned(), object);
        Ok(())
    }

    pub(crate) fn swap(&self, from: &Loc, to: &Loc) -> Result<(), StoreError> {
        let mut tree = self.tree();
        let (a, b) = (from.memory_key(), to.memory_key());
        let is_there = |tree: &Tree, key: &str| tree.objects.contains_key(key) || tree.is_folder(key);
        if let Some(missing) = [from, to].into_iter().find(|loc| !is_there(&tree, loc.memory_key())) {
            return Err(not_found(missing));
        }
        let aside = format!("{a}.aside");
        rename_folder(&mut tree, b, &aside);
        rename_folder(&mut tree, a, b);
        rename_folder(&mut tree, &aside, a);
        Ok(())
    }

    pub(crate) fn create_file(&self, loc: &Loc, counters: Arc<Counters>) -> Result<MemoryFile, StoreError> {
        let mut tree = self.tree();
        tree.refuse_folder(loc)?;
        let object = object(Vec::new());
        tree.objects.insert(loc.memory_key().to_owned(), object.clone());
        Ok(MemoryFile { loc: loc.without_fragment(), object, counters })
    }

    pub(crate) fn open_file(&self, loc: &Loc, counters: Arc<Counters>) -> Result<MemoryFile, StoreError> {
        Ok(MemoryFile { loc: loc.without_fragment(), object: self.tree().object(loc)?.clone(), counters })
    }
}

fn rename_folder(tree: &mut Tree, old: &str, new: &str) {
    let below = format!("{old}/");
    let moved = |key: &str| format!("{new}{}", &key[old.len()..]);
    let inside = |key: &str| key == old || key.starts_with(&below);
    tree.objects = std::mem::take(&mut tree.objects)
        .into_iter()
        .map(|(key, object)| (if inside(&key) { moved(&key) } else { key }, object))
        .collect();
    tree.folders =
        std::mem::take(&mut tree.folders).into_iter().map(|key| if inside(&key) { moved(&key) } else { key }).collect();
}

/// A working file in memory; it outlives its name, as an open file does.
pub(crate) struct MemoryFile {
    loc: Loc,
    object: Object,
    counters: Arc<Counters>,
}

impl MemoryFile {
    fn change(&self, change: impl FnOnce(&mut Vec<u8>)) {
        let mut content = self.object.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut content.bytes);
        content.touch();
    }
}

impl WorkFile for MemoryFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let start = offset as usize;
        let end = start + bytes.len();
        self.change(|content| {
            if content.len() < end {
                content.resize(end, 0);
            }
            content[start..end].copy_from_slice(bytes);
        });
        self.counters.wrote(bytes.len());
        Ok(())
    }

    fn read_at(&self, offset: u64, len: usize) -> Result<Bytes, StoreError> {
        let range = offset..offset.saturating_add(len as u64);
        let bytes = read(&self.object).slice(&self.loc, &range)?;
        self.counters.request();
        self.counters.read(len);
        Ok(bytes)
    }

    fn len(&self) -> Result<u64, StoreError> {
        Ok(read(&self.object).bytes.len() as u64)
    }

    fn set_len(&self, len: u64) -> Result<(), StoreError> {
        self.change(|content| content.resize(len as usize, 0));
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn loc(&self) -> &Loc {
        &self.loc
    }
}

fn object(bytes: Vec<u8>) -> Object {
    Arc::new(RwLock::new(Content::new(bytes)))
}

fn read(object: &Object) -> std::sync::RwLockReadGuard<'_, Content> {
    object.read().unwrap_or_else(PoisonError::into_inner)
}

fn not_found(loc: &Loc) -> StoreError {
    StoreError::NotFound { loc: loc.to_string() }
}

fn already_exists(loc: &Loc) -> StoreError {
    StoreError::AlreadyExists { loc: loc.to_string() }
}

fn is_directory(loc: &Loc) -> StoreError {
    StoreError::IsDirectory { loc: loc.to_string() }
}

fn not_a_folder(loc: &Loc) -> StoreError {
    StoreError::Io { loc: loc.to_string(), source: std::io::ErrorKind::NotADirectory.into() }
}
