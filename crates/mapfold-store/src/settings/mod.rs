//! Settings and credentials of stores, as users already have them.
//!
//! Each setting has one name of ours ([`keys`]); its value comes from the strongest layer that has it:
//! `-D name=value`, the environment, `mapfold.toml` here, `~/.config/mapfold/config.toml`, the profile in `~/.aws`,
//! Hadoop's `core-site.xml` and `hdfs-site.xml`. Key id, secret and session token are taken from one layer together,
//! never mixed; who we are to AWS, by keys or by a token, is what the strongest layer says that says it. Every value
//! remembers its origin, for `mapfold config show --origin`.
//!
//! Values are [`Secret`]s: they are neither printed nor serialised by accident. [`Settings::to_travel`] is the one
//! door by which they go to the member processes of a job, over a connection that has proven itself.

mod files;
mod keys;
mod role;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::{Secret, StoreError};
use files::Pairs;

/// What is taken from one layer or not at all.
const TOGETHER: [&str; 3] = ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"];
/// `MAPFOLD_STORE__AWS_REGION` is `aws_region`.
const OF_ENVIRONMENT: &str = "MAPFOLD_STORE__";

#[derive(Clone, PartialEq, Eq)]
struct Setting {
    value: Secret,
    origin: Arc<str>,
}

/// One line of `mapfold config show`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Our name of the setting.
    pub name: String,
    /// Its value; of a secret only that it is set.
    pub value: String,
    /// Where the value comes from.
    pub origin: String,
    /// What it is for, where we know.
    pub about: &'static str,
}

/// The settings of all stores of a process.
///
/// ```
/// use mapfold_store::Settings;
/// let settings = Settings::none().with("AWS_REGION", "eu-central-1", "here")?;
/// assert_eq!(settings.get("aws_region"), Some("eu-central-1"));
/// # Ok::<(), mapfold_store::StoreError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Settings(BTreeMap<String, Setting>);

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

static INSTALLED: OnceLock<Arc<Settings>> = OnceLock::new();
static DEFINED: OnceLock<Vec<Secret>> = OnceLock::new();

impl Settings {
    /// No setting at all.
    pub fn none() -> Settings {
        Settings::default()
    }

    /// The settings of this process; `defines` are the `name=value` of `-D`.
    ///
    /// # Errors
    /// [`StoreError::Settings`] names the setting that is not known, or the file that cannot be understood.
    pub fn load<S: AsRef<str>>(defines: &[S]) -> Result<Settings, StoreError> {
        let mut all = Settings::none().with_defines(defines)?;
        all.weaker_profile(false)?;
        all.weaker(of_environment()?);
        let here = PathBuf::from("mapfold.toml");
        all.weaker_pairs(&files::toml(&here)?, "mapfold.toml", true)?;
        if let Some(own) = config_home() {
            let file = own.join("mapfold/config.toml");
            all.weaker_pairs(&files::toml(&file)?, &file.display().to_string(), true)?;
        }
        all.weaker_profile(true)?;
        all.weaker_hadoop()?;
        Ok(all)
    }

    /// These settings with one more; an earlier value of that name is replaced.
    ///
    /// # Errors
    /// [`StoreError::Settings`] for a name that is not known.
    pub fn with(mut self, name: &str, value: &str, origin: &str) -> Result<Settings, StoreError> {
        let unknown = |why| StoreError::Settings { loc: origin.to_owned(), why };
        let name = keys::canonical(name).map_err(unknown)?;
        self.0.insert(name, Setting { value: Secret::new(value), origin: origin.into() });
        Ok(self)
    }

    /// These settings, and behind them what `core-site.xml` and `hdfs-site.xml` of a folder say, as with
    /// `HADOOP_CONF_DIR`.
    ///
    /// # Errors
    /// [`StoreError::Settings`] names the file that cannot be understood.
    pub fn with_hadoop(mut self, folder: impl AsRef<Path>) -> Result<Settings, StoreError> {
        self.weaker_hadoop_of(folder.as_ref())?;
        Ok(self)
    }

    /// Makes these the settings of every [`Stores`](crate::Stores) of this process that is given none. To be called
    /// once, before the first of them; later calls do nothing and return false.
    pub fn install(self) -> bool {
        INSTALLED.set(Arc::new(self)).is_ok()
    }

    /// The `name=value` of `-D`, for [`Settings::load`] when the first store asks for settings: a program that touches
    /// local files only reads no file of settings. To be called once, at the start; later calls do nothing.
    ///
    /// # Errors
    /// [`StoreError::Settings`] names the setting that is not known.
    pub fn define<S: AsRef<str>>(defines: &[S]) -> Result<(), StoreError> {
        Settings::none().with_defines(defines)?;
        let kept = defines.iter().map(|define| Secret::new(define.as_ref())).collect();
        DEFINED.get_or_init(|| kept);
        Ok(())
    }

    /// The settings of this process: what was installed, else what it finds.
    ///
    /// # Errors
    /// Those of [`Settings::load`].
    pub fn of_process() -> Result<Arc<Settings>, StoreError> {
        if let Some(settings) = INSTALLED.get() {
            return Ok(settings.clone());
        }
        let defines: Vec<&str> = DEFINED.get().into_iter().flatten().map(Secret::expose).collect();
        let loaded = Arc::new(Settings::load(&defines)?);
        Ok(INSTALLED.get_or_init(|| loaded).clone())
    }

    /// Whether the value of this setting must not be shown, whatever name it goes by.
    pub fn is_secret(name: &str) -> bool {
        keys::canonical(name).is_ok_and(|name| keys::is_secret(&name))
    }

    /// Whether a variable of the environment is a setting whose value must not be shown.
    ///
    /// ```
    /// use mapfold_store::Settings;
    /// assert!(Settings::is_secret_variable("AWS_SECRET_ACCESS_KEY") && !Settings::is_secret_variable("AWS_REGION"));
    /// assert!(Settings::is_secret_variable("MAPFOLD_STORE__fs.s3a.secret.key"));
    /// ```
    pub fn is_secret_variable(name: &str) -> bool {
        Settings::is_secret(name.strip_prefix(OF_ENVIRONMENT).unwrap_or(name))
    }

    /// The value of a setting under our name. Secrets included: never print it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|setting| setting.value.expose()).filter(|value| !value.is_empty())
    }

    /// The value that holds for one bucket, else for all.
    pub(crate) fn of_bucket(&self, name: &str, bucket: &str) -> Option<&str> {
        self.get(&keys::for_bucket(name, bucket)).or_else(|| self.get(name))
    }

    /// Whether a setting is switched on: `YES`, `true`, `on` or `1`, as the tools write it.
    pub(crate) fn is_on(&self, name: &str) -> bool {
        self.get(name).is_some_and(is_yes)
    }

    /// Settings with a dot in their name: Hadoop's own.
    pub(crate) fn of_hadoop(&self) -> impl Iterator<Item = (&str, &str)> {
        let dotted = self.0.iter().filter(|(name, _)| name.contains('.') && !name.contains('@'));
        dotted.map(|(name, setting)| (name.as_str(), setting.value.expose()))
    }

    /// All settings as people may see them.
    pub fn shown(&self) -> Vec<Shown> {
        let shown = |(name, setting): (&String, &Setting)| Shown {
            name: name.clone(),
            value: match keys::is_secret(name) {
                true => "(set, not shown)".into(),
                false => crate::redact(setting.value.expose()),
            },
            origin: setting.origin.to_string(),
            about: keys::known(name.split('@').next().unwrap_or(name)).map_or("Hadoop", |key| key.about),
        };
        self.0.iter().map(shown).collect()
    }

    /// Names that `-D` and the files understand, with what they are for.
    pub fn known() -> impl Iterator<Item = (&'static str, &'static str)> {
        keys::KEYS.iter().map(|key| (key.name, key.about))
    }

    /// All settings with their values, for [`Settings::from_travel`] in a member process. Secret.
    pub fn to_travel(&self) -> Secret {
        let all: Vec<(&str, &str, &str)> =
            self.0.iter().map(|(name, s)| (name.as_str(), s.value.expose(), &*s.origin)).collect();
        Secret::new(serde_json::to_string(&all).unwrap_or_default())
    }

    /// The settings that another process sent.
    ///
    /// # Errors
    /// [`StoreError::Settings`] when the text is not what [`Settings::to_travel`] made.
    pub fn from_travel(text: &str) -> Result<Settings, StoreError> {
        let all: Vec<(String, String, String)> = serde_json::from_str(text).map_err(|_| StoreError::Settings {
            loc: "the orders of the coordinator".into(),
            why: "their settings cannot be read".into(),
        })?;
        let setting = |(name, value, origin): (String, String, String)| {
            (name, Setting { value: Secret::new(value), origin: origin.into() })
        };
        Ok(Settings(all.into_iter().map(setting).collect()))
    }

    /// The settings that a launcher on another machine left in a private file here ([`Settings::to_travel`]). What its
    /// Hadoop files say counts only behind those of this machine, which is inside the cluster.
    ///
    /// # Errors
    /// [`StoreError::Settings`] when others can read the file, it is not what a launcher makes, or Hadoop's files here
    /// cannot be understood.
    pub fn from_private_file(path: &Path) -> Result<Settings, StoreError> {
        let text = crate::private::read(path)
            .map_err(|why| StoreError::Settings { loc: path.display().to_string(), why: why.to_string() })?;
        let sent = Settings::from_travel(&String::from_utf8_lossy(&text))?;
        let of_files = |setting: &Setting| setting.origin.ends_with("-site.xml");
        let (far, own) = sent.0.into_iter().partition(|(_, setting)| of_files(setting));
        let mut all = Settings(own);
        all.weaker_hadoop()?;
        all.weaker(Settings(far));
        Ok(all)
    }

    fn with_defines<S: AsRef<str>>(mut self, defines: &[S]) -> Result<Settings, StoreError> {
        for define in defines {
            let (name, value) = define.as_ref().split_once('=').ok_or_else(|| StoreError::Settings {
                loc: "-D".into(),
                why: "a setting is given as name=value".into(),
            })?;
            self = self.with(name.trim(), value.trim(), "-D")?;
        }
        match role::are_keys_and_token(&self) {
            true => Err(StoreError::Settings {
                loc: "-D".into(),
                why: "aws_access_key_id and aws_web_identity_token_file: one of them says who you are".into(),
            }),
            false => Ok(self),
        }
    }

    /// Adds a weaker layer: what is there stays.
    fn weaker(&mut self, mut layer: Settings) {
        role::of_one_layer(self, &mut layer);
        for (name, setting) in layer.0 {
            self.0.entry(name).or_insert(setting);
        }
    }

    /// A layer of names and values; `strict` refuses names that nobody knows.
    fn weaker_pairs(&mut self, pairs: &Pairs, origin: &str, strict: bool) -> Result<(), StoreError> {
        let mut layer = Settings::none();
        for (name, value) in pairs {
            let named = keys::canonical(name);
            match named {
                Ok(name) => {
                    let setting = Setting { value: Secret::new(value.as_str()), origin: origin.into() };
                    layer.0.insert(name, setting);
                }
                Err(why) if strict => return Err(StoreError::Settings { loc: origin.to_owned(), why }),
                Err(_) => {}
            }
        }
        self.weaker(layer);
        Ok(())
    }

    /// The profile of `~/.aws`: at once when `-D` names one, later else (`default` if nothing names one).
    fn weaker_profile(&mut self, last: bool) -> Result<(), StoreError> {
        let named = self.get("aws_profile").map(str::to_owned);
        if !last && named.is_none() {
            return Ok(());
        }
        let home = std::env::home_dir().unwrap_or_default();
        let file = |variable: &str, name: &str| {
            std::env::var_os(variable).map_or_else(|| home.join(".aws").join(name), PathBuf::from)
        };
        let credentials = file("AWS_SHARED_CREDENTIALS_FILE", "credentials");
        let config = file("AWS_CONFIG_FILE", "config");
        let profile = named.as_deref().unwrap_or("default");
        let origin = format!("profile {profile} of {}", config.parent().unwrap_or(&home).display());
        match files::aws_profile(&credentials, &config, profile)? {
            Some(pairs) => {
                let of_other = |name: &str| files::aws_profile(&credentials, &config, name);
                let layer = role::settled((profile, pairs), &of_other, role::says_who(self))?
                    .into_iter()
                    .map(|(name, value)| (name, Setting { value: Secret::new(value), origin: origin.as_str().into() }));
                self.weaker(Settings(layer.collect()));
                Ok(())
            }
            None if named.is_some() => Err(StoreError::Settings {
                loc: format!("profile {profile}"),
                why: format!("neither {} nor {} has it", credentials.display(), config.display()),
            }),
            None => Ok(()),
        }
    }

    fn weaker_hadoop(&mut self) -> Result<(), StoreError> {
        let Some(folder) = hadoop_folder() else { return Ok(()) };
        self.weaker_hadoop_of(&folder)
    }

    fn weaker_hadoop_of(&mut self, folder: &Path) -> Result<(), StoreError> {
        for (path, mut pairs) in files::hadoop(folder)?.into_iter().rev() {
            files::substitute(&mut pairs);
            role::of_hadoop(&mut pairs);
            self.weaker_pairs(&pairs, &path.display().to_string(), false)?;
        }
        Ok(())
    }
}

/// `YES`, `true`, `on` or `1`.
pub(crate) fn is_yes(value: &str) -> bool {
    ["yes", "true", "on", "1"].iter().any(|yes| yes.eq_ignore_ascii_case(value.trim()))
}

/// The folder of Hadoop's configuration, if the environment names one.
pub(crate) fn hadoop_folder() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("HADOOP_CONF_DIR").or_else(|| set("HADOOP_HOME").map(|home| home.join("etc/hadoop")))
}

fn config_home() -> Option<PathBuf> {
    let set = std::env::var_os("XDG_CONFIG_HOME").filter(|v| Path::new(v).is_absolute());
    set.map(PathBuf::from).or_else(|| std::env::home_dir().map(|home| home.join(".config")))
}

/// The variables that we and others know; ours are strict.
fn of_environment() -> Result<Settings, StoreError> {
    let mut layer = Settings::none();
    for (variable, value) in std::env::vars_os() {
        let (Some(variable), Some(value)) = (variable.to_str(), value.to_str()) else { continue };
        if let Some(name) = variable.strip_prefix(OF_ENVIRONMENT) {
            layer = layer.with(name, value, &format!("environment {variable}"))?;
        }
    }
    for key in keys::KEYS {
        let variables = key.also.iter().filter(|name| !name.contains('.'));
        let set = variables.filter_map(|name| Some((name, std::env::var(name).ok().filter(|v| !v.is_empty())?)));
        if let Some((variable, value)) = set.into_iter().next() {
            let setting = Setting { value: Secret::new(value), origin: format!("environment {variable}").into() };
            layer.0.entry(key.name.to_owned()).or_insert(setting);
        }
    }
    role::of_variables(&mut layer);
    Ok(layer)
}
