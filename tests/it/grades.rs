//! Grades against servers that deserve them: a real nginx with a port for every configuration, and a pretended server
//! for what no library offers any more.
//!
//! Keys and certificates come from the `openssl` command; without it, or without nginx, the tests say that they are
//! skipped.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::{StreamExt, stream};
use quarterdeck::domain::{Stack, Timestamp};
use quarterdeck::link::docker::{Address, Engine};
use quarterdeck::link::tls::Roots;
use quarterdeck::probe::check::{Check, Eyes, Outcome, Reach, Verdict};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

const PATIENCE: Duration = Duration::from_secs(30);

/// Looked at at once: each asks up to four times at once itself.
const AT_ONCE: usize = 6;

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp(u64::try_from(since.as_millis()).unwrap())
}

/// Eyes that trust this authority beside the system's, and know of no stack.
fn eyes(ca: Option<&Path>) -> Eyes {
    // Without any authority nothing can be judged.
    let mut roots = rustls::RootCertStore::empty();
    let root = authority("Nobody").self_signed(&KeyPair::generate().unwrap());
    roots.add(root.unwrap().der().clone()).unwrap();
    Eyes {
        engine: Engine::new(Address::Unix("/nowhere/docker.sock".into()), "/nowhere"),
        stack: Arc::new(Stack::discovered("shop".into())),
        prometheus: None,
        roots: Roots::fixed(roots),
        ca_file: ca.map(Path::to_owned),
        gateway: None,
        reach: Reach::nothing(),
    }
}

async fn run(eyes: &Eyes, toml: &str) -> Outcome {
    let check: Check = toml::from_str(toml).unwrap();
    check.run(eyes, now()).await
}

fn is_installed(program: &str, argument: &str) -> bool {
    let mut command = Command::new(program);
    command
        .arg(argument)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

// ---------------------------------------------------------------- keys and certificates

/// A folder of keys and certificates, made by a root and an intermediate of our own.
struct Pki {
    folder: tempfile::TempDir,
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn leaf(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

impl Pki {
    fn new() -> Self {
        let pki = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let root_key = KeyPair::generate().unwrap();
        let root = authority("Root").self_signed(&root_key).unwrap();
        let root_issuer = Issuer::new(authority("Root"), &root_key);
        let middle_key = KeyPair::generate().unwrap();
        let middle = authority("Middle")
            .signed_by(&middle_key, &root_issuer)
            .unwrap();
        let issuer = Issuer::new(authority("Middle"), &middle_key);
        pki.write("middle.pem", &middle.pem());
        pki.write("middle.key", &middle_key.serialize_pem());
        pki.write("ca.pem", &format!("{}{}", root.pem(), middle.pem()));
        let key = KeyPair::generate().unwrap();
        let ec = leaf("localhost").signed_by(&key, &issuer).unwrap().pem();
        let mut old = leaf("localhost");
        old.not_before = date_time_ymd(2020, 1, 1);
        old.not_after = date_time_ymd(2021, 1, 1);
        let old = old.signed_by(&key, &issuer).unwrap().pem();
        let other = leaf("shop.eu").signed_by(&key, &issuer).unwrap().pem();
        let own = leaf("localhost").self_signed(&key).unwrap().pem();
        let stranger_key = KeyPair::generate().unwrap();
        let stranger = Issuer::new(authority("Stranger"), &stranger_key);
        let strange = leaf("localhost").signed_by(&key, &stranger).unwrap().pem();
        let both = |leaf: &str| format!("{leaf}{}", middle.pem());
        pki.write("ec.key", &key.serialize_pem());
        for (name, chain) in [
            ("ec.pem", both(&ec)),
            ("rooted.pem", format!("{}{}", both(&ec), root.pem())),
            ("alone.pem", ec),
            ("expired.pem", both(&old)),
            ("other.pem", both(&other)),
            ("own.pem", own),
            ("strange.pem", strange),
        ] {
            pki.write(name, &chain);
        }
        for (name, bits, digest) in [
            ("rsa512", "512", "-sha256"),
            ("rsa1024", "1024", "-sha256"),
            ("rsa2048", "2048", "-sha256"),
            ("rsa4096", "4096", "-sha256"),
            ("sha1", "2048", "-sha1"),
        ] {
            pki.rsa(name, bits, digest);
        }
        for bits in ["1024", "2048"] {
            let name = format!("dh{bits}.pem");
            pki.openssl(&["dhparam", "-dsaparam", "-out", &name, bits]);
        }
        pki
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn openssl(&self, arguments: &[&str]) {
        let output = Command::new("openssl")
            .args(arguments)
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments:?}: {said}");
    }

    /// A key of that many bits, and its certificate with the intermediate behind it.
    fn rsa(&self, name: &str, bits: &str, digest: &str) {
        let [key, request, pem] = ["key", "csr", "pem"].map(|end| format!("{name}.{end}"));
        self.openssl(&["genrsa", "-out", &key, bits]);
        self.openssl(&[
            "req",
            "-new",
            "-key",
            &key,
            "-subj",
            "/CN=localhost",
            "-out",
            &request,
        ]);
        self.write(
            "leaf.ext",
            "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n",
        );
        self.openssl(&[
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            "middle.pem",
            "-CAkey",
            "middle.key",
            "-set_serial",
            bits,
            "-days",
            "90",
            digest,
            "-extfile",
            "leaf.ext",
            "-out",
            &pem,
        ]);
        let chain = std::fs::read_to_string(self.path(&pem)).unwrap();
        let middle = std::fs::read_to_string(self.path("middle.pem")).unwrap();
        self.write(&pem, &format!("{chain}{middle}"));
    }
}

// ---------------------------------------------------------------- nginx

const YEAR: &str = "max-age=31536000";

/// What browsers of today want, and nothing else.
const GOOD: &str = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384";

/// One server of the table: a sound one, but for what the case is about.
struct Case {
    name: &'static str,
    protocols: &'static str,
    ciphers: String,
    certificates: Vec<(&'static str, &'static str)>,
    hsts: Option<&'static str>,
    more: String,
    grade: &'static str,
    /// Of the evidence: the rule that decides.
    rule: &'static str,
}

fn case(name: &'static str, grade: &'static str, rule: &'static str) -> Case {
    Case {
        name,
        protocols: "TLSv1.2 TLSv1.3",
        ciphers: GOOD.to_owned(),
        certificates: vec![("rsa2048.pem", "rsa2048.key")],
        hsts: Some(YEAR),
        more: String::new(),
        grade,
        rule,
    }
}

impl Case {
    fn hsts(mut self, hsts: Option<&'static str>) -> Self {
        self.hsts = hsts;
        self
    }

    fn protocols(mut self, protocols: &'static str) -> Self {
        self.protocols = protocols;
        self
    }

    /// At the level where the library lets everything through that it still knows.
    fn ciphers(mut self, ciphers: &str) -> Self {
        self.ciphers = format!("{ciphers}:@SECLEVEL=0");
        self
    }

    fn certificate(mut self, pem: &'static str, key: &'static str) -> Self {
        self.certificates = vec![(pem, key)];
        self
    }

    fn more(mut self, more: String) -> Self {
        self.more = more;
        self
    }

    fn server(&self, port: u16, pki: &Pki) -> String {
        let mut text = format!(
            "server {{\n listen 127.0.0.1:{port} ssl;\n ssl_protocols {};\n ssl_ciphers '{}';\n",
            self.protocols, self.ciphers
        );
        for (pem, key) in &self.certificates {
            let (pem, key) = (pki.path(pem), pki.path(key));
            let _ = writeln!(text, " ssl_certificate {};", pem.display());
            let _ = writeln!(text, " ssl_certificate_key {};", key.display());
        }
        if let Some(hsts) = self.hsts {
            let _ = writeln!(
                text,
                " add_header Strict-Transport-Security '{hsts}' always;"
            );
        }
        let _ = write!(
            text,
            " {}\n location / {{ return 200 'ok'; }}\n}}\n",
            self.more
        );
        text
    }
}

fn cases(pki: &Pki) -> Vec<Case> {
    let all = "TLSv1 TLSv1.1 TLSv1.2 TLSv1.3";
    let ec = ("ec.pem", "ec.key");
    let dh = |name| format!("ssl_dhparam {};", pki.path(name).display());
    let legacy = format!("{GOOD}:ECDHE-RSA-AES128-SHA");
    vec![
        case("sound", "A+", ""),
        case("sound with RSA 4096", "A+", "").certificate("rsa4096.pem", "rsa4096.key"),
        case("sound with P-256", "A+", "").certificate(ec.0, ec.1),
        case("sound with the root sent along", "A+", "").certificate("rooted.pem", ec.1),
        Case {
            certificates: vec![("rsa2048.pem", "rsa2048.key"), ec],
            ..case("sound with two certificates", "A+", "")
        },
        case("TLS 1.3 alone", "A+", "").protocols("TLSv1.3"),
        case("HSTS of just six months", "A+", "").hsts(Some("max-age=15552000")),
        case("no HSTS", "A", "no A+: no HSTS").hsts(None),
        case("HSTS of a day", "A-", "lowered to A-: HSTS of 1 days").hsts(Some("max-age=86400")),
        case("HSTS taken back", "A-", "lowered to A-: HSTS of 0 days").hsts(Some("max-age=0")),
        case(
            "HSTS without an age",
            "A-",
            "lowered to A-: HSTS header not valid",
        )
        .hsts(Some("includeSubDomains")),
        case("no TLS 1.3", "A-", "lowered to A-: no TLS 1.3").protocols("TLSv1.2"),
        case("all protocols", "B", "capped to B: TLS 1.0 offered")
            .protocols(all)
            .ciphers(&legacy),
        case("TLS 1.1 and newer", "B", "capped to B: TLS 1.1 offered")
            .protocols("TLSv1.1 TLSv1.2 TLSv1.3")
            .ciphers(&legacy),
        case("TLS 1.1 alone", "C", "capped to C: no TLS 1.2")
            .protocols("TLSv1.1")
            .ciphers(&legacy),
        case("TLS 1.0 alone", "C", "capped to C: no TLS 1.2")
            .protocols("TLSv1")
            .ciphers(&legacy),
        case("no forward secrecy", "B", "capped to B: no forward secrecy")
            .protocols("TLSv1.2")
            .ciphers("AES128-GCM-SHA256:AES256-GCM-SHA384"),
        case(
            "forward secrecy not chosen",
            "B",
            "capped to B: no forward secrecy",
        )
        .protocols("TLSv1.2")
        .ciphers(&format!("AES128-GCM-SHA256:{GOOD}"))
        .more("ssl_prefer_server_ciphers on;".to_owned()),
        case("no AEAD", "B", "capped to B: no AEAD")
            .protocols("TLSv1.2")
            .ciphers("ECDHE-RSA-AES128-SHA256:ECDHE-RSA-AES256-SHA384"),
        case("DHE of 2048 bits alone", "A-", "lowered to A-: no TLS 1.3")
            .protocols("TLSv1.2")
            .ciphers("DHE-RSA-AES128-GCM-SHA256")
            .more(dh("dh2048.pem")),
        case(
            "DHE of 1024 bits",
            "B",
            "capped to B: weak key exchange: DH 1024",
        )
        .ciphers(&format!("{GOOD}:DHE-RSA-AES128-GCM-SHA256"))
        .more(dh("dh1024.pem")),
        case(
            "RSA 1024",
            "B",
            "capped to B: weak certificate key: RSA 1024",
        )
        .certificate("rsa1024.pem", "rsa1024.key")
        .ciphers(GOOD),
        case("RSA 512", "F", "capped to F: weak certificate key: RSA 512")
            .certificate("rsa512.pem", "rsa512.key")
            .protocols("TLSv1.2")
            .ciphers(GOOD),
        case(
            "nobody vouches",
            "F",
            "capped to F: ciphers without a certificate",
        )
        .ciphers(&format!("{GOOD}:AECDH-AES128-SHA")),
        case(
            "no encryption",
            "F",
            "capped to F: ciphers of less than 112 bits",
        )
        .ciphers(&format!("{GOOD}:NULL-SHA256")),
        case(
            "incomplete chain",
            "B",
            "capped to B: incomplete chain: CN=Middle",
        )
        .certificate("alone.pem", ec.1),
        case("self-signed", "T", "T: not trusted").certificate("own.pem", ec.1),
        case("expired", "T", "T: not trusted: expired").certificate("expired.pem", ec.1),
        case("unknown authority", "T", "T: not trusted").certificate("strange.pem", ec.1),
        case("wrong name", "M", "M: the certificate is not for localhost")
            .certificate("other.pem", ec.1),
        case("signed with SHA-1", "T", "T: signed with SHA-1")
            .certificate("sha1.pem", "sha1.key")
            .ciphers(GOOD),
    ]
}

/// An nginx that ends with its test.
struct Nginx {
    child: Child,
    folder: tempfile::TempDir,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Nginx {
    /// With these servers, the last of which answers at this port when all do.
    fn start(servers: &str, last: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().display();
        let mut temps = String::new();
        for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            let _ = writeln!(temps, "{kind}_temp_path {at}/{kind};");
        }
        let text = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; {temps} gzip on; gzip_min_length 1; gzip_types *;\n{servers}}}\n"
        );
        std::fs::write(folder.path().join("nginx.conf"), text).unwrap();
        // What the distribution forbids in its own configuration is what these tests are about.
        let lax = "openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nMinProtocol = None\nCipherString = ALL:@SECLEVEL=0\n";
        std::fs::write(folder.path().join("openssl.cnf"), lax).unwrap();
        let child = Command::new("nginx")
            .args(["-p", &at.to_string(), "-c", &format!("{at}/nginx.conf")])
            .args(["-e", &format!("{at}/error.log")])
            .env("OPENSSL_CONF", folder.path().join("openssl.cnf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut nginx = Self { child, folder };
        nginx.wait(last);
        nginx
    }

    fn wait(&mut self, port: u16) {
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = self.child.try_wait().unwrap();
            let log = std::fs::read_to_string(self.folder.path().join("error.log"));
            assert!(
                ended.is_none() && begun.elapsed() < PATIENCE,
                "nginx: {log:?}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Ports that nobody listens on. All are held until all are found, so that none is found twice.
fn ports(count: usize) -> Vec<u16> {
    let held: Vec<StdListener> = (0..count)
        .map(|_| StdListener::bind("127.0.0.1:0").unwrap())
        .collect();
    held.iter()
        .map(|one| one.local_addr().unwrap().port())
        .collect()
}

/// The grade in the evidence, and what it says of it.
fn graded(outcome: &Outcome) -> (String, String) {
    let grade = &outcome.evidence["got"]["grade"];
    (
        grade["letter"].as_str().unwrap_or("none").to_owned(),
        grade["rules"].to_string(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn grades_agree_with_the_guide_on_real_servers() {
    if !is_installed("nginx", "-v") || !is_installed("openssl", "version") {
        eprintln!("skipped: no nginx, or no openssl");
        return;
    }
    let pki = Pki::new();
    let cases = cases(&pki);
    let ports = ports(cases.len());
    let servers = cases.iter().zip(&ports);
    let servers: String = servers
        .map(|(case, port)| case.server(*port, &pki))
        .collect();
    let _nginx = Nginx::start(&servers, *ports.last().unwrap());
    let eyes = eyes(Some(&pki.path("ca.pem")));
    let looks = cases.iter().zip(&ports).map(|(case, port)| {
        let toml = format!("kind = 'tls'\nendpoint = 'localhost:{port}'\ngrade = '>= A'");
        let eyes = &eyes;
        async move { (case, run(eyes, &toml).await) }
    });
    let seen: Vec<(&Case, Outcome)> = stream::iter(looks)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let mut wrong = Vec::new();
    for (case, outcome) in &seen {
        let (grade, rules) = graded(outcome);
        let expected = match case.grade {
            "A+" | "A" => Verdict::Pass,
            _ => Verdict::Fail,
        };
        let right = grade == case.grade && rules.contains(case.rule) && outcome.verdict == expected;
        if !right {
            wrong.push(format!(
                "{}: {grade}, expected {} ({}): {rules}\n  {}\n  {}",
                case.name, case.grade, case.rule, outcome.said, outcome.evidence["got"]["offered"]
            ));
        }
        let plus = &outcome.evidence["got"]["grade"]["would_make_a_plus"];
        let wanting = plus.as_array().is_some_and(|list| !list.is_empty());
        assert_eq!(wanting, grade != "A+", "{}: {plus}", case.name);
    }
    assert!(seen.len() >= 20 && wrong.is_empty(), "{}", wrong.join("\n"));
    evidence_is_whole(&seen);
    others_are_held_to_what_is_expected(&eyes, &cases, &ports).await;
}

/// What was seen is told: protocols, ciphers, keys, and the one line says why.
fn evidence_is_whole(seen: &[(&Case, Outcome)]) {
    let of = |name: &str| {
        let found = seen.iter().find(|(case, _)| case.name == name);
        &found.unwrap().1
    };
    let all = of("all protocols");
    let ciphers = &all.evidence["got"]["offered"]["ciphers"];
    let protocols: Vec<&String> = ciphers.as_object().unwrap().keys().collect();
    assert_eq!(protocols, ["TLS 1.0", "TLS 1.1", "TLS 1.2", "TLS 1.3"]);
    assert_eq!(ciphers["TLS 1.0"][0], "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA");
    assert_eq!(ciphers["TLS 1.2"].as_array().unwrap().len(), 3, "{ciphers}");
    let said = "capped to B: TLS 1.0 offered; capped to B: TLS 1.1 offered; grade B, expected >= A";
    assert_eq!(all.said, said);
    assert_eq!(all.evidence["got"]["offered"]["secure_renegotiation"], true);
    assert_eq!(all.evidence["got"]["offered"]["forced_fallback"], "noticed");
    let sound = of("sound");
    assert_eq!(sound.said, "grade A+ (>= A)");
    assert_eq!(sound.evidence["got"]["grade"]["score"]["total"], 93);
    assert_eq!(sound.evidence["got"]["grade"]["keys"][0], "RSA 2048");
    let hellos = sound.evidence["got"]["offered"]["hellos"].as_u64().unwrap();
    assert!(hellos < 40, "{hellos} hellos");
    let two = &of("sound with two certificates").evidence["got"]["grade"]["keys"];
    assert_eq!(two.to_string(), r#"["EC P-256","RSA 2048"]"#);
    let weak = of("DHE of 1024 bits");
    let exchanges = weak.evidence["got"]["offered"]["key_exchanges"].to_string();
    assert!(
        exchanges.contains("DH 1024") && exchanges.contains("x25519"),
        "{exchanges}"
    );
    let own = of("self-signed");
    assert_eq!(own.evidence["got"]["grade"]["trust_ignored"], "A");
    let order = |name: &str| &of(name).evidence["got"]["offered"]["servers_own_order"];
    assert_eq!(order("forward secrecy not chosen"), true);
    assert_eq!(order("no AEAD"), false);
}

async fn others_are_held_to_what_is_expected(eyes: &Eyes, cases: &[Case], ports: &[u16]) {
    let port = |name: &str| ports[cases.iter().position(|case| case.name == name).unwrap()];
    let check = async |name: &str, fields: &str, verdict: Verdict, says: &str| {
        let toml = format!(
            "kind = 'tls'\nendpoint = 'localhost:{}'\n{fields}",
            port(name)
        );
        let outcome = run(eyes, &toml).await;
        assert_eq!(outcome.verdict, verdict, "{toml}: {}", outcome.said);
        assert!(outcome.said.contains(says), "{}", outcome.said);
    };
    let new = r"protocols = 'matches ^TLS 1\.[23]$'";
    check("sound", new, Verdict::Pass, "all 2 protocols").await;
    check(
        "all protocols",
        new,
        Verdict::Fail,
        "protocol \"TLS 1.0\", expected matches",
    )
    .await;
    let aead = "ciphers = 'matches GCM|CHACHA20'";
    check("sound", aead, Verdict::Pass, "ciphers, such as").await;
    check(
        "no AEAD",
        aead,
        Verdict::Fail,
        "cipher \"TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384\"",
    )
    .await;
    check(
        "TLS 1.0 alone",
        "days = '> 21'\ngrade = '== C'",
        Verdict::Pass,
        "grade C (== C)",
    )
    .await;
    check(
        "TLS 1.0 alone",
        "days = '> 21'",
        Verdict::CouldNotRun,
        "older than 1.2",
    )
    .await;
    check(
        "no forward secrecy",
        "grade = '>= B'",
        Verdict::Pass,
        "grade B",
    )
    .await;
}

// ---------------------------------------------------------------- what no library offers any more

/// A server that takes these suites, by the hello's version, and shows a certificate. It never goes on from there.
#[derive(Debug, Clone, Default)]
struct Pretended {
    suites: BTreeMap<u16, Vec<u16>>,
    ssl2: bool,
    deflates: bool,
    old_renegotiation: bool,
    /// Of TLS 1.3: the version in the extension.
    silent_at: Option<u16>,
}

struct Running {
    address: SocketAddr,
    keeper: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Pretended {
    fn of(suites: &[(u16, &[u16])]) -> Self {
        let suites = suites
            .iter()
            .map(|(version, list)| (*version, list.to_vec()));
        Self {
            suites: suites.collect(),
            ..Self::default()
        }
    }

    async fn start(self) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let der = leaf("localhost")
            .self_signed(&KeyPair::generate().unwrap())
            .unwrap();
        let der = der.der().to_vec();
        let keeper = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (server, der) = (self.clone(), der.clone());
                tokio::spawn(async move { server.answer(stream, &der).await });
            }
        });
        Running {
            address,
            keeper: keeper.abort_handle(),
        }
    }

    async fn answer(&self, mut stream: TcpStream, der: &[u8]) {
        let mut bytes = vec![0; 4096];
        let read = stream.read(&mut bytes).await.unwrap_or(0);
        let hello = &bytes[..read];
        let Some(answer) = self.reply(hello, der) else {
            tokio::time::sleep(PATIENCE).await;
            return;
        };
        let _ = stream.write_all(&answer).await;
        let _ = stream.shutdown().await;
    }

    /// `None`: says nothing at all.
    fn reply(&self, hello: &[u8], der: &[u8]) -> Option<Vec<u8>> {
        const REFUSAL: [u8; 7] = [21, 3, 1, 0, 2, 2, 40];
        if hello.first() == Some(&0x80) {
            let agreed = vec![0x80, 11, 4, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0];
            return Some(if self.ssl2 { agreed } else { REFUSAL.to_vec() });
        }
        let (version, offered) = read_hello(hello);
        if self.silent_at == Some(version) {
            return None;
        }
        let known = self.suites.get(&version);
        let taken = known.and_then(|known| offered.iter().find(|suite| known.contains(suite)));
        let Some(suite) = taken else {
            return Some(REFUSAL.to_vec());
        };
        Some(self.flight(version, *suite, der))
    }

    fn flight(&self, version: u16, suite: u16, der: &[u8]) -> Vec<u8> {
        let mut body = version.to_be_bytes().to_vec();
        body.extend([7; 32]);
        body.push(0);
        body.extend(suite.to_be_bytes());
        body.push(u8::from(self.deflates));
        if !self.old_renegotiation {
            body.extend([0, 5, 0xFF, 1, 0, 1, 0]);
        }
        let one = sized24(der);
        let mut payload = message(2, &body);
        payload.extend(message(11, &sized24(&one)));
        payload.extend(message(14, &[]));
        let mut record = vec![22];
        record.extend(version.to_be_bytes());
        record.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        record.extend(payload);
        record
    }
}

fn sized24(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&length[1..], body].concat()
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &sized24(body)].concat()
}

/// The version that is asked for, and the suites. One that asks for TLS 1.3 alone is told by the suites it offers.
fn read_hello(hello: &[u8]) -> (u16, Vec<u16>) {
    let u16_at = |at: usize| {
        let pair = hello.get(at..at + 2).unwrap_or(&[0, 0]);
        u16::from_be_bytes([pair[0], pair[1]])
    };
    let session = usize::from(hello.get(43).copied().unwrap_or(0));
    let at = 44 + session;
    let count = usize::from(u16_at(at)) / 2;
    let suites: Vec<u16> = (0..count).map(|n| u16_at(at + 2 + 2 * n)).collect();
    let version = match suites.first() {
        Some(0x1301..=0x1305) => 0x0304,
        _ => u16_at(9),
    };
    (version, suites)
}

const SSL3: u16 = 0x0300;
const TLS10: u16 = 0x0301;
const TLS12: u16 = 0x0303;

#[tokio::test(flavor = "multi_thread")]
async fn what_no_library_offers_any_more_is_graded_too() {
    let modern: &[u16] = &[0xC02F, 0xC030];
    let sound = Pretended::of(&[(TLS12, modern)]);
    let beside = |weak: u16| Pretended::of(&[(TLS12, &[0xC02F, weak])]);
    let cases: Vec<(Pretended, &str, &str)> = vec![
        (sound.clone(), "A-", "lowered to A-: no TLS 1.3"),
        (beside(0x000A), "C", "capped to C: 64-bit blocks (3DES)"),
        (beside(0x0005), "C", "capped to C: RC4 offered with TLS 1.1"),
        (beside(0x0008), "F", "capped to F: export ciphers"),
        (
            beside(0x0009),
            "F",
            "capped to F: ciphers of less than 112 bits",
        ),
        (
            Pretended::of(&[(SSL3, &[0x002F]), (TLS12, modern)]),
            "C",
            "capped to C: SSL 3 with CBC offered: POODLE",
        ),
        (
            Pretended::of(&[(SSL3, &[0x002F])]),
            "F",
            "capped to F: nothing newer than SSL 3",
        ),
        (
            Pretended::of(&[(TLS10, &[0x0004, 0x0005])]),
            "F",
            "capped to F: nothing but RC4",
        ),
        (
            Pretended::of(&[(TLS10, &[0xC013, 0x0005]), (TLS12, modern)]),
            "B",
            "capped to B: RC4 offered",
        ),
        (
            Pretended {
                ssl2: true,
                ..sound.clone()
            },
            "F",
            "capped to F: SSL 2 offered",
        ),
        (
            Pretended {
                deflates: true,
                ..sound.clone()
            },
            "C",
            "capped to C: TLS compression: CRIME",
        ),
        (
            Pretended {
                old_renegotiation: true,
                ..sound.clone()
            },
            "A-",
            "lowered to A-: no secure renegotiation",
        ),
    ];
    let eyes = eyes(None);
    for (server, grade, rule) in cases {
        let running = server.clone().start().await;
        let toml = format!(
            "kind = 'tls'\nendpoint = '{}'\ngrade = '>= T'",
            running.address
        );
        let outcome = run(&eyes, &toml).await;
        let got = &outcome.evidence["got"]["grade"];
        // Its key is its own: nobody vouches for a server that goes no further than this.
        assert_eq!(
            got["letter"], "T",
            "{server:?}: {} {}",
            outcome.said, outcome.evidence
        );
        assert_eq!(got["trust_ignored"], grade, "{server:?}: {}", got["rules"]);
        assert!(
            got["rules"].to_string().contains(rule),
            "{server:?}: {}",
            got["rules"]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protocol_that_is_not_answered_is_taken_for_a_no_and_told() {
    let server = Pretended {
        silent_at: Some(SSL3),
        ..Pretended::of(&[(TLS12, &[0xC02F])])
    };
    let running = server.start().await;
    let toml = format!(
        "kind = 'tls'\nendpoint = '{}'\ngrade = '>= A'",
        running.address
    );
    let outcome = run(&eyes(None), &toml).await;
    let offered = &outcome.evidence["got"]["offered"];
    assert!(
        offered["notes"][0]
            .as_str()
            .unwrap()
            .starts_with("SSL 3: no answer"),
        "{offered}"
    );
    assert_eq!(offered["ciphers"].as_object().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_surveyed_could_not_be_graded() {
    let nothing = Pretended::of(&[]).start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain = listener.local_addr().unwrap();
    let keeper = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    for (address, says) in [
        (nothing.address.to_string(), "refuses"),
        (plain.to_string(), "is not TLS"),
        ("127.0.0.1:1".to_owned(), "refuses connections"),
    ] {
        let toml = format!("kind = 'tls'\nendpoint = '{address}'\ngrade = '>= F'");
        let outcome = run(&eyes(None), &toml).await;
        assert_eq!(outcome.verdict, Verdict::CouldNotRun, "{}", outcome.said);
        assert!(outcome.said.contains(says), "{}", outcome.said);
    }
    keeper.abort();
}

// ---------------------------------------------------------------- headers and answers

#[test]
fn the_page_about_checks_shows_checks_that_can_be_made() {
    let page = include_str!("../../assets/CHECKS.md");
    let blocks: Vec<&str> = page
        .split("```toml check\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert_eq!(blocks.len(), 4);
    for block in blocks {
        let check: Check = toml::from_str(block).unwrap();
        assert!(check.problems().is_empty(), "{:?}", check.problems());
        assert!(!check.describe().is_empty());
    }
}

const CAREFUL: &str =
    "add_header Content-Security-Policy \"default-src 'none'; frame-ancestors 'none'\" always;
 add_header X-Content-Type-Options nosniff always;
 add_header X-Frame-Options DENY always;
 add_header Referrer-Policy no-referrer always;";

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "a table of what one server is asked")]
async fn headers_and_answers_of_a_real_server() {
    if !is_installed("nginx", "-v") || !is_installed("openssl", "version") {
        eprintln!("skipped: no nginx, or no openssl");
        return;
    }
    let pki = Pki::new();
    let [careful, bare, plain] = <[u16; 3]>::try_from(ports(3)).unwrap();
    let page = "default_type text/html;";
    let cookies = "add_header Set-Cookie 'session=s3cret; Secure; HttpOnly; SameSite=Lax'; add_header Cache-Control 'public, max-age=3600';";
    let long = "hello ".repeat(300);
    let good = case("", "", "").more(format!(
        "{page} {CAREFUL}\n location /kept {{ {cookies} return 200 '{long}'; }}"
    ));
    let poor = case("", "", "").hsts(None).more(format!(
        "{page} gzip off; location /kept {{ add_header Set-Cookie 'session=s3cret'; return 200 '{long}'; }}
         location /shared {{ add_header Access-Control-Allow-Origin $http_origin; add_header Access-Control-Allow-Credentials true; return 200 'ok'; }}"
    ));
    let redirect = format!(
        "server {{ listen 127.0.0.1:{plain}; location / {{ return 301 https://localhost:{careful}$request_uri; }} }}\n"
    );
    let servers = format!(
        "{}{}{redirect}",
        good.server(careful, &pki),
        poor.server(bare, &pki)
    );
    let _nginx = Nginx::start(&servers, plain);
    let eyes = eyes(Some(&pki.path("ca.pem")));
    let check = async |kind: &str, url: &str, fields: &str, verdict: Verdict, says: &str| {
        let toml = format!("kind = '{kind}'\nurl = '{url}'\n{fields}");
        let outcome = run(&eyes, &toml).await;
        assert_eq!(outcome.verdict, verdict, "{toml}: {}", outcome.said);
        assert!(outcome.said.contains(says), "{toml}: {}", outcome.said);
        assert!(!outcome.evidence.to_string().contains("s3cret"));
        outcome
    };
    let (pass, fail) = (Verdict::Pass, Verdict::Fail);
    let at = |port: u16, path: &str| format!("https://localhost:{port}{path}");
    let plain_at = format!("http://localhost:{plain}/");

    let named = format!("grade = '>= A+'\nplain = '{plain_at}'");
    let outcome = check(
        "headers",
        &at(careful, "/"),
        &named,
        pass,
        "grade A+ (>= A+)",
    )
    .await;
    let modifiers = outcome.evidence["got"]["modifiers"].to_string();
    assert!(modifiers.contains("goes to https at once"), "{modifiers}");
    // 100, and the policy 10, the referrer 5, framing 5.
    check(
        "headers",
        &at(careful, "/"),
        "score = '== 120'",
        pass,
        "score 120",
    )
    .await;
    check(
        "headers",
        &at(bare, "/"),
        "grade = '>= B'",
        fail,
        "-25: Content-Security-Policy is missing; -20: ",
    )
    .await;
    check(
        "headers",
        &at(bare, "/shared"),
        "score = '>= 80'",
        fail,
        "-50: CORS",
    )
    .await;
    check(
        "headers",
        &at(bare, "/kept"),
        "grade = '>= F'",
        pass,
        "grade F",
    )
    .await;

    let to = format!("redirect = '== https://localhost:{careful}/'");
    check("http", &plain_at, &to, pass, "redirect").await;
    check(
        "http",
        &at(bare, "/"),
        "redirect = 'matches ^https'",
        fail,
        "no redirect: status 200",
    )
    .await;
    check(
        "http",
        &at(careful, "/kept"),
        "compressed = '< 50 %'",
        pass,
        "compressed to",
    )
    .await;
    check(
        "http",
        &at(bare, "/kept"),
        "compressed = '< 50 %'",
        fail,
        "no content-encoding",
    )
    .await;
    check(
        "http",
        &at(careful, "/kept"),
        "max_age = '>= 1 h'",
        pass,
        "max-age",
    )
    .await;
    check(
        "http",
        &at(careful, "/kept"),
        "max_age = '>= 1 d'",
        fail,
        "max-age",
    )
    .await;
    check(
        "http",
        &at(bare, "/kept"),
        "max_age = '>= 1 h'",
        fail,
        "no max-age",
    )
    .await;
    let flags = "cookies = ['Secure', 'HttpOnly', 'SameSite']";
    check("http", &at(careful, "/kept"), flags, pass, "status 200").await;
    check(
        "http",
        &at(bare, "/kept"),
        flags,
        fail,
        "cookie session without Secure HttpOnly SameSite",
    )
    .await;
    check("http", &at(bare, "/"), flags, fail, "no cookie is set").await;
    check(
        "http",
        &at(bare, "/"),
        "absent = ['X-Powered-By']",
        pass,
        "status 200",
    )
    .await;
    check(
        "http",
        &at(bare, "/"),
        "absent = ['Server']",
        fail,
        "header Server is there: \"nginx",
    )
    .await;
    check(
        "http",
        &at(bare, "/"),
        "method = 'HEAD'\nstatus = 200",
        pass,
        "status 200",
    )
    .await;
    let times = "times = 5\npercentile = 80\nttfb = '< 30 s'\ntls = '< 30 s'\nconnect = '< 30 s'";
    let outcome = check("http", &at(bare, "/"), times, pass, "ttfb p80 of 5").await;
    assert_eq!(
        outcome.evidence["got"]["all"]["statuses"]
            .as_array()
            .unwrap()
            .len(),
        5
    );
    check("http", &at(bare, "/"), "dns = '< 0 ms'", fail, "dns").await;
}
