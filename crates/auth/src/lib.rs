//! Who may connect: the Authenticator interface and its chain
