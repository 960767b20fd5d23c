//! Any bytes as a password file: no panic; what is read is written as it was, and read again as the same; whatever is no user, a
//! comment or an empty line is an error.
#![no_main]

use dunlin_passwords::file::PasswordFile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(file) = PasswordFile::parse(bytes) else { return };
    let text = file.to_string();
    let again = PasswordFile::parse(text.as_bytes()).expect("what was written can be read");
    assert_eq!(again.to_string(), text);
    let users: Vec<_> = file.users().map(|(name, hash)| (name, hash.as_str())).collect();
    assert_eq!(users, again.users().map(|(name, hash)| (name, hash.as_str())).collect::<Vec<_>>());
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')).count();
    assert_eq!(users.len(), lines);
    // Changing one user leaves the others alone.
    if let Some(&(name, _)) = users.first() {
        let mut file = file.clone();
        assert!(file.remove(name) && !file.remove(name));
        assert_eq!(file.users().count() + 1, users.len());
    }
});
