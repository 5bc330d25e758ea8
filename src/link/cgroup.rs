//! What containers use, read from the kernel's own files: seventy times cheaper than asking the engine.
//!
//! Both generations of cgroups and their mixture are read, below whatever parent the engine puts them: the way to the
//! files is asked from the kernel (`/proc/<pid>/cgroup`), not guessed. Files stay open and are read in place.
//!
//! **Invariant:** a process that is not of the container by its cgroup's name is never taken for it.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::docker::Sample;
use crate::domain::ContainerId;

/// `memory.stat` is 1.5 KB, `net/dev` 130 bytes a line; more than this is not read.
const FILE_BYTES_MAX: usize = 32 * 1024;
/// Directories looked into when a container's process cannot be asked.
const SEARCH_MAX: usize = 4096;
/// Depth of that search: `kubepods.slice/pod…/docker-…`.
const SEARCH_DEPTH: usize = 3;
/// The kernel's way to say "no limit" in generation 1 is a huge number.
const NO_LIMIT: u64 = 1 << 60;

/// Which generation a figure comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    One,
    Two,
}

impl Generation {
    pub fn word(self) -> &'static str {
        match self {
            Self::One => "cgroup v1",
            Self::Two => "cgroup v2",
        }
    }
}

/// Whether process `pid` of this host runs in a cgroup named after `id`.
pub fn is_of(pid: u32, id: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|text| names(&text, id))
}

fn names(cgroup: &str, id: &str) -> bool {
    !id.is_empty() && cgroup.lines().any(|line| line.contains(id))
}

/// Reads what containers use; keeps their files open.
#[derive(Debug)]
pub struct Reader {
    proc: PathBuf,
    mounts: Vec<Hierarchy>,
    open: BTreeMap<ContainerId, Files>,
}

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hierarchy {
    /// Empty for generation 2.
    controllers: Vec<String>,
    /// The part of the tree that is mounted.
    root: String,
    at: PathBuf,
}

#[derive(Debug)]
struct Files {
    pid: Option<u32>,
    generation: Generation,
    cpu: Option<(File, Generation)>,
    memory: Option<(File, Generation)>,
    memory_stat: Option<(File, Generation)>,
    memory_limit: Option<File>,
    pids: Option<File>,
    block: Option<(File, Generation)>,
    network: Option<File>,
}

impl Default for Reader {
    fn default() -> Self {
        Self::new(Path::new("/proc"))
    }
}

impl Reader {
    /// `proc` is `/proc`, except in tests.
    pub fn new(proc: &Path) -> Self {
        let mounts = std::fs::read_to_string(proc.join("self/mountinfo")).unwrap_or_default();
        Self {
            proc: proc.to_owned(),
            mounts: hierarchies(&mounts),
            open: BTreeMap::new(),
        }
    }

    /// What a container has used so far; `None` where it is not of this host or has ended.
    pub fn read(&mut self, id: &ContainerId, pid: Option<u32>) -> Option<(Sample, Generation)> {
        // Another process means another start: the files of the old one are gone.
        if self.open.get(id).is_none_or(|files| files.pid != pid) {
            let files = self.open_files(id, pid)?;
            self.open.insert(id.clone(), files);
        }
        let files = self.open.get(id)?;
        match files.sample() {
            Some(sample) => Some((sample, files.generation)),
            None => {
                self.open.remove(id);
                None
            }
        }
    }

    /// Closes the files of containers that are not among `ids`.
    pub fn retain(&mut self, wanted: impl Fn(&ContainerId) -> bool) {
        self.open.retain(|id, _| wanted(id));
    }

    fn open_files(&self, id: &ContainerId, pid: Option<u32>) -> Option<Files> {
        let process = pid.map(|pid| self.proc.join(pid.to_string()));
        let told = process
            .as_ref()
            .and_then(|p| std::fs::read_to_string(p.join("cgroup")).ok());
        let directories = match told {
            Some(text) if names(&text, &id.0) => directories(&text, &self.mounts),
            // Of another host: its numbers mean other processes here.
            Some(_) => return None,
            None => self.search(&id.0),
        };
        let network = process.filter(|p| !self.shares_our_network(p));
        Files::open(pid, &directories, network.as_deref())
    }

    /// A container without a network of its own would be shown the whole host's traffic.
    fn shares_our_network(&self, process: &Path) -> bool {
        let own = std::fs::read_link(self.proc.join("self/ns/net")).ok();
        own.is_some() && own == std::fs::read_link(process.join("ns/net")).ok()
    }

    /// Finds the container's directories by name, where its process cannot be asked.
    fn search(&self, id: &str) -> Vec<(Hierarchy, PathBuf)> {
        let mut budget = SEARCH_MAX;
        let hierarchies = self.mounts.iter();
        hierarchies
            .filter_map(|h| Some((h.clone(), find(&h.at, id, SEARCH_DEPTH, &mut budget)?)))
            .collect()
    }
}

impl Files {
    fn open(
        pid: Option<u32>,
        directories: &[(Hierarchy, PathBuf)],
        process: Option<&Path>,
    ) -> Option<Self> {
        let of = |controller: &str, old: &str, new: &str| {
            directories.iter().find_map(|(hierarchy, at)| {
                let generation = hierarchy.generation();
                let name = match generation {
                    Generation::One if hierarchy.controllers.iter().any(|c| c == controller) => old,
                    Generation::One => return None,
                    Generation::Two => new,
                };
                Some((File::open(at.join(name)).ok()?, generation))
            })
        };
        let cpu = of("cpuacct", "cpuacct.usage", "cpu.stat")?;
        Some(Self {
            pid,
            generation: cpu.1,
            cpu: Some(cpu),
            memory: of("memory", "memory.usage_in_bytes", "memory.current"),
            memory_stat: of("memory", "memory.stat", "memory.stat"),
            memory_limit: of("memory", "memory.limit_in_bytes", "memory.max").map(|(f, _)| f),
            pids: of("pids", "pids.current", "pids.current").map(|(f, _)| f),
            block: of(
                "blkio",
                "blkio.throttle.io_service_bytes_recursive",
                "io.stat",
            )
            .or_else(|| of("blkio", "blkio.throttle.io_service_bytes", "io.stat")),
            network: process.and_then(|p| File::open(p.join("net/dev")).ok()),
        })
    }

    /// `None` when the container has ended: the kernel then refuses to read on.
    fn sample(&self) -> Option<Sample> {
        let mut buffer = vec![0; FILE_BYTES_MAX];
        let mut sample = Sample::unknown(Instant::now());
        let (cpu, generation) = self.cpu.as_ref()?;
        let text = text(cpu, &mut buffer)?;
        sample.cpu_ns = match generation {
            Generation::One => number(text),
            Generation::Two => keyed(text, "usage_usec").and_then(|us| us.checked_mul(1000)),
        };
        sample.cpu_ns?;
        sample.memory_bytes = self.memory(&mut buffer);
        sample.memory_limit_bytes =
            level(self.memory_limit.as_ref(), &mut buffer).filter(|n| *n < NO_LIMIT);
        sample.pids = level(self.pids.as_ref(), &mut buffer);
        if let Some((file, generation)) = &self.block
            && let Some(text) = self::text(file, &mut buffer)
        {
            (sample.read_bytes, sample.write_bytes) = match generation {
                Generation::One => (block_one(text, "Read"), block_one(text, "Write")),
                Generation::Two => (block_two(text, "rbytes="), block_two(text, "wbytes=")),
            };
        }
        if let Some(text) = self
            .network
            .as_ref()
            .and_then(|file| self::text(file, &mut buffer))
            && let Some((rx, tx)) = network(text)
        {
            (sample.rx_bytes, sample.tx_bytes) = (Some(rx), Some(tx));
        }
        Some(sample)
    }

    fn memory(&self, buffer: &mut [u8]) -> Option<u64> {
        let used = level(self.memory.as_ref().map(|(f, _)| f), buffer)?;
        let (file, generation) = self.memory_stat.as_ref()?;
        let key = match generation {
            Generation::One => "total_inactive_file",
            Generation::Two => "inactive_file",
        };
        let cache = text(file, buffer)
            .and_then(|text| keyed(text, key))
            .unwrap_or(0);
        Some(used.saturating_sub(cache))
    }
}

impl Hierarchy {
    fn generation(&self) -> Generation {
        if self.controllers.is_empty() {
            Generation::Two
        } else {
            Generation::One
        }
    }
}

/// The mounted hierarchies of `/proc/self/mountinfo`, those of generation 1 first: in a mixture they hold the figures.
fn hierarchies(mountinfo: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = mountinfo.lines().filter_map(hierarchy).collect();
    found.sort_by_key(|h| h.controllers.is_empty());
    found
}

/// `31 23 0:26 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory`
fn hierarchy(line: &str) -> Option<Hierarchy> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mut fields = mount.split(' ').skip(3);
    let (root, at) = (fields.next()?, fields.next()?);
    let mut fields = file_system.split(' ');
    let controllers = match fields.next()? {
        "cgroup2" => Vec::new(),
        "cgroup" => fields.nth(1)?.split(',').map(str::to_owned).collect(),
        _ => return None,
    };
    Some(Hierarchy {
        controllers,
        root: root.to_owned(),
        at: PathBuf::from(at),
    })
}

/// Where the lines of `/proc/<pid>/cgroup` lead.
fn directories(cgroup: &str, mounts: &[Hierarchy]) -> Vec<(Hierarchy, PathBuf)> {
    let mut found = Vec::new();
    for hierarchy in mounts {
        let path = cgroup.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?, fields.next()?);
            let same = match hierarchy.controllers.as_slice() {
                [] => controllers.is_empty(),
                own => controllers
                    .split(',')
                    .any(|c| !c.is_empty() && own.iter().any(|o| o == c)),
            };
            same.then_some(path)
        });
        let Some(path) = path else { continue };
        let below = path
            .strip_prefix(hierarchy.root.trim_end_matches('/'))
            .unwrap_or(path);
        // A path that climbs is of another namespace, and leads elsewhere from here.
        if !below.split('/').any(|part| part == "..") {
            found.push((
                hierarchy.clone(),
                hierarchy.at.join(below.trim_start_matches('/')),
            ));
        }
    }
    found
}

fn find(at: &Path, id: &str, depth: usize, budget: &mut usize) -> Option<PathBuf> {
    let mut below = Vec::new();
    for entry in std::fs::read_dir(at).ok()?.flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        *budget = budget.checked_sub(1)?;
        if entry.file_name().to_string_lossy().contains(id) {
            return Some(entry.path());
        }
        below.push(entry.path());
    }
    match depth.checked_sub(1) {
        Some(depth) => below.iter().find_map(|path| find(path, id, depth, budget)),
        None => None,
    }
}

fn text<'b>(file: &File, buffer: &'b mut [u8]) -> Option<&'b str> {
    let length = file.read_at(buffer, 0).ok()?;
    let read = &buffer[..length];
    // A file that fills the buffer is cut inside a letter at worst.
    match std::str::from_utf8(read) {
        Ok(text) => Some(text),
        Err(error) => std::str::from_utf8(&read[..error.valid_up_to()]).ok(),
    }
}

fn level(file: Option<&File>, buffer: &mut [u8]) -> Option<u64> {
    file.and_then(|file| text(file, buffer)).and_then(number)
}

/// A file of one number; `max` is none.
fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// The number after `key` in a file of `key number` lines.
fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| match line.split_once(' ') {
        Some((name, value)) if name == key => number(value),
        _ => None,
    })
}

/// `8:0 Read 4096`
fn block_one(text: &str, operation: &str) -> Option<u64> {
    let of = text.lines().filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        (fields.next()? == operation).then(|| fields.next().and_then(number))?
    });
    of.reduce(u64::saturating_add)
}

/// `8:0 rbytes=4096 wbytes=0 rios=1 …`
fn block_two(text: &str, key: &str) -> Option<u64> {
    let values = text
        .split_whitespace()
        .filter_map(|field| field.strip_prefix(key).and_then(number));
    values.reduce(u64::saturating_add)
}

/// Received and sent bytes of all interfaces but the loopback.
fn network(text: &str) -> Option<(u64, u64)> {
    let of = text.lines().filter_map(|line| {
        let (name, fields) = line.split_once(':')?;
        let mut fields = fields.split_whitespace();
        let rx = fields.next().and_then(number)?;
        let tx = fields.nth(7).and_then(number)?;
        (name.trim() != "lo").then_some((rx, tx))
    });
    of.reduce(|(rx, tx), (r, t)| (rx.saturating_add(r), tx.saturating_add(t)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Clean;
    use proptest::prelude::*;

    const ID: &str = "5b1c6f5e";

    /// Builds a pretend `/proc` and cgroup tree below a directory.
    fn tree(home: &Path, mountinfo: &str, cgroup: &str, files: &[(&str, &str)]) -> Reader {
        let put = |path: PathBuf, text: &str| {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let home_text = home.display().to_string();
        put(
            home.join("proc/self/mountinfo"),
            &mountinfo.replace("HOME", &home_text),
        );
        put(home.join("proc/42/cgroup"), cgroup);
        put(
            home.join("proc/42/net/dev"),
            "Inter-|   Receive\n face |bytes\n    lo: 9 0 0 0 0 0 0 0 9 0\n  eth0: 100 1 0 0 0 0 0 0 200 2\n",
        );
        for (path, text) in files {
            put(home.join(path), text);
        }
        Reader::new(&home.join("proc"))
    }

    fn id() -> ContainerId {
        ContainerId(Clean::from(ID))
    }

    const V1: &str = "1 0 0:1 / HOME/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n2 0 0:2 / HOME/memory rw - cgroup cgroup rw,memory\n3 0 0:3 / HOME/pids rw - cgroup none rw,pids\n4 0 0:4 / HOME/unified rw - cgroup2 none rw\n5 0 0:5 / HOME/blkio rw - cgroup none rw,blkio\n";

    #[test]
    fn generation_one_is_read_below_any_parent() {
        let home = tempfile::tempdir().unwrap();
        let mut reader = tree(
            home.path(),
            V1,
            &format!(
                "5:blkio:/dl-x/{ID}\n4:cpu,cpuacct:/dl-x/{ID}\n3:memory:/dl-x/{ID}\n2:pids:/dl-x/{ID}\n0::/dl-x/{ID}\n"
            ),
            &[
                (&format!("cpu,cpuacct/dl-x/{ID}/cpuacct.usage"), "5000\n"),
                (&format!("memory/dl-x/{ID}/memory.usage_in_bytes"), "1000\n"),
                (
                    &format!("memory/dl-x/{ID}/memory.stat"),
                    "cache 5\ninactive_file 1\ntotal_inactive_file 300\n",
                ),
                (
                    &format!("memory/dl-x/{ID}/memory.limit_in_bytes"),
                    "9223372036854771712\n",
                ),
                (&format!("pids/dl-x/{ID}/pids.current"), "3\n"),
                (
                    &format!("blkio/dl-x/{ID}/blkio.throttle.io_service_bytes"),
                    "8:0 Read 7\n8:0 Write 9\n8:16 Read 1\nTotal 17\n",
                ),
                (&format!("unified/dl-x/{ID}/cpu.stat"), "usage_usec 1\n"),
            ],
        );
        let (sample, generation) = reader.read(&id(), Some(42)).unwrap();
        assert_eq!(generation, Generation::One);
        assert_eq!(
            (
                sample.cpu_ns,
                sample.memory_bytes,
                sample.memory_limit_bytes
            ),
            (Some(5000), Some(700), None)
        );
        assert_eq!(
            (sample.pids, sample.read_bytes, sample.write_bytes),
            (Some(3), Some(8), Some(9))
        );
        assert_eq!((sample.rx_bytes, sample.tx_bytes), (Some(100), Some(200)));
    }

    #[test]
    fn generation_two_is_read_with_the_systemd_driver() {
        let home = tempfile::tempdir().unwrap();
        let scope = format!("system.slice/docker-{ID}.scope");
        let at = |file: &str| format!("cgroup/{scope}/{file}");
        let mut reader = tree(
            home.path(),
            "1 0 0:1 / HOME/cgroup rw shared:1 - cgroup2 cgroup rw\n",
            &format!("0::/{scope}\n"),
            &[
                (&at("cpu.stat"), "usage_usec 7\nuser_usec 1\n"),
                (&at("memory.current"), "1000\n"),
                (&at("memory.stat"), "anon 1\ninactive_file 400\n"),
                (&at("memory.max"), "2000\n"),
                (&at("pids.current"), "2\n"),
                (
                    &at("io.stat"),
                    "8:0 rbytes=5 wbytes=6 rios=1\n8:16 rbytes=1\n",
                ),
            ],
        );
        let (sample, generation) = reader.read(&id(), Some(42)).unwrap();
        assert_eq!(generation, Generation::Two);
        assert_eq!(
            (
                sample.cpu_ns,
                sample.memory_bytes,
                sample.memory_limit_bytes
            ),
            (Some(7000), Some(600), Some(2000))
        );
        assert_eq!((sample.read_bytes, sample.write_bytes), (Some(6), Some(6)));
    }

    #[test]
    fn a_process_of_another_host_is_not_taken_for_the_container() {
        let home = tempfile::tempdir().unwrap();
        let mut reader = tree(home.path(), V1, "4:cpu,cpuacct:/user.slice\n", &[]);
        assert_eq!(reader.read(&id(), Some(42)), None);
    }

    #[test]
    fn without_its_process_the_container_is_found_by_name() {
        let home = tempfile::tempdir().unwrap();
        let mut reader = tree(
            home.path(),
            V1,
            "",
            &[(
                &format!("cpu,cpuacct/a/b/docker-{ID}.scope/cpuacct.usage"),
                "5\n",
            )],
        );
        assert_eq!(reader.read(&id(), None).unwrap().0.cpu_ns, Some(5));
        assert_eq!(reader.read(&ContainerId(Clean::from("other")), None), None);
    }

    #[test]
    fn a_path_that_climbs_out_leads_nowhere() {
        let mounts = hierarchies("1 0 0:1 / /c rw - cgroup2 cgroup rw\n");
        assert!(directories(&format!("0::/../../{ID}\n"), &mounts).is_empty());
        assert_eq!(
            directories("0::/docker/x\n", &mounts)[0].1,
            Path::new("/c/docker/x")
        );
    }

    #[test]
    fn a_mounted_part_of_the_tree_is_counted_from_its_root() {
        let mounts = hierarchies("1 0 0:1 /docker/outer /c rw - cgroup cgroup rw,memory\n");
        let found = directories("3:memory:/docker/outer/docker/x\n", &mounts);
        assert_eq!(found[0].1, Path::new("/c/docker/x"));
    }

    proptest! {
        #[test]
        fn garbage_is_read_as_nothing_and_breaks_nothing(text in any::<String>()) {
            let _ = (number(&text), keyed(&text, "usage_usec"), block_one(&text, "Read"), block_two(&text, "rbytes="));
            let _ = (network(&text), directories(&text, &hierarchies(&text)));
            prop_assert!(number("18446744073709551616").is_none());
        }
    }
}
