//! The gateway's list of servers as it lies on disk: a directory of files that nginx would include, read as nginx reads it.

use std::io;
use std::path::{Path, PathBuf};

use super::voice::Network;
use super::world::Servers;

/// The directory that the gateway includes.
const DIRECTORY: &str = "gateway/upstream";
const DEFAULT: &str = "gateway/upstream.default";
const FILE: &str = "api.conf";
/// The variable that every list defines.
const VARIABLE: &str = "$api";
/// What everybody of the service is called.
const NAME: &str = "server:5000";
/// A list of some servers.
const BYTES_MAX: u64 = 256 * 1024;
/// What a server answers without a login, through the gateway and at its own address.
const HEALTH: &str = "/api/health";

const DEFAULT_TEXT: &str =
    "# Where /api/ goes. `map` from nothing is nginx's way to name a constant.
map \"\" $api {
    default server:5000;
}
";

/// Puts the default there, whatever an earlier range left behind.
pub(super) fn prepare(dir: &Path) -> io::Result<()> {
    let directory = dir.join(DIRECTORY);
    match std::fs::remove_dir_all(&directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    std::fs::create_dir_all(&directory)?;
    std::fs::write(dir.join(DEFAULT), DEFAULT_TEXT)?;
    std::fs::write(directory.join(FILE), DEFAULT_TEXT)
}

/// What the configuration of a console says of it.
pub(super) fn config_toml(dir: &Path, port: u16) -> String {
    let path = |name: &str| toml::Value::String(dir.join(name).display().to_string());
    format!(
        "\n[gateway.upstream]\ndirectory = {}\nfile = \"{FILE}\"\ndefault = {}\nservice = \"server\"\nport = {port}\nvariable = \"{}\"\ntest = [\"nginx\", \"-t\", \"-q\"]\nin_flight_limit = \"15 s\"\npath = \"{HEALTH}\"\nhealth = \"{HEALTH}\"\n",
        path(DIRECTORY),
        path(DEFAULT),
        VARIABLE.trim_start_matches('$'),
    )
}

/// Reads every `*.conf` of the directory; a complaint is in nginx' words.
pub(super) fn read(dir: &Path, network: Network) -> Result<Servers, String> {
    let directory = dir.join(DIRECTORY);
    let unreadable = |error: io::Error| format!("open() \"{DIRECTORY}\" failed ({error})");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&directory)
        .map_err(unreadable)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|end| end == "conf"))
        .collect();
    files.sort();
    let mut text = String::new();
    for file in files {
        use std::io::Read;
        let opened = std::fs::File::open(&file).map_err(unreadable)?;
        let mut bytes = opened.take(BYTES_MAX);
        bytes.read_to_string(&mut text).map_err(unreadable)?;
        text.push('\n');
    }
    parse(&text, network)
}

fn parse(text: &str, network: Network) -> Result<Servers, String> {
    let words = words(text);
    let mut words = words.iter().map(String::as_str);
    let mut upstreams: Vec<(String, Vec<u8>)> = Vec::new();
    let mut goes_to = None;
    while let Some(word) = words.next() {
        match word {
            "upstream" => {
                let name = words.next().unwrap_or_default().to_owned();
                let hosts = upstream(&mut words, network)?;
                if hosts.is_empty() {
                    return Err(format!("no servers are inside upstream \"{name}\""));
                }
                upstreams.push((name, hosts));
            }
            "map" => {
                let (_, variable) = (words.next(), words.next().unwrap_or_default());
                let value = map(&mut words)?;
                if variable == VARIABLE {
                    goes_to = Some(value);
                }
            }
            other => return Err(format!("unknown directive \"{other}\"")),
        }
    }
    let goes_to = goes_to.ok_or_else(|| "unknown \"api\" variable".to_owned())?;
    if goes_to == NAME {
        return Ok(Servers::ByName);
    }
    let listed = upstreams.into_iter().find(|(name, _)| *name == goes_to);
    // A name that nobody knows is noticed at the first request, not before.
    Ok(Servers::Listed(
        listed.map(|(_, hosts)| hosts).unwrap_or_default(),
    ))
}

fn upstream<'w>(
    words: &mut impl Iterator<Item = &'w str>,
    network: Network,
) -> Result<Vec<u8>, String> {
    expected(words.next(), "{")?;
    let mut hosts = Vec::new();
    loop {
        match words.next() {
            Some("}") => return Ok(hosts),
            Some("server") => {
                let address = words.next().unwrap_or_default();
                // An address of another network is one where nobody answers.
                hosts.extend(host(address, network)?);
                until_semicolon(words)?;
            }
            Some("keepalive") => until_semicolon(words)?,
            Some(other) => return Err(format!("unknown directive \"{other}\"")),
            None => return Err(END.to_owned()),
        }
    }
}

const END: &str = "unexpected end of file, expecting \"}\"";

fn host(address: &str, network: Network) -> Result<Option<u8>, String> {
    let wrong = || format!("host not found in upstream \"{address}\"");
    let (ip, port) = address.split_once(':').ok_or_else(wrong)?;
    let ip: std::net::Ipv4Addr = ip.parse().map_err(|_| wrong())?;
    port.parse::<u16>()
        .map_err(|_| format!("invalid port in upstream \"{address}\""))?;
    let [.., host] = ip.octets();
    Ok((network.address(host) == ip).then_some(host))
}

fn map<'w>(words: &mut impl Iterator<Item = &'w str>) -> Result<String, String> {
    expected(words.next(), "{")?;
    expected(words.next(), "default")?;
    let value = words.next().unwrap_or_default().to_owned();
    expected(words.next(), ";")?;
    expected(words.next(), "}")?;
    Ok(value)
}

fn until_semicolon<'w>(words: &mut impl Iterator<Item = &'w str>) -> Result<(), String> {
    for word in words {
        match word {
            ";" => return Ok(()),
            "{" | "}" => return Err(format!("unexpected \"{word}\"")),
            _ => {}
        }
    }
    Err(END.to_owned())
}

fn expected(word: Option<&str>, wanted: &str) -> Result<(), String> {
    match word {
        Some(word) if word == wanted => Ok(()),
        Some(word) => Err(format!("unexpected \"{word}\", expecting \"{wanted}\"")),
        None => Err(END.to_owned()),
    }
}

/// Words and signs, without comments.
fn words(text: &str) -> Vec<String> {
    let code = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or(""));
    let spaced = code.map(|line| {
        line.replace('{', " { ")
            .replace('}', " } ")
            .replace(';', " ; ")
    });
    let words = spaced.map(|line| {
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    });
    words.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETWORK: Network = Network([127, 7, 9]);

    #[track_caller]
    fn refused(text: &str, complaint: &str) {
        assert_eq!(parse(text, NETWORK), Err(complaint.to_owned()), "{text}");
    }

    #[test]
    fn the_default_names_everybody_and_a_list_names_some() {
        assert_eq!(parse(DEFAULT_TEXT, NETWORK), Ok(Servers::ByName));
        let list = "# drained: server-2\nupstream listed {\n server 127.7.9.21:5000 max_fails=0; # server-1\n\
                    server 127.7.9.23:5000 max_fails=0;keepalive 32; }\nmap \"\" $api { default listed; }";
        assert_eq!(parse(list, NETWORK), Ok(Servers::Listed(vec![21, 23])));
        let elsewhere = "upstream u { server 127.7.9.21:5000; server 10.0.0.1:5000; } map \"\" $api{default u;}";
        assert_eq!(parse(elsewhere, NETWORK), Ok(Servers::Listed(vec![21])));
        let nobody = "map \"\" $api { default nobody; }";
        assert_eq!(parse(nobody, NETWORK), Ok(Servers::Listed(Vec::new())));
    }

    #[test]
    fn what_nginx_refuses_is_refused_in_its_words() {
        refused("", "unknown \"api\" variable");
        refused("nonsense;", "unknown directive \"nonsense\"");
        refused("upstream a { }", "no servers are inside upstream \"a\"");
        refused(
            "upstream a { server x:1; }",
            "host not found in upstream \"x:1\"",
        );
        refused("upstream a { server 127.7.9.21:5000", END);
        refused(
            "map \"\" $api { default a }",
            "unexpected \"}\", expecting \";\"",
        );
    }
}
