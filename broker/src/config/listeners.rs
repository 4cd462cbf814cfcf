//! Where to listen and what to tell clients: `listeners`, `advertised.listeners` and the keys around them.
//!
//! Called by `config`. Plain text into addresses; names are resolved when the socket is bound, not here.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::ConfigError;
use super::settings::{Notice, Origin, Setting, Settings};

/// A host name or address and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// Without brackets; empty means every address of the machine.
    pub host: String,
    /// 0 means any free port.
    pub port: u16,
}

impl FromStr for HostPort {
    type Err = String;

    /// `HOST:PORT`, `[IPv6]:PORT` or `:PORT`. The error says what is wrong and what would be right.
    fn from_str(text: &str) -> Result<Self, String> {
        let (host, port) =
            text.rsplit_once(':').ok_or_else(|| format!("\"{text}\" has no port; give HOST:PORT"))?;
        let port =
            port.parse().map_err(|_| format!("\"{text}\" has no port from 0 to 65535; give HOST:PORT"))?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        if host.contains([':', '['])
            && bracketed.is_none_or(|host| host.parse::<std::net::Ipv6Addr>().is_err())
        {
            return Err(format!("\"{text}\" is ambiguous; write an IPv6 address as [ADDRESS]:PORT"));
        }
        let host = bracketed.unwrap_or(host);
        if host.contains(|c: char| c.is_whitespace() || c == '/') {
            return Err(format!("\"{host}\" is not a host; give HOST:PORT"));
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl HostPort {
    /// True for addresses that can be listened on but not connected to from elsewhere.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.host.is_empty() || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified())
    }
}

/// One listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Its name, `PLAINTEXT` unless configured otherwise.
    pub name: String,
    /// Where it listens.
    pub bind: HostPort,
    /// What clients are told; `None`: the bound address, or on a wildcard the address by which each client came in.
    pub advertised: Option<HostPort>,
}

pub(super) fn resolve(settings: &Settings) -> Result<Vec<ListenerConfig>, ConfigError> {
    let unopened = unopened(settings);
    let place = |key: &str| {
        settings
            .setting(key)
            .map_or_else(|| key.to_owned(), |Setting { origin, .. }| format!("{origin}: {key}"))
    };
    let fail = |key: &str, what: String| ConfigError(format!("{} {what}", place(key)));

    let mut listeners = Vec::new();
    for entry in words(settings.text("listeners").unwrap_or_default()) {
        let (name, bind) = named(entry).map_err(|what| fail("listeners", what))?;
        if unopened.contains(&name) {
            continue;
        }
        let protocol = protocol_in(settings, &name);
        if protocol != "PLAINTEXT" {
            return Err(fail("listeners", insecure(settings, &name, &protocol)));
        }
        listeners.push(ListenerConfig { name, bind, advertised: None });
    }
    if listeners.is_empty() {
        return Err(fail("listeners", "names nothing to listen on; give PLAINTEXT://HOST:PORT".to_owned()));
    }
    let key = "advertised.listeners";
    let names: Vec<String> = listeners.iter().map(|listener| listener.name.clone()).collect();
    let advertised = advertised(settings.text(key).unwrap_or_default(), &names, &unopened);
    for (name, address) in advertised.map_err(|what| fail(key, what))? {
        let of_name = listeners.iter_mut().filter(|listener| listener.name == name);
        of_name.for_each(|listener| listener.advertised = Some(address.clone()));
    }
    Ok(listeners)
}

/// Listeners that are named and not opened, for want of other nodes: those of controllers, and the one between brokers where it
/// could not be opened and is not the only one.
fn unopened(settings: &Settings) -> Vec<String> {
    let controllers = words(settings.text("controller.listener.names").unwrap_or_default());
    let mut names: Vec<String> = controllers.into_iter().map(str::to_ascii_uppercase).collect();
    names.extend(between_brokers(settings));
    names
}

/// The listener of `inter.broker.listener.name`, when it asks for security and others do not.
fn between_brokers(settings: &Settings) -> Option<String> {
    let name = settings.text("inter.broker.listener.name")?.to_ascii_uppercase();
    let listeners = words(settings.text("listeners").unwrap_or_default());
    let plain = |entry: &str| named(entry).is_ok_and(|(name, _)| protocol_in(settings, &name) == "PLAINTEXT");
    let open = protocol_in(settings, &name) == "PLAINTEXT";
    let is_listened_on = |entry: &&str| named(entry).is_ok_and(|(listed, _)| listed == name);
    (!open && listeners.iter().any(is_listened_on) && listeners.iter().any(|entry| plain(entry)))
        .then_some(name)
}

fn protocol_in(settings: &Settings, name: &str) -> String {
    protocol_of(name, settings.text("listener.security.protocol.map").unwrap_or_default())
}

/// Why a listener is refused, with the way out.
fn insecure(settings: &Settings, name: &str, protocol: &str) -> String {
    let mut what = format!(
        "has {name} with security protocol {protocol}, which does not exist here yet; only PLAINTEXT does: map {name} to \
         PLAINTEXT in listener.security.protocol.map, or take it out of listeners and advertised.listeners"
    );
    if let Some((key, store)) = &settings.java_store {
        let name = store.strip_suffix(".jks").unwrap_or("STORE");
        let from = if name == "STORE" { "STORE.jks" } else { store };
        what.push_str(&format!(
            "; {key} is a JKS store, which only Java reads: keytool -importkeystore -srckeystore {from} -destkeystore \
             {name}.p12 -deststoretype PKCS12 makes one that other programs read"
        ));
    }
    what
}

/// What to say about listeners that are not opened.
pub(super) fn notices(settings: &Settings) -> Vec<Notice> {
    let not_opened = between_brokers(settings).map(|name| {
        let text = format!(
            "listener {name} is not opened: it is the one between brokers, there is one broker here, and its security \
             protocol does not exist here yet"
        );
        Notice { warning: true, text }
    });
    not_opened.into_iter().collect()
}

/// Makes `listeners` and `advertised.listeners` of the keys that brokers before Kafka 3.0 had in their place. What is set under
/// the newer names wins. Returns what to say about each.
pub(super) fn take_retired(settings: &mut Settings) -> Result<Vec<Notice>, ConfigError> {
    let mut notices = Vec::new();
    for (key, host, port) in [
        ("listeners", "host.name", "port"),
        ("advertised.listeners", "advertised.host.name", "advertised.port"),
    ] {
        let given = |name| settings.retired(name).cloned().map(|setting| (name, setting));
        let set: Vec<_> = [host, port].into_iter().filter_map(given).collect();
        let Some((_, Setting { origin, .. })) = set.first().cloned() else { continue };
        let of = |name| set.iter().find(|(set, _)| *set == name).map(|(_, setting)| setting.value.as_str());
        let host = of(host).or_else(|| settings.retired("host.name").map(|setting| setting.value.as_str()));
        let address = format!("PLAINTEXT://{}:{}", host.unwrap_or_default(), of(port).unwrap_or("9092"));
        let useless = settings.is_set(key) || (key == "advertised.listeners" && host.is_none());
        for (name, Setting { origin, .. }) in &set {
            let text = if useless {
                format!("{origin}: {name}, a key of Kafka before 3.0, has no effect beside {key}")
            } else {
                format!("{origin}: {name}, a key of Kafka before 3.0, is taken as {key}={address}")
            };
            notices.push(Notice { warning: false, text });
        }
        if !useless {
            settings.set(key, &address, origin).map(drop)?;
        }
    }
    Ok(notices)
}

/// The addresses in `advertised.listeners`, by listener. Those that are `unopened` are left out: nobody listens there.
fn advertised(
    value: &str,
    listeners: &[String],
    unopened: &[String],
) -> Result<Vec<(String, HostPort)>, String> {
    let mut addresses = Vec::new();
    for entry in words(value) {
        let (name, address) = named(entry)?;
        if unopened.contains(&name) {
            continue;
        }
        if address.is_wildcard() || address.port == 0 {
            return Err(format!(
                "has {entry}, which clients cannot connect to; give the host and port that they use"
            ));
        }
        if !listeners.contains(&name) {
            return Err(format!("has {name}, which is not a name in listeners; use the same names in both"));
        }
        addresses.push((name, address));
    }
    Ok(addresses)
}

/// Whether `value` may be given to `advertised.listeners` while the broker runs with these `listeners` and
/// `controller.listener.names`.
///
/// # Errors
/// What is wrong and what would be right, to be put behind the key's name.
pub(super) fn judge_advertised(value: &str, listeners: &str, controllers: &str) -> Result<(), String> {
    let names: Vec<String> =
        words(listeners).into_iter().filter_map(|entry| named(entry).ok()).map(|(name, _)| name).collect();
    let controllers: Vec<String> = words(controllers).into_iter().map(str::to_ascii_uppercase).collect();
    advertised(value, &names, &controllers).map(drop)
}

/// The address that a checked value of `advertised.listeners` gives to `listener`.
pub(crate) fn advertised_of(value: &str, listener: &str) -> Option<HostPort> {
    let entries = words(value).into_iter().filter_map(|entry| named(entry).ok());
    entries.into_iter().find(|(name, _)| name == listener).map(|(_, address)| address)
}

/// Sets `listeners` to the advertised ports of every address, where the environment says what is advertised and nothing says
/// where to listen.
pub(super) fn listen_where_advertised(settings: &mut Settings) -> Result<(), ConfigError> {
    let key = "advertised.listeners";
    let Some(Setting { value, origin }) = settings.setting(key).cloned() else { return Ok(()) };
    if settings.is_set("listeners") || !matches!(origin, Origin::Environment(_)) {
        return Ok(());
    }
    let wrong = |what: String| ConfigError(format!("{origin}: {key} {what}"));
    let everywhere = words(&value).into_iter().map(|entry| {
        let (name, address) = named(entry).map_err(wrong)?;
        Ok(format!("{name}://0.0.0.0:{}", address.port))
    });
    let listeners = everywhere.collect::<Result<Vec<_>, _>>()?.join(",");
    settings.set("listeners", &listeners, origin.clone()).map(drop)
}

/// Where the admin endpoints listen, if at all, and whether the control API for tests is among them. That one may delete
/// topics and break answers without asking who calls, so an address that others reach has to be asked for twice.
pub(super) fn admin(settings: &Settings) -> Result<(Option<HostPort>, bool), ConfigError> {
    let mode = settings.text("onelog.test.mode").unwrap_or("off");
    let Some(Setting { value, origin }) = settings.setting("onelog.admin.listen") else {
        let any_port = HostPort { host: "127.0.0.1".to_owned(), port: 0 };
        return Ok((Some(any_port).filter(|_| mode != "off"), mode != "off"));
    };
    let address: HostPort =
        value.parse().map_err(|what| ConfigError(format!("{origin}: onelog.admin.listen {what}")))?;
    if mode == "local" && !is_loopback(&address.host) {
        return Err(ConfigError(format!(
            "{origin}: onelog.admin.listen is {address}, which other machines may reach, and test mode lets whoever \
             reaches it delete topics and break answers; give an address of 127.0.0.1, or allow it with --test-mode=anywhere"
        )));
    }
    Ok((Some(address), mode != "off"))
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn words(list: &str) -> Vec<&str> {
    list.split(',').map(str::trim).filter(|word| !word.is_empty()).collect()
}

/// `NAME://HOST:PORT`; names are compared in upper case, as Kafka's are.
fn named(entry: &str) -> Result<(String, HostPort), String> {
    let wrong = |what: &str| format!("has \"{entry}\": {what}");
    let (name, address) = entry
        .split_once("://")
        .ok_or_else(|| wrong("give NAME://HOST:PORT, for example PLAINTEXT://127.0.0.1:9092"))?;
    Ok((name.to_ascii_uppercase(), address.parse().map_err(|what: String| wrong(&what))?))
}

/// The protocol that `map` (`NAME:PROTOCOL,..`) gives a name; a name outside it is its own protocol, as in Kafka's default map.
fn protocol_of(name: &str, map: &str) -> String {
    let mapped = words(map)
        .into_iter()
        .filter_map(|pair| pair.split_once(':'))
        .find(|(known, _)| known.trim().eq_ignore_ascii_case(name));
    mapped.map_or(name, |(_, protocol)| protocol.trim()).to_ascii_uppercase()
}
