//! `dunlin passwd`: writes the file of users, with the options of `mosquitto_passwd`.

use std::{
    ffi::OsString,
    io::{self, Write},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use dunlin_passwords::{
    file::{PasswordFile, check_user_name},
    hash::{Algorithm, PasswordHash},
};

use crate::exit::Failure;
use crate::output;

use self::{
    prompt::{Given, ask},
    safe_file::{SafeFile, read},
};

mod prompt;
mod safe_file;

/// Adds a user to a password file, changes its password, or takes it out
///
/// The password is asked for twice, without showing it; if standard input is no terminal, its first line is the password.
/// The exit code is 0 when it is done, 2 if there is no such user, 3 if the two passwords differ, 4 if another `dunlin
/// passwd` is at work there, and 1 for everything else.
#[derive(Clone, Debug, Args)]
pub struct PasswdArgs {
    /// Makes a new file, also in the place of an old one; `-` as FILE writes it to standard output
    #[arg(short, long, conflicts_with_all = ["delete", "upgrade"])]
    pub create: bool,
    /// Takes the user out of the file
    #[arg(short = 'D', long, conflicts_with_all = ["upgrade", "batch"])]
    pub delete: bool,
    /// Hashes the passwords of a file that holds them as plain text
    #[arg(short = 'U', long, conflicts_with_all = ["user", "batch"])]
    pub upgrade: bool,
    /// Takes the password from the command line, where other users of this machine can see it
    #[arg(short, long)]
    pub batch: bool,
    /// How passwords are hashed; mosquitto 2.0 reads the last two
    #[arg(short = 'H', long, value_enum, value_name = "ALGORITHM", default_value = "argon2id")]
    pub hash: HashArgument,
    /// Iterations of sha512-pbkdf2 [default: 1000] or scram-sha-256 [default: 10000]
    #[arg(short = 'I', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub iterations: Option<u32>,
    /// Stores keys for the Authentication Method SCRAM-SHA-256: the same as -H scram-sha-256
    #[arg(long, conflicts_with = "hash")]
    pub scram: bool,
    /// The password file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The user
    #[arg(value_name = "USER", required_unless_present = "upgrade")]
    pub user: Option<String>,
    /// The password, with -b
    #[arg(
        value_name = "PASSWORD",
        requires = "batch",
        required_if_eq("batch", "true"),
        allow_hyphen_values = true
    )]
    pub password: Option<OsString>,
}

/// `-H`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HashArgument {
    /// 46 MiB and some 50 ms for each try.
    Argon2id,
    /// Keys for SCRAM.
    #[value(name = "scram-sha-256")]
    ScramSha256,
    /// PBKDF2.
    #[value(name = "sha512-pbkdf2")]
    Sha512Pbkdf2,
    /// SHA-512.
    Sha512,
}

/// Does what `dunlin passwd` was asked, and returns the exit code.
#[must_use]
pub fn run(args: PasswdArgs) -> i32 {
    match try_run(&args) {
        Ok(()) => 0,
        Err(failure) => output::fail(false, &failure),
    }
}

fn try_run(args: &PasswdArgs) -> Result<(), Failure> {
    let file = &*args.file;
    if args.upgrade {
        return upgrade(args, file);
    }
    let user = args.user.as_deref().unwrap_or_default();
    check_user_name(user).map_err(Failure::usage)?;
    if args.delete {
        return change(file, false, |users| match users.remove(user) {
            true => Ok(()),
            false => Err(Failure::coded(NO_SUCH_USER, format!("{} has no user {user:?}", file.display()))),
        });
    }
    if !args.create && !file.exists() {
        let message = format!("there is no file {}; -c makes it", file.display());
        return Err(Failure::other(message));
    }
    let password = password(args, user)?;
    let hash = PasswordHash::new(args.algorithm(), &password, args.iterations).map_err(no_random_numbers)?;
    let set = |users: &mut PasswordFile| users.set(user, hash).map(drop).map_err(Failure::usage);
    if args.create && file == Path::new("-") {
        let mut users = PasswordFile::default();
        set(&mut users)?;
        return write!(io::stdout(), "{users}")
            .map_err(|error| Failure::other(format!("cannot write to standard output: {error}")));
    }
    change(file, args.create, set)
}

fn upgrade(args: &PasswdArgs, path: &Path) -> Result<(), Failure> {
    let file = SafeFile::lock(path)?;
    let users = PasswordFile::upgrade(&read(path)?, args.algorithm(), args.iterations)
        .map_err(|error| broken(path, &error))?;
    file.replace(&users.to_string())
}

/// Reads the file, or begins a new one, changes it, and puts it in its place.
fn change(
    path: &Path,
    is_new: bool,
    change: impl FnOnce(&mut PasswordFile) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let file = SafeFile::lock(path)?;
    let mut users = match is_new {
        true => PasswordFile::default(),
        false => PasswordFile::parse(&read(path)?).map_err(|error| broken(path, &error))?,
    };
    change(&mut users)?;
    file.replace(&users.to_string())
}

impl PasswdArgs {
    fn algorithm(&self) -> Algorithm {
        match self.hash {
            _ if self.scram => Algorithm::ScramSha256,
            HashArgument::Argon2id => Algorithm::Argon2id,
            HashArgument::ScramSha256 => Algorithm::ScramSha256,
            HashArgument::Sha512Pbkdf2 => Algorithm::Pbkdf2Sha512,
            HashArgument::Sha512 => Algorithm::Sha512,
        }
    }
}

fn password(args: &PasswdArgs, user: &str) -> Result<Vec<u8>, Failure> {
    let password = match &args.password {
        Some(password) => password.as_bytes().to_vec(),
        None => {
            match ask(user).map_err(|error| Failure::other(format!("cannot read the password: {error}")))? {
                Given::Password(password) => password,
                Given::TwoThatDiffer => {
                    return Err(Failure::coded(DIFFERENT, "the two passwords differ; nothing is changed"));
                }
                Given::Nothing => return Err(Failure::other("no password was given; nothing is changed")),
            }
        }
    };
    if password.is_empty() {
        return Err(Failure::other("the password is empty; nothing is changed"));
    }
    if password.contains(&0) {
        return Err(Failure::other("a password with NUL cannot be set with this tool; nothing is changed"));
    }
    if password.len() > usize::from(u16::MAX) {
        return Err(Failure::other("the password is longer than the 65535 bytes that CONNECT can carry"));
    }
    Ok(password)
}

fn broken(path: &Path, error: &dunlin_passwords::file::FileError) -> Failure {
    Failure::other(format!("{}:{}: {}; nothing is changed", path.display(), error.line, error.problem))
}

fn no_random_numbers(error: impl std::fmt::Display) -> Failure {
    Failure::other(format!("the operating system has no random numbers: {error}"))
}

const NO_SUCH_USER: i32 = 2;
const DIFFERENT: i32 = 3;

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use clap::Parser;

    use super::{safe_file::LOCKED, *};

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: PasswdArgs,
    }

    /// Runs it in `folder` with these words and returns the failure, if any.
    fn passwd(folder: &Path, words: &str) -> Result<(), Failure> {
        let words = words.split(' ').map(|word| match word.strip_prefix('@') {
            Some(name) => folder.join(name).to_str().unwrap().to_owned(),
            None => word.to_owned(),
        });
        let cli = Cli::try_parse_from(["passwd".to_owned()].into_iter().chain(words));
        try_run(&cli.unwrap_or_else(|error| panic!("{error}")).args)
    }

    fn users(path: &Path) -> Vec<(String, PasswordHash)> {
        let file = PasswordFile::parse(&fs::read(path).unwrap()).unwrap();
        file.users().map(|(name, hash)| (name.to_owned(), hash.clone())).collect()
    }

    #[test]
    fn users_are_added_changed_and_taken_out() {
        let folder = tempfile::tempdir().unwrap();
        let (folder, file) = (folder.path(), folder.path().join("users"));
        passwd(folder, "-c -b @users ann one").unwrap();
        passwd(folder, "-b -H sha512 @users bob two").unwrap();
        passwd(folder, "-b --scram @users eve -three").unwrap();
        passwd(folder, "-b -H sha512-pbkdf2 -I 7 @users ann four").unwrap();
        let all = users(&file);
        let expected =
            [("ann", "$7$7$", "four"), ("bob", "$6$", "two"), ("eve", "SCRAM-SHA-256$10000:", "-three")];
        assert_eq!(all.len(), expected.len());
        for ((name, hash), (expected_name, prefix, password)) in all.iter().zip(expected) {
            assert_eq!(name, expected_name);
            assert!(hash.as_str().starts_with(prefix) && hash.verify(password.as_bytes()), "{name}");
        }
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        passwd(folder, "-D @users bob").unwrap();
        assert_eq!(users(&file).len(), 2);
        assert_eq!(passwd(folder, "-D @users bob").unwrap_err().code, NO_SUCH_USER);
        passwd(folder, "-c -b @users ann new").unwrap();
        assert_eq!(users(&file).len(), 1);
        assert_eq!(fs::read_dir(folder).unwrap().count(), 1, "nothing else is left behind");
    }

    #[test]
    fn plain_text_is_upgraded() {
        let folder = tempfile::tempdir().unwrap();
        let (folder, file) = (folder.path(), folder.path().join("users"));
        fs::write(&file, "# mine\nann:one\nbob:a:b\n").unwrap();
        passwd(folder, "-U -H sha512 @users").unwrap();
        assert!(fs::read_to_string(&file).unwrap().starts_with("# mine\nann:$6$"));
        assert!(users(&file)[1].1.verify(b"a:b"));
        passwd(folder, "-U -H sha512 @users").unwrap();
        assert!(users(&file)[1].1.verify(b"a:b"), "hashes stay as they are");
    }

    #[test]
    fn what_cannot_be_done_changes_nothing_and_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let (folder, file) = (folder.path(), folder.path().join("users"));
        let missing = passwd(folder, "-b @users ann one").unwrap_err();
        assert!(missing.message.ends_with("-c makes it") && missing.code == 1, "{}", missing.message);
        fs::write(&file, "# mine\nann:one\n").unwrap();
        for words in ["-b @users bob two", "-D @users ann"] {
            let error = passwd(folder, words).unwrap_err();
            assert!(error.message.contains("users:2: this is no password hash"), "{}", error.message);
            assert_eq!(error.code, 1);
        }
        for words in ["-b @users a:b two", "-b @users #x two", "-c -b @nowhere/users ann one", "-U @none"] {
            assert_eq!(passwd(folder, words).unwrap_err().code, 1, "{words}");
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "# mine\nann:one\n");
        let empty = Cli::try_parse_from(["passwd", "-c", "-b", "x", "ann", ""]).unwrap();
        assert!(try_run(&empty.args).unwrap_err().message.contains("is empty"));
    }

    #[test]
    fn a_second_one_at_the_same_time_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (folder, file) = (folder.path(), folder.path().join("users"));
        passwd(folder, "-c -b -H sha512 @users ann one").unwrap();
        let _first = SafeFile::lock(&file).unwrap();
        assert_eq!(passwd(folder, "-D @users ann").unwrap_err().code, LOCKED);
        assert_eq!(users(&file).len(), 1);
    }

    #[test]
    fn the_file_behind_a_link_is_changed_and_its_mode_kept_from_others() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        passwd(folder, "-c -b -H sha512 @real ann one").unwrap();
        fs::set_permissions(folder.join("real"), fs::Permissions::from_mode(0o664)).unwrap();
        std::os::unix::fs::symlink("real", folder.join("users")).unwrap();
        passwd(folder, "-b -H sha512 @users bob two").unwrap();
        assert!(fs::symlink_metadata(folder.join("users")).unwrap().is_symlink());
        assert_eq!(users(&folder.join("real")).len(), 2);
        assert_eq!(fs::metadata(folder.join("real")).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn options_that_do_not_go_together_are_refused() {
        for wrong in [
            "-c -D f u",
            "-U f u",
            "-b f u",
            "f",
            "f u p",
            "-H md5 f u",
            "-I 0 f u",
            "--scram -H sha512 f u",
            "-D -b f u p",
        ] {
            let words = ["passwd"].into_iter().chain(wrong.split(' '));
            assert!(Cli::try_parse_from(words).is_err(), "{wrong}");
        }
    }
}
