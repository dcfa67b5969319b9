//! Certificates for servers under test, and the authority that signs them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// An authority of its own, and a server's certificate that it signed, in a folder.
pub struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// Makes an authority and a certificate for a server of these names.
    pub fn of(folder: &Path, names: &[&str]) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let server = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
        let made = Self { folder: folder.to_owned() };
        std::fs::write(made.path("ca.pem"), authority.pem()).unwrap();
        std::fs::write(made.path("server.pem"), server.pem()).unwrap();
        std::fs::write(made.path("server.key"), key.serialize_pem()).unwrap();
        made
    }

    /// The authority's certificate.
    pub fn authority(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// How a server is told to speak TLS on a port.
    pub fn options(&self, port: u16) -> Vec<String> {
        let path = |name: &str| self.path(name).display().to_string();
        let port = port.to_string();
        ["--tls-port", &port, "--tls-auth-clients", "no", "--tls-cert-file", &path("server.pem")]
            .into_iter()
            .chain(["--tls-key-file", &path("server.key"), "--tls-ca-cert-file", &path("ca.pem")])
            .map(str::to_owned)
            .collect()
    }

    /// The server's certificate and key, for a server in this process.
    pub fn server(&self) -> rustls::ServerConfig {
        let chain = CertificateDer::pem_file_iter(self.path("server.pem")).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(self.path("server.key")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        versions.with_no_client_auth().with_single_cert(chain, key).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}
