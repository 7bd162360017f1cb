//! The environment: the only place that reads it. Everything else is handed an [`Environment`].

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;

use super::{Entry, Layer, Mistake, Place, Scope};

/// A copy of the environment variables.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, OsString>,
}

impl Environment {
    /// That of this process.
    pub fn of_process() -> Self {
        std::env::vars_os().collect()
    }

    /// A variable; one that is set to nothing counts as not set.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(name).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// What the variables `KPS_...` set. `KPS_CONFIG` names a file and `KPS_TEST_...` belong to the
    /// tests: they are not settings.
    pub fn layer(&self) -> Layer {
        let mut layer = Layer::default();
        for name in self.variables.keys().filter(|name| is_setting(name)) {
            let Some(value) = self.get(name) else { continue };
            let place = Place::Env(name.clone());
            match value.to_str() {
                Some(value) => layer.entries.push(entry(name, value, place)),
                None => layer.mistakes.push(Mistake::new(&place, "the value is not UTF-8")),
            }
        }
        layer
    }
}

impl<N: Into<OsString>, V: Into<OsString>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let name = |name: N| name.into().to_string_lossy().into_owned();
        Self { variables: variables.into_iter().map(|(n, value)| (name(n), value.into())).collect() }
    }
}

/// Names only: any value may be a secret.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

/// This program.
///
/// # Errors
/// When the system does not say.
pub fn own_program() -> io::Result<OsString> {
    std::env::current_exe().map(Into::into)
}

/// The folder that this program is in.
///
/// # Errors
/// When the system does not say.
pub fn own_folder() -> io::Result<OsString> {
    let program = std::env::current_exe()?;
    let folder = program.parent().map(|folder| folder.as_os_str().to_owned());
    folder.ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn is_setting(name: &str) -> bool {
    name.starts_with("KPS_") && name != "KPS_CONFIG" && !name.starts_with("KPS_TEST_")
}

fn entry(name: &str, value: &str, place: Place) -> Entry {
    let name = name.strip_prefix("KPS_").unwrap_or(name).to_ascii_lowercase();
    let (scope, key) = [("producer_", Scope::Producer), ("consumer_", Scope::Consumer)]
        .into_iter()
        .find_map(|(prefix, scope)| Some((scope, name.strip_prefix(prefix)?)))
        .unwrap_or((Scope::Any, &name));
    Entry { key: key.to_owned(), scope, value: value.to_owned(), place, only: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{KeyId, Layers, Library, Side};

    fn layers(variables: &[(&str, &str)]) -> Layers {
        let env: Environment = variables.iter().copied().collect();
        Layers { env: env.layer(), ..Layers::default() }
    }

    fn mistakes(layers: &Layers) -> Vec<String> {
        let found = layers.resolve(Side::Producer, Library::Rdkafka).unwrap_err();
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn any_key_can_be_a_variable() {
        let layers = layers(&[
            ("KPS_BOOTSTRAP_SERVER", "a:1"),
            ("KPS_PRODUCER_LINGER_MS", "7"),
            ("KPS_LINGER_MS", "8"),
            ("KPS_CONSUMER_CLIENT_ID", "reader"),
            ("KPS_SASL_PASSWORD", "x"),
            ("KPS_QUEUE_BUFFERING_MAX_KBYTES", "2"),
            ("KPS_ACKS", ""),
            ("KPS_CONFIG", "f"),
            ("KPS_TEST_THING", "f"),
            ("PATH", "f"),
        ]);
        let settings = layers.resolve(Side::Producer, Library::Rdkafka).unwrap();
        assert_eq!(settings.bootstrap(), ["a:1"]);
        assert_eq!(settings.int(KeyId::Linger), 7);
        assert_eq!(settings.place(KeyId::Linger).to_string(), "$KPS_PRODUCER_LINGER_MS");
        assert_eq!(settings.text(KeyId::ClientId), Some("kps"));
        assert_eq!(settings.text(KeyId::SaslPassword), Some("x"));
        assert_eq!(settings.int(KeyId::BufferMemory), 2048);
        assert!(!settings.is_set(KeyId::Acks));
    }

    #[test]
    fn unknown_variables_are_told_with_the_nearest() {
        let found = mistakes(&layers(&[("KPS_LINGR_MS", "7"), ("KPS_PRODUCER_ACK", "1"), ("KPS_ZZZ", "1")]));
        assert_eq!(
            found,
            [
                "$KPS_LINGR_MS: unknown key, did you mean $KPS_LINGER_MS?",
                "$KPS_PRODUCER_ACK: unknown key, did you mean $KPS_PRODUCER_ACKS?",
                "$KPS_ZZZ: unknown key",
            ]
        );
    }

    #[test]
    fn two_spellings_of_a_variable_name_both() {
        let found = mistakes(&layers(&[("KPS_BOOTSTRAP_SERVER", "a:1"), ("KPS_BOOTSTRAP_SERVERS", "b:1")]));
        assert_eq!(
            found,
            ["$KPS_BOOTSTRAP_SERVERS: bootstrap_servers and bootstrap_server ($KPS_BOOTSTRAP_SERVER) are \
              one setting: delete one of them"]
        );
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_not_text_are_a_mistake() {
        use std::os::unix::ffi::OsStringExt;
        let value = OsString::from_vec(vec![b'a', 0xff]);
        let env: Environment = [("KPS_CLIENT_ID", value)].into_iter().collect();
        assert_eq!(env.layer().mistakes[0].to_string(), "$KPS_CLIENT_ID: the value is not UTF-8");
    }

    #[test]
    fn debug_shows_no_value() {
        let env: Environment = [("KPS_SASL_PASSWORD", "hunter2")].into_iter().collect();
        assert!(!format!("{env:?} {:?}", env.layer()).contains("hunter2"));
    }
}
