//! Who a server must prove to be. Certificates are always verified; there is no switch that turns it off.

use std::path::Path;
use std::sync::Arc;

use fred::rustls::crypto::ring;
use fred::rustls::pki_types::CertificateDer;
use fred::rustls::pki_types::pem::PemObject;
use fred::rustls::{ClientConfig, RootCertStore};
use fred::rustls_native_certs::load_native_certs;
use fred::types::config::TlsConfig;

use crate::error::{Error, Result};

/// What connections over TLS trust: the certificates in a file, or else those of the machine (which `SSL_CERT_FILE` and `SSL_CERT_DIR` name).
pub(super) fn trusting(ca: Option<&Path>) -> Result<TlsConfig> {
    let mut roots = RootCertStore::empty();
    let added = match ca {
        Some(file) => {
            let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let read = read.map_err(|why| unusable(file, &why.to_string()))?;
            roots.add_parsable_certificates(read).0
        }
        None => roots.add_parsable_certificates(load_native_certs().certs).0,
    };
    if added == 0 {
        return Err(match ca {
            Some(file) => unusable(file, "it holds no certificate"),
            None => {
                let message = "this machine trusts no certificates: install `ca-certificates`, or name the authority's with `?ca=FILE`";
                Error::invalid("no_certificates", message)
            }
        });
    }
    // The provider is named here rather than installed for the process: nothing depends on who was first.
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|why| Error::internal("TLS cannot be set up").because(why))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config.into())
}

fn unusable(file: &Path, why: &str) -> Error {
    Error::invalid("bad_ca", format!("`{}` names no authority to trust ({why}): give a file in PEM form as `?ca=FILE`", file.display()))
}
