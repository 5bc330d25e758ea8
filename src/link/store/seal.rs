//! Encryption of backups with `age`: whoever holds one of the private keys opens it, and this host need not.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use age::x25519;
use hyper::body::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{BLOCK_BYTES, Fetching};
use crate::domain::Clean;

/// A file of keys is a few lines.
const KEYS_BYTES_MAX: u64 = 64 * 1024;

/// Blocks on their way into and out of the thread that decrypts.
const BLOCKS: usize = 4;

/// Public keys.
#[derive(Clone)]
pub struct Recipients(Vec<x25519::Recipient>);

impl Recipients {
    /// One key a line; empty lines and lines that begin with `#` are comments.
    pub fn read(path: &Path) -> Result<Self, Clean> {
        let text = small(path)?;
        let mut keys = Vec::new();
        for (at, line) in lines(&text) {
            let key = line.parse::<x25519::Recipient>().map_err(|reason| {
                Clean::line(&format!(
                    "{}:{at}: {reason}; a public key begins with age1",
                    path.display()
                ))
            })?;
            keys.push(key);
        }
        if keys.is_empty() {
            let said = format!(
                "{} holds no key: nobody could open the backup",
                path.display()
            );
            return Err(Clean::line(&said));
        }
        Ok(Self(keys))
    }

    /// The keys, which are public.
    pub fn shown(&self) -> Vec<Clean> {
        self.0
            .iter()
            .map(|key| Clean::line(&key.to_string()))
            .collect()
    }
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text
        .lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line.trim()));
    numbered.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

fn small(path: &Path) -> Result<String, Clean> {
    let cannot = |why: String| Clean::line(&format!("cannot read {}: {why}", path.display()));
    let file = std::fs::File::open(path).map_err(|error| cannot(error.to_string()))?;
    let mut text = String::new();
    let read = file.take(KEYS_BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(|error| cannot(error.to_string()))?;
    if text.len() as u64 > KEYS_BYTES_MAX {
        return Err(cannot("it is too long for a file of keys".to_owned()));
    }
    Ok(text)
}

/// What the encryption has put out and nobody has taken yet.
#[derive(Clone, Default)]
struct Out(Arc<Mutex<Vec<u8>>>);

impl Out {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Encrypts block by block.
pub struct Sealer {
    writer: age::stream::StreamWriter<Out>,
    out: Out,
}

impl Sealer {
    pub fn new(recipients: &Recipients) -> Result<Self, Clean> {
        let keys = recipients.0.iter().map(|key| key as &dyn age::Recipient);
        let encryptor =
            age::Encryptor::with_recipients(keys).map_err(|e| Clean::line(&e.to_string()))?;
        let out = Out::default();
        let writer = encryptor.wrap_output(out.clone());
        let writer = writer.map_err(|error| Clean::line(&error.to_string()))?;
        Ok(Self { writer, out })
    }

    /// What comes out may be later, and more or less, than what went in.
    pub fn push(&mut self, block: &[u8]) -> Result<Bytes, Clean> {
        let written = self.writer.write_all(block);
        written.map_err(|error| Clean::line(&error.to_string()))?;
        Ok(Bytes::from(self.out.take()))
    }

    /// The last of it. Without this, it does not open.
    pub fn finish(self) -> Result<Bytes, Clean> {
        let finished = self.writer.finish();
        finished.map_err(|error| Clean::line(&error.to_string()))?;
        Ok(Bytes::from(self.out.take()))
    }
}

/// Decrypts what is fetched. A thread does it; dropping this ends it.
pub struct Opened {
    blocks: mpsc::Receiver<Result<Bytes, Clean>>,
    feeding: JoinHandle<()>,
}

impl Opened {
    /// `identity_file` holds the private key. It is read here and nowhere kept.
    pub async fn new(fetching: Fetching, identity_file: &Path) -> Result<Self, Clean> {
        let path = identity_file.to_owned();
        let keys = tokio::task::spawn_blocking(move || identities(&path)).await;
        let keys = keys.map_err(|error| Clean::line(&error.to_string()))??;
        let (feed, taken) = mpsc::channel(BLOCKS);
        let (give, blocks) = mpsc::channel(BLOCKS);
        let feeding = tokio::spawn(pour(fetching, feed));
        tokio::task::spawn_blocking(move || {
            if let Err(reason) = decrypt(taken, &keys, &give) {
                // Nobody listens any more: then nobody has to be told.
                drop(give.blocking_send(Err(reason)));
            }
        });
        Ok(Self { blocks, feeding })
    }

    /// `None`: that was all, and it was whole.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Clean> {
        self.blocks.recv().await.transpose()
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.feeding.abort();
    }
}

fn identities(path: &Path) -> Result<Vec<x25519::Identity>, Clean> {
    let text = small(path)?;
    let mut keys = Vec::new();
    for (at, line) in lines(&text) {
        // The reason of a parser might repeat what it read.
        let key = line.parse::<x25519::Identity>().map_err(|_| {
            Clean::line(&format!(
                "{}:{at}: no private key; one begins with AGE-SECRET-KEY-1",
                path.display()
            ))
        })?;
        keys.push(key);
    }
    Ok(keys)
}

type Block = Result<Bytes, Clean>;

async fn pour(mut fetching: Fetching, feed: mpsc::Sender<Block>) {
    loop {
        let block = match fetching.next().await {
            Ok(Some(block)) => Ok(block),
            Ok(None) => return,
            Err(error) => Err(Clean::line(&error.to_string())),
        };
        let last = block.is_err();
        if feed.send(block).await.is_err() || last {
            return;
        }
    }
}

struct Fed {
    blocks: mpsc::Receiver<Block>,
    left: Bytes,
}

impl Read for Fed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.left.is_empty() {
            match self.blocks.blocking_recv() {
                Some(Ok(block)) => self.left = block,
                Some(Err(reason)) => return Err(io::Error::other(reason.to_string())),
                None => return Ok(0),
            }
        }
        let many = self.left.len().min(into.len());
        into[..many].copy_from_slice(&self.left.split_to(many));
        Ok(many)
    }
}

fn decrypt(
    fed: mpsc::Receiver<Block>,
    keys: &[x25519::Identity],
    give: &mpsc::Sender<Block>,
) -> Result<(), Clean> {
    let said = |error: age::DecryptError| Clean::line(&format!("it does not open: {error}"));
    let input = Fed {
        blocks: fed,
        left: Bytes::new(),
    };
    let decryptor = age::Decryptor::new(input).map_err(said)?;
    let keys = keys.iter().map(|key| key as &dyn age::Identity);
    let mut reader = decryptor.decrypt(keys).map_err(said)?;
    loop {
        let mut block = Vec::with_capacity(BLOCK_BYTES);
        let read = (&mut reader)
            .take(BLOCK_BYTES as u64)
            .read_to_end(&mut block);
        read.map_err(|error| Clean::line(&format!("it is damaged: {error}")))?;
        if block.is_empty() || give.blocking_send(Ok(Bytes::from(block))).is_err() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Store;
    use super::*;
    use crate::domain::StoreSpec;

    fn spec(path: &Path) -> StoreSpec {
        StoreSpec {
            name: Clean::from("local"),
            url: Clean::from(format!("file://{}", path.display())),
            endpoint: None,
            region: None,
            access_key: None,
            secret_key: None,
        }
    }

    struct Scene {
        dir: tempfile::TempDir,
        store: Store,
    }

    /// A key, its public half, and something sealed with it.
    async fn scene(content: &[u8], cut: usize) -> Scene {
        use age::secrecy::ExposeSecret;
        let dir = tempfile::tempdir().unwrap();
        let key = x25519::Identity::generate();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("key"), key.to_string().expose_secret()).unwrap();
        let public = format!("# ours\n\n{}\n", key.to_public());
        std::fs::write(path("recipients"), public).unwrap();
        let recipients = Recipients::read(&path("recipients")).unwrap();
        assert_eq!(recipients.shown()[0].as_str(), key.to_public().to_string());
        let store = Store::open(&spec(dir.path()), |_| Err(Clean::default())).unwrap();
        let mut sealer = Sealer::new(&recipients).unwrap();
        let mut locked = Vec::new();
        for block in content.chunks(100_000) {
            locked.extend_from_slice(&sealer.push(block).unwrap());
        }
        locked.extend_from_slice(&sealer.finish().unwrap());
        locked.truncate(locked.len() - cut);
        store.put("a.age", locked).await.unwrap();
        Scene { dir, store }
    }

    async fn open(scene: &Scene) -> Result<Vec<u8>, Clean> {
        let fetching = scene.store.get("a.age").await.unwrap();
        let mut opened = Opened::new(fetching, &scene.dir.path().join("key")).await?;
        let mut whole = Vec::new();
        while let Some(block) = opened.next().await? {
            whole.extend_from_slice(&block);
        }
        Ok(whole)
    }

    #[tokio::test]
    async fn what_is_sealed_is_opened_by_the_key() {
        let content: Vec<u8> = (0..700_000_u32).map(|n| n.to_le_bytes()[0] ^ 7).collect();
        let scene = scene(&content, 0).await;
        assert_eq!(open(&scene).await.unwrap(), content);
    }

    #[tokio::test]
    async fn what_was_cut_does_not_pass() {
        let scene = scene(&vec![7; 300_000], 1).await;
        let reason = open(&scene).await.unwrap_err();
        assert!(reason.contains("damaged"), "{reason}");
    }

    #[test]
    fn no_recipient_and_a_wrong_one_are_said_with_their_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r");
        std::fs::write(&path, "# none\n").unwrap();
        assert!(
            Recipients::read(&path)
                .err()
                .unwrap()
                .contains("holds no key")
        );
        std::fs::write(&path, "\nage1nonsense\n").unwrap();
        assert!(Recipients::read(&path).err().unwrap().contains("r:2: "));
    }
}
