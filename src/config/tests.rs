//! The file format as a table of mistakes, and the order in which flags, variables and files have their say.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::domain::{
    BackupSource, CertificateAt, Environment, SecretPlace, Thresholds, TrafficSpec,
};

const STACK: &str = "[stack]\nname = \"a\"\n";

fn parse(text: &str) -> Result<File, Problems> {
    file::parse(Path::new("q.toml"), Path::new("/conf"), text)
}

/// One of `mistakes.txt`: where, what is pointed at, what is said, and what to write instead.
#[track_caller]
fn check(heading: &str, text: &str) {
    let (prefix, heading) = match heading.strip_prefix('#') {
        Some(heading) => ("", heading),
        None => (STACK, heading),
    };
    let fields: Vec<&str> = heading.split('|').map(str::trim).collect();
    let [place, marked, says, remedy] = fields[..] else {
        panic!("four fields are wanted: {heading}");
    };
    let problems = parse(&format!("{prefix}{text}")).expect_err(text);
    assert_eq!(problems.all.len(), 1, "{text}\n{problems}");
    let problem = &problems.all[0];
    let line = problem.line - prefix.lines().count();
    assert_eq!(
        format!("{line}:{}", problem.column),
        place,
        "{text}\n{problem}"
    );
    assert_eq!(problem.text, marked, "{text}\n{problem}");
    assert!(
        problem.says.contains(says),
        "{text}\nnot: {says}\n{problem}"
    );
    assert!(
        problem.remedy.contains(remedy),
        "{text}\nnot: {remedy}\n{problem}"
    );
}

#[test]
fn every_mistake_is_pointed_at_named_and_has_its_remedy() {
    let mistakes = include_str!("mistakes.txt").split("\n#").skip(1);
    let mut checked = 0;
    for mistake in mistakes {
        let (heading, text) = mistake.split_once('\n').unwrap();
        check(heading, text.trim_end());
        checked += 1;
    }
    assert!(checked >= 80, "{checked}");
}

#[test]
fn credentials_are_refused_with_the_remedy_and_never_repeated() {
    let cases = [
        (
            "[prometheus]\nurl = \"http://admin:hunter2@p:9090\"",
            "token = { file",
        ),
        (
            "[prometheus]\nurl = \"http://p:9090/?token=hunter2\"",
            "token = { file",
        ),
        (
            "[prometheus]\nurl = \"http://p\"\ntoken = \"hunter2\"",
            "{ env = \"NAME\" }",
        ),
        (
            "[prometheus]\nurl = \"http://p\"\ntoken = { env = \"hunter2-\" }",
            "variable's name",
        ),
        (
            "[prometheus]\nurl = \"http://p\"\ntoken = { value = \"hunter2\" }",
            "{ file = \"path\" }",
        ),
        (
            "[[endpoint]]\nurl = \"https://me:hunter2@h/\"",
            "holds no password",
        ),
        (
            "[[endpoint]]\nurl = \"https://me:hun/hunter2@h/\"",
            "holds no password",
        ),
        (
            "[gateway]\nurl = \"https://me:hunter2@h/\"",
            "holds no password",
        ),
        ("[engine]\naddress = \"tcp://me:hunter2@h:2376\"", "tls_dir"),
        ("[engine]\naddress = \"ssh://me:hunter2@h\"", "agent"),
        ("pin = \"hunter2\"", "known here"),
        ("password = hunter2", "in quotes"),
        (
            "[prometheus]\nbearer = { x = \"hunter2\" }\nurl = \"http://p\"",
            "known here",
        ),
    ];
    for (text, remedy) in cases {
        let problems = parse(&format!("{STACK}{text}")).expect_err(text);
        let shown = problems.to_string();
        assert!(shown.contains(remedy), "{text}\n{shown}");
        assert!(
            !format!("{shown}{problems:?}").contains("hunter2"),
            "{text}\n{shown}"
        );
    }
}

#[test]
fn all_problems_of_a_file_are_told_at_once_in_their_order() {
    let text = "[stack]\nname = 3\nenvironmnt = \"x\"\n[[service]]\nreplicas = \"3\"\n[nope]\n[thresholds]\nerrors = 9\n";
    let problems = parse(text).unwrap_err();
    let lines: Vec<usize> = problems.all.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [2, 3, 4, 5, 6, 8], "{problems}");
    insta::assert_snapshot!(problems);
}

#[test]
fn a_missing_quote_does_not_hide_the_other_problems() {
    let problems = parse("[stack]\nname = a\nenvironment = \"prod\"\nreplica = 3\n").unwrap_err();
    let lines: Vec<usize> = problems.all.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [2, 3, 4], "{problems}");
}

#[test]
fn a_thousand_problems_are_counted_and_a_hundred_shown() {
    let lines: Vec<String> = (0..1000).map(|n| format!("nonsense{n} = 1")).collect();
    let problems = parse(&lines.join("\n")).unwrap_err();
    assert_eq!((problems.all.len(), problems.more), (100, 900));
    assert!(
        problems
            .to_string()
            .ends_with("1000 problems, 900 of them not shown; nothing was changed")
    );
}

#[test]
fn an_empty_file_is_no_stack_and_no_problem() {
    let file = parse("").unwrap();
    assert_eq!((file.stack, file.address), (None, None));
    assert!(parse("[screen]\nmouse = true\n").unwrap().mouse);
}

#[test]
fn the_defaults_of_the_file_are_those_of_the_domain() {
    let stack = parse(STACK).unwrap().stack.unwrap();
    assert_eq!(stack.thresholds, Thresholds::default());
    assert_eq!(
        stack.environment,
        Environment::Production,
        "as careful as can be"
    );
    assert_eq!(stack.disks, [PathBuf::from("/")]);
    assert!(stack.services.is_empty() && stack.endpoints.is_empty() && stack.traffic.is_empty());
}

const EXAMPLE: &str = include_str!("../../assets/quarterdeck.example.toml");

#[test]
fn the_example_shows_every_key_and_has_no_problem() {
    let file = parse(EXAMPLE).unwrap_or_else(|problems| panic!("{problems}"));
    for (title, keys) in &reader::TABLES[1..] {
        assert!(EXAMPLE.contains(&format!("\n{title}")), "{title}");
        for key in *keys {
            assert!(
                EXAMPLE
                    .lines()
                    .any(|line| line.starts_with(&format!("{key} = "))
                        || line.ends_with(&format!(".{key}]"))),
                "{key} of {title}"
            );
        }
    }
    let stack = file.stack.unwrap();
    assert_eq!(stack.services.len(), 4);
    assert_eq!(stack.traffic.len(), 3);
    assert_eq!(stack.endpoints.len(), 3, "the gateway's own is added");
    assert_eq!(
        stack.certificates.len(),
        2,
        "the gateway's own is the first one, and not there twice"
    );
    assert_eq!(
        stack.certificates[0].at,
        CertificateAt::Endpoint(Clean::from("localhost:8443"))
    );
    assert_eq!(
        stack.certificates[1].at,
        CertificateAt::File(PathBuf::from("/conf/certs/client.pem"))
    );
    assert_eq!(stack.backups[0].age_max, Duration::from_hours(26));
    assert_eq!(
        stack.thresholds,
        Thresholds::default(),
        "the example shows the defaults"
    );
    assert_eq!(
        file.prometheus_token,
        Some(SecretRef::File(PathBuf::from(
            "/etc/quarterdeck/prometheus.token"
        )))
    );
}

#[test]
fn a_backup_that_is_made_here_knows_its_stores_keys_and_promises() {
    let stack = parse(EXAMPLE).unwrap().stack.unwrap();
    let app = stack.backup("app").unwrap();
    assert_eq!(app.pattern.as_str(), "app-*");
    assert_eq!(app.age_max, Duration::from_hours(26));
    assert_eq!(app.rto, Some(Duration::from_mins(15)));
    assert_eq!((app.keep.daily, app.keep.min), (7, 3));
    let stores: Vec<&str> = app.stores.iter().map(|store| store.url.as_str()).collect();
    assert_eq!(stores, ["file:///var/backups/app", "s3://bucket/app"]);
    assert!(matches!(
        &app.source,
        Some(BackupSource::Postgres { user, password: Some(_), .. }) if user.as_str() == "postgres"
    ));
    let offsite = app.store("offsite").unwrap();
    assert!(
        matches!(&offsite.access_key, Some(SecretPlace::Env(name)) if name == "BACKUP_ACCESS_KEY")
    );
}

#[track_caller]
fn refused_backup(lines: &str, why: &str) {
    let bare = "[[backup]]\ntarget = \"p\"\ndirectory = \"b\"\n";
    let problems = parse(&format!("{STACK}{bare}{lines}")).unwrap_err();
    let said = problems.to_string();
    assert!(said.contains(why), "{said}");
}

#[test]
fn a_backup_that_cannot_be_made_so_is_refused() {
    refused_backup("", "`pattern` is missing");
    refused_backup("service = \"s\"", "`database` is missing");
    refused_backup("pattern = \"*\"\ndatabase = \"d\"", "`service` is missing");
    refused_backup(
        "service = \"s\"\ndatabase = \"d\"\nrpo = \"1 h\"\nage_max = \"1 h\"",
        "the same promise",
    );
    refused_backup(
        "service = \"s\"\ndatabase = \"d\"\npassword = \"hunter2\"",
        "secrets stay out of this file",
    );
    let store = |url: &str| {
        format!(
            "service = \"s\"\ndatabase = \"d\"\n[[backup.store]]\nname = \"o\"\nurl = \"{url}\""
        )
    };
    refused_backup(&store("ftp://x/y"), "this kind of store is not known");
    refused_backup(&store("file:///a/../etc"), "without `..`");
    refused_backup(&store("s3://key:word@bucket/x"), "credentials");
}

#[test]
fn the_example_shows_the_values_that_hold_by_default() {
    let set = parse(EXAMPLE).unwrap().settings;
    let bare = "[[service]]\nname = \"s\"\n[[traffic]]\nkind = \"metrics\"\nservice = \"s\"\nport = 1\n[[endpoint]]\nurl = \"http://h\"\n\
                [[certificate]]\nendpoint = \"h:1\"\n[[backup]]\ntarget = \"p\"\ndirectory = \"b\"\npattern = \"*\"\n";
    let defaults = parse(&format!("{STACK}{bare}")).unwrap().settings;
    let mut compared = 0;
    for setting in defaults
        .iter()
        .filter(|setting| setting.origin == Origin::Default && !setting.key.starts_with("disk"))
    {
        let key = setting.key.replace("service[1]", "service[2]");
        assert_eq!(
            set.get(&key).map(|s| &s.value),
            Some(&setting.value),
            "{key}"
        );
        compared += 1;
    }
    assert!(compared > 20, "{compared}");
}

#[test]
fn a_gateways_url_is_watched_without_being_listed() {
    let stack = parse(&format!(
        "{STACK}[gateway]\nservice = \"g\"\nurl = \"https://[::1]/\"\nca_file = \"ca.pem\"\n"
    ))
    .unwrap()
    .stack
    .unwrap();
    assert_eq!(stack.gateway.as_deref(), Some("g"));
    assert_eq!((stack.endpoints.len(), stack.certificates.len()), (1, 1));
    assert_eq!(
        stack.certificates[0].at,
        CertificateAt::Endpoint(Clean::from("[::1]:443"))
    );
    assert_eq!(
        stack.endpoints[0].ca_file,
        Some(PathBuf::from("/conf/ca.pem"))
    );
    let plain = parse(&format!("{STACK}[gateway]\nurl = \"http://h:8080/\"\n"))
        .unwrap()
        .stack
        .unwrap();
    assert_eq!((plain.endpoints.len(), plain.certificates.len()), (1, 0));
}

#[test]
fn traffic_takes_what_it_needs_from_the_other_tables() {
    let text = "[gateway]\nservice = \"g\"\n[prometheus]\nurl = \"http://p:9090\"\n[[traffic]]\nkind = \"prometheus\"\nservice = \"s\"\n\
                [[traffic]]\nkind = \"access-log\"\nservice = \"s\"\n";
    let stack = parse(&format!("{STACK}{text}")).unwrap().stack.unwrap();
    let named = stack.traffic.iter().map(|spec| match spec {
        TrafficSpec::Prometheus { url, .. } => url.as_str(),
        TrafficSpec::AccessLog { gateway, .. } => gateway.as_str(),
        TrafficSpec::Metrics { path, .. } => path.as_str(),
    });
    assert_eq!(named.collect::<Vec<_>>(), ["http://p:9090", "g"]);
}

#[test]
fn encodings_are_accepted_or_named() {
    assert!(
        check_bytes(b"\xef\xbb\xbf[stack]\nname = \"a\"\n").is_ok(),
        "a byte order mark is no problem"
    );
    let problem = check_bytes(b"[stack]\nname = \"gr\xf6\xdfe\"\n")
        .unwrap_err()
        .all
        .remove(0);
    assert_eq!(
        (problem.line, problem.column, problem.text.as_str()),
        (2, 11, "\\xF6")
    );
    assert!(problem.remedy.contains("UTF-8"));
    let wide = check_bytes(b"\xff\xfe[\0s\0").unwrap_err().all.remove(0);
    assert!(wide.says.contains("UTF-16"), "{wide}");
}

fn check_bytes(bytes: &[u8]) -> Result<(), Problems> {
    super::check(Path::new("/conf/q.toml"), bytes)
}

#[test]
fn a_megabyte_on_one_line_is_read_in_no_time() {
    let started = std::time::Instant::now();
    let one = "{name=\"s\",x=1},";
    let items = one.repeat(1_000_000 / one.len());
    let problems = parse(&format!("service = [{items}]\n")).unwrap_err();
    assert_eq!(problems.all.len(), 100);
    parse(&format!("{}\n", "[".repeat(500_000))).unwrap_err();
    parse(&"a\n".repeat(500_000)).unwrap_err();
    parse(&"a.".repeat(500_000)).unwrap_err();
    // Unoptimised and on a shared machine; squared work would take minutes.
    assert!(
        started.elapsed() < Duration::from_secs(30),
        "{:?}",
        started.elapsed()
    );
}

fn yard(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    fs::write(&path, text).unwrap();
    (dir, path)
}

fn named(name: &str) -> String {
    format!("[stack]\nname = \"{name}\"\n")
}

fn stack_name(config: &Config) -> Option<&str> {
    config.stack.as_ref().map(|stack| stack.name.as_str())
}

#[test]
fn the_first_file_in_the_order_is_read_and_no_other() {
    let (flag, flag_path) = yard(&named("flag"));
    let (_variable, variable_path) = yard(&named("variable"));
    let (here, _) = yard(&named("here"));
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("quarterdeck")).unwrap();
    fs::write(
        home.path().join("quarterdeck").join(FILE_NAME),
        named("home"),
    )
    .unwrap();
    let (variable, xdg) = (
        variable_path.to_str().unwrap(),
        home.path().to_str().unwrap(),
    );
    let flags = Flags {
        config: Some(flag_path.clone()),
        ..Flags::default()
    };
    let both = Env::of([("QUARTERDECK_CONFIG", variable), ("XDG_CONFIG_HOME", xdg)]);
    let load = |flags: &Flags, env: &Env, dir: &Path| Config::load(flags, env, dir).unwrap();
    assert_eq!(stack_name(&load(&flags, &both, here.path())), Some("flag"));
    assert_eq!(
        stack_name(&load(&Flags::default(), &both, here.path())),
        Some("variable")
    );
    let xdg = Env::of([("XDG_CONFIG_HOME", xdg)]);
    assert_eq!(
        stack_name(&load(&Flags::default(), &xdg, here.path())),
        Some("here")
    );
    let elsewhere = tempfile::tempdir().unwrap();
    let config = load(&Flags::default(), &xdg, elsewhere.path());
    assert_eq!(stack_name(&config), Some("home"));
    assert_eq!(
        config.file,
        Some(home.path().join("quarterdeck").join(FILE_NAME))
    );
    let relative = Flags {
        config: Some(PathBuf::from("./quarterdeck.toml")),
        ..Flags::default()
    };
    assert_eq!(load(&relative, &both, flag.path()).file, Some(flag_path));
}

#[test]
fn without_a_file_the_stack_is_discovered() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config::load(&Flags::default(), &Env::of([]), dir.path()).unwrap();
    assert!(config.stack.is_none() && config.file.is_none());
    assert_eq!(
        config.engine.address.to_string(),
        "unix:///var/run/docker.sock"
    );
    assert_eq!(config.permissions(0), []);
}

#[test]
fn a_file_that_was_named_must_be_there_and_be_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let load = |path: &Path| {
        let flags = Flags {
            config: Some(path.to_owned()),
            ..Flags::default()
        };
        Config::load(&flags, &Env::of([]), dir.path()).unwrap_err()
    };
    let missing = load(&dir.path().join("none.toml"));
    assert!(
        matches!(
            missing,
            ConfigError::Missing {
                said_by: "--config",
                ..
            }
        ),
        "{missing}"
    );
    assert!(matches!(load(dir.path()), ConfigError::NotAFile { .. }));
    let large = dir.path().join("large.toml");
    fs::File::create(&large)
        .unwrap()
        .set_len(100 << 20)
        .unwrap();
    assert!(matches!(load(&large), ConfigError::TooLarge { .. }));
}

#[test]
fn a_broken_file_is_not_passed_over_for_the_next() {
    let (dir, path) = yard("[stack");
    let error = Config::load(&Flags::default(), &Env::of([]), dir.path()).unwrap_err();
    assert_eq!(error.problems().len(), 1);
    assert!(
        error
            .to_string()
            .contains(&format!("{}:1:", path.display())),
        "{error}"
    );
}

#[track_caller]
fn check_origin(config: &Config, key: &str, value: &str, origin: &str) {
    let setting = config
        .settings
        .get(key)
        .unwrap_or_else(|| panic!("no {key}"));
    assert_eq!(
        (setting.value.as_str(), setting.origin.to_string().as_str()),
        (value, origin),
        "{key}"
    );
}

#[test]
fn every_value_knows_who_set_it() {
    let (dir, path) = yard(
        "[stack]\nname = \"a\"\n[thresholds]\nerrors = \"2 %\"\n[screen]\ntheme = \"night\"\n",
    );
    let env = Env::of([
        ("DOCKER_HOST", "tcp://10.0.0.7:2376"),
        ("DOCKER_CERT_PATH", "/certs"),
        ("QUARTERDECK_ASCII", "1"),
        ("NO_COLOR", "1"),
    ]);
    let config = Config::load(&Flags::default(), &env, dir.path()).unwrap();
    let at = |line: u32| format!("{}:{line}", path.display());
    check_origin(&config, "stack.name", "\"a\"", &at(2));
    check_origin(&config, "stack.environment", "\"production\"", "default");
    check_origin(&config, "thresholds.errors", "\"2 %\"", &at(4));
    check_origin(&config, "screen.theme", "\"night\"", &at(6));
    check_origin(
        &config,
        "screen.ascii",
        "\"1\"",
        "environment QUARTERDECK_ASCII",
    );
    check_origin(&config, "screen.colors", "\"none\"", "environment NO_COLOR");
    check_origin(
        &config,
        "engine.address",
        "\"tcp://10.0.0.7:2376\"",
        "environment DOCKER_HOST",
    );
    check_origin(
        &config,
        "engine.tls_dir",
        "\"/certs\"",
        "environment DOCKER_CERT_PATH",
    );
    assert_eq!(config.engine.tls_dir, Some(PathBuf::from("/certs")));
    assert!(config.screen.ascii && config.screen.colors == Colors::Off);
    let keys: std::collections::BTreeSet<&str> =
        config.settings.iter().map(|s| s.key.as_str()).collect();
    assert_eq!(
        keys.len(),
        config.settings.iter().count(),
        "every key is there once"
    );
    let flags = Flags {
        theme: Some("day".to_owned()),
        host: Some("ssh://deploy@prod".to_owned()),
        ..Flags::default()
    };
    let config = Config::load(&flags, &env, dir.path()).unwrap();
    check_origin(&config, "screen.theme", "\"day\"", "flag --theme");
    check_origin(
        &config,
        "engine.address",
        "\"ssh://deploy@prod\"",
        "flag --host",
    );
    assert_eq!(config.engine.tls_dir, None, "ssh has its own keys");
}

#[test]
fn the_file_names_the_engine_before_docker_host_does() {
    let (dir, _) = yard("[engine]\naddress = \"ssh://prod\"\n");
    let env = Env::of([("DOCKER_HOST", "nonsense")]);
    let config = Config::load(&Flags::default(), &env, dir.path()).unwrap();
    assert_eq!(config.engine.address.to_string(), "ssh://prod");
    assert!(config.stack.is_none());
}

#[test]
fn variables_and_flags_are_judged_like_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let env = Env::of([
        ("DOCKER_HOST", "tcp://me:hunter2@h:2376"),
        ("QUARTERDECK_ASCII", "banana"),
        ("QUARTERDECK_THEME", "\x1b[31m"),
    ]);
    let error = Config::load(&Flags::default(), &env, dir.path()).unwrap_err();
    assert_eq!(error.problems().len(), 3);
    let shown = error.to_string();
    for part in [
        "environment variable DOCKER_HOST: credentials",
        "environment variable QUARTERDECK_ASCII",
        "set it to 1, 0 or auto",
        "^[[31m",
    ] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    assert!(
        !shown.contains("hunter2") && !shown.contains('\x1b'),
        "{shown}"
    );
}

#[test]
fn origins_stand_in_a_column() {
    let (dir, _) = yard(STACK);
    let config = Config::load(&Flags::default(), &Env::of([]), dir.path()).unwrap();
    let table = config.settings.table(true);
    let columns: std::collections::BTreeSet<usize> =
        table.lines().filter_map(|line| line.find("  # ")).collect();
    assert_eq!(columns.len(), 1, "{table}");
    assert!(!config.settings.table(false).contains('#'));
}

#[test]
fn secrets_are_shown_by_where_they_lie() {
    let (dir, _) = yard(&format!(
        "{STACK}[prometheus]\nurl = \"http://p\"\ntoken = {{ env = \"PROM\" }}\n"
    ));
    let config = Config::load(&Flags::default(), &Env::of([]), dir.path()).unwrap();
    assert_eq!(
        config.prometheus_token,
        Some(SecretRef::Env("PROM".to_owned()))
    );
    assert_eq!(
        config.settings.get("prometheus.token").unwrap().value,
        "{ env = \"PROM\" }"
    );
}

/// Text that looks like a configuration, so that random tests get behind the parser.
fn nearly_toml() -> impl Strategy<Value = String> {
    let keys = reader::TABLES
        .iter()
        .flat_map(|(_, keys)| keys.iter().copied())
        .collect::<Vec<_>>();
    let titles = reader::TABLES[1..]
        .iter()
        .map(|(title, _)| *title)
        .collect::<Vec<_>>();
    let values = vec![
        "\"a\"",
        "3",
        "-1",
        "0.5",
        "true",
        "[]",
        "{}",
        "[1, \"a\"]",
        "1979-05-27",
        "\"https://u:p@h\"",
        "\"5 %\"",
        "\"5 s\"",
        "'日本'",
        "\"\\u202e\"",
        "inf",
        "0xffffffffffffffffffff",
        "{ file = \"x\" }",
        "\"\"",
        "99999999999999999999",
        "[[[]]]",
        "{ a = { b = 1 } }",
        "x",
        "\"",
    ];
    let line = prop_oneof![
        3 => (proptest::sample::select(keys), proptest::sample::select(values)).prop_map(|(key, value)| format!("{key} = {value}\n")),
        2 => proptest::sample::select(titles).prop_map(|title| format!("{title}\n")),
        1 => "\\PC{0,12}\n",
    ];
    proptest::collection::vec(line, 0..25).prop_map(|lines| lines.concat())
}

fn is_calm(problems: &Problems) -> bool {
    let shown = problems.to_string();
    shown.chars().all(|c| c == '\n' || !c.is_control())
        && problems
            .all
            .iter()
            .all(|p| !p.remedy.is_empty() && !p.says.is_empty() && p.column > 0)
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused_calmly(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Err(problems) = check_bytes(&bytes) {
            prop_assert!(is_calm(&problems) && !problems.is_empty());
        }
    }

    #[test]
    fn anything_like_a_configuration_is_read_or_refused_calmly(text in nearly_toml()) {
        if let Err(problems) = parse(&text) {
            prop_assert!(is_calm(&problems) && !problems.is_empty(), "{problems}");
        }
    }

    #[test]
    fn any_value_of_any_variable_is_taken_or_refused_calmly(value in any::<String>(), name in proptest::sample::select(VARIABLES.to_vec())) {
        let dir = Path::new("/nonexistent");
        if let Err(ConfigError::Problems(problems)) = Config::load(&Flags::default(), &Env::of([(name, &value)]), dir) {
            prop_assert!(is_calm(&problems), "{problems}");
        }
    }
}

#[test]
fn the_journal_lies_where_it_is_said_and_its_password_elsewhere() {
    let file = |text: &str| parse(text).unwrap_or_else(|problems| panic!("{problems}"));
    let sqlite = file("[journal]\nstore = \"sqlite:state/j.db\"\n");
    assert_eq!(
        sqlite.journal_store,
        Some(JournalStore::Sqlite(PathBuf::from("/conf/state/j.db")))
    );
    let postgres =
        file("[journal]\nstore = \"postgres://db/q?user=ops\"\npassword = { env = \"PW\" }\n");
    assert_eq!(
        postgres.journal_password,
        Some(SecretRef::Env("PW".to_owned()))
    );
    for (text, says) in [
        ("store = \"postgres://ops:hunter2@db/q\"", "credentials"),
        ("store = \"postgres://db/q?password=hunter2\"", "secret"),
        ("store = \"mysql://db/q\"", "where the journal lies"),
        (
            "store = \"sqlite:a\"\npassword = { env = \"PW\" }",
            "only PostgreSQL",
        ),
    ] {
        let said = parse(&format!("[journal]\n{text}\n"))
            .unwrap_err()
            .to_string();
        assert!(said.contains(says) && !said.contains("hunter2"), "{said}");
    }
}
