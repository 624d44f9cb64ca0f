//! A cluster's configuration, as Hadoop's own tools read it: `core-site.xml`, `hdfs-site.xml` and `yarn-site.xml` in the folder that
//! `YARN_CONF_DIR` or `HADOOP_CONF_DIR` names. `${name}` in a value is another property, an environment variable
//! (`${env.NAME}`) or one of Java's that are asked for here (`user.name`).

use super::error::YarnError;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// References within references that are followed.
const DEEPEST: usize = 20;

/// The properties of a cluster.
#[derive(Clone, Debug, Default)]
pub struct Site {
    properties: BTreeMap<String, String>,
}

impl Site {
    /// From the folder that the environment names.
    ///
    /// # Errors
    /// [`YarnError::NoConfiguration`], [`YarnError::BadConfiguration`].
    pub fn from_env() -> Result<Site, YarnError> {
        let named = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let folder = named("YARN_CONF_DIR").or_else(|| named("HADOOP_CONF_DIR"));
        Site::from_folder(&folder.ok_or(YarnError::NoConfiguration)?)
    }

    /// From a folder; a file that is not there counts as empty, but one of them must be there.
    ///
    /// # Errors
    /// [`YarnError::BadConfiguration`].
    pub fn from_folder(folder: &Path) -> Result<Site, YarnError> {
        let (mut site, mut found) = (Site::default(), false);
        for name in ["core-site.xml", "hdfs-site.xml", "yarn-site.xml"] {
            let path = folder.join(name);
            let bad = |why: String| YarnError::BadConfiguration { file: path.display().to_string(), why };
            match std::fs::read_to_string(&path) {
                Ok(text) => site.add(&text).map_err(bad)?,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                Err(e) => return Err(bad(e.to_string())),
            }
            found = true;
        }
        match found {
            true => Ok(site),
            false => Err(YarnError::BadConfiguration {
                file: folder.display().to_string(),
                why: "neither core-site.xml nor yarn-site.xml is there".into(),
            }),
        }
    }

    fn add(&mut self, text: &str) -> Result<(), String> {
        let document = roxmltree::Document::parse(text).map_err(|e| e.to_string())?;
        let property = |node: &roxmltree::Node| node.has_tag_name("property");
        for node in document.root_element().children().filter(property) {
            let text = |tag: &str| {
                let child = node.children().find(|c| c.has_tag_name(tag))?;
                Some(child.text().unwrap_or_default().trim().to_string())
            };
            if let (Some(name), Some(value)) = (text("name"), text("value")) {
                self.properties.insert(name, value);
            }
        }
        Ok(())
    }

    /// A property, its references replaced; `None` when it is not set or empty.
    pub fn get(&self, name: &str) -> Option<String> {
        self.resolved(name, DEEPEST).filter(|value| !value.is_empty())
    }

    fn resolved(&self, name: &str, depth: usize) -> Option<String> {
        let (mut out, mut rest) = (String::new(), self.properties.get(name)?.as_str());
        while let Some((before, after)) = rest.split_once("${") {
            let (inner, tail) = after.split_once('}')?;
            out.push_str(before);
            match self.reference(inner, depth) {
                Some(value) => out.push_str(&value),
                None => out.push_str(&format!("${{{inner}}}")),
            }
            rest = tail;
        }
        Some(out + rest)
    }

    fn reference(&self, inner: &str, depth: usize) -> Option<String> {
        if let Some(variable) = inner.strip_prefix("env.") {
            return std::env::var(variable).ok();
        }
        match inner {
            "user.name" => Some(user()),
            _ if depth == 0 => None,
            _ => self.resolved(inner, depth - 1),
        }
    }

    /// Web addresses of the ResourceManagers, `http://host:port`; several where there is more than one.
    pub fn resource_managers(&self) -> Vec<String> {
        let secure = self.get("yarn.http.policy").is_some_and(|p| p == "HTTPS_ONLY");
        let ids =
            self.get("yarn.resourcemanager.ha.rm-ids").filter(|_| self.is_true("yarn.resourcemanager.ha.enabled"));
        let suffixes: Vec<String> = match ids {
            Some(ids) => ids.split(',').map(|id| format!(".{}", id.trim())).collect(),
            None => vec![String::new()],
        };
        suffixes.iter().map(|suffix| self.resource_manager(suffix, secure)).collect()
    }

    fn resource_manager(&self, suffix: &str, secure: bool) -> String {
        let (scheme, name, port) = match secure {
            true => ("https", "yarn.resourcemanager.webapp.https.address", 8090),
            false => ("http", "yarn.resourcemanager.webapp.address", 8088),
        };
        let host = || self.get(&format!("yarn.resourcemanager.hostname{suffix}"));
        let address = self.get(&format!("{name}{suffix}")).filter(|a| !a.contains("${"));
        let address = address.unwrap_or_else(|| format!("{}:{port}", host().unwrap_or_else(|| "127.0.0.1".into())));
        format!("{scheme}://{}", address.replace("0.0.0.0", "127.0.0.1"))
    }

    fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|v| v.eq_ignore_ascii_case("true"))
    }

    /// The cluster's own file system: `hdfs://host:port`.
    pub fn default_fs(&self) -> Option<String> {
        self.get("fs.defaultFS")
            .or_else(|| self.get("fs.default.name"))
            .map(|fs| fs.strip_suffix('/').unwrap_or(&fs).to_string())
    }

    /// The class path of applications, as one text for a shell on the node: its variables are the node's.
    pub fn class_path(&self) -> String {
        const DEFAULT: &str = "$HADOOP_CONF_DIR,$HADOOP_COMMON_HOME/share/hadoop/common/*,\
                               $HADOOP_COMMON_HOME/share/hadoop/common/lib/*,$HADOOP_HDFS_HOME/share/hadoop/hdfs/*,\
                               $HADOOP_HDFS_HOME/share/hadoop/hdfs/lib/*,$HADOOP_YARN_HOME/share/hadoop/yarn/*,\
                               $HADOOP_YARN_HOME/share/hadoop/yarn/lib/*";
        let path = self.get("yarn.application.classpath").unwrap_or_else(|| DEFAULT.into());
        path.split(',').map(str::trim).filter(|p| !p.is_empty()).collect::<Vec<_>>().join(":")
    }
}

/// The name that a cluster without Kerberos believes.
pub(crate) fn user() -> String {
    let named = |name| std::env::var(name).ok().filter(|v| !v.is_empty());
    named("HADOOP_USER_NAME").or_else(|| named("USER")).or_else(|| named("LOGNAME")).unwrap_or_else(|| "root".into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn site(properties: &[(&str, &str)]) -> Site {
        let line = |(n, v): &(&str, &str)| format!("<property><name>{n}</name><value>{v}</value></property>");
        let mut site = Site::default();
        site.add(&format!("<configuration>{}</configuration>", properties.iter().map(line).collect::<String>()))
            .unwrap();
        site
    }

    #[test]
    fn values_refer_to_each_other() {
        let site = site(&[("a", "x${b}y"), ("b", "${c}"), ("c", "1"), ("loop", "${loop}"), ("open", "${nothing}")]);
        assert_eq!(site.get("a").unwrap(), "x1y");
        assert_eq!(site.get("open").unwrap(), "${nothing}");
        assert!(site.get("loop").unwrap().contains("loop") && site.get("none").is_none());
    }

    #[test]
    fn resource_managers_as_yarn_names_them() {
        assert_eq!(site(&[]).resource_managers(), ["http://127.0.0.1:8088"]);
        let one = site(&[
            ("yarn.resourcemanager.hostname", "rm.example"),
            ("yarn.resourcemanager.webapp.address", "${yarn.resourcemanager.hostname}:9000"),
        ]);
        assert_eq!(one.resource_managers(), ["http://rm.example:9000"]);
        let two = site(&[
            ("yarn.resourcemanager.ha.enabled", "true"),
            ("yarn.resourcemanager.ha.rm-ids", "rm1, rm2"),
            ("yarn.resourcemanager.hostname.rm1", "a"),
            ("yarn.resourcemanager.webapp.address.rm2", "b:18088"),
        ]);
        assert_eq!(two.resource_managers(), ["http://a:8088", "http://b:18088"]);
        let secure = site(&[("yarn.http.policy", "HTTPS_ONLY"), ("yarn.resourcemanager.hostname", "a")]);
        assert_eq!(secure.resource_managers(), ["https://a:8090"]);
    }

    #[test]
    fn what_is_no_configuration_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = Site::from_folder(folder.path()).unwrap_err().to_string();
        assert!(error.contains("neither core-site.xml nor yarn-site.xml"), "{error}");
        std::fs::write(folder.path().join("yarn-site.xml"), "<configuration><property></configuration>").unwrap();
        let error = Site::from_folder(folder.path()).unwrap_err().to_string();
        assert!(error.contains("yarn-site.xml"), "{error}");
    }
}
