//! The ResourceManager's REST API: as much of it as a launcher needs.

use super::error::YarnError;
use super::site::{Site, user};
use mapfold_store::{Answer, Call, StoreError, Stores};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long a ResourceManager may be gone, restarting or failing over, before a question about a job is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// The most that the scheduler gives to one container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Maximum {
    /// MiB of memory.
    pub mib: u64,
    /// Virtual cores.
    pub cores: u64,
}

/// What the ResourceManager says of an application.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct App {
    /// `ACCEPTED`, `RUNNING`, `FINISHED`, `FAILED`, `KILLED` and others on the way.
    pub state: String,
    /// `UNDEFINED` until it is over; then `SUCCEEDED`, `FAILED` or `KILLED`.
    pub final_status: String,
    /// What it or YARN says of the end.
    pub diagnostics: String,
    /// How far it says it is, in per cent.
    pub progress: f64,
    /// Its page, through the cluster's proxy.
    pub tracking_url: String,
    /// Containers that run, the application master's included.
    pub containers: u64,
    /// The attempt, from 1.
    pub attempt: u64,
}

impl App {
    /// Whether nothing more will happen.
    pub fn is_over(&self) -> bool {
        matches!(self.state.as_str(), "FINISHED" | "FAILED" | "KILLED")
    }
}

/// The ResourceManager that is in charge.
#[derive(Clone, Debug)]
pub struct Rm {
    stores: Stores,
    bases: Vec<String>,
    base: String,
    user: String,
}

impl Rm {
    /// Asks those that the configuration names until one says that it is in charge.
    ///
    /// # Errors
    /// [`YarnError::Unreachable`], [`YarnError::Kerberos`].
    pub fn find(stores: &Stores, site: &Site) -> Result<Rm, YarnError> {
        let mut rm = Rm { stores: stores.clone(), bases: site.resource_managers(), base: String::new(), user: user() };
        rm.base = rm.in_charge()?;
        Ok(rm)
    }

    /// Whom calls go through.
    pub(crate) fn stores(&self) -> &Stores {
        &self.stores
    }

    /// Where it is: `http://host:port`.
    pub fn address(&self) -> &str {
        &self.base
    }

    fn in_charge(&self) -> Result<String, YarnError> {
        let mut why = String::new();
        for base in &self.bases {
            match self.call("GET", base, "info", None) {
                Ok(answer) if answer.status == 401 => return Err(YarnError::Kerberos { at: base.clone() }),
                Ok(answer) if answer.status == 200 => {
                    let info = parsed(&answer, "info")?;
                    match info["clusterInfo"]["haState"].as_str() {
                        Some("STANDBY") => why = format!("{base} is on standby"),
                        _ => return Ok(base.clone()),
                    }
                }
                Ok(answer) => why = format!("HTTP {}", answer.status),
                Err(StoreError::Network { why: reason, .. }) => why = reason,
                Err(e) => why = e.to_string(),
            }
        }
        Err(YarnError::Unreachable { tried: self.bases.join(" and "), why })
    }

    fn call(&self, method: &'static str, base: &str, what: &str, body: Option<&Value>) -> Result<Answer, StoreError> {
        let user: String = url_escaped(&self.user);
        let mut headers = vec![("Accept".to_string(), "application/json".to_string())];
        if body.is_some() {
            headers.push(("Content-Type".into(), "application/json".into()));
        }
        let body = body.map(|b| b.to_string().into_bytes()).unwrap_or_default().into();
        let url = format!("{base}/ws/v1/cluster/{what}?user.name={user}");
        self.stores.call(&Call { method, url, headers, body })
    }

    /// Asks, for as long as the cluster's patience: a ResourceManager may restart while a job runs.
    fn ask(&self, what: &str, doing: &'static str) -> Result<Value, YarnError> {
        let until = Instant::now() + PATIENCE;
        let mut base = self.base.clone();
        loop {
            let failed = match self.call("GET", &base, what, None) {
                Ok(answer) if answer.status == 200 => return parsed(&answer, doing),
                Ok(answer) if answer.status < 500 => return Err(refused(&answer, doing)),
                Ok(answer) => format!("HTTP {}", answer.status),
                Err(e) => e.to_string(),
            };
            if Instant::now() >= until {
                return Err(YarnError::Unreachable { tried: base, why: failed });
            }
            std::thread::sleep(Duration::from_millis(500));
            base = self.in_charge().unwrap_or(base);
        }
    }

    fn order(
        &self,
        method: &'static str,
        what: &str,
        doing: &'static str,
        body: Option<&Value>,
    ) -> Result<Answer, YarnError> {
        let answer = self.call(method, &self.base, what, body);
        let answer = answer.map_err(|e| YarnError::Unreachable { tried: self.base.clone(), why: e.to_string() })?;
        match answer.status {
            200..=299 => Ok(answer),
            _ => Err(refused(&answer, doing)),
        }
    }

    /// A number for a new application, and the most that a container may have.
    ///
    /// # Errors
    /// [`YarnError`].
    pub fn new_application(&self) -> Result<(String, Maximum), YarnError> {
        const DOING: &str = "take a new application";
        let answer = parsed(&self.order("POST", "apps/new-application", DOING, None)?, DOING)?;
        let most = &answer["maximum-resource-capability"];
        let strange = || YarnError::Strange { doing: DOING, why: answer.to_string() };
        let id = answer["application-id"].as_str().ok_or_else(strange)?.to_string();
        let number = |value: &Value| value.as_u64().unwrap_or(u64::MAX);
        Ok((id, Maximum { mib: number(&most["memory"]), cores: number(&most["vCores"]) }))
    }

    /// Submits an application.
    ///
    /// # Errors
    /// [`YarnError::Refused`] in the ResourceManager's words.
    pub fn submit(&self, context: &Value) -> Result<(), YarnError> {
        self.order("POST", "apps", "take the application", Some(context)).map(drop)
    }

    /// How an application is.
    ///
    /// # Errors
    /// [`YarnError`].
    pub fn app(&self, id: &str) -> Result<App, YarnError> {
        let answer = self.ask(&format!("apps/{id}"), "tell of the application")?;
        let app = &answer["app"];
        let text = |key: &str| app[key].as_str().unwrap_or_default().trim().to_string();
        Ok(App {
            state: text("state"),
            final_status: text("finalStatus"),
            diagnostics: text("diagnostics"),
            progress: app["progress"].as_f64().unwrap_or(0.0),
            tracking_url: text("trackingUrl"),
            containers: app["runningContainers"].as_u64().unwrap_or(0),
            attempt: attempt(&text("currentAppAttemptId"), app),
        })
    }

    /// Ends an application: all its containers.
    ///
    /// # Errors
    /// [`YarnError::Refused`], for somebody else's.
    pub fn kill(&self, id: &str) -> Result<(), YarnError> {
        self.order("PUT", &format!("apps/{id}/state"), "end the application", Some(&json!({ "state": "KILLED" })))
            .map(drop)
    }

    /// The queues that take applications. Empty where the scheduler has none, or tells of none.
    ///
    /// # Errors
    /// [`YarnError`].
    pub fn queues(&self) -> Result<Vec<String>, YarnError> {
        let answer = self.ask("scheduler", "list its queues")?;
        let mut names = Vec::new();
        gather(&answer["scheduler"]["schedulerInfo"], &mut names);
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// The labels of nodes; empty where there are none.
    pub fn labels(&self) -> Vec<String> {
        let Ok(answer) = self.order("GET", "get-node-labels", "list the labels of nodes", None) else {
            return Vec::new();
        };
        let Ok(answer) = parsed(&answer, "labels") else { return Vec::new() };
        let mut names = Vec::new();
        for key in ["nodeLabelInfo", "nodeLabels"] {
            match &answer[key] {
                Value::Array(all) => names.extend(all.iter().filter_map(label)),
                one => names.extend(label(one)),
            }
        }
        names
    }
}

fn label(value: &Value) -> Option<String> {
    let name = value.as_str().or_else(|| value["name"].as_str())?;
    (!name.is_empty()).then(|| name.to_string())
}

/// Names of the queues without queues below them.
fn gather(queue: &Value, names: &mut Vec<String>) {
    let below = [&queue["queues"]["queue"], &queue["childQueues"]["queue"], &queue["rootQueue"]];
    let mut leaf = true;
    for place in below {
        match place {
            Value::Array(all) => all.iter().for_each(|q| gather(q, names)),
            Value::Object(_) => gather(place, names),
            _ => continue,
        }
        leaf = false;
    }
    if let (true, Some(name)) = (leaf, queue["queueName"].as_str()) {
        names.push(name.to_string());
    }
}

/// The number of an attempt: the end of `appattempt_1700000000000_0001_000002`, else of the AM's log address.
fn attempt(id: &str, app: &Value) -> u64 {
    let from_logs = app["amContainerLogs"].as_str().and_then(|logs| logs.split("container_").nth(1)).map(|rest| {
        let parts: Vec<&str> = rest.split(['_', '/']).collect();
        let at = if parts[0].starts_with('e') { 3 } else { 2 };
        parts.get(at).and_then(|n| n.parse().ok()).unwrap_or(1)
    });
    id.rsplit('_').next().and_then(|n| n.parse().ok()).or(from_logs).unwrap_or(1)
}

fn parsed(answer: &Answer, doing: &'static str) -> Result<Value, YarnError> {
    serde_json::from_slice(&answer.body).map_err(|e| YarnError::Strange { doing, why: e.to_string() })
}

/// The ResourceManager's own words, without Java's.
fn refused(answer: &Answer, doing: &'static str) -> YarnError {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    let said = body["RemoteException"]["message"].as_str().map(str::to_string);
    let why = said
        .unwrap_or_else(|| format!("HTTP {} {}", answer.status, answer.text().chars().take(300).collect::<String>()));
    let why = why.trim().rsplit("Exception: ").next().unwrap_or_default().to_string();
    YarnError::Refused { doing, why }
}

/// Text as part of a query.
fn url_escaped(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaf_queues_of_both_schedulers() {
        let capacity = json!({ "queueName": "root", "queues": { "queue": [
            { "queueName": "default" }, { "queueName": "prod", "queues": { "queue": [{ "queueName": "night" }] } },
        ] } });
        let mut names = Vec::new();
        gather(&capacity, &mut names);
        assert_eq!(names, ["default", "night"]);
        let fair =
            json!({ "rootQueue": { "queueName": "root", "childQueues": { "queue": { "queueName": "root.a" } } } });
        names.clear();
        gather(&fair, &mut names);
        assert_eq!(names, ["root.a"]);
    }

    #[test]
    fn the_attempt_is_in_the_name_of_the_container() {
        let app =
            json!({ "amContainerLogs": "http://n:1/node/containerlogs/container_e17_1700000000000_0005_02_000001/me" });
        assert_eq!(attempt("", &app), 2);
        assert_eq!(
            attempt("", &json!({ "amContainerLogs": "http://n:1/x/container_1700000000000_0005_01_000001/me" })),
            1
        );
        assert_eq!(attempt("appattempt_1700000000000_0001_000003", &Value::Null), 3);
    }

    #[test]
    fn a_refusal_is_told_in_the_words_after_the_class() {
        let body = json!({ "RemoteException": { "message": "org.apache.hadoop.security.AccessControlException: User x cannot submit" } });
        let answer = Answer { status: 403, headers: Vec::new(), body: body.to_string().into_bytes().into() };
        assert!(refused(&answer, "take the application").to_string().ends_with(": User x cannot submit"));
    }
}
