//! Something that is never shown.

use std::{fmt, fs::File, io::Read, path::Path};

use crate::authenticator::ProviderError;

/// Bytes that stand in no log and in no error.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// Takes a text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.as_bytes().into())
    }

    /// Reads a file, without the end of its last line.
    ///
    /// # Errors
    /// [`ProviderError`] if it cannot be read, is empty or larger than 64 KiB.
    pub fn read(path: &Path) -> Result<Self, ProviderError> {
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut bytes))
            .map_err(|error| ProviderError(format!("cannot read {}: {error}", path.display())))?;
        let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if text.is_empty() || bytes.len() as u64 > BYTES_MAX {
            let what = format!(
                "{} has {} bytes; expected a secret of 1 to {BYTES_MAX}",
                path.display(),
                bytes.len()
            );
            return Err(ProviderError(what));
        }
        Ok(Self(text.into()))
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

const BYTES_MAX: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_whole_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, " two words \r\n").unwrap();
        let secret = Secret::read(&path).unwrap();
        assert_eq!((secret.bytes(), format!("{secret:?}").as_str()), (&b" two words "[..], "Secret(..)"));
        for wrong in [Vec::new(), b"\n".to_vec(), vec![b'x'; 65_537]] {
            std::fs::write(&path, wrong).unwrap();
            assert!(Secret::read(&path).unwrap_err().to_string().contains("expected a secret"));
        }
        assert!(
            Secret::read(&folder.path().join("none")).unwrap_err().to_string().starts_with("cannot read ")
        );
    }
}
