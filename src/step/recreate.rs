//! From what the engine says of a container, the body that creates another one like it. Pure.
//!
//! A container's configuration holds what was asked for, what its image brought and what the engine filled in, all
//! mixed. Only what was asked for goes into the new one: else the environment of the old image would hide that of the
//! new one, and the address of the old container would be asked for again.

use serde_json::{Map, Value, json};

/// What creates the copy.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Copy {
    /// Of the call that creates. May hold secrets of the environment: it is never kept or shown.
    pub(super) body: Value,
    /// Networks beside the first one, which older engines take only one by one: name and settings.
    pub(super) networks: Vec<(String, Value)>,
}

/// Digits of an id that the engine uses as host name and alias.
const SHORT_ID: usize = 12;
/// Networks that know no aliases.
const PLAIN_NETWORKS: [&str; 5] = ["default", "bridge", "host", "none", "nat"];
/// Fields of an endpoint that were asked for; all others are what the engine gave.
const ENDPOINT: [&str; 5] = ["IPAMConfig", "Links", "Aliases", "DriverOpts", "GwPriority"];
/// What Compose notes of the image.
const IMAGE_LABEL: &str = "com.docker.compose.image";

/// `inspect` is the engine's JSON of the container, `old` the `Config` of the image it was made from (null where that
/// is gone), `image` the name of the new one and `image_id` what it points at.
pub(super) fn recreate(inspect: &Value, old: &Value, image: &str, image_id: &str) -> Copy {
    let short = short_id(inspect);
    let mut config = object(&inspect["Config"]);
    without_image(&mut config, old);
    if config.get("Hostname").and_then(Value::as_str) == Some(short) {
        config.remove("Hostname");
    }
    config.insert("Image".to_owned(), image.into());
    if let Some(Value::Object(labels)) = config.get_mut("Labels")
        && labels.contains_key(IMAGE_LABEL)
    {
        labels.insert(IMAGE_LABEL.to_owned(), image_id.into());
    }
    let host = host_config(inspect);
    let first = host.get("NetworkMode").and_then(Value::as_str);
    let (at_once, networks) = endpoints(inspect, first.unwrap_or_default(), short);
    config.insert("HostConfig".to_owned(), Value::Object(host));
    config.insert(
        "NetworkingConfig".to_owned(),
        json!({ "EndpointsConfig": at_once }),
    );
    Copy {
        body: Value::Object(config),
        networks,
    }
}

fn short_id(inspect: &Value) -> &str {
    let id = inspect["Id"].as_str().unwrap_or_default();
    id.get(..SHORT_ID).unwrap_or(id)
}

/// Without what is null: that is how the engine writes "not asked for".
fn object(value: &Value) -> Map<String, Value> {
    let fields = value.as_object().into_iter().flatten();
    fields
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Takes out what the image brought, so that the new image brings its own.
fn without_image(config: &mut Map<String, Value>, image: &Value) {
    config.remove("OnBuild");
    for (key, value) in std::mem::take(config) {
        let brought = &image[&key];
        let left = match (value, brought) {
            (value, brought) if value == *brought => None,
            (Value::Array(asked), Value::Array(brought)) if key == "Env" => {
                let asked = asked.into_iter().filter(|one| !brought.contains(one));
                Some(Value::Array(asked.collect()))
            }
            (Value::Object(asked), Value::Object(brought)) if key != "Healthcheck" => {
                let asked = asked.into_iter();
                let asked = asked.filter(|(name, value)| brought.get(name) != Some(value));
                Some(Value::Object(asked.collect()))
            }
            (value, _) => Some(value),
        };
        if let Some(left) = left {
            config.insert(key, left);
        }
    }
}

fn host_config(inspect: &Value) -> Map<String, Value> {
    let mut host = object(&inspect["HostConfig"]);
    // Of the terminal and of the command line that made the old one.
    host.remove("ConsoleSize");
    host.remove("ContainerIDFile");
    let carried = anonymous_volumes(inspect, &host);
    if !carried.is_empty() {
        let binds = host.entry("Binds").or_insert_with(|| json!([]));
        if let Value::Array(binds) = binds {
            binds.extend(carried.into_iter().map(Value::String));
        }
    }
    host
}

/// Volumes without a name hold data too: the new container gets the same ones, by the names that the engine gave.
fn anonymous_volumes(inspect: &Value, host: &Map<String, Value>) -> Vec<String> {
    let asked: Vec<&str> = host
        .get("Binds")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|bind| bind.as_str()?.split(':').nth(1))
        .chain(
            host.get("Mounts")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                // One without a source is anonymous: the engine would make a fresh one.
                .filter(|mount| !mount["Source"].as_str().unwrap_or_default().is_empty())
                .filter_map(|mount| mount["Target"].as_str()),
        )
        .collect();
    let mounts = inspect["Mounts"].as_array().into_iter().flatten();
    mounts
        .filter(|mount| mount["Type"] == "volume")
        .filter_map(|mount| {
            let (name, target) = (mount["Name"].as_str()?, mount["Destination"].as_str()?);
            let mode = if mount["RW"] == false { ":ro" } else { "" };
            let is_new = !name.is_empty() && !asked.contains(&target);
            is_new.then(|| format!("{name}:{target}{mode}"))
        })
        .collect()
}

/// The networks of the old one: the first for the creation, the others for afterwards.
fn endpoints(
    inspect: &Value,
    first: &str,
    short: &str,
) -> (Map<String, Value>, Vec<(String, Value)>) {
    let mut at_once = Map::new();
    let mut later = Vec::new();
    let networks = inspect["NetworkSettings"]["Networks"].as_object();
    for (name, endpoint) in networks.into_iter().flatten() {
        if PLAIN_NETWORKS.contains(&name.as_str()) {
            continue;
        }
        let mut settings = object(endpoint);
        settings.retain(|key, _| ENDPOINT.contains(&key.as_str()));
        if let Some(Value::Array(aliases)) = settings.get_mut("Aliases") {
            aliases.retain(|alias| alias != short);
        }
        if name == first {
            at_once.insert(name.clone(), Value::Object(settings));
        } else {
            later.push((name.clone(), Value::Object(settings)));
        }
    }
    (at_once, later)
}

/// Why two of it cannot run at the same time.
pub(super) fn alone(inspect: &Value) -> Option<String> {
    let host = &inspect["HostConfig"];
    let bindings = host["PortBindings"].as_object().into_iter().flatten();
    let published = bindings
        .flat_map(|(_, all)| all.as_array().into_iter().flatten())
        .find_map(|one| one["HostPort"].as_str().filter(|port| !port.is_empty()));
    if let Some(port) = published {
        return Some(format!("it publishes port {port} of this host"));
    }
    let mut mounts = inspect["Mounts"].as_array().into_iter().flatten();
    let volume = mounts.find(|mount| mount["Type"] == "volume" && mount["RW"] != false);
    if let Some(target) = volume.and_then(|mount| mount["Destination"].as_str()) {
        return Some(format!("it writes to the volume at {target}"));
    }
    let networks = inspect["NetworkSettings"]["Networks"].as_object();
    let fixed = networks.into_iter().flatten().find(|(_, endpoint)| {
        let asked = &endpoint["IPAMConfig"]["IPv4Address"];
        asked.as_str().is_some_and(|ip| !ip.is_empty())
    });
    fixed.map(|(network, _)| format!("it has a fixed address on {network}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "a1322c59d9f5aabbccddeeff00112233445566778899aabbccddeeff00112233";

    /// As engine 20.10 tells of a container that Compose made.
    fn inspect() -> Value {
        json!({
            "Id": ID,
            "Name": "/shop_server_2",
            "Image": "sha256:old",
            "Config": {
                "Hostname": "a1322c59d9f5", "Domainname": "", "User": "65534",
                "ExposedPorts": {"5000/tcp": {}}, "Tty": false,
                "Env": ["PASSWORD=secret", "PATH=/bin", "RELEASE=1"],
                "Cmd": null, "Entrypoint": ["/server"], "OnBuild": null, "Volumes": null,
                "Healthcheck": {"Test": ["CMD", "/server", "--check"], "Interval": 2_000_000_000},
                "Image": "shop/server:1", "StopTimeout": 10,
                "Labels": {
                    "com.docker.compose.service": "server",
                    "com.docker.compose.container-number": "2",
                    "com.docker.compose.image": "sha256:old",
                    "built.from": "abc",
                },
            },
            "HostConfig": {
                "Binds": ["/srv/conf:/conf:ro", "data:/data"], "NetworkMode": "shop_data",
                "ConsoleSize": [0, 0], "ContainerIDFile": "", "Memory": 134_217_728, "CapAdd": null,
                "RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0},
            },
            "Mounts": [
                {"Type": "bind", "Source": "/srv/conf", "Destination": "/conf", "RW": false},
                {"Type": "volume", "Name": "data", "Destination": "/data", "RW": true},
                {"Type": "volume", "Name": "0123abcd", "Destination": "/cache", "RW": true},
            ],
            "NetworkSettings": {"Networks": {
                "shop_edge": {
                    "Aliases": ["a1322c59d9f5", "server"], "IPAMConfig": null, "NetworkID": "9c7e",
                    "EndpointID": "3218", "IPAddress": "172.18.0.7", "MacAddress": "02:42:ac:12:00:07",
                    "DNSNames": ["shop_server_2", "a1322c59d9f5"],
                },
                "shop_data": {"Aliases": ["a1322c59d9f5", "server", "api"], "IPAddress": "172.19.0.7"},
            }},
        })
    }

    fn image() -> Value {
        json!({
            "User": "65534", "ExposedPorts": {"5000/tcp": {}}, "Env": ["PATH=/bin", "RELEASE=1"],
            "Entrypoint": ["/server"], "Labels": {"built.from": "abc"}, "Cmd": ["serve"],
        })
    }

    fn copy() -> Copy {
        recreate(&inspect(), &image(), "shop/server:2", "sha256:new")
    }

    #[test]
    fn what_was_asked_for_is_asked_for_again() {
        let body = copy().body;
        assert_eq!(body["Image"], "shop/server:2");
        assert_eq!(body["Env"], json!(["PASSWORD=secret"]));
        assert_eq!(body["StopTimeout"], 10);
        assert_eq!(body["Healthcheck"], inspect()["Config"]["Healthcheck"]);
        assert_eq!(body["HostConfig"]["Memory"], 134_217_728);
        assert_eq!(
            body["HostConfig"]["RestartPolicy"]["Name"],
            "unless-stopped"
        );
        assert_eq!(
            body["Labels"],
            json!({
                "com.docker.compose.service": "server",
                "com.docker.compose.container-number": "2",
                "com.docker.compose.image": "sha256:new",
            })
        );
    }

    #[test]
    fn what_the_image_or_the_engine_brought_is_left_out() {
        let body = copy().body;
        for key in [
            "Hostname",
            "User",
            "Entrypoint",
            "OnBuild",
            "Cmd",
            "Volumes",
            "ExposedPorts",
        ] {
            let left = &body[key];
            assert!(left.is_null() || *left == json!({}), "{key}: {left}");
        }
        for key in ["ConsoleSize", "ContainerIDFile", "CapAdd"] {
            assert!(body["HostConfig"][key].is_null(), "{key}");
        }
    }

    #[test]
    fn a_host_name_and_a_command_of_its_own_stay() {
        let mut inspect = inspect();
        inspect["Config"]["Hostname"] = json!("server-two");
        inspect["Config"]["Cmd"] = json!(["serve", "--slowly"]);
        let body = recreate(&inspect, &image(), "x", "y").body;
        assert_eq!(body["Hostname"], "server-two");
        assert_eq!(body["Cmd"], json!(["serve", "--slowly"]));
    }

    #[test]
    fn without_the_old_image_everything_is_kept_rather_than_lost() {
        let body = recreate(&inspect(), &Value::Null, "x", "y").body;
        assert_eq!(body["Env"].as_array().unwrap().len(), 3);
        assert_eq!(body["Entrypoint"], json!(["/server"]));
        assert_eq!(body["Labels"]["built.from"], "abc");
    }

    #[test]
    fn networks_keep_their_aliases_and_no_address() {
        let copy = copy();
        let first = &copy.body["NetworkingConfig"]["EndpointsConfig"];
        assert_eq!(*first, json!({"shop_data": {"Aliases": ["server", "api"]}}));
        assert_eq!(
            copy.networks,
            [("shop_edge".to_owned(), json!({"Aliases": ["server"]}))]
        );
    }

    #[test]
    fn a_host_network_is_joined_by_its_mode_alone() {
        let mut inspect = inspect();
        inspect["HostConfig"]["NetworkMode"] = json!("host");
        inspect["NetworkSettings"]["Networks"] = json!({"host": {"Aliases": null}});
        let copy = recreate(&inspect, &image(), "x", "y");
        assert_eq!(copy.body["NetworkingConfig"]["EndpointsConfig"], json!({}));
        assert!(copy.networks.is_empty());
    }

    #[test]
    fn volumes_without_a_name_are_carried_over() {
        let binds = copy().body["HostConfig"]["Binds"].clone();
        assert_eq!(
            binds,
            json!(["/srv/conf:/conf:ro", "data:/data", "0123abcd:/cache"])
        );
        let mut inspect = inspect();
        inspect["HostConfig"]["Binds"] = Value::Null;
        inspect["HostConfig"]["Mounts"] =
            json!([{"Type": "volume", "Source": "data", "Target": "/data"}, {"Target": "/cache"}]);
        inspect["Mounts"][2]["RW"] = json!(false);
        let body = recreate(&inspect, &image(), "x", "y").body;
        assert_eq!(body["HostConfig"]["Binds"], json!(["0123abcd:/cache:ro"]));
    }

    #[test]
    fn two_at_once_need_nothing_that_only_one_can_have() {
        assert!(alone(&inspect()).unwrap().contains("/data"));
        let mut free = inspect();
        free["Mounts"] = json!([{"Type": "bind", "Destination": "/conf", "RW": true}]);
        assert_eq!(alone(&free), None);
        let mut published = free.clone();
        published["HostConfig"]["PortBindings"] =
            json!({"5000/tcp": [{"HostIp": "", "HostPort": ""}, {"HostPort": "5000"}]});
        assert!(alone(&published).unwrap().contains("5000"));
        let mut fixed = free;
        fixed["NetworkSettings"]["Networks"]["shop_edge"]["IPAMConfig"] =
            json!({"IPv4Address": "172.18.0.50"});
        assert!(alone(&fixed).unwrap().contains("shop_edge"));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-z/:=]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            let key = prop_oneof![
                "[a-z]{1,4}",
                prop::sample::select(vec![
                    "Env",
                    "Labels",
                    "Aliases",
                    "Binds",
                    "Networks",
                    "Id",
                    "NetworkMode"
                ])
                .prop_map(str::to_owned),
            ];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(key, inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// Look-alikes of the engine send anything; the copy names its image and never what the old one was given.
        #[test]
        fn no_reply_is_a_surprise(
            config in any_json(), host in any_json(), networks in any_json(), mounts in any_json(), image in any_json(),
        ) {
            let inspect = json!({
                "Id": ID, "Config": config, "HostConfig": host, "Mounts": mounts,
                "NetworkSettings": {"Networks": networks},
            });
            let copy = recreate(&inspect, &image, "x", "y");
            prop_assert_eq!(&copy.body["Image"], "x");
            let again = copy.body.to_string();
            prop_assert!(!again.contains("IPAddress") && !again.contains("EndpointID"));
            alone(&inspect);
        }

        /// Asking for what was made from the copy gives the same copy: replacing often changes nothing more.
        #[test]
        fn a_copy_of_a_copy_is_the_copy(asked in prop::collection::btree_set("[A-Z]{1,3}=[a-z]{0,2}", 0..6)) {
            let mut inspect = inspect();
            let brought = image()["Env"].as_array().unwrap().clone();
            let env: Vec<Value> = asked.iter().map(|one| json!(one)).chain(brought).collect();
            inspect["Config"]["Env"] = json!(env);
            let first = recreate(&inspect, &image(), "x", "y");
            let mut made = inspect.clone();
            for (key, value) in first.body.as_object().unwrap() {
                made["Config"][key] = value.clone();
            }
            made["HostConfig"] = first.body["HostConfig"].clone();
            made["Config"].as_object_mut().unwrap().remove("HostConfig");
            made["Config"].as_object_mut().unwrap().remove("NetworkingConfig");
            let second = recreate(&made, &image(), "x", "y");
            prop_assert_eq!(first.body["Env"].clone(), second.body["Env"].clone());
            prop_assert_eq!(first.body["HostConfig"].clone(), second.body["HostConfig"].clone());
        }
    }
}
