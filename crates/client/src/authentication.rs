//! Enhanced authentication (4.12): what an Authentication Method has to do, and where a Client is told about it.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

/// An Authentication Method of MQTT 5. It is asked to begin for each connection and each re-authentication.
///
/// [`Scram`](crate::scram::Scram) is one; another one is whatever implements this.
pub trait Method: Send + Sync {
    /// The name of the method, as it stands in CONNECT and AUTH.
    fn name(&self) -> &str;

    /// Begins an exchange: with the Authentication Data of CONNECT, or of the AUTH that asks to authenticate anew.
    ///
    /// # Errors
    /// Why it cannot, in words; the Client then ends.
    fn begin(&self) -> Result<Begun, AuthenticationError>;
}

/// An exchange that has begun.
pub struct Begun {
    /// The first Authentication Data, if the method has some.
    pub data: Option<Vec<u8>>,
    /// What goes on with it.
    pub exchange: Box<dyn Exchange>,
}

/// One exchange with the Server, from the Client's side.
pub trait Exchange: Send {
    /// Answers the Authentication Data of an AUTH that asks to continue. It may take some time: it is called where that is no harm.
    ///
    /// # Errors
    /// Why the Server is not to be answered, in words; the Client then ends.
    fn answer(&mut self, data: Option<&[u8]>) -> Result<Option<Vec<u8>>, AuthenticationError>;

    /// Takes the Authentication Data with which the Server says that all is well, in CONNACK or AUTH.
    ///
    /// # Errors
    /// Why the Server is not to be believed, in words; the Client then ends.
    fn finish(&mut self, data: Option<&[u8]>) -> Result<(), AuthenticationError>;
}

/// Why an exchange cannot go on.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{0}")]
pub struct AuthenticationError(pub String);

/// A [`Method`] for the options of a Client.
#[derive(Clone)]
pub struct Authentication(pub(crate) Arc<dyn Method>);

impl Authentication {
    /// Authenticates by `method`.
    #[must_use]
    pub fn new(method: impl Method + 'static) -> Self {
        Self(Arc::new(method))
    }
}

impl fmt::Debug for Authentication {
    /// Without secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Authentication").field(&self.0.name()).finish()
    }
}
