//! Idle containers on the real engine, made for a bench and removed after it.

use std::process::{Command, Output, Stdio};

const LABEL: &str = "quarterdeck.bench=1";
/// Orders to the engine at the same time.
const AT_ONCE: usize = 4;
/// Replicas of each service.
const REPLICAS: usize = 5;

pub(crate) struct Yard {
    pub(crate) project: String,
    image: String,
}

impl Yard {
    /// Starts `count` sleepers; the error is why there are none.
    pub(crate) fn start(count: usize) -> Result<Self, String> {
        docker(&["version", "--format", "{{.Server.Version}}"])
            .map_err(|why| format!("no Docker engine ({why})"))?;
        let project = format!("quarterdeck-bench-{}", std::process::id());
        let yard = Self {
            image: format!("{project}:1"),
            project,
        };
        yard.import()?;
        let numbers: Vec<usize> = (0..count).collect();
        let share = count.div_ceil(AT_ONCE).max(1);
        std::thread::scope(|scope| {
            let crews: Vec<_> = numbers
                .chunks(share)
                .map(|mine| scope.spawn(|| mine.iter().try_for_each(|n| yard.sleeper(*n))))
                .collect();
            crews
                .into_iter()
                .try_for_each(|crew| crew.join().expect("orders do not panic"))
        })?;
        Ok(yard)
    }

    /// An image of nothing but a static busybox.
    fn import(&self) -> Result<(), String> {
        let busybox = std::env::var_os("PATH")
            .and_then(|paths| {
                std::env::split_paths(&paths)
                    .map(|path| path.join("busybox"))
                    .find(|path| path.is_file())
            })
            .ok_or("no busybox to make an image from; install busybox-static")?;
        let directory = busybox.parent().ok_or("busybox lies in no directory")?;
        let mut tar = Command::new("tar")
            .arg("--create")
            .arg("--directory")
            .arg(directory)
            .arg("busybox")
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start tar: {error}"))?;
        let archive = tar.stdout.take().ok_or("tar writes nothing")?;
        let output = Command::new("docker")
            .args(["import", "-", &self.image])
            .stdin(archive)
            .output()
            .map_err(|error| format!("cannot start docker: {error}"))?;
        let _ = tar.wait();
        said(&output).map(drop)
    }

    fn sleeper(&self, n: usize) -> Result<(), String> {
        let service = format!("sleeper{:02}", n / REPLICAS);
        let number = n % REPLICAS + 1;
        let project = &self.project;
        docker(&[
            "run",
            "--detach",
            "--name",
            &format!("{project}-{service}-{number}"),
            "--label",
            LABEL,
            "--label",
            &format!("com.docker.compose.project={project}"),
            "--label",
            &format!("com.docker.compose.service={service}"),
            "--label",
            &format!("com.docker.compose.container-number={number}"),
            "--label",
            "com.docker.compose.oneoff=False",
            &self.image,
            "/busybox",
            "sleep",
            "100000",
        ])
        .map(drop)
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        let filter = format!("label=com.docker.compose.project={}", self.project);
        let ids = docker(&[
            "ps",
            "--all",
            "--quiet",
            "--filter",
            &filter,
            "--filter",
            "label=quarterdeck.bench",
        ])
        .unwrap_or_default();
        let ids: Vec<&str> = ids.split_whitespace().collect();
        for some in ids.chunks(AT_ONCE * 2) {
            let mut words = vec!["rm", "--force", "--volumes"];
            words.extend(some);
            if let Err(why) = docker(&words) {
                eprintln!("containers of {} are left behind: {why}", self.project);
            }
        }
        if let Err(why) = docker(&["rmi", &self.image]) {
            eprintln!("the image {} is left behind: {why}", self.image);
        }
    }
}

fn docker(words: &[&str]) -> Result<String, String> {
    let output = Command::new("docker")
        .args(words)
        .output()
        .map_err(|error| format!("cannot start docker: {error}"))?;
    said(&output)
}

fn said(output: &Output) -> Result<String, String> {
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        let why = String::from_utf8_lossy(&output.stderr);
        Err(why.lines().last().unwrap_or("no word").to_owned())
    }
}
