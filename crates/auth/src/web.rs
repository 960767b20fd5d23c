//! Asks other services by HTTP, with limits on time and size; connections are kept and used again.

use std::{fs, path::Path, sync::Arc, time::Duration};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, StatusCode, Uri,
    body::Bytes,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio::{sync::Semaphore, time::timeout};

use crate::{authenticator::ProviderError, secret::Secret};

/// One service.
#[derive(Debug)]
pub(crate) struct Web {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    uri: Uri,
    authorization: Option<HeaderValue>,
    time_limit: Duration,
    at_a_time: Semaphore,
}

/// Where a service is, and what it may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebConfig {
    /// `http://` or `https://`.
    pub url: String,
    /// The header Authorization.
    pub authorization: Option<Secret>,
    /// For connecting, asking and reading the answer.
    pub time_limit: Duration,
    /// Questions under way.
    pub concurrent_max: u32,
    /// Certificates of those who issue the service's, in PEM; those of the operating system if there is nothing here.
    pub ca_file: Option<Box<Path>>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct WebAnswer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Web {
    /// Prepares to ask; nothing is asked yet.
    ///
    /// # Errors
    /// [`ProviderError`] if the URL is none, or there are no certificates to trust.
    pub(crate) fn new(config: &WebConfig) -> Result<Self, ProviderError> {
        let expected = "expected one such as \"https://auth.example/mqtt\"";
        let uri: Uri = config
            .url
            .parse()
            .map_err(|error| ProviderError(format!("the url is none ({error}); {expected}")))?;
        let is_https = uri.scheme_str() == Some("https");
        if uri.host().is_none_or(str::is_empty) || !(is_https || uri.scheme_str() == Some("http")) {
            return Err(ProviderError(format!("the url has no http:// or https:// and host; {expected}")));
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(ProviderError(
                "the url has a user in it; expected it in `authorization_file`".to_owned(),
            ));
        }
        let authorization =
            config.authorization.as_ref().map(|secret| HeaderValue::from_bytes(secret.bytes()));
        let mut authorization = authorization.transpose().map_err(|_| {
            ProviderError(
                "`authorization` is no header; expected such as \"Bearer ...\" in one line".to_owned(),
            )
        })?;
        authorization.iter_mut().for_each(|value| value.set_sensitive(true));
        let roots = if is_https { roots(config.ca_file.as_deref())? } else { RootCertStore::empty() };
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| ProviderError(format!("TLS cannot be used: {error}")))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(config.time_limit));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIME)
            .pool_max_idle_per_host(config.concurrent_max as usize)
            .build(connector);
        let at_a_time = Semaphore::new(config.concurrent_max.max(1) as usize);
        Ok(Self { client, uri, authorization, time_limit: config.time_limit, at_a_time })
    }

    /// Reads what is there.
    pub(crate) async fn get(&self, body_bytes_max: usize) -> Result<WebAnswer, String> {
        self.ask(Method::GET, Bytes::new(), body_bytes_max).await
    }

    /// Asks with a body in JSON.
    pub(crate) async fn post(&self, json: Vec<u8>, body_bytes_max: usize) -> Result<WebAnswer, String> {
        self.ask(Method::POST, json.into(), body_bytes_max).await
    }

    async fn ask(&self, method: Method, body: Bytes, body_bytes_max: usize) -> Result<WebAnswer, String> {
        let exchange = async {
            let _place = self.at_a_time.acquire().await.map_err(|error| error.to_string())?;
            let mut request = Request::builder().method(method).uri(self.uri.clone());
            if !body.is_empty() {
                request = request.header(CONTENT_TYPE, "application/json");
            }
            if let Some(authorization) = &self.authorization {
                request = request.header(AUTHORIZATION, authorization);
            }
            let request = request.body(Full::new(body)).map_err(|error| error.to_string())?;
            let response = self.client.request(request).await.map_err(|error| causes(&error))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), body_bytes_max).collect().await;
            let body = body.map_err(|error| format!("its answer cannot be read: {error}"))?.to_bytes();
            Ok(WebAnswer { status, body })
        };
        let limit = self.time_limit;
        timeout(limit, exchange)
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {} ms", limit.as_millis())))
    }
}

/// An error with all that is behind it.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(": {error}");
        source = error.source();
    }
    text
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, ProviderError> {
    let mut roots = RootCertStore::empty();
    let Some(path) = ca_file else {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        return match roots.is_empty() {
            false => Ok(roots),
            true => Err(ProviderError(
                "the operating system has no certificates to trust; expected `ca_file`".to_owned(),
            )),
        };
    };
    let unusable =
        |what: String| ProviderError(format!("{}: {what}; expected certificates in PEM", path.display()));
    let pem =
        fs::read(path).map_err(|error| ProviderError(format!("cannot read {}: {error}", path.display())))?;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    if roots.is_empty() { Err(unusable("there is no certificate in it".to_owned())) } else { Ok(roots) }
}

/// How long a connection is kept that nobody uses.
const IDLE_TIME: Duration = Duration::from_secs(60);
