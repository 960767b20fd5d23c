//! The command-line tools of Dunlin
