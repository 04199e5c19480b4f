//! The region's own certificate authority: what Amazon's roots are to a real stack.

use anyhow::Context;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};

/// Signs certificates of the region's servers; its key never leaves this process.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A server's certificate and key, both PEM.
#[derive(Clone)]
pub struct Certificate {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    /// A new authority that nobody trusts yet.
    ///
    /// # Errors
    /// If this machine has no randomness.
    pub fn new() -> anyhow::Result<Authority> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Rehearsal root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().context("making the region's root key")?;
        let root =
            CertifiedIssuer::self_signed(params, key).context("making the region's root certificate")?;
        Ok(Authority(root))
    }

    /// The certificate that clients have to trust, PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a server of these names.
    ///
    /// # Errors
    /// If one of them is no DNS name.
    pub fn sign(&self, names: &[&str]) -> anyhow::Result<Certificate> {
        let names: Vec<String> = names.iter().map(|it| (*it).to_owned()).collect();
        let what = names.join(", ");
        let params = CertificateParams::new(names).with_context(|| format!("a certificate for {what}"))?;
        let key = KeyPair::generate().context("making a server's key")?;
        let signed = params.signed_by(&key, &self.0).with_context(|| format!("a certificate for {what}"))?;
        Ok(Certificate { certificate: signed.pem(), key: key.serialize_pem() })
    }
}
