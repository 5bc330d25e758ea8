//! Cookies of one journey on one host: what a browser would send back.

use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(super) struct Jar {
    /// By name: the value, and whether it may go over TLS only.
    cookies: BTreeMap<String, (String, bool)>,
}

impl Jar {
    /// Takes in a `Set-Cookie`. One that has ended is dropped.
    pub(super) fn take(&mut self, header: &str) {
        let mut parts = header.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            return;
        };
        let mut secure = false;
        let mut ended = false;
        for part in parts {
            let (key, of) = part.split_once('=').unwrap_or((part, ""));
            secure |= key.eq_ignore_ascii_case("secure");
            ended |= key.eq_ignore_ascii_case("max-age")
                && of.parse::<i64>().is_ok_and(|seconds| seconds <= 0);
        }
        if ended {
            self.cookies.remove(name);
        } else {
            self.cookies
                .insert(name.to_owned(), (value.to_owned(), secure));
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(|(value, _)| value.as_str())
    }

    /// What goes with the next request; `None`: nothing does.
    pub(super) fn header(&self, is_tls: bool) -> Option<String> {
        let pairs: Vec<String> = self
            .cookies
            .iter()
            .filter(|(_, (_, secure))| is_tls || !secure)
            .map(|(name, (value, _))| format!("{name}={value}"))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::Jar;

    #[test]
    fn cookies_come_back_as_a_browser_brings_them() {
        let mut jar = Jar::default();
        jar.take("session=a1; Path=/; Secure; HttpOnly");
        jar.take("theme=dark");
        assert_eq!(jar.header(true).unwrap(), "session=a1; theme=dark");
        assert_eq!(jar.header(false).unwrap(), "theme=dark");
        assert_eq!(jar.get("session"), Some("a1"));
        jar.take("session=; Max-Age=0");
        jar.take("theme=x; max-age=-1");
        jar.take("nonsense");
        assert_eq!(jar.header(true), None);
    }
}
