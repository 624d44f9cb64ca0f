//! TLS 1.3 below the handshake, without certificates to hand out.
//!
//! A listener makes a key for itself alone and shows its public half (RFC 7250); a dialler takes any. TLS so far hides
//! the bytes from listeners on the line, but not from somebody in the middle. The handshake then proves the job's token
//! over a value that both ends derive from their TLS session, and that cures it: somebody in the middle holds two
//! sessions with two values. So the token is the only root of trust, with or without TLS, and no key is ever on disk.

use crate::handshake::Binding;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring as provider};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use std::io::{self, Read, Write};
use std::sync::Arc;

const LABEL: &[u8] = b"EXPORTER-mapfold-wire";

/// The settings of a listener, with its key of the moment.
#[derive(Clone)]
pub(crate) struct Server(Arc<ServerConfig>);

impl Server {
    pub(crate) fn new() -> Result<Server, Error> {
        let failed = |_| Error::General("no key can be made".to_owned());
        let random = ring::rand::SystemRandom::new();
        let pkcs8 = ring::signature::Ed25519KeyPair::generate_pkcs8(&random).map_err(failed)?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(pkcs8.as_ref().to_vec()));
        let key = provider::sign::any_supported_type(&key)?;
        let public = key.public_key().ok_or_else(|| Error::General("a key without its public half".to_owned()))?;
        let shown = CertificateDer::from(public.as_ref().to_vec());
        let resolver = AlwaysResolvesServerRawPublicKeys::new(Arc::new(CertifiedKey::new(vec![shown], key)));
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(resolver));
        config.send_tls13_tickets = 0; // nobody comes back: sessions live as long as a generation
        Ok(Server(Arc::new(config)))
    }

    pub(crate) fn connection(&self) -> Result<Connection, Error> {
        ServerConnection::new(self.0.clone()).map(Connection::from)
    }
}

/// The dialler's side.
pub(crate) fn client() -> Result<Connection, Error> {
    let provider = Arc::new(provider::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous() // any key will do here: the handshake above proves the token over this session
        .with_custom_certificate_verifier(Arc::new(AnyKey(provider)))
        .with_no_client_auth();
    let name = ServerName::try_from("mapfold.invalid").map_err(|_| Error::General("a bad name".to_owned()))?;
    ClientConnection::new(Arc::new(config), name).map(Connection::from)
}

/// The value that only the two ends of this session share.
pub(crate) fn binding(session: &Connection) -> Result<Binding, Error> {
    session.export_keying_material(Binding::default(), LABEL, None)
}

/// A session and the socket below it, while one thread has both to itself.
pub(crate) struct Within<'a, IO> {
    pub(crate) tls: &'a mut Connection,
    pub(crate) io: &'a mut IO,
}

impl<IO: Read + Write> Read for Within<'_, IO> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.tls.reader().read(into) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
            self.tls.complete_io(self.io)?;
        }
    }
}

impl<IO: Read + Write> Write for Within<'_, IO> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.tls.writer().write(from)
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            self.tls.write_tls(self.io)?;
        }
        Ok(())
    }
}

/// Takes any public key, and checks that the other end holds its private half.
#[derive(Debug)]
struct AnyKey(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyKey {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(key.as_ref());
        let schemes = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature_with_raw_key(message, &key, signature, schemes)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
