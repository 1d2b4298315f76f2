//! JSON from Python into a [`Snapshot`], and counters and events back into JSON. No decisions.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use base64::prelude::{Engine as _, BASE64_STANDARD};
use dbproxy_engine::{Engine, Rules, User, Users};
use dbproxy_server::{
    BackendTls, ClientTls, Field, Listener, Notice, Peers, Role, Snapshot, Target, TargetId,
    TargetSigns, TlsMode, Writer,
};
use serde::Deserialize;
use serde_json::{json, Value};

use crate::family::Family;
use crate::limits::LimitsJson;

/// What the engine is started with.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The protocol of its clients and databases.
    pub family: FamilyJson,
    /// Worker threads.
    pub workers: usize,
    /// Where all listeners listen.
    pub listen_address: IpAddr,
    /// Where other pods find this one; `null` if it has no others.
    pub pod_address: Option<IpAddr>,
}

/// A family's name.
#[derive(Deserialize, Clone, Copy)]
pub enum FamilyJson {
    #[serde(rename = "POSTGRESQL")]
    Postgres,
    #[serde(rename = "MYSQL")]
    MySql,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PeersJson {
    fleet_secret: String,
    port: u16,
    addresses: Vec<IpAddr>,
}

/// Reads who the other pods are; the error says what is wrong.
pub fn peers(text: &[u8]) -> Result<Peers, String> {
    let json: PeersJson = serde_json::from_slice(text).map_err(|e| e.to_string())?;
    let secret = secret(&json.fleet_secret)?;
    Peers::new(&secret, json.port, json.addresses)
}

fn secret(text: &str) -> Result<Vec<u8>, String> {
    let secret = BASE64_STANDARD.decode(text);
    secret.map_err(|error| format!("fleet_secret: {error}"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SnapshotJson {
    #[serde(rename = "revision")]
    _revision: u64,
    version: Option<String>,
    listeners: Vec<ListenerJson>,
    tls: Option<TlsJson>,
    require_tls: bool,
    users: Vec<UserJson>,
    fleet_secret: String,
    targets: Vec<TargetJson>,
    writer: Option<WriterJson>,
    server_tls: ServerTlsJson,
    init_query: Option<String>,
    rules: RulesJson,
    limits: LimitsJson,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RulesJson {
    longest_statement: Option<usize>,
    excludes_settings: bool,
}

impl From<RulesJson> for Rules {
    fn from(json: RulesJson) -> Self {
        Self {
            longest_statement: json.longest_statement,
            excludes_settings: json.excludes_settings,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListenerJson {
    name: String,
    port: u16,
    role: RoleJson,
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum RoleJson {
    ReadWrite,
    ReadOnly,
    Unknown,
}

#[derive(Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct TlsJson {
    certificate: String,
    key: String,
}

#[derive(Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct UserJson {
    name: String,
    passwords: Vec<String>,
    method: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetJson {
    name: String,
    addresses: Vec<SocketAddr>,
    server_name: String,
    role: RoleJson,
    available: bool,
    max_connections: u32,
    max_idle: u32,
    min_idle: u32,
    defaults: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WriterJson {
    target: String,
    epoch: u64,
    open: bool,
}

#[derive(Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct ServerTlsJson {
    mode: ModeJson,
    ca: Option<String>,
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum ModeJson {
    Disabled,
    Preferred,
    Required,
    VerifyCa,
    VerifyIdentity,
}

/// Turns Python's snapshots into the engine's; keeps what is costly to make again.
pub struct Converter<F: Family> {
    verifiers: HashMap<(String, String, Vec<u8>), F::Verifier>,
    users: Option<Known<F>>,
    client_tls: Option<(TlsJson, Arc<ClientTls>)>,
    backend_tls: Option<(ServerTlsJson, Arc<BackendTls>)>,
}

/// From which users' JSON and which secret they were made, and they.
type Known<F> = (
    Vec<UserJson>,
    Vec<u8>,
    Arc<Users<<F as Engine>::Credential>>,
);

impl<F: Family> Default for Converter<F> {
    fn default() -> Self {
        Self {
            verifiers: HashMap::new(),
            users: None,
            client_tls: None,
            backend_tls: None,
        }
    }
}

impl<F: Family> Converter<F> {
    /// Reads a snapshot; the error says what is wrong with it. `target_id` gives a name its number.
    pub fn snapshot(
        &mut self,
        text: &[u8],
        target_id: impl Fn(&str) -> (TargetId, Arc<TargetSigns>),
    ) -> Result<Snapshot<F::Credential>, String> {
        let json: SnapshotJson = serde_json::from_slice(text).map_err(|e| e.to_string())?;
        let client_tls = json.tls.map(|tls| self.client_tls(tls)).transpose()?;
        let backend_tls = self.backend_tls(json.server_tls)?;
        let targets = targets(json.targets, &target_id);
        let writer = json.writer.map(|writer| Writer {
            target: target_id(&writer.target).0,
            epoch: writer.epoch,
            open: writer.open,
        });
        Ok(Snapshot {
            version: json.version.map(Into::into),
            listeners: json.listeners.into_iter().map(listener).collect(),
            client_tls,
            require_tls: json.require_tls,
            users: self.users(json.users, &json.fleet_secret)?,
            targets,
            writer,
            backend_tls,
            init_query: json.init_query.map(Into::into),
            rules: json.rules.into(),
            limits: json.limits.into(),
            term: 0,
            sequence: 0,
        })
    }

    /// As long as it stays the same, so do the sessions that clients may resume.
    fn client_tls(&mut self, json: TlsJson) -> Result<Arc<ClientTls>, String> {
        if let Some((_, tls)) = self.client_tls.as_ref().filter(|(known, _)| *known == json) {
            return Ok(tls.clone());
        }
        let tls = Arc::new(ClientTls::from_pem(&json.certificate, &json.key, F::ALPN)?);
        self.client_tls = Some((json, tls.clone()));
        Ok(tls)
    }

    fn backend_tls(&mut self, json: ServerTlsJson) -> Result<Arc<BackendTls>, String> {
        if let Some((_, tls)) = self
            .backend_tls
            .as_ref()
            .filter(|(known, _)| *known == json)
        {
            return Ok(tls.clone());
        }
        let mode = match json.mode {
            ModeJson::Disabled => TlsMode::Disabled,
            ModeJson::Preferred => TlsMode::Preferred,
            ModeJson::Required => TlsMode::Required,
            ModeJson::VerifyCa => TlsMode::VerifyCa,
            ModeJson::VerifyIdentity => TlsMode::VerifyIdentity,
        };
        let tls = Arc::new(BackendTls::new(mode, json.ca.as_deref())?);
        self.backend_tls = Some((json, tls.clone()));
        Ok(tls)
    }

    fn users(
        &mut self,
        json: Vec<UserJson>,
        secret: &str,
    ) -> Result<Arc<Users<F::Credential>>, String> {
        let secret = self::secret(secret)?;
        if let Some((known, known_secret, users)) = &self.users {
            if *known == json && *known_secret == secret {
                return Ok(users.clone());
            }
        }
        let mut fresh = HashMap::new();
        let mut by_name = HashMap::new();
        for user in &json {
            let verifiers = user.passwords.iter().map(|password| {
                let key = (user.name.clone(), password.clone(), secret.clone());
                let verifier = self
                    .verifiers
                    .remove(&key)
                    .unwrap_or_else(|| F::verifier(&user.name, password, &secret));
                fresh.insert(key, verifier.clone());
                verifier
            });
            let credential = F::credential(&user.method, verifiers.collect())
                .ok_or_else(|| format!("user {}: no method {}", user.name, user.method))?;
            let name: Arc<str> = user.name.as_str().into();
            let user = User {
                name: name.clone(),
                credential,
                passwords: user.passwords.iter().map(|p| p.as_str().into()).collect(),
            };
            by_name.insert(name, Arc::new(user));
        }
        self.verifiers = fresh;
        let users = Arc::new(Users {
            by_name,
            fleet_secret: secret.clone(),
        });
        self.users = Some((json, secret, users.clone()));
        Ok(users)
    }
}

fn listener(json: ListenerJson) -> Arc<Listener> {
    Arc::new(Listener {
        name: json.name.into(),
        port: json.port,
        role: match json.role {
            RoleJson::ReadOnly => Role::ReadOnly,
            RoleJson::ReadWrite | RoleJson::Unknown => Role::ReadWrite,
        },
    })
}

fn targets(
    json: Vec<TargetJson>,
    target_id: impl Fn(&str) -> (TargetId, Arc<TargetSigns>),
) -> Vec<Option<Arc<Target>>> {
    let mut all = Vec::new();
    for target in json {
        let (id, signs) = target_id(&target.name);
        let at = usize::from(id.0);
        if all.len() <= at {
            all.resize(at + 1, None);
        }
        all[at] = Some(Arc::new(Target {
            id,
            name: target.name.into(),
            addresses: target.addresses,
            server_name: target.server_name.into(),
            reader: target.role == RoleJson::ReadOnly,
            available: target.available,
            max_connections: target.max_connections,
            max_idle: target.max_idle,
            min_idle: target.min_idle,
            defaults: target.defaults.into(),
            signs,
        }));
    }
    all
}

/// Events as a JSON list.
pub fn events(notices: Vec<Notice>) -> Vec<u8> {
    let list: Vec<Value> = notices
        .into_iter()
        .map(|notice| {
            let mut object = serde_json::Map::new();
            object.insert("event".into(), notice.event.into());
            for (name, field) in notice.fields {
                let value = match field {
                    Field::Text(text) => json!(text),
                    Field::Number(number) => json!(number),
                    Field::Flag(flag) => json!(flag),
                };
                object.insert(name.into(), value);
            }
            Value::Object(object)
        })
        .collect();
    Value::Array(list).to_string().into_bytes()
}
